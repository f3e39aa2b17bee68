"""Webhooks as rows: subscriptions, messages and attempts; migrations are their definition."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import ARRAY, CursorResult, Integer, SmallInteger, Text, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base, among
from service.db.jobs import JobKind
from service.db.writing import GIVEN, Part, write
from service.domain.webhooks import MessageState, State


class Webhook(Base):
    """A subscription: where messages of which types go (``types`` None: all); ``secrets`` is encrypted."""

    __tablename__ = "webhook"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    url: Mapped[str]
    types: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    description: Mapped[str]
    secrets: Mapped[bytes]
    state: Mapped[str]
    reason: Mapped[str | None]
    state_since: Mapped[datetime]
    failures: Mapped[int] = mapped_column(Integer, default=0)
    failing_since: Mapped[datetime | None]
    rest_until: Mapped[datetime | None]
    created_at: Mapped[datetime]


class WebhookMessage(Base):
    """What one subscription is told of one event; the id is the event's.

    ``attempts`` numbers all that were made, ``tries`` those of the schedule that runs; without ``next_at`` none comes.
    """

    __tablename__ = "webhook_message"
    webhook_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    delivery_id: Mapped[uuid.UUID | None]
    type: Mapped[str]
    at: Mapped[datetime]
    data: Mapped[dict[str, Any]]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    tries: Mapped[int] = mapped_column(Integer, default=0)
    next_at: Mapped[datetime | None]
    written_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class WebhookAttempt(Base):
    """One attempt to bring a message: a status code, or the class of what went wrong."""

    __tablename__ = "webhook_attempt"
    webhook_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    message_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    at: Mapped[datetime]
    milliseconds: Mapped[int] = mapped_column(Integer)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    error: Mapped[str | None]


MESSAGES: Final = Part(
    "webhook_messages_added",
    f"""
    INSERT INTO webhook_message (webhook_id, id, organisation_id, delivery_id, type, at, data, state, next_at)
    SELECT w.id, given.id, given.organisation_id, given.delivery_id, given.type, given.at, given.data, 'waiting',
           clock_timestamp()
    FROM {GIVEN} JOIN webhook w ON w.organisation_id = given.organisation_id
    WHERE w.state <> 'removed' AND (w.types IS NULL OR given.type = ANY (w.types))
    """,  # noqa: S608  no value is ever put into the text
    (
        ("id", "uuid"),
        ("organisation_id", "uuid"),
        ("delivery_id", "uuid"),
        ("type", "text"),
        ("at", "timestamptz"),
        ("data", "jsonb"),
    ),
)
"""A message of each event for each subscription of its organisation that wants it; most organisations have none."""

# For each subscription its first entry in the index of what waits, as no comparison with the clock, which moves, reads
# an index; its job is put once, however much is due.
_PUT_DUE = text(
    """
    INSERT INTO job (id, kind, organisation_id, lane, subject_id, leg, due_at, wanted_at)
    SELECT gen_random_uuid(), :kind, w.organisation_id, 1, w.id, 0, clock_timestamp(), clock_timestamp()
    FROM webhook w
    WHERE w.state = 'active' AND (w.rest_until IS NULL OR w.rest_until <= clock_timestamp())
      AND (SELECT m.next_at FROM webhook_message m WHERE m.webhook_id = w.id AND m.next_at IS NOT NULL
           ORDER BY m.next_at LIMIT 1) <= clock_timestamp()
    ON CONFLICT (kind, subject_id, leg) DO NOTHING
    """
)


def put_due(session: Session) -> int:
    """Put a job for each subscription of the organisations in scope that has something to send; how many are new."""
    return _touched(session.execute(_PUT_DUE, {"kind": JobKind.WEBHOOK.value}))


_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(:lock)")


def one_at_a_time(session: Session, organisation: uuid.UUID) -> None:
    """Let an organisation's new subscriptions come one after the other: the second counts what the first made."""
    session.execute(_ONE_AT_A_TIME, {"lock": organisation.int & (2**63 - 1)})


def add(session: Session, row: Webhook) -> None:
    """Write a new subscription."""
    session.add(row)
    session.flush()


def of_organisation(session: Session, organisation: uuid.UUID) -> Sequence[Webhook]:
    """An organisation's subscriptions that were not removed, oldest first."""
    query = select(Webhook).where(Webhook.organisation_id == organisation, Webhook.state != State.REMOVED.value)
    return session.scalars(query.order_by(Webhook.id)).all()


def one(session: Session, organisation: uuid.UUID, webhook: uuid.UUID, *, lock: bool = False) -> Webhook | None:
    """A subscription of this organisation that was not removed."""
    found = by_ids(session, [webhook], lock=lock).get(webhook)
    return found if found is not None and found.organisation_id == organisation else None


def by_ids(session: Session, ids: Collection[uuid.UUID], *, lock: bool = False) -> dict[uuid.UUID, Webhook]:
    """Subscriptions by id, without those that were removed; locked in one order."""
    query = select(Webhook).where(among(Webhook.id, ids), Webhook.state != State.REMOVED.value).order_by(Webhook.id)
    if lock:
        # Whoever writes messages refers to these rows, and must not wait for whoever changes them.
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return {row.id: row for row in session.scalars(query)}


def due(session: Session, webhook: uuid.UUID, *, limit: int) -> Sequence[WebhookMessage]:
    """A subscription's messages that are to be tried now, those that waited longest first."""
    query = select(WebhookMessage).where(
        WebhookMessage.webhook_id == webhook, WebhookMessage.next_at <= func.statement_timestamp()
    )
    return session.scalars(query.order_by(WebhookMessage.next_at).limit(limit)).all()


def message(
    session: Session, webhook: uuid.UUID, message_id: uuid.UUID, *, lock: bool = False
) -> WebhookMessage | None:
    """One message of a subscription."""
    return session.get(WebhookMessage, (webhook, message_id), with_for_update=lock or None, populate_existing=True)


def page(
    session: Session, webhook: uuid.UUID, *, state: MessageState | None, before: uuid.UUID | None, limit: int
) -> Sequence[WebhookMessage]:
    """One page of a subscription's messages, newest event first."""
    query = select(WebhookMessage).where(WebhookMessage.webhook_id == webhook)
    if state is not None:
        query = query.where(WebhookMessage.state == state.value)
    if before is not None:
        query = query.where(WebhookMessage.id < before)
    return session.scalars(query.order_by(WebhookMessage.id.desc()).limit(limit)).all()


def attempts(
    session: Session, webhook: uuid.UUID, messages: Collection[uuid.UUID]
) -> dict[uuid.UUID, list[WebhookAttempt]]:
    """How the attempts of these messages went, oldest first."""
    query = select(WebhookAttempt).where(
        WebhookAttempt.webhook_id == webhook, among(WebhookAttempt.message_id, messages)
    )
    found: dict[uuid.UUID, list[WebhookAttempt]] = {each: [] for each in messages}
    for row in session.scalars(query.order_by(WebhookAttempt.message_id, WebhookAttempt.number)):
        found[row.message_id].append(row)
    return found


@dataclass(frozen=True, slots=True)
class Standing:
    """How many of a subscription's messages wait, and how many were given up; counted up to a cap."""

    waiting: int
    failed: int


COUNTED: Final = 1000
_STANDING = text(
    """
    SELECT (SELECT count(*) FROM (SELECT FROM webhook_message m WHERE m.webhook_id = :webhook AND m.next_at IS NOT NULL
                                  LIMIT :cap) AS waiting),
           (SELECT count(*) FROM (SELECT FROM webhook_message m WHERE m.webhook_id = :webhook AND m.state = 'failed'
                                  LIMIT :cap) AS failed)
    """
)


def standing(session: Session, webhook: uuid.UUID) -> Standing:
    """How a subscription's messages stand."""
    waiting, failed = session.execute(_STANDING, {"webhook": webhook, "cap": COUNTED}).one()
    return Standing(waiting, failed)


# Whoever began a message anew while it was sent wants another try, whatever became of this one. One that is gone by now
# is left out, and one that is found stays until the transaction ends: its attempt has something to refer to.
_SAME: Final = "m.tries = given.tries AND m.next_at IS NOT DISTINCT FROM given.next_at"
_TRIED = Part(
    "webhook_messages_tried",
    f"""
    UPDATE webhook_message m SET attempts = m.attempts + 1,
        tries = CASE WHEN {_SAME} THEN m.tries + 1 ELSE m.tries END,
        state = CASE WHEN {_SAME} THEN given.state ELSE m.state END,
        next_at = CASE WHEN {_SAME} THEN clock_timestamp() + make_interval(secs => given.wait) ELSE m.next_at END
    FROM {GIVEN} WHERE m.webhook_id = given.webhook_id AND m.id = given.message_id
    RETURNING m.webhook_id, m.id, m.organisation_id, m.attempts
    """,  # noqa: S608  no value is ever put into the text
    (
        ("webhook_id", "uuid"),
        ("message_id", "uuid"),
        ("tries", "integer"),
        ("next_at", "timestamptz"),
        ("state", "text"),
        ("wait", "double precision"),
    ),
)
_ATTEMPTS = Part(
    "webhook_attempts_added",
    f"""
    INSERT INTO webhook_attempt (webhook_id, message_id, number, organisation_id, at, milliseconds, status, error)
    SELECT m.webhook_id, m.id, m.attempts, m.organisation_id, given.at, given.milliseconds, given.status, given.error
    FROM {GIVEN} JOIN webhook_messages_tried m ON m.webhook_id = given.webhook_id AND m.id = given.message_id
    """,  # noqa: S608  no value is ever put into the text
    (
        ("webhook_id", "uuid"),
        ("message_id", "uuid"),
        ("at", "timestamptz"),
        ("milliseconds", "integer"),
        ("status", "smallint"),
        ("error", "text"),
    ),
)


def tried(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down attempts, and what becomes of their messages: ``state``, and ``wait`` seconds until the next try.

    Where a message has other ``tries`` or another ``next_at`` than it was read with, the attempt is only counted.
    """
    write(session, (_TRIED, rows), (_ATTEMPTS, rows))


_REPLAY = text(
    """
    WITH chosen AS (
        SELECT m.webhook_id, m.id FROM webhook_message m
        WHERE m.webhook_id = :webhook AND m.state = 'failed' AND m.written_at >= :since
        ORDER BY m.written_at LIMIT :most FOR UPDATE
    )
    UPDATE webhook_message m SET state = 'waiting', tries = 0, next_at = clock_timestamp()
    FROM chosen WHERE m.webhook_id = chosen.webhook_id AND m.id = chosen.id
    """
)


def replay(session: Session, webhook: uuid.UUID, *, since: datetime, most: int) -> int:
    """Begin anew with messages that were given up, the oldest since a moment first; how many."""
    return _touched(session.execute(_REPLAY, {"webhook": webhook, "since": since, "most": most}))


_HASTEN = text(
    """
    WITH chosen AS (
        SELECT m.webhook_id, m.id FROM webhook_message m
        WHERE m.webhook_id = :webhook AND m.next_at > statement_timestamp() ORDER BY m.next_at LIMIT :most FOR UPDATE
    )
    UPDATE webhook_message m SET next_at = clock_timestamp()
    FROM chosen WHERE m.webhook_id = chosen.webhook_id AND m.id = chosen.id
    """
)


def hasten(session: Session, webhook: uuid.UUID, *, most: int) -> int:
    """Let messages go now that wait for a later try, those that would come soonest; how many."""
    return _touched(session.execute(_HASTEN, {"webhook": webhook, "most": most}))


_FORGET = text(
    """
    DELETE FROM webhook_message m USING (
        SELECT o.webhook_id, o.id FROM webhook_message o WHERE o.written_at < :before
        ORDER BY o.written_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ) AS old WHERE m.webhook_id = old.webhook_id AND m.id = old.id
    """
)
_EMPTY = text(
    """
    DELETE FROM webhook_message m USING (
        SELECT o.webhook_id, o.id FROM webhook_message o JOIN webhook w ON w.id = o.webhook_id
        WHERE w.state = 'removed' LIMIT :limit FOR UPDATE OF o SKIP LOCKED
    ) AS old WHERE m.webhook_id = old.webhook_id AND m.id = old.id
    """
)
_END = text(
    "DELETE FROM webhook w WHERE w.state = 'removed' AND w.state_since < :before"
    " AND NOT EXISTS (SELECT FROM webhook_message m WHERE m.webhook_id = w.id) RETURNING w.id"
)


def forget(session: Session, *, before: datetime, limit: int) -> int:
    """Remove messages that were written before a moment, with their attempts; how many."""
    return _touched(session.execute(_FORGET, {"before": before, "limit": limit}))


def empty(session: Session, *, limit: int) -> int:
    """Remove messages of subscriptions that were removed; how many."""
    return _touched(session.execute(_EMPTY, {"limit": limit}))


def end(session: Session, *, before: datetime) -> list[uuid.UUID]:
    """Remove what is left of subscriptions that were removed before a moment; which."""
    return list(session.scalars(_END, {"before": before}))


_CALM = text(
    """
    UPDATE webhook w SET failures = 0, failing_since = NULL, rest_until = NULL
    WHERE w.state = 'active' AND w.failing_since IS NOT NULL AND w.rest_until < :before
      AND NOT EXISTS (SELECT FROM webhook_message m WHERE m.webhook_id = w.id AND m.next_at IS NOT NULL)
    """
)


def calm(session: Session, *, before: datetime) -> int:
    """Let subscriptions count as new that failed, have nothing waiting, and were last called before a moment."""
    return _touched(session.execute(_CALM, {"before": before}))


_TROUBLES = text(
    """
    SELECT count(*) FILTER (WHERE state = 'active'), count(*) FILTER (WHERE state = 'disabled'),
           coalesce(max(extract(epoch FROM clock_timestamp() - failing_since)) FILTER (WHERE state = 'active'), 0)
    FROM webhook
    WHERE state = 'active' AND failing_since IS NOT NULL OR state = 'disabled' AND reason IN ('gone', 'failing')
    """
)


def troubles(session: Session) -> tuple[int, int, float]:
    """Subscriptions that fail, those that were disabled for it, and for how many seconds the longest has failed."""
    failing, disabled, longest = session.execute(_TROUBLES).one()
    return int(failing), int(disabled), float(longest)


def _touched(result: Any) -> int:
    return int(cast("CursorResult[Any]", result).rowcount)
