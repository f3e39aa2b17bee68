"""The other kind of broker: wake-ups over Debian's RabbitMQ, and the whole way with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Connection

from bench import truth
from bench.running import hand_in, requests, running
from service.api import readiness
from service.db.jobs import JobKind
from service.engine.wakeups import QUEUES, Waker, make_celery
from tests.servers_support import rabbitmq

SLOTS = 2
COUNT = 20


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with rabbitmq("127.0.0.1", tmp_path_factory.mktemp("broker") / "rabbitmq") as made:
        yield made


@pytest.fixture
def celery(url: str) -> Iterator[Celery]:
    with Connection(url) as connection:
        for queue in set(QUEUES.values()):
            _channel(connection).queue_delete(queue)
    with make_celery(url) as app:
        yield app


def _channel(connection: Connection) -> Any:
    return connection.channel()


def waiting(url: str, queue: str) -> int:
    with Connection(url) as connection:
        return int(_channel(connection).queue_declare(queue=queue, durable=True, auto_delete=False).message_count)


def test_wake_ups_never_exceed_twice_the_slots(celery: Celery, url: str) -> None:
    waker = Waker(celery, slots=SLOTS)
    for _ in range(10):
        waker.wake([JobKind.SEAL])
    assert waiting(url, QUEUES[JobKind.SEAL]) == 2 * SLOTS
    assert waker.wake([JobKind.SEAL]) == 0
    waker.close()


def test_a_kept_connection_that_was_cut_is_made_again_at_once(celery: Celery, url: str) -> None:
    waker = Waker(celery, slots=SLOTS)
    assert waker.wake([JobKind.NOTIFY]) == 1
    assert waker._line is not None
    waker._line._connection.connection.transport.close()
    assert waker.wake([JobKind.NOTIFY]) == 1
    assert waiting(url, QUEUES[JobKind.NOTIFY]) == 2
    waker.close()


def test_readiness_sees_whether_it_is_there(url: str) -> None:
    assert readiness.broker(url)()
    with pytest.raises(Exception, match="refused"):
        readiness.broker("amqp://zending:x@127.0.0.1:1//")()


def test_a_broker_that_is_not_there_stops_nobody() -> None:
    with make_celery("amqp://zending:x@127.0.0.1:1//") as app:
        assert Waker(app, slots=SLOTS).wake(list(JobKind)) == 0


def test_what_is_handed_in_comes_to_its_end_with_it(url: str, tmp_path: Path) -> None:
    settings = {"BROKER_URL": url, "ZENDING_PRINT_CUTOFF_SECONDS": "4"}
    with running(tmp_path / "home", **settings) as target:  # type: ignore[arg-type]
        assert "valkey" not in target.stack.pids()
        answers = hand_in(target, requests(target, COUNT))
        truth.wait_for_end(target, COUNT, seconds=120)
        assert truth.judge(target, answers).faults == []
