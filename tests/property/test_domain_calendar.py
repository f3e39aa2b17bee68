"""Hours and dates in Brussels, also in the two nights in which the clock is changed."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.domain.calendar import BRUSSELS, local, local_date, next_allowed, retention_year
from service.domain.errors import Invalid

SPRING = datetime(2026, 3, 29, 1, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC)

instants = st.datetimes(datetime(2020, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
nights = st.builds(
    lambda change, seconds: change + timedelta(seconds=seconds),
    st.sampled_from((SPRING, AUTUMN)),
    st.integers(-12 * 3600, 12 * 3600),
)


def _quiet(instant: datetime) -> bool:
    return not time(7) <= instant.astimezone(BRUSSELS).time() < time(23)


@settings(deadline=None)
@given(instants | nights)
@example(SPRING)
@example(AUTUMN)
def test_nothing_is_sent_at_night_and_nothing_waits_longer_than_the_night(instant: datetime) -> None:
    allowed = next_allowed(instant)
    assert not _quiet(allowed)
    assert timedelta(0) <= allowed - instant <= timedelta(hours=9)
    if not _quiet(instant):
        assert allowed == instant
    else:
        assert allowed.astimezone(BRUSSELS).time() == time(7)
        assert all(_quiet(instant + (allowed - instant) * share / 8) for share in range(8))


@settings(deadline=None)
@given(instants | nights)
def test_an_allowed_instant_stays_as_it_is(instant: datetime) -> None:
    assert next_allowed(next_allowed(instant)) == next_allowed(instant)


@settings(deadline=None)
@given(nights, nights)
def test_who_came_first_is_never_sent_later(one: datetime, other: datetime) -> None:
    first, second = sorted((one, other))
    assert next_allowed(first) <= next_allowed(second)


@pytest.mark.parametrize(
    ("begins", "ends", "hours"),
    [
        (datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 3, 29, 5, tzinfo=UTC), 7),
        (datetime(2026, 10, 24, 21, tzinfo=UTC), datetime(2026, 10, 25, 6, tzinfo=UTC), 9),
        (datetime(2026, 11, 23, 22, tzinfo=UTC), datetime(2026, 11, 24, 6, tzinfo=UTC), 8),
    ],
)
def test_a_night_is_as_long_as_the_clock_makes_it(begins: datetime, ends: datetime, hours: int) -> None:
    assert next_allowed(begins) == ends
    assert ends - begins == timedelta(hours=hours)
    just_before = begins - timedelta(microseconds=1)
    assert next_allowed(just_before) == just_before
    assert next_allowed(ends - timedelta(microseconds=1)) == ends


def test_the_date_and_the_retention_year_are_those_of_brussels() -> None:
    new_year = datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert local_date(new_year).isoformat() == "2027-01-01"
    assert retention_year(new_year) == 2027
    assert retention_year(new_year - timedelta(microseconds=1)) == 2026
    assert local(new_year).hour == 0


@pytest.mark.parametrize("rule", [local, local_date, retention_year, next_allowed])
def test_a_moment_without_a_time_zone_is_refused(rule: object) -> None:
    with pytest.raises(Invalid) as caught:
        rule(datetime(2026, 1, 1))  # type: ignore[operator]  # noqa: DTZ001  the rule is about exactly this
    assert caught.value.code == "time_zone_missing"
