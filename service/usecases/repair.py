"""Parked jobs: shown with their cause, tried again, or brought to an evidenced end by two persons.

Nothing that was acknowledged is discarded: the end of a job is an event of the delivery's own table of transitions,
with its evidence and a reason of the closed list, and it takes one operator who proposes and another who confirms.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db import jobs, queues
from service.db.ids import (
    BATCH,
    DELIVERY,
    ORGANISATION,
    SIGNATURE_REQUEST,
    SUBMISSION,
    WEBHOOK,
    new_id,
    parse_id,
    public_id,
)
from service.db.jobs import JobKind
from service.db.models import Job
from service.db.operations import EndProposal
from service.db.session import widen
from service.domain.errors import Conflict, Forbidden, Invalid, NotFound
from service.domain.evidence import REASONS, EvidenceEvent, External
from service.domain.states import Actor, DeliveryState, Event, LegKind, LegState
from service.usecases import archive, audit, causes, dossiers
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.products import asked
from service.usecases.progress import Cause, Progress

log = structlog.get_logger()

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
JOB = "job"
PROPOSAL = "end"

ENDS: Final = MappingProxyType(
    {
        JobKind.SEAL: EvidenceEvent.SUBMISSION_REJECTION,
        JobKind.ROUTE: EvidenceEvent.RELAY_TO_NON_ERDS_FAILURE,
        JobKind.DEPOSIT: EvidenceEvent.CONTENT_CONSIGNMENT_FAILURE,
        JobKind.NOTIFY: EvidenceEvent.CONSIGNMENT_NOTIFICATION_FAILURE,
        JobKind.LETTER: EvidenceEvent.RELAY_TO_NON_ERDS_FAILURE,
    }
)
"""The evidence with which a parked job of a kind can end. The others can only be mended and retried: a batch that was
closed may be at the print house already, and what unpacks a submission is stopped through the submission."""


@dataclass(frozen=True, slots=True)
class ProposalView:
    """A proposed end that can still be confirmed."""

    id: str
    reason: str
    proposed_by: str
    proposed_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ParkedView:
    """A parked job as operators read it.

    Attributes:
        subject: the delivery, or the batch, that waits for it.
        meaning: the cause in plain words.
        do: what to do about it.
        reasons: with which its end can be proposed; none where it can't be ended.
    """

    id: str
    kind: str
    lane: str
    organisation: str
    subject: str
    leg: int
    attempts: int
    code: str | None
    meaning: str
    do: str
    parked_at: datetime
    wanted_at: datetime
    reasons: tuple[str, ...]
    proposal: ProposalView | None


_SUBJECTS: Final = {
    JobKind.HAND_OVER: BATCH,
    JobKind.UNPACK: SUBMISSION,
    JobKind.ADMIT: SUBMISSION,
    JobKind.ASK: SIGNATURE_REQUEST,
    JobKind.FINISH: SIGNATURE_REQUEST,
    JobKind.WEBHOOK: WEBHOOK,
}


def _subject(kind: JobKind, leg: int) -> str:
    """What a job is about, by the prefix of its public id."""
    if kind is JobKind.ARCHIVE and leg == archive.REQUESTS:
        return SIGNATURE_REQUEST
    return _SUBJECTS.get(kind, DELIVERY)


def reasons_of(kind: JobKind) -> tuple[str, ...]:
    """The closed list of reasons with which a job of a kind can end."""
    return tuple(sorted(REASONS[ENDS[kind]])) if kind in ENDS else ()


def parked(
    context: Context, *, cursor: str | None = None, limit: int = 50, kind: JobKind | None = None
) -> tuple[list[ParkedView], str | None]:
    """A page of the parked jobs, longest parked first, and where the next one begins.

    Raises:
        NotFound: the cursor is not one of a page before.
    """
    after = None if cursor is None else _after(cursor)
    with context.database.transaction() as session:
        rows = queues.parked(session, after=after, limit=limit + 1, kind=kind)
        open_ones = _proposals(session, [row.id for row in rows], context.clock())
        shown = [_view(row, open_ones.get(row.id)) for row in rows[:limit]]
        last = rows[limit - 1] if len(rows) > limit else None
    if last is None or last.parked_at is None:
        return shown, None
    return shown, f"{(last.parked_at - _EPOCH) // timedelta(microseconds=1)}-{last.id.hex}"


def retry(context: Context, job_ids: list[str] | None, actor: str) -> int:
    """Put parked jobs (all, when ``job_ids`` is None) back into the row; returns how many were parked.

    Raises:
        NotFound: an id is not one of a job.
    """
    ids = None if job_ids is None else [parse_id(JOB, each) for each in job_ids]
    with context.database.transaction() as session:
        done = queues.retry(session, ids)
        for job_id, kind in done.items():
            audit.record(
                session, actor=actor, act="job.retry", subject=public_id(JOB, job_id), details={"kind": kind.value}
            )
    context.wake(set(done.values()))
    return len(done)


def propose_end(context: Context, job_id: str, *, reason: str, actor: str, valid_seconds: int) -> ProposalView:
    """Propose the evidenced end of a parked job; somebody else has to confirm it before it runs out.

    Raises:
        NotFound: there is no such parked job.
        Forbidden: the actor is not a person.
        Invalid: the job can't be ended, or not with this reason.
        Conflict: its end is proposed already.
    """
    _person(actor)
    with context.database.transaction() as session:
        row = _parked(session, job_id)
        kind = JobKind(row.kind)
        if reason not in reasons_of(kind):
            raise Invalid(_why_not(kind), code="end_reason_refused" if kind in ENDS else "end_not_possible")
        now = context.clock()
        if row.id in _proposals(session, [row.id], now):
            raise Conflict("Its end is proposed already: confirm that, or wait until it runs out.", code="end_proposed")
        assert row.parked_at is not None
        proposal = EndProposal(
            id=new_id(),
            job_id=row.id,
            parked_at=row.parked_at,
            reason=reason,
            proposed_by=actor,
            proposed_at=now,
            expires_at=now + timedelta(seconds=valid_seconds),
        )
        session.add(proposal)
        session.flush()
        audit.record(session, actor=actor, act="job.end.propose", subject=job_id, details={"reason": reason})
        return _proposal(proposal)


def confirm_end(context: Context, job_id: str, *, actor: str, subject: str | None = None) -> str:
    """Confirm the end that somebody else proposed: the evidence is written and the job is gone, in one transaction.

    Returns the name of the evidence's event.

    Args:
        context: the wired parts.
        job_id: the job.
        actor: who confirms, as the trail names them.
        subject: the same as the identity provider names them, by which they are one person under every index key.

    Raises:
        NotFound: there is no such parked job.
        Forbidden: the actor is not a person, or proposed it themselves.
        Conflict: nothing is proposed (any more), or the delivery has moved on so that this end has no place.
    """
    _person(actor)
    with context.database.transaction() as session:
        row = _parked(session, job_id)
        found = _proposals(session, [row.id], context.clock()).get(row.id)
        if found is None:
            raise Conflict("No end is proposed for this job, or it has run out.", code="end_not_proposed")
        same = subject is not None and audit.is_same_person(context.index, found.proposed_by, subject)
        if same or found.proposed_by == actor:
            raise Forbidden("Somebody else has to confirm what you proposed.", code="second_person_needed")
        kind = JobKind(row.kind)
        widen(session, [row.organisation_id])
        _end(session, context, row, found.reason)
        jobs.finish(session, [row.id])
        found.confirmed_by, found.confirmed_at = actor, context.clock()
        session.flush()
        audit.record(
            session,
            actor=actor,
            act="job.end.confirm",
            subject=job_id,
            details={
                "kind": kind.value,
                "reason": found.reason,
                "delivery": public_id(DELIVERY, row.subject_id),
                "proposed_by": found.proposed_by,
            },
        )
    log.warning("job_ended", kind=kind.value, job=str(row.id), reason=found.reason)
    context.wake([JobKind.ROUTE])
    return ENDS[kind].value


def _end(session: Session, context: Context, row: Job, reason: str) -> None:
    """Let the event of the end happen to the delivery or leg that the job is for."""
    dossier = dossiers.load(session, context, [row.subject_id], lock=True).get(row.subject_id)
    if dossier is None:
        raise Conflict("There is no delivery that this job is for.", code="end_without_delivery")
    progress = Progress(context, now=context.clock())
    _HAPPENS[JobKind(row.kind)](context, progress, dossier, row, reason)
    progress.write(session)


def _reject(_context: Context, progress: Progress, dossier: Dossier, _row: Job, reason: str) -> None:
    if dossier.delivery.state == DeliveryState.RECEIVED.value:
        progress.happen(dossier, Event.SUBMISSION_REJECTION, Cause(Actor.SERVICE, reasons=(reason,)))


def _no_way(context: Context, progress: Progress, dossier: Dossier, row: Job, reason: str) -> None:
    """No way could be decided on: the last one, paper, is begun and found impossible."""
    if dossier.delivery.state == DeliveryState.SEALED.value:
        leg = progress.begin_leg(dossier, LegKind.PAPER, Cause(Actor.SERVICE))
        _no_letter(context, progress, dossier, row, reason, number=leg.number)


def _no_deposit(_context: Context, progress: Progress, dossier: Dossier, row: Job, reason: str) -> None:
    leg = dossier.leg(row.leg)
    if leg.state == LegState.PENDING.value:
        progress.happen(dossier, Event.CONTENT_CONSIGNMENT_FAILURE, Cause(Actor.SERVICE, reasons=(reason,)), leg=leg)


def _no_notice(_context: Context, progress: Progress, dossier: Dossier, row: Job, reason: str) -> None:
    leg = dossier.leg(row.leg)
    if leg.state in {LegState.AVAILABLE.value, LegState.OPENED.value}:
        progress.happen(
            dossier, Event.CONSIGNMENT_NOTIFICATION_FAILURE, Cause(Actor.SERVICE, reasons=(reason,)), leg=leg
        )


def _no_letter(
    context: Context, progress: Progress, dossier: Dossier, row: Job, reason: str, *, number: int | None = None
) -> None:
    leg = dossier.leg(row.leg if number is None else number)
    if leg.state == LegState.PENDING.value:
        external = External(context.printers.of(asked(dossier, leg)).name, public_id(DELIVERY, dossier.id))
        cause = Cause(Actor.OPERATOR, reasons=(reason,), external=external)
        progress.happen(dossier, Event.RELAY_TO_NON_ERDS_FAILURE, cause, leg=leg)


_HAPPENS: Final[dict[JobKind, Callable[[Context, Progress, Dossier, Job, str], None]]] = {
    JobKind.SEAL: _reject,
    JobKind.ROUTE: _no_way,
    JobKind.DEPOSIT: _no_deposit,
    JobKind.NOTIFY: _no_notice,
    JobKind.LETTER: _no_letter,
}


def _why_not(kind: JobKind) -> str:
    if kind in ENDS:
        return f"The reason is one of: {', '.join(reasons_of(kind))}."
    if kind is JobKind.HAND_OVER:
        return "A closed batch can't be ended, only mended and retried: the print house may have it already."
    if kind in (JobKind.ASK, JobKind.FINISH):
        return "Work on a signature request can't be ended here: its sender can cancel it while not all have signed."
    if kind is JobKind.WEBHOOK:
        return (
            "This work needs no end: it goes when its sender enables or removes the webhook, and messages keep waiting."
        )
    return "This work can't be ended here: stop its submission."


def _person(actor: str) -> None:
    if not actor.startswith("staff:"):
        raise Forbidden("This takes persons who have logged in, not a program.", code="person_needed")


def _parked(session: Session, job_id: str) -> Job:
    row = queues.lock_parked(session, parse_id(JOB, job_id))
    if row is None:
        raise NotFound("There is no such parked job.")
    return row


def _proposals(session: Session, job_ids: list[uuid.UUID], now: datetime) -> dict[uuid.UUID, EndProposal]:
    """The proposals that can still be confirmed: for this parking, in time, not confirmed yet."""
    query = (
        select(EndProposal)
        .join(Job, (Job.id == EndProposal.job_id) & (Job.parked_at == EndProposal.parked_at))
        .where(EndProposal.job_id.in_(job_ids), EndProposal.expires_at > now, EndProposal.confirmed_at.is_(None))
    )
    return {row.job_id: row for row in session.scalars(query)}


def _after(cursor: str) -> tuple[datetime, uuid.UUID]:
    head, _, tail = cursor.partition("-")
    if not (head.isascii() and head.isdecimal() and len(head) < 18):  # noqa: PLR2004  microseconds until the year 33658
        raise NotFound("There is no page by this cursor.")
    return _EPOCH + timedelta(microseconds=int(head)), parse_id(JOB, f"{JOB}_{tail}")


def _view(row: Job, proposal: EndProposal | None) -> ParkedView:
    cause = causes.of(row.last_error)
    kind = JobKind(row.kind)
    assert row.parked_at is not None
    return ParkedView(
        id=public_id(JOB, row.id),
        kind=kind.value,
        lane=jobs.Lane(row.lane).name.lower(),
        organisation=public_id(ORGANISATION, row.organisation_id),
        subject=public_id(_subject(kind, row.leg), row.subject_id),
        leg=row.leg,
        attempts=row.attempts,
        code=row.last_error,
        meaning=cause.meaning,
        do=cause.do,
        parked_at=row.parked_at,
        wanted_at=row.wanted_at,
        reasons=reasons_of(kind),
        proposal=None if proposal is None else _proposal(proposal),
    )


def _proposal(row: EndProposal) -> ProposalView:
    return ProposalView(public_id(PROPOSAL, row.id), row.reason, row.proposed_by, row.proposed_at, row.expires_at)
