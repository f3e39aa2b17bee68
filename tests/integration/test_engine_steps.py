"""Chunks on a real PostgreSQL: what fails harms itself only, and who has lost a lease writes nothing."""

import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from service.db import jobs
from service.db.jobs import JobKind, Leased, NewJob
from service.domain.errors import Final, Invalid, Retryable
from service.engine.steps import (
    LONGEST_WAIT,
    OWN_FAILURES,
    WORKERS_LOST,
    Outcome,
    comes_from_outside,
)
from service.engine.turns import run_until_idle
from tests.engine_support import (
    LEASE,
    Bench,
    end_leases,
    execute,
    lease,
    lease_alone,
    make_due,
    organisations,
    put,
    row,
    there,
)
from tests.pipeline_support import TestDatabase


class Poisonous(Exception):
    """Its text holds what must never be stored: Jan Peeters, 85073003328."""


@pytest.fixture
def sender(database: TestDatabase) -> uuid.UUID:
    return organisations(database, 1)[0]


def failing(subject: uuid.UUID, error: Exception) -> Bench:
    def function(job: Leased) -> None:
        if job.subject_id == subject:
            raise error

    return Bench(function)


def run_rounds(bench: Bench, database: TestDatabase, rounds: int) -> None:
    for _ in range(rounds):
        make_due(database)
        bench.run(database)
        bench.run(database, alone=True)


def test_a_chunk_is_read_done_recorded_and_removed(database: TestDatabase, sender: uuid.UUID) -> None:
    subjects = put(database, sender, 12)
    bench = Bench()
    assert [bench.run(database), bench.run(database), bench.run(database)] == [10, 2, 0]
    assert bench.performed == bench.recorded
    assert sorted(bench.recorded) == sorted(subjects)
    assert execute(database, "SELECT count(*) FROM job") == [(0,)]


def test_outside_work_has_no_transaction_open(database: TestDatabase, sender: uuid.UUID) -> None:
    put(database, sender)
    open_ones: list[tuple[object, ...]] = []
    bench = Bench(
        lambda _: open_ones.extend(
            execute(
                database,
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND usename = 'zending_app'"
                " AND state LIKE 'idle in transaction%'",
            )
        )
    )
    assert bench.run(database) == 1
    assert open_ones == []


def test_a_poisonous_job_parks_only_itself(database: TestDatabase, sender: uuid.UUID) -> None:
    subjects = put(database, sender, 5)
    poison = subjects[2]
    bench = failing(poison, Poisonous("Jan Peeters, 85073003328"))
    bench.run(database)
    assert sorted(bench.recorded) == sorted(set(subjects) - {poison})
    assert there(database, poison).suspect
    for tried in range(1, OWN_FAILURES + 3):
        found = there(database, poison)
        assert (found.attempts, found.parked) == (min(tried, OWN_FAILURES), tried >= OWN_FAILURES)
        run_rounds(bench, database, 1)
    assert bench.performed.count(poison) == OWN_FAILURES
    assert there(database, poison).error == "Poisonous"
    assert set(bench.chunks[1:]) == {1}


def test_a_job_that_spoils_the_record_of_its_chunk_takes_nobody_with_it(
    database: TestDatabase, sender: uuid.UUID
) -> None:
    subjects = put(database, sender, 4)

    def on_record(session: Session, outcomes: Sequence[Outcome[Leased, object]]) -> None:
        for outcome in outcomes:
            jobs.put(session, [NewJob(JobKind.ROUTE, sender, outcome.job.subject_id)])
        if subjects[0] in {outcome.job.subject_id for outcome in outcomes}:
            session.execute(text("SELECT 1 / 0"))

    bench = Bench(on_record=on_record)
    bench.run(database)
    assert bench.recorded == []
    assert execute(database, "SELECT kind, suspect, lease_until, count(*) FROM job GROUP BY 1, 2, 3") == [
        ("seal", True, None, 4)
    ]
    run_rounds(bench, database, 9)
    assert sorted(bench.recorded) == sorted(subjects[1:])
    assert execute(database, "SELECT count(*) FROM job WHERE kind = 'route'") == [(3,)]
    assert there(database, subjects[0]).parked
    assert there(database, subjects[0]).attempts == OWN_FAILURES


def test_a_job_that_kills_its_workers_is_parked_without_another_try(database: TestDatabase, sender: uuid.UUID) -> None:
    (subject,) = put(database, sender)
    lease(database, 1)
    for _ in range(OWN_FAILURES - 1):
        end_leases(database)
        assert len(lease_alone(database)) == 1
    end_leases(database)
    bench = Bench()
    assert bench.run(database, alone=True) == 1
    assert bench.performed == []
    found = there(database, subject)
    assert found.parked
    assert found.error == WORKERS_LOST


@pytest.mark.parametrize("raised_by", ["one work", "the chunk"])
def test_failures_outside_never_park_and_never_make_suspect(
    database: TestDatabase, sender: uuid.UUID, raised_by: str
) -> None:
    subjects = put(database, sender, 3)
    down = Retryable("The authority does not answer.", code="tsa_unavailable")
    more: dict[str, Any] = {}
    bench = Bench()
    if raised_by == "one work":
        bench = failing(subjects[0], down)
    else:

        def perform(_: object) -> None:
            raise down

        more = {"perform": perform}
    waits = []
    for tried in range(1, 3 * OWN_FAILURES):
        make_due(database)
        assert bench.run(database, **more) >= 1
        found = there(database, subjects[0])
        assert (found.attempts, found.failures, found.suspect, found.parked, found.error) == (
            tried,
            0,
            False,
            False,
            "tsa_unavailable",
        )
        waits.append(found.seconds)
    assert max(waits) <= LONGEST_WAIT
    assert min(waits[-3:]) > max(waits[:3])


def test_failures_outside_do_not_count_towards_a_jobs_own(database: TestDatabase, sender: uuid.UUID) -> None:
    (subject,) = put(database, sender)
    run_rounds(failing(subject, Retryable()), database, OWN_FAILURES)
    run_rounds(failing(subject, Poisonous()), database, 1)
    found = there(database, subject)
    assert (found.failures, found.suspect, found.parked) == (1, True, False)


def test_a_suspect_is_cleared_when_the_cause_lies_outside(database: TestDatabase, sender: uuid.UUID) -> None:
    (subject,) = put(database, sender)
    run_rounds(failing(subject, Poisonous()), database, 1)
    make_due(database)
    failing(subject, Retryable()).run(database, alone=True)
    assert (there(database, subject).suspect, there(database, subject).failures) == (False, 1)
    make_due(database)
    assert len(lease(database, 5)) == 1


def test_a_database_that_goes_away_makes_no_suspects(database: TestDatabase, sender: uuid.UUID) -> None:
    subjects = put(database, sender, 2)

    def cut(session: Session, _: object) -> None:
        session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    Bench(on_record=cut).run(database)
    for subject in subjects:
        assert (there(database, subject).failures, there(database, subject).suspect) == (0, False)
    make_due(database)
    bench = Bench()
    assert bench.run(database) == 2
    assert len(bench.recorded) == 2


class _Orig(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "outside"),
    [
        (OperationalError("", {}, _Orig(None)), True),
        (InterfaceError("", {}, _Orig(None)), False),
        (OperationalError("", {}, _Orig("40P01")), True),
        (OperationalError("", {}, _Orig("55P03")), True),
        (OperationalError("", {}, _Orig("57P01")), True),
        (DBAPIError("", {}, _Orig("53100")), True),
        (DBAPIError("", {}, _Orig("08006")), True),
        (OperationalError("", {}, _Orig("54000")), False),
        (DBAPIError("", {}, _Orig("23505")), False),
        (DBAPIError("", {}, _Orig("22012")), False),
        (Retryable(), True),
        (Final(), False),
        (Invalid(), False),
        (ZeroDivisionError(), False),
    ],
)
def test_the_cause_lies_outside_where_the_job_could_do_nothing_about_it(error: Exception, *, outside: bool) -> None:
    assert comes_from_outside(error) is outside


def test_a_job_that_can_never_succeed_comes_to_its_evidenced_end(database: TestDatabase, sender: uuid.UUID) -> None:
    subject, good = put(database, sender, 2)
    bench = failing(subject, Final(reason="document_unsealable"))

    def fail(session: Session, job: Leased, error: Final) -> None:
        jobs.put(session, [NewJob(JobKind.NOTIFY, job.organisation_id, job.subject_id)])
        assert error.reason == "document_unsealable"

    bench.run(database, fail=fail)
    assert bench.recorded == [good]
    assert execute(database, "SELECT kind, subject_id FROM job") == [("notify", subject)]


def test_a_job_that_can_never_succeed_is_parked_where_no_end_is_known(
    database: TestDatabase, sender: uuid.UUID
) -> None:
    (subject,) = put(database, sender)
    failing(subject, Final(code="never")).run(database)
    assert (there(database, subject).parked, there(database, subject).error) == (True, "never")


def test_an_end_that_fails_is_tried_again_for_its_job_alone(database: TestDatabase, sender: uuid.UUID) -> None:
    first, second, third = put(database, sender, 3)

    def function(job: Leased) -> None:
        if job.subject_id != third:
            raise Final if job.subject_id == first else Retryable

    def fail(*_: object) -> None:
        raise Poisonous

    Bench(function).run(database, fail=fail)
    assert (there(database, first).suspect, there(database, first).error) == (True, "Poisonous")
    assert (there(database, second).suspect, there(database, second).failures) == (False, 0)
    assert row(database, third) is None


def test_a_job_with_nothing_left_to_do_is_done(database: TestDatabase, sender: uuid.UUID) -> None:
    put(database, sender, 3)
    bench = Bench()
    bench.run(database, read=lambda _session, _taken: [])
    assert bench.performed == []
    assert execute(database, "SELECT count(*) FROM job") == [(0,)]


def test_work_without_an_outcome_is_not_taken_for_done(database: TestDatabase, sender: uuid.UUID) -> None:
    subjects = put(database, sender, 3)
    bench = Bench()
    bench.run(database, perform=lambda works: [Outcome(job, work, result=1) for job, work in works[:2]])
    assert bench.recorded == []
    assert all(there(database, subject).suspect for subject in subjects)


def test_a_worker_whose_lease_ended_writes_nothing(database: TestDatabase, sender: uuid.UUID) -> None:
    subjects = put(database, sender, 2)
    second = Bench()

    def slow(_: Leased) -> None:
        if not second.performed:
            end_leases(database)
            assert [second.run(database, alone=True) for _ in range(3)] == [1, 1, 0]

    first = Bench(slow)
    first.run(database)
    assert len(first.performed) == 2
    assert first.recorded == []
    assert sorted(second.recorded) == sorted(subjects)


@pytest.mark.parametrize("error", [None, Poisonous(), Retryable(), Final()])
def test_a_worker_that_comes_back_leaves_the_next_ones_lease_alone(
    database: TestDatabase, sender: uuid.UUID, error: Exception | None
) -> None:
    (subject,) = put(database, sender)

    def slow(_: Leased) -> None:
        end_leases(database)
        lease_alone(database)
        if error:
            raise error

    first = Bench(slow)
    first.run(database, fail=lambda *_: pytest.fail("the end is the other's to write"))
    found = there(database, subject)
    assert first.recorded == []
    assert (found.held, found.attempts, found.parked, found.error) == (True, 2, False, None)


def test_a_lease_that_ends_while_a_failure_is_settled_writes_no_end(
    database: TestDatabase, sender: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, good = put(database, sender, 2)
    confirm, asked = jobs.confirm, []

    def confirm_late(session: Session, held: Sequence[Leased]) -> set[uuid.UUID]:
        asked.append(len(held))
        if len(asked) == 2:
            end_leases(database)
        return confirm(session, held)

    def function(job: Leased) -> None:
        if job.subject_id == failed:
            raise Final

    monkeypatch.setattr(jobs, "confirm", confirm_late)
    bench = Bench(function)
    bench.run(database, fail=lambda *_: pytest.fail("the end is another's to write"))
    assert asked == [2, 1]
    assert bench.recorded == [good]
    assert there(database, failed).attempts == 1


def test_a_lease_that_ended_unnoticed_leads_to_another_try(database: TestDatabase, sender: uuid.UUID) -> None:
    (subject,) = put(database, sender)
    bench = Bench(lambda _: end_leases(database))
    bench.run(database)
    assert bench.recorded == []
    again = Bench()
    assert again.run(database, alone=True) == 1
    assert again.recorded == [subject]


def test_due_work_is_done_until_nothing_is_left(database: TestDatabase, sender: uuid.UUID) -> None:
    put(database, sender, 25)
    execute(database, "UPDATE job SET suspect = true WHERE id IN (SELECT id FROM job LIMIT 4)")
    bench, chunks = Bench(), []
    more = run_until_idle(
        database.database, bench.step(), lease_seconds=LEASE, most_seconds=60, after_chunk=chunks.append
    )
    assert more is False
    assert len(bench.recorded) == 25
    # A suspect is tried between chunks: the others need not wait for it, nor it for them.
    # The first chunk is small, as nobody knows yet how long one takes.
    assert bench.chunks == [2, 1, 10, 1, 9, 1, 1]
    assert chunks == [JobKind.SEAL] * 7


def test_a_turn_ends_in_time_though_work_is_left(database: TestDatabase, sender: uuid.UUID) -> None:
    put(database, sender)
    bench = Bench()
    assert run_until_idle(database.database, bench.step(), lease_seconds=LEASE, most_seconds=0) is True
    assert bench.performed == []
