"""Periods in Brussels: from the day after, moved by holidays, longer by unavailability, with reminders in time."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from dateutil.easter import easter as other_easter
from hypothesis import given
from hypothesis import strategies as st

from service.domain import calendar, terms
from service.domain.legal_basis import EffectRule, Mode
from service.domain.states import Event
from service.domain.terms import Outage, Terms

BRUSSELS = ZoneInfo("Europe/Brussels")
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2060, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis wants them bare
DAYS = st.integers(1, 60)
SIMPLE = Terms("t", 1, "", mode=Mode.CONSENT, acceptance_days=15)
MOVING = Terms("t", 1, "", mode=Mode.CONSENT, acceptance_days=15, end_moves=True)
EXTENDED = Terms("t", 1, "", mode=Mode.CONSENT, acceptance_days=15, end_moves=True, extended=True)
REMINDING = Terms("t", 1, "", mode=Mode.CONSENT, acceptance_days=15, remind_after=(7,), remind_before=(2,))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BRUSSELS)


@given(st.integers(1900, 2300))
def test_easter_agrees_with_another_computation(year: int) -> None:
    assert calendar.easter(year) == other_easter(year)


def test_the_holidays_of_a_year_as_they_were_published() -> None:
    assert sorted(calendar.holidays(2026)) == [
        date(2026, 1, 1), date(2026, 4, 6), date(2026, 5, 1), date(2026, 5, 14), date(2026, 5, 25),
        date(2026, 7, 21), date(2026, 8, 15), date(2026, 11, 1), date(2026, 11, 11), date(2026, 12, 25),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("noticed", "last_day", "ends"),
    [
        ("2026-11-03T10:00", "2026-11-18", "2026-11-19T00:00"),
        ("2026-11-03T00:00", "2026-11-18", "2026-11-19T00:00"),
        ("2026-11-03T23:59:59.999", "2026-11-18", "2026-11-19T00:00"),
        # Over the night of 25 October, whose day has 25 hours, and of 29 March, whose day has 23.
        ("2026-10-20T09:00", "2026-11-04", "2026-11-05T00:00"),
        ("2026-10-10T09:00", "2026-10-25", "2026-10-26T00:00"),
        ("2026-03-20T09:00", "2026-04-04", "2026-04-05T00:00"),
        ("2026-03-14T09:00", "2026-03-29", "2026-03-30T00:00"),
        ("2028-02-20T09:00", "2028-03-06", "2028-03-07T00:00"),
    ],
)
def test_fifteen_days_from_the_day_after_the_notice(noticed: str, last_day: str, ends: str) -> None:
    found = terms.acceptance(SIMPLE, at(noticed))
    assert found.last_day == date.fromisoformat(last_day)
    assert found.ends_at == at(ends)


def test_the_hour_that_comes_twice_belongs_to_its_day() -> None:
    twice = [at("2026-10-25T02:30"), at("2026-10-25T02:30").replace(fold=1)]
    assert twice[0].astimezone(UTC) != twice[1].astimezone(UTC)
    assert {terms.acceptance(SIMPLE, each).last_day for each in twice} == {date(2026, 11, 9)}


@pytest.mark.parametrize(
    ("noticed", "last_day"),
    [
        ("2026-11-06T10:00", "2026-11-23"),  # the 21st is a Saturday
        ("2026-11-07T10:00", "2026-11-23"),
        ("2026-10-27T10:00", "2026-11-12"),  # the 11th is a holiday
        ("2026-12-10T10:00", "2026-12-28"),  # the 25th is a holiday and a Friday
        ("2026-03-22T10:00", "2026-04-07"),  # Easter Monday
        ("2026-10-16T10:00", "2026-11-02"),  # the 31st is a Saturday, the first a holiday and a Sunday
    ],
)
def test_an_end_on_a_free_day_moves_on(noticed: str, last_day: str) -> None:
    assert terms.acceptance(MOVING, at(noticed)).last_day == date.fromisoformat(last_day)


@given(MOMENTS, DAYS)
def test_a_period_has_its_days_whole(noticed: datetime, days: int) -> None:
    found = terms.period(SIMPLE, days, noticed)
    told = noticed.astimezone(BRUSSELS).date()
    assert (found.last_day - told).days == days
    end = found.ends_at.astimezone(BRUSSELS)
    assert (end.date(), end.time().isoformat()) == (found.last_day + timedelta(days=1), "00:00:00")
    moved = terms.period(MOVING, days, noticed)
    assert moved.last_day >= found.last_day
    assert calendar.is_working_day(moved.last_day)
    assert not any(
        calendar.is_working_day(found.last_day + timedelta(days=gap))
        for gap in range((moved.last_day - found.last_day).days)
    )


OUTAGES = st.lists(
    st.tuples(st.integers(-40, 60), st.integers(1, 10 * 24 * 60)).map(
        lambda each: (timedelta(days=each[0]), timedelta(minutes=each[1]))
    ),
    max_size=6,
)


@given(MOMENTS, OUTAGES)
def test_unavailability_never_shortens_and_gives_back_what_was_lost(
    noticed: datetime, lost: list[tuple[timedelta, timedelta]]
) -> None:
    outages = [Outage(noticed + start, noticed + start + length) for start, length in lost]
    plain, found = terms.acceptance(MOVING, noticed), terms.acceptance(EXTENDED, noticed, outages)
    assert found.ends_at >= plain.ends_at
    first = calendar.begins(noticed.astimezone(BRUSSELS).date() + timedelta(days=1))
    # Minute by minute would take long: the union of the outages, another way.
    edges = sorted({first, found.ends_at, *(edge for each in outages for edge in (each.since, each.until))})
    gone = sum(
        (right - left).total_seconds()
        for left, right in pairwise(edges)
        if first <= left
        and right <= found.ends_at
        and any(each.since <= left and right <= each.until for each in outages)
    )
    assert found.extended_days * 86400 >= gone > (found.extended_days - 1) * 86400 or gone == found.extended_days == 0


def test_an_outage_before_the_period_or_after_it_changes_nothing() -> None:
    noticed = at("2026-11-03T10:00")
    before = Outage(at("2026-11-03T11:00"), at("2026-11-03T23:00"))
    after = Outage(at("2026-11-19T00:00"), at("2026-11-25T00:00"))
    assert terms.acceptance(EXTENDED, noticed, [before, after]) == terms.acceptance(MOVING, noticed)
    within = Outage(at("2026-11-18T22:00"), at("2026-11-19T02:00"))
    assert terms.acceptance(EXTENDED, noticed, [within]).last_day == date(2026, 11, 19)
    assert terms.acceptance(MOVING, noticed, [within]).last_day == date(2026, 11, 18), "only where the entry says so"


@given(MOMENTS, OUTAGES)
def test_reminders_come_by_day_each_once_and_within_the_period(
    noticed: datetime, lost: list[tuple[timedelta, timedelta]]
) -> None:
    outages = [Outage(noticed + start, noticed + start + length) for start, length in lost]
    running = terms.acceptance(REMINDING, noticed, outages)
    found = terms.reminders(REMINDING, noticed, running)
    assert list(found) == sorted(set(found))
    for each in found:
        assert noticed < each < running.ends_at
        assert calendar.next_allowed(each) == each


def test_reminders_on_day_seven_and_two_days_before_the_end() -> None:
    noticed = at("2026-10-20T22:00")
    found = terms.reminders(REMINDING, noticed, terms.acceptance(REMINDING, noticed))
    assert [each.astimezone(BRUSSELS).isoformat() for each in found] == [
        "2026-10-27T09:00:00+01:00",
        "2026-11-02T09:00:00+01:00",
    ]


@given(MOMENTS, st.integers(1, 30))
def test_effect_on_a_working_day_counts_working_days_only(event: datetime, days: int) -> None:
    rule = EffectRule(Event.POSTED, days)
    moment = rule.moment(event).astimezone(BRUSSELS)
    assert moment.time().isoformat() == "00:00:00"
    assert calendar.is_working_day(moment.date())
    told = event.astimezone(BRUSSELS).date()
    between = (told + timedelta(days=gap) for gap in range(1, (moment.date() - told).days + 1))
    assert sum(calendar.is_working_day(each) for each in between) == days
    assert EffectRule(Event.POSTED).moment(event) == event


def test_the_third_working_day_after_a_friday_before_a_holiday() -> None:
    rule = EffectRule(Event.POSTED, 3)
    assert rule.moment(at("2026-11-06T15:00")) == at("2026-11-12T00:00")
