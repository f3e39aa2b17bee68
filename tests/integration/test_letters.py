"""The step ``letter``: a print copy per paper leg, and an evidenced end for one that can't be printed."""

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import pytest
import zxingcpp

from printing.asked import Look
from printing.checks import Findings
from printing.errors import Problem
from printing.letters import compose as compose_letter
from printing.profiles import Box
from printing.sentences import SENTENCES
from service.db.ids import DELIVERY, parse_id
from service.db.jobs import JobKind
from service.domain.errors import Retryable
from service.domain.evidence import REASONS, EvidenceEvent
from service.engine.patience import patience
from service.engine.steps import run_chunk
from service.engine.tallies import Account
from service.usecases import composing, deliveries, dossiers, letters, personal
from service.usecases.admission import Upload
from service.usecases.progress import MOST_NOTED, Progress
from tests.engine_support import SHORT_LEASE, execute, outlast_leases
from tests.letter_check_support import code, ink, pages, text
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import (
    Sender,
    change,
    deliver,
    events,
    evidence,
    orphans,
    parked,
    problems,
    put_again,
    snapshot,
    status,
    waiting,
)

CLOSED = REASONS[EvidenceEvent.RELAY_TO_NON_ERDS_FAILURE]

DATA_MATRIX = zxingcpp.BarcodeFormat.DataMatrix


def readdress(pipeline: Pipeline, sender: Any, delivery: str, **address: Any) -> None:
    """Change the address behind the back of the hand-in's checks; without fields, take it away."""
    key = parse_id(DELIVERY, delivery)
    with pipeline.context.database.transaction(organisations=[sender]) as session:
        dossier = dossiers.load(session, pipeline.context, [key])[key]
        known = dossier.personal
        assert known.address is not None
        changed = {name: getattr(known.address, name) for name in known.address.__slots__} | address
        new = personal.Personal(
            known.kind, known.number, known.name, known.subject, type(known.address)(**changed) if address else None
        )
        sealed = personal.seal_personal(pipeline.context, new, sender, dossier.delivery.retention_year, key)
        session.connection().exec_driver_sql("UPDATE delivery SET personal = %s WHERE id = %s", (sealed, key))


def test_a_letter_is_composed_stored_and_queued_with_what_the_batch_needs(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = deliver(pipeline, sender, "jan")
    key = parse_id(DELIVERY, delivery)
    ((postcode, path, sha256, pages, sheets, batch),) = execute(
        database, "SELECT postcode, path, sha256, pages, sheets, batch_id FROM print_letter"
    )
    assert (postcode, batch) == ("8500", None)
    assert pages == 2 * sheets
    content = pipeline.context.vault.read(path, sender, key, "print-1")
    assert hashlib.sha256(content).digest() == bytes(sha256)
    assert orphans(database) == 0
    before = snapshot(database)
    put_again(pipeline, JobKind.LETTER, sender, delivery, 1)
    pipeline.work()
    assert snapshot(database) == before


@pytest.mark.parametrize(
    ("address", "reason", "code"),
    [
        ({}, "address_missing", "address_missing"),
        ({"name": "W" * 300}, "address_refused", "ADDR_"),
        ({"street": "M" * 200}, "address_refused", "ADDR_"),
    ],
)
def test_an_address_that_can_not_be_printed_ends_the_leg_with_evidence(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, address: dict[str, str], reason: str, code: str
) -> None:
    sender = organisation()
    good, bad = (pipeline.hand_in(sender, "jan").delivery_id for _ in range(2))
    pipeline.work(JobKind.SEAL, JobKind.ROUTE)
    readdress(pipeline, sender, bad, **address)
    pipeline.work()
    assert (status(pipeline, sender, good), status(pipeline, sender, bad)) == ("to_print", "undeliverable")
    record = evidence(pipeline, sender, bad, "RelayToNonERDSFailure")
    assert record["reasons"] == [reason]
    assert reason in CLOSED
    assert record["external"]["name"] == pipeline.context.printers.first.name
    assert problems(pipeline, sender, bad)[-1].startswith(code)
    told = repr(deliveries.get(pipeline.context, sender, bad).problems)
    assert "WWW" not in told
    assert "MMM" not in told
    assert (waiting(database), parked(database)) == ([], [])
    before = snapshot(database)
    put_again(pipeline, JobKind.LETTER, sender, bad, 1)
    pipeline.work()
    assert snapshot(database) == before


def test_a_letter_that_fails_its_checks_is_refused_as_a_letter(
    pipeline: Pipeline, organisation: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation()
    problem = Problem("TOO_MANY_SHEETS", "The letter has 200 sheets.")
    context = pipeline.context
    monkeypatch.setattr(context.letters, "check", lambda looks: [Findings(problems=(problem,)) for _ in looks])
    delivery = deliver(pipeline, sender, "jan")
    assert evidence(pipeline, sender, delivery, "RelayToNonERDSFailure")["reasons"] == ["letter_refused"]
    assert problems(pipeline, sender, delivery)[-1] == "TOO_MANY_SHEETS"


def test_everything_that_keeps_a_letter_from_being_printed_is_told_with_page_and_places(
    pipeline: Pipeline, organisation: Sender
) -> None:
    """The document's own margins, looked at behind walls; page 3 is the first behind the address page and its back."""
    sender = organisation()
    wrong = pages(
        [ink(Box(2, 100, 8, 110)), ink(Box(2, 200, 8, 210))],
        [text(20, 150, "goed"), code("VL1|000000000001|001|001|00000001|D|B", DATA_MATRIX, 100, 100, 9, 9)],
        [ink(Box(5, 132, 6, 133))],
    )
    delivery = pipeline.hand_in(sender, "jan", uploads=[Upload("document", "brief.pdf", wrong)]).delivery_id
    pipeline.work()
    shown = json.loads(msgspec.json.encode(deliveries.get(pipeline.context, sender, delivery)))
    told = [each for each in shown["problems"] if each["code"] in SENTENCES]
    assert [(each["code"], each["page"], each["boxes"]) for each in told] == [
        ("INK_OUTSIDE", 3, [[2, 100, 8, 110], [2, 200, 8, 210]]),
        ("MARK_IN_CONTENT", 4, [[100, 100, 109, 109]]),
        ("INK_OUTSIDE", 5, [[5, 132, 6, 133]]),
        ("CODE_ZONE", 5, [[5, 132, 6, 133]]),
    ]
    assert all("boxes" not in each for each in shown["problems"] if each not in told)
    assert status(pipeline, sender, delivery) == "undeliverable"
    assert evidence(pipeline, sender, delivery, "RelayToNonERDSFailure")["reasons"] == ["letter_refused"]


def test_what_stands_outside_of_the_margins_alone_is_printed_smaller_and_its_sender_told(
    pipeline: Pipeline, organisation: Sender
) -> None:
    sender = organisation()
    scan = pages([ink(Box(0, 0, 210, 297), grey=0.5)])
    delivery = pipeline.hand_in(sender, "jan", uploads=[Upload("document", "scan.pdf", scan)]).delivery_id
    pipeline.work()
    assert status(pipeline, sender, delivery) == "to_print"
    assert problems(pipeline, sender, delivery)[-1] == "PAGE_REDUCED"


def test_a_sender_is_told_so_many_problems_and_no_more(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    key = parse_id(DELIVERY, deliver(pipeline, sender, "jan"))
    with pipeline.context.database.transaction(organisations=[sender]) as session:
        dossier = dossiers.load(session, pipeline.context, [key])[key]
    progress = Progress(pipeline.context, now=pipeline.now)
    before = len(dossier.delivery.problems)
    found = [Problem("INK_OUTSIDE", "A sentence.", page, (Box(1, 2, 3, 4),)) for page in range(1, 200)]
    for _ in range(2):
        progress.note_letter(dossier, found)
    assert len(dossier.delivery.problems) == before + MOST_NOTED


def test_a_document_that_printing_goes_in_circles_over_ends_as_one_that_can_not_be_printed(
    pipeline: Pipeline, organisation: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(*_: object, **__: object) -> None:
        while True:
            continue

    monkeypatch.setattr(composing, "patience", partial(patience, 0.3))
    monkeypatch.setattr(composing, "compose", endless)
    sender = organisation()
    delivery = deliver(pipeline, sender, "jan")
    assert evidence(pipeline, sender, delivery, "RelayToNonERDSFailure")["reasons"] == ["letter_refused"]
    assert problems(pipeline, sender, delivery)[-1] == "too_complex"


def test_what_was_cancelled_while_it_was_composed_is_not_queued(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation()
    first, second = (pipeline.hand_in(sender, "jan").delivery_id for _ in range(2))
    pipeline.work(JobKind.SEAL, JobKind.ROUTE)
    compose, check = compose_letter, pipeline.context.letters.check
    calls: list[int] = []

    def cancelled(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            deliveries.cancel(pipeline.context, sender, first)
            deliveries.cancel(pipeline.context, sender, second)
        return compose(*arguments, **named)

    def refused_second(looks: Sequence[Look]) -> list[Findings | Retryable]:
        refused = Findings(problems=(Problem("PDF_UNREADABLE", "It can't be read."),))
        return [*check(looks[:1]), *(refused for _ in looks[1:])]

    monkeypatch.setattr("service.usecases.composing.compose", cancelled)
    monkeypatch.setattr(pipeline.context.letters, "check", refused_second)
    pipeline.work()
    for delivery in (first, second):
        assert status(pipeline, sender, delivery) == "cancelled"
        assert events(pipeline, sender, delivery) == ["SubmissionAcceptance"]
    assert execute(database, "SELECT 1 FROM print_letter") == []
    assert orphans(database) == 1
    assert waiting(database) == []


def test_letters_that_are_looked_at_for_longer_than_a_lease_are_not_lost(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    delivery = pipeline.hand_in(organisation(), "jan").delivery_id
    pipeline.work(JobKind.SEAL, JobKind.ROUTE)
    real = pipeline.context.letters

    class Slow:
        """A look takes longer than the lease."""

        def check(self, looks: Sequence[Look]) -> Sequence[Findings | Retryable]:
            outlast_leases(database)
            return real.check(looks)

    context = change(pipeline, letters=Slow())
    seen: list[Account] = []
    step = letters.step(context)
    assert run_chunk(context.database, step, lease_seconds=SHORT_LEASE, watch=seen.append) == 1
    assert (seen[0].outcomes["done"], seen[0].outcomes["lost"]) == (1, 0), delivery


def test_a_problem_is_noted_once(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    key = parse_id(DELIVERY, deliver(pipeline, sender, "jan"))
    with pipeline.context.database.transaction(organisations=[sender]) as session:
        dossier = dossiers.load(session, pipeline.context, [key])[key]
    progress = Progress(pipeline.context, now=pipeline.now)
    before = len(dossier.delivery.problems)
    for _ in range(2):
        progress.note(dossier, "code", "A sentence.")
    assert len(dossier.delivery.problems) == before + 1
    with pytest.raises(KeyError):
        dossier.leg(9)
