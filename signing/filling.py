"""Putting a CMS or a token into its place, and looking at the file as it will leave."""

from binascii import hexlify
from collections.abc import Iterator
from io import BytesIO
from typing import IO, Self

from cryptography.hazmat.primitives import hashes

from signing.algorithms import hash_of
from signing.errors import SealCheckFailed
from signing.revision import Hole, byte_range_in

_AT_ONCE = 64 * 1024
_LARGEST_DICTIONARY = 16 * 1024
"""Bytes behind a hole in which its signature dictionary ends."""


def fill(hole: Hole, cms: bytes) -> None:
    """Write ``cms`` in hexadecimal into the hole; the rest of the hole stays zeros.

    Raises:
        SealCheckFailed: it is larger than the hole.
    """
    written = hexlify(cms)
    if len(written) > hole.end - hole.start - 2:
        raise SealCheckFailed("The seal is larger than the space kept for it.", context={"size": str(len(cms))})
    hole.stream.seek(hole.start + 1)
    hole.stream.write(written)


class Check:
    """Holds a finished file against what it was made from.

    The old bytes must be untouched, the byte range right and complete, and the digest the one that was signed.
    """

    def __init__(self, size: int, *, original: bytes | None = None, digest: bytes = b"") -> None:
        self._size, self._original, self._digest = size, original, digest

    @property
    def size(self) -> int:
        """Bytes of what was there before."""
        return self._size

    @classmethod
    def of_bytes(cls, original: bytes) -> Self:
        """For a document that is in memory."""
        return cls(len(original), original=original)

    @classmethod
    def copying(cls, source: IO[bytes], target: IO[bytes]) -> Self:
        """For a document that is copied from ``source`` to ``target`` now."""
        state, size = hashes.Hash(hashes.SHA256()), 0
        while part := source.read(_AT_ONCE):
            state.update(part)
            target.write(part)
            size += len(part)
        return cls(size, digest=state.finalize())

    def last(self, hole: Hole, algorithm: str) -> None:
        """The last revision must be the one with ``hole``, signed over the whole file.

        Raises:
            SealCheckFailed: anything is not as it should be.
        """
        end = hole.stream.seek(0, 2)
        if not self._untouched(hole.stream) or _byte_range(hole) != (0, hole.start, hole.end, end - hole.end):
            raise SealCheckFailed("The sealed file is not what was signed.")
        self._signed(hole, algorithm, end)

    def kept(self, hole: Hole, algorithm: str) -> None:
        """A revision came behind the one with ``hole``: what was signed must be as it was.

        Raises:
            SealCheckFailed: it is not.
        """
        declared = _byte_range(hole)
        if declared is None:
            raise SealCheckFailed("The sealed file is not what was signed.")
        self._signed(hole, algorithm, hole.end + declared[3])

    def _signed(self, hole: Hole, algorithm: str, end: int) -> None:
        chosen = hash_of(algorithm)
        assert chosen is not None
        if _hashed(hole.stream, chosen, (0, hole.start), (hole.end, end)) != hole.digest:
            raise SealCheckFailed("The sealed file is not what was signed.")

    def _untouched(self, stream: IO[bytes]) -> bool:
        if self._original is not None and isinstance(stream, BytesIO):
            return stream.getvalue().startswith(self._original)
        return _hashed(stream, hashes.SHA256(), (0, self._size)) == self._digest


def _byte_range(hole: Hole) -> tuple[int, ...] | None:
    """The byte range in the signature's own dictionary: pyHanko writes it behind the hole."""
    hole.stream.seek(hole.end)
    behind = hole.stream.read(_LARGEST_DICTIONARY)
    return byte_range_in(behind[: max(0, behind.find(b"endobj"))])


def _hashed(stream: IO[bytes], algorithm: hashes.HashAlgorithm, *regions: tuple[int, int]) -> bytes:
    state = hashes.Hash(algorithm)
    for first, last in regions:
        for part in _parts(stream, first, last):
            state.update(part)
    return state.finalize()


def _parts(stream: IO[bytes], first: int, last: int) -> Iterator[bytes | memoryview]:
    if isinstance(stream, BytesIO):
        yield memoryview(stream.getvalue())[first:last]
        return
    stream.seek(first)
    while first < last and (part := stream.read(min(_AT_ONCE, last - first))):
        yield part
        first += len(part)
