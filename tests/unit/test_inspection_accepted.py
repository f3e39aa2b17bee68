"""What is accepted, and what is said about it."""

import io
from collections.abc import Iterator
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, String

from service.inspection.examine import examine
from service.inspection.findings import Answer
from service.inspection.limits import InspectionLimits
from service.inspection.opening import bound_decoders
from tests import inspection_support as made

LIMITS = InspectionLimits()


@pytest.fixture(autouse=True)
def _bounded_decoders() -> Iterator[None]:
    before = bound_decoders(LIMITS)
    yield
    pikepdf.settings.set_qpdf_limits(**before)  # type: ignore[arg-type]


def look(data: bytes) -> Answer:
    answer = examine(data, LIMITS)
    assert answer.findings.refusal is None
    return answer


def codes(answer: Answer) -> set[str]:
    return {note.code for note in answer.findings.notes}


@pytest.mark.parametrize("path", sorted(made.DOCUMENTS.glob("*.pdf")), ids=lambda path: path.name)
def test_every_stored_document_is_accepted_whole(path: Path) -> None:
    data = path.read_bytes()
    answer = look(data)
    with pikepdf.open(io.BytesIO(data)) as pdf:
        assert answer.findings.pages == len(pdf.pages)
    assert answer.replacement is None
    assert "repaired" not in codes(answer)


def test_the_stored_documents_are_what_their_names_say() -> None:
    found = {path.name: look(path.read_bytes()) for path in made.DOCUMENTS.glob("*.pdf")}
    assert found["report-60-pages-nl.pdf"].findings.pages == 60
    assert found["signed-nl.pdf"].findings.signatures == 1
    assert "no_text" in codes(found["scan-fr.pdf"])
    assert "not_tagged" not in codes(found["letter-fr-chromium.pdf"])
    assert [part[:6] for part in found["attachment-fr.pdf"].attached] == [b"numero"]
    assert sum(path.stat().st_size for path in made.DOCUMENTS.glob("*.pdf")) < 1_500_000


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n \x00\x00", b"\n% a remark\n"])
def test_blanks_and_remarks_after_the_end_are_harmless(end: bytes) -> None:
    assert look(made.document() + end).findings.pages == 1


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b"\r\n", b"   "])
def test_a_byte_order_mark_or_blanks_before_the_header_are_tolerated(start: bytes) -> None:
    assert look(start + made.document()).findings.pages == 1


@pytest.mark.parametrize(("permission", "certified"), [(None, False), (2, True), (3, True)])
def test_signatures_are_counted_and_certification_that_allows_signing_is_accepted(
    permission: int | None, *, certified: bool
) -> None:
    findings = look(made.signed(permission)).findings
    assert (findings.signatures, findings.certified) == (1, certified)


def test_a_damaged_file_that_loses_nothing_is_repaired() -> None:
    broken = made.without_cross_references((made.DOCUMENTS / "notice-nl-ghostscript.pdf").read_bytes())
    answer = look(broken)
    assert answer.replacement is not None
    assert "repaired" in codes(answer)
    assert codes(look(answer.replacement)) == codes(answer) - {"repaired"}
    with pikepdf.open(io.BytesIO(answer.replacement), attempt_recovery=False) as pdf:
        assert pdf.check_pdf_syntax() == []


def test_a_file_that_lost_a_page_is_not_called_repaired() -> None:
    whole = made.raw_document(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [ 3 0 R 4 0 R ] /Count 2 >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 9 9 ] >>",
            4: b"<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 9 9 ] >>",
        }
    )
    assert examine(whole[: whole.index(b"4 0 obj")], LIMITS).findings.refusal == "damaged"


def test_a_looping_cross_reference_ends() -> None:
    assert examine(made.looping_cross_references(), LIMITS).findings.refusal in {None, "damaged"}


def test_links_and_outside_actions_are_told_not_refused() -> None:
    def link(pdf: pikepdf.Pdf) -> None:
        actions = (
            Dictionary(S=Name.URI, URI=String("https://exemple.invalid/")),
            Dictionary(S=Name.GoToR, F=String("other.pdf")),
        )
        pdf.pages[0].obj.Annots = Array([Dictionary(Type=Name.Annot, Subtype=Name.Link, A=each) for each in actions])

    assert "outside_action" in codes(look(made.document(link)))


def test_names_that_only_look_dangerous_are_harmless() -> None:
    def change(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Words = Array([String("/JavaScript /Launch /JS"), Name("/LaunchPad"), Name("/JSON")])
        pdf.Root.Names = Dictionary(JavaScript=Dictionary(Names=Array([])))

    assert look(made.document(change)).findings.pages == 1


def test_what_is_attached_is_taken_out_also_from_an_attached_pdf() -> None:
    inner = made.attached("inner.txt", b"inner words")
    answer = look(made.attached("outer.pdf", inner))
    assert answer.attached == (inner, b"inner words")


def test_an_attached_certified_pdf_binds_only_itself() -> None:
    assert len(look(made.attached("contract.pdf", made.signed(1))).attached) == 1


def test_an_office_document_may_be_attached() -> None:
    parts = {"[Content_Types].xml": b"<x/>", "xl/printerSettings/printerSettings1.bin": b"x"}
    assert len(look(made.attached("sums.xlsx", made.archive(parts))).attached) == 1


def test_the_version_is_the_later_of_header_and_catalogue() -> None:
    def later(pdf: pikepdf.Pdf) -> None:
        pdf.Root.Version = Name("/1.9")

    assert look(made.document(later)).findings.pdf_version == "1.9"
