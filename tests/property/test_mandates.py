"""Mandates, by their rules: whatever happens in whatever order, one end; nothing beyond what was given."""

import string
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain import calendar, mandates
from service.domain.errors import Conflict, Forbidden, Invalid
from service.domain.identifiers import RecipientId, RecipientKind
from service.domain.mandates import ACCEPT_DAYS, CODE_ALPHABET, CODE_LENGTH, Mandate, MandateState, Side, Terms

AN = RecipientId(RecipientKind.CITIZEN, "85073003328")
FIRM = RecipientId(RecipientKind.ENTERPRISE, "0403019261")
MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENDED = {MandateState.REVOKED, MandateState.ENDED, MandateState.LAPSED}

moments = st.datetimes(datetime(2026, 3, 1, 12), datetime(2026, 6, 1), timezones=st.just(UTC))  # noqa: DTZ001  a zone follows
days = st.none() | st.dates(date(2026, 3, 1), date(2026, 6, 1))
senders = st.integers(1, 5).map(lambda number: UUID(int=number))
all_terms = st.builds(
    Terms,
    senders=st.none() | st.frozensets(senders, min_size=1, max_size=3),
    registered=st.booleans(),
    legal_effect=st.booleans(),
    last_day=days,
)
acts = st.lists(st.tuples(st.sampled_from(["accept", "mandator", "mandatary", "wrong"]), moments), max_size=8)


def happens(mandate: Mandate, act: str, now: datetime) -> Mandate:
    if act == "accept":
        try:
            return mandates.accept(mandate, now)
        except Conflict:
            return mandate
    if act == "wrong":
        return replace(mandate, tries_left=max(0, mandate.tries_left - 1))
    return mandates.revoke(mandate, Side(act), now)


@given(all_terms, acts)
def test_what_has_ended_never_stands_again(terms: Terms, happening: list[tuple[str, datetime]]) -> None:
    mandate, before = mandates.give(AN, FIRM, terms, MOMENT), MandateState.GIVEN
    for act, now in sorted(happening, key=lambda each: each[1]):
        known = mandate.state(now)
        if before in ENDED:
            assert known is before
        mandate = happens(mandate, act, now)
        if known in ENDED:
            assert mandate.state(now) is known
        before = mandate.state(now)


@given(all_terms, acts, moments)
def test_somebody_may_act_only_under_what_was_accepted_in_time_and_not_ended(
    terms: Terms, happening: list[tuple[str, datetime]], now: datetime
) -> None:
    mandate = mandates.give(AN, FIRM, terms, MOMENT)
    for act, at in sorted(happening, key=lambda each: each[1]):
        mandate = happens(mandate, act, at)
    try:
        mandates.require_standing(mandate, now)
    except Forbidden:
        return
    assert mandate.accepted_at is not None
    assert mandate.accepted_at < MOMENT + timedelta(days=ACCEPT_DAYS)
    assert mandate.revoked_at is None
    assert terms.last_day is None or calendar.local_date(now) <= terms.last_day


@given(all_terms, senders, st.booleans())
def test_only_what_was_given_is_covered(terms: Terms, sender: UUID, registered: bool) -> None:  # noqa: FBT001
    expected = (terms.senders is None or sender in terms.senders) and not (registered and not terms.registered)
    assert terms.covers(sender, registered=registered) is expected


@pytest.mark.parametrize(
    ("last_day", "hours"),
    [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 6, 1), 24)],
    ids=["shorter night", "longer night", "usual"],
)
def test_the_last_day_is_a_whole_day_in_brussels(last_day: date, hours: int) -> None:
    begins = Terms(last_day=last_day - timedelta(days=1)).ends_at
    ends = Terms(last_day=last_day).ends_at
    assert begins is not None
    assert ends is not None
    assert ends.astimezone(UTC) - begins.astimezone(UTC) == timedelta(hours=hours)
    mandate = mandates.accept(mandates.give(AN, FIRM, Terms(last_day=last_day), MOMENT), MOMENT)
    assert mandate.state(ends.astimezone(UTC) - timedelta(microseconds=1)) is MandateState.ACCEPTED
    assert mandate.state(ends.astimezone(UTC)) is MandateState.ENDED


def test_a_code_is_good_for_fourteen_days_and_never_past_the_last_day() -> None:
    mandate = mandates.give(AN, FIRM, Terms(), MOMENT)
    end = MOMENT + timedelta(days=14)
    assert mandate.state(end - timedelta(microseconds=1)) is MandateState.GIVEN
    assert mandate.state(end) is MandateState.LAPSED
    with pytest.raises(Conflict) as caught:
        mandates.accept(mandate, end)
    assert caught.value.code == "mandate_not_waiting"
    short = mandates.give(AN, FIRM, Terms(last_day=date(2026, 3, 1)), MOMENT)
    assert short.accept_before == short.terms.ends_at


def test_nobody_mandates_themselves_nor_for_nothing() -> None:
    found = []
    for mandatary, terms in (
        (AN, Terms()),
        (FIRM, Terms(last_day=date(2026, 2, 28))),
        (FIRM, Terms(last_day=date.min)),
        (FIRM, Terms(last_day=date.max)),
        (FIRM, Terms(senders=frozenset())),
        (FIRM, Terms(senders=frozenset(UUID(int=each) for each in range(mandates.MOST_SENDERS + 1)))),
    ):
        with pytest.raises(Invalid) as caught:
            mandates.give(AN, mandatary, terms, MOMENT)
        found += [(error.pointer, error.code) for error in caught.value.errors]
    assert found == [
        ("/mandatary/id", "mandate_to_oneself"),
        ("/last_day", "last_day_over"),
        ("/last_day", "last_day_over"),
        ("/last_day", "last_day_far"),
        ("/senders", "mandate_senders"),
        ("/senders", "mandate_senders"),
    ]


def test_without_legal_effect_nobody_decides() -> None:
    mandates.require_effect(Terms(legal_effect=True))
    with pytest.raises(Forbidden) as caught:
        mandates.require_effect(Terms())
    assert caught.value.code == "mandate_without_effect"


@given(st.text(CODE_ALPHABET, min_size=CODE_LENGTH, max_size=CODE_LENGTH), st.sampled_from(["", " ", "-", " - "]))
def test_a_code_is_read_as_it_was_written_however_it_is_typed(code: str, between: str) -> None:
    assert mandates.read_code(mandates.written(code)) == code
    assert mandates.read_code(between.join(code.lower())) == code


def test_no_two_letters_of_a_code_look_alike() -> None:
    assert set("01ILO") == set(string.ascii_uppercase + string.digits) - set(CODE_ALPHABET)
    assert len(CODE_ALPHABET) ** CODE_LENGTH > 2**49
