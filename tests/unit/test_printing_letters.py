"""The address page of a letter, and how its parts follow one another."""

from io import BytesIO
from pathlib import Path

import pikepdf
import pytest

from printing.cover import texts
from printing.errors import LetterRefused
from printing.letters import Language, Sender
from printing.profiles import load
from tests.printing_support import (
    ADDRESS,
    REFUSED_SAMPLES,
    SENDER,
    check_with_qpdf,
    dark_box,
    document,
    letter,
    picture,
    real_documents,
    texts_of,
)


def _fonts(pdf: bytes) -> set[str]:
    with pikepdf.open(BytesIO(pdf)) as opened:
        return {str(font.BaseFont) for font in opened.pages[0].resources.Font.values()}


def test_the_address_stands_inside_the_window_and_nothing_else_can_show_through_it() -> None:
    profile = load()
    for lines in (
        ADDRESS,
        ("BEDRIJF VOORBEELD", *("Regel vol adres",) * 6),
        ("WWWWWWWWWWWWWWWWWWWWWWWWWWWWWW", "X" * 44, "9999 Voorbeeldegem"),
    ):
        page = picture(letter(document("x"), address=lines, reference="KENMERK-" * 12).pdf, 0, dpi=254)
        reach = profile.window_reach
        left, top = int(reach.left * 10), int(reach.top * 10)
        ink = dark_box(page.crop((left, top, int(reach.right * 10), int(reach.bottom * 10))))
        assert ink is not None
        box = (ink[0] + left, ink[1] + top, ink[2] + left, ink[3] + top)
        window = profile.window
        assert box[0] >= window.left * 10 - 1
        assert box[1] >= window.top * 10
        assert box[2] <= window.right * 10 + 1
        assert box[3] <= window.bottom * 10


def test_the_address_page_keeps_margins_and_code_zone_free() -> None:
    profile = load()
    sender = Sender(
        "Een heel lange naam van een dienst " * 4, ("Straat zonder einde " * 6,) * 4, ("Contact " * 30,) * 9
    )
    page = picture(letter(document("x"), *[document("y")] * 9, sender=sender).pdf, 0, dpi=254)
    ink = dark_box(page)
    assert ink is not None
    edge = profile.printable
    assert ink[0] >= edge.left * 10
    assert ink[1] >= edge.top * 10
    assert ink[2] <= edge.right * 10
    assert ink[3] <= edge.bottom * 10
    zone = profile.code_zone
    assert dark_box(page.crop((zone.left * 10, zone.top * 10, zone.right * 10, zone.bottom * 10))) is None


@pytest.mark.parametrize("language", ["nl", "fr", "de", "en"])
def test_the_address_page_speaks_each_language(language: Language) -> None:
    made = letter(document("een", "twee"), document("drie"), language=language)
    page = texts_of(made.pdf)[0]
    words = texts()[language]
    for expected in (
        *ADDRESS,
        SENDER.name,
        *SENDER.return_address,
        *SENDER.contact,
        "VB/2026/0001",
        words.body[1],
        words.attachment.format(number=1),
        words.pages_many.format(count=2),
        words.pages_one,
    ):
        assert expected in page
    with pikepdf.open(BytesIO(made.pdf)) as opened:
        assert str(opened.Root.Lang) == words.lang


def test_the_address_is_plain_text_of_eleven_or_twelve_points() -> None:
    assert set(load().address.sizes) == {11, 12}
    assert all(
        name.endswith(("LiberationSans-Regular", "LiberationSans-Bold")) for name in _fonts(letter(document("x")).pdf)
    )


@pytest.mark.parametrize(
    ("name", "tag"),
    [("Anaïs Łukaszewicz Őry Şahin", "ZENDLA"), ("Ελένη Παπαδοπούλου", "ZENDWI"), ("Оксана Шевченко", "ZENDWI")],
)
def test_names_of_europe_are_printed_with_embedded_fonts(name: str, tag: str) -> None:
    made = letter(document("x"), address=(name, *ADDRESS[1:]))
    assert name in texts_of(made.pdf)[0]
    assert all(font.startswith(f"/{tag}+") for font in _fonts(made.pdf))


def test_a_decomposed_name_is_printed_composed() -> None:
    assert "Anaïs" in texts_of(letter(document("x"), address=("Anai\u0308s", *ADDRESS[1:])).pdf)[0]


def test_what_no_font_has_is_replaced_in_the_senders_lines_but_refused_in_an_address() -> None:
    made = letter(document("x"), sender=Sender("Dienst \uff21 \u4e2d", ("Laan 1",)))
    assert "Dienst A ?" in texts_of(made.pdf)[0]
    with pytest.raises(LetterRefused) as refused:
        letter(document("x"), address=("\u738b\u5c0f\u660e", *ADDRESS[1:]))
    assert refused.value.code == "ADDR_CHARS"


def test_a_line_too_wide_for_the_window_is_refused() -> None:
    with pytest.raises(LetterRefused) as refused:
        letter(document("x"), address=("W" * 50, *ADDRESS[1:]))
    assert refused.value.code == "ADDR_LENGTH"


@pytest.mark.parametrize(("duplex", "pages", "sheets"), [(True, 10, 5), (False, 6, 6)])
def test_every_part_begins_on_a_front_and_the_last_sheet_is_filled(*, duplex: bool, pages: int, sheets: int) -> None:
    made = letter(document("A1", "A2", "A3"), document("B1"), document("C1"), duplex=duplex)
    shown = texts_of(made.pdf)
    if duplex:
        assert shown[1:] == ["", "A1", "A2", "A3", "", "B1", "", "C1", ""]
    else:
        assert shown[1:] == ["A1", "A2", "A3", "B1", "C1"]
    assert (made.pages, made.sheets) == (pages, sheets)
    assert made.grams == 5 * sheets + 5
    assert made.envelope == "C5/6"


@pytest.mark.parametrize("path", real_documents(), ids=lambda path: path.name)
def test_real_documents_become_sound_letters(path: Path, tmp_path: Path) -> None:
    if path.name in REFUSED_SAMPLES:
        with pytest.raises(LetterRefused) as refused:
            letter(path.read_bytes())
        assert refused.value.code == REFUSED_SAMPLES[path.name]
        return
    made = letter(path.read_bytes())
    with pikepdf.open(path) as source:
        count = len(source.pages)
    assert made.pages == 2 + count + count % 2
    assert made.sheets * 2 == made.pages
    check_with_qpdf(made.pdf, tmp_path)


def test_what_comes_packed_stays_as_it_is_and_what_comes_unpacked_is_packed() -> None:
    twice = document("over and over " * 6)
    with pikepdf.open(BytesIO(twice)) as opened:
        (packed,) = opened.pages[0].obj.Contents.wrap_in_array().as_list()
        assert packed.Filter == pikepdf.Array([pikepdf.Name.ASCII85Decode, pikepdf.Name.FlateDecode])
        raw = packed.read_raw_bytes()
        out = BytesIO()
        opened.save(out, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.generalized)
    assert raw in letter(twice).pdf
    bare, made = out.getvalue(), letter(out.getvalue())
    assert len(bare) - len(twice) > 10_000 > len(made.pdf) - len(letter(twice).pdf)
    assert picture(made.pdf, 1).tobytes() == picture(letter(twice).pdf, 1).tobytes()
