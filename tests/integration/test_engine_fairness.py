"""Nobody who waits for one letter waits for a large sender, and large senders get equal shares."""

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy.orm import Session

from service.db import jobs, queues
from service.db.jobs import JobKind, Lane, Leased
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from service.engine.steps import Outcome, Step, each
from service.engine.tallies import Account
from service.engine.turns import Pace, run_until_idle
from tests.engine_support import LEASE, execute, lease, organisations, put
from tests.integration.test_engine_plans import pages_read
from tests.pipeline_support import TestDatabase, fresh_database

BULK = 50_000
_WAITING = """
    INSERT INTO job (id, kind, organisation_id, lane, subject_id, due_at)
    SELECT gen_random_uuid(), %s, %s, 1, gen_random_uuid(), now() - make_interval(secs => 3600 - number * 0.01)
    FROM generate_series(1, %s) AS number
"""


@pytest.fixture(scope="module")
def crowd(stack: Stack) -> Iterator[tuple[TestDatabase, list[uuid.UUID]]]:
    """A database in which one sender has ten times as much waiting as another."""
    assert stack.urls is not None
    with fresh_database(stack.urls, DATABASE) as made:
        large, other, clerks = organisations(made, 3)
        execute(made, _WAITING, "seal", large, BULK)
        execute(made, _WAITING, "seal", other, BULK // 10)
        yield made, [large, other, clerks]


def test_a_clerks_letter_is_next_however_much_waits(crowd: tuple[TestDatabase, list[uuid.UUID]]) -> None:
    database, (_, _, clerks) = crowd
    (letter,) = put(database, clerks, lane=Lane.INTERACTIVE)
    taken = lease(database, 1)
    assert [job.subject_id for job in taken] == [letter]
    with database.database.transaction() as session:
        jobs.finish(session, [job.id for job in taken])


def test_two_large_senders_get_equal_shares_of_a_thousand_leases(
    crowd: tuple[TestDatabase, list[uuid.UUID]],
) -> None:
    database, (large, other, _) = crowd
    shares: Counter[uuid.UUID] = Counter()
    with database.database.transaction() as session:
        for _ in range(100):
            shares.update(job.organisation_id for job in jobs.lease(session, JobKind.SEAL, most=10, seconds=LEASE))
        session.rollback()
    assert shares == {large: 500, other: 500}


def test_looking_for_interactive_work_costs_nothing_beside_a_crowd(
    crowd: tuple[TestDatabase, list[uuid.UUID]],
) -> None:
    database, _ = crowd
    assert sum(pages_read(database, jobs.interactive_kinds).values()) < 100


def test_what_operators_ask_reads_a_bounded_part_of_the_queue(crowd: tuple[TestDatabase, list[uuid.UUID]]) -> None:
    database, _ = crowd
    execute(database, "VACUUM ANALYZE job")
    # At most the cap of index entries per kind and lane, whatever waits.
    assert sum(pages_read(database, queues.queues).values()) < 1500
    for ask in (queues.parked_counts, queues.held_counts, queues.troubles, queues.parked):
        assert sum(pages_read(database, ask).values()) < 30


class Recorder:
    """Steps that note the order in which jobs are done; what is done may lead to the next kind."""

    def __init__(self, leads_to: dict[JobKind, JobKind] | None = None) -> None:
        self.done: list[tuple[str, Lane]] = []
        self._leads_to = leads_to or {}

    def step(self, kind: JobKind, chunk: int = 10) -> Step[Leased, object]:
        def record(session: Session, outcomes: Sequence[Outcome[Leased, object]]) -> None:
            for outcome in outcomes:
                job = outcome.job
                self.done.append((job.kind.value, job.lane))
                if job.kind in self._leads_to and job.lane is Lane.INTERACTIVE:
                    follow = jobs.NewJob(self._leads_to[job.kind], job.organisation_id, job.subject_id, lane=job.lane)
                    jobs.put(session, [follow])

        def read(_: Session, taken: Sequence[Leased]) -> list[tuple[Leased, Leased]]:
            return [(job, job) for job in taken]

        return Step(kind, chunk, read, each(lambda _: None), record)


WAY = {JobKind.SEAL: JobKind.ROUTE, JobKind.ROUTE: JobKind.DEPOSIT, JobKind.DEPOSIT: JobKind.NOTIFY}


def test_a_letter_goes_its_whole_way_in_one_gap_of_a_single_workers_bulk(database: TestDatabase) -> None:
    large, clerks = organisations(database, 2)
    for kind in (JobKind.LETTER, *WAY, JobKind.NOTIFY):
        put(database, large, 40, kind=kind)
    recorder = Recorder(WAY)
    steps = {kind: recorder.step(kind) for kind in (JobKind.LETTER, *WAY, JobKind.NOTIFY)}
    put(database, clerks, lane=Lane.INTERACTIVE)
    # The worker was woken for bulk letters: nobody has told it of the clerk's.
    run_until_idle(database.database, steps[JobKind.LETTER], lease_seconds=LEASE, most_seconds=60, others=steps)
    clerks_way = [kind for kind, lane in recorder.done if lane is Lane.INTERACTIVE]
    assert clerks_way == ["seal", "route", "deposit", "notify"]
    assert all(lane is Lane.INTERACTIVE for _, lane in recorder.done[:4])
    assert Counter(kind for kind, lane in recorder.done if lane is Lane.BULK) == {"letter": 40}


def test_a_letter_that_comes_in_the_middle_waits_for_one_chunk_only(database: TestDatabase) -> None:
    large, clerks = organisations(database, 2)
    put(database, large, 100, kind=JobKind.LETTER)
    recorder = Recorder(WAY)
    steps = {kind: recorder.step(kind) for kind in (JobKind.LETTER, *WAY, JobKind.NOTIFY)}
    chunks: list[int] = []

    def comes_after_two_chunks(kind: JobKind) -> None:
        if kind is JobKind.LETTER:
            chunks.append(len(recorder.done))
            if len(chunks) == 2:
                put(database, clerks, lane=Lane.INTERACTIVE)

    run_until_idle(
        database.database,
        steps[JobKind.LETTER],
        lease_seconds=LEASE,
        most_seconds=60,
        others=steps,
        after_chunk=comes_after_two_chunks,
    )
    assert [kind for kind, _ in recorder.done[chunks[1] : chunks[1] + 4]] == ["seal", "route", "deposit", "notify"]
    assert len(recorder.done) == 104


def test_interactive_work_without_end_starves_no_bulk(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engine.turns.INTERACTIVE_SECONDS", 0.0)
    large, clerks = organisations(database, 2)
    put(database, large, 5, kind=JobKind.LETTER)
    put(database, clerks, 500, lane=Lane.INTERACTIVE)
    recorder = Recorder()
    steps = {kind: recorder.step(kind) for kind in (JobKind.LETTER, JobKind.SEAL)}
    run_until_idle(database.database, steps[JobKind.LETTER], lease_seconds=LEASE, most_seconds=60, others=steps)
    assert Counter(recorder.done)["letter", Lane.BULK] == 5


def account(jobs_done: int, seconds: float, **outcomes: int) -> Account:
    made = Account(JobKind.SEAL, seconds)
    made.outcomes.update({"done": jobs_done, **outcomes})
    return made


def test_a_chunk_is_as_large_as_fits_into_its_time() -> None:
    pace = Pace(seconds=2.0)
    assert pace.fits(JobKind.SEAL, 50) == 12
    pace.measured(account(10, 1.0))
    assert pace.fits(JobKind.SEAL, 50) == 20
    assert pace.fits(JobKind.ROUTE, 50) == 12


@pytest.mark.parametrize(
    ("measured", "size"),
    [([(10, 1.0), (1, 5.0)], 1), ([(50, 0.5)], 50), ([(50, 0.0)], 50), ([(1, 60.0)], 1)],
    ids=["slower counts at once", "never more than the step's", "no time at all", "never less than one"],
)
def test_the_size_follows_what_was_measured(measured: list[tuple[int, float]], size: int) -> None:
    pace = Pace(seconds=2.0)
    for count, seconds in measured:
        pace.measured(account(count, seconds))
    assert pace.fits(JobKind.SEAL, 50) == size


def test_one_quick_chunk_after_slow_ones_makes_no_long_one() -> None:
    pace = Pace(seconds=2.0)
    pace.measured(account(1, 2.0))
    pace.measured(account(1, 0.0))
    assert pace.fits(JobKind.SEAL, 50) == 1


def test_jobs_that_were_only_held_say_nothing_about_the_pace() -> None:
    pace = Pace(seconds=2.0)
    pace.measured(account(10, 10.0))
    held: Any = account(0, 0.001, held=50)
    pace.measured(held)
    assert pace.fits(JobKind.SEAL, 50) == 2
