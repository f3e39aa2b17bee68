"""Where a visible seal goes: by rule, and never over what can be seen."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its constructors without.

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import IO, Any, Final

import pypdfium2
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.form_tools import get_single_field_annot
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfReadError
from pyhanko.sign.fields import enumerate_sig_fields

from signing.appearance.geometry import Box, View, entry, rectangle, taken, view_of
from signing.appearance.panel import Panel, Variant
from signing.appearance.room import SCALE, Corner, Ink, look
from signing.errors import FieldUnusable

__all__ = ["Corner", "InCorner", "InField", "InRectangle", "Place", "Reason", "Seat", "find"]

Look = Callable[[IO[bytes], int, float], bytes]
"""``room.look``, or the same done in a process apart."""

_PADDING: Final = 4.0
_NEAR, _FAR = 0.5, 1.0
_MOST_ANNOTATIONS: Final = 2_000
_LARGEST_SCALE: Final = 1.5


@dataclass(frozen=True, slots=True)
class InCorner:
    """Where there is room nearest to a corner of a page.

    Attributes:
        corner: of the page as it is seen.
        page: from 1; negative numbers count from the end (-1 is the last).
        sides, ends: points to keep to the left and right edges, and to the upper and lower ones: fifteen and five
            millimetres, within which print houses want no ink.
    """

    corner: Corner = "bottom-right"
    page: int = -1
    sides: float = 43.0
    ends: float = 15.0


@dataclass(frozen=True, slots=True)
class InRectangle:
    """In a rectangle, whatever is there: for forms that keep it free.

    Attributes:
        box: left, bottom, right, top in points from the lower left corner of the page as it is seen.
        page: as for a corner.
    """

    box: Box
    page: int = -1


@dataclass(frozen=True, slots=True)
class InField:
    """In an empty signature field that the document brings.

    Attributes:
        name: its full name.
        otherwise: where to go in documents without it; None refuses them.
    """

    name: str
    otherwise: InCorner | InRectangle | None = None


Place = InCorner | InRectangle | InField


class Reason(StrEnum):
    """Why a seal can't be seen."""

    NO_ROOM = "no_free_room"
    NO_SUCH_PAGE = "no_such_page"
    SIGNED_BEFORE = "signed_before"
    PAGE_NOT_SHOWN = "page_not_shown"
    FIELD_NOT_SHOWN = "field_not_shown"


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a seal goes.

    Attributes:
        field: the existing field to use; None for a new one.
        page: its index from 0.
        box: its rectangle in the page's own coordinates; None for one that can't be seen.
        view: how that page is seen.
        panel: what is drawn there.
        variant: which drawing that is.
        reason: why it can't be seen.
    """

    field: str | None = None
    page: int = 0
    box: Box | None = None
    view: View | None = None
    panel: Panel | None = None
    variant: Variant | None = None
    reason: Reason | None = None


def find(
    place: Place,
    writer: IncrementalPdfFileWriter,
    stream: IO[bytes],
    panels: Callable[[Variant], Panel],
    *,
    signed: bool,
    look_at: Look = look,
) -> Seat:
    """Where the seal goes in this document.

    A document that bears a signature gets a visible seal only in a field that was there when it was signed: a new one
    that can be seen would count as a change of what was signed, as it might cover some of it.

    Args:
        place: the rule.
        writer: the document.
        stream: the same as it is stored, for looking at it.
        panels: draws a variant.
        signed: whether a signature is in it.
        look_at: looks at a page.

    Raises:
        FieldUnusable: the rule names a field that isn't there or can't be used.
    """
    if isinstance(place, InField):
        seat = _in_field(place, writer, panels)
        if seat is not None:
            return seat
        if place.otherwise is None:
            raise FieldUnusable(
                "The document has no empty signature field of the name that the seal's profile asks for."
            )
        place = place.otherwise
    if signed:
        return Seat(reason=Reason.SIGNED_BEFORE)
    index, page = _page(writer, place.page)
    if page is None:
        return Seat(reason=Reason.NO_SUCH_PAGE)
    view = view_of(page)
    if isinstance(place, InRectangle):
        return _fitted(Seat(page=index, view=view), place.box, panels)
    return _in_corner(place, Seat(page=index, view=view), page, stream, panels, look_at)


def _in_corner(
    place: InCorner,
    seat: Seat,
    page: generic.DictionaryObject,
    stream: IO[bytes],
    panels: Callable[[Variant], Panel],
    look_at: Look,
) -> Seat:
    """In full near the corner, else small near it, else in full and then small anywhere on the page."""
    view = _view(seat)
    try:
        packed = look_at(stream, seat.page, SCALE * view.unit)
        boxes = [view.from_page(box) for box in islice(taken(page), _MOST_ANNOTATIONS + 1)]
        if len(boxes) > _MOST_ANNOTATIONS:
            return Seat(reason=Reason.PAGE_NOT_SHOWN)
        ink = Ink.unpack(packed, view.size).with_boxes(boxes)
    except (ValueError, pypdfium2.PdfiumError):
        return Seat(reason=Reason.PAGE_NOT_SHOWN)
    tries: tuple[tuple[Variant, float], ...] = (
        ("full", _NEAR),
        ("compact", _NEAR),
        ("full", _FAR),
        ("compact", _FAR),
    )
    margins = place.sides, place.ends
    for variant, reach in tries:
        panel = panels(variant)
        found = ink.free((panel.width, panel.height), place.corner, margins=margins, padding=_PADDING, reach=reach)
        if found is not None:
            left, bottom = found
            box = view.to_page((left, bottom, left + panel.width, bottom + panel.height))
            return Seat(None, seat.page, box, view, panel, variant)
    return Seat(reason=Reason.NO_ROOM)


def _fitted(seat: Seat, box: Box, panels: Callable[[Variant], Panel]) -> Seat:
    """In the middle of a box as seen, as large as it goes in there."""
    view = _view(seat)
    wide, high = box[2] - box[0], box[3] - box[1]
    variants: tuple[Variant, ...] = ("full", "compact")

    def scale(variant: Variant) -> float:
        panel = panels(variant)
        return min(wide / panel.width, high / panel.height, _LARGEST_SCALE)

    # The small one where the full one would come out smaller than it.
    variant = "full" if scale("full") >= 0.75 * scale("compact") else variants[1]
    panel, by = panels(variant), scale(variant)
    left, bottom = (box[0] + box[2] - panel.width * by) / 2, (box[1] + box[3] - panel.height * by) / 2
    inner = view.to_page((left, bottom, left + panel.width * by, bottom + panel.height * by))
    return Seat(seat.field, seat.page, inner, view, panel, variant)


def _in_field(place: InField, writer: IncrementalPdfFileWriter, panels: Callable[[Variant], Panel]) -> Seat | None:
    for name, value, reference in enumerate_sig_fields(writer):
        if name != place.name:
            continue
        field = reference.get_object()
        kids = entry(field, "/Kids")
        if value is not None or entry(field, "/SV") is not None or (kids is not None and len(kids) != 1):
            raise FieldUnusable("The signature field is taken, lays conditions on who signs, or is in several places.")
        annotation = get_single_field_annot(field)
        box = rectangle(annotation)
        found = _page_of(annotation, reference, writer)
        if box is None or found is None:
            return Seat(field=str(name), reason=Reason.FIELD_NOT_SHOWN)
        index, page = found
        view = view_of(page)
        return _fitted(Seat(field=str(name), page=index, view=view), view.from_page(box), panels)
    return None


def _view(seat: Seat) -> View:
    assert seat.view is not None
    return seat.view


def _page(writer: IncrementalPdfFileWriter, number: int) -> tuple[int, generic.DictionaryObject | None]:
    """A page by its number, and its index from 0."""
    count = int(writer.root["/Pages"]["/Count"])
    index = number - 1 if number > 0 else count + number
    if not 0 <= index < count:
        return 0, None
    return index, _found(writer, index)


def _found(writer: IncrementalPdfFileWriter, index: int) -> generic.DictionaryObject:
    page = writer.find_page_for_modification(index)[0].get_object()
    assert isinstance(page, generic.DictionaryObject)
    return page


def _page_of(
    annotation: generic.DictionaryObject, field: Any, writer: IncrementalPdfFileWriter
) -> tuple[int, generic.DictionaryObject] | None:
    """The page that shows a field: by looking at all, as its own word on it may be missing or wrong."""
    shown = annotation.container_ref or field.reference
    for index, page in enumerate(_pages(writer.root["/Pages"], set())):
        for each in entry(page, "/Annots") or ():
            if isinstance(each, generic.IndirectObject) and each.reference == shown:
                return index, page
    return None


def _pages(node: generic.DictionaryObject, seen: set[int]) -> Iterator[generic.DictionaryObject]:
    """All pages under a node of the page tree, in order."""
    for kid in entry(node, "/Kids") or ():
        child = kid.get_object()
        if id(child) in seen:
            raise PdfReadError("Circular reference in page tree")
        seen.add(id(child))
        if entry(child, "/Type") == "/Pages":
            yield from _pages(child, seen)
        else:
            yield child
