"""Cut-offs by the clock in Brussels: on working days alone, each once, in all nights of the year."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.calendar import BRUSSELS, holidays, is_working_day
from service.domain.cutoffs import next_cut_off, read_hours
from service.domain.errors import Invalid

moments = st.datetimes(datetime(2024, 1, 1), datetime(2031, 12, 31)).map(lambda each: each.replace(tzinfo=UTC))  # noqa: DTZ001
hours = st.lists(st.times().map(lambda each: time(each.hour, each.minute)), min_size=1, max_size=4, unique=True)


@given(moments, hours)
def test_the_next_cut_off_is_the_first_that_comes(moment: datetime, given_hours: list[time]) -> None:
    found = next_cut_off(moment, given_hours)
    assert found > moment
    assert found.tzinfo is UTC
    here = found.astimezone(BRUSSELS)
    # No changing night is a working day's, so the clock says just this hour.
    assert here.time() in given_hours
    assert is_working_day(here.date())
    # None between: looked for over each day and hour, without the code's own way of going on.
    day = moment.astimezone(BRUSSELS).date()
    while day <= here.date():
        for hour in given_hours:
            other = datetime.combine(day, hour, tzinfo=BRUSSELS).astimezone(UTC)
            assert not (moment < other < found and is_working_day(day))
        day += timedelta(days=1)


@given(moments, hours)
def test_cut_offs_follow_each_other_and_each_comes_once(moment: datetime, given_hours: list[time]) -> None:
    one = next_cut_off(moment, given_hours)
    # Asked at any moment before it the answer is the same; asked at it, the next.
    assert next_cut_off(moment + (one - moment) / 2, given_hours) == one
    assert next_cut_off(one - timedelta(microseconds=1), given_hours) == one
    assert next_cut_off(one, given_hours) > one


@pytest.mark.parametrize("year", range(2024, 2032))
def test_a_year_has_a_cut_off_on_each_working_day_and_on_no_other(year: int) -> None:
    at, found = datetime(year - 1, 12, 31, 23, 30, tzinfo=UTC), []
    while (at := next_cut_off(at, [time(2, 30), time(17, 30)])) < datetime(year, 12, 31, 23, tzinfo=UTC):
        found.append(at.astimezone(BRUSSELS))
    days = [date(year, 1, 1) + timedelta(days=number) for number in range(366)]
    working = [day for day in days if day.year == year and is_working_day(day)]
    assert [each.date() for each in found] == [day for day in working for _ in range(2)]
    assert not {each.date() for each in found} & holidays(year)
    assert {each.time() for each in found} == {time(2, 30), time(17, 30)}


@pytest.mark.parametrize(
    ("friday", "monday"),
    [
        (datetime(2026, 3, 27, 16, 30, tzinfo=UTC), datetime(2026, 3, 30, 15, 30, tzinfo=UTC)),
        (datetime(2026, 10, 23, 15, 30, tzinfo=UTC), datetime(2026, 10, 26, 16, 30, tzinfo=UTC)),
    ],
    ids=["spring", "autumn"],
)
def test_over_a_changing_night_the_hour_of_the_clock_stays(friday: datetime, monday: datetime) -> None:
    evening = [time(17, 30)]
    assert next_cut_off(friday - timedelta(seconds=1), evening) == friday
    assert next_cut_off(friday, evening) == monday


@pytest.mark.parametrize("texts", [["24:00"], ["9"], ["09:60"], ["09:00", "09:00"], ["nine"]])
def test_what_is_no_hour_is_refused(texts: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        read_hours(texts)
    assert refused.value.code == "cut_off_unreadable"


def test_hours_are_read_in_order() -> None:
    assert read_hours(["17:30", "09:05"]) == (time(9, 5), time(17, 30))
    with pytest.raises(ValueError, match="no cut-off"):
        next_cut_off(datetime.now(UTC), [])
