"""Where visible seals go: by rule, upright as seen, and never over what can be seen."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import (
    FieldMDPAction,
    FieldMDPSpec,
    SigFieldSpec,
    SigSeedValueSpec,
    append_signature_field,
)

from signing.appearance import InCorner, InField, InRectangle, Reason, Shown
from signing.errors import FieldUnusable, Unsealable
from signing.validate import Changes, validate
from tests.appearance_support import (
    appearance,
    codes,
    described,
    difference,
    logo,
    page,
    prepared,
    sealed,
    seen,
    upright,
    widget,
)
from tests.signing_support import form_pdf, outside, plain_pdf, roots

DOCUMENTS = Path(__file__).parents[1] / "documents"
A4 = (595, 842)


def array(*numbers: float) -> pikepdf.Array:
    return pikepdf.Array([*numbers])


ODD: dict[str, dict[str, Any]] = {
    "turned by 90": {"Rotate": 90},
    "turned by 180": {"Rotate": 180},
    "turned by 270": {"Rotate": 270},
    "turned by -90": {"Rotate": -90},
    "cropped": {"CropBox": array(100, 150, 500, 700)},
    "cropped and turned": {"CropBox": array(100, 150, 500, 700), "Rotate": 90},
    "cropped beyond the page": {"CropBox": array(-300, -300, 2000, 2000)},
    "with corners the other way round": {"MediaBox": array(500, 800, -100, -50)},
    "with a unit of two points": {"UserUnit": 2},
    "with a unit, cropped and turned": {"UserUnit": 1.5, "CropBox": array(50, 80, 595, 842), "Rotate": 270},
}


@pytest.mark.parametrize("how", ODD)
@pytest.mark.parametrize("corner", ["bottom-right", "top-left"])
def test_on_odd_pages_it_is_upright_in_its_corner_and_covers_nothing(how: str, corner: Any) -> None:
    pdf = page(text_to=450, **ODD[how])
    done = prepared(pdf, appearance(place=InCorner(corner)))
    assert done.shown.page == 1
    assert upright(seen(done.pdf))
    changed = difference(pdf, done.pdf)
    assert changed is not None
    covered = seen(pdf, scale=1).crop(changed)
    assert len(covered.getcolors() or ()) == 1, "something was there"
    wide, high = seen(pdf, scale=1).size
    middle = ((changed[0] + changed[2]) / 2 / wide, (changed[1] + changed[3]) / 2 / high)
    if corner == "bottom-right" and "Rotate" not in ODD[how]:
        assert middle[0] > 0.5
        assert middle[1] > 0.5


@pytest.mark.parametrize("name", sorted(path.name for path in DOCUMENTS.glob("*.pdf")))
def test_on_real_documents_nothing_changes_outside_its_box_and_nothing_was_inside(name: str) -> None:
    pdf = (DOCUMENTS / name).read_bytes()
    done = prepared(pdf, appearance(logo=logo()))
    if done.shown.page is None:
        assert done.shown.reason is Reason.SIGNED_BEFORE
        assert difference(pdf, done.pdf) is None
        return
    changed = difference(pdf, done.pdf, done.shown.page)
    assert changed is not None
    wide, high = changed[2] - changed[0], changed[3] - changed[1]
    assert (wide < 270 and high < 68) or (wide < 68 and high < 270)
    covered = seen(pdf, done.shown.page, scale=1).convert("L").crop(changed).getextrema()
    assert covered[1] - covered[0] < (60 if "scan" in name else 12)  # type: ignore[operator] # one band: two numbers
    assert len(codes(seen(done.pdf, done.shown.page))) == 1


ROOM = {"much": (200, "full"), "only the margin": (62, "compact"), "hardly any": (40, None), "none": (5, None)}


@pytest.mark.parametrize("room", ROOM)
def test_where_room_is_scarce_it_becomes_small_and_then_invisible_with_a_reason(room: str) -> None:
    text_to, variant = ROOM[room]
    done = prepared(page(text_to=text_to), appearance(logo=logo()))
    assert done.shown.variant == variant
    assert (done.shown.reason is Reason.NO_ROOM) is (variant is None)


def test_a_dark_page_has_room_too() -> None:
    done = prepared(page(ground="#223344"), appearance())
    assert done.shown.variant == "full"
    assert codes(seen(done.pdf))


def test_a_coloured_part_of_the_page_is_no_room() -> None:
    """The page's own colour is that of its edges, not the one there is most of."""
    pdf = (DOCUMENTS / "landscape-and-turned-nl-cairo.pdf").read_bytes()
    done = prepared(pdf, appearance(logo=logo()))
    assert done.shown.variant == "compact"


def test_an_empty_form_field_is_no_room() -> None:
    with pikepdf.open(io.BytesIO(form_pdf())) as pdf:
        pdf.AcroForm = None
        field = pdf.pages[0].Annots[0]
        field.Rect = array(300, 10, 590, 100)
        for key in ("/AP", "/MK", "/BS"):
            if key in field:
                del field[key]
        out = io.BytesIO()
        pdf.save(out)
    assert seen(out.getvalue(), scale=1, fields=False).crop((300, 742, 590, 832)).getextrema()[0][0] == 255
    done = prepared(out.getvalue(), appearance())
    assert done.shown.box is not None
    assert done.shown.box[1] >= 100 or done.shown.box[2] <= 300


PAGES = {1: 1, 2: 2, -1: 3, -3: 1, 4: None, -4: None, 0: None}


@pytest.mark.parametrize("asked", PAGES)
def test_pages_are_counted_from_both_ends_and_one_that_is_not_there_shows_nothing(asked: int) -> None:
    done = prepared(page(pages=3), appearance(place=InCorner(page=asked)))
    assert done.shown.page == PAGES[asked]
    assert (done.shown.reason is Reason.NO_SUCH_PAGE) is (PAGES[asked] is None)


def test_a_rectangle_is_taken_as_it_is_seen() -> None:
    pdf = page(Rotate=90)
    done = prepared(pdf, appearance(place=InRectangle((40, 30, 300, 120))))
    changed = difference(pdf, done.pdf)
    assert changed is not None
    height = seen(pdf, scale=1).height
    left, top, right, bottom = changed
    assert 39 <= left < right <= 301
    assert 29 <= height - bottom < height - top <= 121
    assert upright(seen(done.pdf))


@pytest.mark.parametrize("answer", [b"", b"\x00\x00\x00\x10\x00\x00\x00\x10" + bytes(32)], ids=["nothing", "another"])
def test_a_page_that_cannot_be_looked_at_is_sealed_invisibly(answer: bytes) -> None:
    done = prepared(plain_pdf(), appearance(look_at=lambda *_: answer))
    assert done.shown == Shown(reason=Reason.PAGE_NOT_SHOWN)


def test_a_document_signed_before_keeps_its_signature_valid() -> None:
    """A new field that can be seen would count as a change of what was signed."""
    first = sealed(page()).pdf
    second = sealed(first)
    assert second.shown.reason is Reason.SIGNED_BEFORE
    report = validate(second.pdf, trust_roots=roots(), at=datetime.now(UTC))
    assert report.valid
    assert [entry.changes for entry in report.signatures] == [Changes.ALLOWED, Changes.NONE]


def with_field(pdf: bytes, name: str = "Handtekening", box: Any = (60, 60, 320, 130), **more: Any) -> bytes:
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    append_signature_field(writer, SigFieldSpec(name, on_page=0, box=box, **more))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_an_empty_field_of_the_document_is_filled_in_place(tmp_path: Path) -> None:
    pdf = with_field(page())
    done = sealed(pdf, appearance(place=InField("Handtekening")))
    changed = difference(pdf, done.pdf)
    assert changed is not None
    assert changed[0] >= 59
    assert changed[2] <= 321
    assert validate(done.pdf, trust_roots=roots(), at=datetime.now(UTC)).valid
    assert [each.field_name for each in PdfFileReader(io.BytesIO(done.pdf)).embedded_signatures] == ["Handtekening"]
    assert "Gemeente Voorbeeld" in described(done.pdf)
    file = tmp_path / "sealed.pdf"
    file.write_bytes(done.pdf)
    assert outside("qpdf", "--check", file).returncode == 0


def test_fields_kept_free_before_the_first_signature_take_later_ones_visibly() -> None:
    """How several people sign visibly in turn without any signature calling the others a change."""
    pdf = with_field(with_field(page(), "Eerste"), "Tweede", (60, 140, 320, 190))
    first = sealed(pdf, appearance(place=InField("Eerste")))
    both = sealed(first.pdf, appearance(place=InField("Tweede")))
    assert both.shown.page == 1
    report = validate(both.pdf, trust_roots=roots(), at=datetime.now(UTC))
    assert report.valid, report


def test_a_field_on_another_page_is_found_there() -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(page(pages=3)))
    append_signature_field(writer, SigFieldSpec("Zegel", on_page=1, box=(60, 60, 320, 130)))
    out = io.BytesIO()
    writer.write(out)
    done = prepared(out.getvalue(), appearance(place=InField("Zegel")))
    assert done.shown.page == 2
    assert codes(seen(done.pdf, 2))


def test_a_field_without_a_size_is_signed_and_shows_nothing() -> None:
    done = prepared(with_field(page(), box=(0, 0, 0, 0)), appearance(place=InField("Handtekening")))
    assert done.shown.reason is Reason.FIELD_NOT_SHOWN


def test_what_a_field_locks_is_said_in_the_signature() -> None:
    lock = FieldMDPSpec(FieldMDPAction.ALL)
    done = sealed(with_field(page(), field_mdp_spec=lock), appearance(place=InField("Handtekening")))
    found = PdfFileReader(io.BytesIO(done.pdf)).embedded_signatures[0]
    assert found.fieldmdp == lock
    assert validate(done.pdf, trust_roots=roots(), at=datetime.now(UTC)).valid


def in_two_places() -> bytes:
    """A signature field with two widgets."""
    with pikepdf.open(io.BytesIO(with_field(page()))) as pdf:
        field = pdf.Root.AcroForm.Fields[0]
        widgets = [
            pdf.make_indirect(
                pikepdf.Dictionary(
                    Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, Rect=field.Rect, Parent=field, F=132
                )
            )
            for _ in range(2)
        ]
        for key in ("/Type", "/Subtype", "/Rect", "/F", "/P", "/AP"):
            if key in field:
                del field[key]
        field.Kids = pikepdf.Array(widgets)
        pdf.pages[0].Annots = pikepdf.Array(widgets)
        out = io.BytesIO()
        pdf.save(out)
    return out.getvalue()


UNUSABLE = {
    "in two places": in_two_places,
    "not there": page,
    "taken": lambda: sealed(with_field(page()), appearance(place=InField("Handtekening"))).pdf,
    "with conditions": lambda: with_field(page(), seed_value_dict=SigSeedValueSpec(reasons=["Akkoord"])),
}


@pytest.mark.parametrize("why", UNUSABLE)
def test_a_field_that_cannot_be_used_refuses_the_document_with_a_code(why: str) -> None:
    with pytest.raises(FieldUnusable) as caught:
        prepared(UNUSABLE[why](), appearance(place=InField("Handtekening")))
    assert caught.value.code == "pdf_field_unusable"
    assert isinstance(caught.value, Unsealable)


def test_without_the_field_the_other_rule_holds() -> None:
    done = prepared(page(), appearance(place=InField("Handtekening", otherwise=InCorner("top-left"))))
    assert done.shown.variant == "full"


def structure(pdf: bytes) -> tuple[Any, ...]:
    """The last element of the document, its widget's key, and what the parent tree gives for it."""
    with widget(pdf) as found:
        key = int(found.StructParent)
        with pikepdf.open(io.BytesIO(pdf)) as opened:
            root = opened.Root.StructTreeRoot
            top = root.K if isinstance(root.K, pikepdf.Dictionary) else root.K[0]
            element = (top.K if top.get("/S") == "/Document" else root.K)[-1]
            entry = pikepdf.NumberTree(root.ParentTree)[key]
            assert entry.objgen == element.objgen
            assert int(root.ParentTreeNextKey) == key + 1
            assert element.K.Obj.get("/T") == "Seal1"
            shown = next(each.obj for each in opened.pages if each.obj.objgen == element.Pg.objgen)
            assert shown.Tabs == "/S"
            return str(element.S), str(element.Alt), str(element.Lang)


@pytest.mark.parametrize("name", ["permit-nl-libreoffice.pdf", "letter-fr-chromium.pdf"])
def test_in_a_tagged_document_it_is_part_of_the_structure(name: str, tmp_path: Path) -> None:
    done = prepared((DOCUMENTS / name).read_bytes(), appearance())
    kind, text, language = structure(done.pdf)
    assert kind == "/Form"
    assert text == described(done.pdf)
    assert language == "nl"
    file = tmp_path / "tagged.pdf"
    file.write_bytes(done.pdf)
    assert outside("qpdf", "--check", file).returncode in {0, 3}
    complaints = outside("pdfinfo", "-struct", DOCUMENTS / name).stderr
    assert outside("pdfinfo", "-struct", file).stderr == complaints


def test_a_parent_tree_of_several_levels_gets_the_key_in_its_last_leaf() -> None:
    def nest(root: Any, pdf: pikepdf.Pdf) -> None:
        numbers = list(root.ParentTree.Nums)
        first, second = numbers[:2], numbers[2:]
        leaf = pikepdf.Dictionary(Nums=pikepdf.Array(second), Limits=array(int(second[0]), int(second[-2])))
        upper = pikepdf.Dictionary(Kids=pikepdf.Array([pdf.make_indirect(leaf)]), Limits=leaf.Limits)
        other = pikepdf.Dictionary(Nums=pikepdf.Array(first), Limits=array(int(first[0]), int(first[0])))
        root.ParentTree = pdf.make_indirect(
            pikepdf.Dictionary(Kids=pikepdf.Array([pdf.make_indirect(other), pdf.make_indirect(upper)]))
        )

    done = prepared(restructured(nest), appearance())
    assert structure(done.pdf)[0] == "/Form"


def restructured(change: Any) -> bytes:
    with pikepdf.open(DOCUMENTS / "letter-fr-chromium.pdf") as pdf:
        change(pdf.Root.StructTreeRoot, pdf)
        out = io.BytesIO()
        pdf.save(out)
    return out.getvalue()


UNSOUND = {
    "no parent tree": lambda root, _: root.__delattr__("ParentTree"),
    "an odd number of entries": lambda root, _: root.ParentTree.__setattr__("Nums", array(1)),
    "keys that are no numbers": lambda root, _: root.ParentTree.__setattr__("Nums", pikepdf.Array([pikepdf.Name.A, 1])),
    "a tree that goes round": lambda root, _: root.__setattr__("ParentTree", _round(root.ParentTree)),
}


def _round(tree: Any) -> Any:
    tree.Kids = pikepdf.Array([tree])
    if "/Nums" in tree:
        del tree.Nums
    return tree


@pytest.mark.parametrize("what", UNSOUND)
def test_a_structure_that_is_not_sound_is_left_as_it_is(what: str) -> None:
    done = prepared(restructured(UNSOUND[what]), appearance())
    assert done.shown.page == 2
    with widget(done.pdf) as found:
        assert "/StructParent" not in found


def test_a_field_of_its_own_kind_is_not_mistaken_for_ours() -> None:
    """A text field with the profile's name is no signature field."""
    with pytest.raises(FieldUnusable):
        prepared(form_pdf(), appearance(place=InField("name")))
