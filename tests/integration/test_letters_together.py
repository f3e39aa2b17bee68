"""Several letters looked at in one reader: the same is found as of each alone, and a bad one is its own affair."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import zxingcpp
from structlog.testing import capture_logs

from printing.asked import Asked, Look, answer
from printing.checks import Findings
from printing.profiles import Box, load
from service.domain.errors import Retryable
from service.inspection.letter_inspector import BYTES_TOGETHER, MOST_TOGETHER, LetterInspector
from service.inspection.limits import MIB, InspectionLimits
from service.inspection.readers import Readers
from tests.inspection_support import DOCUMENTS
from tests.inspector_support import childless
from tests.letter_check_support import Draw, code, ink, page, pages, text
from tests.printing_support import ADDRESS, form, letter, real_documents

LIMITS = InspectionLimits(children=2, processor=2, address_space=500 * MIB)
PROGRAM = "tests.letter_probes_support"
PROFILE = load()
GOOD = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()
MARK: Draw = code("RR473124829BE", zxingcpp.BarcodeFormat.Code128, 90, 100, 50, 10)
SHOWN = "Somebody's address"


@pytest.fixture(scope="module")
def probes() -> Iterator[LetterInspector]:
    with LetterInspector(LIMITS, program=PROGRAM) as probing:
        yield probing


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of what readers were given."""
    sizes: list[int] = []
    real = Readers.read

    def counted(readers: Readers, document: bytes) -> bytearray:
        sizes.append(len(document))
        return real(readers, document)

    monkeypatch.setattr(Readers, "read", counted)
    return sizes


def of_letter(pdf: bytes, sheets: int = 1, **more: object) -> Look:
    return Asked("letter", PROFILE, duplex=True, sheets=sheets, **more), pdf  # type: ignore[arg-type]


def of_document(pdf: bytes) -> Look:
    return Asked("document", PROFILE, duplex=True), pdf


def looks() -> list[Look]:
    """Documents in each way, and the letters they become, of every real document and of some with faults."""
    found: list[Look] = []
    faulty = [
        pages([ink(Box(2, 100, 8, 110))], [MARK], [text(20, 100, "Klein", grey=0.5)]),
        page(text(92, 46, *ADDRESS), MARK),
        form("ingevuld"),
    ]
    papers = [path.read_bytes() for path in real_documents() if path.stat().st_size < MIB]
    for number, pdf in enumerate([*papers, *faulty]):
        mode = ("page", "stamp", "adopt")[number % 3]
        wanted = (1,) if number % 4 == 0 else ()
        found.append((Asked("document", PROFILE, duplex=True, mode=mode, pages=wanted, language="fr"), pdf))  # type: ignore[arg-type]
        try:
            made = letter(pdf)
        except Exception:  # noqa: BLE001  what no letter can be made of
            continue
        found.append(of_letter(made.pdf, made.sheets, own_place=made.own_place, source_bytes=len(pdf)))
    return [*found, of_document(b"no document")]


def test_of_each_the_same_is_found_together_alone_and_in_front_of_the_walls(read: list[int]) -> None:
    asked = looks()
    with LetterInspector(InspectionLimits(children=2)) as inspector:
        together = inspector.check(asked)
    assert len(read) < len(asked) / 4
    expected = [answer(*each) for each in asked]
    assert together == expected
    codes = {each.code for found in expected for each in (*found.problems, *found.warnings)}
    assert codes >= {"INK_OUTSIDE", "MARK_IN_CONTENT", "FONT_NOT_EMBEDDED", "PDF_UNREADABLE", "PAGE_REDUCED"}
    assert any(found.pictures for found in expected)


@pytest.mark.parametrize(
    ("probe", "fate"),
    [
        ("crash", "CHECK_CRASHED"),
        ("error", "CHECK_CRASHED"),
        ("noise", "CHECK_CRASHED"),
        ("nothing", "CHECK_CRASHED"),
        ("endless", "CHECK_CRASHED"),
        ("a code of its own", "CHECK_CRASHED"),
        ("a picture too short", "CHECK_CRASHED"),
        ("more than it says", "CHECK_CRASHED"),
        ("spin", "CHECK_TIMEOUT"),
        ("memory", "CHECK_MEMORY"),
    ],
)
def test_whatever_one_does_to_the_reader_it_alone_is_refused(probes: LetterInspector, probe: str, fate: str) -> None:
    before = probes.helper_pid
    with capture_logs() as logged:
        first, bad, last = probes.check([of_document(GOOD), of_document(f"probe:{probe}".encode()), of_document(GOOD)])
    assert first == last == answer(*of_document(GOOD))
    assert isinstance(bad, Findings)
    assert [each.code for each in bad.problems] == [fate]
    assert [each["event"] for each in logged][-1] == "letter_check_unfinished"
    assert probes.helper_pid == before
    assert childless(before)


def test_one_that_hangs_is_tried_again_later_and_the_others_are_looked_at_now() -> None:
    with LetterInspector(replace(LIMITS, wall=1.5), program=PROGRAM) as probing:
        found = probing.check([of_document(GOOD), of_document(b"probe:sleep"), of_document(GOOD)])
    assert [isinstance(each, Retryable) for each in found] == [False, True, False]


def test_where_no_reader_can_be_had_none_of_them_is_judged() -> None:
    with LetterInspector(InspectionLimits(children=1, wait=0.1), program=PROGRAM) as probing:
        probing._readers._places.acquire()
        found = probing.check([of_document(GOOD)] * 3)
    assert [type(each) for each in found] == [Retryable] * 3


def test_a_reader_is_given_so_many_and_so_much_at_a_time(probes: LetterInspector, read: list[int]) -> None:
    small = [of_document(b"probe:socket")] * (MOST_TOGETHER + 1)
    assert all(isinstance(each, Findings) for each in probes.check(small))
    assert len(read) == 2
    read.clear()
    large = of_document(b"probe:socket".ljust(BYTES_TOGETHER // 2))
    with capture_logs():
        probes.check([large, large, large])
    assert all(size < BYTES_TOGETHER * 1.1 for size in read)
    read.clear()
    found = probes.check([of_document(bytes(2 * LIMITS.size + 1)), of_document(b"probe:socket")])
    assert codes(found) == [["FILE_TOO_BIG"], ["PDF_UNREADABLE"]]
    assert len(read) == 1


def codes(found: Sequence[Findings | Retryable]) -> list[list[str]]:
    return [[each.code for each in told.problems] for told in found if isinstance(told, Findings)]


def test_nothing_is_asked_of_nobody(probes: LetterInspector, read: list[int]) -> None:
    assert probes.check([]) == []
    assert read == []
