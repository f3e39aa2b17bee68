"""How large a picture is by its own words: its format says it again, and that is what decoders believe."""

from collections.abc import Iterator
from typing import Final

from pikepdf import Array, Dictionary, Stream

from service.inspection.packing import beginning

_WINDOW: Final = 64 * 1024
"""Bytes of a picture that are looked at; sizes stand at its beginning, behind a profile or a preview at most."""

_JPEG_START: Final = b"\xff\xd8"
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers that begin a frame header (ITU-T T.81, table B.1)."""
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length."""
_MARK: Final = 0xFF
_FRAME_BYTES: Final = 9

_JPEG_2000_SIZE: Final = b"\xff\x4f\xff\x51"
"""Start of codestream and image size, which always follows at once (ITU-T T.800, A.5.1)."""
_JPEG_2000_BYTES: Final = 16

_PAGE: Final = 48
_REGIONS: Final = frozenset({4, 6, 7, 20, 22, 23, 36, 38, 39, 40, 42, 43})
"""Types of segments whose data begin with width and height (ITU-T T.88, 7.3, 7.4.1)."""
_UNKNOWN: Final = 0xFFFFFFFF
_MANY: Final = 7
_NUMBERS: Final = ((256, 1), (65_536, 2), (_UNKNOWN, 4))
"""Bytes of a number of a segment that is referred to, by the number of the one that refers (7.2.5)."""

_FAX_COLUMNS: Final = 1728


def coded_pixels(stream: Stream, filters: list[str], height: float) -> float:
    """Pixels that an image's own format says it has; 0 when it says nothing that can be read.

    `height` is the one its dictionary gives, which a fax without rows takes.
    """
    kind = filters[-1] if filters else ""
    if kind in {"/CCITTFaxDecode", "/CCF"}:
        return _fax(stream, height)
    if kind in {"/DCTDecode", "/DCT"}:
        # A profile or a preview in front of the frame may be long, so the whole of it is looked at where that is free.
        return _jpeg(memoryview(beginning(stream, filters, 16 * _WINDOW)))
    if kind == "/JPXDecode":
        return _jpeg_2000(beginning(stream, filters, _WINDOW))
    if kind == "/JBIG2Decode":
        return max(_jbig2(beginning(stream, filters, _WINDOW)), default=0)
    return 0


def _fax(stream: Stream, height: float) -> float:
    parameters = stream.stream_dict.get("/DecodeParms")
    if isinstance(parameters, Array) and len(parameters) > 0:
        parameters = parameters[-1]
    if not isinstance(parameters, Dictionary):
        return 0
    columns, rows = parameters.get("/Columns", _FAX_COLUMNS), parameters.get("/Rows", 0)
    if not isinstance(columns, int) or not isinstance(rows, int):
        return 0
    return abs(columns) * max(abs(rows), height)


def _jpeg(data: memoryview) -> int:
    if bytes(data[:2]) != _JPEG_START:
        return 0
    at = 2
    while at + _FRAME_BYTES <= len(data):
        mark, kind = data[at], data[at + 1]
        if mark != _MARK:
            return 0
        if kind == _MARK:
            at += 1  # marks may be preceded by any number of these
        elif kind in _ALONE:
            at += 2
        elif kind in _FRAMES:
            return int.from_bytes(data[at + 5 : at + 7], "big") * int.from_bytes(data[at + 7 : at + 9], "big")
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return 0


def _jpeg_2000(data: bytes) -> int:
    at = data.find(_JPEG_2000_SIZE)
    if at < 0 or at + _JPEG_2000_BYTES > len(data):
        return 0
    return _two_numbers(data, at + 8)


def _two_numbers(data: bytes, at: int) -> int:
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (at, at + 4))
    # A JBIG2 page may leave its height open until its end.
    return 0 if height == _UNKNOWN else width * height


def _jbig2(data: bytes) -> Iterator[int]:
    """The sizes of page and regions, segment by segment (ITU-T T.88, 7.2)."""
    at = 0
    while at + 11 <= len(data):
        number, flags, count = int.from_bytes(data[at : at + 4], "big"), data[at + 4], data[at + 5] >> 5
        at += 6
        if count == _MANY:
            count = int.from_bytes(data[at - 1 : at + 3], "big") & 0x1FFFFFFF
            at += 3 + (count + 8) // 8
        at += count * next(size for most, size in _NUMBERS if number <= most) + (4 if flags & 0x40 else 1)
        length = int.from_bytes(data[at : at + 4], "big")
        at += 4
        if flags & 0x3F in {_PAGE, *_REGIONS}:
            yield _two_numbers(data, at)
        at += length
