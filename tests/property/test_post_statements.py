"""A letter's state follows from what was said of it, in whatever order and however often, also when printed again."""

import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from printing.exchange import OUTCOMES, PostalEvent
from service.domain.addresses import ReturnReason
from service.domain.delivery import Leg, has_the_post, settle
from service.domain.states import LegKind, LegState
from service.usecases.post_statements import MOVES, PULLED, REJECTED, SHOWN, counted, name_of, place

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
WORDS = [*(each.value for each in PostalEvent), PULLED, REJECTED]
CAUSES = [None, *(each.value for each in ReturnReason)]


def row(event: str, attempt: int, minute: int, cause: str | None) -> Any:
    return SimpleNamespace(event=event, attempt=attempt, at=NOON + timedelta(minutes=minute), cause=cause)


def sent(attempt: int) -> Any:
    return SimpleNamespace(attempt=attempt, batch=SimpleNamespace(handed_over_at=NOON))


rows = st.lists(
    st.builds(row, st.sampled_from(WORDS), st.integers(1, 2), st.integers(0, 5), st.sampled_from(CAUSES)), max_size=8
)


def letter() -> Leg:
    return Leg(uuid.UUID(int=1), uuid.UUID(int=1), LegKind.PAPER, 1, LegState.HANDED_OVER, NOON, handed_over_at=NOON)


@settings(deadline=None)
@given(rows, st.integers(1, 2), st.randoms(use_true_random=False), st.data())
def test_order_and_repetition_change_nothing(told: list[Any], printings: int, chance: Any, data: st.DataObject) -> None:
    printed = [sent(attempt) for attempt in range(1, printings + 1)]
    whole = settle(letter(), counted(told, printed))
    mixed = told + data.draw(st.lists(st.sampled_from(told), max_size=4) if told else st.just([]))
    chance.shuffle(mixed)
    assert settle(letter(), counted(mixed, printed)) == whole
    # Taken in bit by bit, each time with all that is known by then.
    leg = letter()
    for count in range(len(mixed) + 1):
        leg = settle(leg, counted(mixed[:count], printed))
    assert leg == whole


@given(rows)
def test_what_went_wrong_with_an_earlier_printing_says_nothing_of_the_later_one(told: list[Any]) -> None:
    first = [each for each in told if each.attempt == 1]
    state = settle(letter(), counted(first, [sent(1), sent(2)])).state
    assert state in {LegState.HANDED_OVER, LegState.PRINTED, LegState.POSTED, LegState.DELIVERED}
    good = {each.event for each in first} & {"printed", "posted", "delivered"}
    assert (state is LegState.HANDED_OVER) == (not good)


@given(rows)
def test_a_mailbox_copy_gives_way_only_to_what_the_post_had(told: list[Any]) -> None:
    reports = counted(told, [sent(1), sent(2)])
    expected = any(
        each.event in {"posted", "delivered"} or (each.event == "returned" and each.attempt == 2) for each in told
    )
    assert has_the_post(reports) is expected


def test_every_word_of_the_exchange_moves_or_is_shown_and_none_does_both() -> None:
    assert set(OUTCOMES) == set(PostalEvent)
    assert {each.value for each in PostalEvent} <= MOVES.keys() | SHOWN.keys()
    assert not MOVES.keys() & SHOWN.keys()


@given(st.uuids(), st.integers(1, 99))
def test_a_letters_name_is_read_back(delivery: uuid.UUID, leg: int) -> None:
    assert place(name_of(delivery, leg)) == (delivery, leg)


@given(st.text(max_size=60))
def test_no_text_is_taken_for_a_letter_that_it_does_not_name(text: str) -> None:
    found = place(text)
    assert found is None or name_of(*found).rpartition("-")[0] == text.rpartition("-")[0]
