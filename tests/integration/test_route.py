"""The steps ``route`` and ``deposit``: which way a delivery goes, and what becomes of a mailbox that is gone."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import pytest

from service.channels.base import Consent, Deposit, DepositResult, Receipt, WithdrawResult
from service.db.ids import DELIVERY, parse_id
from service.db.jobs import JobKind
from service.domain.errors import Retryable
from service.domain.identifiers import RecipientId
from service.usecases import activation, deliveries
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import (
    Sender,
    activate,
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


@pytest.mark.parametrize(
    ("key", "fields", "channel"),
    [
        ("an", {}, "digital"),
        ("jan", {}, "paper"),
        ("an", {"registered": True}, "paper"),
        ("jan", {"registered": True}, "paper"),
        ("abroad", {}, "paper"),
        ("bakery", {}, "paper"),
    ],
)
def test_the_way_follows_from_mailbox_and_kind_of_mail(
    pipeline: Pipeline, organisation: Sender, key: str, fields: dict[str, Any], channel: str
) -> None:
    with_post(pipeline)
    activate(pipeline, "an")
    sender = organisation()
    delivery = deliver(pipeline, sender, key, **fields)
    seen = deliveries.get(pipeline.context, sender, delivery)
    assert (seen.channel, seen.status) == (channel, "available" if channel == "digital" else "to_print")
    wanted = ["SubmissionAcceptance"]
    if channel == "digital":
        wanted += ["ContentConsignment", "ConsignmentNotification"]
        assert seen.effective_at is not None
    assert events(pipeline, sender, delivery) == wanted


def test_who_gave_up_their_mailbox_between_route_and_deposit_gets_paper(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    post, sender, an = with_post(pipeline), organisation(), activate(pipeline)
    delivery = pipeline.hand_in(sender, "an").delivery_id
    pipeline.work(JobKind.SEAL, JobKind.ROUTE)
    activation.revoke(pipeline.context, an)
    pipeline.work()
    seen = deliveries.get(pipeline.context, sender, delivery)
    assert (seen.status, seen.channel) == ("to_print", "paper")
    record = evidence(pipeline, sender, delivery, "ContentConsignmentFailure")
    assert record["reasons"] == ["no_mailbox"]
    assert execute(database, "SELECT number, kind, state FROM leg ORDER BY number") == [
        (1, "mailbox", "undeliverable"),
        (2, "paper", "to_print"),
    ]
    assert post.sent == []
    # Activated again: what is on paper stays on paper.
    activate(pipeline)
    before = snapshot(database)
    put_again(pipeline, JobKind.ROUTE, sender, delivery)
    pipeline.work()
    assert snapshot(database) == before


@pytest.mark.parametrize("key", ["an", "jan"])
def test_every_step_run_again_changes_nothing(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, key: str
) -> None:
    post, sender = with_post(pipeline), organisation()
    activate(pipeline, "an")
    delivery = pipeline.hand_in(sender, key).delivery_id
    for kind in (JobKind.SEAL, JobKind.ROUTE, JobKind.DEPOSIT, JobKind.NOTIFY, JobKind.LETTER):
        pipeline.work(kind)
        before, sent = snapshot(database), len(post.sent)
        if (kind is JobKind.LETTER) == (key == "an") and kind not in (JobKind.SEAL, JobKind.ROUTE):
            continue
        put_again(pipeline, kind, sender, delivery, 0 if kind in (JobKind.SEAL, JobKind.ROUTE) else 1)
        pipeline.work(kind)
        assert snapshot(database) == before, kind
        assert len(post.sent) == sent
    assert waiting(database) == []


class Channel:
    """A mailbox channel that answers as it is told."""

    name = "internal"

    def __init__(self, result: DepositResult, *, away: bool = False) -> None:
        self.result, self.away = result, away

    def activated(self, recipients: Collection[RecipientId], _consent: Consent) -> frozenset[RecipientId]:
        if self.away:
            raise Retryable("The mailboxes can't be reached.", code="mailbox_unavailable")
        return frozenset(recipients)

    def deposit(self, deposits: Sequence[Deposit], *, now: datetime) -> list[Receipt]:
        assert now.tzinfo is not None
        return [Receipt(each.reference, self.result, reason="full") for each in deposits]

    def withdraw(self, _reference: str, *, now: datetime) -> WithdrawResult:
        raise AssertionError(now)


def test_a_channel_that_is_away_sends_nobody_to_paper(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender, real = organisation(), pipeline.context.channel
    with_post(pipeline)
    activate(pipeline)
    delivery = pipeline.hand_in(sender, "an").delivery_id
    change(pipeline, channel=Channel(DepositResult.TAKEN, away=True))
    pipeline.work()
    assert waiting(database) == [("route", "mailbox_unavailable")]
    change(pipeline, channel=Channel(DepositResult.RETRYABLE))
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work()
    assert waiting(database) == [("deposit", "mailbox_unavailable")]
    assert parked(database) == []
    assert status(pipeline, sender, delivery) == "sealed"
    change(pipeline, channel=real)
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work()
    assert status(pipeline, sender, delivery) == "available"


def test_a_mailbox_that_refuses_is_followed_by_paper(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    change(pipeline, channel=Channel(DepositResult.REFUSED))
    delivery = deliver(pipeline, sender, "an")
    assert status(pipeline, sender, delivery) == "to_print"
    assert evidence(pipeline, sender, delivery, "ContentConsignmentFailure")["reasons"] == ["refused_by_mailbox"]


def test_what_was_cancelled_on_the_way_goes_no_way(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    del an
    channel = pipeline.context.channel
    first, second = (pipeline.hand_in(sender, "an").delivery_id for _ in range(2))
    pipeline.work(JobKind.SEAL)
    activated, deposit = channel.activated, channel.deposit

    def cancelled_first(*arguments: Any) -> Any:
        deliveries.cancel(pipeline.context, sender, first)
        return activated(*arguments)

    def cancelled_second(*arguments: Any, **named: Any) -> Any:
        receipts = deposit(*arguments, **named)
        deliveries.cancel(pipeline.context, sender, second)
        return receipts

    with monkeypatch.context() as patch:
        patch.setattr(channel, "activated", cancelled_first)
        pipeline.work(JobKind.ROUTE)
    assert execute(database, "SELECT 1 FROM leg WHERE delivery_id = %s", parse_id(DELIVERY, first)) == []
    with monkeypatch.context() as patch:
        patch.setattr(channel, "deposit", cancelled_second)
        pipeline.work(JobKind.DEPOSIT)
    pipeline.work()
    for delivery in (first, second):
        assert status(pipeline, sender, delivery) == "cancelled"
        assert events(pipeline, sender, delivery) == ["SubmissionAcceptance"]
