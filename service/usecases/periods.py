"""Running periods: until when an offer can be answered, after how long unread mail goes on paper, when to remind.

A period begins with the notice that was sent; one that bounced begins none. Whoever begins it leaves a row for the
clock, and the clock does what is due: reminds, makes the period longer where the service could not be used, ends it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from service.db import jobs
from service.db import terms as rows
from service.db.ids import new_id
from service.db.jobs import JobKind, Lane, NewJob
from service.db.models import LegRow, OutageRow
from service.db.models import Term as TermRow
from service.db.printing import every_organisation
from service.db.session import widen
from service.db.terms import Running
from service.domain import policy, terms
from service.domain.errors import Invalid
from service.domain.legal_basis import Ending, Fallback
from service.domain.states import Actor, Event, LegKind, LegState
from service.domain.terms import Outage, Period
from service.usecases import audit, dossiers
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.progress import Cause, Progress, may_happen

CHUNK: Final = 200
UNAVAILABLE: Final = "service_unavailable"
# The longest that a period and what was added to it lasts: older outages concern nothing that still runs.
_LOOK_BACK: Final = timedelta(days=800)


def period_of(dossier: Dossier, leg: LegRow, outages: Sequence[Outage]) -> Period | None:
    """The period that runs for a mailbox leg; None where none does."""
    sent_under = dossier.terms
    if leg.noticed_at is None or leg.kind != LegKind.MAILBOX.value:
        return None
    if leg.state == LegState.OFFERED.value:
        return terms.acceptance(sent_under, leg.noticed_at, outages)
    waits = leg.state == LegState.AVAILABLE.value and sent_under.follows(Ending.UNREAD) is not Fallback.NOTHING
    if waits and sent_under.unread_days is not None:
        return terms.period(sent_under, sent_under.unread_days, leg.noticed_at, outages)
    return None


def begin(dossier: Dossier, leg: LegRow, *, now: datetime) -> list[Running]:
    """Let the period of a leg begin whose recipient was told just now, if one runs; the row for the clock."""
    leg.noticed_at = now
    running = period_of(dossier, leg, ())
    if running is None:
        return []
    leg.ends_at = running.ends_at
    return [_row(dossier, leg, running, handled=now)]


def known_outages(session: Session, *, now: datetime) -> list[Outage]:
    """What was recorded of the time in which a period may still run."""
    return [Outage(row.since, row.until) for row in rows.outages(session, since=now - _LOOK_BACK)]


def record_outage(context: Context, since: datetime, until: datetime, *, reason: str, actor: str) -> int:
    """Record that the service could not be used; how many running periods are looked at because of it.

    Raises:
        Invalid: ``outage_malformed``: it ends before it begins, or has not ended yet.
    """
    now = context.clock()
    if until <= since or until > now:
        raise Invalid("An outage is recorded once it is over, and ends after it began.", code="outage_malformed")
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        row = OutageRow(id=new_id(), since=since, until=until, reason=reason, recorded_by=actor)
        found = rows.record_outage(session, row)
        details: dict[str, str | int | None] = {
            "since": since.isoformat(),
            "until": until.isoformat(),
            "periods": found,
        }
        audit.record(session, actor=actor, act="outage.record", subject="service", details=details)
        return found


def round_(context: Context) -> int:
    """Do what is due of running periods; how many were dealt with. Two schedulers at once do no harm."""
    done = 0
    while found := _round(context):
        done += found
    return done


def _round(context: Context) -> int:
    now = context.clock()
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        due = rows.due(session, now=now, limit=CHUNK)
        if not due:
            return 0
        places = [(row.delivery_id, row.leg) for row in due]
        loaded = dossiers.load_readable(session, context, {row.delivery_id for row in due}, lock=True)
        outages = known_outages(session, now=now)
        progress = Progress(context, now=now)
        on: list[Running] = []
        put: list[NewJob] = []
        for row in due:
            if row.delivery_id in loaded:
                _deal_with(progress, loaded[row.delivery_id], row, outages, now, on, put)
            else:
                # Its key is away: nobody can say what it is about. It is looked at again, and stops nobody else.
                on.append(
                    Running(row.delivery_id, row.leg, row.organisation_id, now + timedelta(hours=1), row.handled_at)
                )
        progress.write(session)
        jobs.put(session, put)
        rows.stop(session, set(places) - {(each.delivery_id, each.leg) for each in on})
        rows.run(session, on)
    context.wake([JobKind.ROUTE, JobKind.LETTER, JobKind.REMIND])
    return len(due)


def _deal_with(
    progress: Progress,
    dossier: Dossier,
    row: TermRow,
    outages: Sequence[Outage],
    now: datetime,
    on: list[Running],
    put: list[NewJob],
) -> None:
    leg = dossier.leg(row.leg)
    running = period_of(dossier, leg, outages)
    if running is None or leg.noticed_at is None:
        return
    if running.ends_at != leg.ends_at:
        leg.ends_at = running.ends_at
        cause = Cause(Actor.CLOCK, reasons=(UNAVAILABLE,), attempt=max(1, running.extended_days))
        progress.happen(dossier, Event.PERIOD_EXTENSION, cause, leg=leg)
    if now >= running.ends_at:
        _end(progress, dossier, leg)
        return
    times = terms.reminders(dossier.terms, leg.noticed_at, running)
    if any(row.handled_at < each <= now for each in times):
        put.append(_reminder(dossier, leg))
    on.append(_row(dossier, leg, running, handled=now))


def _end(progress: Progress, dossier: Dossier, leg: LegRow) -> None:
    if leg.state == LegState.OFFERED.value:
        progress.happen(dossier, Event.ACCEPTANCE_REJECTION_EXPIRY, Cause(Actor.CLOCK), leg=leg)
    else:
        fall_back(progress, dossier, Ending.UNREAD)


def fall_back(progress: Progress, dossier: Dossier, ending: Ending) -> bool:
    """Let a letter follow an ending beside the copy in the mailbox, once; whether one was begun."""
    way = policy.after(dossier.terms, ending)
    if way is None or any(leg.kind == LegKind.PAPER.value for leg in dossier.legs):
        return False
    progress.begin_leg(dossier, way.kind, Cause(Actor.SERVICE), registered=way.registered)
    return True


def call_off_letters(progress: Progress, dossier: Dossier) -> None:
    """Take back letters that nobody printed yet: the recipient has the mailbox's copy in hand."""
    for leg in dossier.legs:
        if leg.kind == LegKind.PAPER.value and may_happen(dossier, Event.WITHDRAWN, leg):
            progress.happen(dossier, Event.WITHDRAWN, Cause(Actor.SERVICE), leg=leg)


def _row(dossier: Dossier, leg: LegRow, running: Period, *, handled: datetime) -> Running:
    assert leg.noticed_at is not None
    times = terms.reminders(dossier.terms, leg.noticed_at, running)
    ahead = [each for each in (*times, running.ends_at) if each > handled]
    return Running(dossier.id, leg.number, dossier.delivery.organisation_id, min(ahead, default=handled), handled)


def _reminder(dossier: Dossier, leg: LegRow) -> NewJob:
    return NewJob(
        JobKind.REMIND,
        dossier.delivery.organisation_id,
        dossier.id,
        lane=Lane(dossier.delivery.lane),
        leg=leg.number,
    )
