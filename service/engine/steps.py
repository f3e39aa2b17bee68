"""What a step of the work must offer, and how a chunk of jobs is taken through it.

``read`` looks at the rows in a short transaction; ``perform`` does what takes time or speaks to others, with no
transaction open; ``record`` writes everything that follows in the one transaction that also removes the jobs. Each must
be safe to repeat: a worker can die between any two lines.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from sqlalchemy.orm import Session

from service.db import jobs
from service.db.jobs import JobKind, Leased
from service.db.session import Database
from service.domain.errors import Final, Retryable, ZendingError

log = structlog.get_logger()

WorkT = TypeVar("WorkT")
ResultT = TypeVar("ResultT")

# Outside failures are waited for: someone who is back after a weekend finds the work done within minutes.
LONGEST_WAIT = 300.0
# A job that fails for a reason of its own is tried this often, then it waits for a person.
OWN_FAILURES = 5


@dataclass(frozen=True)
class Outcome(Generic[WorkT, ResultT]):
    """What became of one job's work: a result, or the error that stopped it."""

    job: Leased
    work: WorkT
    result: ResultT | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Step(Generic[WorkT, ResultT]):
    """One kind of work.

    Attributes:
        kind: the jobs it is for.
        chunk: how many first attempts are taken together.
        read: the rows each job needs; a job that is missing from the answer has nothing left to do.
        perform: outside work for the chunk; one outcome per work, errors inside outcomes, never raised for one of them.
        record: results into rows; called only with outcomes that have a result and a job that is still held.
        fail: the evidenced end of a job that can never succeed; None parks it instead.
    """

    kind: JobKind
    chunk: int
    read: Callable[[Session, Sequence[Leased]], Sequence[tuple[Leased, WorkT]]]
    perform: Callable[[Sequence[tuple[Leased, WorkT]]], Sequence[Outcome[WorkT, ResultT]]]
    record: Callable[[Session, Sequence[Outcome[WorkT, ResultT]]], None]
    fail: Callable[[Session, Leased, Final], None] | None = None


def each(
    function: Callable[[WorkT], ResultT],
) -> Callable[[Sequence[tuple[Leased, WorkT]]], Sequence[Outcome[WorkT, ResultT]]]:
    """Make a ``perform`` for a chunk from one for a single work; an error stops only the work it belongs to."""

    def perform(works: Sequence[tuple[Leased, WorkT]]) -> Sequence[Outcome[WorkT, ResultT]]:
        return [attempt(job, work, function) for job, work in works]

    return perform


def attempt(job: Leased, work: WorkT, function: Callable[[WorkT], ResultT]) -> Outcome[WorkT, ResultT]:
    """Do one work and hold on to what went wrong."""
    try:
        return Outcome(job, work, result=function(work))
    except Exception as error:  # noqa: BLE001  whatever it is belongs to this job and is settled with it
        return Outcome(job, work, error=error)


def run_chunk(
    database: Database,
    step: Step[Any, Any],
    *,
    lease_seconds: int,
    alone: bool = False,
) -> int:
    """Lease, do and settle one chunk; return how many jobs were taken."""
    with database.transaction() as session:
        taken = (
            jobs.lease_alone(session, step.kind, seconds=lease_seconds)
            if alone
            else jobs.lease(session, step.kind, most=step.chunk, seconds=lease_seconds)
        )
    if not taken:
        return 0
    began = time.monotonic()
    try:
        outcomes = _do(database, step, taken)
        _settle(database, step, taken, outcomes)
    except Exception as error:  # noqa: BLE001  the chunk as a whole failed: each of its jobs is tried again
        _give_back(database, taken, error)
    log.info("chunk", kind=step.kind.value, jobs=len(taken), alone=alone, seconds=round(time.monotonic() - began, 3))
    return len(taken)


def _do(database: Database, step: Step[Any, Any], taken: Sequence[Leased]) -> Sequence[Outcome[Any, Any]]:
    with database.transaction(organisations={job.organisation_id for job in taken}) as session:
        works = step.read(session, taken)
    return step.perform(works) if works else ()


def _settle(
    database: Database,
    step: Step[Any, Any],
    taken: Sequence[Leased],
    outcomes: Sequence[Outcome[Any, Any]],
) -> None:
    failed = {outcome.job.id for outcome in outcomes if outcome.error is not None}
    with database.transaction(organisations={job.organisation_id for job in taken}) as session:
        held = jobs.confirm(session, taken)
        good = [outcome for outcome in outcomes if outcome.error is None and outcome.job.id in held]
        if good:
            step.record(session, good)
        # What had nothing left to do is done as well.
        jobs.finish(session, held - failed)
    for outcome in outcomes:
        if outcome.error is not None and outcome.job.id in held:
            with database.transaction(organisations=[outcome.job.organisation_id]) as session:
                if jobs.confirm(session, [outcome.job]):
                    _settle_failure(session, step, outcome.job, outcome.error)


def _settle_failure(session: Session, step: Step[Any, Any], job: Leased, error: Exception) -> None:
    code = error.code if isinstance(error, ZendingError) else type(error).__name__
    log.warning("job_failed", kind=job.kind.value, job=str(job.id), attempts=job.attempts, code=code)
    if isinstance(error, Final) and step.fail is not None:
        step.fail(session, job, error)
        jobs.finish(session, [job.id])
    elif isinstance(error, Retryable):
        jobs.postpone(session, job, seconds=wait(job.attempts), suspect=False, error=code)
    elif isinstance(error, Final) or job.attempts >= OWN_FAILURES:
        jobs.park(session, job, error=code)
    else:
        jobs.postpone(session, job, seconds=wait(job.attempts), suspect=True, error=code)


def _give_back(database: Database, taken: Sequence[Leased], error: Exception) -> None:
    code = error.code if isinstance(error, ZendingError) else type(error).__name__
    log.warning("chunk_failed", kind=taken[0].kind.value, jobs=len(taken), code=code, error=type(error).__name__)
    outside = isinstance(error, Retryable)
    with database.transaction() as session:
        for job in taken:
            if not outside and len(taken) == 1 and job.attempts >= OWN_FAILURES:
                jobs.park(session, job, error=code)
            else:
                jobs.postpone(session, job, seconds=wait(job.attempts), suspect=not outside, error=code)


def wait(attempts: int) -> float:
    """Seconds until the next attempt: doubling from one, at most five minutes, spread so that not all come at once."""
    return min(LONGEST_WAIT, 2.0 ** min(attempts - 1, 20)) * random.uniform(0.5, 1.0)  # noqa: S311  no secret


def run_until_idle(
    database: Database,
    step: Step[Any, Any],
    *,
    lease_seconds: int,
    most_seconds: float,
    after_chunk: Callable[[], object],
) -> bool:
    """Work through what is due of a kind, for ``most_seconds`` at most; return whether more may be due.

    One suspect job is tried between two chunks, so that it neither holds the others up nor waits for ever.
    """
    ends = time.monotonic() + most_seconds
    while time.monotonic() < ends:
        done = run_chunk(database, step, lease_seconds=lease_seconds)
        done += run_chunk(database, step, lease_seconds=lease_seconds, alone=True)
        if not done:
            return False
        after_chunk()
    return True
