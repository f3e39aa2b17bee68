"""The text that the window of an envelope shows of a page, printed in ink or not."""

from dataclasses import dataclass
from typing import Final

import pypdfium2

from printing.profiles import MM, Box, Profile

Corners = tuple[float, float, float, float]
"""Left, bottom, right, top in points, as PDF has them."""

_SAME_LINE: Final = 0.5
"""Two pieces of text are one line when this share of the lower one's height is common to both."""
_EDGE: Final = 0.2  # mm: what a glyph's box may lie beyond the window and still be in it


@dataclass(frozen=True)
class Seen:
    """What stands in the window and around it.

    Attributes:
        lines: inside the window, from top to bottom.
        boxes: of the pieces of text that they are made of.
        beside: of the text that lies in what may come into the window, and not, or not wholly, in the window.
    """

    lines: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()
    beside: tuple[Box, ...] = ()


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
        lines = tuple(_text(textpage, line) for line in _lines(inside))
    finally:
        textpage.close()
    return Seen(lines, tuple(_box(corners, width, height) for corners in inside), tuple(beside))


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
