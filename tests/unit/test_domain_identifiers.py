"""Numbers of people, enterprises, administrations and payments."""

import pytest

from service.domain.identifiers import (
    NumberInvalid,
    RecipientId,
    RecipientKind,
    format_ogm,
    parse_administration,
    parse_iban,
    parse_insz,
    parse_kbo,
    parse_ogm,
)

CITIZENS = ["85073003328", "17073003384", "98472899765", "01490700185", "00000100195", "85073500107", "94022722580"]
ENTERPRISES = ["0403019261", "0428759497", "0206731645", "0406798006", "0852093431", "0534530277"]


@pytest.mark.parametrize("number", CITIZENS)
def test_numbers_of_citizens_are_known(number: str) -> None:
    assert parse_insz(number) == number
    assert parse_insz(f" {number[:2]}.{number[2:4]}.{number[4:6]}-{number[6:9]}.{number[9:]} ") == number


@pytest.mark.parametrize(
    "text", ["12345678901", "85133000105", "", "8507300332", "850730033288", "8507300332x", "٨٥٠٧٣٠٠٣٣٢٨"]
)
def test_other_numbers_are_no_citizens(text: str) -> None:
    with pytest.raises(NumberInvalid) as caught:
        parse_insz(text)
    assert caught.value.code == "insz_invalid"


@pytest.mark.parametrize("number", ENTERPRISES)
def test_numbers_of_enterprises_are_known_in_every_dress(number: str) -> None:
    dresses = [number, f"BE{number}", f"be {number[:4]}.{number[4:7]}.{number[7:]}", number[1:], f"BE {number[1:]}"]
    assert {parse_kbo(dress) for dress in dresses} == {number}


@pytest.mark.parametrize(
    "text", ["0431150351", "0123456789", "BE0000000000", "BE2000021323", "0000000097", "", "40301926", "NL0403019261"]
)
def test_other_numbers_are_no_enterprises(text: str) -> None:
    with pytest.raises(NumberInvalid) as caught:
        parse_kbo(text)
    assert caught.value.code == "kbo_invalid"


@pytest.mark.parametrize("text", ["0200000700", "0200000798"])
def test_check_digits_of_enterprises_are_01_to_97(text: str) -> None:
    with pytest.raises(NumberInvalid):
        parse_kbo(text)


def test_an_administration_has_an_ovo_code_or_an_enterprise_number() -> None:
    assert parse_administration("ovo 002949") == "OVO002949"
    assert parse_administration("BE 0206.731.645") == "0206731645"


@pytest.mark.parametrize("text", ["OVO12345", "OVO1234567", "OVO12345x", "002949", "0431150351", ""])
def test_other_texts_are_no_administrations(text: str) -> None:
    with pytest.raises(NumberInvalid) as caught:
        parse_administration(text)
    assert caught.value.code == "administration_number_invalid"


def test_structured_communications_are_checked_and_printed_as_people_know_them() -> None:
    assert parse_ogm("+++123/4567/89002+++") == "123456789002"
    assert format_ogm("123456789002") == "+++123/4567/89002+++"
    assert parse_ogm("***000/0000/09797***") == "000000009797"


@pytest.mark.parametrize("text", ["+++123/4567/89003+++", "+++000/0000/09700+++", "12345678900", "", "x"])
def test_other_texts_are_no_structured_communications(text: str) -> None:
    with pytest.raises(NumberInvalid) as caught:
        parse_ogm(text)
    assert caught.value.code == "ogm_invalid"


@pytest.mark.parametrize("text", ["BE68 5390 0754 7034", "be68539007547034", "NL91 ABNA 0417 1643 00"])
def test_account_numbers_are_known(text: str) -> None:
    assert parse_iban(text) == text.replace(" ", "").upper()


@pytest.mark.parametrize(
    "text",
    ["BE68539007547035", "BE6853900754703", "XX68539007547034", "BE٦٨539007547034", "BE01539007547034", "BE", ""],
)
def test_other_texts_are_no_account_numbers(text: str) -> None:
    with pytest.raises(NumberInvalid) as caught:
        parse_iban(text)
    assert caught.value.code == "iban_invalid"


def test_recipients_are_known_by_the_number_of_their_kind() -> None:
    assert RecipientId.parse(RecipientKind.CITIZEN, "85.07.30-033.28").value == "85073003328"
    assert RecipientId.parse(RecipientKind.ENTERPRISE, "BE403019261").value == "0403019261"
    assert RecipientId.parse(RecipientKind.ADMINISTRATION, "OVO002949").value == "OVO002949"
    with pytest.raises(NumberInvalid) as caught:
        RecipientId.parse(RecipientKind.POSTAL, "85073003328")
    assert caught.value.code == "number_not_expected"


def test_a_number_never_shows_itself() -> None:
    recipient = RecipientId.parse(RecipientKind.CITIZEN, "85073003328")
    assert "85073003328" not in f"{recipient} {recipient!r} {[recipient]}"
    for kind in RecipientKind:
        with pytest.raises(NumberInvalid) as caught:
            RecipientId.parse(kind, "12345678901")
        error = caught.value
        assert "12345678901" not in f"{error} {error!r} {error.context} {error.errors}"
        assert error.__cause__ is None


def test_equal_numbers_are_equal_recipients() -> None:
    parsed = {RecipientId.parse(RecipientKind.CITIZEN, text) for text in ("85.07.30-033.28", "85073003328")}
    assert len(parsed) == 1
