"""The numbers that the post knows letters by: how they are made from a configured range, checked, and shown as bars.

A number is never invented: it comes from a range that the post gave us, or the print house gives the letter one.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from printing.errors import Problem

Kind = Literal["gs1", "jjbea", "s10", "mail_id"]
"""National registered in 30 digits, national by the announcement interface, international, and the Mail ID."""

REGISTERED: Final[tuple[Kind, ...]] = ("gs1", "jjbea", "s10")
MOST_CHARACTERS: Final = 50
"""Of a field of an announcement; the post refuses a longer one."""

_FORMS: Final[dict[Kind, re.Pattern[str]]] = {
    "gs1": re.compile(r"01([0-9]{14})21([0-9]{12})", re.ASCII),
    "jjbea": re.compile(r"JJBEA[0-9]{18}", re.ASCII),
    "s10": re.compile(r"[A-Z]{2}([0-9]{8})([0-9])[A-Z]{2}", re.ASCII),
    "mail_id": re.compile(r"JJBEA[0-9]{7}(?:[0-9]{7}|[0-9]{9}|[0-9]{11})", re.ASCII),
}
_S10_WEIGHTS: Final = (8, 6, 4, 2, 3, 5, 9, 7)
_DIGITS: Final[dict[Kind, int]] = {"gs1": 12, "jjbea": 18, "s10": 8}


class NumberRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Serials that the post gave us, from ``first`` to ``last``, both counted in.

    Attributes:
        prefix: what stands before the serial: digits (``gs1``, ``jjbea``; for ``mail_id`` the FCC and the customer),
            or the two letters of the service (``s10``).
        gtin: of the product, 14 digits (``gs1``).
        country: two letters (``s10``).
        piece: digits of the piece, 7, 9 or 11 (``mail_id``).
        warn_below: so many numbers left are too few.
    """

    kind: Kind
    first: Annotated[int, Meta(ge=0)]
    last: Annotated[int, Meta(ge=0)]
    prefix: Annotated[str, Meta(pattern=r"^(?:[0-9]{0,17}|[A-Z]{2})$")] = ""
    gtin: Annotated[str, Meta(pattern=r"^[0-9]{14}$")] | None = None
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}$")] | None = None
    piece: Literal[7, 9, 11] | None = None
    warn_below: Annotated[int, Meta(ge=0)] = 1000

    @property
    def series(self) -> str:
        """All that stands in a number beside its serial: of one series no serial is given twice, whatever the range."""
        parts = (self.kind, self.gtin, self.prefix, self.country, self.piece)
        return "|".join("" if part is None else str(part) for part in parts)

    def __post_init__(self) -> None:
        """Refuse a range that cannot give good numbers.

        Raises:
            ValueError: first and last are in disorder, a serial has too many digits, or the kind needs other parts.
        """
        needed = {"gs1": {"gtin"}, "s10": {"country"}, "mail_id": {"piece"}}.get(self.kind, set())
        if {name for name in ("gtin", "country", "piece") if getattr(self, name) is not None} != needed:
            raise ValueError(f"a range of {self.kind} has {', '.join(needed) or 'none of gtin, country and piece'}")
        if self.first > self.last:
            raise ValueError("the first number of a range is not above its last")
        for serial in (self.first, self.last):
            if (problem := check(self.kind, self.number(serial))) is not None:
                raise ValueError(f"a range of {self.kind} can't give good numbers: {problem.detail}")

    def number(self, serial: int) -> str:
        """The whole number, with its check digits, of a serial of this range."""
        if self.kind == "s10":
            digits = f"{serial:08}"
            return f"{self.prefix}{digits}{s10_check(digits) if len(digits) == len(_S10_WEIGHTS) else ''}{self.country}"
        if self.kind == "mail_id":
            return f"JJBEA{self.prefix}{serial:0{self.piece}}"
        digits = f"{self.prefix}{serial:0{_DIGITS[self.kind] - len(self.prefix)}}"
        return f"01{self.gtin}21{digits}" if self.kind == "gs1" else f"JJBEA{digits}"


def check_ranges(ranges: Sequence[NumberRange]) -> None:
    """Refuse ranges of which two have a number in common.

    Raises:
        ValueError: they have.
    """
    ordered = sorted(ranges, key=lambda each: (each.series, each.first))
    for one, other in pairwise(ordered):
        if one.series == other.series and other.first <= one.last:
            raise ValueError(f"two ranges of {one.kind} have numbers in common")


def gtin_check(digits: str) -> int:
    """The check digit of the first thirteen digits of a GTIN-14 (GS1 General Specifications, 7.9)."""
    return -sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(digits)) % 10


def s10_check(serial: str) -> int:
    """The check digit of eight digits (UPU S10): 11 - weighted sum mod 11, where 10 becomes 0 and 11 becomes 5."""
    rest = 11 - sum(int(digit) * weight for digit, weight in zip(serial, _S10_WEIGHTS, strict=True)) % 11
    return {10: 0, 11: 5}.get(rest, rest)


def check(kind: Kind, number: str) -> Problem | None:
    """What is wrong with a number: ``REG_BARCODE_INVALID`` or ``S10_CHECK``. Nothing of it stands in the sentence."""
    found = _FORMS[kind].fullmatch(number)
    if found is None:
        return Problem("REG_BARCODE_INVALID", f"This is no number of the kind {kind}.")
    if kind == "gs1" and gtin_check(found[1][:13]) != int(found[1][13]):
        return Problem("REG_BARCODE_INVALID", "The check digit of the product number (GTIN) is wrong.")
    if kind == "s10" and s10_check(found[1]) != int(found[2]):
        return Problem("S10_CHECK", "The check digit of the international number is wrong.")
    return None


def kind_of(number: str) -> Kind | None:
    """The kind of registered number that this is by its form."""
    return next((kind for kind in REGISTERED if _FORMS[kind].fullmatch(number)), None)


def shown(kind: Kind, number: str) -> str:
    """The number as people read it."""
    if kind == "gs1":
        return f"(01){number[2:16]}(21){number[18:]}"
    if kind == "s10":
        return f"{number[:2]} {number[2:5]} {number[5:8]} {number[8:11]} {number[11:]}"
    return number


def check_announcement(fields: Sequence[str]) -> Problem | None:
    """``ADDR_LENGTH`` when a field is longer than an announcement of a registered letter takes."""
    if any(len(field) > MOST_CHARACTERS for field in fields):
        return Problem("ADDR_LENGTH", f"A registered letter's fields have at most {MOST_CHARACTERS} characters each.")
    return None
