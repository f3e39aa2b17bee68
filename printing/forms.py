"""Form fields and annotations drawn into the pages: paper has no fields."""

import threading
from collections.abc import Iterator
from io import BytesIO
from typing import Final

import pikepdf
import pypdfium2
from pikepdf import Array, Dictionary, Name, Stream
from pypdfium2 import raw as pdfium

from printing.apart import apart
from printing.errors import LetterRefused, Problem
from printing.pages import inherited, open_part

_HIDDEN: Final = 0b100010  # annotation flags Hidden and NoView
_PRINT: Final = 0b100
_PUSH_BUTTON: Final = 1 << 16
_DRAWN_AGAIN: Final = (Name.Tx, Name.Ch)  # what a viewer draws anew when the document asks for it
_SHOWS_TEXT: Final = "Tj TJ ' \""

PDFIUM: Final = threading.Lock()
"""Held by whoever works with pdfium: it keeps global state."""


def flatten(pdf: pikepdf.Pdf, *, walled: bool = False) -> pikepdf.Pdf:
    """Draw what form fields and printable annotations show into the pages, and drop the rest of them.

    A field that a viewer shows is printed also when its print flag is missing: the recipient must see on paper what the
    sender saw on the screen. Buttons and comments follow their flag. An invisible seal leaves nothing.

    Args:
        pdf: the document.
        walled: this process may be lost to the document.

    Returns:
        The document to go on with: the same, or another in its place, when fields had no appearance of their own and
        had to be drawn as a viewer does. That is pdfium's work, in a process of its own.

    Raises:
        LetterRefused: ``PDF_UNREADABLE``, the fields cannot be drawn.
    """
    undrawn = False
    again = bool(pdf.Root.get("/AcroForm", Dictionary()).get("/NeedAppearances", False))
    for page in pdf.pages:
        for widget in _visible_widgets(page):
            if not _is_button(widget):
                widget.F = int(widget.get("/F", 0)) | _PRINT
            if again and inherited(widget, "/FT") in _DRAWN_AGAIN and "/AP" in widget:
                del widget.AP
            undrawn = undrawn or "/AP" not in widget
    if undrawn:
        drawn = _draw_fields(pdf, walled=walled)
        pdf.close()
        return drawn
    pdf.flatten_annotations("print")
    return pdf


def seal_form(pdf: pikepdf.Pdf) -> tuple[int, ...]:
    """Do to a form what sealing does to it: viewers draw its fields no more, which show what their appearances say.

    Returns:
        The pages where a field with a value shows none then.
    """
    form = pdf.Root.get("/AcroForm")
    if not isinstance(form, Dictionary) or not form.get("/NeedAppearances", False):
        return ()
    del form.NeedAppearances
    return tuple(
        number for number, page in enumerate(pdf.pages, start=1) if any(map(_hides_value, _visible_widgets(page)))
    )


def _hides_value(widget: Dictionary) -> bool:
    value = inherited(widget, "/V")
    if inherited(widget, "/FT") not in _DRAWN_AGAIN or value is None or not str(value).strip():
        return False
    drawn = widget.get("/AP", Dictionary()).get("/N")
    # A field without any appearance is drawn when it is printed.
    return isinstance(drawn, Stream) and not any(map(_shows_text, pikepdf.parse_content_stream(drawn, _SHOWS_TEXT)))


def _shows_text(written: pikepdf.ContentStreamInstruction | pikepdf.ContentStreamInlineImage) -> bool:
    last = written.operands[-1] if len(written.operands) else ()
    pieces = last.as_list() if isinstance(last, Array) else [last]
    return any(bytes(piece).strip() for piece in pieces if isinstance(piece, pikepdf.String))


def _visible_widgets(page: pikepdf.Page) -> Iterator[Dictionary]:
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


def _is_button(widget: Dictionary) -> bool:
    kind, flags = inherited(widget, "/FT"), inherited(widget, "/Ff")
    return kind == Name.Btn and flags is not None and bool(int(flags) & _PUSH_BUTTON)


def _draw_fields(pdf: pikepdf.Pdf, *, walled: bool) -> pikepdf.Pdf:
    before = BytesIO()
    pdf.save(before)
    # Apart where this process matters: pdfium goes through all that a page draws, however often forms draw one another.
    with PDFIUM:
        drawn = _drawn(before.getvalue()) if walled else apart(lambda: _drawn(before.getvalue()))
    if drawn is None:
        raise LetterRefused(Problem("PDF_UNREADABLE", "The fields of the document cannot be drawn."))
    return open_part(drawn)


def _drawn(data: bytes) -> bytes:
    after = BytesIO()
    document = pypdfium2.PdfDocument(data)
    document.init_forms()
    for page in document:
        if pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_PRINT) == pdfium.FLATTEN_FAIL:
            raise LetterRefused(Problem("PDF_UNREADABLE", "The fields of the document cannot be drawn."))
        page.close()
    document.save(after)
    return after.getvalue()
