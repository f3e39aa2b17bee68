"""The secrets of subscriptions: made here, kept encrypted, and signed with for a while after a newer one came."""

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from service.db.webhooks import Webhook
from service.domain.errors import Conflict
from service.domain.webhooks import MOST_SECRETS, OVERLAP, SECRET_BYTES
from service.usecases.context import Context
from service.usecases.personal import PLATFORM, PLATFORM_YEAR, open_value, seal_value


@dataclass(frozen=True, slots=True)
class Secret:
    """A key to sign with, and until when; the newest has no end."""

    key: bytes = field(repr=False)
    until: datetime | None = None


def first(context: Context, webhook: uuid.UUID) -> tuple[bytes, bytes]:
    """A new subscription's secret: the key, and the column."""
    key = secrets.token_bytes(SECRET_BYTES)
    return key, _sealed(context, webhook, [Secret(key)])


def rotated(context: Context, row: Webhook, now: datetime) -> tuple[bytes, bytes]:
    """A further secret: the key, and the column; the one before is signed with for ``OVERLAP``.

    Raises:
        Conflict: ``webhook_secrets_too_many``: one that may be the one in use would have to go.
    """
    standing = _standing(context, row, now)
    if len(standing) >= MOST_SECRETS:
        detail = f"{MOST_SECRETS} secrets sign already. Each older one ends a day after the next one came."
        raise Conflict(detail, code="webhook_secrets_too_many")
    key = secrets.token_bytes(SECRET_BYTES)
    before = [Secret(each.key, each.until or now + OVERLAP) for each in standing]
    return key, _sealed(context, row.id, [Secret(key), *before])


def keys_of(context: Context, row: Webhook) -> list[bytes]:
    """The keys to sign with now, newest first."""
    return [each.key for each in _standing(context, row, context.clock())]


def none(context: Context, row: Webhook) -> bytes:
    """The column of a subscription that is over."""
    return _sealed(context, row.id, [])


def _standing(context: Context, row: Webhook, now: datetime) -> list[Secret]:
    # A subscription lasts as long as its sender wants, so its secrets stand under no retention year's key.
    raw = open_value(context, row.secrets, organisation=PLATFORM, place=_place(row.id))
    return [each for each in msgspec.json.decode(raw, type=list[Secret]) if each.until is None or each.until > now]


def _sealed(context: Context, webhook: uuid.UUID, kept: list[Secret]) -> bytes:
    return seal_value(context, kept, organisation=PLATFORM, year=PLATFORM_YEAR, place=_place(webhook))


def _place(webhook: uuid.UUID) -> str:
    return f"webhook.secrets:{webhook}"
