"""The ZIP of a submission: its table of contents held against every trick that is known, its entries read with bounds.

Nothing is ever unpacked to a disk, and no name from the archive is used as a path. What is refused has a stable code;
the text names an entry by its place in the table of contents, never by its name, which may be a person's.
"""

import hashlib
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from stat import S_IFDIR, S_IFMT, S_IFREG
from types import MappingProxyType
from typing import Final, Protocol

from service.domain.errors import Invalid

LIST_NAMES: Final = ("deliveries.csv", "deliveries.jsonl")
MOST_ENTRIES: Final = 250_000
DIRECTORY_BYTES: Final = 64 * 1024 * 1024
"""The longest table of contents that is read."""
LIST_BYTES: Final = 1024 * 1024 * 1024
RATIO: Final = 200
"""Letters shrink to a tenth at best; what shrinks to less than a two-hundredth was made to burst."""
RATIO_FROM: Final = 1024 * 1024
LONGEST_NAME: Final = 512
_STEP: Final = 64 * 1024
_ARCHIVES: Final = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".jar")
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000
_UTF8: Final = 0x800
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_END: Final = struct.Struct("<4s4H2LH")
_END_64_PLACE: Final = struct.Struct("<4sLQL")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")

SENTENCES: Final = MappingProxyType(
    {
        "zip_malformed": "This is not a ZIP that can be read from beginning to end.",
        "zip_too_many_entries": f"The ZIP has more than {MOST_ENTRIES} entries, or a table of contents for more.",
        "zip_list_missing": "The ZIP has neither deliveries.csv nor deliveries.jsonl at its top.",
        "zip_list_twice": "The ZIP has more than one list: leave deliveries.csv or deliveries.jsonl.",
        "zip_list_too_large": "The list is larger than is read.",
        "zip_name_unsafe": "The name leads out of the ZIP, or has a backslash, drive or control character.",
        "zip_name_not_utf8": "The name is neither plain ASCII nor marked as UTF-8.",
        "zip_name_repeated": "Another entry has this name, but for capitals or the way that accents are written.",
        "zip_encrypted": "It is encrypted.",
        "zip_not_a_file": "It is a link or a device, not a file.",
        "zip_nested": "It is an archive inside the archive.",
        "zip_method_unknown": "It is packed in a way other than stored or deflated.",
        "zip_bomb": "It claims to become far larger than it is packed.",
        "zip_overlaps": "Its bytes overlap another entry's.",
        "zip_size_differs": "It is longer or shorter than the table of contents says.",
        "zip_crc_differs": "Its checksum is wrong: it changed on its way.",
    }
)
"""What can be wrong with the container or an entry of it, by code."""


class ContainerRefused(Invalid):
    """The ZIP, or one entry of it, can't be used."""

    code = "zip_malformed"

    def __init__(self, code: str, entry: int | None = None) -> None:
        sentence = SENTENCES[code]
        super().__init__(sentence if entry is None else f"Entry {entry} of the ZIP: {sentence}", code=code)


class Readable(Protocol):
    """A file at any place of which can be read."""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go there."""
        ...

    def tell(self) -> int:
        """Where that is."""
        ...

    def read(self, size: int | None = -1) -> bytes:
        """Read on."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a file of the ZIP is, enough to read it without the table of contents.

    Attributes:
        number: its place in the table of contents, from 1.
        at: where its local header begins.
        end: where the next thing begins, beyond which it can't reach.
        packed: bytes as packed.
        size: bytes when unpacked, as announced.
        method: 0 stored, 8 deflated.
        crc: CRC-32 of its content, as announced.
    """

    number: int
    at: int
    end: int
    packed: int
    size: int
    method: int
    crc: int


@dataclass(frozen=True, slots=True)
class Container:
    """A ZIP that was looked through: its list, and its other files by the form of their names that counts.

    Attributes:
        fingerprint: SHA-256 of the table of contents: the same for the same file, however often it comes.
    """

    fingerprint: bytes
    list_name: str
    list_entry: Entry
    files: Mapping[str, Entry] = field(repr=False)

    def find(self, name: str) -> Entry | None:
        """The file of this name; capitals and the way of writing accents don't matter."""
        return self.files.get(same_name(name))


def same_name(name: str) -> str:
    """The form of a name in which two that look alike are equal."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def open_container(file: Readable, *, most_bytes: int) -> Container:
    """Look through a ZIP's table of contents.

    Args:
        file: the whole upload.
        most_bytes: what all entries may become together, unpacked.

    Raises:
        ContainerRefused: something about it is not as it should be.
    """
    fingerprint = _check_end(file)
    try:
        archive = zipfile.ZipFile(file)
    except UnicodeDecodeError:
        raise ContainerRefused("zip_name_not_utf8") from None
    # NotImplementedError is how zipfile says that an archive asks for a version or a form it does not know.
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OSError, EOFError):
        raise ContainerRefused("zip_malformed") from None
    infos = archive.infolist()
    if len(infos) > MOST_ENTRIES:
        raise ContainerRefused("zip_too_many_entries")
    total = 0
    for number, info in enumerate(infos, 1):
        _check_entry(number, info)
        total += info.file_size
        if total > most_bytes:
            raise ContainerRefused("zip_bomb", number)
    return _sorted_out(fingerprint, infos, _ends(infos, archive.start_dir))


def _check_end(file: Readable) -> bytes:
    """Read the end record first: what it says bounds how much of the table of contents is read. Returns its SHA-256."""
    size = file.seek(0, 2)
    tail_at = max(0, size - _END.size - 0xFFFF)
    file.seek(tail_at)
    tail = file.read(size - tail_at)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise ContainerRefused("zip_malformed")
    _, disk, first_disk, here, entries, length, offset, comment = _END.unpack_from(tail, at)
    end = tail_at + at
    if end + _END.size + comment != size or disk != first_disk or here != entries:
        raise ContainerRefused("zip_malformed")
    # Whoever reads the ZIP after us looks for the long form wherever its mark stands, so it is looked for as well.
    if end >= _END_64_PLACE.size and file.seek(end - _END_64_PLACE.size) >= 0 and file.read(4) == b"PK\x06\x07":
        end, entries, length, offset = _end_64(file, end)
    if entries > MOST_ENTRIES or length > DIRECTORY_BYTES:
        raise ContainerRefused("zip_too_many_entries")
    # Nothing in front of the ZIP and nothing between: what another program would see is what is read here.
    if offset + length != end:
        raise ContainerRefused("zip_malformed")
    file.seek(offset)
    return hashlib.sha256(file.read(length)).digest()


def _end_64(file: Readable, end: int) -> tuple[int, int, int, int]:
    file.seek(end - _END_64_PLACE.size)
    _, _, at, disks = _END_64_PLACE.unpack(file.read(_END_64_PLACE.size))
    if disks > 1 or at + _END_64.size > end:
        raise ContainerRefused("zip_malformed")
    file.seek(at)
    mark, _, _, _, disk, first_disk, here, entries, length, offset = _END_64.unpack(file.read(_END_64.size))
    if mark != b"PK\x06\x06" or disk != first_disk or here != entries:
        raise ContainerRefused("zip_malformed")
    return at, entries, length, offset


def _check_entry(number: int, info: zipfile.ZipInfo) -> None:
    name = info.orig_filename
    if info.flag_bits & _ENCRYPTED:
        raise ContainerRefused("zip_encrypted", number)
    if not name.isascii() and not info.flag_bits & _UTF8:
        raise ContainerRefused("zip_name_not_utf8", number)
    if _is_unsafe(name):
        raise ContainerRefused("zip_name_unsafe", number)
    kind = S_IFMT(info.external_attr >> 16)
    if kind not in (0, S_IFREG, S_IFDIR) or (kind == S_IFDIR) > name.endswith("/"):
        raise ContainerRefused("zip_not_a_file", number)
    if name.casefold().endswith(_ARCHIVES):
        raise ContainerRefused("zip_nested", number)
    if info.compress_type not in _METHODS:
        raise ContainerRefused("zip_method_unknown", number)
    if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
        raise ContainerRefused("zip_size_differs", number)
    if info.file_size > RATIO_FROM and info.file_size > RATIO * info.compress_size:
        raise ContainerRefused("zip_bomb", number)
    if name.endswith("/") and info.file_size:
        raise ContainerRefused("zip_not_a_file", number)


def _is_unsafe(name: str) -> bool:
    parts = name.removesuffix("/").split("/")
    return (
        not name
        or len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME
        or "\\" in name
        or any(part in ("", ".", "..") for part in parts)
        or (len(name) > 1 and name[1] == ":")
        or any(unicodedata.category(character)[0] == "C" for character in name)
    )


def _ends(infos: list[zipfile.ZipInfo], directory_at: int) -> dict[int, int]:
    """For each entry by its number: where the next one begins. An entry that reaches further overlaps it."""
    order = sorted(range(len(infos)), key=lambda index: infos[index].header_offset)
    ends: dict[int, int] = {}
    for position, index in enumerate(order):
        info = infos[index]
        end = infos[order[position + 1]].header_offset if position + 1 < len(order) else directory_at
        # The local header has at least its fixed part and the name; how long it really is, is looked at when reading.
        if info.header_offset < 0 or info.header_offset + _LOCAL.size + info.compress_size > end:
            raise ContainerRefused("zip_overlaps", index + 1)
        ends[index + 1] = end
    return ends


def _sorted_out(fingerprint: bytes, infos: list[zipfile.ZipInfo], ends: Mapping[int, int]) -> Container:
    files: dict[str, Entry] = {}
    seen: set[str] = set()
    lists: list[tuple[str, Entry]] = []
    for number, info in enumerate(infos, 1):
        name = same_name(info.orig_filename.removesuffix("/"))
        if name in seen:
            raise ContainerRefused("zip_name_repeated", number)
        seen.add(name)
        if info.is_dir():
            continue
        entry = Entry(
            number, info.header_offset, ends[number], info.compress_size, info.file_size, info.compress_type, info.CRC
        )
        if name in LIST_NAMES:
            lists.append((name, entry))
        else:
            files[name] = entry
    if len(lists) != 1:
        raise ContainerRefused("zip_list_twice" if lists else "zip_list_missing")
    if lists[0][1].size > LIST_BYTES:
        raise ContainerRefused("zip_list_too_large")
    return Container(fingerprint, *lists[0], files=files)


def read_entry(file: Readable, entry: Entry, *, most: int) -> bytes:
    """A whole file of the ZIP.

    Args:
        file: the whole upload.
        entry: which one.
        most: bytes it may have.

    Raises:
        ContainerRefused: it is larger, or not what the table of contents says.
    """
    if entry.size > most:
        raise ContainerRefused("zip_bomb", entry.number)
    return b"".join(stream_entry(file, entry))


def stream_entry(file: Readable, entry: Entry) -> Iterator[bytes]:
    """A file of the ZIP piece by piece; it is known to be right only when all of it has come.

    Raises:
        ContainerRefused: it is not what the table of contents says.
    """
    left, at = entry.packed, _content_at(file, entry)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == zipfile.ZIP_DEFLATED else None
    size = crc = 0
    while left:
        file.seek(at)
        packed = file.read(min(_STEP, left))
        if not packed:
            raise ContainerRefused("zip_malformed", entry.number)
        at, left = at + len(packed), left - len(packed)
        for piece in (packed,) if inflate is None else _inflated(inflate, packed, entry):
            size += len(piece)
            crc = zlib.crc32(piece, crc)
            if size > entry.size:
                raise ContainerRefused("zip_size_differs", entry.number)
            yield piece
    if size != entry.size or (inflate is not None and (not inflate.eof or inflate.unused_data)):
        raise ContainerRefused("zip_size_differs", entry.number)
    if crc != entry.crc:
        raise ContainerRefused("zip_crc_differs", entry.number)


def _inflated(inflate: "zlib._Decompress", packed: bytes, entry: Entry) -> Iterator[bytes]:
    while packed:
        try:
            # Never more than one step at a time, whatever it would burst into.
            piece = inflate.decompress(packed, _STEP)
        except zlib.error:
            raise ContainerRefused("zip_malformed", entry.number) from None
        packed = inflate.unconsumed_tail
        if piece:
            yield piece
        if inflate.eof:
            return


def _content_at(file: Readable, entry: Entry) -> int:
    file.seek(entry.at)
    raw = file.read(_LOCAL.size)
    if len(raw) != _LOCAL.size:
        raise ContainerRefused("zip_malformed", entry.number)
    mark, _, flags, method, _, _, _, _, _, name, extra = _LOCAL.unpack(raw)
    at = entry.at + _LOCAL.size + name + extra
    if mark != b"PK\x03\x04" or method != entry.method or flags & _ENCRYPTED:
        raise ContainerRefused("zip_malformed", entry.number)
    if at + entry.packed > entry.end:
        raise ContainerRefused("zip_overlaps", entry.number)
    return int(at)
