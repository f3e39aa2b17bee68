"""The steps ``notify`` and ``remind``: tell people that something arrived; never what, and never with a link.

Registered mail that is offered first begins with its notice: only once that was sent the recipient has an offer, and a
period to answer it. A notice that can't be sent begins nothing; what follows is the policy's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import msgspec
from sqlalchemy.orm import Session

from service.db import deliveries, mailboxes
from service.db import recovery as recovery_rows
from service.db import terms as term_rows
from service.db.jobs import JobKind, Leased
from service.db.models import LegRow
from service.db.terms import Running
from service.domain import calendar
from service.domain.errors import Retryable
from service.domain.legal_basis import Ending, Mode
from service.domain.states import Actor, Event, LegState
from service.engine.steps import Outcome, Step
from service.notifications.base import About, Language, MailArrived, Notice, NoticeKind, Result
from service.notifications.bounces import is_of_the_address
from service.usecases import bounces, dossiers, periods, recovery
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.personal import PLATFORM, find_hashes, open_value
from service.usecases.progress import Cause, Progress, may_happen

CHUNK = 50
# The notifier's words, in those of the evidence's closed list.
_REASONS = {"address_invalid": "address_refused", "mailbox_refused": "address_refused"}


class MailboxDetails(msgspec.Struct, frozen=True):
    """The personal part of a mailbox."""

    email: str = field(default="")


@dataclass(frozen=True)
class NoticeWork:
    """A notice about one delivery; without an address there is nobody to tell.

    Attributes:
        attempt: 1 for the first notice about a leg; the others remind of it.
        sent: it went out before a restore that forgot it; it is evidenced and not sent again.
    """

    dossier: Dossier
    leg: int
    attempt: int
    notice: Notice | None
    sent: bool = False


def step(context: Context) -> Step[NoticeWork, str | None]:
    """The first notice; its result is None for one that was sent, else the reason why it never will be."""

    def wanted(leg: LegRow, dossier: Dossier, told: int) -> bool:
        return told == 0 and _first_notice(dossier, leg)

    return _step(context, JobKind.NOTIFY, wanted)


def reminder_step(context: Context) -> Step[NoticeWork, str | None]:
    """A reminder of what waits for an answer, or to be opened."""

    def wanted(leg: LegRow, _: Dossier, told: int) -> bool:
        return told > 0 and leg.state in {LegState.OFFERED.value, LegState.AVAILABLE.value}

    return _step(context, JobKind.REMIND, wanted)


def _first_notice(dossier: Dossier, leg: LegRow) -> bool:
    state = LegState(leg.state)
    if dossier.terms.mode is Mode.CONSENT:
        return state is LegState.PENDING
    return state in {LegState.AVAILABLE, LegState.OPENED}


def _step(
    context: Context, kind: JobKind, wanted: Callable[[LegRow, Dossier, int], bool]
) -> Step[NoticeWork, str | None]:
    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, NoticeWork]]:
        found = dossiers.load(session, context, [job.subject_id for job in jobs])
        told = deliveries.told(session, found)
        chosen = [
            (job, found[job.subject_id], told.get((job.subject_id, job.leg), 0))
            for job in jobs
            if job.subject_id in found
            and wanted(
                found[job.subject_id].leg(job.leg), found[job.subject_id], told.get((job.subject_id, job.leg), 0)
            )
        ]
        sent = {
            (row.delivery_id, row.leg)
            for row in recovery_rows.gone(session, recovery_rows.NOTICE, [job.subject_id for job, *_ in chosen])
        }
        works = _with_addresses(context, chosen)
        return [
            (job, replace(work, sent=work.attempt == 1 and (job.subject_id, job.leg) in sent)) for job, work in works
        ]

    def perform(works: Sequence[tuple[Leased, NoticeWork]]) -> list[Outcome[NoticeWork, str | None]]:
        return _send(context, works)

    def record(session: Session, outcomes: Sequence[Outcome[NoticeWork, str | None]]) -> None:
        dossiers.lock_again(session, [outcome.work.dossier for outcome in outcomes])
        progress = Progress(context, now=context.clock())
        # A mail that came back at once may have been read before this.
        told = deliveries.told(session, {outcome.work.dossier.id for outcome in outcomes})
        running = [
            each
            for outcome in outcomes
            if outcome.work.attempt > 1 or (outcome.work.dossier.id, outcome.work.leg) not in told
            for each in _record(context, progress, outcome)
        ]
        progress.write(session)
        term_rows.run(session, running)

    return Step(kind, CHUNK, read, perform, record)


def _record(context: Context, progress: Progress, outcome: Outcome[NoticeWork, str | None]) -> list[Running]:
    """What follows from one notice; the period that begins with it."""
    dossier, leg = outcome.work.dossier, outcome.work.dossier.leg(outcome.work.leg)
    offered = dossier.terms.mode is Mode.CONSENT and leg.state in {LegState.PENDING.value, LegState.OFFERED.value}
    good, bad = (
        (Event.NOTIFICATION_FOR_ACCEPTANCE, Event.NOTIFICATION_FOR_ACCEPTANCE_FAILURE)
        if offered
        else (Event.CONSIGNMENT_NOTIFICATION, Event.CONSIGNMENT_NOTIFICATION_FAILURE)
    )
    first = outcome.work.attempt == 1
    event = good if outcome.result is None else bad
    if offered and outcome.result is not None and not first:
        # The offer began with the first notice, which arrived: that nobody could be reminded undoes nothing.
        event = Event.NOTICE_BOUNCED
    reasons = () if outcome.result is None else (outcome.result,)
    if not may_happen(dossier, event, leg):
        return []
    progress.happen(dossier, event, Cause(Actor.SERVICE, reasons=reasons, attempt=outcome.work.attempt), leg=leg)
    if outcome.result is not None:
        if first and not offered:
            periods.fall_back(progress, dossier, Ending.NOTICE_FAILED)
        return []
    return periods.begin(dossier, leg, now=context.clock()) if first else []


def _with_addresses(context: Context, chosen: Sequence[tuple[Leased, Dossier, int]]) -> list[tuple[Leased, NoticeWork]]:
    # By the number: while the index key is exchanged, a mailbox may stand under another hash than its delivery.
    hashes = {
        dossier.id: find_hashes(context, dossier.personal.recipient)
        for _, dossier, _ in chosen
        if dossier.personal.recipient is not None
    }
    every = {each for own in hashes.values() for each in own}
    with context.database.transaction(recipients=every) as session:
        rows = mailboxes.mailboxes(session, every)
    works = []
    for job, dossier, told in chosen:
        row = next((rows[each] for each in hashes.get(dossier.id, ()) if each in rows), None)
        notice = None
        if row is not None:
            raw = open_value(
                context, row.personal, organisation=PLATFORM, place=f"mailbox.personal:{row.recipient_hash.hex()}"
            )
            details = msgspec.json.decode(raw, type=MailboxDetails)
            what = "arrived" if told == 0 else f"reminder-{told}"
            notice = Notice(
                reference=f"{dossier.id}/{job.leg}/{what}",
                to=details.email,
                language=Language(row.language),
                what=_told_of(dossier, dossier.leg(job.leg), reminder=told > 0),
                about=_about(dossier, dossier.leg(job.leg), reminder=told > 0),
            )
        works.append((job, NoticeWork(dossier, job.leg, told + 1, notice)))
    return works


def _told_of(dossier: Dossier, leg: LegRow, *, reminder: bool) -> MailArrived:
    """What a notice says: the sender only where the terms let it be known, the last day only of a running period."""
    last = None if leg.ends_at is None else calendar.local_date(leg.ends_at) - timedelta(days=1)
    return MailArrived(
        sender=None if dossier.terms.hides_sender and leg.state in _UNANSWERED else dossier.organisation.name,
        registered=dossier.delivery.registered,
        offered=dossier.terms.mode is Mode.CONSENT and leg.state in _UNANSWERED,
        reminder=reminder,
        last_day=last if reminder else None,
    )


def _about(dossier: Dossier, leg: LegRow, *, reminder: bool) -> About:
    offered = dossier.terms.mode is Mode.CONSENT and leg.state in _UNANSWERED
    first = NoticeKind.OFFERED if offered else NoticeKind.ARRIVED
    return About(NoticeKind.REMINDER if reminder else first, dossier.id, leg.number)


_UNANSWERED = frozenset({LegState.PENDING.value, LegState.OFFERED.value})


def _send(context: Context, works: Sequence[tuple[Leased, NoticeWork]]) -> list[Outcome[NoticeWork, str | None]]:
    now = context.clock()
    if context.quiet_hours and calendar.next_allowed(now) > now:
        return [
            Outcome(job, work, error=Retryable("It is night: nobody is written to now.", code="quiet_hours"))
            for job, work in works
        ]
    recovery.guard(context)
    notices = [work.notice for _, work in works if work.notice is not None and not work.sent]
    sent = {outcome.reference: outcome for outcome in context.notifier.send_many(notices, now=now)}
    done = {reference for reference, outcome in sent.items() if outcome.result is Result.SENT}
    # A reminder that goes out twice after a restore does no harm.
    first = [work for _, work in works if work.attempt == 1 and work.notice and work.notice.reference in done]
    context.receipts.noticed([(work.dossier.id, work.leg) for work in first], now=now)
    outcomes: list[Outcome[NoticeWork, str | None]] = []
    for job, work in works:
        if work.sent:
            outcomes.append(Outcome(job, work))
            continue
        if work.notice is None:
            outcomes.append(Outcome(job, work, result="no_address"))
            continue
        answer = sent[work.notice.reference]
        if answer.result is Result.RETRYABLE:
            error = Retryable("The notice could not be sent yet.", code=answer.reason or "mail_unavailable")
            outcomes.append(Outcome(job, work, error=error))
        else:
            reason = None if answer.result is Result.SENT else _REASONS.get(answer.reason or "", "bounced")
            if reason is not None and work.dossier.personal.recipient and is_of_the_address(answer.enhanced):
                bounces.mark_unreachable(context, find_hashes(context, work.dossier.personal.recipient), known_at=now)
            outcomes.append(Outcome(job, work, result=reason))
    return outcomes
