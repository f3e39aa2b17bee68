"""An uploaded file read back from its parts: any place of it, from any machine, a few parts in memory at a time."""

import bisect
import hashlib
import io
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from service.usecases.context import Context
from service.vault.errors import VaultIntegrityError

PART_BYTES = 8 * 1024 * 1024
"""The longest part: what an upload holds in memory before it is stored."""
CACHED_PARTS = 3


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part of an uploaded file: where it begins, its length, SHA-256 of its bytes, and where the vault has it."""

    at: int
    size: int
    sha256: bytes
    path: str

    @property
    def role(self) -> str:
        """The role under which the vault keeps it."""
        return part_role(self.at)


def part_role(at: int) -> str:
    """The role of the part that begins at this byte."""
    return f"part-{at}"


class PartsFile(io.RawIOBase):
    """A read-only, seekable file over stored parts. Every part is verified each time it is fetched.

    Args:
        context: the wired parts of the service.
        organisation: whose submission it is.
        submission: its id, to which the parts are bound.
        parts: in order, without a gap.
    """

    def __init__(
        self, context: Context, organisation: uuid.UUID, submission: uuid.UUID, parts: Sequence[StoredPart]
    ) -> None:
        super().__init__()
        end = 0
        for part in parts:
            if part.at != end:
                raise VaultIntegrityError("A part of an uploaded file is missing.", context={"of": str(submission)})
            end += part.size
        self._vault = context.vault
        self._of = organisation, submission
        self._parts = parts
        self._starts = [part.at for part in parts]
        self._size = end
        self._at = 0
        self._cache: OrderedDict[int, bytes] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self._size

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The place at which is read next."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, as for any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("before the beginning of the file")
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Up to ``size`` bytes from the present place; all that is left when negative or None.

        Raises:
            VaultIntegrityError: a part is not what was uploaded.
            ObjectMissing: a part is gone.
            StoreUnreachable: try again later.
        """
        wanted = max(0, self._size - self._at)
        if size is not None and size >= 0:
            wanted = min(wanted, size)
        pieces = []
        while wanted:
            number = bisect.bisect_right(self._starts, self._at) - 1
            part = self._parts[number]
            begin = self._at - part.at
            piece = self._part(number)[begin : begin + wanted]
            pieces.append(piece)
            self._at += len(piece)
            wanted -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fill a buffer, as for any file."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _part(self, number: int) -> bytes:
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        part = self._parts[number]
        content = self._vault.read(part.path, *self._of, part.role)
        if len(content) != part.size or hashlib.sha256(content).digest() != part.sha256:
            raise VaultIntegrityError("A part of an uploaded file was changed.", context={"object": part.path})
        self._cache[number] = content
        if len(self._cache) > CACHED_PARTS:
            self._cache.popitem(last=False)
        return content
