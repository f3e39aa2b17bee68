"""Filled forms that nobody would get as they were filled in: read in the child, behind the walls of `sandbox`."""

import pikepdf

from printing import fields
from service.inspection.opening import Refused


def check_values(pdf: pikepdf.Pdf) -> None:
    """Refuse a form that leaves it to viewers to draw its values, while what it draws itself shows none.

    Sealing ends that viewers draw (they would change what was sealed), so the recipient would see empty fields.

    Raises:
        Refused: ``form_values_unseen``.
    """
    if fields.wants_drawing(pdf) and any(_hides(page) for page in pdf.pages):
        raise Refused("form_values_unseen")


def _hides(page: pikepdf.Page) -> bool:
    try:
        return fields.hiding(page)
    except (pikepdf.PdfError, TypeError, ValueError, ArithmeticError, AttributeError, KeyError):
        # Of a field that is not what the standard says nothing can be told.
        return False
