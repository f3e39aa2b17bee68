"""What both doors are told of registered mail, against the real database."""

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest

from service.domain.errors import NotFound
from service.domain.outlook import Act
from service.usecases import mailbox, mailbox_timeline, policies, preview, registered
from service.usecases.views import EffectRuleView
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.registered_support import agreed, clock, offer, sender_under
from tests.usecase_support import at, with_post


@pytest.fixture
def sender(pipeline: Pipeline, database: TestDatabase, organisation: Callable[..., uuid.UUID]) -> uuid.UUID:
    return sender_under(pipeline, database, organisation)


def happened(pipeline: Pipeline, who: mailbox.Reader, delivery: str) -> list[tuple[str, str]]:
    return [(each.event, each.actor) for each in mailbox_timeline.timeline(pipeline.context, who, delivery)]


def test_an_offer_tells_what_each_answer_leads_to_until_it_is_accepted(pipeline: Pipeline, sender: uuid.UUID) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender)
    shown = mailbox.message(pipeline.context, an, delivery)
    assert shown.offer is not None
    assert (shown.offer.after_refusal, shown.offer.after_expiry) == ("ordinary_paper", "registered_paper")
    assert EffectRuleView("ConsignmentAcceptance", 0) in shown.offer.effects
    assert (shown.offer.example, shown.offer.legal_basis.id) == (True, "example-consent")
    assert shown.legal_basis == shown.offer.legal_basis
    assert shown.legal_effect is None
    accepted = registered.accept(pipeline.context, an, delivery)
    assert accepted.offer is None
    assert accepted.legal_effect is not None
    assert (accepted.legal_effect.event, accepted.legal_effect.at) == ("ConsignmentAcceptance", accepted.effective_at)


def test_the_end_that_was_foretold_is_the_end_that_comes(pipeline: Pipeline, sender: uuid.UUID) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    known = policies.of_sender(pipeline.context, sender)
    choice = preview.Choice(document_type="consent", registered=True, postal=False)
    # Told just before it is sent: the days are the same, unless midnight lies between.
    foretold = preview.prospect(pipeline.context, known, choice)
    delivery = offer(pipeline, sender)
    ends = next(step.at for step in foretold.steps if step.act is Act.ANSWER_ENDS)
    assert mailbox.message(pipeline.context, an, delivery).answer_until == ends


def test_the_recipient_reads_what_concerns_them_and_nothing_of_how_the_sender_went_about_it(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender)
    registered.accept(pipeline.context, an, delivery)
    mailbox.open_message(pipeline.context, an, delivery)
    mailbox.document(pipeline.context, an, delivery, 0)
    assert happened(pipeline, an, delivery) == [
        ("NotificationForAcceptance", "service"),
        ("ConsignmentAcceptance", "recipient"),
        ("ContentAccessTracking", "recipient"),
        ("ContentHandover", "recipient"),
    ]
    other = offer(pipeline, sender)
    until = mailbox.message(pipeline.context, an, other).answer_until
    assert until is not None
    clock(pipeline, until)
    with at(pipeline, until + timedelta(hours=1)):
        pipeline.close_batches()
        pipeline.work()
    told = happened(pipeline, an, other)
    assert told[-2:] == [("AcceptanceRejectionExpiry", "clock"), ("RelayToNonERDS", "service")]
    assert {"letter_composed", "routed"} & {event for event, _ in told} == set()
    assert execute(database, "SELECT count(*) FROM delivery_event WHERE event = 'letter_composed'")[0][0] >= 1


def test_nobody_else_is_told_of_an_offer(pipeline: Pipeline, sender: uuid.UUID) -> None:
    with_post(pipeline)
    agreed(pipeline)
    lena = agreed(pipeline, "lena", email="lena@voorbeeld.test")
    delivery = offer(pipeline, sender)
    for call in (mailbox.message, mailbox_timeline.timeline, registered.accept, registered.refuse):
        with pytest.raises(NotFound):
            call(pipeline.context, lena, delivery)
    assert mailbox.messages(pipeline.context, lena, cursor=None, limit=9).items == []


def test_a_kept_back_sender_stands_in_no_part_of_the_page(pipeline: Pipeline, sender: uuid.UUID) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender, "hidden")
    shown = mailbox.message(pipeline.context, an, delivery)
    told = mailbox_timeline.timeline(pipeline.context, an, delivery)
    assert "Organisation" not in json.dumps(msgspec.to_builtins([shown, told]))
    assert shown.offer is not None
    assert shown.offer.after_refusal == "nothing"
    refused = registered.refuse(pipeline.context, an, delivery)
    assert refused.sender == ""
    assert refused.legal_effect is not None
    assert refused.legal_effect.event == "ConsignmentRejection"


def test_an_entry_that_was_taken_out_of_the_folder_is_named_by_its_id(pipeline: Pipeline, sender: uuid.UUID) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender)
    empty = replace(pipeline.context, register=type(pipeline.context.register)([]))
    shown = mailbox.message(empty, an, delivery)
    assert shown.offer is not None
    assert (shown.offer.title, shown.offer.example, shown.offer.legal_basis.id) == ({}, False, "example-consent")
