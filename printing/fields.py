"""Fields of forms as a document holds them: which are seen, and which hide what was filled in."""

from collections.abc import Iterator
from typing import Final

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream

from printing.pages import inherited

DRAWN_AGAIN: Final = (Name.Tx, Name.Ch)
"""Kinds of fields that a viewer draws anew when the document asks for it (ISO 32000-2, 12.7.4.3)."""
_HIDDEN: Final = 0b100010  # annotation flags Hidden and NoView
_SHOWS: Final = "Tj TJ ' \" Do"


def wants_drawing(pdf: pikepdf.Pdf) -> bool:
    """Whether viewers draw the fields anew; sealing ends that."""
    form = pdf.Root.get("/AcroForm")
    return isinstance(form, Dictionary) and bool(form.get("/NeedAppearances", False))


def hiding(page: pikepdf.Page) -> bool:
    """Whether a field of the page has a value, and an appearance that shows none."""
    return any(map(_hides_value, visible_widgets(page)))


def _hides_value(widget: Dictionary) -> bool:
    value = inherited(widget, "/V")
    if inherited(widget, "/FT") not in DRAWN_AGAIN or value is None or not str(value).strip():
        return False
    drawn = widget.get("/AP", Dictionary()).get("/N")
    # A field without any appearance is drawn when it is printed.
    return isinstance(drawn, Stream) and not any(map(_shows_text, pikepdf.parse_content_stream(drawn, _SHOWS)))


def _shows_text(written: pikepdf.ContentStreamInstruction | pikepdf.ContentStreamInlineImage) -> bool:
    # What a form or picture within shows is not looked into.
    if str(written.operator) == "Do":
        return True
    last = written.operands[-1] if len(written.operands) else ()
    pieces = last.as_list() if isinstance(last, Array) else [last]
    return any(bytes(piece).strip() for piece in pieces if isinstance(piece, pikepdf.String))


def visible_widgets(page: pikepdf.Page) -> Iterator[Dictionary]:
    """The fields of a page that are shown, but for seals."""
    found = page.obj.get("/Annots")
    for entry in found.as_list() if isinstance(found, Array) else ():
        if (
            isinstance(entry, Dictionary)
            and entry.get("/Subtype") == Name.Widget
            and not int(entry.get("/F", 0)) & _HIDDEN
            and inherited(entry, "/FT") != Name.Sig
            and _has_area(entry.get("/Rect"))
        ):
            yield entry


def _has_area(rectangle: pikepdf.Object | None) -> bool:
    if not isinstance(rectangle, Array) or len(rectangle) != 4:  # noqa: PLR2004 - a rectangle has four numbers
        return False
    left, bottom, right, top = (float(value) for value in rectangle.as_list())
    return left != right and bottom != top
