"""Deliveries as their sender sees them: pages, files, what can be taken back, and what strangers can't see."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from service.db.deliveries import Filters
from service.db.ids import DELIVERY, new_id, public_id
from service.db.jobs import JobKind
from service.domain.errors import Invalid, NotFound, TransitionRefused
from service.usecases import deliveries, mailbox
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, activate, deliver, events, snapshot, status, waiting, with_post

ALL = Filters()


def cancelled(pipeline: Pipeline, organisation: Sender, database: TestDatabase, key: str, *kinds: JobKind) -> None:
    sender = organisation()
    delivery = pipeline.hand_in(sender, key).delivery_id
    if kinds:
        pipeline.work(*kinds)
    before = events(pipeline, sender, delivery)
    assert deliveries.cancel(pipeline.context, sender, delivery).status == "cancelled"
    states = execute(database, "SELECT DISTINCT state FROM leg")
    assert states in ([], [("withdrawn",)])
    pipeline.work()
    assert pipeline.close_batches() == 0
    assert status(pipeline, sender, delivery) == "cancelled"
    assert events(pipeline, sender, delivery) == before
    assert waiting(database) == []
    with pytest.raises(TransitionRefused):
        deliveries.cancel(pipeline.context, sender, delivery)


STEPS = [(), (JobKind.SEAL,), (JobKind.SEAL, JobKind.ROUTE)]


@pytest.mark.parametrize("kinds", [*STEPS, (JobKind.SEAL, JobKind.ROUTE, JobKind.LETTER)])
def test_a_letter_can_be_taken_back_until_it_is_in_a_batch(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, kinds: tuple[JobKind, ...]
) -> None:
    cancelled(pipeline, organisation, database, "jan", *kinds)


@pytest.mark.parametrize("kinds", STEPS)
def test_digital_mail_can_be_taken_back_until_it_is_in_the_mailbox(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, kinds: tuple[JobKind, ...]
) -> None:
    with_post(pipeline)
    activate(pipeline)
    cancelled(pipeline, organisation, database, "an", *kinds)


def test_after_that_it_is_too_late(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    with_post(pipeline)
    an, sender = activate(pipeline), organisation()
    digital, paper = deliver(pipeline, sender, "an"), deliver(pipeline, sender, "jan")
    assert pipeline.close_batches() == 1

    def refused(delivery: str) -> None:
        before = snapshot(database)
        with pytest.raises(TransitionRefused):
            deliveries.cancel(pipeline.context, sender, delivery)
        assert snapshot(database) == before

    refused(digital)
    mailbox.open_message(pipeline.context, an, digital)
    pipeline.work()
    refused(digital)
    refused(paper)
    # The post could not bring it: it had its effect all the same.
    execute(database, "UPDATE leg SET state = 'undeliverable' WHERE kind = 'paper'")
    refused(paper)


def test_a_leg_that_brought_nothing_stops_no_cancellation(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = deliver(pipeline, sender, "jan")
    execute(database, "UPDATE leg SET state = 'undeliverable'")
    assert deliveries.cancel(pipeline.context, sender, delivery).status == "cancelled"


def test_a_stranger_finds_nothing(pipeline: Pipeline, organisation: Sender) -> None:
    sender, stranger = organisation(), organisation()
    delivery = deliver(pipeline, sender, "jan")
    entry = deliveries.evidence_list(pipeline.context, sender, delivery)[0]
    calls: list[Callable[[str], object]] = [
        lambda each: deliveries.get(pipeline.context, stranger, each),
        lambda each: deliveries.document(pipeline.context, stranger, each, 0),
        lambda each: deliveries.timeline(pipeline.context, stranger, each),
        lambda each: deliveries.evidence_list(pipeline.context, stranger, each),
        lambda each: deliveries.evidence_one(pipeline.context, stranger, each, entry.id),
        lambda each: deliveries.cancel(pipeline.context, stranger, each),
    ]
    for call in calls:
        told = set()
        for each in (delivery, public_id(DELIVERY, new_id()), "dlv_x"):
            with pytest.raises(NotFound) as caught:
                call(each)
            told.add(str(caught.value))
        assert len(told) == 1
    assert deliveries.list_page(pipeline.context, stranger, ALL, cursor=None, limit=10).items == []
    assert deliveries.get(pipeline.context, sender, delivery).status == "to_print"


def test_a_list_is_filtered_and_goes_on_where_it_ended(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    ids = [pipeline.hand_in(sender, reference=f"R{number % 2}").delivery_id for number in range(5)]
    pipeline.work(JobKind.SEAL)
    late = pipeline.hand_in(sender).delivery_id

    def listed(filters: Filters, limit: int = 2) -> list[str]:
        found, cursor = [], None
        while True:
            page = deliveries.list_page(pipeline.context, sender, filters, cursor=cursor, limit=limit)
            found += [each.id for each in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    assert listed(ALL) == sorted([*ids, late], reverse=True)
    assert listed(Filters(status="received")) == [late]
    assert listed(Filters(reference="R1")) == [ids[3], ids[1]]
    hour = timedelta(hours=1)
    assert listed(Filters(since=pipeline.now - hour, to=pipeline.now + hour), 50) == listed(ALL)
    assert listed(Filters(since=pipeline.now + hour)) == []
    assert listed(Filters(to=pipeline.now - hour)) == []
    for cursor, limit in ((None, 0), (None, 201), ("x", 1)):
        with pytest.raises(Invalid):
            deliveries.list_page(pipeline.context, sender, ALL, cursor=cursor, limit=limit)
