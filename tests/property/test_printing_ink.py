"""Ink anywhere on a page that is turned and offset: it is found where it is, and nowhere else."""

from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from printing.checks import check_document
from printing.errors import Problem
from printing.ink import GRID, MOST_BOXES, pieces
from printing.profiles import Box
from tests.letter_check_support import HEIGHT, STRICT, WIDTH, ink, page, turned

PROFILE = STRICT
PIXEL = 1 / GRID
AREA = Box(14, 4, 196, 293)
"""What printing allows: x 15 to 195 and y 5 to 292, and a millimetre around it."""


@dataclass(frozen=True)
class Turn:
    """How the page lies in its file."""

    rotate: int
    offset: tuple[float, float]
    crop: bool


turns = st.builds(
    Turn,
    st.sampled_from((0, 90, 180, 270)),
    st.tuples(st.floats(-300, 300), st.floats(-300, 300)),
    st.booleans(),
)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    width, height = draw(st.floats(0.7, 60)), draw(st.floats(0.7, 60))
    left, top = draw(st.floats(0, WIDTH - width)), draw(st.floats(0, HEIGHT - height))
    return Box(left, top, left + width, top + height)


def outside(box: Box) -> float:
    """How far a box reaches beyond where ink may lie; negative when it stays within."""
    return max(AREA.left - box.left, AREA.top - box.top, box.right - AREA.right, box.bottom - AREA.bottom)


def found(box: Box, turn: Turn) -> list[Problem]:
    findings = check_document(turned(page(ink(box)), turn.rotate, turn.offset, crop=turn.crop), PROFILE, "page")
    return [each for each in findings.problems if each.code == "INK_OUTSIDE"]


@settings(max_examples=200, deadline=None)
@given(boxes(), turns)
@example(Box(14.4, 6, 100, 20), Turn(90, (0.0, 0.0), crop=False))
@example(Box(13.6, 6, 100, 20), Turn(90, (0.0, 0.0), crop=False))
@example(Box(100, 280, 195.6, 292.6), Turn(270, (-30.0, 200.0), crop=True))
@example(Box(100, 280, 196.4, 292.6), Turn(270, (-30.0, 200.0), crop=True))
@example(Box(100, 280, 120, 293.4), Turn(180, (7.0, 7.0), crop=True))
def test_ink_is_found_exactly_when_it_lies_outside_by_more_than_the_tolerance(box: Box, turn: Turn) -> None:
    problems = found(box, turn)
    beyond = outside(box)
    if beyond > PIXEL:
        assert [each.page for each in problems] == [1]
    elif beyond < -PIXEL:
        assert problems == []
    for each in problems[0].boxes if problems else ():
        # The place is that of the ink, as a person would see the page.
        assert box.left - 2 * PIXEL <= each.left
        assert each.right <= box.right + 2 * PIXEL
        assert box.top - 2 * PIXEL <= each.top
        assert each.bottom <= box.bottom + 2 * PIXEL


spots = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=40
)


@settings(max_examples=150, deadline=None)
@given(spots)
@example([(6 * n, 12 * (n % 9), 1, 1) for n in range(33)])
@example([(x, y, 1, 1) for x in range(0, 200, 20) for y in range(0, 200, 40)])
def test_pieces_hold_every_pixel_of_ink_are_tight_and_few(spots: list[tuple[int, int, int, int]]) -> None:
    mask = Image.new("L", (240, 240), 0)
    for x, y, width, height in spots:
        mask.paste(255, (x, y, x + width, y + height))
    given_boxes = pieces(mask, (30, 60))
    assert 1 <= len(given_boxes) <= MOST_BOXES
    left_over = mask.copy()
    for box in given_boxes:
        edges = (
            round(box.left * GRID) - 30,
            round(box.top * GRID) - 60,
            round(box.right * GRID) - 30,
            round(box.bottom * GRID) - 60,
        )
        part = mask.crop(edges)
        assert part.getbbox() == (0, 0, *part.size)
        left_over.paste(0, edges)
    assert left_over.getbbox() is None
