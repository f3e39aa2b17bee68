"""Who is sent webhooks when: receivers that fail or are slow, and what changes while a call is under way."""

import time
from collections.abc import Iterator

import pytest

from service.db.jobs import JobKind
from service.engine.tallies import Account
from service.engine.turns import Pace, run_until_idle
from service.usecases import webhook_sending
from service.usecases.steps import all_steps
from tests.pipeline_support import Pipeline
from tests.usecase_support import Sender
from tests.webhook_support import HOST, Receiver, ask, receiving, subscribe, trusting


@pytest.fixture
def receiver(pipeline: Pipeline) -> Iterator[Receiver]:
    trusting(pipeline, HOST)
    with receiving() as made:
        yield made


def test_slow_receivers_do_not_make_others_wait_for_another_chunk(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sending, "SECONDS", 0.1)
    trusting(pipeline, HOST, seconds=5.0)
    receiver.before = lambda _: time.sleep(0.4)
    slow, quick = [organisation() for _ in range(2)], [organisation() for _ in range(4)]
    with receiving() as other:
        hooks = {each: subscribe(pipeline, each, receiver.url).webhook.id for each in slow}
        hooks |= {each: subscribe(pipeline, each, other.url).webhook.id for each in quick}
        # One that remembers, as a worker's does: a chunk of one second is far too long for it.
        pace, chunks = Pace(seconds=0.2), list[Account]()
        for number in range(1, 4):
            for sender, webhook in hooks.items():
                ask(pipeline, sender, webhook)
            webhook_sending.put_due(pipeline.context)
            step = all_steps(pipeline.context)[JobKind.WEBHOOK]
            run_until_idle(
                pipeline.context.database, step, lease_seconds=60, most_seconds=0.1, pace=pace, watch=chunks.append
            )
            assert len(other.got) == 4 * number
    assert [sum(each.outcomes.values()) for each in chunks] == [6, 6, 6]
