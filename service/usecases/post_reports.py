"""What comes back from a print house: kept first, then taken in, whole or bit by bit, as often as it comes.

``take`` is the one way in for files of an inbox, signed calls, commands and the API. Keeping is committed before
anything is understood, so that the far side's copy can go; taking in is safe to repeat from the kept bytes.
"""

import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session

from printing import exchange
from printing.errors import Problem
from printing.exchange import (
    Acknowledgement,
    Deleted,
    Events,
    ExchangeRefused,
    LetterEvent,
    Message,
    PullAnswer,
    Response,
)
from service.db import deliveries as objects
from service.db import post_reports as rows
from service.db.ids import new_id, public_id
from service.db.post_models import PrintInbound
from service.db.printing import every_organisation
from service.db.session import widen
from service.domain.errors import Retryable
from service.usecases import post_batches, post_envelopes, post_pulls, post_scans, recovery
from service.usecases import post_letters as letters
from service.usecases.admission import intents
from service.usecases.context import Context
from service.usecases.personal import PLATFORM, PLATFORM_YEAR
from service.usecases.post_statements import Effect, Odd, Statement, of_answer

log = structlog.get_logger()

INBOUND: Final = "pin"
ROLE: Final = "inbound"
CHUNK: Final = 200
"""Statements of a transaction."""
MOST: Final = 50
"""Files of a round."""
MOST_NAME: Final = 200
AWAY: Final = (OperationalError, InterfaceError, DisconnectionError, NoConnection, Retryable)
_AGAIN: Final = timedelta(minutes=1)
_LATEST: Final = timedelta(hours=6)
_TRIES: Final = 32767


@dataclass(frozen=True)
class Taken:
    """What became of a file: ``taken``, ``refused`` (``code`` says why), or ``kept`` for another try."""

    id: str
    state: str
    kind: str | None = None
    code: str | None = None
    repeated: bool = False
    effects: dict[str, int] = field(default_factory=dict)


class _Loose(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="events"):
    """Events one of which can't be read: the others still can."""

    schema: int
    at: datetime
    events: tuple[msgspec.Raw, ...]


def take(context: Context, printer: str, name: str, data: bytes, received_at: datetime) -> Taken:
    """Keep what came in and take it in; the same bytes again are answered with what became of them before.

    Raises:
        ExchangeRefused: ``FILE_TOO_BIG``; nothing is kept.
        Retryable: the database was restored and nobody has looked at it yet.
    """
    kept, repeated = keep(context, printer, name, data, received_at)
    return process(context, kept, repeated=repeated)


def keep(context: Context, printer: str, name: str, data: bytes, received_at: datetime) -> tuple[uuid.UUID, bool]:
    """Keep a file as it came, once; its id, and whether it was there. What is kept need not be asked for again.

    Raises:
        ExchangeRefused: ``FILE_TOO_BIG``.
    """
    if len(data) > exchange.MOST_BYTES:
        raise ExchangeRefused(Problem("FILE_TOO_BIG", f"The file has {len(data)} bytes."))
    digest = hashlib.sha256(data).digest()
    with context.database.transaction(organisations=[PLATFORM]) as session:
        found = rows.inbound_by_digest(session, printer, digest)
        if found is not None:
            return found.id, True
    made = new_id()
    prepared = context.vault.prepare(PLATFORM, PLATFORM_YEAR, made, ROLE, data)
    with context.database.transaction(organisations=[PLATFORM]) as session:
        objects.intend(session, intents(PLATFORM, made, [prepared]))
    context.vault.write(prepared)
    with context.database.transaction(organisations=[PLATFORM]) as session:
        row = PrintInbound(
            id=made,
            printer=printer,
            name=name[:MOST_NAME],
            sha256=digest,
            size=len(data),
            received_at=received_at,
            path=prepared.path,
            state="kept",
        )
        if rows.keep(session, row):
            objects.keep(session, [made], [prepared.path])
            return made, False
        # Somebody else kept it a moment ago; the object of this try is an orphan.
        found = rows.inbound_by_digest(session, printer, digest)
        assert found is not None
        return found.id, True


def process(context: Context, inbound: uuid.UUID, *, repeated: bool = False) -> Taken:
    """Take in what is kept; safe to repeat, also after a death in the middle."""
    recovery.guard(context)
    with context.database.transaction(organisations=[PLATFORM]) as session:
        row = rows.inbound(session, inbound)
        assert row is not None, "what is kept stays"
        session.expunge(row)
    if row.state != "kept" or row.path is None:
        return _told(row, repeated=repeated)
    data = context.vault.read(row.path, PLATFORM, row.id, ROLE)
    try:
        message, odd = _read(data)
    except ExchangeRefused as error:
        return _end(context, row, "refused", code=error.problems[0].code if error.problems else error.code)
    tally: Counter[Effect] = Counter({Effect.ODD: len(odd)} if odd else {})
    tally += _take_in(context, row, message, odd, data)
    if tally[Effect.AWAY]:
        return _later(context, row, tally)
    kind = str(type(message).__struct_config__.tag)
    return _end(context, row, "taken", kind=kind, batch=getattr(message, "batch", None), tally=tally)


def round_(context: Context) -> int:
    """Take in what is kept and due; how much that was. One that can't be handled waits and holds up no other."""
    with context.database.transaction(organisations=[PLATFORM]) as session:
        due = rows.waiting(session, now=context.clock(), limit=MOST)
    for inbound in due:
        try:
            process(context, inbound)
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is: an alarm tells of what is kept for long
            log.warning("print_inbound_not_taken", inbound=public_id(INBOUND, inbound), error=type(error).__name__)
            with context.database.transaction(organisations=[PLATFORM]) as session:
                row = rows.inbound(session, inbound, lock=True)
                assert row is not None
                _put_off(row, context.clock())
    return len(due)


def _read(data: bytes) -> tuple[Message, list[Odd]]:
    """A file's message, and what of it could not be read.

    Raises:
        ExchangeRefused: nothing of it can be.
    """
    if data[:4] == b"PK\x03\x04":
        return exchange.decode(post_scans.index_of(data)), []
    try:
        return exchange.decode(data), []
    except ExchangeRefused:
        events, odd = _loosely(data)
        if not events:
            raise
        return Events(at=events[0].at, events=tuple(events)), odd


def _loosely(data: bytes) -> tuple[list[LetterEvent], list[Odd]]:
    """The events of a file that can be read, and the others."""
    try:
        loose = msgspec.json.decode(data, type=_Loose)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [], []
    if loose.schema != exchange.SCHEMA or len(data) > exchange.MOST_BYTES:
        return [], []
    events, odd = [], []
    for raw in loose.events:
        try:
            event = msgspec.json.decode(raw, type=LetterEvent)
            if event.at.tzinfo is None:
                raise msgspec.ValidationError
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            digest = hashlib.sha256(bytes(raw)).hexdigest()
            odd.append(Odd("EVENT_UNREADABLE", f"sha256:{digest}", "An event in the file can't be read."))
        else:
            events.append(event)
    return events, odd


def _take_in(context: Context, row: PrintInbound, message: Message, odd: list[Odd], data: bytes) -> Counter[Effect]:
    if isinstance(message, Events):
        with _wide(context) as session:
            told, strange = post_envelopes.said(session, message.events)
        return _statements(context, row, told, odd + strange)
    if isinstance(message, Response):
        return _statements(context, row, [of_answer(message.batch, each, message.at) for each in message.letters])
    if isinstance(message, exchange.Scans):
        return post_scans.take(context, row, message, data)
    one: dict[type, Callable[[Session, Context, PrintInbound, Any], Counter[Effect]]] = {
        Acknowledgement: post_batches.acknowledged,
        Deleted: post_batches.deleted,
        PullAnswer: post_pulls.answered,
    }
    handle = one.get(type(message))
    with _wide(context) as session:
        if handle is None:
            letters.note(
                session,
                row.printer,
                [Odd("NOT_FOR_US", row.sha256.hex(), "A file that only we write came in.")],
                received_at=row.received_at,
                inbound=row.id,
            )
            return Counter({Effect.ODD: 1})
        return handle(session, context, row, message)


def _statements(
    context: Context, row: PrintInbound, told: Sequence[Statement], odd: Sequence[Odd] = ()
) -> Counter[Effect]:
    tally: Counter[Effect] = Counter()
    if odd:
        with _wide(context) as session:
            letters.note(session, row.printer, odd, received_at=row.received_at, inbound=row.id)
        tally[Effect.ODD] += sum(each.code != "EVENT_UNREADABLE" for each in odd)
    for first in range(0, len(told), CHUNK):
        with _wide(context) as session:
            chunk = told[first : first + CHUNK]
            tally += letters.take(session, context, row.printer, chunk, received_at=row.received_at, inbound=row.id)
    return tally


def _end(
    context: Context,
    row: PrintInbound,
    state: str,
    *,
    kind: str | None = None,
    batch: int | None = None,
    code: str | None = None,
    tally: Counter[Effect] | None = None,
) -> Taken:
    effects = {effect.value: count for effect, count in sorted((tally or {}).items()) if count}
    with context.database.transaction(organisations=[PLATFORM]) as session:
        found = rows.inbound(session, row.id, lock=True)
        assert found is not None
        if found.state == "kept":
            found.state, found.kind, found.batch, found.code = state, kind, batch, code
            found.effects, found.taken_at, found.next_at = effects, context.clock(), None
        session.flush()
        session.expunge(found)
    inbound = public_id(INBOUND, row.id)
    log.info("print_inbound", inbound=inbound, printer=row.printer, state=state, kind=kind, code=code, **effects)
    return _told(found)


def _later(context: Context, row: PrintInbound, tally: Counter[Effect]) -> Taken:
    with context.database.transaction(organisations=[PLATFORM]) as session:
        found = rows.inbound(session, row.id, lock=True)
        assert found is not None
        _put_off(found, context.clock())
        found.effects = {effect.value: count for effect, count in sorted(tally.items())}
        session.flush()
        session.expunge(found)
    return _told(found)


def _put_off(row: PrintInbound, now: datetime) -> None:
    row.tries = min(row.tries + 1, _TRIES)
    row.next_at = now + min(_AGAIN * 2 ** min(row.tries, 16), _LATEST)


def _told(row: PrintInbound, *, repeated: bool = False) -> Taken:
    return Taken(public_id(INBOUND, row.id), row.state, row.kind, row.code, repeated, dict(row.effects))


@contextmanager
def _wide(context: Context) -> Iterator[Session]:
    """A transaction that sees all senders: what comes in mixes them."""
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        yield session
