"""When letters stop being taken into today's run: at hours of a clock in Brussels, on working days."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

from service.domain.calendar import BRUSSELS, is_working_day, local
from service.domain.errors import Invalid


def read_hours(texts: Sequence[str]) -> tuple[time, ...]:
    """Hours as ``HH:MM``, each once, in rising order.

    Raises:
        Invalid: ``cut_off_unreadable``: one is no such hour, or stands there twice.
    """
    hours = []
    for text in texts:
        try:
            hours.append(datetime.strptime(text, "%H:%M").replace(tzinfo=UTC).time())
        except ValueError:
            raise Invalid(f"{text!r} is no hour as HH:MM.", code="cut_off_unreadable") from None
    if len(set(hours)) < len(hours):
        raise Invalid("An hour stands there twice.", code="cut_off_unreadable")
    return tuple(sorted(hours))


def next_cut_off(after: datetime, hours: Sequence[time]) -> datetime:
    """The first cut-off later than ``after``, in UTC.

    An hour that the spring night skips comes when the clock has gone on; one that the autumn night has twice counts the
    first time. Both nights are Sundays', on which there is no cut-off, so this only keeps the rule whole.

    Raises:
        ValueError: there is no hour.
    """
    if not hours:
        raise ValueError("without an hour there is no cut-off")
    day = local(after).date()
    while True:
        if is_working_day(day):
            for hour in sorted(hours):
                # By way of UTC, so that two moments are compared and not two clock faces.
                moment = datetime.combine(day, hour, tzinfo=BRUSSELS).astimezone(UTC)
                if moment > after:
                    return moment
        day += timedelta(days=1)
