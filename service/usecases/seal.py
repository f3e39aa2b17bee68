"""The step ``seal``: every document of a delivery gets the organisation's seal; what never can be is rejected."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from service.db import deliveries
from service.db.jobs import JobKind, Leased
from service.domain.errors import Final, Retryable
from service.domain.states import Actor, DeliveryState, Event
from service.engine.patience import OutOfPatience, patience
from service.engine.steps import Outcome, Step
from service.usecases import dossiers
from service.usecases.admission import intents
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.progress import Cause, Progress
from service.vault.vault import Prepared
from signing.errors import SigningError, Unsealable

CHUNK = 50
SEAL_FAILED = "seal_failed"
TOO_COMPLEX = "too_complex"
MEMORY = 1 << 30


@dataclass(frozen=True)
class Sealed:
    """A sealed document, encrypted and stored."""

    prepared: Prepared
    sha256: bytes
    size: int


@dataclass(frozen=True)
class Work:
    """A delivery whose documents are to be sealed."""

    dossier: Dossier


@dataclass
class _Made:
    job: Leased
    work: Work
    documents: list[Sealed] = field(default_factory=list)
    error: Exception | None = None


def step(context: Context) -> Step[Work, list[Sealed]]:
    """The step, wired."""

    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, Work]]:
        found = dossiers.load(session, context, [job.subject_id for job in jobs])
        return [
            (job, Work(found[job.subject_id]))
            for job in jobs
            if job.subject_id in found and found[job.subject_id].delivery.state == DeliveryState.RECEIVED.value
        ]

    def perform(works: Sequence[tuple[Leased, Work]]) -> list[Outcome[Work, list[Sealed]]]:
        made = [_seal(context, job, work) for job, work in works]
        _store(context, [each for each in made if each.error is None])
        return [
            Outcome(each.job, each.work, result=None if each.error else each.documents, error=each.error)
            for each in made
        ]

    def record(session: Session, outcomes: Sequence[Outcome[Work, list[Sealed]]]) -> None:
        _record(session, context, outcomes)

    def fail(session: Session, job: Leased, error: Final) -> None:
        _reject(session, context, job.subject_id, error)

    return Step(JobKind.SEAL, CHUNK, read, perform, record, fail)


def _seal(context: Context, job: Leased, work: Work) -> _Made:
    made = _Made(job, work)
    dossier = work.dossier
    delivery = dossier.delivery
    try:
        sealer = context.sealer(dossier.organisation)
        for row in dossier.documents:
            original = context.vault.read(row.path, delivery.organisation_id, delivery.id, f"original-{row.position}")
            with patience(memory=MEMORY):
                sealed = sealer.seal(original, at=context.clock())
            prepared = context.vault.prepare(
                delivery.organisation_id, delivery.retention_year, delivery.id, f"sealed-{row.position}", sealed
            )
            made.documents.append(Sealed(prepared, hashlib.sha256(sealed).digest(), len(sealed)))
    except Unsealable as error:
        made.error = Final("The document can't be sealed.", reason=SEAL_FAILED, code=error.code)
    except OutOfPatience:
        made.error = Final("The document takes too long to seal.", reason=SEAL_FAILED, code=TOO_COMPLEX)
    except SigningError as error:
        made.error = (
            Retryable("The seal could not be made at the moment.", code=error.code) if error.retryable else error
        )
    except Exception as error:  # noqa: BLE001  settled with the job it belongs to
        made.error = error
    return made


def _store(context: Context, made: Sequence[_Made]) -> None:
    """Write down all intents of the chunk, then store its objects together."""
    if not made:
        return
    rows = [
        intent
        for each in made
        for intent in intents(
            each.work.dossier.delivery.organisation_id,
            each.work.dossier.id,
            [sealed.prepared for sealed in each.documents],
        )
    ]
    organisations = {each.work.dossier.delivery.organisation_id for each in made}
    with context.database.transaction(organisations=organisations) as session:
        deliveries.intend(session, rows)
    context.vault.write_many([sealed.prepared for each in made for sealed in each.documents])


def _record(session: Session, context: Context, outcomes: Sequence[Outcome[Work, list[Sealed]]]) -> None:
    dossiers.lock_again(session, [outcome.work.dossier for outcome in outcomes])
    progress = Progress(context, now=context.clock())
    documents, paths, subjects = [], [], []
    for outcome in outcomes:
        dossier = outcome.work.dossier
        if dossier.delivery.state != DeliveryState.RECEIVED.value:
            # Cancelled meanwhile: the stored objects stay without an owner and are collected.
            continue
        assert outcome.result is not None
        for row, sealed in zip(dossier.documents, outcome.result, strict=True):
            row.path, row.sha256, row.size, row.sealed = sealed.prepared.path, sealed.sha256, sealed.size, True
            documents.append(row)
            paths.append(sealed.prepared.path)
        subjects.append(dossier.id)
        progress.happen(dossier, Event.SUBMISSION_ACCEPTANCE, Cause(Actor.SERVICE))
    deliveries.replace_documents(session, documents)
    deliveries.keep(session, subjects, paths)
    progress.write(session)


def _reject(session: Session, context: Context, delivery_id: uuid.UUID, error: Final) -> None:
    for dossier in dossiers.load(session, context, [delivery_id], lock=True).values():
        if dossier.delivery.state == DeliveryState.RECEIVED.value:
            progress = Progress(context, now=context.clock())
            progress.note(dossier, error.code, error.detail)
            progress.happen(dossier, Event.SUBMISSION_REJECTION, Cause(Actor.SERVICE, reasons=(error.reason,)))
            progress.write(session)
