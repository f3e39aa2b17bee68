"""The text that the window of an envelope shows of a page, printed in ink or not."""

import ctypes
import math
import re
from dataclasses import dataclass
from typing import Final

import pypdfium2
from pypdfium2 import raw as pdfium

from printing.profiles import MM, Box, Profile

Corners = tuple[float, float, float, float]
"""Left, bottom, right, top in points, as PDF has them."""

_SAME_LINE: Final = 0.5
"""Two pieces of text are one line when this share of the lower one's height is common to both."""
_EDGE: Final = 0.2  # mm: what a glyph's box may lie beyond the window and still be in it
_INDENT: Final = 1.0  # mm: letters begin at little distances of their own
_ROUNDING: Final = 0.25  # points
_NAME: Final = 256  # bytes of a font's name
_NOT_PLAIN: Final = 1 << 1 | 1 << 3 | 1 << 6 | 1 << 18  # flags of a font's descriptor: serif, script, italic, bold
_NOT_PLAIN_NAME: Final = re.compile(rb"bold|italic|oblique|black", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """What stands in the window and around it.

    Attributes:
        lines: inside the window, from top to bottom.
        boxes: of the pieces of text that they are made of.
        beside: of the text that lies in what may come into the window, and not, or not wholly, in the window.
        odd: of what of the lines is set otherwise than machines read best, as far as the file says: in a plain face
            without serifs, of the profile's sizes, all beginning at one edge.
    """

    lines: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    beside: tuple[Box, ...] = ()
    odd: tuple[Box, ...] = ()


def look(page: pypdfium2.PdfPage, profile: Profile) -> Seen:
    """Read the text in the window of a page that is of the profile's size; white and unseen text is text too."""
    inside: list[Corners] = []
    beside: list[Box] = []
    width, height = page.get_size()
    textpage = page.get_textpage()
    try:
        for index in range(textpage.count_rects()):
            corners: Corners = textpage.get_rect(index)
            box = _box(corners, width, height)
            if not box.meets(profile.window_reach) or not _text(textpage, corners):
                continue
            if box.within(_wider(profile.window)):
                inside.append(corners)
            else:
                beside.append(box)
        # A line's own text is asked for as a whole: pieces end where letters are kerned, too.
        rows = _lines(inside)
        lines = tuple(_text(textpage, row) for row in rows)
        edge = min((row[0] for row in rows), default=0.0)
        odd = [row for row in rows if row[0] - edge > _INDENT * MM]
        odd += [piece for piece in inside if not _is_plain(textpage, piece, profile)]
    finally:
        textpage.close()
    return Seen(
        lines,
        tuple(_box(corners, width, height) for corners in inside),
        tuple(beside),
        tuple(dict.fromkeys(_box(corners, width, height) for corners in odd)),
    )


def _is_plain(textpage: pypdfium2.PdfTextPage, piece: Corners, profile: Profile) -> bool:
    """Whether a piece of text, which is of one font, is set as an address should be."""
    left, bottom, right, top = piece
    index = textpage.get_index((left + right) / 2, (bottom + top) / 2, right - left, top - bottom)
    if index is None:
        return True
    matrix, name, flags = pdfium.FS_MATRIX(), ctypes.create_string_buffer(_NAME), ctypes.c_int()
    pdfium.FPDFText_GetMatrix(textpage.raw, index, matrix)
    size = pdfium.FPDFText_GetFontSize(textpage.raw, index) * math.hypot(matrix.c, matrix.d)
    pdfium.FPDFText_GetFontInfo(textpage.raw, index, name, _NAME, flags)
    sizes = profile.address.sizes
    return (
        min(sizes) - _ROUNDING <= size <= max(sizes) + _ROUNDING
        and not flags.value & _NOT_PLAIN
        and not _NOT_PLAIN_NAME.search(name.value)
    )


def _text(textpage: pypdfium2.PdfTextPage, corners: Corners) -> str:
    return " ".join(textpage.get_text_bounded(*corners).split())


def _box(corners: Corners, width: float, height: float) -> Box:
    left, bottom, right, top = corners
    edges = (max(0.0, left), max(0.0, height - top), min(width, right), min(height, height - bottom))
    return Box(*(round(edge / MM, 1) for edge in edges))


def _wider(box: Box) -> Box:
    return Box(box.left - _EDGE, box.top - _EDGE, box.right + _EDGE, box.bottom + _EDGE)


def _lines(pieces: list[Corners]) -> list[Corners]:
    """The pieces taken together to lines, from top to bottom."""
    lines: list[Corners] = []
    for piece in sorted(pieces, key=lambda corners: -(corners[1] + corners[3])):
        if not lines or not _is_same(lines[-1], piece):
            lines.append(piece)
            continue
        line = lines[-1]
        lines[-1] = (min(line[0], piece[0]), min(line[1], piece[1]), max(line[2], piece[2]), max(line[3], piece[3]))
    return lines


def _is_same(line: Corners, piece: Corners) -> bool:
    common = min(line[3], piece[3]) - max(line[1], piece[1])
    return common >= _SAME_LINE * min(line[3] - line[1], piece[3] - piece[1])
