"""Webhooks on a real database, to a real receiver: nothing lost, nothing invented, nothing told to a stranger."""

import contextlib
import dataclasses
import socket
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from printing.exchange import PostalEvent
from service.db.jobs import JobKind
from service.domain import webhooks as rules
from service.domain.errors import Conflict, Invalid, NotFound
from service.engine.steps import run_chunk
from service.outgoing import Poster
from service.usecases import deliveries, mailbox, operations, retention, webhook_log, webhook_sending, webhooks
from service.usecases.steps import all_steps
from service.usecases.webhooks import Caller
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import handed_over, report, said
from tests.usecase_support import Sender, activate, deliver, reader, with_post
from tests.webhook_support import HOST, Receiver, again, ask, log_of, receiving, send, subscribe, trusting


def test_a_letter_that_comes_back_is_told_once_however_often_it_is_scanned(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver
) -> None:
    sender = organisation()
    made, few = subscribe(pipeline, sender, receiver.url), subscribe(pipeline, sender, receiver.url, "delivery.posted")
    (delivery,) = handed_over(pipeline, sender)
    for number in range(2):
        report(pipeline, said(delivery, PostalEvent.RETURNED, pipeline.now, event_id=f"scan-{number}", cause="M04"))
    assert send(pipeline) == 1
    told = [each.event for each in deliveries.timeline(pipeline.context, sender, delivery)]
    assert sorted(receiver.types) == sorted(f"delivery.{each}" for each in told)
    assert told.count("returned") == 1
    (back,) = [each for each in receiver.got if each.content["type"] == "delivery.returned"]
    assert made.secret is not None
    assert back.verified(made.secret)["data"] == {
        "delivery_id": delivery, "submission_id": back.content["data"]["submission_id"], "event": "returned",
        "status": "returned", "channel": "paper", "actor": "post", "reason": "M04", "leg": 1,
        "letter": f"{delivery}-1",
    }  # fmt: skip
    logged = log_of(pipeline, sender, made.webhook.id)
    assert {each.state for each in logged} == {"sent"}
    assert [each.status for each in logged[0].attempts] == [204]
    assert log_of(pipeline, sender, few.webhook.id) == []


def test_what_recipients_do_is_told_to_its_sender_and_to_no_other(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver
) -> None:
    sender, other = organisation(), organisation()
    subscribe(pipeline, sender, receiver.url)
    elsewhere = subscribe(pipeline, other, receiver.url).webhook.id
    with_post(pipeline)
    activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    mailbox.open_message(pipeline.context, reader(pipeline), delivery)
    send(pipeline)
    told = [each.event for each in deliveries.timeline(pipeline.context, sender, delivery)]
    assert told[-1] == "ContentAccessTracking"
    assert sorted(receiver.types) == sorted(f"delivery.{each}" for each in told)
    assert log_of(pipeline, other, elsewhere) == []


def test_messages_hold_ids_and_codes_only(pipeline: Pipeline, organisation: Sender, receiver: Receiver) -> None:
    sender = organisation()
    subscribe(pipeline, sender, receiver.url)
    pipeline.hand_in(sender, "an", reference="An Peeters 85073003328", subject="Verzonnen onderwerp")
    pipeline.work()
    send(pipeline)
    assert len(receiver.got) >= 3
    for each in receiver.got:
        said_ = (str(dict(each.headers)) + each.body.decode()).lower()
        assert not [word for word in ("peeters", "85073003328", "verzonnen", "kerkstraat") if word in said_]


def test_an_event_and_its_message_are_there_together_or_not_at_all(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    sender = organisation()
    subscribe(pipeline, sender, receiver.url)
    execute(database, "ALTER TABLE webhook_message ADD CONSTRAINT none CHECK (type <> 'delivery.routed')")
    delivery = pipeline.hand_in(sender, "jan").delivery_id
    pipeline.work(JobKind.SEAL)
    steps = all_steps(pipeline.context)
    run_chunk(pipeline.context.database, steps[JobKind.ROUTE], lease_seconds=60)
    names = [each.event for each in deliveries.timeline(pipeline.context, sender, delivery)]
    assert names == ["handed_in", "SubmissionAcceptance"]
    counts = execute(database, "SELECT count(*) FROM webhook_message")
    assert counts == [(2,)]


def test_who_dies_between_sending_and_recording_sends_again_with_the_same_id(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    sender = organisation()
    webhook = subscribe(pipeline, sender, receiver.url).webhook.id
    (message,) = ask(pipeline, sender, webhook)
    webhook_sending.put_due(pipeline.context)
    step = all_steps(pipeline.context)[JobKind.WEBHOOK]

    def dies(_session: Any, _outcomes: Any) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        run_chunk(pipeline.context.database, dataclasses.replace(step, record=dies), lease_seconds=60)
    execute(database, "UPDATE job SET lease_until = clock_timestamp() - interval '1 second' WHERE kind = 'webhook'")
    assert webhook_sending.put_due(pipeline.context) == 0
    assert run_chunk(pipeline.context.database, step, lease_seconds=60, alone=True) == 1
    assert [each.id for each in receiver.got] == [message, message]
    assert receiver.got[0].body == receiver.got[1].body
    (logged,) = log_of(pipeline, sender, webhook)
    assert (logged.state, len(logged.attempts)) == ("sent", 1)


def test_who_lost_the_lease_records_nothing(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    sender = organisation()
    webhook = subscribe(pipeline, sender, receiver.url).webhook.id
    ask(pipeline, sender, webhook)
    webhook_sending.put_due(pipeline.context)
    taken_over = "UPDATE job SET fence = fence + 1 WHERE kind = 'webhook'"
    receiver.before = lambda _: execute(database, taken_over) and None
    run_chunk(pipeline.context.database, all_steps(pipeline.context)[JobKind.WEBHOOK], lease_seconds=60)
    assert len(receiver.got) == 1
    (logged,) = log_of(pipeline, sender, webhook)
    assert (logged.state, logged.attempts) == ("waiting", [])


def test_a_receiver_that_fails_is_left_alone_asked_with_one_message_and_then_gets_all(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    sender = organisation()
    webhook = subscribe(pipeline, sender, receiver.url).webhook.id
    ask(pipeline, sender, webhook, 3)
    receiver.status, receiver.headers = 503, {"Retry-After": "1800"}
    send(pipeline)
    assert len(receiver.got) == 1
    assert send(pipeline) == 0
    found = webhooks.get(pipeline.context, sender, webhook)
    assert found.failing_since is not None
    first = log_of(pipeline, sender, webhook)[0]
    assert first.next_attempt_at is not None
    assert first.next_attempt_at > pipeline.now + timedelta(minutes=29)
    assert [(each.status, each.error) for each in first.attempts] == [(503, None)]
    again(pipeline, database)
    assert len(receiver.got) == 2
    receiver.status = 200
    again(pipeline, database)
    assert {each.state for each in log_of(pipeline, sender, webhook)} == {"sent"}
    assert webhooks.get(pipeline.context, sender, webhook).failing_since is None


def test_a_message_that_is_never_taken_is_given_up_and_can_be_replayed(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    sender = organisation()
    webhook = subscribe(pipeline, sender, receiver.url).webhook.id
    caller = Caller(sender, "client:test")
    (message,) = ask(pipeline, sender, webhook)
    receiver.status = 302
    receiver.headers = {"Location": receiver.url}
    for _ in range(rules.TRIES + 1):
        again(pipeline, database)
    assert [each.id for each in receiver.got] == [message] * rules.TRIES
    (logged,) = log_of(pipeline, sender, webhook)
    assert (logged.state, logged.next_attempt_at, len(logged.attempts)) == ("failed", None, rules.TRIES)
    receiver.status = 204
    assert webhook_log.replay_since(pipeline.context, caller, webhook, pipeline.now + timedelta(hours=1)) == 0
    assert webhook_log.replay_since(pipeline.context, caller, webhook, pipeline.now - timedelta(hours=1)) == 1
    again(pipeline, database)
    webhook_log.replay(pipeline.context, caller, webhook, message)
    again(pipeline, database)
    assert [each.id for each in receiver.got] == [message] * (rules.TRIES + 2)
    (logged,) = log_of(pipeline, sender, webhook)
    assert (logged.state, len(logged.attempts)) == ("sent", rules.TRIES + 2)


def test_who_says_gone_or_fails_for_days_is_disabled_and_what_waits_is_sent_once_enabled(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    sender = organisation()
    webhook = subscribe(pipeline, sender, receiver.url).webhook.id
    caller = Caller(sender, "client:test")
    ask(pipeline, sender, webhook, 2)
    receiver.status = 410
    send(pipeline)
    found = webhooks.get(pipeline.context, sender, webhook)
    assert (found.state, found.reason, len(receiver.got)) == ("disabled", "gone", 1)
    with pytest.raises(Conflict):
        ask(pipeline, sender, webhook)
    assert again(pipeline, database) == 0
    samples = operations.measure(pipeline.context, pipeline.application.promises)
    assert [each.value for each in samples if each.metric == "zending_webhooks_disabled"] == [1]
    webhooks.enable(pipeline.context, caller, webhook)
    receiver.status = 500
    again(pipeline, database)
    assert webhooks.get(pipeline.context, sender, webhook).state == "active"
    execute(database, "UPDATE webhook SET failing_since = failing_since - interval '5 days'")
    again(pipeline, database)
    found = webhooks.get(pipeline.context, sender, webhook)
    assert (found.state, found.reason) == ("disabled", "failing")
    receiver.status = 204
    webhooks.enable(pipeline.context, caller, webhook)
    again(pipeline, database)
    assert {each.state for each in log_of(pipeline, sender, webhook)} == {"sent"}


def test_what_happens_while_disabled_waits_and_a_removed_one_hears_nothing_more(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    sender = organisation()
    caller = Caller(sender, "client:test")
    paused, over = (subscribe(pipeline, sender, receiver.url).webhook.id for _ in range(2))
    webhooks.disable(pipeline.context, caller, paused)
    webhooks.remove(pipeline.context, caller, over)
    with pytest.raises(NotFound):
        webhooks.get(pipeline.context, sender, over)
    delivery = pipeline.hand_in(sender, "jan").delivery_id
    assert (send(pipeline), receiver.got) == (0, [])
    webhooks.enable(pipeline.context, caller, paused)
    send(pipeline)
    assert [each.content["data"]["delivery_id"] for each in receiver.got] == [delivery]
    execute(database, "UPDATE webhook SET state_since = state_since - interval '2 days' WHERE state = 'removed'")
    execute(database, "UPDATE webhook_message SET written_at = written_at - interval '31 days'")
    retention.run(pipeline.context, retention.Periods(timedelta(days=7)))
    for table, left in (("webhook", 1), ("webhook_message", 0), ("webhook_attempt", 0)):
        assert execute(database, f"SELECT count(*) FROM {table}") == [(left,)], table
    routes = execute(database, "SELECT count(*) FROM idempotency_key WHERE route = 'POST /v1/webhooks'")
    assert routes == [(1,)]


def test_a_slow_receiver_keeps_no_other_waiting(pipeline: Pipeline, organisation: Sender, receiver: Receiver) -> None:
    slow, quick = organisation(), organisation()
    with receiving() as other:
        trusting(pipeline, HOST, seconds=2.0)
        receiver.before = lambda _: time.sleep(3)
        hooks = {
            each: subscribe(pipeline, each, where.url).webhook.id for each, where in ((slow, receiver), (quick, other))
        }
        ask(pipeline, slow, hooks[slow], 8)
        ask(pipeline, quick, hooks[quick], 20)
        began = time.monotonic()
        send(pipeline)
        assert time.monotonic() - began < 12
        assert (len(receiver.got), len(other.got)) == (1, 20)
        (attempt,) = log_of(pipeline, slow, hooks[slow])[0].attempts
        assert (attempt.status, attempt.error) == (None, "timeout")


def test_a_receiver_that_answers_byte_by_byte_does_not_hold_the_line(pipeline: Pipeline) -> None:
    with socket.create_server((HOST, 0)) as server, Poster([HOST], seconds=0.4).line() as line:
        server.settimeout(5)

        def drip() -> None:
            connection, _ = server.accept()
            with connection, contextlib.suppress(OSError):
                for _ in range(20):
                    connection.sendall(b"H")
                    time.sleep(0.1)

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        reply = line.post(f"http://{HOST}:{server.getsockname()[1]}/", b"{}", {})
    assert reply.error in {"timeout", "broken"}
    assert reply.seconds < 1.0


def test_a_turn_that_could_not_send_all_goes_on_at_once(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sending, "MOST", 3)
    sender = organisation()
    asked = ask(pipeline, sender, subscribe(pipeline, sender, receiver.url).webhook.id, 8)
    assert send(pipeline) == 1
    assert sorted(each.id for each in receiver.got) == sorted(asked)
    assert send(pipeline) == 0


def test_both_secrets_sign_for_a_day(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    sender = organisation()
    first = subscribe(pipeline, sender, receiver.url)
    second = webhooks.rotate(pipeline.context, Caller(sender, "client:test"), first.webhook.id)
    assert first.secret is not None
    assert second.secret is not None
    ask(pipeline, sender, first.webhook.id)
    send(pipeline)
    for secret in (first.secret, second.secret):
        assert receiver.got[0].verified(secret)["type"] == rules.TEST
    pipeline.skew = timedelta(hours=25)
    assert len(dict(receiver.got[0].headers)["webhook-signature"].split()) == 2
    ask(pipeline, sender, first.webhook.id)
    again(pipeline, database)
    assert len(dict(receiver.got[1].headers)["webhook-signature"].split()) == 1


def test_an_address_inside_is_refused_when_made_and_when_sent(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation()
    answers = ["93.184.216.34"]
    monkeypatch.setattr(
        "service.outgoing.socket.getaddrinfo",
        lambda _host, port, **_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[-1], port))],
    )
    trusting(pipeline)
    webhook = subscribe(pipeline, sender, f"https://changes.example:{receiver.port}/").webhook.id
    # The name leads to our own machine by the time something is sent.
    answers.append("127.0.0.1")
    ask(pipeline, sender, webhook)
    with capture_logs() as events:
        send(pipeline)
    assert receiver.got == []
    (logged,) = log_of(pipeline, sender, webhook)
    # As of a name that is nobody's: by what they are told, senders can't map our network. Our own log knows.
    assert [(each.status, each.error) for each in logged.attempts] == [(None, "unreachable")]
    assert [each["webhook"] for each in events if each["event"] == "webhook_address_refused"] == [webhook]
    assert "changes.example" not in str(events)
    for url in (f"https://changes.example:{receiver.port}/", "https://10.0.0.1/"):
        with pytest.raises(Invalid) as caught:
            subscribe(pipeline, sender, url)
        assert [each.code for each in caught.value.errors] == ["url_not_public"]


def test_another_organisations_webhooks_do_not_exist_and_there_are_ten_at_most(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver
) -> None:
    mine, theirs = organisation(), organisation()
    made = [subscribe(pipeline, theirs, receiver.url).webhook.id for _ in range(rules.MOST_SUBSCRIPTIONS)]
    with pytest.raises(Conflict):
        subscribe(pipeline, theirs, receiver.url)
    (message,) = ask(pipeline, theirs, made[0])
    caller, context = Caller(mine, "client:test"), pipeline.context
    for attempt in (
        lambda: webhooks.get(context, mine, made[0]),
        lambda: webhooks.remove(context, caller, made[0]),
        lambda: webhooks.rotate(context, caller, made[0]),
        lambda: webhook_log.messages(context, mine, made[0]),
        lambda: webhook_log.replay(context, caller, made[0], message),
    ):
        with pytest.raises(NotFound):
            attempt()
    pipeline.hand_in(mine, "jan")
    assert send(pipeline) == 1
    assert [each.id for each in receiver.got] == [message]
