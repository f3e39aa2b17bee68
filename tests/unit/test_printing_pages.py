"""What becomes of a sender's pages in a letter: their size, fields, layers; and what is refused."""

from io import BytesIO

import pikepdf
import pypdfium2
import pytest
from PIL import ImageChops
from pypdfium2 import raw as pdfium

from printing.errors import LetterRefused
from printing.pages import inherited
from printing.profiles import MM
from tests.printing_support import (
    changed,
    dark_box,
    document,
    form,
    letter,
    picture,
    texts_of,
)


def test_the_same_input_gives_the_same_bytes() -> None:
    first = letter(document("x"), document("y"))
    assert letter(document("x"), document("y")) == first
    with pikepdf.open(BytesIO(first.pdf)) as opened:
        assert "/Info" not in opened.trailer
        assert "/Metadata" not in opened.Root


@pytest.mark.parametrize("dpi", [72, 150])
def test_an_a4_page_is_printed_as_it_is(dpi: int) -> None:
    source = document("een bladzijde")
    made = letter(source, duplex=False)
    assert ImageChops.difference(picture(source, 0, dpi), picture(made.pdf, 1, dpi)).getbbox() is None
    assert made.notes == ()


def _placed(source: bytes) -> tuple[tuple[float, float], set[str]]:
    made = letter(source, duplex=False)
    with pikepdf.open(BytesIO(made.pdf)) as opened:
        page = opened.pages[1]
        assert "/Rotate" not in page.obj
        box = [float(value) for value in page.mediabox.as_list()]
    assert box[:2] == [0, 0]
    return (box[2], box[3]), {note.code for note in made.notes}


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        (document("x", size=(A4_WIDE := 841.89, 595.276)), {"PAGE_TURNED"}),
        (document("x", size=(612, 792)), {"PAGE_SCALED"}),
        (document("x", size=(792, 612)), {"PAGE_TURNED", "PAGE_SCALED"}),
        (document("x", size=(2480, 3508)), {"PAGE_SCALED"}),
        (document("x", size=(419.5, 595.3)), {"PAGE_CENTRED"}),
        (document("x", size=(598, 845)), set()),
        (changed(document("x"), Rotate=90), {"PAGE_TURNED"}),
        (changed(document("x", size=(A4_WIDE, 595.276)), Rotate=270), set()),
        (changed(document("x"), Rotate=180), set()),
        (changed(document("x"), UserUnit=2), {"PAGE_SCALED"}),
        (changed(document("x"), CropBox=[0, 400, 595.276, 841.89]), {"PAGE_TURNED", "PAGE_CENTRED"}),
        (changed(document("x"), CropBox=[0, 0, 0, 0]), set()),
        (changed(document("x"), CropBox=[0, 0, 595]), set()),
        (changed(document("x"), MediaBox=[-100, -100, 495.276, 741.89]), set()),
    ],
)
def test_every_page_becomes_upright_a4_and_a_note_says_what_changed(source: bytes, codes: set[str]) -> None:
    size, found = _placed(source)
    assert size == pytest.approx((210 * MM, 297 * MM), abs=0.01)
    assert found == codes


def test_a_turned_page_shows_what_the_screen_shows() -> None:
    source = changed(document("x"), Rotate=180)
    made = letter(source, duplex=False)
    shown, printed = dark_box(picture(source, 0)), dark_box(picture(made.pdf, 1))
    assert shown is not None
    assert printed == pytest.approx(shown, abs=1)


def test_a_wide_page_lies_with_its_top_to_the_left() -> None:
    out = picture(letter(document("x", size=(841.89, 595.276)), duplex=False).pdf, 1)
    source = picture(document("x", size=(841.89, 595.276)), 0)
    expected, found = dark_box(source.rotate(90, expand=True)), dark_box(out)
    assert expected is not None
    assert found == pytest.approx(expected, abs=1)


def test_a_user_unit_counts() -> None:
    source = changed(document("x", size=(297.638, 420.945)), UserUnit=2)
    made = letter(source, duplex=False)
    assert made.notes == ()
    shown, printed = dark_box(picture(document("x", size=(297.638, 420.945)), 0, 144)), dark_box(picture(made.pdf, 1))
    assert shown is not None
    assert printed == pytest.approx(shown, abs=2)


@pytest.mark.parametrize(
    "source",
    [
        form("Ingevuld é", appearance="Ingevuld é"),
        form("Ingevuld é", appearance="Ingevuld é", flags=0),
        form("Ingevuld é"),
        form("Ingevuld é", flags=0),
        form("Ingevuld é", appearance="Oud", anew=True),
        form("Ingevuld é", anew=True),
    ],
)
def test_a_filled_field_shows_on_paper(source: bytes) -> None:
    made = letter(source, duplex=False)
    assert texts_of(made.pdf)[1] == "Formulier Ingevuld é"
    with pikepdf.open(BytesIO(made.pdf)) as opened:
        assert "/AcroForm" not in opened.Root
        assert all("/Annots" not in page.obj for page in opened.pages)


@pytest.mark.parametrize(
    "source",
    [
        form("Geheim", appearance="Geheim", flags=2),
        form("Geheim", appearance="Geheim", flags=32),
        changed(form("Geheim", appearance="Geheim"), Annots=7),
    ],
)
def test_a_hidden_field_stays_hidden(source: bytes) -> None:
    assert texts_of(letter(source, duplex=False).pdf)[1] == "Formulier"


@pytest.mark.parametrize(("flags", "shown"), [(0, "Formulier"), (4, "Formulier Verstuur")])
def test_a_button_follows_its_print_flag(flags: int, shown: str) -> None:
    with pikepdf.open(BytesIO(form("", appearance="Verstuur", flags=flags, kind="Btn"))) as pdf:
        pdf.pages[0].obj.Annots[0].Ff = 1 << 16
        out = BytesIO()
        pdf.save(out)
    assert texts_of(letter(out.getvalue(), duplex=False).pdf)[1] == shown


@pytest.mark.parametrize("rect", [[0, 0, 0, 0], [60, 600, 60, 600], 5])
def test_an_invisible_seal_leaves_nothing(rect: object) -> None:
    with pikepdf.open(BytesIO(form("", kind="Sig"))) as pdf:
        pdf.pages[0].obj.Annots[0].Rect = rect
        del pdf.pages[0].obj.Annots[0].V
        out = BytesIO()
        pdf.save(out)
    assert texts_of(letter(out.getvalue(), duplex=False).pdf)[1] == "Formulier"


def test_a_field_without_a_place_is_left_out() -> None:
    with pikepdf.open(BytesIO(form("Nergens"))) as pdf:
        del pdf.pages[0].obj.Annots[0].Rect
        out = BytesIO()
        pdf.save(out)
    assert texts_of(letter(out.getvalue(), duplex=False).pdf)[1] == "Formulier"


def test_links_tags_and_actions_stay_behind() -> None:
    link = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Link, Rect=[0, 0, 9, 9])
    source = changed(document("x"), Annots=pikepdf.Array([link]), StructParents=3, AA=pikepdf.Dictionary())
    with pikepdf.open(BytesIO(letter(source, duplex=False).pdf)) as opened:
        assert set(opened.pages[1].obj.keys()) == {"/Type", "/Parent", "/MediaBox", "/Resources", "/Contents"}


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"no pdf", "PDF_UNREADABLE"), (b"", "PDF_UNREADABLE"), (b"%PDF-1.7\n%%EOF", "PDF_UNREADABLE")],
)
def test_what_cannot_be_read_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(LetterRefused) as refused:
        letter(document("x"), data)
    assert refused.value.code == code


def _saved(pdf: pikepdf.Pdf, **options: object) -> bytes:
    out = BytesIO()
    pdf.save(out, **options)  # type: ignore[arg-type]  # only what each test passes on
    return out.getvalue()


def test_an_encrypted_document_is_refused_also_when_it_opens_without_a_password() -> None:
    with pikepdf.open(BytesIO(document("x"))) as pdf:
        open_to_all = _saved(pdf, encryption=pikepdf.Encryption(owner="o", user=""))
        locked = _saved(pdf, encryption=pikepdf.Encryption(owner="o", user="u"))
    for data in (open_to_all, locked):
        with pytest.raises(LetterRefused) as refused:
            letter(data)
        assert refused.value.code == "PDF_ENCRYPTED"


def test_a_document_without_pages_is_refused() -> None:
    with pikepdf.Pdf.new() as pdf, pytest.raises(LetterRefused) as refused:
        letter(_saved(pdf))
    assert refused.value.code == "PDF_UNREADABLE"


def test_a_document_with_nonsense_in_its_pages_is_refused_or_printed_never_a_crash() -> None:
    odd: list[dict[str, object]] = [
        {"MediaBox": 5},
        {"MediaBox": pikepdf.Array([0, 0, 0, 0])},
        {"MediaBox": pikepdf.Array([0, 0, 595])},
        {"MediaBox": pikepdf.Array([0, 5, 595, 5])},
        {"CropBox": pikepdf.Array([0, 0, 595])},
        {"MediaBox": pikepdf.Array([0, 0, pikepdf.Name.X, 3])},
        {"CropBox": pikepdf.Array([9000, 9000, 9001, 9001])},
        {"Rotate": pikepdf.Name.X},
        {"Rotate": 45},
        {"UserUnit": pikepdf.Name.X},
        {"UserUnit": 0},
        {"Resources": 5},
        {"Contents": 5},
    ]
    for entries in odd:
        try:
            outcome = str(letter(changed(document("x"), **entries), duplex=False).pages)
        except LetterRefused as refused:
            outcome = refused.code
        assert outcome in {"2", "PDF_UNREADABLE"}


def test_boxes_for_the_printing_press_do_not_cut_the_page() -> None:
    source = changed(document("x"), Rotate=180)
    boxed = changed(source, TrimBox=[200, 200, 300, 300], ArtBox=[200, 200, 300, 300], BleedBox=[200, 200, 300, 300])
    assert dark_box(picture(letter(boxed, duplex=False).pdf, 1)) == dark_box(
        picture(letter(source, duplex=False).pdf, 1)
    )


def test_a_page_whose_parents_form_a_circle_takes_nothing_from_them() -> None:
    circle = pikepdf.Dictionary(Type=pikepdf.Name.Page)
    with pikepdf.Pdf.new() as pdf:
        page = pdf.make_indirect(circle)
        page.Parent = page
        assert inherited(page, "/MediaBox") is None


@pytest.mark.parametrize("broken", ["opening", "drawing"])
def test_fields_that_cannot_be_drawn_refuse_the_letter(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: object) -> int:
        if broken == "opening":
            raise pypdfium2.PdfiumError("made to fail")
        return int(pdfium.FLATTEN_FAIL)

    if broken == "opening":
        monkeypatch.setattr(pypdfium2, "PdfDocument", fails)
    else:
        monkeypatch.setattr(pdfium, "FPDFPage_Flatten", fails)
    with pytest.raises(LetterRefused) as refused:
        letter(form("Ingevuld"))
    assert refused.value.code == "PDF_UNREADABLE"


def _layered(default: pikepdf.Dictionary | None = None, state: str | None = None) -> bytes:
    with pikepdf.open(BytesIO(document("x"))) as pdf:
        group = pdf.make_indirect(pikepdf.Dictionary(Type=pikepdf.Name.OCG, Name="laag"))
        if state is not None:
            group.Usage = pikepdf.Dictionary(Print=pikepdf.Dictionary(PrintState=pikepdf.Name("/" + state)))
        page = pdf.pages[0]
        page.obj.Resources.Properties = pikepdf.Dictionary(L=group)
        page.contents_add(b"/OC /L BDC 0 g 400 400 50 50 re f EMC")
        if default is None:
            default = pikepdf.Dictionary(OFF=pikepdf.Array([group]))
        elif "/ON" in default:
            default.ON = pikepdf.Array([group])
        if state is not None:
            usage = pikepdf.Dictionary(
                Event=pikepdf.Name.Print, Category=[pikepdf.Name.Print], OCGs=pikepdf.Array([group])
            )
            default.AS = pikepdf.Array([usage, pikepdf.Dictionary(Event=pikepdf.Name.View)])
        pdf.Root.OCProperties = pikepdf.Dictionary(OCGs=pikepdf.Array([group]), D=default)
        return _saved(pdf)


@pytest.mark.parametrize(
    ("source", "visible"),
    [
        (_layered(), False),
        (_layered(pikepdf.Dictionary()), True),
        (_layered(pikepdf.Dictionary(BaseState=pikepdf.Name.OFF)), False),
        (_layered(pikepdf.Dictionary(BaseState=pikepdf.Name.OFF, ON=pikepdf.Array())), True),
        (_layered(pikepdf.Dictionary(), "OFF"), False),
        (_layered(None, "ON"), True),
    ],
)
def test_a_layer_is_printed_only_when_the_sender_let_it_print(source: bytes, *, visible: bool) -> None:
    page = picture(letter(source, duplex=False).pdf, 1)
    assert page.getpixel((425, 842 - 425)) == (0 if visible else 255)
