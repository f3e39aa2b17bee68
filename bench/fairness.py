"""Whether a clerk waits for a large sender: with thousands of documents waiting, how long a clerk's letter takes.

``python -m bench.fairness`` puts 50,000 documents of two large senders into the rows (with ``--quick`` 400), lets one
worker with one slot go at them, and takes in letters of a clerk of one of the two as the pages do, one after the other.
What is told: how long each took until it was sealed and until it lay in the mailbox, and what share of the work each
large sender got meanwhile.
"""

import hashlib
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import select, text

from bench.measure import Result, cost, options, report
from bench.running import DOCUMENTS, SENDERS, Running, citizens, running
from service.db.ids import new_id
from service.db.jobs import JobKind, Lane
from service.db.models import Organisation, Submission
from service.inspection.inspector import Inspection
from service.inspection.scanners.base import ScanState
from service.usecases import admission, pauses
from service.usecases import requests as forms

BULK, BULK_QUICK = 50_000, 400
LETTERS, LETTERS_QUICK = 20, 5
GROUP = 200
PROMISE = 10.0
"""Seconds within which a clerk's letter is to be sealed and in the mailbox."""
PATIENCE = 300.0
DOCUMENT = "receipt-nl-reportlab.pdf"


def main() -> None:
    """Measure, and tell."""
    chosen = options("Whether a clerk waits for a large sender")
    bulk, letters = (BULK_QUICK, LETTERS_QUICK) if chosen.quick else (BULK, LETTERS)
    with (
        tempfile.TemporaryDirectory(prefix="zending-fairness-") as folder,
        running(Path(folder) / "home", workers=1, ZENDING_WORKER_SLOTS="1") as target,
    ):
        report(measure(target, bulk=bulk, letters=letters), json_file=chosen.json)


def measure(target: Running, *, bulk: int, letters: int) -> list[Result]:
    """The figures, over a running service."""
    context = target.application.context
    large = [_organisation(target, sender.slug) for sender in SENDERS]
    with context.database.transaction() as session:
        held = [pauses.begin(session, organisation=each, reason="being filled", actor="bench") for each in large]
    began = time.monotonic()
    for organisation in large:
        fill(target, organisation, list(citizens(bulk // 2, first=610215001)))
    filled = time.monotonic() - began
    with context.database.transaction() as session:
        for each in held:
            pauses.end(session, each, "bench")
    context.wake([JobKind.SEAL])
    _until(lambda: sum(sealed(target, large)) >= min(100, bulk // 8), "the worker to be busy")
    before = sealed(target, large)
    taken = []
    for number in range(letters):
        citizen = target.activated[number % len(target.activated)]
        (letter,) = fill(target, large[0], [citizen], lane=Lane.INTERACTIVE)
        context.wake([JobKind.SEAL])
        taken.append(_times(target, large[0], letter))
    after = sealed(target, large)
    done = [later - earlier for later, earlier in zip(after, before, strict=True)]
    done[0] -= letters
    return [
        cost("large senders/documents put into the rows", float(bulk), "documents"),
        cost("large senders/filling", filled, "s"),
        cost("clerk's letter/sealed, median", statistics.median(seal for seal, _ in taken), "s"),
        cost("clerk's letter/sealed, slowest", max(seal for seal, _ in taken), "s"),
        cost("clerk's letter/in the mailbox, median", statistics.median(mailbox for _, mailbox in taken), "s"),
        cost(
            "clerk's letter/in the mailbox, slowest",
            max(mailbox for _, mailbox in taken),
            "s",
            peer="promise",
            peer_value=PROMISE,
        ),
        cost("large senders/sealed meanwhile, the first", float(done[0]), "documents"),
        cost("large senders/sealed meanwhile, the second", float(done[1]), "documents"),
        cost("large senders/still waiting at the end", float(bulk - sum(after) + letters), "documents"),
    ]


def fill(target: Running, organisation: uuid.UUID, people: Sequence[str], *, lane: Lane = Lane.BULK) -> list[uuid.UUID]:
    """Take deliveries in, by groups: real rows, each with its own encrypted document. Inspection is left out."""
    context = target.application.context
    content = (DOCUMENTS / DOCUMENT).read_bytes()
    digest = hashlib.sha256(content).digest()
    looked_at = admission.Inspected(DOCUMENT, content, _inspection(len(content)), digest, digest)
    now, submission, made_ids = context.clock(), new_id(), []
    with context.database.transaction(organisations=[organisation]) as session:
        sender = session.get_one(Organisation, organisation)
        session.expunge(sender)
        session.add(
            Submission(id=submission, organisation_id=organisation, mark=sender.mark, lane=int(lane), created_at=now)
        )
    for group in _groups(people):
        candidates = [
            admission.Candidate(request, forms.checked(request), [looked_at])
            for request in (forms.read(_form(citizen)) for citizen in group)
        ]
        made = admission.prepare(
            context, sender, admission.Sender(organisation, lane), candidates, submission_id=submission, now=now
        )
        admission.store(context, organisation, made)
        with context.database.transaction(organisations=[organisation]) as session:
            admission.record(session, made)
        made_ids += [each.dossier.id for each in made]
    return made_ids


def _inspection(size: int) -> Inspection:
    """What the inspection says of the sample document."""
    return Inspection(
        pages=1,
        size=size,
        signatures=0,
        certified=False,
        pdf_version="1.4",
        problems=(),
        replacement=None,
        scan=ScanState.NOT_SCANNED,
    )


def _groups(people: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(people), GROUP):
        yield people[start : start + GROUP]


def _form(citizen: str) -> bytes:
    name = f"Persoon {citizen[-4:]}"
    return msgspec.json.encode(
        {
            "reference": f"F-{citizen}",
            "recipient": {"type": "citizen", "id": citizen, "name": name},
            "postal_address": {
                "name": name,
                "street": "Kerkstraat",
                "number": "12",
                "postcode": "9000",
                "municipality": "Gent",
                "country": "BE",
            },
            "subject": "Beslissing over uw aanvraag",
            "language": "nl",
            "document_type": "decision",
        }
    )


def sealed(target: Running, organisations: Sequence[uuid.UUID]) -> list[int]:
    """How many documents of each organisation are sealed by now."""
    counts = text("SELECT count(*) FROM delivery WHERE organisation_id = :id AND state <> 'received'")
    found = []
    for organisation in organisations:
        with target.application.context.database.transaction(organisations=[organisation]) as session:
            found.append(int(session.scalar(counts, {"id": organisation}) or 0))
    return found


def _times(target: Running, organisation: uuid.UUID, delivery: uuid.UUID) -> tuple[float, float]:
    """Seconds from the hand-in of a delivery until it was sealed, and until it lay in the mailbox."""
    events = text("SELECT event, at FROM delivery_event WHERE delivery_id = :id")

    def look() -> tuple[float, float] | None:
        with target.application.context.database.transaction(organisations=[organisation]) as session:
            at: dict[str, datetime] = {row[0]: row[1] for row in session.execute(events, {"id": delivery})}
        if "ContentConsignment" not in at:
            return None
        began = at["handed_in"]
        return (
            (at["SubmissionAcceptance"] - began).total_seconds(),
            (at["ContentConsignment"] - began).total_seconds(),
        )

    found = _until(look, "a clerk's letter to be in the mailbox")
    assert isinstance(found, tuple)
    return found


def _organisation(target: Running, slug: str) -> uuid.UUID:
    with target.application.context.database.transaction() as session:
        return session.scalars(select(Organisation.id).where(Organisation.slug == slug)).one()


def _until(look: Callable[[], object], what: str) -> object:
    ends = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > ends:
            raise RuntimeError(f"it did not come in {PATIENCE:.0f} s: {what}")
        time.sleep(0.02)
    return found


if __name__ == "__main__":
    main()
