"""A letter that is printed again while the print house still has it: the former printing is called back."""

import pytest

from printing.exchange import PostalEvent, PullAnswer, PulledLetter, encode
from service.usecases import post_pulls, print_desk, reconciliation, reprints
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import exceptions, handed_over, report, said, take
from tests.usecase_support import Sender, events, status


def again(pipeline: Pipeline, delivery: str, reason: str = "damaged") -> int:
    return reprints.order(pipeline.context, [f"{delivery}-1"], reason=reason, actor="staff:x")


def answer(pipeline: Pipeline, database: TestDatabase, delivery: str, *, pulled: bool) -> None:
    ((number,),) = execute(database, "SELECT min(number) FROM print_batch")
    said_of = PulledLetter(id=f"{delivery}-1", attempt=1, pulled=pulled, code=None if pulled else "POSTED")
    take(pipeline, encode(PullAnswer(batch=number, number=1, at=pipeline.now, letters=(said_of,))))


@pytest.mark.parametrize("reprinted", [False, True], ids=["answered before the next run", "answered after it"])
def test_what_the_print_house_has_of_a_letter_is_pulled_when_it_is_printed_again(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, *, reprinted: bool
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    assert (again(pipeline, delivery), again(pipeline, delivery)) == (1, 0)
    (pull,) = print_desk.pulls(pipeline.context, limit=5)
    assert [(each.letter, each.attempt, each.pulled) for each in pull.letters] == [(f"{delivery}-1", 1, None)]
    assert pull.reason == "printed again: damaged"
    assert post_pulls.send(pipeline.context) == 1
    if not reprinted:
        answer(pipeline, database, delivery, pulled=True)
    assert pipeline.close_batches() == 1
    pipeline.work()
    if reprinted:
        answer(pipeline, database, delivery, pulled=True)
    # It was called back to be printed again: nothing ended, and nobody is told so.
    assert status(pipeline, sender, delivery) == "handed_over"
    assert not any("Undeliverable" in event or "Failure" in event for event in events(pipeline, sender, delivery))
    newest, first = reconciliation.newest(pipeline.context, limit=5)
    assert (first.pulled, first.missing, newest.missing) == (1, 0, 1)
    report(pipeline, said(delivery, PostalEvent.POSTED, pipeline.now, attempt=2))
    assert status(pipeline, sender, delivery) == "posted"


def test_both_are_shown_where_it_was_too_late(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    (delivery,) = handed_over(pipeline, organisation())
    again(pipeline, delivery)
    answer(pipeline, database, delivery, pulled=False)
    (pull,) = print_desk.pulls(pipeline.context, limit=5)
    assert [(each.pulled, each.code) for each in pull.letters] == [(False, "POSTED")]
    assert exceptions(database) == ["PULL_TOO_LATE"]
    (shown,) = print_desk.exceptions(pipeline.context, limit=5)
    assert shown.detail == "It was too late to take it out: POSTED. It is printed again too."
    assert execute(database, "SELECT attempt FROM print_letter WHERE batch_id IS NULL") == [(1,)]


@pytest.mark.parametrize("why", ["posted", "rejected"])
def test_what_is_posted_or_was_rejected_is_not_pulled(pipeline: Pipeline, organisation: Sender, why: str) -> None:
    (delivery,) = handed_over(pipeline, organisation())
    if why == "posted":
        report(pipeline, said(delivery, PostalEvent.POSTED, pipeline.now))
    assert again(pipeline, delivery, "lost" if why == "posted" else "rejected") == 1
    assert print_desk.pulls(pipeline.context, limit=5) == []
