"""Leases on a real PostgreSQL: who goes first, who goes alone, and that nobody goes twice."""

import contextlib
import threading
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from service.db import jobs, queues
from service.db.ids import new_id
from service.db.jobs import JobKind, Lane, Leased, NewJob
from service.engine.steps import Outcome, Step, run_chunk
from service.engine.tallies import Account
from tests.engine_support import (
    LEASE,
    SHORT_LEASE,
    end_leases,
    execute,
    lease,
    lease_alone,
    make_due,
    organisations,
    outlast_leases,
    put,
    row,
    there,
)
from tests.pipeline_support import TestDatabase


def test_the_interactive_lane_goes_first(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    bulk = put(database, sender, 5)
    clerks = put(database, sender, 3, lane=Lane.INTERACTIVE)
    taken = [job.subject_id for job in lease(database, 4)]
    assert taken[:3] == clerks
    assert taken[3:] == bulk[:1]


def test_a_suspect_of_the_interactive_lane_goes_before_older_suspects(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender)
    (clerk,) = put(database, sender, lane=Lane.INTERACTIVE)
    lease(database, 2)
    end_leases(database)
    assert [job.subject_id for job in lease_alone(database)] == [clerk]


def test_a_sender_of_thousands_starves_no_small_one(database: TestDatabase) -> None:
    large, small, smaller = organisations(database, 3)
    put(database, large, 5000)
    put(database, small, 10)
    put(database, smaller, 10)
    first = lease(database, 30)
    assert Counter(job.organisation_id for job in first) == {large: 10, small: 10, smaller: 10}
    assert Counter(job.organisation_id for job in lease(database, 30)) == {large: 30}


def test_a_lease_takes_no_more_than_was_asked_for_and_still_from_everybody(database: TestDatabase) -> None:
    senders = organisations(database, 3)
    for sender in senders:
        put(database, sender, 10)
    taken = Counter(job.organisation_id for job in lease(database, 10))
    assert sum(taken.values()) == 10
    assert set(taken) == set(senders)
    assert max(taken.values()) == 4


def test_more_senders_than_room_are_drawn_by_lot(database: TestDatabase) -> None:
    for sender in organisations(database, 12):
        put(database, sender, 4)
    served: set[uuid.UUID] = set()
    for _ in range(12):
        taken = lease(database, 3)
        assert len({job.organisation_id for job in taken}) == 3
        served |= {job.organisation_id for job in taken}
    assert len(served) > 3


def test_room_that_small_senders_leave_is_used(database: TestDatabase) -> None:
    large, small = organisations(database, 2)
    put(database, large, 50)
    put(database, small, 1)
    assert Counter(job.organisation_id for job in lease(database, 20)) == {large: 19, small: 1}


def test_senders_whose_jobs_wait_for_later_take_nobodys_place(database: TestDatabase) -> None:
    *waiting, ready = organisations(database, 41)
    later = datetime.now(UTC) + timedelta(hours=1)
    with database.database.transaction() as session:
        jobs.put(session, [NewJob(JobKind.SEAL, sender, new_id(), due_at=later) for sender in waiting])
    subjects = put(database, ready, 2)
    assert {job.subject_id for job in lease(database, 2)} == set(subjects)


def test_the_oldest_of_a_sender_goes_first(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    subjects = put(database, sender, 6)
    assert [[job.subject_id for job in lease(database, 2)] for _ in range(4)] == [
        subjects[0:2],
        subjects[2:4],
        subjects[4:6],
        [],
    ]


def test_a_job_that_is_not_due_is_not_taken(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender)
    execute(database, "UPDATE job SET due_at = now() + interval '1 minute'")
    assert lease(database, 5) == []
    make_due(database)
    assert len(lease(database, 5)) == 1


def test_a_lease_is_of_one_kind(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, kind=JobKind.ROUTE)
    assert lease(database, 5) == []
    (job,) = lease(database, 5, kind=JobKind.ROUTE)
    assert (job.kind, job.lane, job.leg, job.fence, job.attempts, job.failures) == (
        JobKind.ROUTE,
        Lane.BULK,
        0,
        1,
        1,
        1,
    )


def test_parallel_workers_never_lease_a_job_twice(database: TestDatabase) -> None:
    subjects = [subject for sender in organisations(database, 3) for subject in put(database, sender, 120)]
    taken: list[uuid.UUID] = []
    errors: list[BaseException] = []
    ready = threading.Barrier(8)

    def worker() -> None:
        ready.wait()
        try:
            while mine := lease(database, 7):
                taken.extend(job.subject_id for job in mine)
        except BaseException as error:  # noqa: BLE001  shown by the test
            errors.append(error)

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(taken) == len(set(taken))
    while rest := lease(database, 50):
        taken.extend(job.subject_id for job in rest)
    assert sorted(taken) == sorted(subjects)


def test_a_worker_waits_for_no_other_that_is_taking_jobs(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, 6)
    with database.database.transaction() as first, database.database.transaction() as second:
        mine = jobs.lease(first, JobKind.SEAL, most=4, seconds=LEASE)
        others = jobs.lease(second, JobKind.SEAL, most=4, seconds=LEASE)
    assert (len(mine), len(others)) == (4, 2)
    assert {job.id for job in mine}.isdisjoint(job.id for job in others)


def test_two_workers_never_take_one_suspect(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, 1)
    lease(database, 1)
    end_leases(database)
    with database.database.transaction() as first, database.database.transaction() as second:
        assert len(jobs.lease_alone(first, JobKind.SEAL, seconds=LEASE)) == 1
        assert jobs.lease_alone(second, JobKind.SEAL, seconds=LEASE) == []


def test_jobs_of_a_worker_that_vanished_are_taken_one_by_one(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    subjects = put(database, sender, 3)
    lease(database, 3)
    assert lease(database, 3) == []
    assert lease_alone(database) == []
    end_leases(database)
    assert lease(database, 3) == []
    alone = [lease_alone(database) for _ in range(4)]
    assert [len(jobs_taken) for jobs_taken in alone] == [1, 1, 1, 0]
    assert {taken[0].subject_id for taken in alone if taken} == set(subjects)
    assert {taken[0].fence for taken in alone if taken} == {2}


def test_a_retried_job_goes_alone(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, 2)
    suspect, other = lease(database, 2)
    with database.database.transaction() as session:
        jobs.postpone(session, suspect, seconds=0, suspect=True, error="odd")
        jobs.postpone(session, other, seconds=0, suspect=False, error="down")
    assert [job.id for job in lease(database, 5)] == [other.id]
    assert [job.id for job in lease_alone(database)] == [suspect.id]


def test_a_job_is_put_once_for_its_kind_subject_and_leg(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    subject = new_id()
    one = NewJob(JobKind.SEAL, sender, subject)
    later = NewJob(JobKind.SEAL, sender, subject, lane=Lane.INTERACTIVE, due_at=datetime(2030, 1, 1, tzinfo=UTC))
    with database.database.transaction() as session:
        jobs.put(session, [])
        jobs.put(session, [one])
        jobs.put(session, [later, one])
        jobs.put(session, [NewJob(JobKind.SEAL, sender, subject, leg=1), NewJob(JobKind.ROUTE, sender, subject)])
    assert execute(database, "SELECT kind, leg, lane, due_at < now() FROM job ORDER BY kind DESC, leg") == [
        ("seal", 0, 1, True),
        ("seal", 1, 1, True),
        ("route", 0, 1, True),
    ]


def test_a_job_is_put_with_the_state_it_follows_from_or_not_at_all(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    with contextlib.suppress(ZeroDivisionError), database.database.transaction() as session:
        jobs.put(session, [NewJob(JobKind.SEAL, sender, new_id())])
        raise ZeroDivisionError
    assert execute(database, "SELECT count(*) FROM job") == [(0,)]


def test_long_work_keeps_its_lease_by_renewing_it(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender)
    held = lease(database, 1)
    execute(database, "UPDATE job SET lease_until = now() + interval '2 seconds'")
    with database.database.transaction() as session:
        jobs.renew(session, held, seconds=500)
    assert execute(database, "SELECT lease_until > now() + interval '400 seconds' FROM job") == [(True,)]


@pytest.mark.parametrize(
    "lost", ["lease_until = now() - interval '1 second'", "fence = fence + 1", "parked_at = now()"]
)
def test_a_lost_lease_is_not_renewed(database: TestDatabase, lost: str) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender)
    held = lease(database, 1)
    execute(database, f"UPDATE job SET {lost}")
    with database.database.transaction() as session:
        jobs.renew(session, held, seconds=500)
        assert jobs.confirm(session, held) == set()
    assert execute(database, "SELECT lease_until < now() + interval '400 seconds' FROM job") == [(True,)]


@pytest.mark.parametrize(
    ("whose", "kind", "stopped"),
    [
        ("first", None, {"first/seal", "first/route"}),
        (None, "seal", {"first/seal", "second/seal"}),
        ("first", "seal", {"first/seal"}),
    ],
)
@pytest.mark.parametrize("suspect", [False, True])
def test_a_pause_stops_an_organisation_a_kind_or_both(
    database: TestDatabase, whose: str | None, kind: str | None, stopped: set[str], *, suspect: bool
) -> None:
    names = dict(zip(organisations(database, 2), ("first", "second"), strict=True))
    for sender in names:
        for each_kind in (JobKind.SEAL, JobKind.ROUTE):
            put(database, sender, kind=each_kind)
    execute(database, "UPDATE job SET suspect = %s", suspect)
    paused = next((sender for sender, name in names.items() if name == whose), None)
    execute(database, "INSERT INTO pause (id, organisation_id, kind, reason) VALUES (%s, %s, %s, 'wait')",
            new_id(), paused, kind)  # fmt: skip

    def take() -> set[str]:
        taken = set()
        for each_kind in (JobKind.SEAL, JobKind.ROUTE):
            found = (
                lease_alone(database, kind=each_kind) + lease_alone(database, kind=each_kind)
                if suspect
                else lease(database, 10, kind=each_kind)
            )
            taken |= {f"{names[job.organisation_id]}/{job.kind}" for job in found}
        return taken

    everything = {f"{name}/{each_kind}" for name in names.values() for each_kind in ("seal", "route")}
    assert take() == everything - stopped
    with database.database.transaction() as session:
        assert jobs.due_kinds(session) == []
    execute(database, "DELETE FROM pause")
    with database.database.transaction() as session:
        assert {f"{kind}" for kind in jobs.due_kinds(session)} == {name.split("/")[1] for name in stopped}
    assert take() == stopped


def test_only_kinds_with_a_job_that_can_be_taken_are_due(database: TestDatabase) -> None:
    first, second = organisations(database, 2)

    def due() -> list[JobKind]:
        with database.database.transaction() as session:
            return jobs.due_kinds(session)

    assert due() == []
    put(database, first, kind=JobKind.NOTIFY)
    execute(database, "UPDATE job SET due_at = now() + interval '1 hour'")
    put(database, second, 2, kind=JobKind.LETTER)
    put(database, second, lane=Lane.INTERACTIVE, kind=JobKind.SEAL)
    assert due() == [JobKind.SEAL, JobKind.LETTER]
    lease(database, 2, kind=JobKind.LETTER)
    (held,) = lease(database, 1)
    assert due() == []
    end_leases(database)
    assert due() == [JobKind.SEAL, JobKind.LETTER]
    with database.database.transaction() as session:
        jobs.park(session, held, error="odd")
    assert due() == [JobKind.LETTER]


def test_parked_jobs_are_listed_with_their_reason_and_retried_alone(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    subjects = put(database, sender, 3)
    held = lease(database, 3)
    with database.database.transaction() as session:
        for number, job in enumerate(held):
            jobs.park(session, job, error=f"reason_{number}")
    with database.database.transaction() as session:
        listed = queues.parked(session)
        assert [(each.subject_id, each.last_error) for each in listed] == [
            (subject, f"reason_{number}") for number, subject in enumerate(subjects)
        ]
        assert len(queues.parked(session, limit=2)) == 2
        assert queues.retry(session, [held[0].id, new_id()]) == {held[0].id: JobKind.SEAL}
        assert len(queues.parked(session)) == 2
    assert lease(database, 5) == []
    (again,) = lease_alone(database)
    assert (again.subject_id, again.attempts, again.failures, again.fence) == (subjects[0], 1, 1, 2)
    with database.database.transaction() as session:
        assert len(queues.retry(session, None)) == 2
        assert queues.retry(session, None) == {}
        assert queues.parked(session) == []


def test_what_was_settled_or_taken_over_is_not_settled_again(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    (subject,) = put(database, sender)
    (old,) = lease(database, 1)
    end_leases(database)
    (new,) = lease_alone(database)
    with database.database.transaction() as session:
        jobs.postpone(session, old, seconds=0, suspect=False, error="late")
        jobs.park(session, old, error="late")
    assert there(database, subject).held
    with database.database.transaction() as session:
        jobs.park(session, new, error="odd")
        jobs.postpone(session, new, seconds=0, suspect=False, error="late")
    settled = there(database, subject)
    assert settled.parked
    assert settled.error == "odd"
    with database.database.transaction() as session:
        jobs.finish(session, [])
        jobs.finish(session, [new.id])
    assert row(database, subject) is None


@pytest.mark.parametrize(("prolonged", "becomes"), [(True, "done"), (False, "lost")])
def test_work_that_is_longer_than_its_lease_stays_its_worker_s_where_the_step_says_so(
    database: TestDatabase, *, prolonged: bool, becomes: str
) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, 2)

    def perform(works: Sequence[tuple[Leased, None]]) -> list[Outcome[None, bool]]:
        outlast_leases(database)
        return [Outcome(job, work, result=True) for job, work in works]

    step = Step(
        JobKind.SEAL, 2, lambda _, taken: [(job, None) for job in taken], perform, lambda *_: None, prolonged=prolonged
    )
    seen: list[Account] = []
    before = threading.active_count()
    assert run_chunk(database.database, step, lease_seconds=SHORT_LEASE, watch=seen.append) == 2
    assert seen[0].outcomes[becomes] == 2
    assert threading.active_count() == before
