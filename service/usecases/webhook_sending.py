"""The step ``webhook``: what waits for a subscription is sent, by few calls at a time and for few seconds.

A job stands for a subscription that has something due; the schedule itself is in the messages, and ``put_due`` makes
jobs of it. So nobody sends to one receiver from two places, and one that is slow or down costs one place in a chunk. A
process that dies after a call and before its record leaves the message as it was: it is sent again, with the same id.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy.orm import Session

from service.db import jobs as job_rows
from service.db import printing
from service.db import webhooks as rows
from service.db.ids import MESSAGE, WEBHOOK, public_id
from service.db.jobs import JobKind, Leased, NewJob
from service.db.session import widen
from service.db.webhooks import Webhook, WebhookMessage
from service.domain import webhooks as rules
from service.domain.webhooks import MessageState, Reason, State
from service.engine.steps import Outcome, Step, attempt
from service.outgoing import REFUSED, Line, Reply
from service.usecases import audit, recovery
from service.usecases.context import Context
from service.usecases.webhook_messages import body_of
from service.usecases.webhook_secrets import keys_of

log = structlog.get_logger()

CHUNK: Final = 16
"""Receivers that one worker speaks to at a time."""
CALLS: Final = 4
"""Calls to one receiver at a time, once it is known to answer."""
MOST: Final = 256
SECONDS: Final = 2.0
"""No call begins later than this after the first one; each lasts as long as ``outgoing.SECONDS`` at most, its look-up
included. So a chunk surely ends, and its leases are prolonged where they are shorter than it."""


@dataclass(frozen=True)
class Turn:
    """A subscription with what is to be sent to it now."""

    webhook: Webhook
    messages: Sequence[WebhookMessage]
    more: bool


@dataclass(frozen=True)
class Tried:
    """One call: when it began, and how it ended."""

    message: WebhookMessage
    at: datetime
    reply: Reply

    @property
    def taken(self) -> bool:
        """Whether the receiver has the message."""
        return rules.is_taken(self.reply.status)


@dataclass
class _Line:
    """What the threads that send to one receiver share."""

    waiting: deque[WebhookMessage]
    until: float
    tried: list[Tried] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    failed: bool = False

    def next(self) -> WebhookMessage | None:
        with self.lock:
            going = self.waiting and not self.failed and time.monotonic() < self.until
            return self.waiting.popleft() if going else None

    def done(self, tried: Tried) -> None:
        with self.lock:
            self.tried.append(tried)
            # The others wait for it to be back: a receiver that is down is not asked once for each message.
            self.failed = self.failed or not tried.taken


def put_due(context: Context) -> int:
    """Put jobs for the subscriptions that have something due, and wake whoever does them; how many are new."""
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        put = rows.put_due(session)
    if put:
        context.wake([JobKind.WEBHOOK])
    return put


def step(context: Context) -> Step[Turn, Sequence[Tried]]:
    """The step, wired."""

    def read(session: Session, leased: Sequence[Leased]) -> list[tuple[Leased, Turn]]:
        found = rows.by_ids(session, [job.subject_id for job in leased])
        turns = [(job, _turn(session, found.get(job.subject_id), context.clock())) for job in leased]
        return [(job, turn) for job, turn in turns if turn is not None]

    def perform(works: Sequence[tuple[Leased, Turn]]) -> list[Outcome[Turn, Sequence[Tried]]]:
        recovery.guard(context)
        until = time.monotonic() + SECONDS
        with ThreadPoolExecutor(len(works)) as pool:
            return list(
                pool.map(lambda work: attempt(work[0], work[1], lambda turn: _send(context, turn, until)), works)
            )

    def record(session: Session, outcomes: Sequence[Outcome[Turn, Sequence[Tried]]]) -> None:
        standing = rows.by_ids(session, [outcome.work.webhook.id for outcome in outcomes], lock=True)
        now = context.clock()
        for outcome in outcomes:
            assert outcome.result is not None
            row = standing.get(outcome.work.webhook.id)
            _keep(session, outcome.result, now)
            left = outcome.work.more or len(outcome.result) < len(outcome.work.messages)
            if row is not None and _settle(session, row, outcome.result, now) and left:
                # This job goes with the transaction; what is left has one of its own, behind the others'.
                job_rows.finish(session, [outcome.job.id])
                job_rows.put(session, [NewJob(JobKind.WEBHOOK, row.organisation_id, row.id)])

    return Step(JobKind.WEBHOOK, CHUNK, read, perform, record, prolonged=True, together=True)


def _turn(session: Session, webhook: Webhook | None, now: datetime) -> Turn | None:
    if webhook is None or webhook.state != State.ACTIVE.value:
        return None
    if webhook.rest_until is not None and webhook.rest_until > now:
        return None
    most = 1 if webhook.failures else MOST
    messages = rows.due(session, webhook.id, limit=most)
    return Turn(webhook, messages, len(messages) == most) if messages else None


def _send(context: Context, turn: Turn, until: float) -> list[Tried]:
    """Send a turn's messages until one fails or the time is over."""
    keys = keys_of(context, turn.webhook)
    line = _Line(deque(turn.messages), until)
    with context.poster.line() as calls:
        # Alone first: whether it answers at all is not asked four times.
        _work(context, turn.webhook, keys, line, calls, most=1)
        helpers = min(CALLS, len(line.waiting))
        if helpers and not line.failed:
            with ThreadPoolExecutor(helpers) as pool:
                for each in [pool.submit(_work, context, turn.webhook, keys, line, calls) for _ in range(helpers)]:
                    each.result()
    return line.tried


def _work(
    context: Context, webhook: Webhook, keys: Sequence[bytes], line: _Line, calls: Line, *, most: int = MOST
) -> None:
    for _ in range(most):
        message = line.next()
        if message is None:
            return
        body, at = body_of(message), context.clock()
        headers = rules.headers(keys, public_id(MESSAGE, message.id), at, body)
        reply = calls.post(webhook.url, body, {**headers, "content-type": "application/json"})
        if reply.error == REFUSED:
            log.warning("webhook_address_refused", webhook=public_id(WEBHOOK, webhook.id))
        line.done(Tried(message, at, reply))


def _keep(session: Session, tried: Sequence[Tried], now: datetime) -> None:
    """Write down how each call went, and when its message is tried again."""
    written: list[dict[str, Any]] = []
    for each in tried:
        wait = None if each.taken else rules.next_try(each.message.tries + 1, _chance(), _wish(each, now))
        state = MessageState.SENT if each.taken else MessageState.FAILED if wait is None else MessageState.WAITING
        written.append(
            {
                "webhook_id": each.message.webhook_id,
                "message_id": each.message.id,
                "tries": each.message.tries,
                "next_at": each.message.next_at,
                "at": each.at,
                "milliseconds": int(each.reply.seconds * 1000),
                "status": each.reply.status,
                # Its sender learns as much of a name that leads inside as of one that is nobody's.
                "error": "unreachable" if each.reply.error == REFUSED else each.reply.error,
                "state": state.value,
                "wait": None if wait is None else wait.total_seconds(),
            }
        )
    rows.tried(session, written)


def _settle(session: Session, row: Webhook, tried: Sequence[Tried], now: datetime) -> bool:
    """Write down how the receiver is; whether it can go on at once."""
    if row.state != State.ACTIVE.value:
        # Its sender was quicker, and begins anew once it enables it.
        return False
    bad = [each for each in tried if not each.taken]
    if len(bad) < len(tried):
        row.failures, row.failing_since, row.rest_until = 0, None, None
    if bad:
        wished = max((_wish(each, now) or timedelta(0) for each in bad), default=None)
        row.failures += 1
        # It rested since its last failure, for an hour at most.
        row.failing_since = rules.failing_from(row.failing_since, row.rest_until, now)
        row.rest_until = now + rules.rest(row.failures, _chance(), wished)
        if any(each.reply.status == rules.GONE for each in bad):
            _disable(session, row, Reason.GONE, now)
        elif rules.gives_up(row.failing_since, now):
            _disable(session, row, Reason.FAILING, now)
    session.flush()
    return not bad


def _disable(session: Session, row: Webhook, reason: Reason, now: datetime) -> None:
    row.state, row.reason, row.state_since = State.DISABLED.value, reason.value, now
    webhook = public_id(WEBHOOK, row.id)
    log.warning("webhook_disabled", webhook=webhook, code=reason.value)
    audit.record(session, actor="service", act="webhook.disable", subject=webhook, details={"reason": reason.value})


def _wish(tried: Tried, now: datetime) -> timedelta | None:
    return rules.wish(tried.reply.retry_after, now)


def _chance() -> float:
    return random.random()  # noqa: S311  no secret
