"""Wake-ups over a real Valkey, and without one: at worst they are late."""

import base64
import dataclasses
import json
import socket
import threading
from collections.abc import Collection, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import redis
from celery import Celery

from service.db.jobs import JobKind
from service.domain.states import FollowUp
from service.domain.transitions import TRANSITIONS
from service.embedded.stack import Stack
from service.engine import wakeups
from service.engine.wakeups import QUEUES, WAKE_TASK, Waker, make_celery
from service.usecases import housekeeping
from service.usecases.steps import all_steps
from tests.pipeline_support import Pipeline
from workers.tasks.wake import FOLLOWERS

SLOTS = 2


@pytest.fixture
def broker(stack: Stack) -> Iterator[str]:
    """A space of the stack's Valkey that nobody else uses."""
    url = stack.environment["REDIS_URL"].rpartition("/")[0] + "/9"
    with redis.Redis.from_url(url) as valkey:
        valkey.flushdb()
        yield url
        valkey.flushdb()


@pytest.fixture
def celery(broker: str) -> Iterator[Celery]:
    with make_celery(broker) as app:
        yield app


@pytest.fixture
def valkey(broker: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(broker) as connection:
        yield connection


def lengths(valkey: "redis.Redis") -> dict[str, int]:
    return {queue: int(valkey.llen(queue)) for queue in set(QUEUES.values())}


def test_wake_ups_never_exceed_twice_the_slots(celery: Celery, valkey: "redis.Redis") -> None:
    waker = Waker(celery, slots=SLOTS)
    sent = [waker.wake(list(JobKind)) for _ in range(20)]
    assert lengths(valkey) == dict.fromkeys(QUEUES.values(), 2 * SLOTS)
    assert sum(sent) == 2 * SLOTS * len(set(QUEUES.values()))
    assert sent[-1] == 0
    valkey.lpop("seal")
    assert waker.wake(list(JobKind)) == 1
    assert lengths(valkey)["seal"] == 2 * SLOTS


def test_a_worker_with_one_slot_has_a_wake_up_in_reserve(celery: Celery, valkey: "redis.Redis") -> None:
    assert [Waker(celery, slots=1).wake([JobKind.SEAL]) for _ in range(3)] == [1, 1, 0]
    assert lengths(valkey)["seal"] == 2


def test_a_wake_up_carries_a_kind_and_nothing_else(celery: Celery, valkey: "redis.Redis") -> None:
    assert Waker(celery, slots=SLOTS).wake([JobKind.LETTER]) == 1
    (raw,) = valkey.lrange("print", 0, -1)
    message = json.loads(raw)
    assert message["headers"]["task"] == WAKE_TASK
    assert message["headers"]["eta"] is None
    assert message["headers"]["expires"] is None
    args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == (["letter"], {})


def test_nobody_is_woken_for_nothing(celery: Celery, valkey: "redis.Redis") -> None:
    assert Waker(celery, slots=SLOTS).wake([]) == 0
    assert set(lengths(valkey).values()) == {0}


def test_a_broker_that_was_emptied_is_filled_again(celery: Celery, valkey: "redis.Redis") -> None:
    waker = Waker(celery, slots=1)
    waker.wake([JobKind.SEAL])
    valkey.flushdb()
    assert waker.wake([JobKind.SEAL]) == 1
    assert lengths(valkey)["seal"] == 1


def test_a_broker_that_refuses_stops_nobody(celery: Celery, valkey: "redis.Redis") -> None:
    valkey.set("seal", "in the way")
    assert Waker(celery, slots=SLOTS).wake([JobKind.SEAL]) == 0


def test_a_broker_that_is_not_there_stops_nobody() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{free.getsockname()[1]}/0"
        with make_celery(url) as app:
            assert Waker(app, slots=SLOTS).wake(list(JobKind)) == 0


def test_a_broker_that_says_nothing_stops_nobody() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with make_celery(f"redis://127.0.0.1:{silent.getsockname()[1]}/0") as app:
            app.conf.broker_transport_options = app.conf.broker_transport_options | {"socket_timeout": 0.2}
            assert Waker(app, slots=SLOTS).wake([JobKind.SEAL]) == 0


def test_a_wrong_password_stops_nobody(broker: str) -> None:
    parts = urlsplit(broker)
    with make_celery(f"redis://:wrong@{parts.hostname}:{parts.port}/9") as app:
        assert Waker(app, slots=SLOTS).wake([JobKind.SEAL]) == 0


def test_lost_wake_ups_lose_nothing(pipeline: Pipeline) -> None:
    sender = pipeline.organisation()
    handed_in = pipeline.hand_in(sender)
    assert handed_in.status == 202
    assert pipeline.woken == [JobKind.SEAL]
    swept: list[JobKind] = []

    def wake(kinds: Collection[JobKind]) -> int:
        swept.extend(kinds)
        return len(kinds)

    context = dataclasses.replace(pipeline.context, wake=wake)
    assert housekeeping.wake_due(context) == 1
    assert swept == [JobKind.SEAL], "the sweep finds what the lost message was about"
    pipeline.work()
    assert housekeeping.wake_due(context) == 0
    assert swept == [JobKind.SEAL]


def test_every_kind_of_job_has_one_step_and_one_queue(pipeline: Pipeline) -> None:
    steps = all_steps(pipeline.context)
    assert set(steps) == set(JobKind) == set(QUEUES)
    assert all(steps[kind].kind is kind for kind in JobKind)
    assert all(1 <= steps[kind].chunk <= 100 for kind in JobKind)


def test_every_follow_up_of_the_transition_table_is_a_kind_of_job() -> None:
    named = {row.follow_up for row in TRANSITIONS if row.follow_up is not None}
    assert {follow_up.value for follow_up in named} <= {kind.value for kind in JobKind}
    assert {follow_up.value for follow_up in FollowUp} <= {kind.value for kind in JobKind}


def test_whoever_is_woken_next_is_a_kind_of_job() -> None:
    assert set(FOLLOWERS) <= set(JobKind)
    assert {kind for kinds in FOLLOWERS.values() for kind in kinds} <= set(JobKind)


def test_no_deadline_is_ever_handed_to_the_broker() -> None:
    conf = make_celery("redis://127.0.0.1:1/0").conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.task_ignore_result
    assert conf.worker_prefetch_multiplier == 1
    assert timedelta(seconds=conf.broker_transport_options["visibility_timeout"]) >= timedelta(seconds=60)


def test_a_kept_connection_that_was_cut_is_made_again_at_once(celery: Celery, valkey: "redis.Redis") -> None:
    waker = Waker(celery, slots=SLOTS)
    assert waker.wake([JobKind.SEAL]) == 1
    valkey.client_kill_filter(_type="normal", skipme=True)
    assert waker.wake([JobKind.SEAL]) == 1
    assert lengths(valkey)["seal"] == 2
    waker.close()
    assert waker.wake([JobKind.SEAL]) == 1
    waker.close()
    waker.close()


def test_a_broker_that_fails_is_left_alone_for_a_moment_and_then_used_again(
    celery: Celery, valkey: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "_REST", 3600.0)
    waker = Waker(celery, slots=SLOTS)
    assert waker.wake([JobKind.NOTIFY]) == 1
    valkey.set("seal", "in the way")
    assert waker.wake([JobKind.SEAL]) == 0
    valkey.delete("seal")
    assert waker.wake([JobKind.SEAL]) == 0, "no caller waits for a broker that just failed"
    assert lengths(valkey)["seal"] == 0
    waker._rests_until = 0.0
    assert waker.wake([JobKind.SEAL]) == 1
    waker.close()


def test_nobody_waits_for_another_threads_wake_up(celery: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeups, "_TURN", 0.01)
    waker = Waker(celery, slots=SLOTS)
    with waker._turn:
        assert waker.wake([JobKind.SEAL]) == 0
    assert waker.wake([JobKind.SEAL]) == 1
    waker.close()


def test_parallel_callers_keep_to_the_bound(
    celery: Celery, valkey: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "_TURN", 60.0)
    waker = Waker(celery, slots=SLOTS)
    threads = [threading.Thread(target=waker.wake, args=(list(JobKind),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waker.close()
    assert lengths(valkey) == dict.fromkeys(QUEUES.values(), 2 * SLOTS)
