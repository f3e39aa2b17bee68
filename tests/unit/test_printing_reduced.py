"""Pages whose ink reaches the edge, such as scans: made smaller until they stand within the margins, and only these."""

import pytest

from printing.checks import REDUCED, check_document, check_letter, reducible
from printing.errors import Problem
from printing.profiles import Box, load
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
