"""Subscriptions of an organisation to what happens to its deliveries, and the log of what they were told."""

import hashlib
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from service.db import idempotency, queues
from service.db import webhooks as rows
from service.db.ids import WEBHOOK, new_id, parse_id, public_id
from service.db.jobs import JobKind
from service.db.webhooks import Webhook
from service.domain import webhooks as rules
from service.domain.errors import Conflict, FieldError, IdempotencyMismatch, IdempotencyRunning, Invalid, NotFound
from service.domain.webhooks import Reason, State
from service.usecases import audit, claims, webhook_secrets
from service.usecases.context import Context

ROUTE: Final = "POST /v1/webhooks"
CREATED: Final = 201


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose subscriptions, and who acts, as the audit trail names them."""

    organisation_id: uuid.UUID
    actor: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A subscription as it is asked for; ``types`` None: all, also those to come."""

    url: str
    types: Collection[str] | None = None
    description: str = ""


class WebhookView(msgspec.Struct, frozen=True):
    """A subscription.

    ``types`` is null for all. ``reason`` says why it is `disabled`: `by_sender`, `gone` (the receiver answered 410) or
    `failing` (it took nothing for days). ``failing_since`` is null while the receiver takes what it gets. ``waiting``
    and ``failed`` count its messages, up to 1000.
    """

    id: str
    url: str
    types: list[str] | None
    description: str
    state: str
    reason: str | None
    state_since: datetime
    failing_since: datetime | None
    waiting: int
    failed: int
    created_at: datetime


class WebhookSecretView(msgspec.Struct, frozen=True):
    """A subscription with the secret it signs with from now on, which is shown this once."""

    webhook: WebhookView
    secret: str | None


@dataclass(frozen=True, slots=True)
class Made:
    """The answer to who subscribed; the same again, with the secret only while it is new."""

    view: WebhookSecretView = field(repr=False)
    webhook_id: str


def subscribe(context: Context, caller: Caller, asked: Asked, *, key: str | None) -> Made:
    """Subscribe; opens its own transactions.

    The same request with the same key gets the same subscription; its secret as long as ``OVERLAP``, then never again.

    Raises:
        IdempotencyMissing, IdempotencyMismatch, IdempotencyRunning: about the key.
        Invalid: ``webhook_url_invalid``, ``webhook_types_invalid``, ``webhook_invalid``.
        Conflict: ``webhooks_too_many``; ``webhook_removed``: what was asked for with this key was removed since.
    """
    key = claims.checked(key)
    organisation = caller.organisation_id
    fingerprint = hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).digest()
    with context.database.transaction(organisations=[organisation]) as session:
        claim = idempotency.claim(session, organisation, ROUTE, key, fingerprint, seconds=claims.SECONDS)
    if isinstance(claim, idempotency.Seen):
        return _again(context, organisation, claim, fingerprint)
    try:
        return _subscribe(context, caller, asked, claim)
    except Exception:
        claims.release(context, claim)
        raise


def _subscribe(context: Context, caller: Caller, asked: Asked, claim: idempotency.Claim) -> Made:
    types = rules.checked_types(asked.types)
    url = _checked_url(context, asked.url)
    description = _checked_description(asked.description)
    webhook_id, now = new_id(), context.clock()
    secret, column = webhook_secrets.first(context, webhook_id)
    with context.database.transaction(organisations=[caller.organisation_id]) as session:
        rows.one_at_a_time(session, caller.organisation_id)
        if len(rows.of_organisation(session, caller.organisation_id)) >= rules.MOST_SUBSCRIPTIONS:
            detail = f"An organisation has at most {rules.MOST_SUBSCRIPTIONS} webhooks. Remove one first."
            raise Conflict(detail, code="webhooks_too_many")
        # The secret is no part of the kept answer: it would stand there as long as the subscription.
        if not idempotency.complete(session, claim, status=CREATED, answer=b"", subject=webhook_id):
            raise IdempotencyRunning
        row = Webhook(
            id=webhook_id,
            organisation_id=caller.organisation_id,
            url=url,
            types=types,
            description=description,
            secrets=column,
            state=State.ACTIVE.value,
            reason=None,
            state_since=now,
            failures=0,
            failing_since=None,
            rest_until=None,
            created_at=now,
        )
        rows.add(session, row)
        note(session, caller, "webhook.make", row)
        made = view(session, row)
    return Made(WebhookSecretView(made, rules.written_secret(secret)), made.id)


def _again(context: Context, organisation: uuid.UUID, seen: idempotency.Seen, fingerprint: bytes) -> Made:
    if seen.fingerprint != fingerprint:
        raise IdempotencyMismatch
    if seen.status is None or seen.subject_id is None:
        raise IdempotencyRunning
    with context.database.transaction(organisations=[organisation]) as session:
        row = rows.one(session, organisation, seen.subject_id)
        if row is None:
            detail = "What this request made was removed since. Ask with another Idempotency-Key for another one."
            raise Conflict(detail, code="webhook_removed")
        keys = webhook_secrets.keys_of(context, row)
        # Later, or once there is another, nobody learns it from here any more.
        new = len(keys) == 1 and row.created_at + rules.OVERLAP > context.clock()
        known = view(session, row)
    return Made(WebhookSecretView(known, rules.written_secret(keys[0]) if new else None), known.id)


def listed(context: Context, organisation: uuid.UUID) -> list[WebhookView]:
    """The organisation's subscriptions, oldest first."""
    with context.database.transaction(organisations=[organisation]) as session:
        return [view(session, row) for row in rows.of_organisation(session, organisation)]


def get(context: Context, organisation: uuid.UUID, webhook_id: str) -> WebhookView:
    """One subscription.

    Raises:
        NotFound: there is none by this id, it was removed, or it is another organisation's.
    """
    with context.database.transaction(organisations=[organisation]) as session:
        return view(session, own(session, organisation, webhook_id))


def disable(context: Context, caller: Caller, webhook_id: str) -> WebhookView:
    """Send nothing for now: messages wait, for as long as the log is kept; safe to repeat."""
    return _turn(context, caller, webhook_id, State.DISABLED, Reason.BY_SENDER)


def enable(context: Context, caller: Caller, webhook_id: str) -> WebhookView:
    """Send again, and what waits at once, also what was tried before; safe to repeat."""
    return _turn(context, caller, webhook_id, State.ACTIVE, None)


def _turn(context: Context, caller: Caller, webhook_id: str, state: State, reason: Reason | None) -> WebhookView:
    with context.database.transaction(organisations=[caller.organisation_id]) as session:
        row = own(session, caller.organisation_id, webhook_id, lock=True)
        if state is State.ACTIVE:
            queues.drop_parked(session, JobKind.WEBHOOK, row.id)
        if row.state != state.value:
            row.state, row.state_since = state.value, context.clock()
            row.reason = None if reason is None else reason.value
            row.failures, row.failing_since, row.rest_until = 0, None, None
            session.flush()
            if state is State.ACTIVE:
                rows.hasten(session, row.id, most=rules.MOST_AGAIN)
            note(session, caller, "webhook.enable" if state is State.ACTIVE else "webhook.disable", row)
        return view(session, row)


def remove(context: Context, caller: Caller, webhook_id: str) -> None:
    """End a subscription; what waits for it is not sent any more, and its log goes.

    Raises:
        NotFound: there is none by this id.
    """
    with context.database.transaction(organisations=[caller.organisation_id]) as session:
        row = own(session, caller.organisation_id, webhook_id, lock=True)
        row.state, row.reason, row.state_since = State.REMOVED.value, None, context.clock()
        # What says most of a receiver goes at once, the messages with housekeeping.
        row.url, row.description, row.secrets = "", "", webhook_secrets.none(context, row)
        session.flush()
        queues.drop_parked(session, JobKind.WEBHOOK, row.id)
        note(session, caller, "webhook.remove", row)


def rotate(context: Context, caller: Caller, webhook_id: str) -> WebhookSecretView:
    """Give a subscription a new secret; the one before is signed with too, for a day.

    Raises:
        NotFound: there is none by this id.
        Conflict: ``webhook_secrets_too_many``.
    """
    with context.database.transaction(organisations=[caller.organisation_id]) as session:
        row = own(session, caller.organisation_id, webhook_id, lock=True)
        secret, row.secrets = webhook_secrets.rotated(context, row, context.clock())
        session.flush()
        note(session, caller, "webhook.rotate", row)
        return WebhookSecretView(view(session, row), rules.written_secret(secret))


def wake(context: Context) -> None:
    """Tell workers that something may be due; the scheduler says it anyway."""
    context.wake([JobKind.WEBHOOK])


def own(session: Session, organisation: uuid.UUID, webhook_id: str, *, lock: bool = False) -> Webhook:
    """A subscription of the organisation.

    Raises:
        NotFound: there is none by this id, it was removed, or it is another organisation's.
    """
    row = rows.one(session, organisation, parse_id(WEBHOOK, webhook_id), lock=lock)
    if row is None:
        raise NotFound("There is nothing by this id.")
    return row


def _checked_url(context: Context, given: str) -> str:
    url = rules.checked_url(given, trusted=context.poster.trusted)
    if context.poster.refuses(url):
        # The same answer for a name that is not there and one that leads inside: nobody maps our network with it.
        detail = "The address must lead to a host on the public internet."
        found = [FieldError("/url", "url_not_public", detail)]
        raise Invalid("Nothing can be sent to this address.", code="webhook_url_invalid", errors=found)
    return url


def _checked_description(given: str) -> str:
    said = given.strip()
    if len(said) > rules.DESCRIPTION_LENGTH or not (said.isprintable() or not said):
        detail = f"A description has at most {rules.DESCRIPTION_LENGTH} characters, all of them visible."
        found = [FieldError("/description", "description_invalid", detail)]
        raise Invalid("The webhook can't be made like this.", code="webhook_invalid", errors=found)
    return said


def note(session: Session, caller: Caller, act: str, row: Webhook, **details: str | int | None) -> None:
    """Tell the audit trail what was done to a subscription."""
    subject = public_id(WEBHOOK, row.id)
    audit.record(session, actor=caller.actor, act=act, subject=subject, details=details)


def view(session: Session, row: Webhook) -> WebhookView:
    """A subscription as its organisation sees it."""
    standing = rows.standing(session, row.id)
    return WebhookView(
        id=public_id(WEBHOOK, row.id),
        url=row.url,
        types=row.types,
        description=row.description,
        state=row.state,
        reason=row.reason,
        state_since=row.state_since,
        failing_since=row.failing_since,
        waiting=standing.waiting,
        failed=standing.failed,
        created_at=row.created_at,
    )
