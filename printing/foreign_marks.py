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
_LINE: Final = 2 * _CELL  # a line of words that happens to be dark is not higher than this
_HIGH: Final = 16  # rows of pixels: no code is lower, and a line of words is, up to 16 points
_BLANK: Final = 250  # the mean grey of a row between lines is lighter than this; one stroke of a letter is enough
_BESIDE_LINE: Final = 4 * GRID
_AREA: Final = 2 * _CELL  # areas in which edges are counted
_EDGES: Final = 8  # from pixel to pixel codes differ by more than this part of their contrast, pictures by far less
_BLACK: Final = 120  # the thinnest bars are three quarters of a pixel wide, and no code has thin ones alone
_CONTRAST: Final = 90
_FINE: Final = (8, 12)  # pixels in a millimetre, tried in turn: the narrowest bars are a quarter of one wide
_QUIET: Final = 12  # mm around dark cells that belong to a code: its quiet zone, and ends of bars that have wide gaps
_BESIDE: Final = 10  # mm beside the sheet code's own column where a reader may look too
_FORMATS: Final = "DataMatrix,Code128"

_INKED: Final = re.compile(rb"[\x00-\x%02x]+" % (_BLANK - 1))
_DARKENED: Final = re.compile(rb"[\x00-\x%02x]+" % (_DARK - 1))
_MARKS: Final = re.compile(
    r"VL[0-9]+\|.*"  # the code of a sheet
    r"|JJ[A-Z]{3}[0-9]{9,}"  # the post's Mail ID and its registered items
    r"|(\(01\)|01)[0-9]{14}(\(21\)|21)[0-9]{12,}"  # a registered item of a national post as GS1-128
    r"|[A-Z]{2}[0-9]{9}[A-Z]{2}"  # UPU S10
)


def foreign_marks(
    page: pypdfium2.PdfPage,
    picture: Image.Image,
    profile: Profile,
    own: Collection[str] = (),
    own_place: Box | None = None,
) -> tuple[Box, ...]:
    """Boxes of the codes of a page that read as a sheet's or an item's mark, or stand where a reader looks for one.

    Only what is dark enough for a code is drawn finely and read: pages of text cost nothing.

    Args:
        page: of the profile's size.
        picture: as `ink.render` gives it.
        profile: of the print house.
        own: what codes of ours say that stand there rightly.
        own_place: where we alone have drawn, and no mark but those; it need not be searched.
    """
    found = []
    # Kept no longer than a page is looked at: the library complains of what lives to the end of the process.
    formats = zxingcpp.barcode_formats_from_str(_FORMATS)
    for area in _apart(_dark_places(picture, own_place)):
        for grid in _FINE:
            codes = zxingcpp.read_barcodes(render(page, profile, grid=grid, part=area), formats=formats)
            for code in codes:
                box = _box(code.position, area, grid)
                if code.text not in own and (_MARKS.fullmatch(code.text) or _is_read(box, profile)):
                    found.append(box)
            if codes:
                break
    return tuple(dict.fromkeys(found))


def is_read_at_an_edge(profile: Profile) -> bool:
    """Whether readers look along the edge of a page, so that what stands elsewhere never comes there by being reduced.

    Being made smaller moves everything towards the middle.
    """
    return profile.code_zone.left <= _BESIDE or profile.code_zone.right >= profile.page.width - _BESIDE


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


def _dark_places(picture: Image.Image, own_place: Box | None) -> Iterator[Pixels]:
    cells = picture.reduce(_CELL).point([255 if grey < _DARK else 0 for grey in range(256)])
    width, height = cells.size
    squares = cells.crop((0, 0, width - 1, height - 1))
    for right, down in ((1, 0), (0, 1), (1, 1)):
        neighbours = cells.crop((right, down, width - 1 + right, height - 1 + down))
        squares = ImageChops.darker(squares, neighbours)
    if (dark := squares.getbbox()) is not None:
        x, y = dark[:2]
        for left, top, right, bottom in touching(squares.crop(dark)):
            place = ((x + left) * _CELL, (y + top) * _CELL, (x + right + 1) * _CELL, (y + bottom + 1) * _CELL)
            if own_place is not None and Box(*(edge / GRID for edge in place)).within(own_place):
                continue
            if _is_high(picture, place) and _has_edges(picture.crop(place)):
                yield place


def _is_high(picture: Image.Image, place: Pixels) -> bool:
    """Whether a place is more than a line of words, which has white above and below it."""
    left, top, right, bottom = place
    if bottom - top > _LINE:
        return True
    strip = picture.crop((left, max(0, top - _BESIDE_LINE), right, min(picture.height, bottom + _BESIDE_LINE)))
    rows = strip.reduce((strip.width, 1)).tobytes()
    # Bars that lie on their side have white between them, and no white beside them.
    columns = picture.crop(place).reduce((1, bottom - top)).tobytes()
    return _longest(_INKED, rows) >= _HIGH or _longest(_DARKENED, columns) >= _HIGH


def _longest(kind: re.Pattern[bytes], greys: bytes) -> int:
    return max(map(len, kind.findall(greys)), default=0)


def _has_edges(part: Image.Image) -> bool:
    """Whether black alternates with white as machines need it; in logos and photographs neighbours are much alike."""
    darkest, lightest = extremes(part)
    if darkest >= _BLACK or lightest - darkest <= _CONTRAST:
        return False
    width, height = part.size
    across = ImageChops.difference(part.crop((1, 0, width, height)), part.crop((0, 0, width - 1, height)))
    down = ImageChops.difference(part.crop((0, 1, width, height)), part.crop((0, 0, width, height - 1)))
    # In areas, since a code may lie in a picture; none of them so small that the picture's own edge fills it.
    areas = (max(1, width // _AREA), max(1, height // _AREA))
    most = max(extremes(each.resize(areas, Image.Resampling.BOX))[1] for each in (across, down))
    return most > (lightest - darkest) / _EDGES


def _box(position: zxingcpp.Position, area: Box, grid: int) -> Box:
    corners = (position.top_left, position.top_right, position.bottom_left, position.bottom_right)
    across = [area.left + corner.x / grid for corner in corners]
    down = [area.top + corner.y / grid for corner in corners]
    return Box(*(max(0.0, round(edge, 1)) for edge in (min(across), min(down), max(across), max(down))))


def _is_read(box: Box, profile: Profile) -> bool:
    return box.left < profile.code_zone.right + _BESIDE and box.right > profile.code_zone.left - _BESIDE
