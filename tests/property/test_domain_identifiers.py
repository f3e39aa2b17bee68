"""What holds for every number: check digits catch each wrong digit, and the normal form is a fixed point."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.identifiers import (
    NumberInvalid,
    format_ogm,
    parse_administration,
    parse_iban,
    parse_insz,
    parse_kbo,
    parse_ogm,
)

months = st.builds(lambda month, added: month + added, st.integers(0, 12), st.sampled_from((0, 20, 40)))
births = st.builds(lambda yy, mm, rest: f"{yy:02}{mm:02}{rest:05}", st.integers(0, 99), months, st.integers(0, 99_999))
wrongs = st.integers(1, 9)


def _insz(birth: str, century: str) -> str:
    return f"{birth}{97 - int(century + birth) % 97:02}"


def _kbo(first: int) -> str:
    return f"{first:08}{97 - first % 97:02}"


def _ogm(first: int) -> str:
    return f"{first:010}{first % 97 or 97:02}"


def _iban(account: int) -> str:
    bban = _ogm(account)
    return f"BE{98 - int(f'{bban}111400') % 97:02}{bban}"


def _spoilt(number: str, place: int, added: int) -> str:
    """The number with one digit changed to another digit."""
    return f"{number[:place]}{(int(number[place]) + added) % 10}{number[place + 1 :]}"


@settings(deadline=None)
@given(births, st.sampled_from(("", "2")))
def test_citizens_of_both_centuries_are_known(birth: str, century: str) -> None:
    assert parse_insz(_insz(birth, century)) == _insz(birth, century)


@settings(deadline=None)
@given(births, st.sampled_from(("", "2")), st.integers(0, 10), wrongs)
def test_one_wrong_digit_is_never_the_same_century_s_number(birth: str, century: str, place: int, added: int) -> None:
    spoilt = _spoilt(_insz(birth, century), place, added)
    # Mod 97 guarantees it within a century; the other century's rule may take it by chance.
    other = "2" if not century else ""
    if spoilt != _insz(spoilt[:9], other):
        with pytest.raises(NumberInvalid):
            parse_insz(spoilt)


@settings(deadline=None)
@given(st.integers(1, 19_999_999), st.integers(0, 9), wrongs)
def test_one_wrong_digit_is_never_an_enterprise(first: int, place: int, added: int) -> None:
    number = _kbo(first)
    assert parse_kbo(number) == number
    with pytest.raises(NumberInvalid):
        parse_kbo(_spoilt(number, place, added))


@settings(deadline=None)
@given(st.integers(0, 9_999_999_999), st.integers(0, 11), wrongs)
def test_one_wrong_digit_is_never_a_structured_communication(first: int, place: int, added: int) -> None:
    number = _ogm(first)
    assert parse_ogm(format_ogm(number)) == number
    with pytest.raises(NumberInvalid):
        parse_ogm(_spoilt(number, place, added))


@settings(deadline=None)
@given(st.integers(0, 9_999_999_999), st.integers(2, 15), wrongs)
def test_one_wrong_digit_is_never_an_account(account: int, place: int, added: int) -> None:
    number = _iban(account)
    assert parse_iban(number) == number
    with pytest.raises(NumberInvalid):
        parse_iban(_spoilt(number, place, added))


@settings(deadline=None)
@given(st.text(max_size=40) | st.from_regex(r"[A-Z0-9 ./+-]{0,20}", fullmatch=True))
def test_any_text_is_a_number_in_normal_form_or_refused(text: str) -> None:
    for parse in (parse_insz, parse_kbo, parse_administration, parse_ogm, parse_iban):
        try:
            normal = parse(text)
        except NumberInvalid:
            continue
        assert parse(normal) == normal
        assert normal.isascii()
