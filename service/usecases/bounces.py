"""Reading mail back that could not be delivered: a notice that bounced is evidence, and what was to begin with it ends.

Everything is safe to repeat: a mail leaves the folder only after all that follows from it is committed, one that comes
twice finds its evidence there already, and one that comes too late for anything is shown in the timeline and no more.
"""

import time
import traceback
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.exc import DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import Session

from service.db import bounces as rows
from service.db import deliveries, printing, terms
from service.db.models import LegRow
from service.db.session import widen
from service.domain.errors import Retryable
from service.domain.legal_basis import Ending
from service.domain.states import Actor, Event, LegState
from service.notifications import bounces
from service.notifications.base import About, NoticeKind
from service.notifications.bounces import Reading, Verdict
from service.notifications.envelopes import Envelopes
from service.notifications.maildir import Maildir
from service.usecases import dossiers, periods, recovery
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.personal import find_hashes
from service.usecases.progress import Cause, Progress, may_happen

log = structlog.get_logger()

MOST: Final = 200
"""Mails of one round."""
CHUNK: Final = 50
SECONDS: Final = 20.0
"""After this no further chunk of a round is begun."""
REASON: Final = "bounced"
# What the failure of each kind of notice is; where it has no place in the leg's state, or the notice is another, the
# timeline shows that a mail came back. A reminder's does not undo the notice that was sent before it.
_FAILURES: Final = {
    NoticeKind.ARRIVED: Event.CONSIGNMENT_NOTIFICATION_FAILURE,
    NoticeKind.OFFERED: Event.NOTIFICATION_FOR_ACCEPTANCE_FAILURE,
}
_OF_DELIVERIES: Final = frozenset({NoticeKind.ARRIVED, NoticeKind.OFFERED, NoticeKind.REMINDER})
# The database is away, or busy: the mails are as good as before.
_AWAY: Final = (OperationalError, InterfaceError, DisconnectionError, NoConnection, Retryable)


@dataclass(frozen=True)
class Returns:
    """Where mail comes back to, and how it is known."""

    folder: Maildir
    envelopes: Envelopes


class Effect(StrEnum):
    """What became of a mail that came back."""

    EVIDENCED = "evidenced"
    REPEATED = "repeated"
    """The notice's failure is evidenced already."""
    LATE = "late"
    """Nothing can follow from it any more; the timeline shows it."""
    ERASED = "erased"
    """What it is about is not there any more."""
    NOTED = "noted"
    """Of a notice that is no delivery's."""
    NO_FAILURE = "no_failure"
    STRANGE = "strange"
    """Names no notice of ours."""
    ASIDE = "aside"
    """Left to a person."""


@dataclass(frozen=True)
class _Mail:
    name: str
    reading: Reading
    about: About | None

    @property
    def has_failed(self) -> bool:
        return self.about is not None and self.reading.verdict is Verdict.FAILED


def read_back(context: Context, returns: Returns, *, most: int = MOST, seconds: float = SECONDS) -> Counter[Effect]:
    """Read what came back; return how much of it had which effect.

    Raises:
        OSError: the folder can't be read. What was read before stays done.
        Retryable: the database was restored and nobody has looked at it yet.
    """
    names = returns.folder.waiting(most)
    tally: Counter[Effect] = Counter()
    if names:
        recovery.guard(context)
    ends = time.monotonic() + seconds
    for first in range(0, len(names), CHUNK):
        if time.monotonic() > ends:
            break
        mails = _read(returns, names[first : first + CHUNK])
        for effects in _handled(context, mails):
            tally.update(_settled(returns.folder, effects))
    if tally:
        log.info("mail_read_back", **{effect.value: count for effect, count in tally.items()})
    return tally


def read_all(context: Context, returns: Returns | None) -> None:
    """Read round by round while rounds are full; nothing where no mail comes back to us."""
    while returns is not None and read_back(context, returns).total() == MOST:
        pass


def tidy(returns: Returns | None) -> None:
    """Remove mails that were settled long ago."""
    if returns is not None:
        returns.folder.tidy()


def _read(returns: Returns, names: Iterable[str]) -> list[_Mail]:
    mails = []
    for name in names:
        try:
            reading = bounces.read(returns.folder.read(name, bounces.MOST_BYTES))
        except FileNotFoundError:
            continue  # another scheduler was quicker
        except OSError as error:
            # One of many: the folder itself is there.
            log.warning("returned_mail_not_read", error=type(error).__name__)
            reading = Reading(Verdict.UNREADABLE)
        mails.append(_Mail(name, reading, returns.envelopes.find(reading.to)))
    return mails


def _handled(context: Context, mails: Sequence[_Mail]) -> Iterable[list[tuple[_Mail, Effect]]]:
    """All together; one by one where one of them can't be handled, so that it does not hold the others up."""
    try:
        yield _handle(context, mails)
    except _AWAY:
        raise
    except Exception as error:  # noqa: BLE001  whatever it is: the mail is set aside, with an alarm
        # Without its text, which may quote what it failed at.
        kind, place = type(error).__name__, _place(error)
        log.error("returned_mails_not_handled", error=kind, at=place, mails=len(mails))  # noqa: TRY400
        if len(mails) == 1:
            yield [(mails[0], Effect.ASIDE)]
            return
        for mail in mails:
            yield from _handled(context, [mail])


def _place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _handle(context: Context, mails: Sequence[_Mail]) -> list[tuple[_Mail, Effect]]:
    failed = [mail for mail in mails if mail.has_failed]
    effects, unreachable = _evidence(context, failed) if failed else ({}, [])
    for hashes, known_at in unreachable:
        mark_unreachable(context, hashes, known_at=known_at)
    return [(mail, effects.get(mail.name) or _unfailed(mail)) for mail in mails]


def _unfailed(mail: _Mail) -> Effect:
    if mail.reading.verdict is Verdict.UNREADABLE:
        return Effect.ASIDE
    if mail.about is None:
        return Effect.STRANGE
    return Effect.ASIDE if mail.reading.verdict is Verdict.UNCLEAR else Effect.NO_FAILURE


def _settled(folder: Maildir, effects: Sequence[tuple[_Mail, Effect]]) -> Iterable[Effect]:
    for mail, effect in effects:
        if effect is Effect.ASIDE:
            folder.set_aside(mail.name)
        else:
            folder.settle(mail.name)
        yield effect


_Unreachable = list[tuple[tuple[bytes, ...], datetime]]


def _evidence(context: Context, mails: Sequence[_Mail]) -> tuple[dict[str, Effect], _Unreachable]:
    """Let each failure happen; the hashes of those whose address will fail again, with when they had it."""
    effects: dict[str, Effect] = {}
    unreachable: _Unreachable = []
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        about = {mail.about.subject for mail in mails if mail.about is not None and mail.about.kind in _OF_DELIVERIES}
        found = dossiers.load_readable(session, context, about, lock=True)
        known = _Known(rows.failed(session, found), rows.shown(session, found))
        before = set(known.failed)
        # Their key may come back from a backup.
        unreadable = deliveries.by_ids(session, about - found.keys()).keys()
        progress = Progress(context, now=context.clock())
        for mail in mails:
            assert mail.about is not None
            dossier = found.get(mail.about.subject)
            if mail.about.kind in _OF_DELIVERIES:
                there = mail.about.subject in unreadable
                effects[mail.name] = Effect.ASIDE if there else _happen(progress, known, mail.about, dossier)
                if dossier is not None and dossier.personal.recipient is not None and mail.reading.is_the_address:
                    # Whoever confirmed an address after the hand-in may have been told at another one.
                    hashes = find_hashes(context, dossier.personal.recipient)
                    unreachable.append((hashes, dossier.delivery.created_at))
            else:
                effects[mail.name] = Effect.NOTED
                if mail.reading.is_the_address:
                    unreachable += _signer(session, mail.about)
        progress.write(session)
        terms.stop(session, known.failed - before)
    for mail in mails:
        assert mail.about is not None
        kind, effect = mail.about.kind.name.lower(), effects[mail.name]
        log.info("notice_bounced", subject=str(mail.about.subject), kind=kind, effect=effect)
    return effects, unreachable


@dataclass(frozen=True)
class _Known:
    """What earlier mails, of this chunk too, have brought about."""

    failed: set[tuple[uuid.UUID, int]]
    shown: set[uuid.UUID]


def _happen(progress: Progress, known: _Known, about: About, dossier: Dossier | None) -> Effect:
    leg = next((leg for leg in dossier.legs if leg.number == about.number), None) if dossier is not None else None
    if dossier is None or leg is None:
        return Effect.ERASED
    failure = _FAILURES.get(about.kind)
    if failure is not None and (dossier.id, leg.number) in known.failed:
        return Effect.REPEATED
    if failure is not None and may_happen(dossier, failure, leg):
        _fail(progress, dossier, leg, failure)
        known.failed.add((dossier.id, leg.number))
        return Effect.EVIDENCED
    if dossier.id not in known.shown and may_happen(dossier, Event.NOTICE_BOUNCED, leg):
        progress.happen(dossier, Event.NOTICE_BOUNCED, Cause(Actor.SERVICE, reasons=(REASON,)), leg=leg)
        known.shown.add(dossier.id)
    return Effect.LATE


def _fail(progress: Progress, dossier: Dossier, leg: LegRow, failure: Event) -> None:
    waits = leg.state == LegState.AVAILABLE.value
    progress.happen(dossier, failure, Cause(Actor.SERVICE, reasons=(REASON,)), leg=leg)
    # The period that was thought to have begun with the notice never did; an offer ends, and is routed on.
    leg.noticed_at = leg.ends_at = None
    if waits:
        periods.fall_back(progress, dossier, Ending.NOTICE_FAILED)


def _signer(session: Session, about: About) -> _Unreachable:
    asked = rows.signer(session, about.subject, about.number) if about.kind is NoticeKind.SIGNATURE else None
    return [] if asked is None else [((asked[0],), asked[1])]


def mark_unreachable(context: Context, hashes: Sequence[bytes], *, known_at: datetime) -> None:
    """Remember that notices do not reach somebody, unless they confirmed an address after that moment."""
    with context.database.transaction(recipients=hashes) as session:
        rows.mark_unreachable(session, hashes, known_at=known_at, now=context.clock())
