"""Codes in a document that a machine would take for a mark of the sheet, of the print house or of the post."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import zxingcpp
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from printing import foreign_marks
from printing.checks import check_document, check_letter
from printing.ink import render
from printing.letters import Extras, Invitation, Marks
from printing.profiles import MM, Box, load
from tests.letter_check_support import Draw, code, ink, page, pages, text
from tests.printing_support import ADDRESS, letter, real_documents, strong_font

PROFILE = load()
MATRIX, BARS, QR = zxingcpp.BarcodeFormat.DataMatrix, zxingcpp.BarcodeFormat.Code128, zxingcpp.BarcodeFormat.QRCode
SHEET = "VL1|123456789012|001|003|00000001|D|B"
MAIL_ID = "JJBEA1212345123456789"
LINES = [text(20, 100 + 5 * n, "Regels tekst, zoals in elke brief, en nog enkele woorden meer.") for n in range(9)]


def marks(*draws: Draw) -> list[tuple[Box, ...]]:
    found = check_document(page(*LINES, *draws), PROFILE, "page")
    assert {each.code for each in found.problems} <= {"MARK_IN_CONTENT"}
    return [each.boxes for each in found.problems]


@pytest.mark.parametrize(
    "draw",
    [
        code(SHEET, MATRIX, 120, 200, 8.8, 8.8),
        code("VL2|123456789012|001|another", MATRIX, 120, 200, 8.8, 8.8),
        # Bars of a quarter of a millimetre, as fine as the post takes them.
        code(MAIL_ID, BARS, 100, 200, 189 * 0.25, 6),
        code("JJBEA123456789012345678", BARS, 100, 200, 60, 10),
        code("010541288500452621221234567890", BARS, 90, 200, 80, 10),
        code("RR473124829BE", BARS, 100, 200, 50, 10),
    ],
    ids=["sheet", "another version", "mail id", "registered", "national registered", "S10"],
)
def test_a_code_that_reads_as_a_mark_is_found_wherever_it_stands(draw: Draw) -> None:
    ((box,),) = marks(draw)
    assert 88 < box.left < 122
    assert 198 < box.top < 202


def test_the_place_is_that_of_the_code() -> None:
    ((box,),) = marks(code(SHEET, MATRIX, 120, 200, 8.8, 8.8))
    assert box.within(Box(119, 199, 130, 210))
    assert box.width > 8
    assert box.height > 8


@pytest.mark.parametrize(
    "draw",
    [
        code("AFSPRAAK 12345", BARS, 100, 200, 50, 10),
        code("https://example.invalid/betalen", MATRIX, 120, 200, 12, 12),
        code("https://example.invalid/verify?code=K7QF", QR, 120, 200, 30, 30),
        ink(Box(100, 200, 140, 230)),
    ],
    ids=["appointment", "payment", "verify", "picture"],
)
def test_a_code_for_people_is_none_of_them(draw: Draw) -> None:
    assert marks(draw) == []


@pytest.mark.parametrize("kind", [MATRIX, BARS])
def test_where_a_reader_of_sheets_looks_no_code_may_stand_at_all(kind: zxingcpp.BarcodeFormat) -> None:
    size = (12.0, 12.0) if kind is MATRIX else (50.0, 10.0)
    assert len(marks(code("AFSPRAAK 12345", kind, 16, 200, *size))) == 1
    assert marks(code("AFSPRAAK 12345", kind, 24, 200, *size)) == []


def test_a_code_of_our_own_may_stand_in_a_letter() -> None:
    pdf = page(text(92, 46, *ADDRESS), code(MAIL_ID, BARS, 100, 200, 60, 8))
    named = check_letter(pdf, sheets=1, profile=PROFILE, own_codes=(MAIL_ID,))
    assert named.problems == ()
    unnamed = check_letter(pdf, sheets=1, profile=PROFILE, own_codes=("JJBEA1212345123456780",))
    assert [each.code for each in unnamed.problems] == ["MARK_IN_CONTENT"]


def test_where_we_alone_have_drawn_nothing_is_searched() -> None:
    pdf = page(text(92, 46, *ADDRESS), code(MAIL_ID, BARS, 100, 200, 60, 8))
    for place, expected in ((Box(0, 110, 210, 297), []), (Box(0, 203, 210, 297), ["MARK_IN_CONTENT"])):
        found = check_letter(pdf, sheets=1, profile=PROFILE, own_place=place)
        assert [each.code for each in found.problems] == expected, place
    second = pages([text(92, 46, *ADDRESS)], [code(MAIL_ID, BARS, 100, 200, 60, 8)])
    found = check_letter(second, sheets=1, profile=PROFILE, own_place=Box(0, 0, 210, 297))
    assert [(each.code, each.page) for each in found.problems] == [("MARK_IN_CONTENT", 2)]


@pytest.mark.parametrize(("left", "expected"), [(4, []), (90, ["MARK_IN_CONTENT"])])
def test_a_page_made_smaller_is_searched_again_only_where_it_may_have_come_under_a_reader(
    left: float, expected: list[str]
) -> None:
    """A code that is no mark, and right where readers look at one: what was larger showed none there."""
    zone = Box(left, 270, left + 9, 279)
    profile = msgspec.structs.replace(PROFILE, code_zone=zone)
    pdf = pages([text(92, 46, *ADDRESS)], [code("AFSPRAAK 12345", BARS, left + 12, 200, 50, 10)])
    told = {
        again: [each.code for each in check_letter(pdf, sheets=1, profile=profile, reduced=again).problems]
        for again in (None, (2,))
    }
    assert told == {None: ["MARK_IN_CONTENT"], (2,): expected}


@pytest.mark.parametrize("invitation", [None, Invitation("7Q4K-ZZ2P-9M3T", "https://post.test/activate", "maart")])
@pytest.mark.parametrize("registered", [None, "010541288500452621221234567890"])
def test_on_an_address_page_of_ours_searching_finds_nothing(
    registered: str | None, invitation: Invitation | None
) -> None:
    marked = Marks(registered=registered is not None, registered_number=registered)
    extras = Extras("https://post.test/verify", invitation=invitation)
    made = letter(page(LINES[0]), marks=marked, extras=extras)
    assert made.own_place is not None
    own = tuple(each for each in (registered and f"(01){registered[2:16]}(21){registered[18:]}", "R") if each)
    searched, spared = (
        check_letter(made.pdf, sheets=made.sheets, profile=PROFILE, own_codes=own, own_place=place)
        for place in (None, made.own_place)
    )
    assert searched == spared
    assert "MARK_IN_CONTENT" not in {each.code for each in searched.problems}
    assert letter(page(LINES[0]), mode="stamp").own_place is None


@pytest.mark.parametrize("turned", [0, 90])
@pytest.mark.parametrize(
    ("said", "kind", "width", "height"),
    [
        # Bars of half a millimetre leave gaps that are wider than what is looked at in one piece.
        ("RR095743397BE", BARS, 78, 6.4),
        ("JJBEA8921840110704341", BARS, 94.5, 11.6),
        ("01281635103363442153039442105296", BARS, 105.5, 6),
        (SHEET, MATRIX, 8, 8),
    ],
)
def test_a_mark_is_found_whatever_its_bars_and_its_way_up(
    said: str, kind: zxingcpp.BarcodeFormat, width: float, height: float, turned: int
) -> None:
    for step in range(6):
        assert len(marks(_turned(code(said, kind, 30 + step * 1.3, 180, width, height), turned))) == 1


def _turned(draw: Draw, degrees: int) -> Draw:
    def drawn(canvas: Canvas) -> None:
        canvas.saveState()
        canvas.translate(100 * MM, 120 * MM)
        canvas.rotate(degrees)
        canvas.translate(-80 * MM, -110 * MM)
        draw(canvas)
        canvas.restoreState()

    return drawn


def heading(canvas: Canvas) -> None:
    canvas.setFont(strong_font(), 11)
    for line in range(20):
        canvas.drawString(60, 400 - 16.7 * line, "Beslissing over uw aanvraag, met wat u daarna nog kunt doen")


def picture(canvas: Canvas) -> None:
    canvas.drawInlineImage(Image.linear_gradient("L").resize((300, 200)), 100, 100, 300, 200)


@pytest.mark.parametrize("draw", [heading, picture])
def test_words_and_pictures_are_not_drawn_finely(draw: Draw, monkeypatch: pytest.MonkeyPatch) -> None:
    areas: list[Box] = []
    real = render

    def counted(*args: Any, part: Box, **kwargs: Any) -> Image.Image:
        areas.append(part)
        return real(*args, part=part, **kwargs)

    monkeypatch.setattr(foreign_marks, "render", counted)
    check_document(page(draw), PROFILE, "page")
    assert areas == []
    check_document(page(draw, code(SHEET, MATRIX, 120, 130, 8.8, 8.8)), PROFILE, "page")
    assert len(areas) >= 1


def test_a_code_within_a_dark_picture_is_found() -> None:
    def white(canvas: Canvas) -> None:
        canvas.setFillGray(1)
        canvas.rect(58 * MM, 68 * MM, 13 * MM, 13 * MM, stroke=0, fill=1)

    assert len(marks(picture, white, code(SHEET, MATRIX, 60, 297 - 79, 8.8, 8.8))) == 1


@pytest.mark.parametrize("path", real_documents(), ids=lambda path: path.stem)
def test_real_documents_have_none(path: Path) -> None:
    found = check_document(path.read_bytes(), PROFILE, "page")
    assert "MARK_IN_CONTENT" not in {each.code for each in found.problems}
