import msgspec
import pytest

from printing.checks import check_address, check_letter
from printing.errors import BatchRefused, LetterRefused, PrintingError, Problem, ProviderRefused, ProviderUnavailable
from printing.profiles import Box, Profile, load
from printing.typeset import clean, face, printable, unprintable, wrap
from tests.printing_support import ADDRESS, document, letter


def _problems(
    pdf: bytes, *, sheets: int = 1, profile: Profile | None = None, duplex: bool = True
) -> tuple[Problem, ...]:
    return check_letter(pdf, sheets=sheets, profile=profile or load(), duplex=duplex).problems


def test_a_composed_letter_has_no_problem() -> None:
    made = letter(document("x", size=(612, 792)))
    found = check_letter(made.pdf, sheets=made.sheets, profile=load(), duplex=made.duplex)
    assert (found.problems, found.warnings, found.window_lines) == ((), (), ADDRESS)


def test_pages_that_are_not_upright_a4_are_named() -> None:
    problems = _problems(document("x", size=(841.89, 595.276)))
    assert [(each.code, each.page, each.boxes) for each in problems] == [("PAGE_SIZE", 1, (Box(0, 0, 297, 210),))]


def test_a_page_within_two_millimetres_counts_as_a4() -> None:
    assert "PAGE_SIZE" not in {each.code for each in _problems(document("x", size=(600, 846)))}
    assert "PAGE_SIZE" in {each.code for each in _problems(document("x", size=(602, 846)))}


@pytest.mark.parametrize(
    ("sheets", "envelope"), [(1, "C5/6"), (6, "C5/6"), (7, "C5"), (9, "C5"), (10, "C4"), (150, "C4")]
)
def test_a_letter_goes_into_the_smallest_envelope_that_holds_it(sheets: int, envelope: str) -> None:
    found = load().envelope_for(sheets)
    assert found is not None
    assert found.name == envelope
    assert load().grams(sheets) == 5 * sheets + 5
    weighed = check_letter(letter(document("x")).pdf, sheets=sheets, profile=load())
    assert (weighed.problems, weighed.envelope, weighed.grams) == ((), envelope, 5 * sheets + 5)


def test_a_letter_that_no_envelope_holds_is_named_and_still_weighed() -> None:
    small = msgspec.structs.replace(load(), envelopes=load().envelopes[:1])
    made = letter(document(*"abcdefg"), duplex=False, profile=small)
    assert (made.sheets, made.envelope, made.grams) == (8, None, 45)
    assert [each.code for each in _problems(made.pdf, sheets=made.sheets, profile=small, duplex=False)] == [
        "TOO_MANY_SHEETS"
    ]


def test_a_file_that_is_too_big_or_broken_is_named() -> None:
    limits = msgspec.structs.replace(load().limits, letter_bytes=100)
    small = msgspec.structs.replace(load(), limits=limits)
    codes = [each.code for each in _problems(letter(document("x")).pdf, profile=small)]
    assert codes == ["FILE_TOO_BIG"]
    codes = [each.code for each in _problems(b"nothing" * 50, profile=small)]
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
