"""Rules of webhooks: what messages are called, how they are signed, and when one that was not taken is tried again.

Signatures are those of Standard Webhooks 1.0 (https://www.standardwebhooks.com), its symmetric kind: HMAC-SHA-256 over
``id.timestamp.body``. The schedule is the one that its specification recommends.
"""

import base64
import hmac
import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from service.domain.errors import FieldError, Invalid
from service.domain.states import Event

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  what secrets begin with
SECRET_BYTES: Final = 32
OVERLAP: Final = timedelta(hours=24)
"""So long the secret before a new one is still signed with, too."""
MOST_SECRETS: Final = 5
"""More would make a header that receivers refuse."""
MOST_SUBSCRIPTIONS: Final = 10
"""Of one organisation: each makes a message of every event, so each costs as much as the events themselves."""
MOST_AGAIN: Final = 10_000
"""Messages that one call lets go again at most."""
URL_LENGTH: Final = 2048
DESCRIPTION_LENGTH: Final = 200

PREFIX: Final = "delivery."
TEST: Final = "webhook.test"
TYPES: Final[tuple[str, ...]] = tuple(f"{PREFIX}{event.value}" for event in Event)
"""What can be subscribed to: one type for each event of a timeline, by the timeline's own name for it."""

_WAITS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
TRIES: Final = len(_WAITS) + 1
"""The last one comes a good three days after the first: a receiver that is down over a weekend misses nothing."""
LONGEST_REST: Final = timedelta(minutes=5)
LONGEST_WISH: Final = timedelta(hours=1)
"""What a receiver's ``Retry-After`` may ask for; more would let it stop its own schedule by accident."""
GIVES_UP: Final = timedelta(days=5)
"""A receiver that took nothing for this long is disabled: it is not coming back by itself."""
QUIET: Final = timedelta(days=2)
"""After so long without any call a failure is a first one: that of a month ago says nothing of today."""
GONE: Final = 410
_SPREAD: Final = 0.1
_GOOD: Final = range(200, 300)
_DIGITS: Final = re.compile(r"[0-9]{1,9}")


class State(StrEnum):
    """Where a subscription stands."""

    ACTIVE = "active"
    DISABLED = "disabled"
    """Nothing is sent; messages are written and wait, for as long as the log is kept."""
    REMOVED = "removed"


class Reason(StrEnum):
    """Why a subscription is disabled."""

    BY_SENDER = "by_sender"
    GONE = "gone"
    """The receiver answered 410."""
    FAILING = "failing"
    """It took nothing for ``GIVES_UP``."""


class MessageState(StrEnum):
    """Where a message stands."""

    WAITING = "waiting"
    SENT = "sent"
    """The receiver took it."""
    FAILED = "failed"
    """All tries are used up; it can be replayed."""


def type_of(event: str) -> str:
    """The message type of a timeline's event."""
    return f"{PREFIX}{event}"


def checked_types(types: Collection[str] | None) -> list[str] | None:
    """The types that a subscription is for, in one order; None for all, also of those to come.

    Raises:
        Invalid: ``webhook_types_invalid``: none at all, or one that there is not.
    """
    if types is None:
        return None
    wrong = [
        FieldError(f"/types/{place}", "type_unknown", "There is no such event type.")
        for place, each in enumerate(types)
        if each not in TYPES
    ]
    if not types:
        wrong = [FieldError("/types", "empty", "Name at least one type, or leave the field out for all.")]
    if wrong:
        raise Invalid("These types can't be subscribed to.", code="webhook_types_invalid", errors=wrong)
    return sorted(set(types))


def checked_url(url: str, *, trusted: Collection[str]) -> str:
    """The address messages go to, by its form alone; where its name leads is judged by whoever connects.

    Args:
        url: as it was given.
        trusted: hosts that whoever runs the service allows without TLS.

    Raises:
        Invalid: ``webhook_url_invalid``; the field's code says why.
    """
    found: FieldError | None = None
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        found = FieldError("/url", "url_malformed", "This is no address.")
    else:
        if len(url) > URL_LENGTH:
            found = FieldError("/url", "too_long", f"An address has at most {URL_LENGTH} characters.")
        elif not host or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
            found = FieldError("/url", "url_malformed", "This is no address.")
        elif parts.scheme != "https" and not (parts.scheme == "http" and host in trusted):
            found = FieldError("/url", "url_not_https", "The address must begin with https://.")
        elif parts.username is not None or parts.password is not None or parts.fragment:
            found = FieldError("/url", "url_with_extras", "The address may hold no user, password or fragment.")
    if found is not None:
        raise Invalid("Nothing can be sent to this address.", code="webhook_url_invalid", errors=[found])
    return url


def written_secret(key: bytes) -> str:
    """A secret as its owner gets it."""
    return SECRET_PREFIX + base64.b64encode(key).decode("ascii")


def headers(keys: Iterable[bytes], message_id: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """The headers of Standard Webhooks 1.0 for one attempt: the same id each time, the time of this attempt.

    Args:
        keys: secrets to sign with, newest first: one signature each.
        message_id: of the message.
        at: when it is sent.
        body: exactly as it is sent.
    """
    stamp = str(int(at.timestamp()))
    told = f"{message_id}.{stamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, told, "sha256")).decode("ascii") for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def is_taken(status: int | None) -> bool:
    """Whether an answer says that the receiver has the message: 2xx, and nothing else."""
    return status in _GOOD


def wish(retry_after: str | None, now: datetime) -> timedelta | None:
    """How long a receiver asks to be left alone (RFC 9110, 10.2.3), bounded; None for nothing that can be read."""
    said = (retry_after or "").strip()
    if _DIGITS.fullmatch(said):
        return min(timedelta(seconds=int(said)), LONGEST_WISH)
    try:
        until = parsedate_to_datetime(said)
    except (ValueError, OverflowError):
        return None
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max(timedelta(0), min(until - now, LONGEST_WISH))


def next_try(tries: int, chance: float, wished: timedelta | None = None) -> timedelta | None:
    """How long a message waits after a try that failed; None when that was the last.

    Args:
        tries: how many there were, this one included.
        chance: between 0 and 1: spreads what failed together.
        wished: what the receiver asked for.
    """
    if tries >= TRIES:
        return None
    usual = _WAITS[tries - 1] * (1 - _SPREAD + 2 * _SPREAD * chance)
    return max(usual, wished or timedelta(0))


def rest(failures: int, chance: float, wished: timedelta | None = None) -> timedelta:
    """How long a receiver is left alone after its n-th failure in a row: then one message tries whether it is back."""
    usual = min(LONGEST_REST, timedelta(seconds=2.0 ** min(failures - 1, 20))) * (1 - _SPREAD * chance)
    return max(usual, wished or timedelta(0))


def failing_from(before: datetime | None, last: datetime | None, now: datetime) -> datetime:
    """Since when a receiver that fails now has taken nothing: ``before``, unless it was not called since ``last``."""
    return now if before is None or last is None or now - last > QUIET else before


def gives_up(failing_since: datetime, now: datetime) -> bool:
    """Whether a receiver has failed for so long that it is disabled."""
    return now - failing_since >= GIVES_UP
