"""What senders do with their webhooks: enable, rotate, remove, test; and what becomes of what waits."""

import base64
from datetime import timedelta

import pytest
from sqlalchemy import text

from service.db import jobs
from service.db.ids import WEBHOOK, parse_id
from service.db.jobs import JobKind
from service.domain import webhooks as rules
from service.domain.errors import Conflict, IdempotencyMismatch
from service.usecases import webhook_log, webhook_sending, webhooks
from service.usecases.webhooks import Asked, Caller
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender
from tests.webhook_support import Receiver, ask, log_of, send, subscribe

PARKED = "SELECT count(*) FROM job WHERE parked_at IS NOT NULL"


def test_a_parked_job_silences_no_webhook_that_is_enabled_and_stays_for_none_that_is_removed(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    sender = organisation()
    caller, context = Caller(sender, "client:test"), pipeline.context
    mended, over = (subscribe(pipeline, sender, receiver.url).webhook.id for _ in range(2))
    ask(pipeline, sender, mended)
    ask(pipeline, sender, over)
    webhook_sending.put_due(context)
    execute(database, "UPDATE job SET parked_at = clock_timestamp() WHERE kind = %s", JobKind.WEBHOOK.value)
    assert send(pipeline) == 0
    # Active already: whoever enables it means that it should be sent to.
    webhooks.enable(context, caller, mended)
    assert send(pipeline) == 1
    assert [each.state for each in log_of(pipeline, sender, mended)] == ["sent"]
    assert execute(database, PARKED) == [(1,)]
    webhooks.remove(context, caller, over)
    assert execute(database, PARKED) == [(0,)]
    assert len(receiver.got) == 1


def test_whoever_enables_or_tests_a_webhook_does_not_wait_for_its_schedule(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver
) -> None:
    sender = organisation()
    caller, context = Caller(sender, "client:test"), pipeline.context
    webhook = subscribe(pipeline, sender, receiver.url).webhook.id
    first, second = ask(pipeline, sender, webhook, 2)
    receiver.status, receiver.headers = 503, {"Retry-After": "3600"}
    send(pipeline)
    assert [each.id for each in receiver.got] == [first]
    receiver.status, receiver.headers = 204, {}
    assert send(pipeline) == 0
    (third,) = ask(pipeline, sender, webhook)
    send(pipeline)
    # What waited longest asks whether the receiver is back. What failed keeps to its own time,
    assert [each.id for each in receiver.got[1:]] == [second, third]
    webhooks.disable(context, caller, webhook)
    webhooks.enable(context, caller, webhook)
    # or comes at once when somebody says that it is well again.
    assert send(pipeline) == 1
    assert [each.id for each in receiver.got[3:]] == [first]
    receiver.status, receiver.headers = 503, {"Retry-After": "3600"}
    webhook_log.replay(context, caller, webhook, second)
    send(pipeline)
    receiver.status = 204
    webhook_log.replay(context, caller, webhook, second)
    send(pipeline)
    assert [each.id for each in receiver.got[4:]] == [second, second]


def test_a_rotation_too_many_is_refused_and_the_secret_in_use_goes_on_to_sign(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver
) -> None:
    sender = organisation()
    caller, context = Caller(sender, "client:test"), pipeline.context
    made = subscribe(pipeline, sender, receiver.url)
    for _ in range(rules.MOST_SECRETS - 1):
        newest = webhooks.rotate(context, caller, made.webhook.id).secret
    with pytest.raises(Conflict) as caught:
        webhooks.rotate(context, caller, made.webhook.id)
    assert caught.value.code == "webhook_secrets_too_many"
    ask(pipeline, sender, made.webhook.id)
    send(pipeline)
    for secret in (made.secret, newest):
        assert secret is not None
        assert receiver.got[0].verified(secret)["type"] == rules.TEST


def test_a_request_whose_webhook_was_removed_is_told_so(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver
) -> None:
    caller, asked, context = Caller(organisation(), "client:test"), Asked(receiver.url), pipeline.context
    webhook = webhooks.subscribe(context, caller, asked, key="k").webhook_id
    webhooks.remove(context, caller, webhook)
    with pytest.raises(Conflict) as caught:
        webhooks.subscribe(context, caller, asked, key="k")
    assert caught.value.code == "webhook_removed"


def test_the_same_request_makes_one_webhook_and_its_secret_is_kept_in_the_clear_nowhere(
    pipeline: Pipeline, organisation: Sender, receiver: Receiver, database: TestDatabase
) -> None:
    sender = organisation()
    caller, asked, context = Caller(sender, "client:test"), Asked(receiver.url), pipeline.context
    first, second = (webhooks.subscribe(context, caller, asked, key="k").view for _ in range(2))
    assert first == second
    with pytest.raises(IdempotencyMismatch):
        webhooks.subscribe(context, caller, Asked(receiver.url, ["delivery.returned"]), key="k")
    assert first.secret is not None
    written = first.secret.removeprefix(rules.SECRET_PREFIX)
    webhook_log.send_test(context, caller, first.webhook.id)
    kept = {
        name: b"".join(bytes(each) for (each,) in execute(database, query) if each is not None)
        for name, query in {
            "secrets": "SELECT secrets FROM webhook",
            "the kept answer": "SELECT answer FROM idempotency_key",
            "the audit trail": "SELECT convert_to(entry::text, 'UTF8') FROM audit_entry AS entry",
            "messages": "SELECT convert_to(message::text, 'UTF8') FROM webhook_message AS message",
            "webhooks": "SELECT convert_to(webhook::text, 'UTF8') FROM webhook",
        }.items()
    }
    assert [name for name, found in kept.items() if not found] == ["the kept answer"]
    key = base64.b64decode(written)
    for name, found in kept.items():
        assert not any(each in found for each in (written.encode(), key, key.hex().encode())), name
    pipeline.skew = timedelta(hours=25)
    assert webhooks.subscribe(pipeline.context, caller, asked, key="k").view.secret is None
    acts = execute(database, "SELECT act, actor, subject FROM audit_entry WHERE act LIKE 'webhook.%%'")
    assert acts == [("webhook.make", "client:test", first.webhook.id)]
    with pipeline.context.database.transaction() as session:
        assert jobs.due_kinds(session) == []
        assert session.scalar(text("SELECT count(*) FROM webhook")) == 0
    assert parse_id(WEBHOOK, first.webhook.id)
