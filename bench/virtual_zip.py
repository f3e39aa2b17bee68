"""A ZIP of any length that is nowhere: its bytes are made when they are read, the same ones again at every place.

For uploads of gigabytes that break off and go on: whoever resumes needs the bytes from a place in the middle, and
nobody wants the whole of it on a disk. Entries are stored, not deflated, so that each one's place is known beforehand.
"""

import bisect
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_PLACE_64 = struct.Struct("<HHQ")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_END_64_PLACE = struct.Struct("<4sLQL")
_END = struct.Struct("<4s4H2LH")
_MOST_32 = 0xFFFFFFFF
_VERSION = 45
_UTF8 = 0x800
_DATE = (2026 - 1980) << 9 | 11 << 5 | 23


@dataclass(frozen=True)
class Member:
    """A file of the ZIP: its name, its length, and how its bytes are made."""

    name: str
    size: int
    make: Callable[[], bytes]


class VirtualZip:
    """The ZIP of these files. Each is made once beforehand, for its checksum, and again whenever it is read."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._checksums = [zlib.crc32(member.make()) for member in members]
        self._starts: list[int] = []
        at = 0
        for member in members:
            self._starts.append(at)
            at += _LOCAL.size + len(member.name.encode()) + member.size
        self._directory_at = at
        self._directory = self._make_directory()
        self.size = at + len(self._directory)

    def read_from(self, at: int) -> Iterator[bytes]:
        """The bytes from this place to the end, a file at a time."""
        if at < self._directory_at:
            first = bisect.bisect_right(self._starts, at) - 1
            skip = at - self._starts[first]
            for number in range(first, len(self._members)):
                content = self._head(number) + self._members[number].make()
                yield content[skip:] if skip else content
                skip = 0
            at = self._directory_at
        yield self._directory[at - self._directory_at :]

    def _head(self, number: int) -> bytes:
        member, name = self._members[number], self._members[number].name.encode()
        return (
            _LOCAL.pack(
                b"PK\x03\x04", _VERSION, _UTF8, 0, 0, _DATE, self._checksums[number], member.size, member.size,
                len(name), 0,
            )
            + name
        )  # fmt: skip

    def _make_directory(self) -> bytes:
        made = bytearray()
        for member, checksum, start in zip(self._members, self._checksums, self._starts, strict=True):
            name = member.name.encode()
            far = start >= _MOST_32
            extra = _PLACE_64.pack(1, 8, start) if far else b""
            made += _CENTRAL.pack(
                b"PK\x01\x02", _VERSION, _VERSION, _UTF8, 0, 0, _DATE, checksum, member.size, member.size, len(name),
                len(extra), 0, 0, 0, 0, _MOST_32 if far else start,
            ) + name + extra  # fmt: skip
        at, length, count = self._directory_at, len(made), len(self._members)
        made += _END_64.pack(b"PK\x06\x06", _END_64.size - 12, _VERSION, _VERSION, 0, 0, count, count, length, at)
        made += _END_64_PLACE.pack(b"PK\x06\x07", 0, at + length, 1)
        made += _END.pack(b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, _MOST_32, _MOST_32, 0)
        return bytes(made)
