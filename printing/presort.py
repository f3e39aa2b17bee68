"""By which codes the post wants letters sorted: a table from ranges of postcodes to codes, as a file."""

import bisect
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

OURS: Final = Path(__file__).with_name("presort.toml")
_Postcode = Annotated[str, Meta(pattern="^[0-9A-Z ]{1,12}$")]
_Code = Annotated[str, Meta(pattern="^[0-9A-Z-]{1,12}$")]


class PresortRefused(ValueError):
    """A table can't be used; the text says what is wrong in it."""


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Postcodes from ``first`` to ``last``, both counted in, and their code."""

    first: _Postcode
    last: _Postcode
    code: _Code


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table.

    Attributes:
        note: whose it is, and of when.
        other: the code of every postcode that is in no range.
        ranges: in rising order, without overlap; the postcodes of one table are of one length.
    """

    note: Annotated[str, Meta(min_length=1)]
    other: _Code
    ranges: Annotated[tuple[Range, ...], Meta(min_length=1)]

    def code(self, postcode: str) -> str:
        """What the post sorts a letter to this postcode by."""
        length = len(self.ranges[0].first)
        place = bisect.bisect_right(self.ranges, postcode, key=lambda each: each.first) - 1
        found = len(postcode) == length and place >= 0 and postcode <= self.ranges[place].last
        return self.ranges[place].code if found else self.other


@cache
def load() -> Table:
    """The table that comes with us: fictional, so that there is an order to try."""
    return read(OURS)


def read(file: Path) -> Table:
    """A table from its file.

    Raises:
        PresortRefused: it can't be used.
        OSError: it can't be read.
    """
    return parse(file.read_text(encoding="utf-8"))


def parse(text: str) -> Table:
    """A table from TOML.

    Raises:
        PresortRefused: the text is no TOML, a value is wrong, or ranges are in disorder or overlap.
    """
    try:
        table: Table = msgspec.convert(tomllib.loads(text), Table)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise PresortRefused(str(error)) from None
    length = len(table.ranges[0].first)
    before = ""
    for number, each in enumerate(table.ranges):
        if {len(each.first), len(each.last)} != {length}:
            raise PresortRefused(f"ranges[{number}]: its postcodes are not as long as those before")
        if not before < each.first <= each.last:
            raise PresortRefused(f"ranges[{number}]: it overlaps the one before, or stands in disorder")
        before = each.last
    return table
