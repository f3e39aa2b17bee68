"""Codes that people read from paper and type."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.verification import ALPHABET, BITS, read, written

NUMBERS = st.integers(0, (1 << BITS) - 1)


@given(NUMBERS)
def test_what_is_written_is_read(number: int) -> None:
    code = written(number)
    assert read(code) == code
    assert len(code.replace("-", "")) == 12


@given(NUMBERS)
def test_however_it_is_typed(number: int) -> None:
    code = written(number)
    typed = code.replace("0", "o").replace("1", "l").lower().replace("-", " – ")
    assert read(typed) == code
    assert read(code.replace("-", "")) == code


@given(NUMBERS, NUMBERS)
def test_two_numbers_have_two_codes(one: int, other: int) -> None:
    assert (written(one) == written(other)) is (one == other)


@given(st.text(max_size=40))
def test_no_text_is_taken_for_more_than_it_is(text: str) -> None:
    found = read(text)
    if found is not None:
        assert all(sign in ALPHABET for sign in found.replace("-", ""))
        assert len(found) == 14


@pytest.mark.parametrize("text", ["", "7Q4K-ZZ2P-9M3", "7Q4K-ZZ2P-9M3TT", "7Q4K-ZZ2P-9M3U", "７Q4K-ZZ2P-9M3T", "'; --"])
def test_other_texts_are_no_codes(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize("number", [-1, 1 << BITS])
def test_no_code_is_shortened(number: int) -> None:
    with pytest.raises(ValueError, match="bits"):
        written(number)
