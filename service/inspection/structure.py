"""Documents that are small and endless to read: the same objects reached again and again, by every page or field.

What is bounded here is what sealing and printing go through outside the walls, some of it in Python. How far a file's
objects may branch is counted as they walk it: an object that is reached twice counts twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream, String

from service.inspection.limits import MIB, InspectionLimits
from service.inspection.opening import Refused

_SMALLEST_SECTION: Final = 32
"""Bytes that one more update of the cross-references takes at least."""
_INHERITED: Final = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")
_PARENTS: Final = 64
_LONGEST: Final = 2 * MIB
"""Extent of one object; Python takes a hundred times as many bytes to hold one."""
_LONG: Final = MIB
_MOST_OF_FORM: Final = 4 * MIB
_MOST_INHERITED: Final = 16 * MIB
"""Extent of resources and boxes of all pages: whoever takes pages one by one has a copy for each."""
_STEPS: Final = 5_000_000
"""Entries of object streams that are read while a form's fields are looked for: each time from the beginning."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What all pages draw; what several of them draw is there, and is counted, for each."""

    content: list[Stream]
    annotations: int


def extent(text: bytes) -> int:
    """How much an object is to whoever takes it apart, by how it is written out: a long string is only one thing."""
    return len(text) if len(text) <= _LONG else 2 * text.count(b" ")


def check_sections(data: bytes, limits: InspectionLimits) -> None:
    """Refuse a file that was updated without end; every update is a table that a reader keeps.

    Raises:
        Refused: ``too_complex``.
    """
    if len(data) < limits.sections * _SMALLEST_SECTION:
        return
    if data.count(b"trailer") + data.count(b"/XRef") > limits.sections:
        raise Refused("too_complex")


def check_form(pdf: pikepdf.Pdf, annotations: int, longest_text: int, limits: InspectionLimits) -> None:
    """Refuse a form of very many or very long fields, or whose fields branch or go round without end.

    Args:
        pdf: the document.
        annotations: how many its pages have; whoever draws them gives each all the form's resources.
        longest_text: the length of the longest object, written out.
        limits: the bounds.

    Raises:
        Refused: ``too_complex``.
    """
    form = pdf.Root.get("/AcroForm")
    if not isinstance(form, Dictionary):
        return
    fields = _walked(form.get("/Fields"), limits.fields)
    if fields > limits.fields:
        raise Refused("too_complex")
    if (fields + 1) * len(pdf.objects) > _STEPS and (fields + 1) * _longest_list(pdf) > _STEPS:
        raise Refused("too_complex")
    if annotations * _length_of_resources(form) > _MOST_INHERITED:
        raise Refused("too_complex")
    if fields * longest_text > _MOST_OF_FORM and _text(form.get("/Fields"), _MOST_OF_FORM) > _MOST_OF_FORM:
        raise Refused("too_complex")


def _walked(fields: object, most: int) -> int:
    """How many fields, and references of their signatures, there are to walk through; counted a little over `most`."""
    waiting, walked = [fields], 0
    while waiting and walked <= most:
        held = waiting.pop()
        if isinstance(held, Array):
            walked += len(held)
            if walked <= most:
                waiting.extend(held)
        elif isinstance(held, Dictionary):
            waiting.append(held.get("/Kids"))
            value = held.get("/V")
            references = value.get("/Reference") if isinstance(value, Dictionary) else None
            walked += len(references) if isinstance(references, Array) else 0
    return walked


def _length_of_resources(form: Dictionary) -> int:
    kinds = form.get("/DR")
    named = kinds.values() if isinstance(kinds, Dictionary) else ()
    return sum(extent(each.unparse(resolved=True)) for each in named if isinstance(each, Dictionary))


def _text(fields: object, most: int) -> int:
    """Extent of a form's fields, their names and signatures; counted a little over `most`."""
    waiting, size = [fields], 0
    known: dict[tuple[int, int], int] = {}
    while waiting and size <= most:
        held = waiting.pop()
        if isinstance(held, Array):
            waiting.extend(held)
        elif isinstance(held, Dictionary):
            waiting.append(held.get("/Kids"))
            size += extent(held.unparse(resolved=True))
            for part in (held.get("/V"), held.get("/T")):
                # What is written in the field itself was counted with it.
                if isinstance(part, (Dictionary, String)) and part.is_indirect:
                    if part.objgen not in known:
                        text = part.unparse(resolved=True)
                        known[part.objgen] = len(text) if isinstance(part, String) else extent(text)
                    size += known[part.objgen]
    return size


def _longest_list(pdf: pikepdf.Pdf) -> int:
    """How many objects the longest object stream says it has."""
    streams = (held.stream_dict for held in pdf.objects if isinstance(held, Stream))
    counts: list[Any] = [described.get("/N") for described in streams if described.get("/Type") == Name.ObjStm]
    return max((count for count in counts if isinstance(count, int)), default=0)


def drawn_by(pages: Sequence[pikepdf.Object], limits: InspectionLimits) -> Drawn:
    """What the pages draw.

    Raises:
        Refused: ``too_complex``, they have too many streams or annotations.
    """
    content: list[Stream] = []
    annotations = 0
    for page in pages:
        held, marks = page.get("/Contents"), page.get("/Annots")
        if isinstance(held, Stream):
            content.append(held)
        elif isinstance(held, Array):
            if len(content) + len(held) > limits.contents:
                raise Refused("too_complex")
            content.extend(part for part in held if isinstance(part, Stream))
        annotations += len(marks) if isinstance(marks, Array) else 0
    if annotations > limits.annotations:
        raise Refused("too_complex")
    return Drawn(content, annotations)


def check_lengths(pages: Sequence[pikepdf.Object], longest: int) -> None:
    """Refuse very long objects, and pages that together take long ones from one place; `longest` is one's extent.

    Raises:
        Refused: ``too_complex``.
    """
    if longest > _LONGEST:
        raise Refused("too_complex")
    if longest * len(pages) <= _MOST_INHERITED:
        return
    left = _MOST_INHERITED
    for page in pages:
        for key in _INHERITED:
            value = inherited(page, key)
            left -= extent(value.unparse(resolved=True)) if isinstance(value, pikepdf.Object) else 0
            if left < 0:
                raise Refused("too_complex")


def inherited(page: pikepdf.Object, key: str) -> object:
    """An attribute of a page, its own or that of the nearest parent that has it (ISO 32000-2, 7.7.3.4)."""
    node: object = page
    for _ in range(_PARENTS):
        if not isinstance(node, Dictionary):
            break
        if key in node:
            return node.get(key)
        node = node.get("/Parent")
    return None
