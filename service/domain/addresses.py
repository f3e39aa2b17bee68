"""Postal addresses as the post wants them, and why letters come back (bpost addressing rules)."""

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from service.domain.countries import COUNTRIES
from service.domain.errors import FieldError

BELGIUM: Final = "BE"

MAX_STREET: Final = 42
MAX_MUNICIPALITY: Final = 30
MAX_LINE: Final = 50

_POINTER: Final = "/postal_address/"
_FORBIDDEN: Final = frozenset('#&§"()')
_POSTCODE: Final = re.compile(r"[1-9][0-9]{3}")
_BOX_WORD: Final = re.compile(r"(?:bus|bte|box)\.?\s*(?=\S)", re.IGNORECASE)
_BOX: Final = re.compile(r"[0-9A-Z][0-9A-Z./-]{0,7}", re.IGNORECASE)
_BOX_IN_NUMBER: Final = re.compile(r"/|bus|bte|box", re.IGNORECASE)
_DUTCH: Final = (range(1500, 4000), range(8000, 10000))
_BILINGUAL: Final = range(1000, 1300)


class AddressCode(StrEnum):
    """Codes of address problems; the part of the letter checks that needs no page."""

    EMPTY = "ADDR_EMPTY"
    LINES = "ADDR_LINES"
    POSTCODE = "ADDR_POSTCODE"
    CITY = "ADDR_CITY"
    BOX = "ADDR_BOX"
    CHARS = "ADDR_CHARS"
    LENGTH = "ADDR_LENGTH"
    COUNTRY = "ADDR_COUNTRY"


class ReturnReason(StrEnum):
    """Why a letter came back or was given up, by the code of the post."""

    M01 = "M01"
    M02 = "M02"
    M03 = "M03"
    M04 = "M04"
    M05 = "M05"
    M06 = "M06"
    M07 = "M07"
    M08 = "M08"
    F01 = "F01"
    F02 = "F02"
    F03 = "F03"

    @property
    def meaning(self) -> str:
        """The cause in words."""
        return _MEANINGS[self]


_MEANINGS: Final = {
    ReturnReason.M01: "addressee not found at this address",
    ReturnReason.M02: "addressee deceased",
    ReturnReason.M03: "addressee unknown",
    ReturnReason.M04: "addressee moved",
    ReturnReason.M05: "refused by the addressee",
    ReturnReason.M06: "wrong address",
    ReturnReason.M07: "non-existent address",
    ReturnReason.M08: "insufficient address",
    ReturnReason.F01: "stolen on the way",
    ReturnReason.F02: "lost on the way",
    ReturnReason.F03: "damaged on the way",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostalAddress:
    """Where a letter goes, field by field; nothing of it is shown by ``repr``.

    Attributes:
        name: of the recipient.
        street: without house number.
        number: house number; in Belgium without the box.
        box: with or without ``bus``, ``bte`` or ``box`` before it.
        postcode: four digits in Belgium; as usual there abroad, empty where a country has none.
        municipality: alone, without postcode.
        country: ISO 3166-1 alpha-2 code, in capitals.
        attention_of: a person or department, printed below the name.
    """

    name: str = field(repr=False)
    street: str = field(repr=False)
    number: str | None = field(default=None, repr=False)
    box: str | None = field(default=None, repr=False)
    postcode: str = field(repr=False)
    municipality: str = field(repr=False)
    country: str = BELGIUM
    attention_of: str | None = field(default=None, repr=False)


def lines(address: PostalAddress, *, language: str | None = None) -> tuple[str, ...]:
    """The address as it is printed: 3 to 5 lines when `check` finds nothing; abroad the country last, in capitals.

    The post takes 3 to 7. Runs of spaces become one; a line without content is left out. The box is named in the
    language of the place; in Brussels, which has two, in the letter's.

    Args:
        address: where the letter goes.
        language: of the letter, as a two-letter code.
    """
    country = "" if address.country == BELGIUM else COUNTRIES.get(address.country, "")
    every = (
        _tidy(address.name),
        _tidy(address.attention_of),
        _street_line(address, language),
        _town_line(address),
        country,
    )
    return tuple(line for line in every if line)


def check(address: PostalAddress) -> tuple[FieldError, ...]:
    """What is wrong with an address, in the order of its fields; nothing when it can be printed and posted.

    The pointers begin with ``/postal_address/``. No sentence repeats a value.
    """
    return (
        *_characters(address),
        *_presence(address),
        *_places(address),
        *_boxes(address),
        *_lengths(address),
    )


def _tidy(text: str | None) -> str:
    return " ".join((text or "").split())


def _street_line(address: PostalAddress, language: str | None = None) -> str:
    return _tidy(f"{address.street} {address.number or ''} {_box(address, language)}")


def _town_line(address: PostalAddress) -> str:
    return _tidy(f"{address.postcode} {address.municipality}")


def _box(address: PostalAddress, language: str | None) -> str:
    box = _BOX_WORD.sub("", _tidy(address.box), count=1)
    if not box:
        return ""
    if address.country != BELGIUM:
        return f"box {box}"
    text = _tidy(address.postcode)
    postcode = int(text) if _POSTCODE.fullmatch(text) is not None else 0
    dutch = language == "nl" if postcode in _BILINGUAL else any(postcode in part for part in _DUTCH)
    return f"bus {box}" if dutch else f"bte {box}"


def _error(code: AddressCode, name: str, detail: str) -> FieldError:
    # Who the letter is for stands beside the address in what is handed in.
    pointer = "/attention_of" if name == "attention_of" else _POINTER + name
    return FieldError(pointer, code.value, detail)


def _fields(address: PostalAddress) -> tuple[tuple[str, str], ...]:
    return (
        ("name", address.name),
        ("attention_of", address.attention_of or ""),
        ("street", address.street),
        ("number", address.number or ""),
        ("box", address.box or ""),
        ("postcode", address.postcode),
        ("municipality", address.municipality),
    )


def _printable(character: str) -> bool:
    """Latin letters, figures, spaces and marks; sorting machines abroad and at home read nothing else."""
    if character in _FORBIDDEN or not character.isprintable():
        return False
    return not character.isalpha() or unicodedata.name(character, "").startswith(("LATIN ", "MASCULINE ", "FEMININE "))


def _characters(address: PostalAddress) -> list[FieldError]:
    detail = 'An address has Latin letters only, on one line, and none of # & § " ( ).'
    return [
        _error(AddressCode.CHARS, name, detail)
        for name, text in _fields(address)
        if not all(_printable(character) for character in unicodedata.normalize("NFC", text))
    ]


def _presence(address: PostalAddress) -> list[FieldError]:
    found = [
        _error(AddressCode.EMPTY, name, detail)
        for name, text, detail in (
            ("name", address.name, "A letter needs a name."),
            ("street", address.street, "A letter needs a street, or the words that stand for one."),
            ("municipality", address.municipality, "A letter needs a municipality."),
        )
        if not _tidy(text)
    ]
    if address.attention_of is not None and not _tidy(address.attention_of):
        found.append(_error(AddressCode.LINES, "attention_of", "An address has no blank lines."))
    return found


def _places(address: PostalAddress) -> list[FieldError]:
    if address.country not in COUNTRIES:
        return [_error(AddressCode.COUNTRY, "country", "This is not the two-letter code of a country.")]
    town = _tidy(address.municipality)
    found = []
    if address.country == BELGIUM and _POSTCODE.fullmatch(_tidy(address.postcode)) is None:
        found.append(_error(AddressCode.POSTCODE, "postcode", "A Belgian postcode is four digits, without B-."))
    named = any(character.isalpha() for character in town)
    numbered = address.country == BELGIUM and any(character.isdigit() for character in town)
    if town and (numbered or not named):
        found.append(_error(AddressCode.CITY, "municipality", "A municipality is a name, without its postcode."))
    return found


def _boxes(address: PostalAddress) -> list[FieldError]:
    found = []
    if address.country == BELGIUM and _BOX_IN_NUMBER.search(address.number or "") is not None:
        found.append(_error(AddressCode.BOX, "number", "Put the box in its own field, apart from the house number."))
    box = _BOX_WORD.sub("", _tidy(address.box), count=1)
    if box and _BOX.fullmatch(box) is None:
        found.append(_error(AddressCode.BOX, "box", "A box is a number or letters, at most eight characters."))
    return found


def _lengths(address: PostalAddress) -> list[FieldError]:
    found = [
        _error(AddressCode.LENGTH, name, f"This may have at most {limit} characters.")
        for name, text, limit in (
            ("name", address.name, MAX_LINE),
            ("attention_of", address.attention_of, MAX_LINE),
            ("street", address.street, MAX_STREET),
            ("municipality", address.municipality, MAX_MUNICIPALITY),
        )
        if len(_tidy(text)) > limit
    ]
    if len(_tidy(address.street)) <= MAX_STREET and len(_street_line(address)) > MAX_LINE:
        found.append(_error(AddressCode.LENGTH, "number", f"Street, number and box fit on {MAX_LINE} characters."))
    if len(_tidy(address.municipality)) <= MAX_MUNICIPALITY and len(_town_line(address)) > MAX_LINE:
        found.append(_error(AddressCode.LENGTH, "postcode", f"Postcode and town fit on {MAX_LINE} characters."))
    return found
