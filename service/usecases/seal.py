"""The step ``seal``: every document of a delivery gets the organisation's seal; what never can be is rejected."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from service.db.jobs import JobKind, Leased
from service.db.models import DocumentRow
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
from signing.seal import Begun, Sealer

CHUNK = 50
SEAL_FAILED = "seal_failed"
TOO_COMPLEX = "too_complex"
MEMORY = 1 << 30
HELD = 64 * 1024 * 1024
"""Bytes of documents that wait for signatures made together: beyond it those are asked for that are there."""


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


@dataclass(frozen=True)
class _Waiting:
    """A document that waits for its signature."""

    made: _Made
    row: DocumentRow
    sealer: Sealer
    begun: Begun
    code: str | None


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
        made = [_Made(job, work) for job, work in works]
        _seal_all(context, made)
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


def _seal_all(context: Context, made: Sequence[_Made]) -> None:
    """Seal the documents of a chunk, each by its own, or together where a key signs many for the price of one."""
    waiting: list[_Waiting] = []
    for each in made:
        try:
            sealer = context.sealer(each.work.dossier.organisation)
            for row in each.work.dossier.documents:
                original = _original(context, each, row)
                code = verification.new_code() if sealer.shows else None
                if sealer.together > 1:
                    with patience(memory=MEMORY):
                        begun = sealer.begin(original, at=context.clock(), code=code)
                    waiting.append(_Waiting(each, row, sealer, begun, code))
                    continue
                with patience(memory=MEMORY):
                    kept = sealer.seal_to_keep(original, at=context.clock(), code=code)
                each.documents[row.position] = rewriting.prepare(context, each.work.dossier, row, kept, code=code)
        except Exception as error:  # noqa: BLE001  settled with the job it belongs to
            each.error = _told(error)
        if sum(len(each.begun) for each in waiting) >= HELD:
            _sign_together(context, waiting)
            waiting = []
    _sign_together(context, waiting)


def _original(context: Context, made: _Made, row: DocumentRow) -> bytes:
    delivery = made.work.dossier.delivery
    return context.vault.read(row.path, delivery.organisation_id, delivery.id, f"original-{row.position}")


def _sign_together(context: Context, waiting: Sequence[_Waiting]) -> None:
    """Sign what waits, with as few calls as each key allows, and finish it."""
    by_sealer: dict[int, list[_Waiting]] = {}
    for each in waiting:
        if each.made.error is None:
            by_sealer.setdefault(id(each.sealer), []).append(each)
    for group in by_sealer.values():
        sealer = group[0].sealer
        try:
            signatures = sealer.sign_many([each.begun for each in group])
        except Exception as error:  # noqa: BLE001  whoever waited for these signatures waits on
            for each in group:
                each.made.error = _told(error)
            continue
        for each, signature in zip(group, signatures, strict=True):
            try:
                with patience(memory=MEMORY):
                    kept = sealer.finish(each.begun, signature)
                dossier = each.made.work.dossier
                each.made.documents[each.row.position] = rewriting.prepare(
                    context, dossier, each.row, kept, code=each.code
                )
            except Exception as error:  # noqa: BLE001  settled with the job it belongs to
                each.made.error = _told(error)


def _told(error: Exception) -> Exception:
    """An error as the engine is told it: for good, for now, or as it is."""
    match error:
        case Unsealable():
            return Final("The document can't be sealed.", reason=SEAL_FAILED, code=error.code)
        case OutOfPatience():
            return Final("The document takes too long to seal.", reason=SEAL_FAILED, code=TOO_COMPLEX)
        case SigningError(retryable=True):
            return Retryable("The seal could not be made at the moment.", code=error.code)
        case _:
            return error


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
