"""A ZIP that is sent while it is packed, and is the same bytes each time for the same files."""

import hashlib
import io
from collections.abc import Iterable, Iterator
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

SUMS: Final = "SHA256SUMS"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_READABLE: Final = 0o100644 << 16
# PDFs are compressed inside; more effort would win nothing.
_EFFORT: Final = 1


class _Outlet(io.RawIOBase):
    """Takes what the packer writes and gives it on; it can't be gone back in."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]
        self._waiting.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """What was written since the last time."""
        data = b"".join(self._waiting)
        self._waiting.clear()
        return data


def packed(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """The ZIP of named files in pieces, closed by a list of their digests as ``sha256sum -c`` reads it."""
    outlet, sums = _Outlet(), []
    with ZipFile(outlet, "w", ZIP_DEFLATED, compresslevel=_EFFORT) as archive:
        for name, content in files:
            sums.append(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
            _add(archive, name, content)
            yield outlet.taken()
        _add(archive, SUMS, "".join(sums).encode())
    yield outlet.taken()


def _add(archive: ZipFile, name: str, content: bytes) -> None:
    entry = ZipInfo(name, _EPOCH)
    entry.external_attr = _READABLE
    archive.writestr(entry, content, ZIP_DEFLATED, _EFFORT)
