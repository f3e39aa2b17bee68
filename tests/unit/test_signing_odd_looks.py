"""Visible seals on documents whose pages and structures are odd: what is wrong counts for nothing and stops nothing."""

import io
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pikepdf
import pytest
from PIL import Image
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from signing.appearance import InField, Reason
from signing.appearance.geometry import page_reference
from signing.appearance.picture import Picture
from signing.appearance.words import words
from signing.errors import PdfUnreadable
from signing.revision import open_for_update
from tests.appearance_support import appearance, codes, difference, logo, page, prepared, seen, upright
from tests.pdfa_support import faults
from tests.signing_support import plain_pdf
from tests.unit.test_signing_places import DOCUMENTS, array, restructured, structure, with_field


def changed(pdf: bytes, change: Any) -> bytes:
    with pikepdf.open(io.BytesIO(pdf)) as opened:
        change(opened)
        out = io.BytesIO()
        opened.save(out)
    return out.getvalue()


ENTRIES: dict[str, dict[str, Any]] = {
    "a crop box of three numbers": {"CropBox": array(0, 0, 300)},
    "a crop box of words": {"CropBox": pikepdf.Array([pikepdf.String("a")] * 4)},
    "a turn of 45 degrees": {"Rotate": 45},
    "a turn that is a word": {"Rotate": pikepdf.Name.Left},
    "a unit of nothing": {"UserUnit": 0},
    "annotations that are none": {"Annots": pikepdf.Array([1, pikepdf.Dictionary(Subtype=pikepdf.Name.Popup)])},
    "an annotation without a place": {"Annots": pikepdf.Array([pikepdf.Dictionary(Subtype=pikepdf.Name.Text)])},
    "an annotation in a place of words": {
        "Annots": pikepdf.Array([pikepdf.Dictionary(Rect=pikepdf.Array([pikepdf.Name.A] * 4))])
    },
}


@pytest.mark.parametrize("what", ENTRIES)
def test_odd_entries_of_a_page_stop_nothing(what: str) -> None:
    pdf = page(**ENTRIES[what])
    done = prepared(pdf, appearance())
    assert done.shown.variant == "full"
    assert upright(seen(done.pdf))
    box = difference(pdf, done.pdf)
    assert box is not None
    assert len(seen(pdf, scale=1).crop(box).getcolors() or ()) == 1


def test_what_the_page_inherits_counts() -> None:
    def inherit(pdf: pikepdf.Pdf) -> None:
        pages = pdf.Root.Pages
        pages.MediaBox, pages.Rotate = array(0, 0, 595, 842), 90
        del pdf.pages[0].obj.MediaBox

    done = prepared(changed(page(), inherit), appearance())
    assert upright(seen(done.pdf))


def test_a_page_without_any_box_is_seen_as_viewers_see_it() -> None:
    def bare(pdf: pikepdf.Pdf) -> None:
        del pdf.pages[0].obj.MediaBox

    done = prepared(changed(plain_pdf(), bare), appearance())
    assert codes(seen(done.pdf))


def test_a_page_that_one_viewer_shows_and_another_does_not_is_sealed_invisibly() -> None:
    """A crop box beside the page: poppler shows the whole page, pdfium nothing."""
    done = prepared(page(CropBox=array(2000, 2000, 3000, 3000)), appearance())
    assert done.shown.reason is Reason.PAGE_NOT_SHOWN


def test_a_page_of_a_hundred_square_metres_is_sealed_invisibly() -> None:
    done = prepared(page(size=(28_000, 28_000), text_to=27_900), appearance())
    assert done.shown.reason is Reason.PAGE_NOT_SHOWN


def test_a_page_with_thousands_of_annotations_is_sealed_invisibly() -> None:
    note = pikepdf.Dictionary(Subtype=pikepdf.Name.Text, Rect=array(10, 10, 20, 20))
    done = prepared(page(Annots=pikepdf.Array([note] * 2_001)), appearance())
    assert done.shown.reason is Reason.PAGE_NOT_SHOWN


def test_a_field_that_no_page_shows_is_signed_and_shows_nothing() -> None:
    def hide(pdf: pikepdf.Pdf) -> None:
        del pdf.pages[0].obj.Annots

    done = prepared(changed(with_field(page()), hide), appearance(place=InField("Handtekening")))
    assert done.shown.reason is Reason.FIELD_NOT_SHOWN


def test_a_page_tree_that_goes_round_is_refused_as_unreadable() -> None:
    pdf = with_field(page())
    tree = re.search(rb"(\d+) 0 obj\s*<<[^>]*?/Kids \[ ?(\d+) 0 R ?\]", pdf)
    assert tree is not None
    harmed = pdf[: tree.start(2)] + tree[1].ljust(len(tree[2])) + pdf[tree.end(2) :]
    with pytest.raises(PdfUnreadable):
        prepared(harmed, appearance(place=InField("Handtekening")))


def test_a_document_element_with_no_or_one_child_gets_another() -> None:
    def none(root: Any, _: Any) -> None:
        top = root.K if isinstance(root.K, pikepdf.Dictionary) else root.K[0]
        if "/K" in top:
            del top.K

    def one(root: Any, _: Any) -> None:
        top = root.K if isinstance(root.K, pikepdf.Dictionary) else root.K[0]
        top.K = top.K[0]

    for change in (none, one):
        assert structure(prepared(restructured(change), appearance()).pdf)[0] == "/Form"


def test_a_document_of_several_elements_gets_one_more() -> None:
    def several(root: Any, pdf: pikepdf.Pdf) -> None:
        element = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.StructElem, S=pikepdf.Name.P, P=root))
        root.K = pikepdf.Array([element, element])

    assert structure(prepared(restructured(several), appearance()).pdf)[0] == "/Form"


def test_metadata_that_is_packed_is_not_of_part_1() -> None:
    """Part 1 forbids it, and unpacking what anybody sends is a risk."""

    writer = IncrementalPdfFileWriter(io.BytesIO((DOCUMENTS / "permit-nl-pdfa.pdf").read_bytes()))
    metadata = generic.StreamObject(stream_data=writer.root["/Metadata"].data)
    metadata.compress()
    writer.root["/Metadata"] = writer.add_object(metadata)
    writer.update_root()
    out = io.BytesIO()
    writer.write(out)
    pdf = out.getvalue()
    done = prepared(pdf, appearance(look_at=lambda *_: b""))
    assert "6.3.3 no appearance" in faults(pdf, done.pdf, part=1)


def test_a_field_of_others_in_several_places_lends_no_appearance() -> None:
    def split(pdf: pikepdf.Pdf) -> None:
        field = pdf.Root.AcroForm.Fields[0]
        field.Kids = pikepdf.Array([pdf.make_indirect(pikepdf.Dictionary(Rect=field.Rect)) for _ in range(2)])

    first = prepared((DOCUMENTS / "permit-nl-pdfa.pdf").read_bytes(), appearance()).pdf
    pdf = changed(first, split)
    assert faults(pdf, prepared(pdf, appearance()).pdf, part=1) == []


ZONES = {
    timedelta(0): "(UTC)",
    timedelta(hours=2): "(UTC+2)",
    timedelta(hours=-9, minutes=-30): "(UTC-9:30)",
    timedelta(hours=5, minutes=45): "(UTC+5:45)",
}


@pytest.mark.parametrize("offset", ZONES)
def test_the_difference_from_utc_is_said_to_the_minute(offset: timedelta) -> None:
    said = words("en").moment(datetime(2026, 3, 1, 9, 5, 7, tzinfo=timezone(offset)))
    assert said == f"1 March 2026, 09:05:07 {ZONES[offset]}"


def nested(counts: list[int | list[int]]) -> bytes:
    """A document whose page tree has these branches: a number is one of so many pages, 0 an empty one."""
    with pikepdf.open(io.BytesIO(page(pages=12))) as pdf:
        pages = [each.obj for each in pdf.pages]

        def branch(many: int | list[int]) -> Any:
            kids = [branch(each) for each in many] if isinstance(many, list) else [pages.pop(0) for _ in range(many)]
            total = sum(int(kid.get("/Count", 1)) for kid in kids)
            made = pikepdf.Dictionary(Type=pikepdf.Name.Pages, Kids=pikepdf.Array(kids), Count=total)
            return pdf.make_indirect(made)

        root = branch(counts)  # type: ignore[arg-type] # a list of numbers and of lists
        pdf.Root.Pages = root
        out = io.BytesIO()
        pdf.save(out)
    return out.getvalue()


TREES: dict[str, list[Any]] = {
    "branches": [3, 4, 5],
    "branches of branches": [[2, 3], 1, [4, [1, 1]]],
    "an empty branch before": [0, 3, 3],
    "an empty branch beside one of two": [[0, 2], 3],
    "single pages": [1, 1, 1, 1],
}


@pytest.mark.parametrize("tree", TREES)
def test_pages_are_found_in_every_tree_as_others_find_them(tree: str) -> None:
    pdf = nested(TREES[tree])
    ours, theirs = open_for_update(io.BytesIO(pdf)), IncrementalPdfFileWriter(io.BytesIO(pdf))
    for index in range(int(theirs.root["/Pages"]["/Count"])):
        expected = theirs.find_page_for_modification(index)[0]
        found = ours.find_page_for_modification(index)[0]
        assert (found.idnum, found.generation) == (expected.idnum, expected.generation)
    with pytest.raises(PdfError):
        ours.find_page_for_modification(int(theirs.root["/Pages"]["/Count"]))


def test_a_page_tree_that_never_ends_is_refused_as_unreadable() -> None:
    pdf = nested([[2], 3])
    numbers = [int(each) for each in re.findall(rb"(\d+) 0 obj\n<<[^>]*?/Type /Pages", pdf)]
    reader = open_for_update(io.BytesIO(pdf))
    tree = reader.root["/Pages"]
    assert page_reference(tree, 4) is not None
    # A branch that is its own only child.
    branch = next(kid.get_object() for kid in tree["/Kids"])
    branch["/Kids"][0] = generic.IndirectObject(branch.container_ref.idnum, 0, reader)
    branch["/Count"] = generic.NumberObject(9)
    assert len(numbers) > 2
    assert page_reference(tree, 0) is None
    branch["/Kids"] = generic.NullObject()
    assert page_reference(tree, 0) is None


def test_children_that_are_no_references_are_left_to_the_reader() -> None:
    tree = generic.DictionaryObject({generic.pdf_name("/Count"): generic.NumberObject(1)})
    tree["/Kids"] = generic.ArrayObject([generic.DictionaryObject()])
    assert page_reference(tree, 0) is None


def test_parents_that_go_round_end() -> None:
    def turn(pdf: pikepdf.Pdf) -> None:
        shown = pdf.pages[0].obj
        del shown.MediaBox
        branch = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.Pages))
        branch.Parent = branch
        shown.Parent = branch

    # What it inherits can't be found, so it is as large as a page is that says nothing.
    assert prepared(changed(plain_pdf(), turn), appearance()).shown.variant in {"full", None}


def test_a_small_picture_on_a_page_makes_it_no_scan() -> None:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True)
    canvas.drawImage(ImageReader(io.BytesIO(logo())), 60, 600, 120, 90)
    canvas.save()
    assert prepared(out.getvalue(), appearance()).shown.variant == "full"


def test_a_small_logo_of_few_colours_is_taken_as_it_is() -> None:
    out = io.BytesIO()
    Image.new("RGB", (12, 12), (200, 10, 10)).save(out, "PNG")
    picture = Picture.from_png(out.getvalue())
    assert (picture.width, picture.height) == (12, 12)
    assert picture._palette == bytes((200, 10, 10))


@pytest.mark.parametrize("shown", [None, pikepdf.Dictionary(D=1), pikepdf.Dictionary(N=pikepdf.Dictionary())])
def test_signatures_of_others_without_an_appearance_lend_none(shown: Any) -> None:
    def strip(pdf: pikepdf.Pdf) -> None:
        field = pdf.Root.AcroForm.Fields[0]
        del field.AP
        if shown is not None:
            field.AP = shown

    first = prepared((DOCUMENTS / "permit-nl-pdfa.pdf").read_bytes(), appearance()).pdf
    pdf = changed(first, strip)
    assert faults(pdf, prepared(pdf, appearance()).pdf, part=1) == []
