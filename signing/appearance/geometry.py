"""Where things are on a page as it is seen: boxes, turned pages and pages with a unit of their own."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pyhanko.pdf_utils import generic

Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""

_A_QUARTER: Final = 90
_LETTER: Final = (0.0, 0.0, 612.0, 792.0)
_DEEPEST: Final = 64
_TURNS: Final = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


@dataclass(frozen=True, slots=True)
class View:
    """A page as viewers show it: its visible box, turned, in points from the lower left corner of what is seen.

    Attributes:
        box: the visible part, in the page's own units.
        turn: degrees clockwise.
        unit: points per unit of the page.
    """

    box: Box
    turn: int
    unit: float

    @property
    def size(self) -> tuple[float, float]:
        """Width and height as seen, in points."""
        left, bottom, right, top = self.box
        wide, high = (right - left) * self.unit, (top - bottom) * self.unit
        return (high, wide) if self.turn % 180 else (wide, high)

    @property
    def matrix(self) -> tuple[int, int, int, int, int, int]:
        """Turns what is drawn upright so that it is upright as seen."""
        return (*_TURNS[self.turn], 0, 0)

    def to_page(self, seen: Box) -> Box:
        """A box as seen, in the page's own coordinates."""
        return _around(*(self._point(x / self.unit, y / self.unit) for x, y in (seen[:2], seen[2:])))

    def from_page(self, box: Box) -> Box:
        """A box of the page's own coordinates, as seen."""
        points = (self._seen(x, y) for x, y in (box[:2], box[2:]))
        return _around(*((x * self.unit, y * self.unit) for x, y in points))

    def _point(self, x: float, y: float) -> tuple[float, float]:
        left, bottom, right, top = self.box
        return {0: (left + x, bottom + y), 90: (right - y, bottom + x), 180: (right - x, top - y)}.get(
            self.turn, (left + y, top - x)
        )

    def _seen(self, x: float, y: float) -> tuple[float, float]:
        left, bottom, right, top = self.box
        return {0: (x - left, y - bottom), 90: (y - bottom, right - x), 180: (right - x, top - y)}.get(
            self.turn, (top - y, x - left)
        )


def view_of(page: generic.DictionaryObject) -> View:
    """How a page is seen; what is wrong in its entries counts for nothing, as in viewers."""
    media = _box(_inherited(page, "/MediaBox")) or _LETTER
    crop = _box(_inherited(page, "/CropBox")) or media
    left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
    right, top = min(media[2], crop[2]), min(media[3], crop[3])
    if right <= left or top <= bottom:
        # A crop box beside the page counts for nothing, as for poppler. (For pdfium there is no page: nothing is put.)
        left, bottom, right, top = media
    turn = _inherited(page, "/Rotate")
    turn = int(turn) % 360 if isinstance(turn, int | float | Decimal) else 0
    if turn % _A_QUARTER:
        turn = 0
    unit = entry(page, "/UserUnit")
    unit = float(unit) if isinstance(unit, int | float | Decimal) and unit > 0 else 1.0
    return View((left, bottom, right, top), turn, unit)


def page_reference(tree: generic.DictionaryObject, index: int) -> generic.IndirectObject | None:
    """A page by its index from 0, without reading those before it where the tree says how many there are.

    Returns:
        None where the tree isn't plain enough for that.
    """
    node = tree
    for _ in range(_DEEPEST):
        kids, count = entry(node, "/Kids"), entry(node, "/Count")
        if not isinstance(kids, generic.ArrayObject):
            return None
        if len(kids) == count and index < len(kids):
            found = kids.raw_get(index)
        else:
            index, found = _with_page(kids, index)
        if not isinstance(found, generic.IndirectObject):
            return None
        node = found.get_object()
        if not isinstance(node, generic.DictionaryObject) or entry(node, "/Type") == "/Page":
            return found
        if len(kids) == count:
            return None
    return None


def _with_page(kids: generic.ArrayObject, index: int) -> tuple[int, Any]:
    """The child in which the page is, and the page's index in there."""
    for kid in kids:
        node = kid.get_object()
        inside = entry(node, "/Count") if entry(node, "/Type") == "/Pages" else 1
        if index < inside:
            return index, kid
        index -= inside
    return index, None


def taken(page: generic.DictionaryObject) -> Iterator[Box]:
    """The boxes of the page's annotations, in its own coordinates: an empty field is nothing to see, and taken."""
    for each in entry(page, "/Annots") or ():
        annotation = each.get_object()
        if isinstance(annotation, generic.DictionaryObject) and entry(annotation, "/Subtype") != "/Popup":
            box = rectangle(annotation)
            if box is not None:
                yield box


def rectangle(annotation: generic.DictionaryObject) -> Box | None:
    """An annotation's box, or None when it has no size."""
    return _box(entry(annotation, "/Rect"))


def entry(dictionary: generic.DictionaryObject, key: str) -> Any:
    """The value of ``key`` with references followed, or None (``get`` would hand out the reference itself)."""
    return dictionary.get_and_apply(key, lambda value: value)


def _box(value: Any) -> Box | None:
    if not isinstance(value, generic.ArrayObject) or len(value) != len(_LETTER):
        return None
    corners = [each.get_object() for each in value]
    if not all(isinstance(corner, int | float | Decimal) for corner in corners):
        return None
    corners = [float(corner) for corner in corners]
    box = _around((corners[0], corners[1]), (corners[2], corners[3]))
    return box if box[0] < box[2] and box[1] < box[3] else None


def _around(first: tuple[float, float], second: tuple[float, float]) -> Box:
    return (
        min(first[0], second[0]),
        min(first[1], second[1]),
        max(first[0], second[0]),
        max(first[1], second[1]),
    )


def _inherited(page: generic.DictionaryObject, key: str) -> Any:
    node: Any = page
    for _ in range(_DEEPEST):
        if key in node:
            return node[key]
        if "/Parent" not in node:
            return None
        node = node["/Parent"]
    return None
