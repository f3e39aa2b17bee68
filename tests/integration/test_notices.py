"""The step ``notify``: once, without content, at decent hours; a bounce is evidence, an outage is waited out."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.db.jobs import JobKind
from service.domain.evidence import REASONS, EvidenceEvent
from service.notifications.base import MailArrived, Result
from service.notifications.smtp import SmtpNotifier
from service.usecases import deliveries
from service.usecases.admission import Upload
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.service_support import DOCUMENTS
from tests.usecase_support import (
    Sender,
    activate,
    at,
    change,
    deliver,
    events,
    evidence,
    parked,
    put_again,
    snapshot,
    status,
    waiting,
    with_post,
)

EMAIL = "an@voorbeeld.test"
NIGHT = datetime(2026, 11, 2, 23, 30, tzinfo=UTC)
CLOSED = REASONS[EvidenceEvent.CONSIGNMENT_NOTIFICATION_FAILURE]


def test_a_notice_is_sent_once_and_says_nothing_of_what_came(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    post, sender = with_post(pipeline), organisation("agentschap")
    activate(pipeline, email=EMAIL, language="fr")
    pdf = (DOCUMENTS / "receipt-nl-reportlab.pdf").read_bytes()
    delivery = deliver(
        pipeline, sender, "an", subject="Geheimzinnig", uploads=[Upload("document", "vertrouwelijk.pdf", pdf)]
    )
    (notice,) = post.sent
    assert (notice.to, notice.language.value) == (EMAIL, "fr")
    assert notice.what == MailArrived("Organisation agentschap", registered=False)
    message = SmtpNotifier("smtp://127.0.0.1:1", "zending@voorbeeld.test").message(notice, EMAIL, now=pipeline.now)
    text = message.as_string() + str(message.get_content())
    for secret in ("Geheimzinnig", "vertrouwelijk", "85073003328", "Peeters", "http", "://", "www.", delivery):
        assert secret not in text
    before = snapshot(database)
    for _ in range(2):
        put_again(pipeline, JobKind.NOTIFY, sender, delivery, 1)
        pipeline.work()
    assert len(post.sent) == 1
    assert snapshot(database) == before


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("mailbox_refused", "address_refused"),
        ("address_invalid", "address_refused"),
        ("message_refused", "bounced"),
        ("whatever", "bounced"),
    ],
)
def test_a_bounce_is_evidence_with_a_reason_of_the_closed_list(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, said: str, reason: str
) -> None:
    post, sender = with_post(pipeline), organisation()
    activate(pipeline, email=EMAIL)
    post.answers[EMAIL] = (Result.REFUSED, said)
    delivery = deliver(pipeline, sender, "an")
    assert events(pipeline, sender, delivery)[-1] == "ConsignmentNotificationFailure"
    assert evidence(pipeline, sender, delivery, "ConsignmentNotificationFailure")["reasons"] == [reason]
    assert reason in CLOSED
    # It is in the mailbox all the same, and nobody is written to again.
    assert status(pipeline, sender, delivery) == "available"
    post.answers.clear()
    put_again(pipeline, JobKind.NOTIFY, sender, delivery, 1)
    pipeline.work()
    assert "ConsignmentNotification" not in events(pipeline, sender, delivery)
    assert len(post.sent) == 1
    assert waiting(database) == []


def test_a_mailbox_without_an_address_is_a_failed_notice(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(pipeline)
    sender = organisation()
    activate(pipeline)
    delivery = pipeline.hand_in(sender, "an").delivery_id
    pipeline.work(JobKind.SEAL, JobKind.ROUTE, JobKind.DEPOSIT)
    execute(database, "DELETE FROM activation")
    execute(database, "DELETE FROM mailbox")
    pipeline.work()
    assert evidence(pipeline, sender, delivery, "ConsignmentNotificationFailure")["reasons"] == ["no_address"]


def test_a_mail_server_that_is_down_is_waited_for(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    activate(pipeline, email=EMAIL)
    change(pipeline, notifier=SmtpNotifier("smtp://127.0.0.1:1", "zending@voorbeeld.test"))
    delivery = deliver(pipeline, sender, "an")
    assert waiting(database) == [("notify", "no_connection")]
    assert events(pipeline, sender, delivery)[-1] == "ContentConsignment"
    post = with_post(pipeline)
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work()
    assert len(post.sent) == 1
    assert events(pipeline, sender, delivery)[-1] == "ConsignmentNotification"
    assert parked(database) == []


def test_one_that_is_refused_leaves_the_others_of_the_chunk_alone(pipeline: Pipeline, organisation: Sender) -> None:
    post, sender = with_post(pipeline), organisation()
    activate(pipeline, "an", email=EMAIL)
    activate(pipeline, "cem", email="cem@voorbeeld.test")
    activate(pipeline, "lena", email="lena@voorbeeld.test")
    post.answers = {EMAIL: (Result.REFUSED, "mailbox_refused"), "lena@voorbeeld.test": (Result.RETRYABLE, "try_later")}
    ids = {key: pipeline.hand_in(sender, key).delivery_id for key in ("an", "cem", "lena")}
    pipeline.work()
    last = {key: events(pipeline, sender, delivery)[-1] for key, delivery in ids.items()}
    assert last == {
        "an": "ConsignmentNotificationFailure",
        "cem": "ConsignmentNotification",
        "lena": "ContentConsignment",
    }


def test_nobody_is_written_to_at_night(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    post, sender = with_post(pipeline), organisation()
    change(pipeline, quiet_hours=True)
    activate(pipeline)
    delivery = pipeline.hand_in(sender, "an").delivery_id
    pipeline.work(JobKind.SEAL, JobKind.ROUTE)
    with at(pipeline, NIGHT):
        pipeline.work(JobKind.DEPOSIT)
        ((due,),) = execute(database, "SELECT due_at FROM job WHERE kind = 'notify'")
        # Seven in the morning in Brussels, in winter.
        assert due == datetime(2026, 11, 3, 6, tzinfo=UTC)
        execute(database, "UPDATE job SET due_at = now()")
        pipeline.work()
        assert waiting(database) == [("notify", "quiet_hours")]
    assert post.sent == []
    with at(pipeline, NIGHT + timedelta(hours=7)):
        execute(database, "UPDATE job SET due_at = now()")
        pipeline.work()
    assert len(post.sent) == 1
    assert "ConsignmentNotification" in events(pipeline, sender, delivery)


def test_by_day_a_notice_is_due_at_once(pipeline: Pipeline, organisation: Sender) -> None:
    post, sender = with_post(pipeline), organisation()
    change(pipeline, quiet_hours=True)
    activate(pipeline)
    pipeline.hand_in(sender, "an")
    pipeline.work(JobKind.SEAL, JobKind.ROUTE)
    with at(pipeline, datetime(2026, 11, 3, 10, tzinfo=UTC)):
        pipeline.work()
    assert len(post.sent) == 1


def test_what_is_no_longer_there_is_not_announced(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, sender = with_post(pipeline), organisation()
    activate(pipeline)
    delivery = pipeline.hand_in(sender, "an").delivery_id
    pipeline.work(JobKind.SEAL, JobKind.ROUTE, JobKind.DEPOSIT)
    send = post.send_many

    def then_gone(*arguments: Any, **named: Any) -> Any:
        outcomes = send(*arguments, **named)
        execute(database, "UPDATE leg SET state = 'withdrawn'")
        return outcomes

    monkeypatch.setattr(post, "send_many", then_gone)
    pipeline.work()
    told = [each.event for each in deliveries.timeline(pipeline.context, sender, delivery)]
    assert "ConsignmentNotification" not in told
    assert waiting(database) == []
