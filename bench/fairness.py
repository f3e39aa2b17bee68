"""Whether a clerk waits for a large sender: with thousands of documents waiting, how long a clerk's letter takes.

``python -m bench.fairness`` puts 50,000 documents of one large sender into the rows (with ``--quick`` 2,000), lets one
worker with one slot go at them, and takes in letters of a clerk of that same sender as the pages do, one after the
other with a pause between. Then a second large sender comes with as many as the worker can do meanwhile, and it is
done again. What is told: how long each letter took until it was sealed and until it lay in the mailbox, and what share
of the work each large sender got while both were waiting. Last, programs ask for the clerks' lane without end, with all
that the settings let all of them have together, and the clerk's letters go once more.
"""

import hashlib
import statistics
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec
from sqlalchemy import select, text

from bench.measure import Result, cost, options, rate, report
from bench.running import DOCUMENTS, SENDERS, Running, citizens, running
from service.db.ids import new_id
from service.db.jobs import JobKind, Lane
from service.db.models import Organisation, Submission
from service.inspection.inspector import Inspection
from service.inspection.scanners.base import ScanState
from service.usecases import admission, pauses, quotas
from service.usecases import requests as forms

BULK, BULK_QUICK = 50_000, 2_000
SECOND, SECOND_QUICK = 10_000, 1_500
"""Documents of the sender who comes later: more than are sealed while the letters go."""
LETTERS, LETTERS_QUICK = 40, 5
"""A clerk's letters, with one large sender waiting, again with two, and again while programs ask for the same lane."""
PAUSE = 0.5
GROUP = 200
PROMISE = 10.0
"""Seconds within which a clerk's letter is to be sealed and in the mailbox."""
PATIENCE = 300.0
DOCUMENT = "receipt-nl-reportlab.pdf"


@dataclass(frozen=True)
class Size:
    """How much is put in: documents of the two large senders, letters of the clerk."""

    first: int
    second: int
    letters: int


def main() -> None:
    """Measure, and tell."""
    chosen = options("Whether a clerk waits for a large sender")
    size = Size(BULK_QUICK, SECOND_QUICK, LETTERS_QUICK) if chosen.quick else Size(BULK, SECOND, LETTERS)
    with (
        tempfile.TemporaryDirectory(prefix="zending-fairness-") as folder,
        running(Path(folder) / "home", workers=1, ZENDING_WORKER_SLOTS="1") as target,
    ):
        report(measure(target, size), json_file=chosen.json)


def measure(target: Running, size: Size) -> list[Result]:
    """The figures, over a running service."""
    first, second = (_organisation(target, sender.slug) for sender in SENDERS)
    began = time.monotonic()
    _fill_and_release(target, first, size.first)
    filled = time.monotonic() - began
    alone = _letters(target, first, size.letters)
    _fill_and_release(target, second, size.second)
    before = sealed(target, [first, second])
    beside = _letters(target, first, size.letters)
    after = sealed(target, [first, second])
    done = [later - earlier for later, earlier in zip(after, before, strict=True)]
    done[0] -= size.letters
    with _asking(target, [first, second]) as lanes:
        hurried = _letters(target, first, size.letters)
        after = sealed(target, [first, second])
    if after[0] >= size.first or after[1] >= size.second:
        raise RuntimeError("a large sender's documents ran out: the shares say nothing")
    return [
        cost("large sender/documents put into the rows", float(size.first), "documents"),
        cost("large sender/filling", filled, "s"),
        *_told("one large sender waits", alone),
        *_told("two large senders wait", beside),
        *_told("programs ask for the clerks' lane", hurried),
        cost("programs ask for the clerks' lane/got it", float(lanes[Lane.INTERACTIVE]), "documents"),
        cost("programs ask for the clerks' lane/did not", float(lanes[Lane.BULK]), "documents"),
        cost("large sender/still waiting at the end", float(size.first + 3 * size.letters - after[0]), "documents"),
        rate(
            "shares/first large sender",
            float(done[0]),
            "documents",
            peer="second large sender",
            peer_value=float(done[1]),
        ),
    ]


def _fill_and_release(target: Running, organisation: uuid.UUID, count: int) -> None:
    """Put documents in behind a pause, let them go at once, and wait until the worker is at them."""
    context = target.application.context
    with context.database.transaction() as session:
        held = pauses.begin(session, organisation=organisation, reason="being filled", actor="bench")
    fill(target, organisation, list(citizens(count, first=610215001)))
    with context.database.transaction() as session:
        pauses.end(session, held, "bench")
    context.wake([JobKind.SEAL])
    _until(lambda: sum(sealed(target, [organisation])) >= min(100, count // 8), "the worker to be busy")


def _letters(target: Running, organisation: uuid.UUID, count: int) -> list[tuple[float, float]]:
    """A clerk's letters one after the other; for each the seconds until it was sealed and until it lay there."""
    taken = []
    for number in range(count):
        citizen = target.activated[number % len(target.activated)]
        (letter,) = fill(target, organisation, [citizen], lane=Lane.INTERACTIVE)
        target.application.context.wake([JobKind.SEAL])
        taken.append(_times(target, organisation, letter))
        time.sleep(PAUSE)
    return taken


@contextmanager
def _asking(target: Running, organisations: Sequence[uuid.UUID]) -> Iterator[Counter[Lane]]:
    """Meanwhile programs of these organisations hand in and ask for the clerks' lane; what they got, as it grows.

    No organisation has a bound of its own: only that of all together holds them.
    """
    context, lanes, over = target.application.context, Counter[Lane](), threading.Event()
    for each in organisations:
        with context.database.transaction(organisations=[each]) as session:
            quotas.set_limits(session, each, interactive_per_minute=1000)

    def ask() -> None:
        while not over.is_set():
            for each in organisations:
                lane = quotas.lane_for(context, each, 1)
                lanes[lane] += 1
                fill(target, each, [target.activated[0]], lane=lane)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield lanes
    finally:
        over.set()
        thread.join()


def _told(case: str, taken: Sequence[tuple[float, float]]) -> Iterator[Result]:
    for what, column in (("sealed", 0), ("in the mailbox", 1)):
        seconds = sorted(each[column] for each in taken)
        yield cost(f"{case}/letter {what}, p50", statistics.median(seconds), "s")
        yield cost(f"{case}/letter {what}, p95", seconds[max(0, round(0.95 * len(seconds)) - 1)], "s")
        slowest = seconds[-1]
        yield cost(f"{case}/letter {what}, slowest", slowest, "s", peer="promise", peer_value=PROMISE)


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
            for request in (forms.read(form(citizen)) for citizen in group)
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


def form(citizen: str) -> bytes:
    """The JSON of a letter to a citizen."""
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
