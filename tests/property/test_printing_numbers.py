import pytest
from hypothesis import given
from hypothesis import strategies as st

from printing.numbers import (
    NumberRange,
    check,
    check_announcement,
    check_ranges,
    gtin_check,
    kind_of,
    s10_check,
    shown,
)

GS1 = NumberRange(kind="gs1", gtin="05412885004526", prefix="22", first=0, last=9_999_999_999)
JJBEA = NumberRange(kind="jjbea", prefix="1234567", first=0, last=99_999_999_999)
S10 = NumberRange(kind="s10", prefix="RR", country="BE", first=0, last=99_999_999)
MAIL_IDS = [
    NumberRange(kind="mail_id", prefix="1012345", piece=piece, first=0, last=10**piece - 1) for piece in (7, 9, 11)
]


def test_published_numbers_are_good() -> None:
    assert check("gs1", "010541288500452621221234567890") is None
    assert GS1.number(1_234_567_890) == "010541288500452621221234567890"
    assert shown("gs1", GS1.number(1_234_567_890)) == "(01)05412885004526(21)221234567890"
    assert (s10_check("47312482"), s10_check("00000000")) == (9, 5)
    assert S10.number(47312482) == "RR473124829BE"
    assert shown("s10", "RR473124829BE") == "RR 473 124 829 BE"
    assert gtin_check("0541288500452") == 6


@given(st.integers(0, 99_999_999))
def test_the_check_digit_of_s10_is_the_one_that_makes_the_sum_right(serial: int) -> None:
    digits = f"{serial:08}"
    total = sum(int(digit) * weight for digit, weight in zip(digits, (8, 6, 4, 2, 3, 5, 9, 7), strict=True))
    digit = s10_check(digits)
    # The rule has two exceptions, for the remainders that one digit can't name.
    assert {0: digit == 5, 1: digit == 0}.get(total % 11, (total + digit) % 11 == 0)


@given(st.integers(0, 99_999_999), st.integers(0, 7), st.integers(1, 9))
def test_one_wrong_digit_of_an_international_number_is_found(serial: int, place: int, by: int) -> None:
    digits = f"{serial:08}"
    wrong = digits[:place] + str((int(digits[place]) + by) % 10) + digits[place + 1 :]
    if s10_check(wrong) != s10_check(digits):
        problem = check("s10", f"RR{wrong}{s10_check(digits)}BE")
        assert problem is not None
        assert problem.code == "S10_CHECK"
        assert wrong not in problem.detail
    else:
        # Only the two remainders that share a digit with another escape: 11 → 5 with 6, 10 → 0 with none.
        assert s10_check(digits) in {0, 5}


@given(st.text("0123456789", min_size=13, max_size=13), st.integers(0, 12), st.integers(1, 9))
def test_one_wrong_digit_of_a_product_number_is_found(digits: str, place: int, by: int) -> None:
    good = f"01{digits}{gtin_check(digits)}21000000000001"
    assert check("gs1", good) is None
    wrong = good[: 2 + place] + str((int(digits[place]) + by) % 10) + good[3 + place :]
    problem = check("gs1", wrong)
    assert problem is not None
    assert problem.code == "REG_BARCODE_INVALID"


@given(st.sampled_from([GS1, JJBEA, S10, *MAIL_IDS]), st.data())
def test_every_serial_of_a_range_gives_a_good_number_of_its_own(numbers: NumberRange, data: st.DataObject) -> None:
    serials = data.draw(st.lists(st.integers(numbers.first, numbers.last), min_size=2, max_size=2, unique=True))
    made = [numbers.number(serial) for serial in serials]
    assert [check(numbers.kind, number) for number in made] == [None, None]
    assert made[0] != made[1]
    if numbers.kind != "mail_id":
        assert kind_of(made[0]) == numbers.kind


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("gs1", "01054128850045262122123456789"),
        ("gs1", "010541288500452721221234567890"),
        ("jjbea", "JJBEA12345678901234567"),
        ("jjbea", "JJBEB123456789012345678"),
        ("mail_id", "JJBEA1012345123456"),
        ("s10", "RR47312482BE"),
        ("s10", "R1473124829BE"),
        ("jjbea", "JJBEA١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨"),
    ],
)
def test_what_is_no_number_of_its_kind_is_named_so(kind: str, number: str) -> None:
    problem = check(kind, number)  # type: ignore[arg-type]
    assert problem is not None
    assert problem.code == "REG_BARCODE_INVALID"
    assert number not in problem.detail


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "gs1", "gtin": "05412885004527", "first": 1, "last": 2},
        {"kind": "gs1", "first": 1, "last": 2},
        {"kind": "gs1", "gtin": "05412885004526", "prefix": "22", "first": 1, "last": 10**10},
        {"kind": "jjbea", "first": 2, "last": 1},
        {"kind": "jjbea", "first": 1, "last": 2, "country": "BE"},
        {"kind": "s10", "prefix": "RR", "first": 1, "last": 2},
        {"kind": "s10", "prefix": "12", "country": "BE", "first": 1, "last": 2},
        {"kind": "s10", "prefix": "RR", "country": "BE", "first": 1, "last": 10**8},
        {"kind": "mail_id", "prefix": "101234", "piece": 7, "first": 1, "last": 2},
        {"kind": "mail_id", "prefix": "1012345", "piece": 7, "first": 1, "last": 10**7},
    ],
)
def test_a_range_that_can_give_no_good_numbers_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"range"):
        NumberRange(**wrong)  # type: ignore[arg-type]


def test_ranges_with_numbers_in_common_are_refused() -> None:
    one = NumberRange(kind="s10", prefix="RR", country="BE", first=1, last=10)
    check_ranges([one, NumberRange(kind="s10", prefix="RR", country="BE", first=11, last=20)])
    check_ranges([one, NumberRange(kind="s10", prefix="RS", country="BE", first=1, last=10)])
    with pytest.raises(ValueError, match="in common"):
        check_ranges([NumberRange(kind="s10", prefix="RR", country="BE", first=10, last=20), one])


def test_a_field_that_no_announcement_takes_is_named() -> None:
    assert check_announcement(["x" * 50]) is None
    problem = check_announcement(["x" * 51])
    assert problem is not None
    assert problem.code == "ADDR_LENGTH"
