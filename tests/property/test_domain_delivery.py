"""What holds for every history of a delivery and for every set of reports."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.addresses import ReturnReason
from service.domain.delivery import (
    Actor,
    Delivery,
    DeliveryState,
    Event,
    Leg,
    LegKind,
    LegState,
    Occurrence,
    Report,
    advance,
    cancellable,
    effect,
    has_ended,
    open_leg,
    public_status,
    rank_reports,
    settle,
    weighty,
    withdrawable,
)
from service.domain.errors import TransitionRefused
from service.domain.transitions import POST_REPORTS, SCOPES, TRANSITIONS, Scope
from tests.domain_support import DELIVERY_ID, LEG_ID, NOON, a_delivery, a_leg

histories = st.lists(
    st.builds(Occurrence, st.sampled_from(Event), st.integers(0, 10_000).map(lambda n: NOON + timedelta(minutes=n))),
    max_size=40,
)
kinds = st.sampled_from(LegKind)
reports = st.lists(
    st.builds(
        Report,
        st.sampled_from(sorted(POST_REPORTS)),
        st.integers(0, 5).map(lambda n: NOON + timedelta(hours=n)),
        st.none() | st.sampled_from(ReturnReason),
    ),
    max_size=8,
)


ways = st.lists(st.tuples(kinds, histories), min_size=1, max_size=3)
withdrawal = Occurrence(Event.CONSIGNMENT_WITHDRAWAL, NOON + timedelta(days=30), Actor.SENDER, "wrong_recipient")


def _try(leg: Leg, what: Occurrence) -> Leg:
    try:
        return advance(leg, what)
    except TransitionRefused:
        return leg


def _lived(lives: list[tuple[LegKind, list[Occurrence]]]) -> list[Leg]:
    """The legs of one delivery; the next one begins when the one before failed, or has effect and is not enough."""
    legs: list[Leg] = []
    for number, (kind, history) in enumerate(lives, 1):
        leg = open_leg(LEG_ID, DELIVERY_ID, kind, number, NOON)
        for what in history:
            leg = _try(leg, what)
        legs.append(leg)
        failed = leg.state in {LegState.REFUSED, LegState.EXPIRED, LegState.UNDELIVERABLE}
        if not failed and (leg.effective_at is None or leg.state is LegState.WITHDRAWN):
            break
    return legs


@settings(deadline=None)
@given(kinds, histories)
def test_no_history_leaves_a_final_state(kind: LegKind, history: list[Occurrence]) -> None:
    leg = open_leg(LEG_ID, DELIVERY_ID, kind, 1, NOON)
    for what in history:
        after = _try(leg, what)
        if has_ended(leg):
            assert after == leg
        leg = after


@settings(deadline=None)
@given(histories)
def test_no_history_leaves_a_final_state_of_a_delivery(history: list[Occurrence]) -> None:
    delivery: Delivery = a_delivery()
    for what in history:
        try:
            after = advance(delivery, what)
        except TransitionRefused:
            continue
        assert not has_ended(delivery)
        delivery = after


@settings(deadline=None)
@given(kinds, histories)
def test_every_history_stays_within_the_table(kind: LegKind, history: list[Occurrence]) -> None:
    leg = open_leg(LEG_ID, DELIVERY_ID, kind, 1, NOON)
    for what in history:
        leg = _try(leg, what)
        assert any(row.scope is SCOPES[kind] and row.target == leg.state for row in TRANSITIONS)


@settings(deadline=None)
@given(kinds, histories)
def test_the_time_of_legal_effect_never_moves(kind: LegKind, history: list[Occurrence]) -> None:
    leg = open_leg(LEG_ID, DELIVERY_ID, kind, 1, NOON)
    for what in history:
        after = _try(leg, what)
        assert leg.effective_at in (None, after.effective_at)
        leg = after


@settings(deadline=None)
@given(kinds, histories)
def test_nothing_with_legal_effect_can_be_cancelled(kind: LegKind, history: list[Occurrence]) -> None:
    leg = open_leg(LEG_ID, DELIVERY_ID, kind, 1, NOON)
    for what in history:
        leg = _try(leg, what)
    if leg.effective_at is not None:
        assert not cancellable(Delivery(DELIVERY_ID, DeliveryState.SEALED, NOON), [leg]) or (
            leg.state is LegState.WITHDRAWN
        )


@settings(deadline=None)
@given(ways)
def test_a_withdrawal_takes_back_what_nobody_has_and_nothing_else(
    lives: list[tuple[LegKind, list[Occurrence]]],
) -> None:
    legs = []
    for number, (kind, history) in enumerate(lives, 1):
        leg = open_leg(LEG_ID, DELIVERY_ID, kind, number, NOON)
        for what in history:
            leg = _try(leg, what)
        legs.append(leg)
    delivery = Delivery(DELIVERY_ID, DeliveryState.SEALED, NOON)
    ended = withdrawable(delivery, legs)
    had = {LegState.OPENED, LegState.BATCHED, LegState.HANDED_OVER, LegState.PRINTED, LegState.POSTED}
    had |= {LegState.DELIVERED, LegState.RETURNED}
    if any(leg.state in had for leg in legs):
        assert ended == ()
    after = [advance(leg, withdrawal) if leg in ended else leg for leg in legs]
    assert all(leg.state is LegState.WITHDRAWN for leg in after if leg.number in {each.number for each in ended})
    assert withdrawable(delivery, after) == ()
    for state in DeliveryState:
        if state is not DeliveryState.SEALED:
            assert withdrawable(Delivery(DELIVERY_ID, state, NOON), legs) == ()


@settings(deadline=None)
@given(ways)
def test_what_the_sender_withdrew_is_publicly_withdrawn(lives: list[tuple[LegKind, list[Occurrence]]]) -> None:
    legs = _lived(lives)
    ended = withdrawable(Delivery(DELIVERY_ID, DeliveryState.SEALED, NOON), legs)
    after = [advance(leg, withdrawal) if leg in ended else leg for leg in legs]
    assert not ended or public_status(DeliveryState.SEALED, after) == "withdrawn"


@settings(deadline=None)
@given(ways)
def test_the_weight_is_with_the_first_to_have_effect_or_else_the_newest(
    lives: list[tuple[LegKind, list[Occurrence]]],
) -> None:
    legs = _lived(lives)
    over = {LegState.WITHDRAWN, LegState.REFUSED, LegState.EXPIRED, LegState.UNDELIVERABLE}
    others = [leg for leg in legs if leg.state is not LegState.WITHDRAWN]
    if any(leg.effective_at is not None or leg.state not in over for leg in others):
        # Another leg took over from what was withdrawn.
        legs = others
    effective = sorted((leg for leg in legs if leg.effective_at), key=lambda leg: (leg.effective_at, leg.number))
    assert weighty(legs) is (effective[0] if effective else legs[-1])


def test_every_state_of_the_table_can_be_reached_and_every_row_leads_on_from_one() -> None:
    for scope in Scope:
        rows = [row for row in TRANSITIONS if row.scope is scope]
        reached: set[DeliveryState | LegState] = {row.target for row in rows if row.state is None}
        while more := {row.target for row in rows if row.state in reached} - reached:
            reached |= more
        assert {row.state for row in rows if row.state is not None} <= reached
        assert {row.target for row in rows} == reached
    every = {row.target for row in TRANSITIONS}
    assert every == {*DeliveryState, *LegState}


@settings(deadline=None)
@given(reports, st.randoms(use_true_random=False))
def test_reports_give_one_state_whatever_their_order_and_number(known: list[Report], random: object) -> None:
    shuffled = [*known, *known[:3]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    leg = a_leg(LegKind.PAPER, LegState.HANDED_OVER, effective_at=NOON, handed_over_at=NOON)
    assert rank_reports(known) is rank_reports(shuffled)
    assert settle(leg, known) == settle(leg, shuffled)


@settings(deadline=None)
@given(reports, reports)
def test_reports_in_two_instalments_end_like_all_at_once(first: list[Report], second: list[Report]) -> None:
    leg = a_leg(LegKind.PAPER, LegState.HANDED_OVER, effective_at=NOON, handed_over_at=NOON)
    assert settle(settle(leg, first), [*first, *second]) == settle(leg, [*first, *second])


@settings(deadline=None)
@given(reports)
def test_the_table_and_the_ranks_agree(known: list[Report]) -> None:
    leg = a_leg(LegKind.PAPER, LegState.HANDED_OVER, effective_at=NOON, handed_over_at=NOON)
    for report in known:
        leg = advance(leg, Occurrence(report.event, report.at))
    assert leg.state is rank_reports(known)


@settings(deadline=None)
@given(st.sampled_from(DeliveryState), st.lists(st.tuples(kinds, st.sampled_from(LegState)), max_size=4))
def test_pending_is_never_public(state: DeliveryState, legs: list[tuple[LegKind, LegState]]) -> None:
    made = [a_leg(kind, leg_state, number=number) for number, (kind, leg_state) in enumerate(legs, 1)]
    assert public_status(state, made) != "pending"
    assert effect(made) is None
