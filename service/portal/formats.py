"""How a language writes days, moments and sizes of files, in Belgium."""

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_time
from babel.numbers import format_decimal

from service.portal.languages import Words

ZONE: Final = ZoneInfo("Europe/Brussels")
_KIBIBYTE: Final = 1024
_CLOCKS: Final = {"de": "HH:mm 'Uhr'"}
_BYTE: Final = {"fr": "o"}


def day(at: date, words: Words) -> str:
    """A day, or the day of a moment, with its month in full."""
    local = at.astimezone(ZONE) if isinstance(at, datetime) else at
    said = str(format_date(local, "long", locale=words.locale))
    # In French the first of a month is an ordinal, which the patterns of dates don't know.
    return f"1er{said.removeprefix('1')}" if words.language == "fr" and local.day == 1 else said


def weekday(at: datetime, words: Words) -> str:
    """A day with the day of the week, for what has to be done by then."""
    local = at.astimezone(ZONE)
    said = str(format_date(local, "full", locale=words.locale))
    return said.replace(" 1 ", " 1er ", 1) if words.language == "fr" and local.day == 1 else said


def moment(at: datetime, words: Words) -> str:
    """A day and the time by the Belgian clock."""
    clock = format_time(at, _CLOCKS.get(words.language, "HH:mm"), tzinfo=ZONE, locale=words.locale)
    return f"{day(at, words)}, {clock}"


def size(octets: int, words: Words) -> str:
    """How large a file is; never nothing at all."""
    if octets < _KIBIBYTE * _KIBIBYTE:
        number, prefix = float(max(1, round(octets / _KIBIBYTE))), "k"
    else:
        number, prefix = round(octets / _KIBIBYTE / _KIBIBYTE, 1), "M"
    # Number and unit stay on one line.
    return f"{format_decimal(number, locale=words.locale)}\N{NO-BREAK SPACE}{prefix}{_BYTE.get(words.language, 'B')}"


def number(value: float, words: Words) -> str:
    """A number as the language writes it."""
    return format_decimal(value, locale=words.locale)
