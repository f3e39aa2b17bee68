"""For tests of use cases: people and their mailboxes, notices that are caught, steps that are run twice."""

import dataclasses
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.db import jobs
from service.db.ids import DELIVERY, parse_id
from service.db.jobs import JobKind, NewJob
from service.domain.identifiers import RecipientId, RecipientKind
from service.embedded.fictional import RECIPIENTS
from service.engine import steps as engine_steps
from service.notifications.base import ActivationCode, Notice, Outcome, Result
from service.printers.wired import Printers
from service.usecases import activation, deliveries, mailbox
from service.usecases.context import Context
from service.usecases.mailbox import Reader
from service.usecases.personal import find_hash
from tests.engine_support import execute
from tests.evidence_schema_support import VALIDATOR
from tests.pipeline_support import Pipeline, TestDatabase

LOGGED_IN = datetime(2026, 11, 23, 8, tzinfo=UTC)
# What grows when something happens; the second run of a step must leave all of it alone.
TABLES = (
    "delivery", "leg", "document", "delivery_event", "evidence", "ledger_pending", "ledger_leaf", "mailbox_item",
    "print_letter", "print_batch", "job", "activation", "mailbox",
)  # fmt: skip


@dataclass
class Post:
    """A notifier that keeps what it is given, and answers as it is told: by address, else ``SENT``."""

    sent: list[Notice] = field(default_factory=list)
    answers: dict[str, tuple[Result, str]] = field(default_factory=dict)
    enhanced: dict[str, str] = field(default_factory=dict)

    def send_many(self, notices: Sequence[Notice], *, now: datetime) -> list[Outcome]:
        assert now.tzinfo is not None
        self.sent += notices
        return [
            Outcome(
                each.reference,
                *self.answers.get(each.to, (Result.SENT, None)),
                enhanced=self.enhanced.get(each.to),
            )
            for each in notices
        ]

    @property
    def code(self) -> str:
        """The digits of the code that was sent last."""
        what = self.sent[-1].what
        assert isinstance(what, ActivationCode)
        return what.code


def with_post(pipeline: Pipeline) -> Post:
    """Catch all notices from now on."""
    post = Post()
    change(pipeline, notifier=post)
    return post


def change(pipeline: Pipeline, **parts: Any) -> Context:
    """Replace parts of what use cases are given."""
    pipeline.context = dataclasses.replace(pipeline.context, **parts)
    return pipeline.context


def change_way(pipeline: Pipeline, provider: object, **told: str) -> None:
    """Put another way to the print house in the place of the real one; ``place``: where it leads, if elsewhere."""
    printers = pipeline.context.printers.values()
    change(pipeline, printers=Printers([dataclasses.replace(each, provider=provider, **told) for each in printers]))


def reader(pipeline: Pipeline, key: str = "an", assurance: str | None = "substantial") -> Reader:
    """One of the fictional recipients, as they log in."""
    known = RECIPIENTS[key]
    kind = RecipientKind(known.kind)
    assert known.number is not None
    return Reader(
        find_hash(pipeline.context, RecipientId.parse(kind, known.number)),
        kind,
        assurance,
        provider="https://aanmelden.test",
        person="an-opaque-id",
        authenticated_at=LOGGED_IN,
    )


def activate(pipeline: Pipeline, key: str = "an", *, email: str = "an@voorbeeld.test", language: str = "nl") -> Reader:
    """Activate a mailbox; the notice that carries the code goes nowhere else."""
    who, before, post = reader(pipeline, key), pipeline.context, Post()
    context = dataclasses.replace(before, notifier=post)
    activation.begin(context, who, email, language)
    activation.confirm(context, who, post.code, consent_version=activation.CONSENT_VERSION)
    return who


def deliver(pipeline: Pipeline, sender: uuid.UUID, key: str = "an", **fields: Any) -> str:
    """Hand in and do all work that follows; the delivery's id."""
    handed = pipeline.hand_in(sender, key, **fields)
    pipeline.work()
    return handed.delivery_id


def status(pipeline: Pipeline, sender: uuid.UUID, delivery: str) -> str:
    return deliveries.get(pipeline.context, sender, delivery).status


def events(pipeline: Pipeline, sender: uuid.UUID, delivery: str) -> list[str]:
    return [entry.event for entry in deliveries.evidence_list(pipeline.context, sender, delivery)]


def evidence(pipeline: Pipeline, sender: uuid.UUID, delivery: str, event: str) -> dict[str, Any]:
    """The record of the one evidence of this event."""
    (entry,) = [each for each in deliveries.evidence_list(pipeline.context, sender, delivery) if each.event == event]
    found = deliveries.evidence_one(pipeline.context, sender, delivery, entry.id)
    VALIDATOR.validate(found)
    record = found["record"]
    assert isinstance(record, dict)
    return record


def problems(pipeline: Pipeline, sender: uuid.UUID, delivery: str) -> list[str]:
    return [problem.code for problem in deliveries.get(pipeline.context, sender, delivery).problems]


def snapshot(database: TestDatabase) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of what grows, but for jobs' own bookkeeping."""
    return {table: execute(database, f"SELECT t::text FROM {table} t ORDER BY 1") for table in TABLES}


def put_again(pipeline: Pipeline, kind: JobKind, sender: uuid.UUID, subject: str | uuid.UUID, leg: int = 0) -> None:
    """Put a job once more, as if its removal had been lost."""
    subject_id = parse_id(DELIVERY, subject) if isinstance(subject, str) else subject
    with pipeline.context.database.transaction() as session:
        jobs.put(session, [NewJob(kind, sender, subject_id, leg=leg)])


def parked(database: TestDatabase) -> list[str]:
    return [code for (code,) in execute(database, "SELECT last_error FROM job WHERE parked_at IS NOT NULL")]


def waiting(database: TestDatabase) -> list[tuple[str, str | None]]:
    """Kind and last error of the jobs that wait."""
    found = execute(database, "SELECT kind, last_error FROM job WHERE parked_at IS NULL ORDER BY kind")
    return [(kind, error) for kind, error in found]


def orphans(database: TestDatabase) -> int:
    """Objects that were intended and don't count."""
    return int(execute(database, "SELECT count(*) FROM vault_object WHERE kept_at IS NULL")[0][0])


def never_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what failed be due again at once."""
    monkeypatch.setattr(engine_steps, "wait", lambda _: 0.0)


@contextmanager
def at(pipeline: Pipeline, moment: datetime) -> Iterator[None]:
    """Let it be this moment for the use cases."""
    pipeline.skew = moment - datetime.now(UTC)
    try:
        yield
    finally:
        pipeline.skew = timedelta()


Sender = Callable[..., uuid.UUID]


def own_messages(pipeline: Pipeline, who: Reader) -> list[str]:
    return [each.id for each in mailbox.messages(pipeline.context, who, cursor=None, limit=50).items]
