"""A document as it would lie in its envelope: each rule with what it allows and what it does not, to the edge."""

from collections.abc import Callable
from contextlib import nullcontext
from io import BytesIO

import msgspec
import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name

from printing.checks import Findings, check_document, check_letter
from printing.ink import check_page
from printing.profiles import Box, Profile
from printing.zones import First, Mode
from service.inspection.fields import check_values
from service.inspection.opening import Refused
from signing.seal import Sealer
from tests.letter_check_support import STRICT, Draw, ink, page, pages, text
from tests.printing_support import ADDRESS, document, form, letter
from tests.signing_support import now, seal_key

PROFILE = STRICT
CLEAN = text(20, 150, "Een brief met gewone tekst.")
IN_WINDOW = text(92, 46, *ADDRESS)


def codes(found: Findings) -> list[tuple[str, int | None]]:
    return [(each.code, each.page) for each in found.problems]


def looked(*draws: Draw, mode: Mode = "page", profile: Profile = PROFILE, duplex: bool = True) -> Findings:
    return check_document(page(*draws), profile, mode, duplex=duplex)


def ruled(**rules: object) -> Profile:
    return msgspec.structs.replace(PROFILE, rules=msgspec.structs.replace(PROFILE.rules, **rules))


@pytest.mark.parametrize(
    ("spot", "beyond"),
    [
        (Box(14, 100, 20, 110), False),
        (Box(13.6, 100, 20, 110), True),
        (Box(190, 100, 196, 110), False),
        (Box(190, 100, 196.4, 110), True),
        (Box(100, 4, 110, 10), False),
        (Box(100, 3.6, 110, 10), True),
        (Box(100, 280, 110, 293), False),
        (Box(100, 280, 110, 293.4), True),
        (Box(13 + 2 / 3, 200, 14, 200 + 1 / 3), True),  # one pixel
    ],
)
def test_ink_may_lie_a_millimetre_beyond_the_margins_and_a_pixel_more_is_too_much(spot: Box, *, beyond: bool) -> None:
    assert codes(looked(CLEAN, ink(spot))) == ([("INK_OUTSIDE", 1)] if beyond else [])


def test_a_larger_tolerance_lets_more_through() -> None:
    spot = ink(Box(12, 100, 20, 110))
    assert codes(looked(spot)) == [("INK_OUTSIDE", 1)]
    assert codes(looked(spot, profile=ruled(tolerance=3))) == []


@pytest.mark.parametrize(("grey", "is_ink"), [(0.0, True), (249 / 255, True), (250 / 255, False), (1.0, False)])
def test_what_is_darker_than_the_palest_grey_is_ink(grey: float, *, is_ink: bool) -> None:
    assert bool(looked(ink(Box(2, 100, 8, 110), grey)).problems) == is_ink
    strict = looked(ink(Box(2, 100, 8, 110), 254 / 255), profile=ruled(darkest=255))
    assert codes(strict) == [("INK_OUTSIDE", 1)]


def test_the_boxes_are_those_of_what_lies_outside_in_mm() -> None:
    found = looked(ink(Box(2, 100, 8, 110)), ink(Box(190, 200, 205, 210)), CLEAN)
    assert found.problems[0].boxes == (Box(2, 100, 8, 110), Box(196, 200, 205, 210))


def test_a_print_house_that_prints_to_the_edge_only_warns_or_says_nothing() -> None:
    spot = ink(Box(2, 100, 8, 110))
    warned = looked(spot, profile=ruled(ink_outside="warning"))
    assert ([each.code for each in warned.problems], [each.code for each in warned.warnings]) == ([], ["INK_OUTSIDE"])
    silent = looked(spot, profile=ruled(ink_outside="off"))
    assert (silent.problems, silent.warnings) == ((), ())


@pytest.mark.parametrize(
    ("duplex", "expected"),
    [(True, [1, 3]), (False, [1, 2, 3])],
)
def test_the_zone_of_the_sheet_code_is_free_on_every_front(expected: list[int], *, duplex: bool) -> None:
    wide = msgspec.structs.replace(PROFILE, printable=Box(0, 0, 210, 297))
    spot = [ink(Box(5, 132, 6, 133))]
    found = check_document(pages(spot, spot, spot), wide, "page", duplex=duplex)
    assert codes(found) == [("CODE_ZONE", number) for number in expected]
    assert found.problems[0].boxes == (Box(5, 132, 6, 133),)
    beside = [ink(Box(1, 132, 3.9, 133)), ink(Box(13.1, 132, 14, 133)), ink(Box(5, 128, 6, 131))]
    assert codes(check_document(pages(beside), wide, "page")) == []


class TestWindow:
    """No window lies over a page behind our address page; otherwise it is free, or holds the address alone."""

    def test_behind_an_address_page_nothing_is_asked_of_it(self) -> None:
        found = looked(IN_WINDOW, ink(Box(90, 60, 100, 65)))
        assert (codes(found), found.window_lines) == ([], ())

    @pytest.mark.parametrize(
        ("draw", "expected"),
        [
            (CLEAN, []),
            (ink(Box(100, 50, 101, 51)), [("WINDOW_INK", 1)]),
            (ink(Box(70, 25, 71, 26)), [("WINDOW_INK", 1)]),  # what a shift of the sheet brings into the window
            (ink(Box(60, 25, 69.9, 84)), []),
            (ink(Box(70, 84.1, 195, 90)), []),
            (text(100, 50, "wit", grey=1), [("WINDOW_TEXT", 1)]),
            (text(100, 50, "ongezien", unseen=True), [("WINDOW_TEXT", 1)]),
            (text(100, 50, "zwart"), [("WINDOW_INK", 1), ("WINDOW_TEXT", 1)]),
            (text(100, 50, "   "), []),
        ],
        ids=["clean", "window", "reach", "left of it", "below it", "white", "unseen", "black", "blanks"],
    )
    def test_where_our_address_is_stamped_nothing_stands(self, draw: Draw, expected: list[tuple[str, int]]) -> None:
        assert codes(looked(draw, mode="stamp")) == expected

    def test_an_address_that_stands_there_is_read_and_kept(self) -> None:
        found = looked(CLEAN, IN_WINDOW, mode="adopt")
        assert (codes(found), found.window_lines) == ([], ADDRESS)

    @pytest.mark.parametrize(
        ("draws", "expected"),
        [
            ((), [("ADDR_EMPTY", 1)]),
            ((text(92, 46, "Een", "Twee"),), [("ADDR_LINES", 1)]),
            ((IN_WINDOW, ink(Box(160, 60, 170, 65))), [("WINDOW_INK", 1)]),
            ((IN_WINDOW, ink(Box(72, 60, 80, 65))), [("WINDOW_INK", 1)]),
            ((IN_WINDOW, text(72, 75, "Betreft", grey=1)), [("WINDOW_TEXT", 1)]),
            ((text(85, 46, *ADDRESS),), [("WINDOW_INK", 1), ("WINDOW_TEXT", 1), ("ADDR_EMPTY", 1)]),
            ((text(92, 46, "x" * 51, *ADDRESS[1:], size=8),), [("ADDR_LENGTH", 1)]),
            # An address that is only a picture cannot be compared with anything.
            ((ink(Box(92, 45, 130, 60)),), [("WINDOW_INK", 1), ("ADDR_EMPTY", 1)]),
        ],
        ids=["none", "two lines", "ink beside", "ink around", "white text around", "half out", "long", "picture"],
    )
    def test_it_holds_exactly_an_address(self, draws: tuple[Draw, ...], expected: list[tuple[str, int]]) -> None:
        assert codes(looked(CLEAN, *draws, mode="adopt")) == expected

    def test_lines_are_read_from_top_to_bottom_and_their_pieces_from_left_to_right(self) -> None:
        names = [text(120, 50.3, "Voorbeeld"), text(92, 50, "Mevrouw")]
        pieces = [text(92, 55, "Kerkstraat 12"), *names, text(92, 60, "9999 X")]
        assert looked(*pieces, mode="adopt").window_lines == ("Mevrouw Voorbeeld", "Kerkstraat 12", "9999 X")

    def test_the_code_of_the_post_may_stand_above_the_address(self) -> None:
        with_code = msgspec.structs.replace(PROFILE, mail_id_zone=Box(89, 40, 160, 51))
        draws = (text(92, 56, *ADDRESS, size=9), ink(Box(95, 42, 150, 49)))
        assert codes(looked(*draws, mode="adopt", profile=with_code)) == []
        assert codes(looked(*draws, mode="adopt")) == [("WINDOW_INK", 1)]

    def test_of_further_pages_no_window_is_asked(self) -> None:
        found = check_document(pages([CLEAN], [IN_WINDOW, ink(Box(100, 50, 110, 60))]), PROFILE, "stamp")
        assert codes(found) == []


@pytest.mark.parametrize(
    ("size", "right"), [((595.276, 841.89), True), ((589.7, 836.3), True), ((600.9, 847.5), True), ((589, 842), False)]
)
def test_pages_within_two_millimetres_count_as_a4(size: tuple[float, float], *, right: bool) -> None:
    found = check_document(document("x", size=size), PROFILE, "stamp")
    assert ("PAGE_SIZE" in {each.code for each in found.problems}) != right


def test_a_page_of_another_size_is_moved_where_that_changes_no_address() -> None:
    wide = document("x", "y", size=(841.89, 595.276))
    stamped = check_document(wide, PROFILE, "stamp")
    assert [(each.code, each.page) for each in stamped.problems if each.code == "PAGE_SIZE"] == [("PAGE_SIZE", 1)]
    assert [(each.code, each.page) for each in stamped.warnings] == [("PAGE_SIZE", 2)]
    behind = check_document(wide, PROFILE, "page")
    assert "PAGE_SIZE" not in {each.code for each in behind.problems}
    assert [(each.page, each.boxes) for each in behind.warnings] == [(n, (Box(0, 0, 297, 210),)) for n in (1, 2)]


@pytest.mark.parametrize(
    ("count", "duplex", "mode", "sheets", "envelope"),
    [
        (10, True, "page", 6, "C5/6"),
        (11, True, "page", 7, "C5"),
        (12, True, "stamp", 6, "C5/6"),
        (6, False, "stamp", 6, "C5/6"),
        (6, False, "page", 7, "C5"),
    ],
)
def test_sheets_are_counted_with_the_address_page(
    count: int, mode: Mode, sheets: int, envelope: str, *, duplex: bool
) -> None:
    found = check_document(pages(*[[CLEAN]] * count), PROFILE, mode, duplex=duplex)
    assert (found.pages, found.sheets, found.envelope, found.grams) == (count, sheets, envelope, 5 * sheets + 5)


def test_what_no_envelope_or_file_holds_is_named() -> None:
    small = msgspec.structs.replace(
        PROFILE,
        envelopes=PROFILE.envelopes[:1],
        limits=msgspec.structs.replace(PROFILE.limits, letter_bytes=1000),
    )
    found = check_document(pages(*[[CLEAN]] * 12), small, "page")
    assert (codes(found), found.envelope) == ([("TOO_MANY_SHEETS", None), ("FILE_TOO_BIG", None)], None)


def test_a_print_copy_that_grew_by_more_than_half_is_told_where_it_is_not_small() -> None:
    made = letter(document("x"))

    def warned(source: int, most: int) -> list[str]:
        limits = msgspec.structs.replace(PROFILE.limits, letter_bytes=most)
        profile = msgspec.structs.replace(PROFILE, limits=limits)
        found = check_letter(made.pdf, sheets=made.sheets, profile=profile, source_bytes=source)
        return [each.code for each in found.warnings]

    size = len(made.pdf)
    assert warned(size // 2, 2 * size) == ["FILE_GROWS"]
    assert warned(size * 2 // 3 + 1, 2 * size) == []
    assert warned(size // 2, 11 * size) == []


def broken(change: Callable[[pikepdf.Pdf], None]) -> bytes:
    with pikepdf.open(BytesIO(document("x"))) as pdf:
        change(pdf)
        out = BytesIO()
        pdf.save(out)
    return out.getvalue()


def encrypted() -> bytes:
    with pikepdf.open(BytesIO(document("x"))) as pdf:
        out = BytesIO()
        pdf.save(out, encryption=pikepdf.Encryption(owner="x", user=""))
    return out.getvalue()


def test_what_cannot_be_read_is_named() -> None:
    for pdf in (b"", b"%PDF-1.7", document("x")[:200]):
        assert codes(check_document(pdf, PROFILE, "page")) == [("PDF_UNREADABLE", None)]
    assert codes(check_document(encrypted(), PROFILE, "page")) == [("PDF_ENCRYPTED", None)]

    def odd(pdf: pikepdf.Pdf) -> None:
        pdf.pages[0].obj.Rotate = Name.Sideways

    assert codes(check_document(broken(odd), PROFILE, "page")) == [("PDF_UNREADABLE", None)]


def test_what_fields_show_is_looked_at() -> None:
    """A field without an appearance of its own, as a viewer draws it: here in a font that is not embedded."""
    found = check_document(form("ingevuld"), PROFILE, "page")
    assert codes(found) == [("FONT_NOT_EMBEDDED", 1)]


@pytest.mark.parametrize(
    ("pdf", "hidden"),
    [
        (form("ingevuld", appearance="", anew=True), True),
        (form("ingevuld", appearance=" ", anew=True), True),
        (form("ingevuld", appearance="ingevuld", anew=True), False),
        (form(" ", appearance="", anew=True), False),
        (form("ingevuld", appearance=""), False),
        (form("ingevuld", anew=True), False),
    ],
    ids=["hidden", "blank", "drawn", "empty", "seen by nobody before", "drawn when printed"],
)
def test_a_form_that_is_yet_to_be_sealed_is_judged_as_it_is_then(pdf: bytes, *, hidden: bool) -> None:
    """Viewers draw no field of a sealed document: what only they have drawn is neither seen nor printed."""
    sealed = check_document(Sealer(seal_key(), None).seal(pdf, at=now()), PROFILE, "page")
    found = check_document(pdf, PROFILE, "page", unsealed=True)
    assert (found.problems, found.pages, found.sheets) == (sealed.problems, sealed.pages, sealed.sheets)
    assert [(each.code, each.page) for each in found.warnings] == ([("FIELD_HIDDEN", 1)] if hidden else [])
    # Whoever asks before the hand-in reads that it takes no such form, and it takes all others.
    with pikepdf.open(BytesIO(pdf)) as opened, pytest.raises(Refused) if hidden else nullcontext() as refused:
        check_values(opened)
    if refused is not None:
        assert refused.value.code in found.warnings[0].detail
    if hidden:
        assert found.problems == ()
        assert codes(check_document(pdf, PROFILE, "page")) == [("FONT_NOT_EMBEDDED", 1)]


def test_a_layer_that_is_off_leaves_no_ink() -> None:
    def layered(pdf: pikepdf.Pdf) -> None:
        layer = pdf.make_indirect(Dictionary(Type=Name.OCG, Name="Achtergrond"))
        target = pdf.pages[0].obj
        target.Resources.Properties = Dictionary(L=layer)
        pdf.pages[0].contents_add(b"/OC /L BDC 0 0 40 800 re f EMC")
        pdf.Root.OCProperties = Dictionary(OCGs=Array([layer]), D=Dictionary(OFF=Array([layer])))

    assert codes(check_document(broken(layered), PROFILE, "page")) == []


@pytest.mark.parametrize(
    ("front", "first", "expected"),
    [
        (True, First.NOTHING, ["INK_OUTSIDE", "CODE_ZONE", "WINDOW_INK"]),
        (False, First.BEHIND, ["INK_OUTSIDE"]),
        (True, First.BEHIND, ["INK_OUTSIDE", "CODE_ZONE"]),
    ],
)
def test_a_page_alone_is_looked_at_by_what_it_is(expected: list[str], first: First, *, front: bool) -> None:
    opened = pypdfium2.PdfDocument(page(ink(Box(5, 132, 6, 133)), ink(Box(100, 50, 101, 51))))
    try:
        found = check_page(opened[0], PROFILE, number=4, front=front, first=first)
    finally:
        opened.close()
    assert [(each.code, each.page) for each in found] == [(code, 4) for code in expected]


def test_what_pdfium_cannot_open_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """qpdf and pdfium do not agree about every file."""

    def refused(_: bytes) -> None:
        raise pypdfium2.PdfiumError("no")

    monkeypatch.setattr(pypdfium2, "PdfDocument", refused)
    assert codes(looked(CLEAN)) == [("PDF_UNREADABLE", None)]


def test_a_page_that_pdfium_cannot_load_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise pypdfium2.PdfiumError("no")

    monkeypatch.setattr(pypdfium2.PdfDocument, "__getitem__", refused)
    assert codes(looked(CLEAN)) == [("PDF_UNREADABLE", None)]
