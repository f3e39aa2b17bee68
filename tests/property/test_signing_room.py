"""Looking for room: what is found is free, and nothing nearer was."""

from hypothesis import given, settings
from hypothesis import strategies as st

from signing.appearance.room import Corner, Ink

CORNERS: tuple[Corner, ...] = ("bottom-right", "bottom-left", "top-right", "top-left")


@st.composite
def pages(draw: st.DrawFn) -> list[list[bool]]:
    width, height = draw(st.integers(1, 24)), draw(st.integers(1, 24))
    page = [[False] * width for _ in range(height)]
    for _ in range(draw(st.integers(0, 6))):
        x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        for row in range(y, min(height, y + draw(st.integers(1, 6)))):
            for column in range(x, min(width, x + draw(st.integers(1, 6)))):
                page[row][column] = True
    return page


def packed(page: list[list[bool]]) -> bytes:
    width, height = len(page[0]), len(page)
    rows = b""
    for row in page:
        bits = sum(1 << (width - 1 - at) for at, ink in enumerate(row) if ink)
        stride = (width + 7) // 8
        rows += (bits << (stride * 8 - width)).to_bytes(stride, "big")
    return width.to_bytes(4, "big") + height.to_bytes(4, "big") + rows


def nearest(page: list[list[bool]], wide: int, high: int, corner: Corner, edge: int, limit: int) -> int | None:
    """By trying all: how far the nearest free place is from the corner's."""
    width, height = len(page[0]), len(page)
    found = None
    for top in range(edge + 1, height - edge - high):
        for left in range(edge, width - edge - wide + 1):
            inside = top + high <= limit if corner.startswith("top") else top >= height - limit
            if not inside or any(any(row[left : left + wide]) for row in page[top : top + high]):
                continue
            down = top - edge - 1 if corner.startswith("top") else height - edge - 1 - high - top
            over = left - edge if corner.endswith("left") else width - edge - wide - left
            found = down + over if found is None else min(found, down + over)
    return found


@settings(max_examples=300, deadline=None)
@given(
    pages(),
    st.integers(1, 8),
    st.integers(1, 8),
    st.sampled_from(CORNERS),
    st.integers(0, 3),
    st.sampled_from([0.5, 1.0]),
)
def test_the_nearest_free_place_is_found_wherever_there_is_one(
    page: list[list[bool]], wide: int, high: int, corner: Corner, edge: int, reach: float
) -> None:
    width, height = len(page[0]), len(page)
    ink = Ink.unpack(packed(page), (width, height))
    found = ink.free((wide, high), corner, margins=(edge, edge + 1), padding=0, reach=reach)
    best = nearest(page, wide, high, corner, edge, int(height * reach))
    assert (found is None) is (best is None)
    if found is None:
        return
    left, bottom = (round(value) for value in found)
    top = height - bottom - high
    assert not any(any(row[left : left + wide]) for row in page[top : top + high])
    down = top - edge - 1 if corner.startswith("top") else height - edge - 1 - high - top
    over = left - edge if corner.endswith("left") else width - edge - wide - left
    assert down + over == best


@given(pages(), st.lists(st.tuples(*[st.integers(-5, 30)] * 4), max_size=3))
def test_boxes_count_as_ink(page: list[list[bool]], boxes: list[tuple[int, int, int, int]]) -> None:
    width, height = len(page[0]), len(page)
    ink = Ink.unpack(packed(page), (width, height)).with_boxes(
        (min(x, u), min(y, v), max(x, u), max(y, v)) for x, y, u, v in boxes
    )
    for x, y, u, v in boxes:
        for row in range(max(0, height - max(y, v)), min(height, height - min(y, v))):
            for column in range(max(0, min(x, u)), min(width, max(x, u))):
                assert ink.rows[row] >> (width - 1 - column) & 1
    for row, inks in enumerate(page):
        for column, inked in enumerate(inks):
            assert not inked or ink.rows[row] >> (width - 1 - column) & 1
