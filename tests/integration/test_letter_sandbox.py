"""Letters looked at behind walls: the same findings as before them, and no document does more than be refused."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pikepdf
import pytest
from structlog.testing import capture_logs

from printing.asked import Asked
from printing.checks import check_document
from printing.pictures import Wanted
from printing.profiles import load
from printing.zones import Mode
from service.domain.errors import Retryable
from service.inspection.letter_inspector import LetterInspector
from service.inspection.limits import MIB, InspectionLimits
from tests import inspection_support as made
from tests.inspector_support import childless, children_of, status_of
from tests.letter_check_support import judged
from tests.printing_support import form, real_documents

LIMITS = InspectionLimits(children=2)
PROGRAM = "tests.letter_probes_support"
PROFILE = load()
MODES: tuple[Mode, ...] = ("page", "adopt")
GOOD = (made.DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()


@pytest.fixture(scope="module")
def inspector() -> Iterator[LetterInspector]:
    with LetterInspector(LIMITS) as real:
        yield real


@pytest.fixture(scope="module")
def probes() -> Iterator[LetterInspector]:
    with LetterInspector(replace(LIMITS, processor=2, address_space=500 * MIB), program=PROGRAM) as probing:
        yield probing


def codes(inspector: LetterInspector, document: bytes) -> list[str]:
    return [each.code for each in judged(inspector, Asked("document", PROFILE, duplex=True), document).problems]


def test_findings_are_the_same_behind_walls_and_in_front_of_them(inspector: LetterInspector) -> None:
    """Whatever looking takes was loaded before: fonts, field drawing, bar codes, the languages of the pictures."""
    papers = [path.read_bytes() for path in real_documents() if path.stat().st_size < MIB]
    for pdf in (*papers, form("ingevuld"), b"no pdf"):
        for mode in MODES:
            asked = Asked(
                "document", PROFILE, duplex=True, mode=mode, pages=(1,) if mode == "adopt" else (), language="fr"
            )
            pictures = Wanted(frozenset(asked.pages), "fr")
            assert judged(inspector, asked, pdf) == check_document(pdf, PROFILE, mode, pictures=pictures)


def shared_forms(depth: int, width: int) -> bytes:
    """Forms that draw one another: width to the power of depth drawings of one rectangle."""
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(595, 842))
        form = pdf.make_stream(b"0 0 9 9 re f", Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Form, BBox=[0, 0, 9, 9])
        for _ in range(depth):
            form = pdf.make_stream(
                b"/X Do " * width,
                Type=pikepdf.Name.XObject,
                Subtype=pikepdf.Name.Form,
                BBox=[0, 0, 9, 9],
                Resources=pikepdf.Dictionary(XObject=pikepdf.Dictionary(X=form)),
            )
        page.obj.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(X=form))
        page.obj.Contents = pdf.make_stream(b"/X Do")
        return made.written(pdf)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (made.with_stream(made.deflated_zeros(1024 * MIB)), None),
        (made.looping_pages(), None),
        (made.looping_cross_references(), None),
        (made.nested(2_000_000), None),
        (b"%PDF-1.7\n" + b"<<" * 2_000_000, "PDF_UNREADABLE"),
        (b"%PDF-1.7\n" + os.urandom(MIB), "PDF_UNREADABLE"),
        (shared_forms(12, 40), "CHECK_"),
    ],
    ids=["bomb", "page loop", "cross-reference loop", "nesting", "open ends", "noise", "forms of forms"],
)
def test_a_hostile_document_is_a_coded_problem_and_the_next_one_is_looked_at(
    document: bytes, expected: str | None
) -> None:
    with LetterInspector(replace(LIMITS, processor=2)) as inspector:
        before = inspector.helper_pid
        found = codes(inspector, document)
        # What can be read all the same may be printed; nothing else passes.
        assert expected is None or (len(found) == 1 and found[0].startswith(expected))
        assert codes(inspector, GOOD) == []
        assert inspector.helper_pid == before


@pytest.mark.parametrize(
    ("probe", "code"),
    [
        ("crash", "CHECK_CRASHED"),
        ("abort", "CHECK_CRASHED"),
        ("error", "CHECK_CRASHED"),
        ("noise", "CHECK_CRASHED"),
        ("nothing", "CHECK_CRASHED"),
        ("endless", "CHECK_CRASHED"),
        ("a code of its own", "CHECK_CRASHED"),
        ("a picture that is none", "CHECK_CRASHED"),
        ("a picture too short", "CHECK_CRASHED"),
        ("more than it says", "CHECK_CRASHED"),
        ("a header too long", "CHECK_CRASHED"),
        ("spin", "CHECK_TIMEOUT"),
        ("memory", "CHECK_MEMORY"),
    ],
)
def test_whatever_becomes_of_the_reader_is_a_coded_problem(probes: LetterInspector, probe: str, code: str) -> None:
    before = probes.helper_pid
    with capture_logs() as logged:
        found = judged(probes, Asked("document", PROFILE, duplex=True), f"probe:{probe}".encode())
    assert [each.code for each in found.problems] == [code]
    assert (found.pictures, found.window_lines) == ({}, ())
    assert {entry["event"] for entry in logged} == {"letter_check_unfinished"}
    assert probes.helper_pid == before
    assert childless(before)


def test_a_reader_that_hangs_is_ended_and_nobody_is_told_that_the_letter_is_bad() -> None:
    with LetterInspector(replace(LIMITS, wall=0.5), program=PROGRAM) as probing, pytest.raises(Retryable):
        judged(probing, Asked("document", PROFILE, duplex=True), b"probe:sleep")


def test_a_reader_can_neither_speak_nor_read_files(probes: LetterInspector) -> None:
    for attempt in ("socket", "open a file", "fork"):
        assert codes(probes, f"probe:{attempt}".encode()) == ["PDF_UNREADABLE"]


def test_a_document_larger_than_any_letter_is_not_read(probes: LetterInspector) -> None:
    assert codes(probes, bytes(2 * LIMITS.size + 1)) == ["FILE_TOO_BIG"]


def test_the_helper_is_nobody_and_starts_with_the_first_letter_where_they_come_seldom() -> None:
    with LetterInspector(LIMITS, late=True) as seldom:
        mine = {pid for pid in children_of(os.getpid()) if status_of(int(pid))["State"][:1] != "Z"}
        assert codes(seldom, GOOD) == []
        (helper,) = {pid for pid in children_of(os.getpid()) if status_of(int(pid))["State"][:1] != "Z"} - mine
        assert int(helper) == seldom.helper_pid
        told = status_of(seldom.helper_pid)
        assert told["NoNewPrivs"] == "1"
        assert set(told["Uid"].split()) != {"0"}
