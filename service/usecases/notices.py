"""The step ``notify``: tell people that something arrived; never what, and never with a link."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
from sqlalchemy.orm import Session

from service.db import deliveries, mailboxes
from service.db import recovery as recovery_rows
from service.db.jobs import JobKind, Leased
from service.domain import calendar
from service.domain.errors import Retryable
from service.domain.states import Actor, Event, LegState
from service.engine.steps import Outcome, Step
from service.notifications.base import Language, MailArrived, Notice, Result
from service.usecases import dossiers, recovery
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.personal import PLATFORM, find_hashes, open_value
from service.usecases.progress import Cause, Progress, may_happen

CHUNK = 50
_OPEN = frozenset({LegState.AVAILABLE, LegState.OPENED})
# The notifier's words, in those of the evidence's closed list.
_REASONS = {"address_invalid": "address_refused", "mailbox_refused": "address_refused"}


class MailboxDetails(msgspec.Struct, frozen=True):
    """The personal part of a mailbox."""

    email: str = field(default="")


@dataclass(frozen=True)
class NoticeWork:
    """A notice about one delivery; without an address there is nobody to tell.

    ``sent``: it went out before a restore that forgot it; it is evidenced and not sent again.
    """

    dossier: Dossier
    leg: int
    notice: Notice | None
    sent: bool = False


def step(context: Context) -> Step[NoticeWork, str | None]:
    """The step, wired; its result is None for a notice that was sent, else the reason why it never will be."""

    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, NoticeWork]]:
        found = dossiers.load(session, context, [job.subject_id for job in jobs])
        told = deliveries.told(session, found)
        chosen = [
            job
            for job in jobs
            if job.subject_id in found
            and (job.subject_id, job.leg) not in told
            and LegState(found[job.subject_id].leg(job.leg).state) in _OPEN
        ]
        sent = {
            (row.delivery_id, row.leg)
            for row in recovery_rows.gone(session, recovery_rows.NOTICE, [job.subject_id for job in chosen])
        }
        works = _with_addresses(context, [(job, found[job.subject_id]) for job in chosen])
        return [(job, replace(work, sent=(job.subject_id, job.leg) in sent)) for job, work in works]

    def perform(works: Sequence[tuple[Leased, NoticeWork]]) -> list[Outcome[NoticeWork, str | None]]:
        return _send(context, works)

    def record(session: Session, outcomes: Sequence[Outcome[NoticeWork, str | None]]) -> None:
        dossiers.lock_again(session, [outcome.work.dossier for outcome in outcomes])
        progress = Progress(context, now=context.clock())
        for outcome in outcomes:
            leg = outcome.work.dossier.leg(outcome.work.leg)
            event = Event.CONSIGNMENT_NOTIFICATION if outcome.result is None else Event.CONSIGNMENT_NOTIFICATION_FAILURE
            reasons = () if outcome.result is None else (outcome.result,)
            if may_happen(outcome.work.dossier, event, leg):
                progress.happen(outcome.work.dossier, event, Cause(Actor.SERVICE, reasons=reasons), leg=leg)
        progress.write(session)

    return Step(JobKind.NOTIFY, CHUNK, read, perform, record)


def _with_addresses(context: Context, chosen: Sequence[tuple[Leased, Dossier]]) -> list[tuple[Leased, NoticeWork]]:
    # By the number: while the index key is exchanged, a mailbox may stand under another hash than its delivery.
    hashes = {
        dossier.id: find_hashes(context, dossier.personal.recipient)
        for _, dossier in chosen
        if dossier.personal.recipient is not None
    }
    every = {each for own in hashes.values() for each in own}
    with context.database.transaction(recipients=every) as session:
        rows = mailboxes.mailboxes(session, every)
    works = []
    for job, dossier in chosen:
        row = next((rows[each] for each in hashes.get(dossier.id, ()) if each in rows), None)
        notice = None
        if row is not None:
            raw = open_value(
                context, row.personal, organisation=PLATFORM, place=f"mailbox.personal:{row.recipient_hash.hex()}"
            )
            details = msgspec.json.decode(raw, type=MailboxDetails)
            notice = Notice(
                reference=f"{dossier.id}/{job.leg}/arrived",
                to=details.email,
                language=Language(row.language),
                what=MailArrived(sender=dossier.organisation.name, registered=dossier.delivery.registered),
            )
        works.append((job, NoticeWork(dossier, job.leg, notice)))
    return works


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
    context.receipts.noticed(
        [(work.dossier.id, work.leg) for _, work in works if work.notice and work.notice.reference in done], now=now
    )
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
            outcomes.append(Outcome(job, work, result=reason))
    return outcomes
