"""Dates and hours as people in Belgium live them, from instants that are handed in."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from service.domain.errors import Invalid

BRUSSELS: Final = ZoneInfo("Europe/Brussels")
QUIET_FROM: Final = time(23)
QUIET_UNTIL: Final = time(7)


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
