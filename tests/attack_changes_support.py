"""Changes that attackers make to signed documents, each as a well-formed revision."""

from collections.abc import Callable

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, append_signature_field

from tests.attack_support import array, dictionary, drawing, first_page, in_page, in_root, number, text

Change = Callable[[IncrementalPdfFileWriter], None]


def field_of(writer: IncrementalPdfFileWriter) -> generic.DictionaryObject:
    field: generic.DictionaryObject = writer.root["/AcroForm"]["/Fields"][0]
    return field


def in_field(key: str, value: object) -> Change:
    def change(writer: IncrementalPdfFileWriter) -> None:
        field = field_of(writer)
        field[pdf_name(key)] = value(writer) if callable(value) else value
        writer.update_container(field)

    return change


def in_form(key: str, value: object) -> Change:
    def change(writer: IncrementalPdfFileWriter) -> None:
        form = writer.root["/AcroForm"]
        form[pdf_name(key)] = value(writer) if callable(value) else value
        writer.update_container(form)

    return change


def appearance(writer: IncrementalPdfFileWriter) -> generic.DictionaryObject:
    form = generic.StreamObject(
        dict_data=dictionary(
            Type=pdf_name("/XObject"), Subtype=pdf_name("/Form"), BBox=array(*map(number, (0, 0, 200, 20)))
        ),
        stream_data=b"0 0 200 20 re f",
    )
    return dictionary(N=writer.add_object(form))


def annotation(writer: IncrementalPdfFileWriter, kind: str = "/FreeText", **more: object) -> generic.ArrayObject:
    entries = dictionary(
        Type=pdf_name("/Annot"),
        Subtype=pdf_name(kind),
        Rect=array(*map(number, (60, 700, 300, 740))),
        F=number(4),
        Contents=text("Amount: 999 EUR"),
        AP=appearance(writer),
        **more,
    )
    before = first_page(writer).get("/Annots", array())
    return array(*(before.raw_get(place) for place in range(len(before))), writer.add_object(entries))


def replaced(find: Callable[[IncrementalPdfFileWriter], generic.PdfObject], by: generic.PdfObject) -> Change:
    """An indirect object that is overridden in place."""

    def change(writer: IncrementalPdfFileWriter) -> None:
        target = find(writer)
        assert isinstance(target, generic.IndirectObject)
        writer.objects[(target.generation, target.idnum)] = by
        writer._force_write_when_empty = True

    return change


def script(code: str = "this.getField('amount').value = '999';") -> generic.DictionaryObject:
    return dictionary(S=pdf_name("/JavaScript"), JS=text(code))


def swapped_pages(writer: IncrementalPdfFileWriter) -> None:
    pages = writer.root["/Pages"]
    pages["/Kids"] = array(*(pages["/Kids"].raw_get(place) for place in (1, 0)))
    writer.update_container(pages)


def removed_page(writer: IncrementalPdfFileWriter) -> None:
    pages = writer.root["/Pages"]
    pages["/Kids"] = array(pages["/Kids"].raw_get(0))
    pages["/Count"] = number(1)
    writer.update_container(pages)


def other_page_tree(writer: IncrementalPdfFileWriter) -> None:
    page = dictionary(Type=pdf_name("/Page"), MediaBox=array(*map(number, (0, 0, 595, 842))), Contents=drawing(writer))
    page_ref = writer.add_object(page)
    tree = writer.add_object(dictionary(Type=pdf_name("/Pages"), Kids=array(page_ref), Count=number(1)))
    page[pdf_name("/Parent")] = tree
    writer.root[pdf_name("/Pages")] = tree
    writer.update_root()


def other_title(writer: IncrementalPdfFileWriter) -> None:
    writer.set_info(dictionary(Title=text("Another contract"), Author=text("Somebody else")))


def other_metadata(writer: IncrementalPdfFileWriter) -> None:
    """Another title in the metadata that viewers show, and nothing else."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title><rdf:Alt>'
        b'<rdf:li xml:lang="x-default">Another contract</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF>'
        b"</x:xmpmeta>"
    )
    writer._update_meta = lambda: None  # type: ignore[method-assign] # or it writes its own over ours
    kind = dictionary(Type=pdf_name("/Metadata"), Subtype=pdf_name("/XML"))
    writer.root[pdf_name("/Metadata")] = writer.add_object(generic.StreamObject(dict_data=kind, stream_data=xmp))
    writer.update_root()


def other_font(writer: IncrementalPdfFileWriter) -> None:
    fonts = first_page(writer)["/Resources"]["/Font"]
    name = next(iter(fonts))
    fonts[name] = dictionary(Type=pdf_name("/Font"), Subtype=pdf_name("/Type1"), BaseFont=pdf_name("/ZapfDingbats"))
    writer.update_container(fonts)


def visible_field(writer: IncrementalPdfFileWriter) -> None:
    append_signature_field(writer, SigFieldSpec("Sneaky", box=(60, 600, 500, 800)))


def hidden_field(writer: IncrementalPdfFileWriter) -> None:
    field = dictionary(FT=pdf_name("/Tx"), T=text("hidden"), V=text("999"), F=number(2))
    writer.root["/AcroForm"]["/Fields"].append(writer.add_object(field))
    writer.update_container(writer.root["/AcroForm"]["/Fields"])


def moved_field(writer: IncrementalPdfFileWriter) -> None:
    field = field_of(writer)
    field[pdf_name("/Rect")] = array(*map(number, (60, 700, 300, 740)))
    writer.update_container(field)


def picture(writer: IncrementalPdfFileWriter) -> generic.PdfObject:
    pictures = first_page(writer)["/Resources"]["/XObject"]
    found: generic.PdfObject = pictures.raw_get(next(iter(pictures)))
    return found


BIG_BOX = generic.StreamObject(
    dict_data=dictionary(
        Type=pdf_name("/XObject"), Subtype=pdf_name("/Form"), BBox=array(*map(number, (0, 0, 600, 800)))
    ),
    stream_data=b"0 0 600 800 re f",
)

SHOWN: dict[str, Change] = {
    "page contents replaced": in_page("/Contents", drawing),
    "page contents extended": in_page(
        "/Contents", lambda writer: array(first_page(writer).raw_get("/Contents"), drawing(writer))
    ),
    "picture replaced": replaced(picture, BIG_BOX),
    "font replaced": other_font,
    "page turned": in_page("/Rotate", number(90)),
    "page cut": in_page("/CropBox", array(*map(number, (0, 0, 200, 400)))),
    "pages swapped": swapped_pages,
    "page removed": removed_page,
    "page tree replaced": other_page_tree,
    "evil annotation": in_page("/Annots", annotation),
    "evil stamp": in_page("/Annots", lambda writer: annotation(writer, "/Stamp")),
    "evil redaction": in_page("/Annots", lambda writer: annotation(writer, "/Redact")),
    "annotations removed": in_page("/Annots", array()),
}
"""What pdfium shows at once."""

ELSEWHERE: dict[str, Change] = {
    "box that covers nothing": in_page("/Annots", lambda writer: annotation(writer, "/Square", CA=number(0))),
    "script at opening": in_root("/OpenAction", script()),
    "scripts by name": in_root("/Names", dictionary(JavaScript=dictionary(Names=array(text("evil"), script())))),
    "actions of the document": in_root("/AA", dictionary(WP=script())),
    "actions of a page": in_page("/AA", dictionary(O=script())),
    "named destinations": in_root(
        "/Dests", lambda writer: dictionary(start=array(writer.root["/Pages"]["/Kids"].raw_get(1), pdf_name("/Fit")))
    ),
    "bookmarks": in_root("/Outlines", dictionary(Type=pdf_name("/Outlines"), Count=number(0))),
    "layers": in_root(
        "/OCProperties",
        lambda writer: dictionary(
            OCGs=array(ref := writer.add_object(dictionary(Type=pdf_name("/OCG"), Name=text("Layer")))),
            D=dictionary(OFF=array(ref)),
        ),
    ),
    "page labels": in_root("/PageLabels", dictionary(Nums=array(number(0), dictionary(St=number(9))))),
    "language": in_root("/Lang", text("de")),
    "structure": in_root("/StructTreeRoot", dictionary(Type=pdf_name("/StructTreeRoot"))),
    "viewer": in_root("/ViewerPreferences", dictionary(DisplayDocTitle=generic.BooleanObject(value=True))),
    "attachment": in_root("/AF", lambda writer: array(writer.add_object(dictionary(Type=pdf_name("/Filespec"))))),
    "collection": in_root("/Collection", dictionary(Type=pdf_name("/Collection"))),
    "permissions": in_root("/Perms", dictionary()),
    "title": other_title,
    "title in the metadata": other_metadata,
    "hidden field": hidden_field,
    "visible signature field": visible_field,
    "dynamic form": in_form("/XFA", lambda writer: drawing(writer, b"<xdp/>")),
    "order of calculation": in_form("/CO", lambda writer: array(writer.root["/AcroForm"]["/Fields"].raw_get(0))),
    "field moved": moved_field,
    "field with an action": in_field("/AA", dictionary(C=script())),
    "default value": in_field("/DV", text("999")),
    "page with a layer": in_page("/Properties", dictionary()),
}
"""What shows elsewhere, later, or to somebody else."""

FORM: dict[str, Change] = {
    "field value": in_field("/V", text("999")),
    "field appearance": in_field("/AP", appearance),
    "appearances by the viewer": in_form("/NeedAppearances", generic.BooleanObject(value=True)),
    "form's fonts": in_form("/DR", dictionary(Font=dictionary())),
    "form's style": in_form("/DA", text("/Helv 40 Tf 1 g")),
}
"""What filling in a form may change."""
