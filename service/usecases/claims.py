"""The key of a call that creates something: held while the work lasts, given back when it fails, answered again."""

import hashlib
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog
from sqlalchemy.exc import DBAPIError

from service.db import idempotency
from service.db.ids import new_id
from service.domain.errors import IdempotencyMismatch, IdempotencyMissing, IdempotencyRunning, Invalid
from service.usecases.context import Context
from service.usecases.personal import PLATFORM, PLATFORM_YEAR, open_value, seal_value

log = structlog.get_logger()

DONE: Final = 200
SECONDS: Final = 90
"""Longer than the slowest inspection of one document and the storing of all; prolonged before each further one. After
that a second request may take over from one whose process has died. Should the first one live after all, only one of
them can complete the key."""
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_RELEASE_PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 4.0)
"""A key whose request failed is given back for certain: a database that restarts is back after a few of these."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The first answer to a key."""

    status: int
    body: bytes = field(repr=False)
    subject_id: uuid.UUID


def checked(key: str | None) -> str:
    """The key of a call.

    Raises:
        IdempotencyMissing: there is none.
        Invalid: ``idempotency_key_malformed``.
    """
    if not key:
        raise IdempotencyMissing
    if not _KEY.fullmatch(key):
        raise Invalid("An Idempotency-Key is 1 to 255 printable ASCII characters.", code="idempotency_key_malformed")
    return key


def answered(context: Context, organisation: uuid.UUID, seen: idempotency.Seen, fingerprint: bytes) -> Answered:
    """The answer that an earlier request with the same key got.

    Raises:
        IdempotencyMismatch: it was another request.
        IdempotencyRunning: it has none yet.
    """
    if seen.fingerprint != fingerprint:
        raise IdempotencyMismatch
    if seen.status is None or seen.answer is None or seen.subject_id is None:
        raise IdempotencyRunning
    place = f"idempotency.answer:{seen.subject_id}"
    body = open_value(context, seen.answer, organisation=organisation, place=place)
    return Answered(seen.status, bytes(msgspec.json.decode(body, type=msgspec.Raw)), seen.subject_id)


def once(context: Context, route: str, key: str | None, asked: object, act: Callable[[], object]) -> bytes:
    """What ``act`` answers as JSON; the same call with the same key gets the first answer, and nothing is done again.

    For acts of the platform's operators. Should a process die within the act, the next call does it once more.

    Args:
        context: the wired parts.
        route: what is called.
        key: the request's Idempotency-Key.
        asked: what makes two calls the same.
        act: does it, in transactions of its own.

    Raises:
        IdempotencyMissing, IdempotencyMismatch, IdempotencyRunning: about the key.
        Invalid: ``idempotency_key_malformed``.
    """
    key = checked(key)
    fingerprint = hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).digest()
    with context.database.transaction(organisations=[PLATFORM]) as session:
        claim = idempotency.claim(session, PLATFORM, route, key, fingerprint, seconds=SECONDS)
    if isinstance(claim, idempotency.Seen):
        return answered(context, PLATFORM, claim, fingerprint).body
    try:
        body = msgspec.json.encode(act())
        _complete(context, claim, body)
    except Exception:
        release(context, claim)
        raise
    return body


def _complete(context: Context, claim: idempotency.Claim, body: bytes) -> None:
    subject = new_id()
    place = f"idempotency.answer:{subject}"
    sealed = seal_value(context, msgspec.Raw(body), organisation=PLATFORM, year=PLATFORM_YEAR, place=place)
    with context.database.transaction(organisations=[PLATFORM]) as session:
        if not idempotency.complete(session, claim, status=DONE, answer=sealed, subject=subject):
            raise IdempotencyRunning


def go_on(context: Context, claim: idempotency.Claim) -> None:
    """Keep the key for as long as the next document may take."""
    with context.database.transaction(organisations=[claim.organisation_id]) as session:
        idempotency.renew(session, claim, seconds=SECONDS)


def release(context: Context, claim: idempotency.Claim) -> None:
    """Give the key back; if the database stays away, the claim's lease ends it."""
    for pause in _RELEASE_PAUSES:
        time.sleep(pause)
        try:
            with context.database.transaction(organisations=[claim.organisation_id]) as session:
                idempotency.release(session, claim)
        except DBAPIError as error:
            log.warning("claim_not_released", error=type(error).__name__)
        else:
            return
