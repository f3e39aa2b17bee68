"""Judging behind walls: the same reports as before them, and nothing a document does is more than indeterminate."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from structlog.testing import capture_logs

from service.domain.errors import Retryable
from service.inspection.limits import MIB, InspectionLimits
from service.inspection.validating import Believed
from service.inspection.validator import Validator
from signing.report import Level, Qualification, Report, Verdict
from tests import inspection_support as made
from tests.attack_support import contract_pdf
from tests.inspector_support import childless, children_of, status_of
from tests.longterm_support import SIGNED, certify, house, judge, renewed, sign
from tests.signing_support import plain_pdf
from tests.trusted_list_support import Service, list_xml, operator, qualified, signed_list

SOON = SIGNED + timedelta(days=1)
LIMITS = InspectionLimits(children=2)
PROGRAM = "tests.validation_probes_support"


@pytest.fixture(scope="module")
def believed(tmp_path_factory: pytest.TempPathFactory) -> Believed:
    folder = tmp_path_factory.mktemp("believed")
    (folder / "roots.pem").write_bytes(house().root.certificate.public_bytes(Encoding.PEM))
    (folder / "operator.pem").write_bytes(operator().certificate.public_bytes(Encoding.PEM))
    (folder / "list.xml").write_bytes(signed_list(list_xml(Service(house().issuing.certificate))))
    return Believed(
        anchors=(str(folder / "roots.pem"),),
        lists=(str(folder / "list.xml"),),
        operators=(str(folder / "operator.pem"),),
    )


@pytest.fixture(scope="module")
def validator(believed: Believed) -> Iterator[Validator]:
    with Validator(LIMITS, believed) as real:
        yield real


@pytest.fixture(scope="module")
def probes(believed: Believed) -> Iterator[Validator]:
    with Validator(replace(LIMITS, processor=2, address_space=500 * MIB), believed, program=PROGRAM) as probing:
        yield probing


def test_reports_are_the_same_behind_walls_and_in_front_of_them(validator: Validator) -> None:
    later = datetime(2029, 6, 1, tzinfo=UTC)
    for pdf, at in (
        (sign("b-t"), SOON),
        (sign("b-lta", pdf=contract_pdf()), SOON),
        (renewed(sign("b-lta"), later), later + timedelta(days=1000)),
        (sign("b-lt", answers=[house().answer(SIGNED)]), SOON),
        (sign("b-b") + b"more", SOON),
        (plain_pdf(), SOON),
        (b"no pdf", SOON),
    ):
        there = validator.validate(pdf, at=at)
        here = judge(pdf, at)
        assert without_lists(there) == without_lists(here)
    assert validator.validate(sign("b-lt"), at=SOON, require_revocation=True).signatures[0].level is Level.B_LT


def without_lists(report: Report) -> Report:
    unsaid = {"qualification": Qualification.UNKNOWN, "qualification_reason": None}
    return replace(report, signatures=tuple(replace(entry, **unsaid) for entry in report.signatures))  # type: ignore[arg-type]


def test_trusted_lists_are_believed_behind_walls(validator: Validator) -> None:
    report = validator.validate(sign("b-t", who=qualified()), at=SOON)
    assert report.signatures[0].qualification is Qualification.QUALIFIED_SEAL


def test_own_seals_bear_nothing_else(believed: Believed) -> None:
    own = house().seal.asn1.sha256.hex()
    twice = sign("b-t", pdf=sign("b-t"), name="Second", who=certify("second", house().issuing, (2023, 2027)))
    with Validator(LIMITS, replace_struct(believed, own)) as strict:
        assert strict.validate(twice, at=SOON).verdict is Verdict.MODIFIED
        assert strict.validate(sign("b-lta"), at=SOON).valid


def replace_struct(believed: Believed, own: str) -> Believed:
    return Believed(believed.anchors, believed.lists, believed.operators, (own,))


def test_a_document_of_thirty_million_bytes_is_judged_and_one_more_byte_is_not(validator: Validator) -> None:
    largest = sign("b-t", pdf=large(LIMITS.size - 40_000))
    assert LIMITS.size - 40_000 < len(largest) <= LIMITS.size
    began = time.monotonic()
    assert validator.validate(largest, at=SOON).valid
    assert time.monotonic() - began < LIMITS.wall
    report = validator.validate(bytes(LIMITS.size + 1), at=SOON)
    assert (report.verdict, report.code) == (Verdict.INDETERMINATE, "too_large")


def large(size: int) -> bytes:
    """A document with an attachment of random bytes: nothing packs it."""
    return made.attached("large.bin", os.urandom(size))


@pytest.mark.parametrize(
    "document",
    [
        made.with_stream(made.deflated_zeros(1024 * MIB)),
        made.looping_pages(),
        made.looping_cross_references(),
        made.nested(2_000_000),
        b"%PDF-1.7\n" + b"<<" * 2_000_000,
        b"%PDF-1.7\n" + os.urandom(MIB),
    ],
    ids=["bomb", "page loop", "cross-reference loop", "nesting", "open ends", "noise"],
)
def test_a_hostile_document_is_indeterminate_and_the_next_one_is_judged(validator: Validator, document: bytes) -> None:
    before = validator.helper_pid
    report = validator.validate(document, at=SOON)
    assert report.verdict is Verdict.INDETERMINATE, report
    assert report.code is not None
    assert validator.validate(sign("b-t"), at=SOON).valid
    assert validator.helper_pid == before


@pytest.mark.parametrize(
    ("probe", "code"),
    [
        ("crash", "check_crashed"),
        ("abort", "check_crashed"),
        ("error", "check_crashed"),
        ("noise", "check_crashed"),
        ("nothing", "check_crashed"),
        ("a lie", "check_crashed"),
        ("another document", "check_crashed"),
        ("endless", "check_crashed"),
        ("spin", "check_timeout"),
        ("memory", "check_memory"),
    ],
)
def test_whatever_becomes_of_the_reader_is_indeterminate(probes: Validator, probe: str, code: str) -> None:
    before = probes.helper_pid
    with capture_logs() as logged:
        report = probes.validate(f"probe:{probe}".encode(), at=SOON)
    assert (report.verdict, report.code, report.signatures) == (Verdict.INDETERMINATE, code, ())
    assert {entry["event"] for entry in logged} == {"validation_unfinished"}
    assert probes.helper_pid == before
    assert childless(before)


def test_a_reader_that_hangs_is_ended_and_nobody_is_told_that_the_document_is_bad(believed: Believed) -> None:
    with (
        Validator(replace(LIMITS, wall=0.5), believed, program=PROGRAM) as probing,
        pytest.raises(Retryable),
    ):
        probing.validate(b"probe:sleep", at=SOON)


def test_a_reader_that_ends_while_nobody_waits_for_it_any_more_takes_no_helper_with_it(
    believed: Believed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The helper learns of both in one round of events, and of the reader's end first."""
    monkeypatch.setattr("service.inspection.readers._GRACE", 0.5)
    with Validator(replace(LIMITS, wall=0.5), believed, program=PROGRAM) as probing:
        helper = probing.helper_pid

        def ask() -> None:
            with pytest.raises(Retryable):
                probing.validate(b"probe:sleep", at=SOON)

        asking = threading.Thread(target=ask)
        asking.start()
        while not (readers := children_of(helper)):
            time.sleep(0.01)
        os.kill(helper, signal.SIGSTOP)
        os.kill(int(readers[0]), signal.SIGKILL)
        asking.join()
        os.kill(helper, signal.SIGCONT)
        with capture_logs() as logged:
            assert [probing.validate(b"probe:socket", at=SOON).code for _ in range(2)] == ["refused", "refused"]
        assert (probing.helper_pid, logged) == (helper, [])


def test_a_reader_can_neither_speak_nor_read_files(probes: Validator) -> None:
    for attempt in ("socket", "open a file", "fork"):
        assert probes.validate(f"probe:{attempt}".encode(), at=SOON).code == "refused"


def test_the_helper_is_nobody_and_silent(validator: Validator) -> None:
    helper = status_of(validator.helper_pid)
    assert helper["NoNewPrivs"] == "1"
    assert set(helper["Uid"].split()) != {"0"}


def test_a_trust_file_that_is_not_there_keeps_the_validator_from_starting(tmp_path: Path) -> None:
    with pytest.raises(Retryable), Validator(LIMITS, Believed(anchors=(str(tmp_path / "none.pem"),))):
        pass


def test_nothing_of_a_document_is_logged(believed: Believed) -> None:
    """pyHanko logs certificates' names; the helper's standard error is the service's."""
    program = (
        "import sys, datetime, json\n"
        "from service.inspection.limits import InspectionLimits\n"
        "from service.inspection.validating import Believed\n"
        "from service.inspection.validator import Validator\n"
        "believed = Believed(anchors=tuple(json.loads(sys.argv[1])))\n"
        "with Validator(InspectionLimits(), believed) as validator:\n"
        "    pdf = sys.stdin.buffer.read()\n"
        "    print(validator.validate(pdf, at=datetime.datetime.fromisoformat(sys.argv[2])).code)\n"
    )
    import json

    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(believed.anchors), SOON.isoformat()],
        input=sign("b-t", of=house("strange ")),
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert done.stdout.strip() == b"untrusted_no_certificate_chain_found"
    assert b"fictional" not in done.stderr
