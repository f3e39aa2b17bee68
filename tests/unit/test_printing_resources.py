"""What pages draw with: fonts that are not there, fonts of Type 3, transparency, colours of screens."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import msgspec
import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name

from printing.checks import check_document
from printing.profiles import Rules, load
from printing.resources import Survey, drop_unused_fonts
from tests.printing_support import document

Change = Callable[[pikepdf.Pdf, pikepdf.Object], None]

BARE = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)


def made(*changes: Change, texts: tuple[str, ...] = ("Een brief",)) -> bytes:
    with pikepdf.open(BytesIO(document(*texts))) as pdf:
        for change in changes:
            change(pdf, pdf.pages[0].obj)
        out = BytesIO()
        pdf.save(out)
    return out.getvalue()


def font(_: pikepdf.Pdf, page: Any) -> None:
    page.Resources.Font.Bare = BARE


def shows(content: bytes) -> Change:
    def change(pdf: pikepdf.Pdf, _: Any) -> None:
        pdf.pages[0].contents_add(content)

    return change


def in_form(pdf: pikepdf.Pdf, page: Any) -> None:
    page.Resources.XObject = Dictionary(
        F=pdf.make_stream(
            b"BT /Bare 12 Tf 100 300 Td (in a form) Tj ET",
            Type=Name.XObject,
            Subtype=Name.Form,
            BBox=[0, 0, 595, 842],
            Resources=Dictionary(Font=Dictionary(Bare=BARE)),
        )
    )
    pdf.pages[0].contents_add(b"/F Do")


def composite(_: pikepdf.Pdf, page: Any) -> None:
    descendant = Dictionary(Type=Name.Font, Subtype=Name.CIDFontType2, BaseFont=Name.Arial)
    page.Resources.Font.Bare = Dictionary(
        Type=Name.Font,
        Subtype=Name.Type0,
        BaseFont=Name.Arial,
        Encoding=Name("/Identity-H"),
        DescendantFonts=Array([descendant]),
    )


def state(**entries: Any) -> Change:
    def change(_: pikepdf.Pdf, page: Any) -> None:
        page.Resources.ExtGState = Dictionary(G=Dictionary(**entries))

    return change


def type3(pdf: pikepdf.Pdf, page: Any) -> None:
    page.Resources.Font.T = Dictionary(
        Type=Name.Font,
        Subtype=Name.Type3,
        FontBBox=[0, 0, 9, 9],
        FontMatrix=[0.1, 0, 0, 0.1, 0, 0],
        FirstChar=65,
        LastChar=65,
        Widths=[9],
        Encoding=Dictionary(Differences=[65, Name.A]),
        CharProcs=Dictionary(A=pdf.make_stream(b"9 0 0 0 9 9 d1 0 0 9 9 re f")),
        Resources=Dictionary(),
    )


def problems(pdf: bytes, **rules: str) -> tuple[list[str], list[str]]:
    profile = msgspec.structs.replace(load(), rules=msgspec.structs.replace(Rules(), **rules))
    found = check_document(pdf, profile, "page")
    return [each.code for each in found.problems], [each.code for each in found.warnings]


SEEN = b"BT /Bare 12 Tf 100 300 Td (words) Tj ET"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((font, shows(SEEN)), True),
        ((font,), False),
        ((font, shows(b"BT /Bare 12 Tf 3 Tr 100 300 Td (unseen) Tj ET")), False),
        ((font, shows(b"BT /Bare 12 Tf 100 300 Td (   ) Tj ET")), False),
        ((in_form,), True),
        ((composite, shows(b"BT /Bare 12 Tf 100 300 Td <00480049> Tj ET")), True),
        ((), False),
    ],
    ids=["used", "unused", "unseen", "blanks", "in a form", "composite", "embedded"],
)
def test_a_font_that_is_not_embedded_is_an_error_when_something_is_seen_of_it(
    changes: tuple[Change, ...], *, expected: bool
) -> None:
    assert problems(made(*changes)) == (["FONT_NOT_EMBEDDED"] if expected else [], [])


def test_the_page_is_named_where_it_is_used() -> None:
    def on_second(pdf: pikepdf.Pdf, _: Any) -> None:
        font(pdf, pdf.pages[1].obj)
        pdf.pages[1].contents_add(SEEN)

    found = check_document(made(on_second, texts=("een", "twee")), load(), "page")
    assert [(each.code, each.page) for each in found.problems] == [("FONT_NOT_EMBEDDED", 2)]


def names_of(pdf: pikepdf.Pdf, index: int) -> set[str]:
    return set(pdf.pages[index].obj.Resources.Font.keys())


def test_an_unused_one_is_dropped_from_its_page_and_from_no_other() -> None:
    def shared(pdf: pikepdf.Pdf, page: Any) -> None:
        page.Resources = pdf.make_indirect(page.Resources)
        font(pdf, page)
        pdf.pages[1].obj.Resources = page.Resources
        pdf.pages[1].contents_add(SEEN)

    with pikepdf.open(BytesIO(made(shared, texts=("een", "twee")))) as pdf:
        before = names_of(pdf, 0)
        assert drop_unused_fonts(pdf) == 1
        assert names_of(pdf, 0) == before - {"/Bare"}
        assert names_of(pdf, 1) == before
        assert drop_unused_fonts(pdf) == 0


def test_a_font_that_a_form_takes_from_its_page_is_kept() -> None:
    def borrowed(pdf: pikepdf.Pdf, page: Any) -> None:
        font(pdf, page)
        in_form(pdf, page)
        del page.Resources.XObject.F.Resources

    with pikepdf.open(BytesIO(made(borrowed))) as pdf:
        assert drop_unused_fonts(pdf) == 0


def test_what_is_dropped_changes_nothing_that_is_seen() -> None:
    pdf = made(font)
    with pikepdf.open(BytesIO(pdf)) as opened:
        assert drop_unused_fonts(opened) == 1
        out = BytesIO()
        opened.save(out)
    before, after = (pypdfium2.PdfDocument(each)[0].render().to_pil() for each in (pdf, out.getvalue()))
    assert before.tobytes() == after.tobytes()


@pytest.mark.parametrize(
    ("change", "transparent"),
    [
        (state(ca=0.5), True),
        (state(CA=0.99), True),
        (state(BM=Name.Multiply), True),
        (state(BM=Array([Name.Multiply, Name.Normal])), True),
        (state(SMask=Dictionary(S=Name.Alpha)), True),
        (state(ca=1, CA=1, BM=Name.Normal, SMask=Name("/None")), False),
    ],
)
def test_transparency_is_told_and_refused_where_the_print_house_wants_that(
    change: Change, *, transparent: bool
) -> None:
    pdf = made(change)
    assert problems(pdf) == ([], ["TRANSPARENCY"] if transparent else [])
    assert problems(pdf, transparency="error") == (["TRANSPARENCY"] if transparent else [], [])
    assert problems(pdf, transparency="off") == ([], [])


def test_a_picture_with_a_soft_mask_is_transparent() -> None:
    def picture(pdf: pikepdf.Pdf, page: Any) -> None:
        grey = {"Type": Name.XObject, "Subtype": Name.Image, "Width": 1, "Height": 1, "BitsPerComponent": 8}
        mask = pdf.make_stream(b"\x80", ColorSpace=Name.DeviceGray, **grey)
        page.Resources.XObject = Dictionary(I=pdf.make_stream(b"\0", ColorSpace=Name.DeviceGray, SMask=mask, **grey))

    assert problems(made(picture)) == ([], ["TRANSPARENCY"])


def test_a_font_of_type_3_is_told() -> None:
    assert problems(made(type3)) == ([], ["FONT_TYPE3"])
    assert problems(made(type3), font_type3="error") == (["FONT_TYPE3"], [])


@pytest.mark.parametrize(
    ("content", "screen"),
    [
        (b"1 0 0 rg 100 100 9 9 re f", True),
        (b"/DeviceRGB cs 100 100 9 9 re f", True),
        (b"0 1 0 0 k 100 100 9 9 re f", False),
        (b"0.5 g 100 100 9 9 re f", False),
    ],
)
def test_colours_of_screens_are_told_where_the_print_house_asks(content: bytes, *, screen: bool) -> None:
    pdf = made(shows(content))
    assert problems(pdf) == ([], [])
    assert problems(pdf, not_cmyk="warning") == ([], ["NOT_CMYK"] if screen else [])
    assert problems(pdf, not_cmyk="error") == (["NOT_CMYK"] if screen else [], [])


def test_resources_that_lead_back_to_themselves_are_looked_at_once() -> None:
    def circle(pdf: pikepdf.Pdf, page: Any) -> None:
        in_form(pdf, page)
        page.Resources.XObject.F.Resources.XObject = Dictionary(G=page.Resources.XObject.F)
        page.Resources.XObject.F.Resources.ExtGState = Dictionary(G=Dictionary(ca=0.5))

    with pikepdf.open(BytesIO(made(circle))) as pdf:
        assert Survey(colours=True).of_page(pdf.pages[0]) >= {"FONT_NOT_EMBEDDED", "TRANSPARENCY"}


def spaced(space: Any) -> Change:
    def change(pdf: pikepdf.Pdf, page: Any) -> None:
        page.Resources.XObject = Dictionary(
            I=pdf.make_stream(
                b"\0\0\0",
                Type=Name.XObject,
                Subtype=Name.Image,
                Width=1,
                Height=1,
                BitsPerComponent=8,
                ColorSpace=space(pdf),
            )
        )

    return change


def named(space: Any) -> Change:
    def change(pdf: pikepdf.Pdf, page: Any) -> None:
        page.Resources.ColorSpace = Dictionary(S=space(pdf))

    return change


@pytest.mark.parametrize("where", [spaced, named])
@pytest.mark.parametrize(
    ("space", "screen"),
    [
        (lambda _: Name.DeviceRGB, True),
        (lambda _: Name.DeviceCMYK, False),
        (lambda _: Array([Name.CalRGB, Dictionary()]), True),
        (lambda pdf: Array([Name.ICCBased, pdf.make_stream(b"", N=3)]), True),
        (lambda pdf: Array([Name.ICCBased, pdf.make_stream(b"", N=4)]), False),
        (lambda _: Array([Name.Indexed, Name.DeviceRGB, 0, b"\0\0\0"]), True),
        (lambda _: Array([Name.Indexed, Name.DeviceGray, 0, b"\0"]), False),
        (lambda _: Array(), False),
    ],
    ids=["rgb", "cmyk", "calibrated", "profile of three", "profile of four", "indexed", "indexed grey", "empty"],
)
def test_spaces_of_pictures_and_of_pages_count(where: Any, space: Any, *, screen: bool) -> None:
    with pikepdf.open(BytesIO(made(where(space)))) as pdf:
        assert ("NOT_CMYK" in Survey(colours=True).of_page(pdf.pages[0])) == screen
        assert "NOT_CMYK" not in Survey(colours=False).of_page(pdf.pages[0])


def test_forms_that_are_drawn_in_a_form_are_looked_into() -> None:
    def nested(pdf: pikepdf.Pdf, page: Any) -> None:
        kinds = {"Type": Name.XObject, "Subtype": Name.Form, "BBox": [0, 0, 9, 9]}
        inner = pdf.make_stream(b"1 0 0 rg 0 0 9 9 re f", **kinds)
        page.Resources.XObject = Dictionary(
            F=pdf.make_stream(b"/G Do", Resources=Dictionary(XObject=Dictionary(G=inner)), **kinds)
        )

    assert problems(made(nested), not_cmyk="warning") == ([], ["NOT_CMYK"])


def test_odd_resources_are_no_error() -> None:
    def odd(_: pikepdf.Pdf, page: Any) -> None:
        page.Resources.Font.Odd = 7
        page.Resources.ExtGState = Dictionary(G=7, H=Dictionary(ca=Name.Half))
        page.Resources.XObject = Dictionary(X=Dictionary(), Y=7)
        page.Resources.Pattern = 7

    with pikepdf.open(BytesIO(made(odd))) as pdf:
        assert Survey(colours=True).of_page(pdf.pages[0]) == frozenset()
        assert drop_unused_fonts(pdf) == 0
        del pdf.pages[0].obj.Resources
        assert Survey(colours=True).of_page(pdf.pages[0]) == frozenset()
        assert drop_unused_fonts(pdf) == 0
