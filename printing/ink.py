"""Ink where none may be: pages rendered by pdfium and looked at, three pixels to the millimetre.

That grid (76.2 dpi) has an edge of pixels at every whole millimetre, where profiles have theirs. pdfium rounds the
edges of what it draws to pixels, so a finding is right to a third of a millimetre.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import pypdfium2
from PIL import Image
from pypdfium2 import raw as pdfium

from printing.errors import Problem
from printing.profiles import Box, Profile
from printing.sentences import problem
from printing.zones import First, Zone, inked_area, zones

GRID: Final = 3
"""Pixels in a millimetre."""
MOST_BOXES: Final = 20
"""More boxes of one problem tell nobody more; they are taken together then."""

_PRINTED: Final = pdfium.FPDF_ANNOT | pdfium.FPDF_GRAYSCALE | pdfium.FPDF_PRINTING
_NEAR: Final = 2 * GRID  # ink nearer than this to other ink is one piece
_RUN: Final = re.compile(rb"[^\x00]+")

Pixels = tuple[int, int, int, int]


def check_page(
    page: pypdfium2.PdfPage, profile: Profile, *, number: int = 1, front: bool = True, first: First = First.BEHIND
) -> tuple[Problem, ...]:
    """Problems of one page's ink: ``INK_OUTSIDE``, ``CODE_ZONE``, ``WINDOW_INK``, each with its boxes.

    Args:
        page: as it is printed: of the profile's size, upright.
        profile: of the print house.
        number: of the page, for the problems.
        front: whether it is printed on a front.
        first: what the window shows of it.
    """
    places = zones(profile, front=front, first=first)
    return check_picture(render(page, profile), profile, number=number, zones_of_page=places)


def render(page: pypdfium2.PdfPage, profile: Profile, *, grid: int = GRID, part: Box | None = None) -> Image.Image:
    """The page in grey as it is printed, `grid` pixels to the millimetre; or only a part of it."""
    size = profile.page
    part = Box(0, 0, size.width, size.height) if part is None else part
    left, top = round(part.left * grid), round(part.top * grid)
    width = round(min(part.right, size.width) * grid) - left
    height = round(min(part.bottom, size.height) * grid) - top
    bitmap = pypdfium2.PdfBitmap.new_native(width, height, pdfium.FPDFBitmap_Gray)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    whole = round(size.width * grid), round(size.height * grid)
    pdfium.FPDF_RenderPageBitmap(bitmap.raw, page.raw, -left, -top, *whole, 0, _PRINTED)
    picture: Image.Image = bitmap.to_pil()
    return picture


def check_picture(
    picture: Image.Image, profile: Profile, *, number: int, zones_of_page: Sequence[Zone]
) -> tuple[Problem, ...]:
    """`check_page` for a page that is rendered already."""
    found = [("INK_OUTSIDE", _outside(picture, profile))]
    found += [(zone.code, _inside(picture, zone, profile)) for zone in zones_of_page]
    return tuple(problem(code, number, boxes) for code, boxes in found if boxes)


def _outside(picture: Image.Image, profile: Profile) -> tuple[Box, ...]:
    left, top, right, bottom = _pixels(inked_area(profile))
    width, height = picture.size
    strips = ((0, 0, width, top), (0, bottom, width, height), (0, top, left, bottom), (right, top, width, bottom))
    if not any(_has_ink(picture, strip, profile) for strip in strips):
        return ()
    mask = _ink(picture, profile)
    mask.paste(0, (left, top, right, bottom))
    return pieces(mask, (0, 0))


def _inside(picture: Image.Image, zone: Zone, profile: Profile) -> tuple[Box, ...]:
    area = _pixels(zone.box)
    if not _has_ink(picture, area, profile):
        return ()
    mask = _ink(picture.crop(area), profile)
    for allowed in zone.except_for:
        left, top, right, bottom = _pixels(allowed)
        mask.paste(0, (left - area[0], top - area[1], right - area[0], bottom - area[1]))
    return pieces(mask, area[:2])


def _pixels(box: Box) -> Pixels:
    return (round(box.left * GRID), round(box.top * GRID), round(box.right * GRID), round(box.bottom * GRID))


def _has_ink(picture: Image.Image, area: Pixels, profile: Profile) -> bool:
    if area[0] >= area[2] or area[1] >= area[3]:
        return False
    return extremes(picture.crop(area))[0] < profile.rules.darkest


def extremes(picture: Image.Image) -> tuple[float, float]:
    """The darkest and the lightest grey of a picture of one band."""
    found: tuple[float, float] = picture.getextrema()  # type: ignore[assignment]  # of one band it is one pair
    return found


def _ink(picture: Image.Image, profile: Profile) -> Image.Image:
    paper = profile.rules.darkest
    return picture.point([255 if grey < paper else 0 for grey in range(256)])


def pieces(mask: Image.Image, corner: tuple[int, int]) -> tuple[Box, ...]:
    """The pieces of ink in a mask (0 for paper), as boxes in mm; pieces near one another are one.

    Args:
        mask: in the grid of `render`.
        corner: where it lies on the page, in pixels.
    """
    found = list(_pieces(mask))
    x, y = corner
    return tuple(
        Box(*(round(edge / GRID, 1) for edge in (left + x, top + y, right + x, bottom + y)))
        for left, top, right, bottom in sorted(found, key=lambda box: (box[1], box[0]))
    )


def gathered(boxes: Sequence[Box], profile: Profile, within: Box | None = None) -> tuple[Box, ...]:
    """Boxes of whatever was found otherwise than by its ink, cut off at an area and taken together as `pieces` does."""
    width, height = round(profile.page.width * GRID), round(profile.page.height * GRID)
    mask = Image.new("L", (width, height), 0)
    for box in boxes:
        left, top, right, bottom = _pixels(box)
        if within is not None:
            edges = _pixels(within)
            left, top, right, bottom = (
                max(left, edges[0]),
                max(top, edges[1]),
                min(right, edges[2]),
                min(bottom, edges[3]),
            )
        # What is thinner than a pixel is there all the same.
        mask.paste(255, (left, top, max(right, left + 1), max(bottom, top + 1)))
    return pieces(mask, (0, 0))


def _pieces(mask: Image.Image) -> Iterator[Pixels]:
    """Boxes of the ink, found on a grid of cells so coarse that they are few, then drawn tight."""
    whole = mask.getbbox()
    if whole is None:
        return
    near, cells = _NEAR, _coarser(mask.crop(whole), _NEAR)
    while len(found := touching(cells)) > MOST_BOXES:
        near, cells = near * 2, _coarser(cells, 2)
    for left, top, right, bottom in found:
        area = (
            whole[0] + left * near,
            whole[1] + top * near,
            min(whole[0] + right * near, whole[2]),
            min(whole[1] + bottom * near, whole[3]),
        )
        tight = mask.crop(area).getbbox()
        assert tight is not None, "a cell with ink has ink"
        yield (area[0] + tight[0], area[1] + tight[1], area[0] + tight[2], area[1] + tight[3])


def _coarser(cells: Image.Image, times: int) -> Image.Image:
    """One cell for so many in each direction, inked where one of them is."""
    return cells.reduce(times).point([0, *[255] * 255])


def touching(cells: Image.Image) -> list[Pixels]:
    """Boxes around the cells that touch one another, also at corners."""
    width, height = cells.size
    rows = cells.tobytes()
    done: list[Pixels] = []
    growing: list[tuple[list[tuple[int, int]], Pixels]] = []
    for y in range(height):
        runs = [match.span() for match in _RUN.finditer(rows[y * width : (y + 1) * width])]
        joined: list[tuple[list[tuple[int, int]], Pixels]] = [([run], (run[0], y, run[1], y + 1)) for run in runs]
        for ends, box in growing:
            meeting = [each for each in joined if _meet(ends, each[0])]
            if not meeting:
                done.append(box)
                continue
            joined = [each for each in joined if each not in meeting]
            joined.append(
                (
                    [run for each in meeting for run in each[0]],
                    _around([box, *(each[1] for each in meeting)]),
                )
            )
        growing = joined
    return [*done, *(box for _, box in growing)]


def _meet(above: Sequence[tuple[int, int]], below: Sequence[tuple[int, int]]) -> bool:
    return any(one[0] <= other[1] and other[0] <= one[1] for one in above for other in below)


def _around(boxes: Sequence[Pixels]) -> Pixels:
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )
