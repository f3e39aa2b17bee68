from functools import cache
from io import BytesIO

import pikepdf
import pypdfium2
from hypothesis import given, settings
from hypothesis import strategies as st

from printing.batch import merge
from printing.letters import Letter
from printing.profiles import load
from printing.typeset import face, wrap
from tests.printing_support import batch_letter, document, letter

SHAPES = st.tuples(st.integers(1, 5), st.lists(st.integers(1, 5), max_size=2), st.booleans())


@cache
def _letter(pages: int, attachments: tuple[int, ...], *, duplex: bool) -> Letter:
    parts = [
        document(*(f"{pages}-{attachments}-{duplex} deel {part} blad {page}" for page in range(count)))
        for part, count in enumerate((pages, *attachments))
    ]
    return letter(*parts, duplex=duplex)


def _texts(pdf: bytes) -> list[str]:
    opened = pypdfium2.PdfDocument(pdf)
    try:
        return [page.get_textpage().get_text_range() for page in opened]
    finally:
        opened.close()


@settings(deadline=None, max_examples=40)
@given(st.lists(SHAPES, min_size=1, max_size=12))
def test_every_page_stands_once_in_manifest_order_and_each_letter_begins_a_sheet(
    shapes: list[tuple[int, list[int], bool]],
) -> None:
    letters = [_letter(pages, tuple(attachments), duplex=duplex) for pages, attachments, duplex in shapes]
    out = BytesIO()
    entries = merge((batch_letter(number, one) for number, one in enumerate(letters)), out)
    texts = _texts(out.getvalue())
    expected = 1
    for one, entry in zip(letters, entries, strict=True):
        assert entry.first_page == expected
        assert entry.first_page % 2 == 1
        shown = texts[entry.first_page - 1 : entry.first_page - 1 + entry.pages]
        if not one.duplex:
            assert not any(shown[1::2])
            shown = shown[::2]
        assert shown == _texts(one.pdf)
        assert entry.sheets == one.sheets == entry.pages // 2
        assert entry.grams == load().grams(one.sheets)
        expected += entry.pages
    assert len(texts) == expected - 1 == sum(entry.pages for entry in entries)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=10))
def test_a_file_for_one_side_has_a_sheet_for_every_page(counts: list[int]) -> None:
    letters = [_letter(count, (), duplex=False) for count in counts]
    out = BytesIO()
    entries = merge((batch_letter(number, one) for number, one in enumerate(letters)), out, duplex=False)
    with pikepdf.open(BytesIO(out.getvalue())) as opened:
        assert len(opened.pages) == sum(entry.sheets for entry in entries) == sum(count + 1 for count in counts)


@settings(deadline=None, max_examples=20)
@given(st.lists(SHAPES, min_size=1, max_size=4))
def test_a_batch_does_not_grow_with_repetition(shapes: list[tuple[int, list[int], bool]]) -> None:
    letters = [_letter(pages, tuple(attachments), duplex=duplex) for pages, attachments, duplex in shapes]
    once, often = BytesIO(), BytesIO()
    merge((batch_letter(number, one) for number, one in enumerate(letters)), once)
    merge((batch_letter(number, one) for number, one in enumerate(letters * 3)), often)
    pages = sum(one.pages if one.duplex else one.pages * 2 for one in letters)
    # A repeated page costs its dictionary and two lines of tables, nothing of its content.
    assert len(often.getvalue()) - len(once.getvalue()) < pages * 2 * 350


@given(st.text(st.sampled_from("abc WMi€éß"), max_size=80), st.integers(20, 300))
def test_wrapping_loses_no_character_and_keeps_the_width(text: str, width: int) -> None:
    words = " ".join(text.split())
    setting = face("Regular", "latin")
    lines = wrap(words, setting, 11, width)
    assert "".join(lines).replace(" ", "") == words.replace(" ", "")
    assert all(setting.width(line, 11) <= width for line in lines)
