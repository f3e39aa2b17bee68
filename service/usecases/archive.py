"""The step ``archive``: sealed documents get a newer time-stamp before what their proof rests on ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.orm import Session

from service.db import archive as rows
from service.db import jobs, retention
from service.db import printing as print_rows
from service.db.jobs import JobKind, Leased, NewJob
from service.db.retention import Removal
from service.db.session import widen
from service.domain.errors import Final as ForGood
from service.domain.errors import Retryable
from service.engine.patience import OutOfPatience, patience
from service.engine.steps import Outcome, Step
from service.usecases import dossiers, rewriting
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.rewriting import Rewritten
from service.usecases.seal import MEMORY, TOO_COMPLEX
from signing.archive import Kept
from signing.errors import SigningError
from signing.renewal import Renewer

log = structlog.get_logger()

CHUNK: Final = 20
AT_ONCE: Final = 500
"""Jobs put in one round of the scheduler."""
REQUESTS: Final = 1
"""The leg of jobs about a signature request; those about a delivery have 0."""
LATE: Final = timedelta(days=7)
"""A seal that should have been renewed this long ago is an alarm."""


@dataclass(frozen=True)
class Work:
    """A delivery whose seals are renewed."""

    dossier: Dossier


def put_due(context: Context) -> int:
    """Put a job for each delivery and signature request that is to be renewed now; returns how many were put."""
    with context.database.transaction() as session:
        widen(session, print_rows.every_organisation(session))
        put = [
            NewJob(JobKind.ARCHIVE, organisation, subject, leg=leg)
            for leg, of in ((0, rows.DELIVERIES), (REQUESTS, rows.REQUESTS))
            for subject, organisation in of.due(session, now=context.clock(), limit=AT_ONCE)
        ]
        jobs.put(session, put)
    if put:
        context.wake([JobKind.ARCHIVE])
    return len(put)


def step(context: Context) -> Step[Work, dict[int, Rewritten]]:
    """The step, wired."""

    def read(session: Session, leased: Sequence[Leased]) -> list[tuple[Leased, Work]]:
        found = dossiers.load(session, context, [job.subject_id for job in leased])
        works = [(job, Work(found[job.subject_id])) for job in leased if job.subject_id in found]
        kept = [(job, work) for job, work in works if _standing(work.dossier)]
        rows.DELIVERIES.forget(session, {job.subject_id for job in leased} - {job.subject_id for job, _ in kept})
        return kept

    def perform(works: Sequence[tuple[Leased, Work]]) -> list[Outcome[Work, dict[int, Rewritten]]]:
        outcomes = [_renew(context, job, work) for job, work in works]
        rewriting.store(
            context, [(each.work.dossier, list(each.result.values())) for each in outcomes if each.result is not None]
        )
        return outcomes

    def record(session: Session, outcomes: Sequence[Outcome[Work, dict[int, Rewritten]]]) -> None:
        _record(session, context, outcomes)

    def fail(session: Session, job: Leased, error: ForGood) -> None:
        log.error("seal_not_renewed", delivery=str(job.subject_id), code=error.code)
        rows.DELIVERIES.fail(session, job.subject_id, error.code)

    return Step(JobKind.ARCHIVE, CHUNK, read, perform, record, fail)


def _standing(dossier: Dossier) -> bool:
    """Whether there is something left to renew."""
    return any(row.sealed and row.erased_at is None for row in dossier.documents)


def _renew(context: Context, job: Leased, work: Work) -> Outcome[Work, dict[int, Rewritten]]:
    dossier = work.dossier
    delivery = dossier.delivery
    made: dict[int, Rewritten] = {}
    try:
        for row in dossier.documents:
            if not row.sealed or row.erased_at is not None:
                continue
            sealed = context.vault.read(row.path, delivery.organisation_id, delivery.id, rewriting.role_of(row))
            made[row.position] = rewriting.prepare(context, dossier, row, renewed(context, context.renewer, sealed))
        return Outcome(job, work, result=made)
    except Exception as fault:  # noqa: BLE001  settled with the job it belongs to
        return Outcome(job, work, error=fault)


def renewed(context: Context, renewer: Renewer, pdf: bytes) -> Kept:
    """A document with a newer time-stamp.

    Raises:
        Final: it can't be renewed for good.
        Retryable: not at the moment.
    """
    try:
        with patience(memory=MEMORY):
            return renewer.renew(pdf, at=context.clock())
    except OutOfPatience:
        raise ForGood("The document takes too long to be renewed.", reason="seal_failed", code=TOO_COMPLEX) from None
    except SigningError as fault:
        if fault.retryable:
            raise Retryable("The seal could not be renewed at the moment.", code=fault.code) from fault
        raise ForGood("The seal can't be renewed.", reason="seal_failed", code=fault.code) from fault


def _record(session: Session, context: Context, outcomes: Sequence[Outcome[Work, dict[int, Rewritten]]]) -> None:
    now = context.clock()
    current = dossiers.load(session, context, [outcome.job.subject_id for outcome in outcomes], lock=True)
    named, gone = [], []
    for outcome in outcomes:
        dossier = current.get(outcome.job.subject_id)
        if dossier is None or not _standing(dossier):
            # Erased meanwhile: the stored objects stay without an owner and are collected.
            gone.append(outcome.job.subject_id)
            continue
        assert outcome.result is not None
        before = [
            Removal(row.path, dossier.id, dossier.delivery.organisation_id)
            for row in dossier.documents
            if row.position in outcome.result
        ]
        retention.remove_later(session, before, now=now)
        named.append((dossier, outcome.result))
    rows.DELIVERIES.forget(session, gone)
    if named:
        rewriting.name(session, context, named, now=now)
