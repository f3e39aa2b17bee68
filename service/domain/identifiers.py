"""Numbers of people, enterprises and administrations, and the numbers of payments.

A value never shows its number by itself: ``repr`` and ``str`` tell only its kind, so that no log or error holds it.

python-stdnum is used where it agrees with the rules of this service (IBAN, after a stricter look at its check digits).
It reads the clock to decide on the century of a citizen's number, while a rule gives the same answer tomorrow; and for
enterprise numbers it lets check digits 00, 98 and 99 through, which nobody has. Those checks stand here.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from stdnum import iban as stdnum_iban
from stdnum.exceptions import ValidationError

from service.domain.errors import FieldError, Invalid

_SEPARATORS: Final = re.compile(r"[\s./-]")
_INSZ: Final = re.compile(r"[0-9]{11}")
_KBO: Final = re.compile(r"(?:BE)?([01][0-9]{9}|[0-9]{9})")
_OVO: Final = re.compile(r"OVO[0-9]{6}")
_OGM: Final = re.compile(r"[0-9]{12}")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}")

_LAST_MONTH: Final = 12
# A BIS number adds 20 to the month when the sex is not known, 40 when it is.
_BIS_MONTHS: Final = (0, 20, 40)
# 98 − remainder: 00, 01 and 99 never occur, although they would pass the remainder test.
_IBAN_CHECKS: Final = range(2, 99)


class RecipientKind(StrEnum):
    """Who a delivery is for; ``postal`` has no number and can only be reached on paper."""

    CITIZEN = "citizen"
    ENTERPRISE = "enterprise"
    ADMINISTRATION = "administration"
    POSTAL = "postal"


class NumberInvalid(Invalid):
    """A number whose form or check digits are wrong. The text never repeats the number."""

    code = "number_invalid"


@dataclass(frozen=True, slots=True)
class RecipientId:
    """A recipient's number in its one normal form: INSZ 11 digits, KBO 10 digits, OVO ``OVO`` + 6 digits."""

    kind: RecipientKind
    value: str = field(repr=False)

    @classmethod
    def parse(cls, kind: RecipientKind, text: str) -> Self:
        """Read a number as people write it, with dots, spaces or a country prefix.

        Raises:
            NumberInvalid: codes ``insz_invalid``, ``kbo_invalid``, ``administration_number_invalid``,
                ``number_not_expected``.
        """
        if kind is RecipientKind.CITIZEN:
            return cls(kind, parse_insz(text))
        if kind is RecipientKind.ENTERPRISE:
            return cls(kind, parse_kbo(text))
        if kind is RecipientKind.ADMINISTRATION:
            return cls(kind, parse_administration(text))
        raise _refuse("number_not_expected", "A recipient without a number is reached by postal address only.")

    def __str__(self) -> str:
        return f"<{self.kind.value} number>"


def parse_insz(text: str) -> str:
    """The national register or BIS number: 11 digits, check = 97 − (first nine mod 97).

    For births from 2000 on a 2 stands in front of the nine. Months are 00–12, with 20 or 40 added in BIS numbers. Any
    day occurs: 00 when it is unknown, above 31 when the numbers of a day ran out.
    """
    digits = _SEPARATORS.sub("", text)
    if _INSZ.fullmatch(digits) is None:
        raise _refuse("insz_invalid", "A national register number has 11 digits.")
    if not any(0 <= int(digits[2:4]) - added <= _LAST_MONTH for added in _BIS_MONTHS):
        raise _refuse("insz_invalid", "This is not a national register number: its date can't be.")
    first, check = digits[:9], int(digits[9:])
    if check not in (97 - int(first) % 97, 97 - int("2" + first) % 97):
        raise _refuse("insz_invalid", "This is not a national register number: its check digits are wrong.")
    return digits


def parse_kbo(text: str) -> str:
    """The enterprise number: 10 digits from 0 or 1, the last two = 97 − (first eight mod 97)."""
    found = _KBO.fullmatch(_SEPARATORS.sub("", text).upper())
    if found is None:
        raise _refuse("kbo_invalid", "An enterprise number has 10 digits and starts with 0 or 1.")
    digits = found[1].zfill(10)
    if digits[:8] == "00000000" or int(digits[8:]) != 97 - int(digits[:8]) % 97:
        raise _refuse("kbo_invalid", "This is not an enterprise number: its check digits are wrong.")
    return digits


def parse_administration(text: str) -> str:
    """The number of an administration: ``OVO`` + six digits, or an enterprise number."""
    plain = _SEPARATORS.sub("", text).upper()
    if plain.startswith("OVO"):
        if _OVO.fullmatch(plain) is None:
            raise _refuse("administration_number_invalid", "An OVO code is OVO and six digits.")
        return plain
    try:
        return parse_kbo(plain)
    except NumberInvalid:
        raise _refuse("administration_number_invalid", "Give an OVO code or an enterprise number.") from None


def parse_ogm(text: str) -> str:
    """The structured communication of a payment: ten digits and their rest by 97 (0 is written 97); 12 digits back."""
    digits = re.sub(r"[\s/+*]", "", text)
    if _OGM.fullmatch(digits) is None or int(digits[10:]) != (int(digits[:10]) % 97 or 97):
        raise _refuse("ogm_invalid", "This is not a structured communication: its check digits are wrong.")
    return digits


def format_ogm(digits: str) -> str:
    """A structured communication as it stands on paper: ``+++123/4567/89002+++``."""
    return f"+++{digits[:3]}/{digits[3:7]}/{digits[7:]}+++"


def parse_iban(text: str) -> str:
    """An account number (ISO 13616, length and form per country), without spaces, in capitals."""
    plain = _SEPARATORS.sub("", text).upper()
    if _IBAN.fullmatch(plain) is None or int(plain[2:4]) not in _IBAN_CHECKS:
        raise _refuse("iban_invalid", "This is not an account number.")
    try:
        # Not the check per country: it refuses banks that are younger than the library's list of them.
        return str(stdnum_iban.validate(plain, check_country=False))
    except ValidationError:
        raise _refuse("iban_invalid", "This is not an account number: its check digits are wrong.") from None


def _refuse(code: str, detail: str) -> NumberInvalid:
    return NumberInvalid(detail, code=code, errors=[FieldError(None, code, detail)])
