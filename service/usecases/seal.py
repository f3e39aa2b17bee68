"""The step ``seal``: every document of a delivery gets the organisation's seal; what never can be is rejected."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from service.db.jobs import JobKind, Leased
from service.domain.errors import Final, Retryable
from service.domain.states import Actor, DeliveryState, Event
from service.engine.patience import OutOfPatience, patience
from service.engine.steps import Outcome, Step
from service.usecases import dossiers, rewriting, verification
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.progress import Cause, Progress
from service.usecases.rewriting import Rewritten
from signing.errors import SigningError, Unsealable

CHUNK = 50
SEAL_FAILED = "seal_failed"
TOO_COMPLEX = "too_complex"
MEMORY = 1 << 30


@dataclass(frozen=True)
class Work:
    """A delivery whose documents are to be sealed."""

    dossier: Dossier


@dataclass
class _Made:
    job: Leased
    work: Work
    documents: dict[int, Rewritten] = field(default_factory=dict)
    error: Exception | None = None


def step(context: Context) -> Step[Work, dict[int, Rewritten]]:
    """The step, wired."""

    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, Work]]:
        found = dossiers.load(session, context, [job.subject_id for job in jobs])
        return [
            (job, Work(found[job.subject_id]))
            for job in jobs
            if job.subject_id in found and found[job.subject_id].delivery.state == DeliveryState.RECEIVED.value
        ]

    def perform(works: Sequence[tuple[Leased, Work]]) -> list[Outcome[Work, dict[int, Rewritten]]]:
        made = [_seal(context, job, work) for job, work in works]
        rewriting.store(
            context, [(each.work.dossier, list(each.documents.values())) for each in made if each.error is None]
        )
        return [
            Outcome(each.job, each.work, result=None if each.error else each.documents, error=each.error)
            for each in made
        ]

    def record(session: Session, outcomes: Sequence[Outcome[Work, dict[int, Rewritten]]]) -> None:
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
                code = verification.new_code() if sealer.shows else None
                kept = sealer.seal_to_keep(original, at=context.clock(), code=code)
            made.documents[row.position] = rewriting.prepare(context, dossier, row, kept, code=code)
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


def _record(session: Session, context: Context, outcomes: Sequence[Outcome[Work, dict[int, Rewritten]]]) -> None:
    dossiers.lock_again(session, [outcome.work.dossier for outcome in outcomes])
    now = context.clock()
    progress = Progress(context, now=now)
    named = []
    for outcome in outcomes:
        dossier = outcome.work.dossier
        if dossier.delivery.state != DeliveryState.RECEIVED.value:
            # Cancelled meanwhile: the stored objects stay without an owner and are collected.
            continue
        assert outcome.result is not None
        named.append((dossier, outcome.result))
        progress.happen(dossier, Event.SUBMISSION_ACCEPTANCE, Cause(Actor.SERVICE))
    rewriting.name(session, context, named, now=now)
    progress.write(session)


def _reject(session: Session, context: Context, delivery_id: uuid.UUID, error: Final) -> None:
    for dossier in dossiers.load(session, context, [delivery_id], lock=True).values():
        if dossier.delivery.state == DeliveryState.RECEIVED.value:
            progress = Progress(context, now=context.clock())
            progress.note(dossier, error.code, error.detail)
            progress.happen(dossier, Event.SUBMISSION_REJECTION, Cause(Actor.SERVICE, reasons=(error.reason,)))
            progress.write(session)
