"""Taking back: what the sender may withdraw and how it is evidenced; and of two who come at once, exactly one wins."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.db.ids import DELIVERY, parse_id
from service.db.jobs import JobKind
from service.domain.errors import Invalid, NotFound, TransitionRefused
from service.domain.evidence import WITHDRAWAL_REASONS, AssuranceLevel
from service.domain.evidence_record import ActedFor, ActingBasis, Identification
from service.usecases import activation, deliveries, mailbox
from service.usecases.mailbox import Reader
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import (
    Sender,
    activate,
    deliver,
    events,
    evidence,
    own_messages,
    snapshot,
    status,
    waiting,
    with_post,
)

PATIENCE = 120.0
ROUNDS = 4


def withdraw(pipeline: Pipeline, sender: uuid.UUID, delivery: str, reason: str = "wrong_recipient") -> str:
    return deliveries.withdraw(pipeline.context, sender, delivery, reason).status


def refused(pipeline: Pipeline, sender: uuid.UUID, delivery: str) -> str:
    with pytest.raises(TransitionRefused) as caught:
        withdraw(pipeline, sender, delivery)
    return caught.value.code


def test_what_is_in_the_mailbox_and_unopened_can_be_withdrawn_and_is_evidenced(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    post = with_post(pipeline)
    an, sender = activate(pipeline), organisation()
    delivery = deliver(pipeline, sender, "an")
    told = len(post.sent)
    assert own_messages(pipeline, an) == [delivery]
    assert withdraw(pipeline, sender, delivery, "wrong_document") == "withdrawn"
    assert own_messages(pipeline, an) == []
    with pytest.raises(NotFound):
        mailbox.open_message(pipeline.context, an, delivery)
    record = evidence(pipeline, sender, delivery, "ConsignmentWithdrawal")
    assert record["reasons"] == ["wrong_document"]
    line = deliveries.timeline(pipeline.context, sender, delivery)[-1]
    assert (line.event, line.actor, line.reason) == ("ConsignmentWithdrawal", "sender", "wrong_document")
    pipeline.work()
    assert (status(pipeline, sender, delivery), waiting(database), len(post.sent)) == ("withdrawn", [], told)
    assert refused(pipeline, sender, delivery) == "too_late_to_withdraw"


def test_the_evidence_says_how_the_clerk_was_identified_who_withdrew(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    delivery = deliver(pipeline, sender, "jan")
    by = Identification("https://login.test", AssuranceLevel.HIGH, None, ActedFor(ActingBasis.LOG_IN, "f3a9"))
    deliveries.withdraw(pipeline.context, sender, delivery, "sent_twice", by=by)
    record = evidence(pipeline, sender, delivery, "ConsignmentWithdrawal")
    assert record["actor"] == "sender"
    assert record["identification"]["acted_for"]["id"] == record["sender"]["id"]
    assert record["recipients"][0]["assurance_level"] == "none", "nobody identified the recipient"


def test_a_letter_can_be_withdrawn_until_its_batch_is_closed(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    early, late = deliver(pipeline, sender, "jan"), deliver(pipeline, sender, "jan")
    assert withdraw(pipeline, sender, early, "sent_twice") == "withdrawn"
    assert "ConsignmentWithdrawal" in events(pipeline, sender, early)
    assert pipeline.close_batches() == 1
    pipeline.work()
    assert refused(pipeline, sender, late) == "too_late_to_withdraw"
    assert (status(pipeline, sender, early), status(pipeline, sender, late)) == ("withdrawn", "handed_over")


def test_a_letter_that_followed_a_mailbox_which_failed_is_withdrawn_in_the_eyes_of_all(
    pipeline: Pipeline, organisation: Sender
) -> None:
    with_post(pipeline)
    sender, an = organisation(), activate(pipeline)
    delivery = pipeline.hand_in(sender, "an").delivery_id
    pipeline.work(JobKind.SEAL, JobKind.ROUTE)
    activation.revoke(pipeline.context, an)
    pipeline.work()
    assert status(pipeline, sender, delivery) == "to_print"
    assert withdraw(pipeline, sender, delivery) == "withdrawn"
    seen = deliveries.get(pipeline.context, sender, delivery)
    assert (seen.status, seen.channel) == ("withdrawn", "paper")


def test_a_refused_withdrawal_changes_nothing(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    with_post(pipeline)
    an, sender, stranger = activate(pipeline), organisation(), organisation()
    fresh = pipeline.hand_in(sender, "an").delivery_id
    assert refused(pipeline, sender, fresh) == "not_delivered_yet"
    opened = deliver(pipeline, sender, "an")
    mailbox.open_message(pipeline.context, an, opened)
    before = snapshot(database)
    assert refused(pipeline, sender, opened) == "too_late_to_withdraw"
    with pytest.raises(NotFound):
        withdraw(pipeline, stranger, opened)
    with pytest.raises(Invalid) as caught:
        withdraw(pipeline, sender, opened, "because")
    assert caught.value.code == "reason_unknown"
    assert "because" not in WITHDRAWAL_REASONS
    assert snapshot(database) == before


def both(first: Callable[[], object], second: Callable[[], object]) -> tuple[bool, bool]:
    """Which of two that start at the same moment succeeded."""
    start = threading.Barrier(2)

    def attempt(act: Callable[[], object]) -> bool:
        start.wait(PATIENCE)
        try:
            act()
        except (TransitionRefused, NotFound):
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(attempt, first), pool.submit(attempt, second)
        return one.result(PATIENCE), other.result(PATIENCE)


def test_of_opening_and_withdrawing_exactly_one_wins(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(pipeline)
    an, sender = activate(pipeline), organisation()
    for delivery in [deliver(pipeline, sender, "an") for _ in range(ROUNDS)]:

        def take(delivery: str = delivery) -> object:
            return withdraw(pipeline, sender, delivery)

        def look(delivery: str = delivery, who: Reader = an) -> object:
            return mailbox.open_message(pipeline.context, who, delivery)

        taken, opened = both(take, look)
        assert taken != opened
        assert status(pipeline, sender, delivery) == ("withdrawn" if taken else "opened")
        seen = {"ConsignmentWithdrawal", "ContentAccessTracking"} & set(events(pipeline, sender, delivery))
        assert seen == {"ConsignmentWithdrawal" if taken else "ContentAccessTracking"}
        ((withdrawn, looked),) = execute(
            database,
            "SELECT withdrawn_at IS NOT NULL, opened_at IS NOT NULL FROM mailbox_item"
            f" WHERE delivery_id = '{parse_id(DELIVERY, delivery)}'",
        )
        assert (withdrawn, looked) == (taken, opened)


@pytest.mark.parametrize("act", ["cancel", "withdraw"])
def test_of_closing_a_batch_and_taking_a_letter_back_exactly_one_wins(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, act: str
) -> None:
    sender = organisation()
    for _ in range(ROUNDS):
        delivery = deliver(pipeline, sender, "jan")

        def take(delivery: str = delivery) -> object:
            if act == "cancel":
                return deliveries.cancel(pipeline.context, sender, delivery)
            return withdraw(pipeline, sender, delivery)

        taken, _ = both(take, pipeline.close_batches)
        pipeline.close_batches()
        ((batched,),) = execute(
            database,
            "SELECT count(*) FROM print_letter WHERE batch_id IS NOT NULL"
            f" AND delivery_id = '{parse_id(DELIVERY, delivery)}'",
        )
        assert batched == (0 if taken else 1)
        ending = "cancelled" if act == "cancel" else "withdrawn"
        assert status(pipeline, sender, delivery) == (ending if taken else "batched")


@pytest.mark.parametrize("kind", [JobKind.SEAL, JobKind.DEPOSIT], ids=str)
def test_of_a_cancellation_and_the_next_step_exactly_one_wins(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, kind: JobKind
) -> None:
    with_post(pipeline)
    an, sender = activate(pipeline), organisation()
    for _ in range(ROUNDS):
        delivery = pipeline.hand_in(sender, "an").delivery_id
        if kind is JobKind.DEPOSIT:
            pipeline.work(JobKind.SEAL, JobKind.ROUTE)

        def take(delivery: str = delivery) -> object:
            return deliveries.cancel(pipeline.context, sender, delivery)

        taken, _ = both(take, lambda: pipeline.work(kind))
        pipeline.work()
        # Sealing alone brings nothing to anybody: it never keeps a sender from cancelling.
        assert taken or kind is JobKind.DEPOSIT
        assert status(pipeline, sender, delivery) == ("cancelled" if taken else "available")
        assert (delivery in own_messages(pipeline, an)) is not taken
        assert ("ContentConsignment" in events(pipeline, sender, delivery)) is not taken
        assert waiting(database) == []
