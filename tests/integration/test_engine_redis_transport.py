"""A worker that holds a message while its broker goes away: it must not count it for ever."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kombu.message import Message

from service.db.jobs import JobKind
from service.embedded.supervisor import Supervisor
from service.embedded.valkey import EmbeddedValkey
from service.engine.wakeups import QUEUES, Waker, make_celery


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    with Supervisor(tmp_path / "home", notice=lambda _: None) as supervisor:
        yield EmbeddedValkey(supervisor.home, supervisor)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(Message.ack, id="worked off"),
        pytest.param(Message.reject, id="thrown away"),
        pytest.param(Message.requeue, id="given back"),
    ],
)
def test_a_message_that_ends_while_the_broker_is_away_is_held_no_more(
    valkey: EmbeddedValkey, end: Callable[[Message], None]
) -> None:
    held: list[Message] = []
    with make_celery(valkey.start()) as app, app.connection_for_read() as line:
        assert Waker(app, slots=1).wake([JobKind.SEAL]) == 1
        channel = line.channel()
        channel.basic_qos(0, 1)
        queue = app.amqp.queues[QUEUES[JobKind.SEAL]]
        with app.amqp.TaskConsumer(channel, queues=[queue], on_message=held.append):
            line.drain_events(timeout=10)
            (message,) = held
            assert not channel.qos.can_consume(), "it takes one at a time"
            valkey.stop()
            with pytest.raises(line.connection_errors):
                end(message)
            assert channel.qos.can_consume(), "or it would ask for no more, and never see that its line is dead"
            valkey.start()
