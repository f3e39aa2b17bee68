"""Codes in a document that a machine would take for a mark of the sheet, of the print house or of the post."""

from pathlib import Path

import pytest
import zxingcpp

from printing.checks import check_document, check_letter
from printing.profiles import Box, load
from tests.letter_check_support import Draw, code, ink, page, text
from tests.printing_support import ADDRESS, real_documents

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


@pytest.mark.parametrize("path", real_documents(), ids=lambda path: path.stem)
def test_real_documents_have_none(path: Path) -> None:
    found = check_document(path.read_bytes(), PROFILE, "page")
    assert "MARK_IN_CONTENT" not in {each.code for each in found.problems}
