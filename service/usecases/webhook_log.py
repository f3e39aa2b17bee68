"""The log of what subscriptions were told: tests, attempts, and sending again."""

import uuid
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from service.db import webhooks as rows
from service.db.ids import DELIVERY, MESSAGE, new_id, parse_id, public_id
from service.db.webhooks import Webhook, WebhookAttempt, WebhookMessage
from service.domain import webhooks as rules
from service.domain.errors import Conflict, Invalid, NotFound
from service.domain.webhooks import MessageState, State
from service.usecases.context import Context
from service.usecases.webhooks import Caller, WebhookView, note, own, view

MOST: Final = 200


class AttemptView(msgspec.Struct, frozen=True):
    """One attempt: ``status`` is what the receiver answered, ``error`` what went wrong without an answer."""

    at: datetime
    milliseconds: int
    status: int | None
    error: str | None


class WebhookMessageView(msgspec.Struct, frozen=True):
    """A message to one webhook: ``id`` is its `webhook-id`, ``next_attempt_at`` is null when none comes by itself."""

    id: str
    type: str
    timestamp: datetime
    delivery_id: str | None
    state: str
    next_attempt_at: datetime | None
    attempts: list[AttemptView]


class WebhookMessagePage(msgspec.Struct, frozen=True):
    """Messages, newest event first."""

    items: list[WebhookMessageView]
    next_cursor: str | None


def send_test(context: Context, caller: Caller, webhook_id: str) -> WebhookMessageView:
    """Send a message of type ``webhook.test``, as any other is sent.

    Raises:
        NotFound: there is none by this id.
        Conflict: ``webhook_disabled``.
    """
    now = context.clock()
    with context.database.transaction(organisations=[caller.organisation_id]) as session:
        row = _awake(session, caller.organisation_id, webhook_id, context.clock())
        message = WebhookMessage(
            webhook_id=row.id,
            id=new_id(),
            organisation_id=row.organisation_id,
            delivery_id=None,
            type=rules.TEST,
            at=now,
            data={"webhook_id": webhook_id},
            state=MessageState.WAITING.value,
            attempts=0,
            tries=0,
            next_at=now,
        )
        session.add(message)
        session.flush()
        return _message_view(message, [])


def messages(
    context: Context,
    organisation: uuid.UUID,
    webhook_id: str,
    *,
    state: MessageState | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> WebhookMessagePage:
    """One page of a subscription's messages with their attempts, newest event first.

    Raises:
        NotFound: there is no subscription by this id.
        Invalid: the cursor is none of ours.
    """
    try:
        before = None if cursor is None else parse_id(MESSAGE, cursor)
    except NotFound:
        raise Invalid("The cursor is not one that this list gave.", code="cursor_invalid") from None
    with context.database.transaction(organisations=[organisation]) as session:
        row = own(session, organisation, webhook_id)
        found = rows.page(session, row.id, state=state, before=before, limit=limit + 1)
        tried = rows.attempts(session, row.id, [each.id for each in found[:limit]])
    return WebhookMessagePage(
        items=[_message_view(each, tried[each.id]) for each in found[:limit]],
        next_cursor=public_id(MESSAGE, found[limit - 1].id) if len(found) > limit else None,
    )


def newest(
    context: Context, organisation: uuid.UUID, *, limit: int
) -> list[tuple[WebhookView, list[WebhookMessageView]]]:
    """The organisation's subscriptions, oldest first, each with its newest messages."""
    with context.database.transaction(organisations=[organisation]) as session:
        found = []
        for row in rows.of_organisation(session, organisation):
            latest = rows.page(session, row.id, state=None, before=None, limit=limit)
            tried = rows.attempts(session, row.id, [each.id for each in latest])
            found.append((view(session, row), [_message_view(each, tried[each.id]) for each in latest]))
    return found


def replay(context: Context, caller: Caller, webhook_id: str, message_id: str) -> WebhookMessageView:
    """Send one message again, whatever became of it, with the same id; its schedule begins anew.

    Raises:
        NotFound: there is no such subscription or message.
        Conflict: ``webhook_disabled``.
    """
    wanted = parse_id(MESSAGE, message_id)
    with context.database.transaction(organisations=[caller.organisation_id]) as session:
        row = _awake(session, caller.organisation_id, webhook_id, context.clock())
        message = rows.message(session, row.id, wanted, lock=True)
        if message is None:
            raise NotFound("There is no such message.")
        message.state, message.tries, message.next_at = MessageState.WAITING.value, 0, context.clock()
        session.flush()
        return _message_view(message, rows.attempts(session, row.id, [wanted])[wanted])


def replay_since(context: Context, caller: Caller, webhook_id: str, since: datetime) -> int:
    """Send again what was given up since a moment, at most ``MOST_AGAIN`` messages, the oldest first; how many.

    Raises:
        NotFound: there is no subscription by this id.
        Conflict: ``webhook_disabled``.
    """
    with context.database.transaction(organisations=[caller.organisation_id]) as session:
        row = _awake(session, caller.organisation_id, webhook_id, context.clock())
        done = rows.replay(session, row.id, since=since, most=rules.MOST_AGAIN)
        note(session, caller, "webhook.replay", row, messages=done)
    return done


def _awake(session: Session, organisation: uuid.UUID, webhook_id: str, now: datetime) -> Webhook:
    """A subscription that is active; whoever wants something sent ends the rest that a failure gave its receiver."""
    row = own(session, organisation, webhook_id, lock=True)
    if row.state != State.ACTIVE.value:
        raise Conflict("The webhook is disabled. Enable it first.", code="webhook_disabled")
    if row.rest_until is not None:
        # It says when the receiver was called last, too.
        row.rest_until = min(row.rest_until, now)
    return row


def _message_view(row: WebhookMessage, tried: list[WebhookAttempt]) -> WebhookMessageView:
    return WebhookMessageView(
        id=public_id(MESSAGE, row.id),
        type=row.type,
        timestamp=row.at,
        delivery_id=None if row.delivery_id is None else public_id(DELIVERY, row.delivery_id),
        state=row.state,
        next_attempt_at=row.next_at,
        attempts=[AttemptView(each.at, each.milliseconds, each.status, each.error) for each in tried],
    )
