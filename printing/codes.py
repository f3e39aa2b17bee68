"""The codes that machines read on a letter: what they say, and how they are drawn (as paths, one for each code)."""

import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import zxingcpp

from printing.profiles import MM, Box

MODULES: Final = 22
"""Modules of a side of the sheet code; the payload always has the length that DataMatrix ECC 200 puts into 22 × 22."""

_PAYLOAD: Final = re.compile(r"VL1\|([0-9]{12})\|([0-9]{3})\|([0-9]{3})\|([0-9]{8})\|([SD])\|([CB])")
_RUN: Final = re.compile(rb"\0+")
_MOST_SHEETS: Final = 999
_MOST_SEQUENCE: Final = 99_999_999
_SET_DIGITS: Final = 12


@dataclass(frozen=True)
class SheetCode:
    """What the code on the front of a sheet says to the inserter.

    Attributes:
        set: twelve digits, one number per envelope and attempt: sheets of one set go into one envelope.
        sheet: counted from 1.
        of: the sheets of the envelope: of a letter, or of all that share it.
        sequence: the envelope's place in its run, so that a missing one is noticed.
    """

    set: str
    sheet: int
    of: int
    sequence: int
    duplex: bool
    colour: bool

    def __post_init__(self) -> None:
        """Refuse what the payload has no room for.

        Raises:
            ValueError: a number does not fit.
        """
        fits = 1 <= self.sheet <= self.of <= _MOST_SHEETS and 0 <= self.sequence <= _MOST_SEQUENCE
        if not (fits and len(self.set) == _SET_DIGITS and self.set.isascii() and self.set.isdigit()):
            raise ValueError("a sheet code has 12 digits of set, at most 999 sheets and 8 digits of sequence")

    @property
    def payload(self) -> str:
        """``VL1|set|sheet|of|sequence|S or D|C or B``."""
        sides, ink = "D" if self.duplex else "S", "C" if self.colour else "B"
        return f"VL1|{self.set}|{self.sheet:03}|{self.of:03}|{self.sequence:08}|{sides}|{ink}"


def read_payload(text: str) -> SheetCode | None:
    """What a scanned code says, or None when it is no sheet code."""
    found = _PAYLOAD.fullmatch(text)
    if found is None:
        return None
    number, sheet, of, sequence, sides, ink = found.groups()
    try:
        return SheetCode(number, int(sheet), int(of), int(sequence), duplex=sides == "D", colour=ink == "C")
    except ValueError:
        return None


def draw_sheet_code(payload: str, zone: Box, page_height: float) -> bytes:
    """The content that paints the code into the zone: one path, its modules a 22nd of the zone's width.

    It begins in a fresh graphics state: black, and points from the bottom left.
    """
    code = zxingcpp.create_barcode(payload, zxingcpp.BarcodeFormat.DataMatrix)
    dots, width = _picture(code)
    if (width, len(dots)) != (MODULES, MODULES * MODULES):
        raise ValueError("the payload of a sheet code does not fit its size")
    module = zone.width / MODULES * MM
    return _squares(dots, width, module, zone.left * MM, (page_height - zone.top) * MM)


def draw_qr(text: str, left: float, top: float, size: float, page_height: float) -> bytes:
    """The content that paints a QR code of the text, ``size`` mm wide, with the middle level of error correction."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    dots, width = _picture(code)
    return _squares(dots, width, size / width * MM, left * MM, (page_height - top) * MM)


def _squares(dots: bytes, width: int, module: float, left: float, top: float) -> bytes:
    runs = [
        b"%d %d %d 1 re" % (run.start(), row, run.end() - run.start())
        for row in range(len(dots) // width)
        for run in _RUN.finditer(dots[row * width : (row + 1) * width])
    ]
    return b"%.4f 0 0 %.4f %.4f %.4f cm " % (module, -module, left, top) + b" ".join(runs) + b" f"


@dataclass(frozen=True)
class Bars:
    """A Code 128 as widths in modules: where each bar begins and how wide it is, and the whole without quiet zones."""

    bars: tuple[tuple[int, int], ...]
    modules: int


@lru_cache(maxsize=256)
def bars_of(text: str, *, gs1: bool) -> Bars:
    """Code 128 of the text; with ``gs1`` a GS1-128 whose application identifiers stand in parentheses."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.Code128, gs1=gs1)
    dots, width = _picture(code)
    return Bars(tuple((run.start(), run.end() - run.start()) for run in _RUN.finditer(dots[:width])), width)


def _picture(code: zxingcpp.Barcode) -> tuple[bytes, int]:
    """A byte per module, 0 for black, line by line, and how many make a line."""
    picture = memoryview(code.to_image(scale=1, add_quiet_zones=False))  # type: ignore[arg-type]  # it is a buffer
    assert picture.shape is not None
    return bytes(picture), picture.shape[1]


def packed(content: bytes) -> bytes:
    """A content stream as an object of a PDF."""
    data = zlib.compress(content, 9)
    return b"<< /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (len(data), data)
