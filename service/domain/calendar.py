"""Dates and hours as people in Belgium live them, from instants that are handed in."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from service.domain.errors import Invalid

BRUSSELS: Final = ZoneInfo("Europe/Brussels")
QUIET_FROM: Final = time(23)
QUIET_UNTIL: Final = time(7)
_SATURDAY: Final = 5


def local(instant: datetime) -> datetime:
    """The instant on a clock in Brussels.

    Raises:
        Invalid: the instant has no time zone (code ``time_zone_missing``).
    """
    if instant.tzinfo is None:
        raise Invalid("A moment without a time zone is no moment.", code="time_zone_missing")
    return instant.astimezone(BRUSSELS)


def local_date(instant: datetime) -> date:
    """The date in Brussels at this instant."""
    return local(instant).date()


def retention_year(instant: datetime) -> int:
    """The calendar year, in Brussels, whose key protects what is kept from this instant on."""
    return local_date(instant).year


def next_allowed(instant: datetime) -> datetime:
    """The first instant, not before ``instant``, at which people may be written to, in UTC.

    Nothing is sent between 23:00 and 07:00 Europe/Brussels. Neither hour is ever skipped or doubled by the change to or
    from summer time (that happens between 02:00 and 03:00), so the night is 7, 8 or 9 hours long and ends at 07:00.
    """
    here = local(instant)
    if QUIET_UNTIL <= here.time() < QUIET_FROM:
        return instant.astimezone(UTC)
    day = here.date() if here.time() < QUIET_UNTIL else here.date() + timedelta(days=1)
    return datetime.combine(day, QUIET_UNTIL, tzinfo=BRUSSELS).astimezone(UTC)


# ---------------------------------------------------------------- working days
def easter(year: int) -> date:
    """Easter Sunday of a year of the Gregorian calendar (the rule of J.-M. Oudin, 1940)."""
    century = year // 100
    golden = year % 19
    moon = (century - century // 4 - (century - (century - 17) // 25) // 3 + 19 * golden + 15) % 30
    moon -= (moon // 28) * (1 - (moon // 28) * (29 // (moon + 1)) * ((21 - golden) // 11))
    weekday = (year + year // 4 + moon + 2 - century + century // 4) % 7
    day = moon - weekday
    month = 3 + (day + 40) // 44
    return date(year, month, day + 28 - 31 * (month // 4))


@lru_cache(maxsize=64)
def holidays(year: int) -> frozenset[date]:
    """The ten legal holidays of Belgium (Royal Decree of 18 April 1974, article 1)."""
    sunday = easter(year)
    moving = {sunday + timedelta(days=days) for days in (1, 39, 50)}
    fixed = {date(year, month, day) for month, day in ((1, 1), (5, 1), (7, 21), (8, 15), (11, 1), (11, 11), (12, 25))}
    return frozenset(moving | fixed)


def is_working_day(day: date) -> bool:
    """Neither Saturday, Sunday nor a legal holiday (Judicial Code, article 53, names the same days)."""
    return day.weekday() < _SATURDAY and day not in holidays(day.year)


def next_working_day(day: date) -> date:
    """The first working day that is not before ``day``."""
    while not is_working_day(day):
        day += timedelta(days=1)
    return day


def add_working_days(day: date, count: int) -> date:
    """The ``count``-th working day after ``day``, which itself is not counted."""
    for _ in range(count):
        day = next_working_day(day + timedelta(days=1))
    return day


def begins(day: date) -> datetime:
    """The instant at which a day begins in Brussels, in UTC: days there have 23, 24 or 25 hours."""
    return datetime.combine(day, time(), tzinfo=BRUSSELS).astimezone(UTC)


def at_nine(day: date) -> datetime:
    """Nine in the morning of a day in Brussels, in UTC: when people are reminded."""
    return datetime.combine(day, time(9), tzinfo=BRUSSELS).astimezone(UTC)
