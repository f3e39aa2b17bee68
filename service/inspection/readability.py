"""What keeps people from reading a document: no text layer, no tags, no language."""

from collections.abc import Sequence

import pikepdf
from pikepdf import Dictionary, Name, Stream

from service.inspection.findings import Note
from service.inspection.structure import inherited


def notes(root: pikepdf.Object, pages: Sequence[pikepdf.Object]) -> list[Note]:
    """Notes ``no_text`` (with the first page that has none), ``not_tagged``, ``no_language``."""
    found = []
    for number, page in enumerate(pages, start=1):
        if not _has_fonts(inherited(page, "/Resources")):
            found.append(Note("no_text", number))
            break
    marked = root.get("/MarkInfo")
    if not isinstance(marked, Dictionary) or not marked.get("/Marked"):
        found.append(Note("not_tagged"))
    if not str(root.get("/Lang", "")).strip():
        found.append(Note("no_language"))
    return found


def _has_fonts(resources: object) -> bool:
    """Whether there is a font in a page's resources or in those of a form it may draw, each form looked at once."""
    waiting, seen = [resources], set[tuple[int, int]]()
    while waiting:
        held = waiting.pop()
        if not isinstance(held, Dictionary):
            continue
        fonts = held.get("/Font")
        if isinstance(fonts, Dictionary) and len(fonts.keys()) > 0:
            return True
        drawn = held.get("/XObject")
        for form in drawn.values() if isinstance(drawn, Dictionary) else ():
            if isinstance(form, Stream) and form.objgen not in seen:
                seen.add(form.objgen)
                if form.get("/Subtype") == Name.Form:
                    waiting.append(form.get("/Resources"))
    return False
