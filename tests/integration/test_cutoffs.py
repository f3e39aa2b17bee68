"""Cut-offs of print batches: once in their period, and a scheduler that dies at one leaves it to the next."""

from datetime import timedelta
from typing import Any

import pytest

from service.usecases import print_runs
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender

PERIOD = timedelta(days=1)


class Died(BaseException):
    """A scheduler that vanished at this line."""


def letter(pipeline: Pipeline, sender: Any, **fields: Any) -> None:
    pipeline.hand_in(sender, "jan", **fields)


def test_a_cut_off_comes_once_in_its_period(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    sender = organisation()
    letter(pipeline, sender)
    pipeline.work()
    period = PERIOD
    assert print_runs.close_due(pipeline.context) == 0
    pipeline.skew = period + timedelta(seconds=1)
    assert print_runs.close_due(pipeline.context) == 1
    letter(pipeline, sender)
    pipeline.work()
    assert print_runs.close_due(pipeline.context) == 0
    told = execute(database, "SELECT actor FROM delivery_event WHERE event = 'batched'")
    assert told == [("clock",)]


def test_a_scheduler_that_dies_at_a_cut_off_leaves_it_to_the_next(
    pipeline: Pipeline, organisation: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation()
    letter(pipeline, sender, print={"duplex": False})
    letter(pipeline, sender)
    pipeline.work()
    print_runs.close_due(pipeline.context)
    pipeline.skew = PERIOD + timedelta(seconds=1)
    freeze = print_runs._freeze
    calls: list[int] = []

    def second_dies(*arguments: Any) -> bool:
        calls.append(1)
        if len(calls) == 2:
            raise Died
        return freeze(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(print_runs, "_freeze", second_dies)
        with pytest.raises(Died):
            print_runs.close_due(pipeline.context)
    assert print_runs.close_due(pipeline.context) == 1
    assert print_runs.close_due(pipeline.context) == 0
