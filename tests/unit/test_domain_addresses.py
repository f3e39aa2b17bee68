"""Postal addresses: what is printed, what is refused, and why letters come back."""

from dataclasses import replace

import pytest

from service.domain.addresses import AddressCode, PostalAddress, ReturnReason, check, lines
from service.domain.countries import COUNTRIES

GENT = PostalAddress(
    name="An Peeters", street="Kerkstraat", number="12", box="3", postcode="9000", municipality="Gent", country="BE"
)
PARIS = PostalAddress(
    name="Zoë Lefèvre", street="Rue de l'Église", number="7", postcode="75008", municipality="Paris 08", country="FR"
)


def _codes(address: PostalAddress) -> list[tuple[str | None, str]]:
    return [(error.pointer, error.code) for error in check(address)]


def test_a_belgian_address_has_no_country_line() -> None:
    assert lines(GENT) == ("An Peeters", "Kerkstraat 12 bus 3", "9000 Gent")
    assert check(GENT) == ()


def test_an_address_abroad_ends_with_its_country_in_capitals() -> None:
    assert lines(PARIS) == ("Zoë Lefèvre", "Rue de l'Église 7", "75008 Paris 08", "FRANCE")
    assert lines(replace(PARIS, box="12"))[1] == "Rue de l'Église 7 box 12"
    assert check(PARIS) == ()


def test_a_person_or_department_stands_below_the_name() -> None:
    address = replace(GENT, name="Gemeente Voorbeeld", attention_of="Dienst Burgerzaken")
    assert lines(address)[:2] == ("Gemeente Voorbeeld", "Dienst Burgerzaken")
    assert check(address) == ()


@pytest.mark.parametrize(
    ("postcode", "box", "printed"),
    [
        ("9000", "bus 3", "Kerkstraat 12 bus 3"),
        ("3500", "BTE. A2", "Kerkstraat 12 bus A2"),
        ("4000", "box3", "Kerkstraat 12 bte 3"),
        ("1000", "3", "Kerkstraat 12 bte 3"),
        ("1300", "3", "Kerkstraat 12 bte 3"),
        ("x", "3", "Kerkstraat 12 bte 3"),
        ("9000", " ", "Kerkstraat 12"),
        ("9000", None, "Kerkstraat 12"),
    ],
)
def test_the_box_is_named_in_the_language_of_the_place(postcode: str, box: str | None, printed: str) -> None:
    assert lines(replace(GENT, postcode=postcode, box=box))[1] == printed


def test_in_brussels_the_box_is_named_in_the_language_of_the_letter() -> None:
    brussels = replace(GENT, postcode="1000", municipality="Brussel")
    assert lines(brussels, language="nl")[1] == "Kerkstraat 12 bus 3"
    assert lines(brussels, language="fr")[1] == "Kerkstraat 12 bte 3"
    assert lines(GENT, language="fr")[1] == "Kerkstraat 12 bus 3"


def test_spaces_are_tidied_and_empty_lines_left_out() -> None:
    assert lines(replace(GENT, name="  An   Peeters ", street="", number=None, box=None)) == ("An Peeters", "9000 Gent")


@pytest.mark.parametrize("name", ["name", "street", "municipality"])
def test_a_letter_needs_name_street_and_municipality(name: str) -> None:
    assert (f"/postal_address/{name}", "ADDR_EMPTY") in _codes(replace(GENT, **{name: "  "}))


def test_a_blank_line_is_none() -> None:
    assert _codes(replace(GENT, attention_of=" ")) == [("/attention_of", "ADDR_LINES")]


@pytest.mark.parametrize("postcode", ["", "900", "90000", "B-9000", "0900", "9OOO", "٩٠٠٠"])
def test_a_belgian_postcode_is_four_digits(postcode: str) -> None:
    assert ("/postal_address/postcode", "ADDR_POSTCODE") in _codes(replace(GENT, postcode=postcode))


def test_a_postcode_abroad_is_as_usual_there() -> None:
    assert check(replace(PARIS, country="GB", postcode="SW1A 2AA", municipality="London")) == ()
    assert check(replace(PARIS, country="HK", postcode="", municipality="Hong Kong")) == ()


@pytest.mark.parametrize(("country", "municipality"), [("BE", "9000 Gent"), ("BE", "-"), ("FR", "75008")])
def test_a_municipality_is_a_name(country: str, municipality: str) -> None:
    address = replace(GENT, country=country, municipality=municipality)
    assert _codes(address) == [("/postal_address/municipality", "ADDR_CITY")]


@pytest.mark.parametrize("number", ["12/3", "12 bus 3", "12 BTE 3", "12 box 3", "12bus3"])
def test_a_box_does_not_hide_in_the_house_number(number: str) -> None:
    assert _codes(replace(GENT, number=number, box=None)) == [("/postal_address/number", "ADDR_BOX")]
    assert check(replace(PARIS, number="12/3")) == ()


@pytest.mark.parametrize("box", ["123456789", "bus -", "3 rechts", "bus"])
def test_a_box_is_a_short_number_or_letters(box: str) -> None:
    expected = [] if box == "bus" else [("/postal_address/box", "ADDR_BOX")]
    assert _codes(replace(GENT, box=box)) == expected


@pytest.mark.parametrize("character", [*'#&§"()', "\n", "\t", "\x00", "\u2028", "\u202e", "Ж", "ψ", "京"])
def test_what_sorting_machines_cannot_read_is_refused(character: str) -> None:
    assert _codes(replace(GENT, name=f"An{character}Peeters")) == [("/postal_address/name", "ADDR_CHARS")]
    assert _codes(replace(GENT, attention_of=f"An{character}")) == [("/attention_of", "ADDR_CHARS")]


def test_accents_are_read_however_they_are_encoded() -> None:
    assert check(replace(GENT, name="Zoe\u0308 D'Hondt-Çelik ß ø 2º 1ª")) == ()


@pytest.mark.parametrize(
    ("name", "length", "pointer"),
    [
        ("name", 50, "/postal_address/name"),
        ("attention_of", 50, "/attention_of"),
        ("street", 42, "/postal_address/street"),
        ("municipality", 30, "/postal_address/municipality"),
    ],
)
def test_each_field_fits_its_line(name: str, length: int, pointer: str) -> None:
    short = replace(GENT, number="1", box=None)
    assert check(replace(short, **{name: "a" * length})) == ()
    assert _codes(replace(short, **{name: "a" * (length + 1)})) == [(pointer, "ADDR_LENGTH")]


def test_the_parts_of_a_line_fit_on_it_together() -> None:
    assert _codes(replace(GENT, street="a" * 42, number="1234")) == [("/postal_address/number", "ADDR_LENGTH")]
    assert _codes(replace(PARIS, postcode="1" * 50)) == [("/postal_address/postcode", "ADDR_LENGTH")]


@pytest.mark.parametrize("country", ["", "be", "Belgium", "XX", "UK"])
def test_a_country_is_a_code_of_iso_3166(country: str) -> None:
    assert _codes(replace(GENT, country=country)) == [("/postal_address/country", "ADDR_COUNTRY")]


def test_every_country_can_be_printed() -> None:
    for code, name in COUNTRIES.items():
        assert len(code) == 2
        assert name == name.upper()
        assert check(replace(PARIS, country=code, postcode="1000", municipality="Town")) == ()
        assert check(replace(GENT, name=name)) == ()


def test_every_address_code_can_occur() -> None:
    worst = PostalAddress(
        name="#", street="a" * 43, number="1/2", box="!", postcode="x", municipality="", attention_of=" "
    )
    seen = {code for _, code in _codes(worst)}
    seen |= {code for _, code in _codes(replace(worst, municipality="1"))}
    seen |= {code for _, code in _codes(replace(worst, country="?"))}
    assert seen == {code.value for code in AddressCode}


def test_an_address_never_shows_itself() -> None:
    address = replace(GENT, attention_of="Jan Janssens")
    shown = f"{address} {check(replace(address, name='#An Peeters', postcode='B-9000'))}"
    for secret in ("An Peeters", "Kerkstraat", "12", "9000", "Gent", "Jan Janssens"):
        assert secret not in shown.replace("3166", "")


def test_every_return_reason_has_a_meaning_of_its_own() -> None:
    assert [reason.value for reason in ReturnReason] == [
        *(f"M0{number}" for number in range(1, 9)),
        *(f"F0{number}" for number in range(1, 4)),
    ]
    assert len({reason.meaning for reason in ReturnReason}) == len(ReturnReason)
