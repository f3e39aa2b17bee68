"""Form fields and annotations drawn into the pages: paper has no fields."""

import threading
from io import BytesIO
from typing import Final

import pikepdf
import pypdfium2
from pikepdf import Dictionary, Name
from pypdfium2 import raw as pdfium

from printing.apart import apart
from printing.errors import LetterRefused, Problem
from printing.fields import DRAWN_AGAIN, hiding, visible_widgets, wants_drawing
from printing.pages import inherited, open_part

_PRINT: Final = 0b100
_PUSH_BUTTON: Final = 1 << 16

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
    again = wants_drawing(pdf)
    for page in pdf.pages:
        for widget in visible_widgets(page):
            if not _is_button(widget):
                widget.F = int(widget.get("/F", 0)) | _PRINT
            if again and inherited(widget, "/FT") in DRAWN_AGAIN and "/AP" in widget:
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
    if not wants_drawing(pdf):
        return ()
    del pdf.Root.AcroForm.NeedAppearances
    return tuple(number for number, page in enumerate(pdf.pages, start=1) if hiding(page))


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
