"""Pages whose ink reaches the edge, such as scans: made smaller until they stand within the margins, and only these."""

import msgspec
import pytest
from reportlab.pdfgen.canvas import Canvas

from printing.checks import REDUCED, check_document, check_letter
from printing.errors import Problem
from printing.pictures import Wanted
from printing.profiles import Box, load
from printing.reducing import reducible, with_reduced
from tests.letter_check_support import HEIGHT, STRICT, WIDTH, ink, pages, text
from tests.printing_support import dark_box, letter, picture

EDGE = ink(Box(0, 0, WIDTH, HEIGHT), grey=0.5)
GOOD = text(20, 150, "Een brief met gewone tekst.")
SCALE = 10
"""Pixels in a millimetre of the pictures."""


def test_a_scan_stands_within_the_margins_and_its_neighbours_stay_as_they_are() -> None:
    document = pages([GOOD], [EDGE], [GOOD])
    plain, made = letter(document), letter(document, reduced=[4])
    assert [(note.code, note.part, note.page) for note in made.notes] == [(REDUCED, 0, 2)]
    for page in range(made.pages):
        same = picture(plain.pdf, page).tobytes() == picture(made.pdf, page).tobytes()
        assert same is (page != 3)
    seen = dark_box(picture(made.pdf, 3, dpi=254))
    assert seen is not None
    margins = load().printable
    found = [each / SCALE for each in seen]
    # As wide as the margins allow, in proportion, and centred between the upper and the lower one.
    height = margins.width * HEIGHT / WIDTH
    top = (margins.top + margins.bottom - height) / 2
    assert found == pytest.approx([margins.left, top, margins.right, top + height], abs=0.2)
    checked = check_letter(made.pdf, sheets=made.sheets, profile=load())
    assert checked.problems == ()


def test_only_pages_that_need_nothing_but_room_are_made_smaller() -> None:
    made = letter(pages([GOOD], [EDGE], [EDGE]))
    found = check_letter(made.pdf, sheets=made.sheets, profile=load()).problems
    assert reducible(found, load()) == {4, 5}
    assert reducible((), load()) == frozenset()
    assert reducible(found, STRICT) == frozenset()
    for other in (Problem("FONT_NOT_EMBEDDED", "", 3), Problem("FILE_TOO_BIG", ""), Problem("INK_OUTSIDE", "", 1)):
        assert reducible((*found, other), load()) == frozenset()


def test_who_asks_before_sending_is_told_which_pages_become_smaller() -> None:
    document = pages([EDGE], [GOOD])
    behind = check_document(document, load(), "page")
    assert behind.problems == ()
    assert [(each.code, each.page, bool(each.boxes)) for each in behind.warnings] == [(REDUCED, 1, True)]
    shown = check_document(document, load(), "stamp")
    assert {each.code for each in shown.problems} >= {"INK_OUTSIDE", "WINDOW_INK"}, "where the address stands"
    assert shown.warnings == ()


def glass(canvas: Canvas) -> None:
    canvas.setFillAlpha(0.5)
    canvas.rect(100, 100, 60, 60, stroke=0, fill=1)


def test_of_a_letter_with_smaller_pages_only_these_are_looked_at_again() -> None:
    """What is said of the others stays, in its place."""
    document = pages([GOOD, glass], [EDGE, glass], [GOOD, glass], [EDGE], [glass])
    profile = msgspec.structs.replace(load(), limits=msgspec.structs.replace(load().limits, letter_bytes=500_000))
    wanted = Wanted(frozenset({3, 4, 5}))
    before = letter(document, profile=profile)
    sheets = before.sheets
    found = check_letter(before.pdf, sheets=sheets, profile=profile, source_bytes=10, pictures=wanted)
    smaller = reducible(found.problems, profile)
    assert smaller == {4, 6}
    after = letter(document, profile=profile, reduced=smaller)
    again = check_letter(after.pdf, sheets=sheets, profile=profile, source_bytes=10, reduced=smaller, pictures=wanted)
    assert {each.page for each in again.warnings} == {4, None}
    whole = check_letter(after.pdf, sheets=sheets, profile=profile, source_bytes=10, pictures=wanted)
    assert with_reduced(found, again, smaller) == whole
    assert [(each.code, each.page) for each in whole.warnings] == [
        *(("TRANSPARENCY", number) for number in (3, 4, 5, 7)),
        ("FILE_GROWS", None),
    ]
    assert whole.problems == ()
    assert len(whole.window_lines) == 3
    assert list(whole.pictures) == [3, 4, 5]
