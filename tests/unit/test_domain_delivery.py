"""Deliveries and legs: what may happen, who may do it, what the world sees of it."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from service.domain.addresses import ReturnReason
from service.domain.delivery import (
    Actor,
    Delivery,
    DeliveryState,
    Event,
    FollowUp,
    Leg,
    LegKind,
    LegState,
    Occurrence,
    Report,
    advance,
    cancellable,
    channel,
    effect,
    has_ended,
    is_repeat,
    open_leg,
    public_status,
    report_attempt,
    settle,
    transition,
    weighty,
)
from service.domain.errors import TransitionRefused
from service.domain.evidence import EvidenceEvent
from service.domain.transitions import BY_EVENT, TRANSITIONS, Scope, is_final
from tests.domain_support import DELIVERY_ID, LEG_ID, NOON, STATE_MACHINE, a_delivery, a_leg, printed_table

LATER = NOON + timedelta(hours=1)
LATEST = NOON + timedelta(days=2)


def _mailbox(state: LegState, *, number: int = 1, effective: datetime | None = None) -> Leg:
    return a_leg(LegKind.MAILBOX, state, number=number, effective_at=effective)


def _paper(
    state: LegState, *, number: int = 1, effective: datetime | None = None, handed_over: datetime | None = None
) -> Leg:
    return a_leg(LegKind.PAPER, state, number=number, effective_at=effective, handed_over_at=handed_over)


def _walk(leg: Leg, *events: Event) -> Leg:
    for event in events:
        leg = advance(leg, Occurrence(event, NOON))
    return leg


def test_the_page_shows_the_table_of_the_code() -> None:
    page = STATE_MACHINE.read_text(encoding="utf-8")
    _, _, after = page.partition("## The table\n\n")
    assert after.partition("\n\n")[0] == printed_table()


def test_the_page_explains_every_state() -> None:
    page = STATE_MACHINE.read_text(encoding="utf-8")
    explained = set(re.findall(r"^- `(\w+)`: ", page, flags=re.MULTILINE))
    assert explained == {state.value for state in DeliveryState} | {state.value for state in LegState}


def test_the_table_has_one_row_for_each_state_and_event() -> None:
    assert len(BY_EVENT) == len(TRANSITIONS)


def test_every_word_is_used_by_the_table() -> None:
    assert {row.event for row in TRANSITIONS} == set(Event)
    assert {row.follow_up for row in TRANSITIONS if row.follow_up} == set(FollowUp)
    assert {event for row in TRANSITIONS for event in row.evidence} == set(EvidenceEvent)
    assert {actor for row in TRANSITIONS for actor in row.actors} == set(Actor)


def test_every_event_with_an_etsi_name_leaves_its_evidence() -> None:
    for row in TRANSITIONS:
        if row.event.value in set(EvidenceEvent):
            assert EvidenceEvent(row.event.value) in row.evidence


def test_a_sealed_delivery_is_routed_next() -> None:
    row = transition(a_delivery(), Event.SUBMISSION_ACCEPTANCE)
    assert (row.target, row.evidence, row.follow_up) == (
        DeliveryState.SEALED,
        (EvidenceEvent.SUBMISSION_ACCEPTANCE,),
        FollowUp.ROUTE,
    )


def test_a_rejection_keeps_its_reason_and_time() -> None:
    rejected = advance(a_delivery(), Occurrence(Event.SUBMISSION_REJECTION, LATER, reason="malware"))
    assert rejected == Delivery(DELIVERY_ID, DeliveryState.REJECTED, LATER, "malware")
    assert has_ended(rejected)


def test_an_event_out_of_place_is_refused_with_ids_only() -> None:
    with pytest.raises(TransitionRefused) as caught:
        advance(a_delivery(), Occurrence(Event.POSTED, NOON))
    assert caught.value.context == {"id": str(DELIVERY_ID), "state": "received", "event": "posted"}


def test_only_the_actor_of_the_row_moves_it() -> None:
    offered = _mailbox(LegState.OFFERED)
    with pytest.raises(TransitionRefused) as caught:
        advance(offered, Occurrence(Event.CONSIGNMENT_ACCEPTANCE, NOON, Actor.SENDER))
    assert caught.value.context["actor"] == "sender"
    accepted = advance(offered, Occurrence(Event.CONSIGNMENT_ACCEPTANCE, NOON, Actor.RECIPIENT))
    assert accepted.state is LegState.AVAILABLE


def test_a_time_without_a_zone_is_no_time() -> None:
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(ValueError, match="time zone"):
        Occurrence(Event.CANCELLED, naive)
    with pytest.raises(ValueError, match="time zone"):
        Report(Event.POSTED, naive)


def test_only_the_post_s_events_are_reports() -> None:
    with pytest.raises(ValueError, match="no report"):
        Report(Event.CANCELLED, NOON)


def test_ordinary_digital_mail_has_effect_once_it_is_in_the_mailbox() -> None:
    leg = open_leg(LEG_ID, DELIVERY_ID, LegKind.MAILBOX, 1, NOON)
    available = advance(leg, Occurrence(Event.CONTENT_CONSIGNMENT, LATER))
    opened = advance(available, Occurrence(Event.CONTENT_ACCESS_TRACKING, LATEST))
    assert leg.effective_at is None
    assert (opened.state, opened.since, opened.effective_at) == (LegState.OPENED, LATEST, LATER)


def test_ordinary_paper_mail_has_effect_once_it_is_handed_over() -> None:
    leg = open_leg(LEG_ID, DELIVERY_ID, LegKind.PAPER, 1, NOON)
    waiting = _walk(leg, Event.LETTER_COMPOSED, Event.BATCHED)
    assert waiting.effective_at is None
    handed_over = advance(waiting, Occurrence(Event.RELAY_TO_NON_ERDS, LATER))
    posted = settle(handed_over, [Report(Event.POSTED, LATEST)])
    assert (posted.state, posted.handed_over_at, posted.effective_at) == (LegState.POSTED, LATER, LATER)


def test_a_recorded_event_leaves_the_leg_as_it_is() -> None:
    available = _mailbox(LegState.AVAILABLE, effective=NOON)
    assert advance(available, Occurrence(Event.CONSIGNMENT_NOTIFICATION_FAILURE, LATER, reason="bounced")) is available


def test_a_command_that_came_twice_is_known_as_a_repeat() -> None:
    assert is_repeat(_mailbox(LegState.OPENED), Event.CONTENT_ACCESS_TRACKING)
    assert not is_repeat(_mailbox(LegState.AVAILABLE), Event.CONTENT_ACCESS_TRACKING)
    assert not is_repeat(_mailbox(LegState.OPENED), Event.CONTENT_HANDOVER)


def test_reports_mean_nothing_before_the_hand_over() -> None:
    batched = _paper(LegState.BATCHED)
    given_up = advance(batched, Occurrence(Event.RELAY_TO_NON_ERDS_FAILURE, NOON, reason="gave_up"))
    reports = [Report(Event.DELIVERED, NOON)]
    assert settle(batched, reports) is batched
    assert settle(given_up, reports) is given_up
    with pytest.raises(TransitionRefused):
        advance(given_up, Occurrence(Event.DELIVERED, NOON))


def test_reports_that_came_before_the_hand_over_count_after_it() -> None:
    handed_over = _walk(_paper(LegState.BATCHED), Event.RELAY_TO_NON_ERDS)
    assert settle(handed_over, []) is handed_over
    assert settle(handed_over, [Report(Event.PRINTED, LATER)]).state is LegState.PRINTED


def test_a_returned_letter_carries_its_cause() -> None:
    handed_over = _paper(LegState.HANDED_OVER, effective=NOON, handed_over=NOON)
    returned = settle(
        handed_over,
        [
            Report(Event.RETURNED, LATEST, ReturnReason.M02),
            Report(Event.RETURNED, LATER, ReturnReason.M04),
            Report(Event.DELIVERED, NOON),
        ],
    )
    assert (returned.state, returned.since, returned.reason) == (LegState.RETURNED, LATER, "M04")


def test_each_statement_of_the_post_has_its_own_evidence() -> None:
    statements = [Report(Event.RETURNED, NOON, cause) for cause in ReturnReason]
    statements += [Report(Event.RETURNED, NOON), Report(Event.POSTED, NOON), Report(Event.PRINTED, NOON)]
    assert len({report_attempt(report) for report in statements}) == len(statements)
    assert report_attempt(replace(statements[0], at=LATEST)) == report_attempt(statements[0])


def test_the_status_is_the_delivery_s_own_until_a_leg_has_begun() -> None:
    assert public_status(DeliveryState.RECEIVED, []) == "received"
    assert public_status(DeliveryState.SEALED, []) == "sealed"
    assert public_status(DeliveryState.SEALED, [_mailbox(LegState.PENDING)]) == "sealed"
    assert (channel([]), effect([])) == (None, None)


def test_the_status_is_that_of_the_leg_with_effect_or_else_the_newest() -> None:
    failed = _mailbox(LegState.UNDELIVERABLE)
    waiting = _paper(LegState.TO_PRINT, number=2)
    assert public_status(DeliveryState.SEALED, [waiting, failed]) == "to_print"
    opened = _mailbox(LegState.OPENED, effective=NOON)
    letter = _paper(LegState.POSTED, number=2, effective=LATER, handed_over=LATER)
    assert public_status(DeliveryState.SEALED, [letter, opened]) == "opened"
    assert (channel([letter, opened]), effect([letter, opened])) == ("digital", (NOON, None))
    assert (channel([letter]), effect([letter])) == ("paper", (LATER, None))


def test_a_stored_row_weighs_like_the_leg_it_holds() -> None:
    rows = [
        SimpleNamespace(number=1, kind="mailbox", state="withdrawn", effective_at=NOON, effect_event=None),
        SimpleNamespace(number=2, kind="paper", state="handed_over", effective_at=LATER, effect_event=None),
    ]
    assert public_status(DeliveryState.SEALED, rows) == "handed_over"
    assert (channel(rows), effect(rows)) == ("paper", (NOON, None)), "the effect that it had once does not move"
    rows[1].state = "pending"
    assert public_status(DeliveryState.SEALED, rows) == "sealed"


def test_a_withdrawn_leg_has_weight_unless_another_one_took_over() -> None:
    withdrawn = _mailbox(LegState.WITHDRAWN, effective=NOON)
    letter = _paper(LegState.HANDED_OVER, number=2, effective=LATER, handed_over=LATER)
    assert weighty([withdrawn, letter]) is letter
    assert weighty([withdrawn]) is withdrawn
    failed, taken_back = _mailbox(LegState.UNDELIVERABLE), _paper(LegState.WITHDRAWN, number=2)
    assert weighty([failed, taken_back]) is taken_back
    assert channel([failed, taken_back]) == "paper"
    never_printed = _paper(LegState.UNDELIVERABLE, number=2)
    assert weighty([withdrawn, never_printed]) is withdrawn
    newest = _mailbox(LegState.UNDELIVERABLE, number=2)
    assert weighty([_paper(LegState.WITHDRAWN), newest]) is newest


def test_a_cancelled_delivery_is_cancelled_whatever_its_legs_say() -> None:
    assert public_status(DeliveryState.CANCELLED, [_mailbox(LegState.WITHDRAWN)]) == "cancelled"


@pytest.mark.parametrize(
    ("state", "legs", "possible"),
    [
        (DeliveryState.RECEIVED, [], True),
        (DeliveryState.REJECTED, [], False),
        (DeliveryState.CANCELLED, [], False),
        (DeliveryState.SEALED, [_mailbox(LegState.PENDING)], True),
        (DeliveryState.SEALED, [_mailbox(LegState.OFFERED)], True),
        (DeliveryState.SEALED, [_paper(LegState.TO_PRINT)], True),
        (DeliveryState.SEALED, [_paper(LegState.BATCHED)], True),
        (DeliveryState.SEALED, [_paper(LegState.HANDED_OVER, effective=NOON, handed_over=NOON)], False),
        (DeliveryState.SEALED, [_paper(LegState.UNDELIVERABLE, effective=NOON, handed_over=NOON)], False),
        (DeliveryState.SEALED, [_mailbox(LegState.AVAILABLE, effective=NOON)], False),
        (DeliveryState.SEALED, [_mailbox(LegState.OPENED, effective=NOON)], False),
        (DeliveryState.SEALED, [_mailbox(LegState.REFUSED), _paper(LegState.TO_PRINT, number=2)], True),
        (DeliveryState.SEALED, [_paper(LegState.UNDELIVERABLE)], True),
    ],
)
def test_a_sender_can_cancel_while_nothing_has_effect(state: DeliveryState, legs: list[Leg], *, possible: bool) -> None:
    assert cancellable(Delivery(DELIVERY_ID, state, NOON), legs) is possible


def test_the_ends_that_nothing_changes_any_more() -> None:
    finals = {
        (scope.value, row.target.value)
        for scope in Scope
        for row in TRANSITIONS
        if row.scope is scope and is_final(scope, row.target)
    }
    assert finals == {
        ("delivery", "rejected"),
        ("delivery", "cancelled"),
        ("mailbox", "opened"),
        ("mailbox", "refused"),
        ("mailbox", "expired"),
        ("mailbox", "withdrawn"),
        ("mailbox", "undeliverable"),
        ("paper", "withdrawn"),
        ("paper", "returned"),
    }
