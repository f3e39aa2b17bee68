"""What comes back from a print house: each report once, in any order, and only what is true of our letters."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest

from printing.exchange import Acknowledgement, LetterAnswer, Outcome, PostalEvent, Response, encode
from service.domain.errors import Invalid
from service.usecases import deliveries, mailbox, post_reports, post_returned
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import events_file, exceptions, handed_over, printer, report, said, take
from tests.registered_support import agreed, clock, days, legs, sender_under
from tests.usecase_support import Sender, at, deliver, events, evidence, own_messages, snapshot, status, with_post

MAILBOX, PAPER = "mailbox", "paper"


def timeline(pipeline: Pipeline, sender: uuid.UUID, delivery: str) -> list[str]:
    return [each.event for each in deliveries.timeline(pipeline.context, sender, delivery)]


def test_a_posted_letter_is_posted_evidenced_and_shown(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    moment = pipeline.now.replace(microsecond=0)
    sheets = execute(database, "SELECT sheets FROM print_letter")[0][0]
    posted = said(
        delivery, PostalEvent.POSTED, moment, sheets=sheets, postage_cents=120, registered_number="RR123", code="x-7"
    )
    taken = report(pipeline, posted)
    assert (taken.state, taken.kind, taken.effects) == ("taken", "events", {"taken": 1})
    assert status(pipeline, sender, delivery) == "posted"
    record = evidence(pipeline, sender, delivery, "ReceivedFromNonERDS")
    assert record["external"]["report"].startswith("posted ")
    assert record["external"]["name"] == printer(pipeline)
    assert record["letter"]["registered_number"] == "RR123"
    assert record["letter"]["print_sha256"] is not None
    assert record["letter"]["batch_sha256"] is not None
    told = deliveries.timeline(pipeline.context, sender, delivery)
    assert [(each.at, each.actor) for each in told if each.event == "posted"] == [(moment, "post")]
    assert exceptions(database) == []


def test_the_same_file_and_the_same_event_count_once(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    event = said(delivery, PostalEvent.POSTED, pipeline.now)
    data = events_file([event], pipeline.now)
    first = take(pipeline, data)
    before = snapshot(database)
    again = take(pipeline, data, name="another-name.json")
    assert (again.id, again.repeated, again.effects) == (first.id, True, {"taken": 1})
    other = take(pipeline, events_file([event, event], pipeline.now + timedelta(seconds=1)))
    assert other.effects == {"repeated": 2}
    assert snapshot(database) == before
    assert exceptions(database) == []


def test_reports_in_the_wrong_order_lead_to_the_same_state(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    first, second = handed_over(pipeline, sender, 2)
    for order in (1, -1):
        delivery = first if order == 1 else second
        told = [
            said(delivery, event, pipeline.now + timedelta(seconds=place))
            for place, event in enumerate((PostalEvent.PRINTED, PostalEvent.POSTED, PostalEvent.DELIVERED))
        ]
        for event in told[::order]:
            report(pipeline, event)
    assert [status(pipeline, sender, each) for each in (first, second)] == ["delivered"] * 2
    assert sorted(events(pipeline, sender, first)) == sorted(events(pipeline, sender, second))


def test_what_can_not_be_true_changes_nothing_and_is_kept(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    now = pipeline.now
    good = said(delivery, PostalEvent.PRINTED, now, event_id="one")
    report(pipeline, good)
    before = status(pipeline, sender, delivery), events(pipeline, sender, delivery)
    unknown = f"dlv_{uuid.uuid4().hex}"
    taken = report(
        pipeline,
        said(unknown, PostalEvent.DELIVERED, now),
        said(delivery, PostalEvent.DELIVERED, now, leg=7),
        said(delivery, PostalEvent.DELIVERED, now, attempt=2),
        said(delivery, PostalEvent.DELIVERED, now + timedelta(days=1)),
        said(delivery, PostalEvent.DELIVERED, now - timedelta(days=3)),
        said(delivery, PostalEvent.DELIVERED, now, outcome=Outcome.KO),
        said(delivery, PostalEvent.RETURNED, now, cause="M99"),
        said(delivery, PostalEvent.RETURNED, now, event_id="one"),
        said(delivery, PostalEvent.RETURNED, now, event_id="~mine"),
    )
    assert (taken.state, taken.effects) == ("taken", {"odd": 9})
    assert take(pipeline, events_file([said(delivery, PostalEvent.RETURNED, now)], now), house="other").effects == {
        "odd": 1
    }
    assert (status(pipeline, sender, delivery), events(pipeline, sender, delivery)) == before
    assert sorted(exceptions(database)) == sorted(
        [
            "LETTER_UNKNOWN",
            "LETTER_UNKNOWN",
            "ATTEMPT_UNKNOWN",
            "EVENT_AHEAD",
            "EVENT_TOO_EARLY",
            "OUTCOME_CONTRADICTS",
            "CAUSE_UNKNOWN",
            "STATEMENT_CONTRADICTS",
            "STATEMENT_NAME",
            "OTHER_PRINTER",
        ]
    )


def test_an_event_that_can_not_be_read_does_not_fail_its_file(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    file = json.loads(events_file([said(delivery, PostalEvent.POSTED, pipeline.now)], pipeline.now))
    odd = file["events"][0] | {"event": "eaten_by_a_dog", "event_id": "x"}
    late = file["events"][0] | {"at": "2026-01-01T10:00:00", "event_id": "y"}
    file["events"] = [odd, late, *file["events"]]
    taken = take(pipeline, json.dumps(file).encode())
    assert taken.effects == {"odd": 2, "taken": 1}
    assert status(pipeline, sender, delivery) == "posted"
    assert exceptions(database) == ["EVENT_UNREADABLE"] * 2


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 100_000, b'{"kind": "events"}', b"PK\x03\x04junk", b"\xff\xfe"])
def test_a_file_that_is_none_is_refused_and_kept(pipeline: Pipeline, database: TestDatabase, data: bytes) -> None:
    taken = take(pipeline, data)
    assert (taken.state, taken.code) == ("refused", "EXCHANGE_UNREADABLE")
    assert execute(database, "SELECT state, path IS NOT NULL FROM print_inbound") == [("refused", True)]


def test_an_event_from_before_we_knew_of_the_hand_over_counts_after_it(
    pipeline: Pipeline, organisation: Sender
) -> None:
    sender = organisation()
    delivery = deliver(pipeline, sender, "jan")
    pipeline.close_batches()
    taken = report(pipeline, said(delivery, PostalEvent.POSTED, pipeline.now))
    assert taken.effects == {"early": 1}
    assert status(pipeline, sender, delivery) == "batched"
    pipeline.work()
    assert status(pipeline, sender, delivery) == "posted"
    assert timeline(pipeline, sender, delivery).count("posted") == 1
    assert events(pipeline, sender, delivery).count("ReceivedFromNonERDS") == 1


def test_where_a_letter_is_on_its_way_is_shown_and_moves_nothing(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    words = (PostalEvent.IN_TRANSIT, PostalEvent.ATTEMPTED, PostalEvent.PICKUP_AVAILABLE)
    report(pipeline, *(said(delivery, each, pipeline.now) for each in words))
    assert status(pipeline, sender, delivery) == "handed_over"
    assert set(timeline(pipeline, sender, delivery)) >= {each.value for each in words}
    assert "ReceivedFromNonERDS" not in events(pipeline, sender, delivery)


def test_refused_at_the_door_comes_back(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    report(pipeline, said(delivery, PostalEvent.REFUSED, pipeline.now))
    assert status(pipeline, sender, delivery) == "undeliverable"
    assert execute(database, "SELECT reason FROM leg") == [("M05",)]
    for _ in range(3):
        report(pipeline, said(delivery, PostalEvent.RETURNED, pipeline.now, cause="M05"))
    assert status(pipeline, sender, delivery) == "returned"
    assert execute(database, "SELECT cause, decision FROM print_return") == [("M05", "asked")]
    assert timeline(pipeline, sender, delivery).count("returned") == 1
    assert events(pipeline, sender, delivery).count("ReceivedFromNonERDS") == 2


def test_a_rejected_letter_waits_for_an_operator(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    good, bad = handed_over(pipeline, sender, 2)
    ((number,),) = execute(database, "SELECT number FROM print_batch")
    answer = Response(
        batch=number,
        at=pipeline.now,
        letters=(
            LetterAnswer(id=f"{good}-1", accepted=True),
            LetterAnswer(id=f"{bad}-1", accepted=False, code="WINDOW_INK"),
        ),
    )
    for _ in range(2):
        assert take(pipeline, encode(answer)).state == "taken"
    assert take(pipeline, encode(Response(batch=number + 1, at=pipeline.now, letters=answer.letters))).effects == {
        "odd": 2
    }
    assert [status(pipeline, sender, each) for each in (good, bad)] == ["handed_over"] * 2
    assert "letter_rejected" in timeline(pipeline, sender, bad)
    assert sorted(exceptions(database)) == ["LETTER_REJECTED", "OTHER_BATCH", "OTHER_BATCH"]
    report(pipeline, said(good, PostalEvent.POSTED, pipeline.now))
    with pytest.raises(Invalid):
        post_returned.give_up(pipeline.context, [f"{good}-1"], actor="staff:x")
    assert [post_returned.give_up(pipeline.context, [f"{bad}-1"], actor="staff:x") for _ in range(2)] == [1, 0]
    assert [status(pipeline, sender, each) for each in (good, bad)] == ["posted", "undeliverable"]
    assert evidence(pipeline, sender, bad, "ReceivedFromNonERDS")["external"]["report"].startswith("given_up ")


def test_an_acknowledgement_is_compared_with_what_was_sent(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    ((number, file, digest, letters, sheets),) = execute(
        database, "SELECT number, file_name, encode(sha256, 'hex'), letters, sheets FROM print_batch"
    )
    good = Acknowledgement(batch=number, file=file, sha256=digest, at=pipeline.now, letters=letters, sheets=sheets)
    assert take(pipeline, encode(good)).effects == {"taken": 1}
    assert status(pipeline, sender, delivery) == "handed_over", "received is not accepted"
    wrong = Acknowledgement(
        batch=number, file=file, sha256="0" * 64, at=pipeline.now, letters=letters, sheets=sheets + 1
    )
    assert take(pipeline, encode(wrong)).effects == {"odd": 1}
    assert take(pipeline, encode(wrong), house="other").effects == {"odd": 1}
    assert exceptions(database) == ["ACKNOWLEDGED_DIFFERS", "BATCH_UNKNOWN"]
    assert execute(database, "SELECT agrees FROM print_batch_report ORDER BY agrees") == [(False,), (True,)]


def test_a_mailbox_copy_that_nobody_opened_gives_way_once_the_post_has_the_letter(
    pipeline: Pipeline, database: TestDatabase, organisation: Callable[..., uuid.UUID]
) -> None:
    sender = sender_under(pipeline, database, organisation)
    with_post(pipeline)
    an = agreed(pipeline)
    unopened = deliver(pipeline, sender, "an", registered=True)
    opened = deliver(pipeline, sender, "an", registered=True)
    clock(pipeline, days(pipeline, 20))
    later = days(pipeline, 21)
    with at(pipeline, later):
        pipeline.close_batches()
        pipeline.work()
        mailbox.open_message(pipeline.context, an, opened)
        before = deliveries.get(pipeline.context, sender, opened).effective_at
        for delivery in (unopened, opened):
            report(pipeline, said(delivery, PostalEvent.POSTED, pipeline.now, leg=2))
        assert legs(database, unopened) == [(MAILBOX, "withdrawn", True), (PAPER, "posted", True)]
        assert legs(database, opened) == [(MAILBOX, "opened", True), (PAPER, "posted", True)]
        assert own_messages(pipeline, an) == [opened]
        assert status(pipeline, sender, unopened) == "posted"
        assert deliveries.get(pipeline.context, sender, opened).effective_at == before
        assert {"ContentConsignment", "RelayToNonERDS", "ReceivedFromNonERDS"} <= set(
            events(pipeline, sender, unopened)
        )
        assert timeline(pipeline, sender, unopened)[-2:] == ["posted", "withdrawn"]


def test_a_letter_that_got_lost_before_it_was_posted_leaves_the_mailbox_copy(
    pipeline: Pipeline, database: TestDatabase, organisation: Callable[..., uuid.UUID]
) -> None:
    sender = sender_under(pipeline, database, organisation)
    with_post(pipeline)
    agreed(pipeline)
    delivery = deliver(pipeline, sender, "an", registered=True)
    clock(pipeline, days(pipeline, 20))
    with at(pipeline, days(pipeline, 21)):
        pipeline.close_batches()
        pipeline.work()
        report(pipeline, said(delivery, PostalEvent.LOST, pipeline.now, leg=2))
    assert legs(database, delivery) == [(MAILBOX, "available", True), (PAPER, "undeliverable", True)]


def test_what_is_kept_and_not_taken_in_is_taken_in_by_the_next_round(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    (delivery,) = handed_over(pipeline, sender)
    data = events_file([said(delivery, PostalEvent.POSTED, pipeline.now)], pipeline.now)
    kept, repeated = post_reports.keep(pipeline.context, printer(pipeline), "a.json", data, pipeline.now)
    assert not repeated
    assert post_reports.keep(pipeline.context, printer(pipeline), "b.json", data, pipeline.now) == (kept, True)
    assert status(pipeline, sender, delivery) == "handed_over"
    assert post_reports.round_(pipeline.context) == 1
    assert status(pipeline, sender, delivery) == "posted"
    assert post_reports.round_(pipeline.context) == 0
