"""Pauses: exactly what falls under one waits, nothing of it is lost or blamed, and all of it goes on afterwards."""

import threading
import uuid
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from service.db import jobs, queues
from service.db import pauses as rows
from service.db.ids import DELIVERY, new_id, parse_id, public_id
from service.db.jobs import JobKind, Lane
from service.domain.errors import Conflict, Invalid, NotFound
from service.usecases import audit, pauses
from tests.engine_support import Bench, execute, lease, organisations, put, there
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, activate, status, waiting, with_post

ACTOR = "client:test"


def begin(database: TestDatabase, **what: Any) -> uuid.UUID:
    with database.database.transaction() as session:
        return pauses.begin(session, **({"reason": "asked to", "actor": ACTOR} | what))


def end(database: TestDatabase, pause_id: uuid.UUID) -> int:
    with database.database.transaction() as session:
        return pauses.end(session, pause_id, ACTOR)


def submission_of(database: TestDatabase, delivery: str) -> uuid.UUID:
    found = execute(database, "SELECT submission_id FROM delivery WHERE id = %s", parse_id(DELIVERY, delivery))
    assert isinstance(found[0][0], uuid.UUID)
    return found[0][0]


@pytest.mark.parametrize(
    "what",
    [
        {},
        {"kind": "sael"},
        {"kind": rows.ON_LEASE},
        {"channel": "pigeon"},
        {"provider": " "},
        {"kind": "seal", "channel": "paper"},
        {"kind": "seal", "submission": uuid.UUID(int=1)},
        {"kind": "seal", "reason": "  "},
        {"kind": "seal", "reason": "x" * 201},
    ],
    ids=["nothing", "kind", "inner", "channel", "provider", "kind+channel", "kind+submission", "no reason", "long"],
)  # fmt: skip
def test_a_pause_that_makes_no_sense_is_refused(database: TestDatabase, what: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        begin(database, **what)
    assert execute(database, "SELECT count(*) FROM pause") == [(0,)]
    assert execute(database, "SELECT count(*) FROM audit_entry") == [(0,)]


def test_nobody_pauses_an_organisation_that_is_not_there(database: TestDatabase) -> None:
    with pytest.raises(NotFound):
        begin(database, organisation=new_id())


def test_the_same_waits_once(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    for what in ({"organisation": sender}, {"kind": "seal"}, {"organisation": sender, "channel": "paper"}):
        begin(database, **what)
        with pytest.raises(Conflict) as refused:
            begin(database, **what)
        assert refused.value.code == "paused_already"


def test_a_pause_of_an_organisation_and_a_kind_is_seen_by_leasing(database: TestDatabase) -> None:
    first, second = organisations(database, 2)
    put(database, first)
    put(database, second)
    made = begin(database, organisation=first, kind=JobKind.SEAL)
    assert {job.organisation_id for job in lease(database, 5)} == {second}
    assert end(database, made) == 0
    assert {job.organisation_id for job in lease(database, 5)} == {first}


def test_a_submission_waits_and_others_go_on(pipeline: Pipeline, database: TestDatabase, organisation: Sender) -> None:
    activate(pipeline)
    sender = organisation()
    paused = pipeline.hand_in(sender, "an").delivery_id
    other = pipeline.hand_in(sender, "an").delivery_id
    made = begin(database, submission=submission_of(database, paused))
    pipeline.work()
    assert status(pipeline, sender, paused) == "received"
    assert status(pipeline, sender, other) == "available"
    held = there(database, parse_id(DELIVERY, paused))
    assert (held.attempts, held.failures, held.suspect, held.held, held.error) == (0, 0, False, False, None)
    assert end(database, made) == 1
    pipeline.work()
    assert status(pipeline, sender, paused) == "available"


@pytest.mark.parametrize(
    ("what", "kind", "before"),
    [
        ({"channel": "digital"}, "deposit", "sealed"),
        ({"provider": rows.MAIL}, "notify", "available"),
    ],
    ids=["digital", "mail"],
)
def test_a_channel_or_provider_waits_at_its_own_steps(
    pipeline: Pipeline, database: TestDatabase, organisation: Sender, what: dict[str, Any], kind: str, before: str
) -> None:
    post = with_post(pipeline)
    activate(pipeline)
    sender = organisation()
    made = begin(database, **what)
    digital = pipeline.hand_in(sender, "an").delivery_id
    paper = pipeline.hand_in(sender, "jan").delivery_id
    pipeline.work()
    assert [name for name, _ in waiting(database)] == [kind]
    assert status(pipeline, sender, digital) == before
    assert status(pipeline, sender, paper) == "to_print"
    assert post.sent == []
    assert end(database, made) == 1
    pipeline.work()
    assert status(pipeline, sender, digital) == "available"
    assert len(post.sent) == 1


def test_a_print_house_gets_nothing_while_it_is_paused(
    pipeline: Pipeline, database: TestDatabase, organisation: Sender
) -> None:
    provider = pipeline.context.printers.first.name
    made = begin(database, provider=provider)
    other = begin(database, provider=f"{provider}-other")
    sender = organisation()
    delivery = pipeline.hand_in(sender, "jan").delivery_id
    pipeline.work()
    assert pipeline.close_batches() == 1
    pipeline.work()
    assert [name for name, _ in waiting(database)] == ["hand_over"]
    assert status(pipeline, sender, delivery) == "batched"
    with database.database.transaction() as session:
        assert queues.held_counts(session) == {made: 1}
    end(database, other)
    end(database, made)
    pipeline.work()
    assert status(pipeline, sender, delivery) == "handed_over"


def test_a_channel_can_wait_for_one_organisation_only(
    pipeline: Pipeline, database: TestDatabase, organisation: Sender
) -> None:
    activate(pipeline)
    paused, other = organisation(), organisation()
    begin(database, organisation=paused, channel="digital")
    waits = pipeline.hand_in(paused, "an").delivery_id
    goes = pipeline.hand_in(other, "an").delivery_id
    pipeline.work()
    assert (status(pipeline, paused, waits), status(pipeline, other, goes)) == ("sealed", "available")


def test_a_suspect_that_is_held_stays_a_suspect(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    (subject,) = put(database, sender)
    bench = Bench(lambda _: 1 / 0)
    bench.run(database)
    execute(database, "UPDATE job SET due_at = now()")
    before = there(database, subject)
    assert (before.suspect, before.failures) == (True, 1)
    made = begin(database, submission=subject)
    assert bench.run(database, alone=True) == 1
    assert len(bench.performed) == 1
    held = there(database, subject)
    assert (held.suspect, held.failures, held.attempts) == (True, before.failures, before.attempts)
    end(database, made)
    again = Bench()
    assert (again.run(database), again.run(database, alone=True)) == (0, 1)
    assert again.recorded == [subject]


def test_held_jobs_are_in_nobodys_way_and_are_not_late(database: TestDatabase) -> None:
    first, second = organisations(database, 2)
    held = put(database, first, 30)
    for subject in held:
        begin(database, submission=subject)
    bench = Bench(chunk=50)
    assert bench.run(database) == 30
    put(database, second, 3)
    assert bench.run(database) == 3
    assert len(bench.performed) == 3
    with database.database.transaction() as session:
        assert jobs.due_kinds(session) == []
        assert all(queue.waiting == 0 and queue.oldest is None for queue in queues.queues(session))


def test_more_jobs_than_one_transaction_bears_are_let_go_by_the_scheduler(
    pipeline: Pipeline, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sender,) = organisations(database, 1)
    subjects = put(database, sender, 12)
    made = begin(database, channel="digital")
    kept = begin(database, channel="paper")
    execute(database, "UPDATE job SET held_by = %s, due_at = '9999-12-31'", made)
    execute(database, "UPDATE job SET held_by = %s WHERE subject_id = %s", kept, subjects[0])
    monkeypatch.setattr(rows, "AT_ONCE", 5)
    assert end(database, made) == 5
    assert pauses.let_go_rest(pipeline.context) == 6
    assert pauses.let_go_rest(pipeline.context) == 0
    assert {job.subject_id for job in lease(database, 20)} == set(subjects[1:])
    assert set(pipeline.woken) == {JobKind.SEAL}


def test_jobs_are_let_go_in_the_order_in_which_they_came(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    subjects = put(database, sender, 6)
    made = begin(database, channel="digital")
    execute(database, "UPDATE job SET held_by = %s, due_at = '9999-12-31'", made)
    end(database, made)
    assert [job.subject_id for job in lease(database, 6)] == subjects


def test_a_job_that_is_held_at_the_moment_its_pause_ends_is_let_go(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    (subject,) = put(database, sender)
    made = begin(database, submission=subject)
    taken = lease(database, 1)
    done: list[int] = []
    ending = threading.Thread(target=lambda: done.append(end(database, made)))
    with database.database.transaction(organisations=[sender]) as session:
        assert rows.hold(session, taken) == {taken[0].id}
        ending.start()
        # It waits for this transaction, at a lock that the database can see.
        while not execute(database, "SELECT 1 FROM pg_locks WHERE NOT granted"):
            assert ending.is_alive()
    ending.join()
    assert done == [1]
    assert [job.subject_id for job in lease(database, 1)] == [subject]


def test_a_worker_that_lost_its_lease_holds_nothing(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    (subject,) = put(database, sender)
    taken = lease(database, 1)
    execute(database, "UPDATE job SET fence = fence + 1")
    begin(database, submission=subject)
    with database.database.transaction(organisations=[sender]) as session:
        assert rows.hold(session, taken) == set()
    assert there(database, subject).held


def test_an_ended_pause_is_not_ended_again(database: TestDatabase) -> None:
    made = begin(database, kind="seal")
    end(database, made)
    with pytest.raises(NotFound):
        end(database, made)


def test_pauses_are_listed_and_leave_their_trail(pipeline: Pipeline, database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    made = begin(database, organisation=sender, reason=" The agency asked ")
    begin(database, channel="paper", actor="staff:1")
    first, second = pauses.listing(pipeline.context)
    assert (first.id, first.organisation, first.kind) == (public_id("pau", made), public_id("org", sender), None)
    assert (first.reason, first.actor) == ("The agency asked", ACTOR)
    assert (second.kind, second.channel, second.actor) == (None, "paper", "staff:1")
    end(database, made)
    newest, *_, oldest = audit.entries(pipeline.context)[0]
    assert (newest.act, newest.subject, newest.actor) == ("pause.end", first.id, ACTOR)
    assert (oldest.act, oldest.details) == ("pause.begin", {"organisation": first.organisation})


def test_the_trail_is_read_in_pages_newest_first(pipeline: Pipeline) -> None:
    with pipeline.context.database.transaction() as session:
        for number in range(5):
            audit.record(session, actor=ACTOR, act="test.act", subject=f"thing-{number % 2}")
    page, cursor = audit.entries(pipeline.context, limit=2)
    rest, end_of_it = audit.entries(pipeline.context, limit=5, cursor=cursor)
    assert [each.subject for each in [*page, *rest]] == ["thing-0", "thing-1", "thing-0", "thing-1", "thing-0"]
    assert end_of_it is None
    assert len(audit.entries(pipeline.context, subject="thing-1")[0]) == 2
    with pytest.raises(NotFound):
        audit.entries(pipeline.context, cursor="aud_1")


@pytest.mark.parametrize(
    "wrong", [{"actor": "Jan Peeters"}, {"actor": "jan@example.org"}, {"act": "Pause"}, {"subject": "x" * 201}]
)
def test_the_trail_takes_ids_and_no_names(database: TestDatabase, wrong: dict[str, str]) -> None:
    with pytest.raises(DBAPIError), database.database.transaction() as session:
        audit.record(session, **({"actor": ACTOR, "act": "test.act", "subject": "x"} | wrong))


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_entry SET actor = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry"]
)
def test_not_even_the_owner_rewrites_the_trail(database: TestDatabase, statement: str) -> None:
    begin(database, kind="seal")
    with pytest.raises(Exception, match="never changed or removed"):
        execute(database, statement)


def test_a_person_is_the_same_actor_everywhere_and_is_not_named() -> None:
    one = audit.staff_actor(b"k" * 32, "jan.peeters")
    assert one == audit.staff_actor(b"k" * 32, "jan.peeters")
    assert len({one, audit.staff_actor(b"k" * 32, "an"), audit.staff_actor(b"l" * 32, "jan.peeters")}) == 3
    assert "jan" not in one


def test_an_interactive_job_is_put_with_the_time_it_is_wanted(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    # Many: a clock that is looked at twice has moved between the two only now and then.
    put(database, sender, 5000, lane=Lane.INTERACTIVE)
    assert execute(database, "SELECT count(*) FROM job WHERE wanted_at = due_at") == [(5000,)]
