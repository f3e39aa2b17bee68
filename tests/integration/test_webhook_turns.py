"""Who is sent webhooks when: receivers that fail or are slow, and what changes while a call is under way."""

import threading
import time
from datetime import timedelta

import psycopg
import pytest

from service.db.ids import WEBHOOK, parse_id
from service.db.jobs import JobKind
from service.domain import webhooks as rules
from service.engine.steps import run_chunk
from service.engine.tallies import Account
from service.engine.turns import Pace, run_until_idle
from service.usecases import operations, retention, webhook_log, webhook_sending, webhooks
from service.usecases.steps import all_steps
from service.usecases.webhooks import Caller
from tests.engine_support import SHORT_LEASE, execute, outlast_leases
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender
from tests.webhook_support import HOST, Got, Receiver, ask, log_of, receiving, send, subscribe, trusting


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


@pytest.mark.parametrize("status", [204, 500])
def test_a_message_that_is_replayed_while_it_is_sent_is_sent_again(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase, status: int
) -> None:
    sender = organisation()
    webhook = subscribe(pipeline, sender, receiver.url).webhook.id
    (message,) = ask(pipeline, sender, webhook)
    execute(database, "UPDATE webhook_message SET tries = %s, attempts = %s", rules.TRIES - 1, rules.TRIES - 1)
    receiver.status = status
    receiver.before = lambda _: webhook_log.replay(pipeline.context, Caller(sender, "client:test"), webhook, message)
    send(pipeline)
    assert execute(database, "SELECT state, attempts, tries FROM webhook_message") == [("waiting", rules.TRIES, 0)]
    receiver.status, receiver.before = 204, lambda _: None
    execute(database, "UPDATE webhook SET rest_until = NULL")
    send(pipeline)
    assert [each.id for each in receiver.got] == [message, message]
    (logged,) = log_of(pipeline, sender, webhook)
    assert (logged.state, [each.status for each in logged.attempts]) == ("sent", [status, 204])


def test_a_message_that_is_gone_by_the_time_it_was_sent_spoils_no_other_receivers_record(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    over, stays = organisation(), organisation()
    with receiving() as other, psycopg.connect(database.owner_url.replace("+psycopg", "", 1)) as forgetting:
        gone = subscribe(pipeline, over, receiver.url).webhook.id
        kept = subscribe(pipeline, stays, other.url).webhook.id
        ask(pipeline, over, gone)
        ask(pipeline, stays, kept, 2)
        timer = threading.Timer(0.8, forgetting.commit)

        def forget(_: Got) -> None:
            # Housekeeping is at it when the record is written, and commits a little later.
            forgetting.execute("DELETE FROM webhook_message WHERE webhook_id = %s", (parse_id(WEBHOOK, gone),))
            timer.start()

        receiver.before = forget
        send(pipeline)
        timer.join()
        assert len(other.got) == 2
        assert [(each.state, len(each.attempts)) for each in log_of(pipeline, stays, kept)] == [("sent", 1)] * 2
        assert execute(database, "SELECT count(*) FROM job WHERE kind = 'webhook'") == [(0,)]


def troubles(pipeline: Pipeline) -> dict[str, float]:
    samples = operations.measure(pipeline.context, pipeline.application.promises)
    return {
        each.metric.removeprefix("zending_webhooks_"): each.value for each in samples if "_webhooks_" in each.metric
    }


def test_a_receiver_that_failed_and_is_sent_nothing_any_more_rings_no_longer_than_a_few_days(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    sender = organisation()
    webhook = subscribe(pipeline, sender, receiver.url).webhook.id
    ask(pipeline, sender, webhook)
    receiver.status = 500
    send(pipeline)
    later = """UPDATE webhook SET failing_since = failing_since - make_interval(hours => %s),
                                  rest_until = rest_until - make_interval(hours => %s)"""
    execute(database, later, 72, 72)
    retention.run(pipeline.context, retention.Periods(timedelta(days=7)))
    # Its message still waits for a try, which is late: whoever sends is to blame, and it is told.
    assert troubles(pipeline)["failing"] == 1
    execute(database, "UPDATE webhook_message SET tries = %s, next_at = clock_timestamp()", rules.TRIES - 1)
    send(pipeline)
    execute(database, later, 24, 24)
    retention.run(pipeline.context, retention.Periods(timedelta(days=7)))
    assert troubles(pipeline)["failing"] == 1
    execute(database, later, 25, 25)
    retention.run(pipeline.context, retention.Periods(timedelta(days=7)))
    assert troubles(pipeline) == {"failing": 0, "failing_seconds": 0, "disabled": 0}
    found = webhooks.get(pipeline.context, sender, webhook)
    assert (found.state, found.failing_since, found.failed) == ("active", None, 1)


def test_a_webhook_that_its_sender_disables_while_a_call_fails_is_no_alarm(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver
) -> None:
    sender = organisation()
    caller = Caller(sender, "client:test")
    webhook = subscribe(pipeline, sender, receiver.url).webhook.id
    ask(pipeline, sender, webhook)
    receiver.status = 500
    receiver.before = lambda _: webhooks.disable(pipeline.context, caller, webhook)
    send(pipeline)
    found = webhooks.get(pipeline.context, sender, webhook)
    assert (found.state, found.reason, found.failing_since) == ("disabled", "by_sender", None)
    assert troubles(pipeline) == {"failing": 0, "failing_seconds": 0, "disabled": 0}


def test_a_chunk_that_outlasts_its_lease_keeps_its_jobs_and_is_recorded(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    trusting(pipeline, HOST, seconds=30.0)
    sender = organisation()
    webhook = subscribe(pipeline, sender, receiver.url).webhook.id
    ask(pipeline, sender, webhook)
    receiver.before = lambda _: outlast_leases(database)
    webhook_sending.put_due(pipeline.context)
    run_chunk(pipeline.context.database, all_steps(pipeline.context)[JobKind.WEBHOOK], lease_seconds=SHORT_LEASE)
    assert [each.state for each in log_of(pipeline, sender, webhook)] == ["sent"]
