from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from printing import profiles
from printing.checks import check_address, check_letter
from printing.errors import BatchRefused, LetterRefused, PrintingError, Problem, ProviderRefused, ProviderUnavailable
from printing.profiles import Box, load, parse
from printing.typeset import clean, face, printable, unprintable, wrap
from tests.printing_support import ADDRESS, document, letter

TOML = (Path(profiles.__file__).with_name("profiles") / "be-right.toml").read_text(encoding="utf-8")


def test_a_composed_letter_has_no_problem() -> None:
    made = letter(document("x", size=(612, 792)))
    assert check_letter(made.pdf, sheets=made.sheets, profile=load()) == ()


def test_pages_that_are_not_upright_a4_are_named() -> None:
    problems = check_letter(document("x", size=(841.89, 595.276)), sheets=1, profile=load())
    assert [(problem.code, problem.page) for problem in problems] == [("PAGE_SIZE", 1)]
    assert "297 × 210 mm" in problems[0].detail


def test_a_page_within_two_millimetres_counts_as_a4() -> None:
    assert check_letter(document("x", size=(600, 846)), sheets=1, profile=load()) == ()


@pytest.mark.parametrize(
    ("sheets", "envelope"), [(1, "C5/6"), (6, "C5/6"), (7, "C5"), (9, "C5"), (10, "C4"), (150, "C4")]
)
def test_a_letter_goes_into_the_smallest_envelope_that_holds_it(sheets: int, envelope: str) -> None:
    found = load().envelope_for(sheets)
    assert found is not None
    assert found.name == envelope
    assert load().grams(sheets) == 5 * sheets + 5
    assert check_letter(document("x"), sheets=sheets, profile=load()) == ()


def test_a_letter_that_no_envelope_holds_is_named_and_still_weighed() -> None:
    small = msgspec.structs.replace(load(), envelopes=load().envelopes[:1])
    made = letter(document(*"abcdefg"), duplex=False, profile=small)
    assert (made.sheets, made.envelope, made.grams) == (8, None, 45)
    assert [problem.code for problem in check_letter(made.pdf, sheets=made.sheets, profile=small)] == [
        "TOO_MANY_SHEETS"
    ]


def test_a_file_that_is_too_big_or_broken_is_named() -> None:
    limits = msgspec.structs.replace(load().limits, letter_bytes=100)
    small = msgspec.structs.replace(load(), limits=limits)
    codes = [problem.code for problem in check_letter(document("x"), sheets=1, profile=small)]
    assert codes == ["FILE_TOO_BIG"]
    codes = [problem.code for problem in check_letter(b"nothing" * 50, sheets=1, profile=small)]
    assert codes == ["FILE_TOO_BIG", "PDF_UNREADABLE"]


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        (ADDRESS, []),
        ((), ["ADDR_EMPTY"]),
        (("", "  "), ["ADDR_EMPTY"]),
        (ADDRESS[:2], ["ADDR_LINES"]),
        ((*ADDRESS, *ADDRESS, *ADDRESS), ["ADDR_LINES"]),
        ((ADDRESS[0], "", ADDRESS[2]), ["ADDR_LINES"]),
        (("x" * 51, *ADDRESS[1:]), ["ADDR_LENGTH"]),
        (("x" * 50, *ADDRESS[1:]), []),
        (("\u4e2d", *ADDRESS[1:]), ["ADDR_CHARS"]),
        (("a\u0007", *ADDRESS[1:]), ["ADDR_CHARS"]),
        (("\u4e2d" * 60,), ["ADDR_LINES", "ADDR_LENGTH", "ADDR_CHARS"]),
    ],
)
def test_an_address_that_cannot_be_printed_is_named_without_its_words(lines: tuple[str, ...], codes: list[str]) -> None:
    problems = check_address(lines, load())
    assert [problem.code for problem in problems] == codes
    assert not any(line in problem.detail for problem in problems for line in lines if line.strip())


@pytest.mark.parametrize("kind", [LetterRefused, BatchRefused, ProviderRefused, ProviderUnavailable])
def test_an_error_says_its_first_problem_and_keeps_all(kind: type[PrintingError]) -> None:
    first, second = Problem("A", "First."), Problem("B", "Second.", 3)
    error = kind(first, second)
    assert (error.code, error.detail, error.problems) == ("A", "First.", (first, second))
    assert str(error) == "A: First."


def test_a_profile_is_read_strictly() -> None:
    assert parse(TOML) == load()
    with pytest.raises(msgspec.ValidationError):
        parse(TOML + "\n[colour]\nblue = 1\n")
    with pytest.raises(msgspec.ValidationError):
        parse(TOML.replace("width = 210", 'width = "wide"'))
    with pytest.raises(ValueError, match="at least one"):
        parse(TOML.replace("sizes = [12, 11]", "sizes = []"))


def test_an_unknown_profile_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        load("../be-right")


def test_the_window_lies_within_its_reach_and_the_code_zone_beside_both() -> None:
    profile = load()
    window, reach = profile.window, profile.window_reach
    assert reach.left <= window.left < window.right <= reach.right
    assert reach.top <= window.top < window.bottom <= reach.bottom
    assert profile.code_zone.right < profile.printable.left
    assert (window.width, window.height) == (106, 29)
    assert replace(Problem("A", "b"), page=1).page == 1
    assert Box(1, 2, 4, 8).height == 6


def test_text_is_wrapped_within_its_width_and_nothing_is_lost() -> None:
    setting = face("Regular", "latin")
    text = "een twee " + "lang" * 40 + " drie"
    lines = wrap(text, setting, 11, 100)
    assert all(setting.width(line, 11) <= 100 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap("", setting, 11, 100) == []
    assert wrap("lang" * 40, setting, 11, 100)[0].startswith("lang")


def test_text_is_cleaned_before_it_is_printed() -> None:
    assert clean(" a\n\tb  c ") == "a b c"
    assert printable("\u2460 \u4e2d \ufb01") == "1 ? fi"
    assert unprintable("a\u4e2db\u4e2d") == "\u4e2d"
