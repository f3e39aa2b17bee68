"""Numbers of the post, taken from the ranges that it gave: each once, in order, by whichever worker comes first."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from sqlalchemy.orm import Session

from printing.numbers import Kind, NumberRange
from service.db import letters as rows
from service.domain.alarms import Sample
from service.domain.errors import Retryable
from service.usecases.context import Context


class NumbersExhausted(Retryable):
    """Every configured range of a kind is used up: letters wait until the post gave another."""

    code = "number_range_exhausted"
    sentence = "The numbers that the post gave for such letters are used up; it waits for new ones."


def take(context: Context, ranges: Sequence[NumberRange], kind: Kind) -> str | None:
    """A number that was never given before; None where no range of the kind is configured.

    It is given in a transaction of its own: one that is then not printed stays unused for ever.

    Raises:
        NumbersExhausted: all of them are used up.
    """
    found = [each for each in ranges if each.kind == kind]
    if not found:
        return None
    for series, parts in _by_series(found):
        number = _take(context, series, parts)
        if number is not None:
            return number
    raise NumbersExhausted


def _take(context: Context, series: str, parts: Sequence[NumberRange]) -> str | None:
    while True:
        with context.database.transaction() as session:
            seen = rows.next_serial(session, series)
            chosen = next(((each, max(each.first, seen)) for each in parts if seen <= each.last), None)
            if chosen is None:
                return None
            numbers, serial = chosen
            # Whoever was slower looks again.
            if rows.take_serials(session, series, seen=seen, after=serial + 1, now=context.clock()):
                return numbers.number(serial)


def samples(session: Session, ranges: Sequence[NumberRange]) -> Iterable[Sample]:
    """How many numbers of each kind are left, and how many should be."""
    for kind in sorted({each.kind for each in ranges}):
        own = [each for each in ranges if each.kind == kind]
        left = 0
        for series, parts in _by_series(own):
            seen = rows.next_serial(session, series)
            left += sum(max(0, each.last - max(each.first, seen) + 1) for each in parts)
        yield Sample("zending_print_numbers_left", left, {"kind": kind})
        yield Sample("zending_print_numbers_reserve", max(each.warn_below for each in own), {"kind": kind})


def _by_series(ranges: Sequence[NumberRange]) -> Iterable[tuple[str, list[NumberRange]]]:
    ordered = sorted(ranges, key=lambda each: (each.series, each.first))
    return [(series, list(parts)) for series, parts in groupby(ordered, key=lambda each: each.series)]
