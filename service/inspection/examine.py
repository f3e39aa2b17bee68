"""One document looked at from beginning to end; this runs in the child, behind the walls of `sandbox`."""

from service.inspection import bombs, readability, structure
from service.inspection.active import survey
from service.inspection.attachments import Attachments
from service.inspection.fields import check_values
from service.inspection.findings import Answer, Findings, Note
from service.inspection.limits import InspectionLimits
from service.inspection.opening import Opened, Refused, check_kind, open_document


def examine(data: bytes, limits: InspectionLimits) -> Answer:
    """The findings about one document; a refusal is a finding too.

    Raises:
        MemoryError: it takes more memory than the child may have.
    """
    try:
        return _examine(data, limits)
    except Refused as refused:
        return Answer(Findings(refusal=refused.code))


def _examine(data: bytes, limits: InspectionLimits) -> Answer:
    if len(data) > limits.size:
        raise Refused("too_large")
    check_kind(data)
    structure.check_sections(data, limits)
    opened = open_document(data, limits)
    if len(opened.pdf.pages) == 0:
        raise Refused("no_pages")
    if len(opened.pdf.pages) > limits.pages:
        raise Refused("too_many_pages")
    pages = [page.obj for page in opened.pdf.pages]
    drawn = structure.drawn_by(pages, limits)
    found = survey(opened.pdf)
    structure.check_lengths(pages, found.longest)
    structure.check_form(opened.pdf, drawn.annotations, found.longest_text, limits)
    check_values(opened.pdf)
    if opened.replacement is not None and found.signatures:
        raise Refused("damaged_signed")
    if found.forbids_changes:
        raise Refused("certified_no_changes")
    attachments = Attachments(limits)
    attachments.take(found)
    bombs.weigh(opened.pdf, drawn.content, len(opened.data), limits)
    notes = [*readability.notes(opened.pdf.Root, pages)]
    if found.outside_action:
        notes.insert(0, Note("outside_action"))
    if opened.replacement is not None:
        notes.insert(0, Note("repaired"))
    findings = Findings(
        pages=len(pages),
        signatures=found.signatures,
        certified=found.certified,
        pdf_version=_version(opened),
        notes=tuple(notes),
    )
    return Answer(findings, opened.replacement, tuple(attachments.parts))


def _version(opened: Opened) -> str:
    """The later of the header's version and the catalogue's (ISO 32000-2, 7.5.2)."""
    stated = str(opened.pdf.Root.get("/Version", ""))[1:4]
    return max(opened.pdf.pdf_version, stated) if stated[:1].isdigit() else opened.pdf.pdf_version
