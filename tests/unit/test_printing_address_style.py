"""Whether an address that the document shows itself is set so that machines of the post read it."""

from io import BytesIO

import msgspec
import pikepdf
import pytest
from reportlab.pdfgen.canvas import Canvas

from printing.checks import Findings, check_document
from printing.profiles import MM, Box, load
from tests.letter_check_support import HEIGHT, Draw, page, text
from tests.printing_support import ADDRESS, strong_font

PROFILE = load()


def looked(pdf: bytes, *, severity: str = "warning") -> Findings:
    rules = msgspec.structs.replace(PROFILE.rules, address_style=severity)
    return check_document(pdf, msgspec.structs.replace(PROFILE, rules=rules), "adopt")


def lines(*lefts: float, size: float = 11) -> list[Draw]:
    return [text(left, 46 + 5 * row, ADDRESS[row], size=size) for row, left in enumerate(lefts)]


def bold(canvas: Canvas) -> None:
    canvas.setFont(strong_font(), 11)
    canvas.drawString(92 * MM, (HEIGHT - 46) * MM, ADDRESS[0])


def scaled(canvas: Canvas) -> None:
    """A font of one point that a matrix brings to eleven, as browsers write it, or to eight."""
    for row, line in enumerate(ADDRESS):
        canvas.saveState()
        canvas.translate(92 * MM, (HEIGHT - 46 - 5 * row) * MM)
        canvas.scale(11, 11)
        canvas.setFont("Plain", 1)
        canvas.drawString(0, 0, line)
        canvas.restoreState()


@pytest.mark.parametrize(
    "draws",
    [lines(92, 92, 92), lines(92, 92, 92, size=12), lines(92, 92.6, 92), [scaled]],
    ids=["11", "12", "letters' own distance", "scaled"],
)
def test_a_plain_address_is_let_through(draws: list[Draw]) -> None:
    found = looked(page(*draws), severity="error")
    assert (found.problems, found.warnings, found.window_lines) == ((), (), ADDRESS)


@pytest.mark.parametrize(
    ("draws", "tops"),
    [
        (lines(92, 92, 92, size=9), (43, 57)),
        (lines(92, 92, 92, size=13), (42, 57)),
        (lines(92, 92, 95), (52, 57)),
        (lines(100, 96, 92), (42, 52)),
        ([bold, *lines(92, 92, 92)[1:]], (42, 47)),
    ],
    ids=["small", "large", "indented", "ranged right", "bold"],
)
def test_another_one_is_told_with_the_place_and_refused_where_the_print_house_wants_that(
    draws: list[Draw], tops: tuple[float, float]
) -> None:
    pdf = page(*draws)
    (warning,) = looked(pdf).warnings
    assert (warning.code, warning.page) == ("ADDR_STYLE", 1)
    assert all(box.within(Box(89, tops[0], 195, tops[1])) for box in warning.boxes)
    assert len(warning.boxes) >= 1
    assert [each.code for each in looked(pdf, severity="error").problems] == ["ADDR_STYLE"]
    assert looked(pdf, severity="off").warnings == ()


@pytest.mark.parametrize(("flag", "told"), [(1 << 1, True), (1 << 3, True), (1 << 6, True), (1 << 5, False)])
def test_what_a_font_says_of_itself_is_believed(flag: int, *, told: bool) -> None:
    with pikepdf.open(BytesIO(page(*lines(92, 92, 92)))) as opened:
        for font in opened.pages[0].Resources.Font.values():
            if "/FontDescriptor" in font:
                font.FontDescriptor.Flags = int(font.FontDescriptor.Flags) | flag
        out = BytesIO()
        opened.save(out)
    assert bool(looked(out.getvalue()).warnings) == told


def test_of_our_own_address_and_of_other_pages_nothing_is_asked() -> None:
    pdf = page(*lines(92, 92, 95))
    rest = check_document(pdf, PROFILE, "page")
    assert "ADDR_STYLE" not in {each.code for each in (*rest.problems, *rest.warnings)}
