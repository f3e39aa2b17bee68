"""Several at once about one offer of registered mail: exactly one end, one evidence of it, and everybody is told."""

import itertools
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from service.domain.errors import Conflict, TransitionRefused
from service.usecases import deliveries, mailbox, periods, registered
from service.usecases.mailbox import Reader
from tests.pipeline_support import Pipeline, TestDatabase
from tests.registered_support import agreed, days, legs, offer, sender_under, terms_left
from tests.usecase_support import at, events, snapshot, waiting, with_post


@pytest.fixture
def sender(pipeline: Pipeline, database: TestDatabase, organisation: Callable[..., uuid.UUID]) -> uuid.UUID:
    return sender_under(pipeline, database, organisation)


def test_the_clock_twice_at_once_does_no_harm(pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID) -> None:
    with_post(pipeline)
    agreed(pipeline)
    several = [offer(pipeline, sender) for _ in range(6)]
    with at(pipeline, days(pipeline, 40)), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: periods.round_(pipeline.context), range(4)))
    pipeline.work()
    for delivery in several:
        assert legs(database, delivery) == [("mailbox", "expired", True), ("paper", "to_print", True)]
        assert events(pipeline, sender, delivery).count("AcceptanceRejectionExpiry") == 1
    assert terms_left(database) == 0
    assert waiting(database) == []


def test_steps_that_are_repeated_change_nothing(pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID) -> None:
    with_post(pipeline)
    agreed(pipeline)
    offer(pipeline, sender)
    before = snapshot(database)
    periods.round_(pipeline.context)
    pipeline.work()
    assert snapshot(database) == before


def test_of_accepting_refusing_withdrawing_and_expiring_at_once_exactly_one_wins(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    for turn in itertools.islice(itertools.permutations(range(4)), 12):
        delivery = offer(pipeline, sender)
        until = mailbox.message(pipeline.context, an, delivery).answer_until
        assert until is not None
        ways = _ways(pipeline, an, sender, delivery)
        with at(pipeline, until - timedelta(milliseconds=30)), ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(_said, [ways[way] for way in turn]))
            periods.round_(pipeline.context)
        _one_won(pipeline, database, sender, delivery, answers)


def _ways(pipeline: Pipeline, an: Reader, sender: uuid.UUID, delivery: str) -> list[Callable[[], Any]]:
    return [
        lambda: registered.accept(pipeline.context, an, delivery),
        lambda: registered.refuse(pipeline.context, an, delivery),
        lambda: deliveries.withdraw(pipeline.context, sender, delivery, "sent_twice"),
        lambda: periods.round_(pipeline.context),
    ]


def _said(way: Callable[[], Any]) -> str:
    try:
        way()
    except (Conflict, TransitionRefused) as error:
        return error.code
    return "done"


def _one_won(pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID, delivery: str, answers: list[str]) -> None:
    ends = {
        "ConsignmentAcceptance": "available",
        "ConsignmentRejection": "refused",
        "ConsignmentWithdrawal": "withdrawn",
        "AcceptanceRejectionExpiry": "expired",
    }
    won = [event for event in events(pipeline, sender, delivery) if event in ends]
    assert len(won) <= 1, "one evidence of one end"
    ((_, state, _), *_) = legs(database, delivery)
    assert state == (ends[won[0]] if won else "offered")
    lost = {"already_accepted", "already_refused", "offer_expired", "offer_withdrawn", "too_late_to_withdraw"}
    # What ended without effect can still be cancelled before its letter goes.
    assert set(answers) <= lost | {"done", "not_delivered_yet"}
