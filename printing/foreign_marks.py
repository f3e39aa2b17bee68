"""Codes in a document that machines would take for marks of the print house or the post."""

import re
from collections.abc import Collection, Iterator
from typing import Final

import pypdfium2
import zxingcpp
from PIL import Image, ImageChops

from printing.ink import GRID, Pixels, extremes, render, touching
from printing.profiles import Box, Profile, around

_CELL: Final = 2 * GRID  # a code is at least three cells wide and high, so that four cells in a square lie in it wholly
_DARK: Final = 190  # the mean grey of a code is about half of black, and of lines of text far above this
_CELLS: Final = 6  # codes have more, which may lie in pieces; words that happen to be dark have four
_BLACK: Final = 120  # the thinnest bars are three quarters of a pixel wide, and no code has thin ones alone
_CONTRAST: Final = 90
_FINE: Final = 8  # pixels in a millimetre: the narrowest bars are a quarter of one wide
_QUIET: Final = 6  # mm around dark cells that belong to a code: its quiet zone and half cells
_BESIDE: Final = 10  # mm beside the sheet code's own column where a reader may look too
_FORMATS: Final = "DataMatrix,Code128"

_MARKS: Final = re.compile(
    r"VL[0-9]+\|.*"  # the code of a sheet
    r"|JJ[A-Z]{3}[0-9]{9,}"  # the post's Mail ID and its registered items
    r"|(\(01\)|01)[0-9]{14}(\(21\)|21)[0-9]{12,}"  # a registered item of a national post as GS1-128
    r"|[A-Z]{2}[0-9]{9}[A-Z]{2}"  # UPU S10
)


def foreign_marks(
    page: pypdfium2.PdfPage, picture: Image.Image, profile: Profile, own: Collection[str] = ()
) -> tuple[Box, ...]:
    """Boxes of the codes of a page that read as a sheet's or an item's mark, or stand where a reader looks for one.

    Only what is dark enough for a code is drawn finely and read: pages of text cost nothing.

    Args:
        page: of the profile's size.
        picture: as `ink.render` gives it.
        profile: of the print house.
        own: what codes of ours say that stand there rightly.
    """
    found = []
    # Kept no longer than a page is looked at: the library complains of what lives to the end of the process.
    formats = zxingcpp.barcode_formats_from_str(_FORMATS)
    for area in _apart(_dark_places(picture)):
        fine = render(page, profile, grid=_FINE, part=area)
        for code in zxingcpp.read_barcodes(fine, formats=formats):
            box = _box(code.position, area)
            if code.text not in own and (_MARKS.fullmatch(code.text) or _is_read(box, profile)):
                found.append(box)
    return tuple(dict.fromkeys(found))


def _apart(places: Iterator[Pixels]) -> list[Box]:
    """The places with their quiet zones, those that overlap taken together."""
    areas: list[Box] = []
    for place in places:
        left, top, right, bottom = (edge / GRID for edge in place)
        area = Box(max(0.0, left - _QUIET), max(0.0, top - _QUIET), right + _QUIET, bottom + _QUIET)
        while meeting := [each for each in areas if each.meets(area)]:
            areas = [each for each in areas if each not in meeting]
            area = around([area, *meeting])
        areas.append(area)
    return areas


def _dark_places(picture: Image.Image) -> Iterator[Pixels]:
    cells = picture.reduce(_CELL).point([255 if grey < _DARK else 0 for grey in range(256)])
    width, height = cells.size
    squares = cells.crop((0, 0, width - 1, height - 1))
    for right, down in ((1, 0), (0, 1), (1, 1)):
        neighbours = cells.crop((right, down, width - 1 + right, height - 1 + down))
        squares = ImageChops.darker(squares, neighbours)
    if squares.getbbox() is not None:
        for left, top, right, bottom in touching(squares):
            if (right + 1 - left) * (bottom + 1 - top) < _CELLS:
                continue
            place = (left * _CELL, top * _CELL, (right + 1) * _CELL, (bottom + 1) * _CELL)
            darkest, lightest = extremes(picture.crop(place))
            # Whatever machines read is black beside white; most logos and photographs of letters are paler.
            if darkest < _BLACK and lightest - darkest > _CONTRAST:
                yield place


def _box(position: zxingcpp.Position, area: Box) -> Box:
    corners = (position.top_left, position.top_right, position.bottom_left, position.bottom_right)
    across = [area.left + corner.x / _FINE for corner in corners]
    down = [area.top + corner.y / _FINE for corner in corners]
    return Box(*(max(0.0, round(edge, 1)) for edge in (min(across), min(down), max(across), max(down))))


def _is_read(box: Box, profile: Profile) -> bool:
    return box.left < profile.code_zone.right + _BESIDE and box.right > profile.code_zone.left - _BESIDE
