"""The steps ``route`` and ``deposit``: which way a delivery goes, and into the mailbox if that is the way."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.channels import internal
from service.channels.base import Consent, Deposit, DepositedDocument, DepositResult, Receipt
from service.db.jobs import JobKind, Leased
from service.domain import policy
from service.domain.errors import Retryable
from service.domain.legal_basis import Mode
from service.domain.policy import Route
from service.domain.states import Actor, DeliveryState, Event, LegKind, LegState
from service.engine.steps import Outcome, Step
from service.usecases import dossiers
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.progress import Cause, Progress
from service.usecases.views import file_name

CHUNK = 50
NO_MAILBOX = "no_mailbox"


@dataclass(frozen=True)
class RouteWork:
    """A delivery that needs its next leg."""

    dossier: Dossier


def route_step(context: Context) -> Step[RouteWork, bool]:
    """The step ``route``; its result is whether the recipient's mailbox takes the delivery."""

    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, RouteWork]]:
        found = dossiers.load(session, context, [job.subject_id for job in jobs])
        works = [(job, RouteWork(found[job.subject_id])) for job in jobs if job.subject_id in found]
        return [(job, work) for job, work in works if _needs_leg(work.dossier)]

    def perform(works: Sequence[tuple[Leased, RouteWork]]) -> list[Outcome[RouteWork, bool]]:
        digital = _activated(context, [work.dossier for _, work in works])
        return [Outcome(job, work, result=work.dossier.id in digital) for job, work in works]

    def record(session: Session, outcomes: Sequence[Outcome[RouteWork, bool]]) -> None:
        dossiers.lock_again(session, [outcome.work.dossier for outcome in outcomes])
        progress = Progress(context, now=context.clock())
        for outcome in outcomes:
            if _needs_leg(outcome.work.dossier):
                _begin(progress, outcome.work.dossier, activated=bool(outcome.result))
        progress.write(session)

    return Step(JobKind.ROUTE, CHUNK, read, perform, record)


def _needs_leg(dossier: Dossier) -> bool:
    if dossier.delivery.state != DeliveryState.SEALED.value:
        return False
    if not dossier.legs:
        return True
    last = dossier.legs[-1]
    return last.kind == LegKind.MAILBOX.value and policy.ending(LegState(last.state), last.reason) is not None


def _activated(context: Context, chunk: Sequence[Dossier]) -> set[uuid.UUID]:
    """The deliveries whose recipients' mailboxes take them now, asked once per sender and kind of mail."""
    groups: dict[tuple[uuid.UUID, bool], list[Dossier]] = {}
    for dossier in chunk:
        # A mailbox that failed once is not tried again for the same delivery.
        if dossier.personal.recipient is not None and not dossier.legs:
            groups.setdefault((dossier.delivery.organisation_id, dossier.delivery.registered), []).append(dossier)
    found: set[uuid.UUID] = set()
    for (organisation, registered), members in groups.items():
        asked = {member.personal.recipient for member in members if member.personal.recipient is not None}
        yes = context.channel.activated(asked, Consent(str(organisation), registered))
        found |= {member.id for member in members if member.personal.recipient in yes}
    return found


def _begin(progress: Progress, dossier: Dossier, *, activated: bool) -> None:
    way = _next(dossier, activated=activated)
    if way is not None:
        progress.begin_leg(dossier, way.kind, Cause(Actor.SERVICE), registered=way.registered)


def _next(dossier: Dossier, *, activated: bool) -> Route | None:
    """The way to go now; None where the policy says that nothing follows."""
    if not dossier.legs:
        return policy.first(
            dossier.terms,
            activated=activated,
            registered=dossier.delivery.registered,
            recipient_kind=dossier.personal.kind,
        )
    last = dossier.legs[-1]
    ending = policy.ending(LegState(last.state), last.reason)
    return None if ending is None else policy.after(dossier.terms, ending)


@dataclass(frozen=True)
class DepositWork:
    """A mailbox leg that is about to be filled."""

    dossier: Dossier
    deposit: Deposit
    leg: int


def deposit_step(context: Context) -> Step[DepositWork, Receipt]:
    """The step ``deposit``: into the mailbox, or on to paper when there is none any more."""

    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, DepositWork]]:
        found = dossiers.load(session, context, [job.subject_id for job in jobs])
        return [
            (job, DepositWork(found[job.subject_id], _deposit(context, found[job.subject_id], job.leg), job.leg))
            for job in jobs
            if job.subject_id in found and found[job.subject_id].leg(job.leg).state == LegState.PENDING.value
        ]

    def perform(works: Sequence[tuple[Leased, DepositWork]]) -> list[Outcome[DepositWork, Receipt]]:
        receipts = context.channel.deposit([work.deposit for _, work in works], now=context.clock())
        return [
            Outcome(job, work, error=Retryable("The mailbox did not take it yet.", code="mailbox_unavailable"))
            if receipt.result is DepositResult.RETRYABLE
            else Outcome(job, work, result=receipt)
            for (job, work), receipt in zip(works, receipts, strict=True)
        ]

    def record(session: Session, outcomes: Sequence[Outcome[DepositWork, Receipt]]) -> None:
        dossiers.lock_again(session, [outcome.work.dossier for outcome in outcomes])
        progress = Progress(context, now=context.clock())
        for outcome in outcomes:
            leg = outcome.work.dossier.leg(outcome.work.leg)
            if leg.state != LegState.PENDING.value or outcome.result is None:
                continue
            if outcome.result.result is DepositResult.TAKEN:
                offered = outcome.work.deposit.offered
                event = Event.OFFER_PLACED if offered else Event.CONTENT_CONSIGNMENT
                progress.happen(outcome.work.dossier, event, Cause(Actor.SERVICE), leg=leg)
            else:
                refused = outcome.result.result is DepositResult.REFUSED
                cause = Cause(Actor.SERVICE, reasons=("refused_by_mailbox" if refused else NO_MAILBOX,))
                progress.happen(outcome.work.dossier, Event.CONTENT_CONSIGNMENT_FAILURE, cause, leg=leg)
        progress.write(session)

    return Step(JobKind.DEPOSIT, CHUNK, read, perform, record)


def _deposit(context: Context, dossier: Dossier, leg: int) -> Deposit:
    recipient = dossier.personal.recipient
    assert recipient is not None, "a mailbox leg is begun for recipients with a number only"
    offered = dossier.terms.mode is Mode.CONSENT
    return Deposit(
        reference=internal.reference(dossier.id, leg),
        recipient=recipient,
        organisation=str(dossier.delivery.organisation_id),
        registered=dossier.delivery.registered,
        offered=offered,
        subject=None if offered else dossier.personal.subject,
        language=dossier.delivery.language,
        document_type=dossier.delivery.document_type,
        documents=tuple(
            DepositedDocument(row.role, file_name(context, dossier, row.position), row.sha256.hex(), row.size, row.path)
            for row in dossier.documents
        ),
    )
