"""Registered mail in mailboxes: offered, accepted, refused, expired, unread, and what follows each."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from service.domain import calendar
from service.domain.errors import Conflict, Invalid, TransitionRefused
from service.notifications.base import MailArrived, Result
from service.usecases import deliveries, mailbox, periods, registered, registered_consent
from service.usecases.deliveries import Standing
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.registered_support import agreed, clock, days, legs, offer, sender_under, terms_left
from tests.usecase_support import (
    activate,
    at,
    deliver,
    events,
    evidence,
    own_messages,
    status,
    with_post,
)

MAILBOX, PAPER = "mailbox", "paper"


@pytest.fixture
def sender(pipeline: Pipeline, database: TestDatabase, organisation: Callable[..., uuid.UUID]) -> uuid.UUID:
    return sender_under(pipeline, database, organisation)


def test_registered_mail_is_offered_accepted_and_opened(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    post = with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender)
    assert status(pipeline, sender, delivery) == "offered"
    assert post.sent[-1].what == MailArrived(f"Organisation {slug(database, sender)}", registered=True, offered=True)
    shown = mailbox.message(pipeline.context, an, delivery)
    assert (shown.state, shown.subject, shown.document_type, shown.documents) == ("offered", "", "", [])
    assert shown.answer_until is not None
    assert shown.answer_until > pipeline.now + timedelta(days=15)
    assert deliveries.get(pipeline.context, sender, delivery).effective_at is None
    accepted = registered.accept(pipeline.context, an, delivery)
    assert (accepted.state, accepted.opened_at, accepted.documents) == ("available", None, [])
    assert accepted.subject
    assert registered.accept(pipeline.context, an, delivery).state == "available", "again changes nothing"
    assert mailbox.open_message(pipeline.context, an, delivery).state == "opened"
    assert mailbox.document(pipeline.context, an, delivery, 0).content.startswith(b"%PDF")
    assert events(pipeline, sender, delivery) == [
        "SubmissionAcceptance", "NotificationForAcceptance", "ConsignmentAcceptance", "ContentConsignment",
        "ContentAccessTracking", "ContentHandover",
    ]  # fmt: skip
    made = evidence(pipeline, sender, delivery, "ConsignmentAcceptance")
    assert made["policy_id"] == "example-consent/1"
    effective = deliveries.get(pipeline.context, sender, delivery).effective_at
    assert effective is not None
    assert effective.isoformat(timespec="microseconds").replace("+00:00", "Z") == made["event_time"]
    clock(pipeline, days(pipeline, 40))
    assert legs(database, delivery) == [(MAILBOX, "opened", True)]
    assert terms_left(database) == 0


def slug(database: TestDatabase, sender: uuid.UUID) -> str:
    return str(execute(database, f"SELECT slug FROM organisation WHERE id = '{sender}'")[0][0])


def test_before_acceptance_nothing_of_the_content_can_be_reached(pipeline: Pipeline, sender: uuid.UUID) -> None:
    post = with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender, "hidden")
    sent = deliveries.get(pipeline.context, sender, delivery)
    secrets = [sent.subject, "Organisation org-", sent.documents[0].filename, f'"{sent.document_type}"']
    said = [
        mailbox.message(pipeline.context, an, delivery),
        mailbox.messages(pipeline.context, an, cursor=None, limit=9),
    ]
    said += [mailbox.evidence_list(pipeline.context, an, delivery)]  # type: ignore[list-item]
    text = json.dumps(msgspec.to_builtins(said)) + repr(post.sent)
    assert not [secret for secret in secrets if secret in text]
    tries: list[Callable[[], Any]] = [
        lambda: mailbox.open_message(pipeline.context, an, delivery),
        lambda: mailbox.document(pipeline.context, an, delivery, 0),
    ]
    for entry in mailbox.evidence_list(pipeline.context, an, delivery):
        tries += [
            lambda entry=entry: mailbox.evidence_one(pipeline.context, an, delivery, entry.id),  # type: ignore[misc]
            lambda entry=entry: mailbox.evidence_pdf(pipeline.context, an, delivery, entry.id),  # type: ignore[misc]
        ]
    for attempt in tries:
        with pytest.raises(Conflict) as caught:
            attempt()
        assert caught.value.code == "not_accepted"
        assert not [secret for secret in secrets if secret in caught.value.detail]
    assert registered.accept(pipeline.context, an, delivery).sender.startswith("Organisation")


@pytest.mark.parametrize(("document_type", "follows"), [("consent", [(PAPER, "to_print", False)]), ("hidden", [])])
def test_what_follows_a_refusal_is_the_entrys(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID, document_type: str, follows: list[Any]
) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender, document_type)
    refused = registered.refuse(pipeline.context, an, delivery)
    assert (refused.state, refused.subject) == ("refused", "")
    assert registered.refuse(pipeline.context, an, delivery).state == "refused"
    with pytest.raises(Conflict) as caught:
        registered.accept(pipeline.context, an, delivery)
    assert caught.value.code == "already_refused"
    pipeline.work()
    assert legs(database, delivery) == [(MAILBOX, "refused", True), *follows]
    assert evidence(pipeline, sender, delivery, "ConsignmentRejection")["reasons"] == ["refused_by_recipient"]
    effective = deliveries.get(pipeline.context, sender, delivery).effective_at
    assert (effective is not None) is (document_type == "hidden"), "there a refusal has effect, here it has none"


def test_an_offer_ends_after_fifteen_days_and_a_registered_letter_follows(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    post = with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender)
    shown = mailbox.message(pipeline.context, an, delivery)
    assert shown.answer_until is not None
    for count in (7, 7, 8):
        clock(pipeline, days(pipeline, count))
    assert [each.what.reminder for each in post.sent if isinstance(each.what, MailArrived)] == [False, True]
    for gap in (timedelta(days=-2), timedelta(hours=-1), timedelta(seconds=-1)):
        clock(pipeline, shown.answer_until + gap)
    reminders = [each.what for each in post.sent if isinstance(each.what, MailArrived) and each.what.reminder]
    assert len(reminders) == 2, "day seven, two days before the end, each once"
    last_day = calendar.local_date(shown.answer_until) - timedelta(days=1)
    assert reminders[0].last_day == last_day
    assert deliveries.standing(pipeline.context, sender, delivery) == Standing(withdrawable=True, answer_until=last_day)
    assert legs(database, delivery) == [(MAILBOX, "offered", True)]
    clock(pipeline, shown.answer_until)
    assert legs(database, delivery) == [(MAILBOX, "expired", True), (PAPER, "to_print", True)]
    assert deliveries.standing(pipeline.context, sender, delivery).answer_until is None
    assert events(pipeline, sender, delivery).count("AcceptanceRejectionExpiry") == 1
    assert events(pipeline, sender, delivery).count("NotificationForAcceptance") == 3
    with at(pipeline, shown.answer_until), pytest.raises(Conflict) as caught:
        registered.accept(pipeline.context, an, delivery)
    assert caught.value.code == "offer_expired"
    assert terms_left(database) == 0


def test_an_answer_after_the_end_is_refused_even_before_the_clock_came_by(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender)
    until = mailbox.message(pipeline.context, an, delivery).answer_until
    assert until is not None
    with at(pipeline, until + timedelta(seconds=1)):
        for call in (registered.accept, registered.refuse):
            with pytest.raises(Conflict) as caught:
                call(pipeline.context, an, delivery)
            assert caught.value.code == "offer_expired"
    assert legs(database, delivery) == [(MAILBOX, "offered", True)], "the clock ends it, with its own evidence"
    with at(pipeline, until - timedelta(seconds=5)):
        assert registered.accept(pipeline.context, an, delivery).state == "available"


def test_a_notice_that_bounces_starts_no_period_and_a_registered_letter_follows(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    post = with_post(pipeline)
    agreed(pipeline)
    post.answers["an@voorbeeld.test"] = (Result.REFUSED, "mailbox_refused")
    delivery = offer(pipeline, sender)
    assert legs(database, delivery) == [(MAILBOX, "undeliverable", True), (PAPER, "to_print", True)]
    assert events(pipeline, sender, delivery) == ["SubmissionAcceptance", "NotificationForAcceptanceFailure"]
    assert terms_left(database) == 0


def test_a_reminder_that_is_refused_undoes_nothing(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    post = with_post(pipeline)
    an = agreed(pipeline)
    offered, direct = offer(pipeline, sender), deliver(pipeline, sender, "an", registered=True)
    post.answers["an@voorbeeld.test"] = (Result.REFUSED, "mailbox_refused")
    clock(pipeline, days(pipeline, 8))
    assert legs(database, offered) == [(MAILBOX, "offered", True)]
    assert legs(database, direct) == [(MAILBOX, "available", True)]
    told = [each.event for each in deliveries.timeline(pipeline.context, sender, offered)]
    assert "notice_bounced" in told
    assert "ConsignmentNotificationFailure" in events(pipeline, sender, direct)
    with at(pipeline, days(pipeline, 8)):
        assert registered.accept(pipeline.context, an, offered).state == "available"


def test_unavailability_makes_the_period_longer_and_is_evidenced(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender)
    before = mailbox.message(pipeline.context, an, delivery).answer_until
    assert before is not None
    out = days(pipeline, 4)
    with at(pipeline, out + timedelta(hours=30)):
        for wrong in ((out, out), (out, out + timedelta(hours=31))):
            with pytest.raises(Invalid):
                periods.record_outage(pipeline.context, *wrong, reason="x", actor="ops")
        touched = periods.record_outage(pipeline.context, out, out + timedelta(hours=30), reason="power", actor="ops")
        assert touched == 1
    # The term is due by the database's clock; the use cases' clock is ahead of it.
    clock(pipeline, out + timedelta(hours=30))
    after = mailbox.message(pipeline.context, an, delivery).answer_until
    assert after is not None
    assert calendar.local_date(after) - calendar.local_date(before) >= timedelta(days=2), "30 hours are two begun days"
    assert evidence(pipeline, sender, delivery, "PeriodExtension")["reasons"] == ["service_unavailable"]
    clock(pipeline, before)
    assert legs(database, delivery) == [(MAILBOX, "offered", True)]
    clock(pipeline, after)
    assert legs(database, delivery)[0] == (MAILBOX, "expired", True)
    assert events(pipeline, sender, delivery).count("PeriodExtension") == 1


def test_direct_mode_lies_there_at_once_and_unread_mail_goes_by_registered_letter(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    delivery = deliver(pipeline, sender, "an", registered=True)
    assert status(pipeline, sender, delivery) == "available"
    assert deliveries.get(pipeline.context, sender, delivery).effective_at is None
    clock(pipeline, days(pipeline, 14))
    assert legs(database, delivery) == [(MAILBOX, "available", True)]
    clock(pipeline, days(pipeline, 20))
    assert legs(database, delivery) == [(MAILBOX, "available", True), (PAPER, "to_print", True)]
    assert status(pipeline, sender, delivery) == "to_print"
    # The recipient may still open it; the letter, not printed yet, is called off.
    opened = mailbox.open_message(pipeline.context, an, delivery)
    assert opened.state == "opened"
    assert legs(database, delivery) == [(MAILBOX, "opened", True), (PAPER, "withdrawn", True)]
    assert status(pipeline, sender, delivery) == "opened"
    assert pipeline.close_batches() == 0


def test_a_letter_that_the_print_house_has_and_an_opening_both_stand_and_the_earlier_counts(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    delivery = deliver(pipeline, sender, "an", registered=True)
    clock(pipeline, days(pipeline, 20))
    pipeline.close_batches()
    pipeline.work()
    assert legs(database, delivery) == [(MAILBOX, "available", True), (PAPER, "handed_over", True)]
    mailbox.open_message(pipeline.context, an, delivery)
    assert legs(database, delivery) == [(MAILBOX, "opened", True), (PAPER, "handed_over", True)]
    assert {"RelayToNonERDS", "ContentAccessTracking"} <= set(events(pipeline, sender, delivery))
    assert status(pipeline, sender, delivery) == "opened", (
        "it has its effect; the letter has none before it is delivered"
    )


def test_in_direct_mode_a_bounced_notice_brings_a_letter_beside_the_mailbox(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    post = with_post(pipeline)
    agreed(pipeline)
    post.answers["an@voorbeeld.test"] = (Result.REFUSED, "mailbox_refused")
    delivery = deliver(pipeline, sender, "an", registered=True)
    assert legs(database, delivery) == [(MAILBOX, "available", True), (PAPER, "to_print", True)]
    assert terms_left(database) == 0


def test_registered_mail_needs_a_consent_of_its_own(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    with_post(pipeline)
    an = activate(pipeline)
    assert legs(database, offer(pipeline, sender)) == [(PAPER, "to_print", True)]
    registered_consent.agree(pipeline.context, an, consent_version=registered_consent.VERSION)
    assert legs(database, offer(pipeline, sender)) == [(MAILBOX, "offered", True)]
    with pytest.raises(Conflict):
        registered_consent.agree(pipeline.context, an, consent_version="old")
    registered_consent.revoke(pipeline.context, an)
    assert legs(database, offer(pipeline, sender)) == [(PAPER, "to_print", True)]
    assert legs(database, deliver(pipeline, sender)) == [(MAILBOX, "available", False)], "ordinary mail still comes"
    acts = execute(database, "SELECT act, registered FROM activation ORDER BY at")
    assert acts == [("activated", False), ("activated", True), ("revoked", True)]


def test_effect_on_the_third_working_day_is_computed_kept_and_explained(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    with_post(pipeline)
    agreed(pipeline)
    delivery = offer(pipeline, sender, "third-day")
    sent = deliveries.get(pipeline.context, sender, delivery)
    third = calendar.add_working_days(calendar.local_date(pipeline.now), 3)
    assert sent.effective_at == calendar.begins(third)
    assert sent.legal_effect is not None
    assert (sent.legal_effect.event, sent.legal_effect.working_days) == ("ContentConsignment", 3)
    assert (sent.legal_basis.id, sent.legal_basis.version) == ("example-third-working-day", 1)
    assert len(sent.legal_basis.sha256) == 64


def test_the_sender_takes_an_offer_back_and_the_recipient_is_told(
    pipeline: Pipeline, database: TestDatabase, sender: uuid.UUID
) -> None:
    with_post(pipeline)
    an = agreed(pipeline)
    delivery = offer(pipeline, sender)
    deliveries.withdraw(pipeline.context, sender, delivery, "wrong_recipient")
    assert own_messages(pipeline, an) == []
    for call in (registered.accept, registered.refuse):
        with pytest.raises(Conflict) as caught:
            call(pipeline.context, an, delivery)
        assert caught.value.code == "offer_withdrawn"
    clock(pipeline, days(pipeline, 30))
    assert legs(database, delivery) == [(MAILBOX, "withdrawn", True)]
    other = offer(pipeline, sender)
    registered.accept(pipeline.context, an, other)
    with pytest.raises(TransitionRefused) as late:
        deliveries.withdraw(pipeline.context, sender, other, "wrong_recipient")
    assert late.value.code == "too_late_to_withdraw", "what was accepted has its effect"


def test_wishes_are_held_against_the_entry_at_hand_in(pipeline: Pipeline, sender: uuid.UUID) -> None:
    with_post(pipeline)
    for policy, pointer in (
        ({"registered_mode": "consent"}, "/policy/registered_mode"),
        ({"acceptance_days": 20}, "/policy/acceptance_days"),
    ):
        with pytest.raises(Invalid) as caught:
            pipeline.hand_in(sender, "an", registered=True, policy=policy)
        assert [each.pointer for each in caught.value.errors] == [pointer]
    agreed(pipeline)
    longer = deliver(pipeline, sender, "an", registered=True, document_type="consent", policy={"acceptance_days": 30})
    direct = deliver(
        pipeline, sender, "an", registered=True, document_type="consent", policy={"registered_mode": "direct"}
    )
    assert (status(pipeline, sender, longer), status(pipeline, sender, direct)) == ("offered", "available")
