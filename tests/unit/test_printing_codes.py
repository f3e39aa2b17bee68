import hashlib
from dataclasses import replace
from io import BytesIO

import msgspec
import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageChops

from printing.batch import BatchLetter, merge
from printing.codes import SheetCode, read_payload
from printing.errors import BatchRefused, LetterRefused
from printing.letters import Letter
from printing.manifest import ManifestLetter
from printing.marks import Marks, bars_zone, without_room
from printing.profiles import Box, load
from printing.readback import read_back
from printing.typeset import face
from tests.printing_support import ADDRESS, batch_letter, changed, dark_box, document, letter, picture

GS1 = "010541288500452621221234567890"
MAIL_ID = "JJBEA1012345123456789"


def _coded(number: int, made: Letter, **more: object) -> BatchLetter:
    plain = batch_letter(number, made)
    entry = replace(plain.entry, set=f"{number + 1:012}", sequence=number + 1, duplex=made.duplex, **more)  # type: ignore[arg-type]
    return replace(plain, entry=entry)


def _merged(letters: list[BatchLetter], *, duplex: bool = True) -> tuple[bytes, tuple[ManifestLetter, ...]]:
    out = BytesIO()
    entries = merge(letters, out, duplex=duplex, profile=load())
    return out.getvalue(), entries


@given(
    number=st.text("0123456789", min_size=12, max_size=12),
    sheet=st.integers(1, 999),
    of=st.integers(1, 999),
    sequence=st.integers(0, 99_999_999),
    duplex=st.booleans(),
    colour=st.booleans(),
)
def test_a_payload_says_what_was_put_into_it(
    number: str,
    sheet: int,
    of: int,
    sequence: int,
    *,
    duplex: bool,
    colour: bool,
) -> None:
    sheet, of = min(sheet, of), max(sheet, of)
    code = SheetCode(number, sheet, of, sequence, duplex=duplex, colour=colour)
    assert len(code.payload) == 37
    assert read_payload(code.payload) == code


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "VL1|1|001|001|00000001|S|B",
        "VL2|000000000001|001|001|00000001|S|B",
        "VL1|000000000001|002|001|00000001|S|B",
        "VL1|000000000001|001|001|00000001|S|B ",
        "VL1|000000000001|001|001|00000001|X|B",
    ],
)
def test_what_is_no_sheet_code_is_none(wrong: str) -> None:
    assert read_payload(wrong) is None


@pytest.mark.parametrize(("sheet", "of", "sequence"), [(0, 1, 1), (2, 1, 1), (1, 1000, 1), (1, 1, 10**8)])
def test_a_code_that_would_not_fit_is_refused(sheet: int, of: int, sequence: int) -> None:
    with pytest.raises(ValueError, match="sheet code"):
        SheetCode("000000000001", sheet, of, sequence, duplex=True, colour=True)


def test_each_front_has_its_code_in_the_zone_and_no_back_has_one() -> None:
    made = letter(document("een", "twee", "drie"))
    (merged, (entry,)), (plain, _) = _merged([_coded(0, made)]), _merged([batch_letter(0, made)])
    zone, dots = load().code_zone, 300 / 25.4
    for page in range(entry.pages):
        box = dark_box(ImageChops.invert(ImageChops.difference(picture(merged, page, 300), picture(plain, page, 300))))
        if page % 2:
            assert box is None
            continue
        assert box is not None
        wanted = [zone.left, zone.top, zone.right, zone.bottom]
        assert all(abs(pixel - edge * dots) <= 1.5 for pixel, edge in zip(box, wanted, strict=True))
    assert read_back(merged, [entry], load()) == entry.sheets


def test_a_letter_without_a_set_number_is_merged_as_it_was() -> None:
    made = letter(document("een"))
    plain, entries = _merged([batch_letter(0, made)])
    assert read_back(plain, entries, load()) == 0


@pytest.mark.parametrize(
    ("content", "before"),
    [
        (b"q 3 0 0 3 40 40 cm", False),
        (b"Q 3 0 0 3 40 40 cm", True),
        (b"3 0 0 3 40 40 cm", True),
        (b"0 0 5 5 re W n", True),
        (b"BT 3 0 0 3 40 40 cm", False),
        (b"1 1 1 rg 0 0 600 850 re f", True),
    ],
)
@pytest.mark.parametrize("duplex", [True, False])
def test_nothing_a_page_does_moves_or_hides_its_code(content: bytes, *, before: bool, duplex: bool) -> None:
    with pikepdf.open(BytesIO(document("een (q q BT) twee"))) as pdf:
        pdf.pages[0].contents_add(content, prepend=before)
        out = BytesIO()
        pdf.save(out, static_id=True)
    made = letter(out.getvalue(), duplex=duplex)
    merged, entries = _merged([_coded(0, made)])
    assert read_back(merged, entries, load()) == made.sheets


@pytest.mark.parametrize("change", [{"Rotate": 90}, {"MediaBox": pikepdf.Array([10, 0, 605, 842])}, {"UserUnit": 2}])
def test_a_front_whose_code_would_stand_elsewhere_is_refused(change: dict[str, object]) -> None:
    pdf = changed(document("een", "twee"), **change)
    coded = _coded(0, letter(document("een")))
    entry = replace(coded.entry, content_sha256=hashlib.sha256(pdf).hexdigest(), sheets=1)
    with pytest.raises(BatchRefused) as refused:
        _merged([BatchLetter(entry, pdf, duplex=True)])
    assert refused.value.code == "PAGE_SIZE"


def test_a_letter_with_more_sheets_than_frozen_gets_no_codes_of_another() -> None:
    coded = _coded(0, letter(document("een", "twee", "drie")))
    with pytest.raises(BatchRefused) as refused:
        _merged([replace(coded, entry=replace(coded.entry, sheets=1))])
    assert refused.value.code == "SHEETS_DIFFER"


def test_reading_back_names_every_page_whose_code_says_something_else() -> None:
    made = [letter(document(str(number))) for number in range(3)]
    merged, entries = _merged([_coded(number, one) for number, one in enumerate(made)])
    swapped = [entries[0], replace(entries[1], set="000000009999"), entries[2]]
    with pytest.raises(BatchRefused) as refused:
        read_back(merged, swapped, load())
    assert {problem.code for problem in refused.value.problems} == {"CODE_MISMATCH"}
    assert [problem.page for problem in refused.value.problems] == [5, 7]


@pytest.mark.parametrize("module", [(0, 0, 22, 22), (0, 0, 1, 22), (3, 3, 12, 12)])
def test_a_code_that_is_damaged_beyond_its_correction_is_named_with_its_page(module: tuple[int, int, int, int]) -> None:
    merged, entries = _merged([_coded(0, letter(document("een")))])
    with pikepdf.open(BytesIO(merged)) as pdf:
        # At the end of the page the coordinates are those of the code's modules, from its top left corner.
        pdf.pages[2].contents_add(b"1 1 1 rg %d %d %d %d re f" % module)
        out = BytesIO()
        pdf.save(out)
    with pytest.raises(BatchRefused) as refused:
        read_back(out.getvalue(), entries, load())
    assert [(problem.code, problem.page) for problem in refused.value.problems] == [("CODE_UNREADABLE", 3)]


def test_a_file_that_is_none_is_refused() -> None:
    with pytest.raises(BatchRefused) as refused:
        read_back(b"no PDF", [], load())
    assert refused.value.code == "PDF_UNREADABLE"


@pytest.mark.parametrize(
    ("number", "other"),
    [
        (GS1, "010541288500452621221234567891"),
        ("JJBEA123456789012345678", "JJBEA123456789012345679"),
        ("RR473124829BE", "RR000000005BE"),
    ],
)
@pytest.mark.parametrize("mode", ["page", "stamp", "adopt"])
def test_the_code_of_a_registered_letter_is_read_back_and_compared(number: str, other: str, mode: str) -> None:
    made = letter(document("een"), mode=mode, marks=Marks(registered=True, registered_number=number))
    coded = _coded(0, made, registered="registered", registered_number=number)
    merged, (entry,) = _merged([coded])
    assert read_back(merged, [entry], load()) == made.sheets + 1
    with pytest.raises(BatchRefused) as refused:
        read_back(merged, [replace(entry, registered_number=other)], load())
    assert (refused.value.code, refused.value.problems[0].page) == ("CODE_MISMATCH", 1)
    nothing, (bare,) = _merged([_coded(0, letter(document("een")), registered="registered", registered_number=number)])
    with pytest.raises(BatchRefused) as refused:
        read_back(nothing, [bare], load())
    assert (refused.value.code, refused.value.problems[0].page) == ("CODE_UNREADABLE", 1)


def test_a_mail_id_stands_above_the_address_where_the_profile_has_one() -> None:
    profile = msgspec.structs.replace(load(), mail_id_zone=Box(89, 40, 195, 50))
    marks = Marks(mail_id=MAIL_ID)
    assert bars_zone(marks, load()) is None
    zone = bars_zone(marks, profile)
    assert zone is not None
    assert (zone.left, zone.top, zone.bottom) == (94, 42, 48)
    assert zone.width == pytest.approx(189 * 0.25)
    made = letter(document("een"), marks=marks, profile=profile)
    out = BytesIO()
    entries = merge([_coded(0, made, mail_id=MAIL_ID)], out, profile=profile)
    assert read_back(out.getvalue(), entries, profile) == made.sheets + 1
    plain = letter(document("een"), profile=profile)
    wide = (*ADDRESS, "NEDERLAND", "nog een lijn")
    assert not without_room(ADDRESS, profile, face("Regular", "latin"))
    assert without_room(wide, profile, face("Regular", "latin"))
    assert plain.pdf != made.pdf


def test_five_lines_stand_below_the_code_of_a_registered_letter_and_six_are_refused() -> None:
    marks = Marks(registered=True, registered_number=GS1)
    five = (*ADDRESS, "NEDERLAND", "EUROPA")
    letter(document("een"), address=five, marks=marks)
    with pytest.raises(LetterRefused) as refused:
        letter(document("een"), address=(*five, "AARDE"), marks=marks)
    assert refused.value.code == "ADDR_LINES"


@pytest.mark.parametrize(
    ("marks", "code"),
    [
        ({"registered": True, "registered_number": "010541288500452721221234567890"}, "REG_BARCODE_INVALID"),
        ({"registered": True, "registered_number": "RR473124828BE"}, "S10_CHECK"),
        ({"registered": True, "registered_number": "12"}, "REG_BARCODE_INVALID"),
        ({"mail_id": "JJBEA10"}, "REG_BARCODE_INVALID"),
    ],
)
def test_a_wrong_number_is_never_printed(marks: dict[str, object], code: str) -> None:
    with pytest.raises(LetterRefused) as refused:
        Marks(**marks)  # type: ignore[arg-type]
    assert refused.value.code == code
