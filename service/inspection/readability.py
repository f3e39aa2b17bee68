"""What keeps people from reading a document: no text layer, no tags, no language."""

from typing import Final

import pikepdf
from pikepdf import Dictionary, Name, Stream

from service.inspection.findings import Note

_NESTED_FORMS: Final = 3
_PARENTS: Final = 50


def notes(pdf: pikepdf.Pdf) -> list[Note]:
    """Notes ``no_text`` (with the first page that has none), ``not_tagged``, ``no_language``."""
    found = []
    for number, page in enumerate(pdf.pages, start=1):
        if not _has_fonts(_resources(page.obj), _NESTED_FORMS):
            found.append(Note("no_text", number))
            break
    marked = pdf.Root.get("/MarkInfo")
    if not isinstance(marked, Dictionary) or not marked.get("/Marked"):
        found.append(Note("not_tagged"))
    if not str(pdf.Root.get("/Lang", "")).strip():
        found.append(Note("no_language"))
    return found


def _resources(page: pikepdf.Object) -> object:
    """A page's resources, its own or those of the nearest parent that has some (ISO 32000-2, 7.7.3.4)."""
    node: object = page
    for _ in range(_PARENTS):
        if not isinstance(node, Dictionary):
            break
        if "/Resources" in node:
            return node.get("/Resources")
        node = node.get("/Parent")
    return None


def _has_fonts(resources: object, depth: int) -> bool:
    if not isinstance(resources, Dictionary):
        return False
    fonts = resources.get("/Font")
    if isinstance(fonts, Dictionary) and len(fonts.keys()) > 0:
        return True
    forms = resources.get("/XObject")
    if depth == 0 or not isinstance(forms, Dictionary):
        return False
    return any(
        isinstance(form, Stream) and form.get("/Subtype") == Name.Form and _has_fonts(form.get("/Resources"), depth - 1)
        for form in forms.values()
    )
