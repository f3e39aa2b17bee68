"""What a step of the work must offer, and how a chunk of jobs is taken through it.

``read`` looks at the rows in a short transaction; ``perform`` does what takes time or speaks to others, with no
transaction open; ``record`` writes everything that follows in the one transaction that also removes the jobs. Each must
be safe to repeat: a worker can die between any two lines.
"""

import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from service import tracing
from service.db import jobs, pauses
from service.db.jobs import JobKind, Lane, Leased
from service.db.session import Database
from service.domain.errors import Final, Retryable, ZendingError
from service.engine.prolonging import prolonged
from service.engine.tallies import Account

log = structlog.get_logger()

Watch = Callable[[Account], object]

WorkT = TypeVar("WorkT")
ResultT = TypeVar("ResultT")
ItemT = TypeVar("ItemT")

# Outside failures are waited for: someone who is back after a weekend finds the work done within minutes.
LONGEST_WAIT = 300.0
# A job that fails for a reason of its own, or whose workers vanish, is tried this often, then it waits for a person.
OWN_FAILURES = 5
WORKERS_LOST = "workers_lost"
# A database that restarts is back after a few of these pauses, in seconds; if not, the leases end by themselves.
_RETURN_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
# Classes of SQLSTATE that say nothing about the job: connection, rollback (deadlock), resources, a lock that was not to
# be had, intervention (PostgreSQL, appendix A).
_DATABASE_TROUBLE = frozenset({"08", "40", "53", "55", "57"})


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
        prolonged: leases are prolonged while it performs. Only for what may take longer than one and surely ends:
            whoever is never done keeps its jobs from all others.
        together: its jobs go side by side and it bounds itself by time: a chunk takes no longer for having more of
            them, so it is always asked to be full.
    """

    kind: JobKind
    chunk: int
    read: Callable[[Session, Sequence[Leased]], Sequence[tuple[Leased, WorkT]]]
    perform: Callable[[Sequence[tuple[Leased, WorkT]]], Sequence[Outcome[WorkT, ResultT]]]
    record: Callable[[Session, Sequence[Outcome[WorkT, ResultT]]], None]
    fail: Callable[[Session, Leased, Final], None] | None = None
    prolonged: bool = False
    together: bool = False


def each(
    function: Callable[[WorkT], ResultT],
) -> Callable[[Sequence[tuple[Leased, WorkT]]], Sequence[Outcome[WorkT, ResultT]]]:
    """Make a ``perform`` for a chunk from one for a single work; an error stops only the work it belongs to."""

    def perform(works: Sequence[tuple[Leased, WorkT]]) -> Sequence[Outcome[WorkT, ResultT]]:
        return [attempt(job, work, function) for job, work in works]

    return perform


def by_leg(usual: Step[Any, Any], others: Mapping[int, Step[Any, Any]]) -> Step[Any, Any]:
    """One step of several that share a kind of job: which one a job is for is said by its leg."""

    def of(job: Leased) -> Step[Any, Any]:
        return others.get(job.leg, usual)

    def parted(found: Sequence[ItemT], job_of: Callable[[ItemT], Leased]) -> list[tuple[Step[Any, Any], list[ItemT]]]:
        parts = [(step, [each for each in found if of(job_of(each)) is step]) for step in (usual, *others.values())]
        return [(step, part) for step, part in parts if part]

    def read(session: Session, leased: Sequence[Leased]) -> list[tuple[Leased, Any]]:
        return [pair for step, part in parted(leased, lambda job: job) for pair in step.read(session, part)]

    def perform(works: Sequence[tuple[Leased, Any]]) -> list[Outcome[Any, Any]]:
        return [outcome for step, part in parted(works, lambda pair: pair[0]) for outcome in step.perform(part)]

    def record(session: Session, outcomes: Sequence[Outcome[Any, Any]]) -> None:
        for step, part in parted(outcomes, lambda outcome: outcome.job):
            step.record(session, part)

    def fail(session: Session, job: Leased, error: Final) -> None:
        end = of(job).fail
        assert end is not None
        end(session, job, error)

    assert all(each.fail is not None for each in (usual, *others.values())), "either all end by themselves or none"
    longer = any(each.prolonged for each in (usual, *others.values()))
    return Step(usual.kind, usual.chunk, read, perform, record, fail, longer)


def attempt(job: Leased, work: WorkT, function: Callable[[WorkT], ResultT]) -> Outcome[WorkT, ResultT]:
    """Do one work and hold on to what went wrong."""
    try:
        return Outcome(job, work, result=function(work))
    except Exception as error:  # noqa: BLE001  whatever it is belongs to this job and is settled with it
        return Outcome(job, work, error=error)


def unwatched(_: Account) -> None:
    """For whoever does not ask what becomes of chunks."""


def run_chunk(
    database: Database,
    step: Step[Any, Any],
    *,
    lease_seconds: int,
    alone: bool = False,
    lanes: Sequence[Lane] = tuple(Lane),
    most: int | None = None,
    watch: Watch = unwatched,
) -> int:
    """Lease, do and settle one chunk; return how many jobs were taken.

    Args:
        database: the application's way to it.
        step: the step to do.
        lease_seconds: how long the lease holds.
        alone: take one suspect job instead of a chunk of others.
        lanes: whose jobs, in this order.
        most: fewer jobs than the step's own chunk.
        watch: is told what became of the chunk.
    """
    with database.transaction() as session:
        taken = (
            jobs.lease_alone(session, step.kind, seconds=lease_seconds, lanes=lanes)
            if alone
            else jobs.lease(session, step.kind, most=most or step.chunk, seconds=lease_seconds, lanes=lanes)
        )
    if not taken:
        return 0
    began, processor = time.monotonic(), time.process_time()
    account = Account(step.kind)
    origins = {job.subject_id: job.trace for job in taken}
    with tracing.work(f"step {step.kind.value}", origins, jobs=len(taken), lane=taken[0].lane.name.lower()) as span:
        _take_through(database, step, taken, account, lease_seconds=lease_seconds, alone=alone)
        span.tell(failed=account.outcomes["done"] < len(taken), attributes=account.outcomes)
    account.seconds = time.monotonic() - began
    watch(account)
    spent = {"seconds": round(account.seconds, 3), "cpu": round(time.process_time() - processor, 3)}
    log.info("chunk", kind=step.kind.value, jobs=len(taken), alone=alone, **spent)
    return len(taken)


def _take_through(
    database: Database,
    step: Step[Any, Any],
    taken: Sequence[Leased],
    account: Account,
    *,
    lease_seconds: int,
    alone: bool,
) -> None:
    if alone and taken[0].failures > OWN_FAILURES:
        _park_lost(database, taken[0])
        account.outcomes["parked"] += 1
        return
    try:
        going, outcomes = _do(database, step, taken, lease_seconds)
        account.outcomes["held"] += len(taken) - len(going)
        _settle(database, step, going, outcomes, account)
    except Exception as error:  # noqa: BLE001  the chunk as a whole failed: each of its jobs is tried again
        _give_back(database, taken, error, account)


def _park_lost(database: Database, job: Leased) -> None:
    # No attempt came to an end, not even to a failure: whatever this job does to workers, it does it no more.
    log.warning("job_parked", kind=job.kind.value, job=str(job.id), attempts=job.attempts, code=WORKERS_LOST)
    with database.transaction() as session:
        jobs.park(session, job, error=WORKERS_LOST)


def _do(
    database: Database, step: Step[Any, Any], taken: Sequence[Leased], lease_seconds: int
) -> tuple[Sequence[Leased], Sequence[Outcome[Any, Any]]]:
    """Do the work of a chunk; what falls under a pause is held, and is not among the jobs that come back."""
    with database.transaction(organisations={job.organisation_id for job in taken}) as session:
        held = pauses.hold(session, taken)
        going = [job for job in taken if job.id not in held]
        works = step.read(session, going) if going else ()
    if not works:
        return going, ()
    with prolonged(database, going, seconds=lease_seconds) if step.prolonged else contextlib.nullcontext():
        outcomes = step.perform(works)
    if {outcome.job.id for outcome in outcomes} != {job.id for job, _ in works}:
        # What has no outcome would be taken for done, and be lost.
        raise RuntimeError("a step gave no outcome for one of its works")
    return going, outcomes


def _settle(
    database: Database,
    step: Step[Any, Any],
    taken: Sequence[Leased],
    outcomes: Sequence[Outcome[Any, Any]],
    account: Account,
) -> None:
    if not taken:
        return
    failed = {outcome.job.id for outcome in outcomes if outcome.error is not None}
    with database.transaction(organisations={job.organisation_id for job in taken}) as session:
        held = jobs.confirm(session, taken)
        good = [outcome for outcome in outcomes if outcome.error is None and outcome.job.id in held]
        if good:
            step.record(session, good)
        # What had nothing left to do is done as well.
        jobs.finish(session, held - failed)
    account.outcomes["done"] += len(held - failed)
    account.outcomes["lost"] += len(taken) - len(held)
    for outcome in outcomes:
        if outcome.error is not None and outcome.job.id in held:
            try:
                with database.transaction(organisations=[outcome.job.organisation_id]) as session:
                    became = (
                        _settle_failure(session, step, outcome.job, outcome.error)
                        if jobs.confirm(session, [outcome.job])
                        else "lost"
                    )
                account.outcomes[became] += 1
            except Exception as error:  # noqa: BLE001  its failure could not be settled: it alone is tried again
                _give_back(database, [outcome.job], error, account)


def _settle_failure(session: Session, step: Step[Any, Any], job: Leased, error: Exception) -> str:
    if isinstance(error, Final) and step.fail is not None:
        log.warning("job_failed", kind=job.kind.value, job=str(job.id), attempts=job.attempts, code=error.code)
        step.fail(session, job, error)
        jobs.finish(session, [job.id])
        return "ended"
    return _try_again_or_park(session, job, error)


def _give_back(database: Database, taken: Sequence[Leased], error: Exception, account: Account) -> None:
    log.warning("chunk_failed", kind=taken[0].kind.value, jobs=len(taken), code=_code(error))
    for pause in _RETURN_PAUSES:
        time.sleep(pause)
        try:
            with database.transaction() as session:
                became = [_try_again_or_park(session, job, error) for job in taken]
        except DBAPIError as trouble:
            log.warning("chunk_not_given_back", kind=taken[0].kind.value, jobs=len(taken), code=_code(trouble))
        else:
            account.outcomes.update(became)
            return
    account.outcomes["lost"] += len(taken)


def _try_again_or_park(session: Session, job: Leased, error: Exception) -> str:
    """Give a job back, or park it; what became of it."""
    code = _code(error)
    log.warning("job_failed", kind=job.kind.value, job=str(job.id), attempts=job.attempts, code=code)
    if comes_from_outside(error):
        jobs.postpone(session, job, seconds=wait(job.attempts), suspect=False, error=code)
    elif isinstance(error, Final) or job.failures >= OWN_FAILURES:
        jobs.park(session, job, error=code)
        return "parked"
    else:
        jobs.postpone(session, job, seconds=wait(job.attempts), suspect=True, error=code)
    return "postponed"


def _code(error: Exception) -> str:
    return error.code if isinstance(error, ZendingError) else type(error).__name__


def comes_from_outside(error: Exception) -> bool:
    """Whether the job is not to blame: somebody else, or the database, could not do its part just then."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        # A connection that was lost, or never came about, has no SQLSTATE.
        return isinstance(error, OperationalError) if state is None else state[:2] in _DATABASE_TROUBLE
    return isinstance(error, Retryable)


def wait(attempts: int) -> float:
    """Seconds until the next attempt: doubling from one, at most five minutes, spread so that not all come at once."""
    return min(LONGEST_WAIT, 2.0 ** min(attempts - 1, 20)) * random.uniform(0.5, 1.0)  # noqa: S311  no secret
