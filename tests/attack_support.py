"""Files as attackers make them: later revisions written byte by byte, and signatures bent out of shape.

Names of attacks: universal signature forgery, incremental saving and signature wrapping (Mladenov et al., 2019), shadow
attacks (Mainka et al., 2021), evil annotations and sneaky signatures (Rohlmann et al., 2021).
"""

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pypdfium2
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from reportlab.pdfgen.canvas import Canvas

from signing.revision import byte_range_in
from tests.longterm_support import SIGNED

LATER = SIGNED + timedelta(days=1)
NOW = datetime(2024, 6, 4, 10, 0, tzinfo=UTC)


def contract_pdf(*, form: bool = True) -> bytes:
    """A document with two pages, a picture, a form with a field, and a bookmark: something to be changed everywhere."""
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True, pageCompression=0)
    canvas.setTitle("Contract")
    canvas.bookmarkPage("start")
    canvas.addOutlineEntry("Start", "start")
    canvas.drawString(72, 720, "Amount: 100 EUR")
    canvas.beginForm("stamp")
    canvas.rect(0, 0, 20, 20, fill=1)
    canvas.endForm()
    canvas.doForm("stamp")
    if form:
        canvas.acroForm.textfield(name="amount", x=120, y=610, width=200, height=20, value="100")
    canvas.showPage()
    canvas.drawString(72, 720, "Second page")
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def seen(pdf: bytes) -> tuple[str, ...]:
    """What a viewer shows of each page: its picture, small, as a digest. Empty when it can't be opened."""
    try:
        document = pypdfium2.PdfDocument(pdf)
    except pypdfium2.PdfiumError:
        return ()
    try:
        document.init_forms()
        pages = []
        for page in document:
            bitmap = page.render(scale=0.3)
            pages.append(f"{bitmap.width}x{bitmap.height}:{hash(bytes(bitmap.buffer))}")
            bitmap.close()
            page.close()
        return tuple(pages)
    finally:
        document.close()


# ----------------------------------------------------------------------------------------------- revisions by hand


def last_startxref(pdf: bytes) -> int:
    return int(re.findall(rb"startxref\s+(\d+)", pdf)[-1])


def trailer_numbers(pdf: bytes) -> tuple[int, int]:
    """Number of the catalogue, and the size of the cross-references."""
    reader = PdfFileReader(io.BytesIO(pdf), strict=False)
    return reader.root_ref.idnum, int(reader.trailer.raw_get("/Size"))


def revision(
    pdf: bytes,
    objects: Mapping[int, bytes],
    *,
    offsets: Mapping[int, int] | None = None,
    root: int | None = None,
    extra: bytes = b"",
    previous: int | None = None,
    freed: tuple[int, ...] = (),
    twice: Mapping[int, bytes] | None = None,
    table: bool = True,
    trailer: bool = True,
    start: bool = True,
    ending: bytes = b"%%EOF\n",
) -> bytes:
    """``pdf`` with an update of its own cross-reference table.

    Args:
        pdf: what stands before.
        objects: bodies by number.
        offsets: entries that point at something that is in the file already.
        root: another catalogue.
        extra: more entries of the trailer.
        previous: where the table before is said to be.
        freed: numbers declared free.
        twice: second definitions, behind the first ones; the table points at the first.
        table: write the table.
        trailer: write the trailer.
        start: say where the table is.
        ending: end of the file.
    """
    catalogue, size = trailer_numbers(pdf)
    out = bytearray(pdf if pdf.endswith(b"\n") else pdf + b"\n")
    places = dict(offsets or {})
    for number, body in objects.items():
        places[number] = len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    for number, body in (twice or {}).items():
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    at = len(out)
    if table:
        out += b"xref\n"
        for number in sorted([*places, *freed]):
            kind = b"%010d 00001 f \n" % 0 if number in freed else b"%010d 00000 n \n" % places[number]
            out += b"%d 1\n%s" % (number, kind)
    if trailer:
        largest = max([size, *(number + 1 for number in places)])
        before = last_startxref(pdf) if previous is None else previous
        out += b"trailer\n<</Size %d /Root %d 0 R /Prev %d %s>>\n" % (largest, root or catalogue, before, extra)
    if start:
        out += b"startxref\n%d\n" % at
    return bytes(out) + ending


def number_of(pdf: bytes, find: Callable[[PdfFileReader], Any]) -> int:
    """Number of an indirect object."""
    found = find(PdfFileReader(io.BytesIO(pdf), strict=False))
    return int(found.idnum)


def page_number(pdf: bytes, page: int = 0) -> int:
    return number_of(pdf, lambda reader: reader.root["/Pages"]["/Kids"].raw_get(page))


def contents_number(pdf: bytes) -> int:
    return number_of(pdf, lambda reader: reader.root["/Pages"]["/Kids"][0].raw_get("/Contents"))


def signature_number(pdf: bytes) -> int:
    return number_of(pdf, lambda reader: reader.embedded_signatures[0].sig_field.raw_get("/V"))


def free_number(pdf: bytes) -> int:
    return trailer_numbers(pdf)[1]


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d %s>>\nstream\n%s\nendstream" % (len(content), entries, content)


OTHER_WORDS = b"BT /F1 30 Tf 72 500 Td (Amount: 999 EUR) Tj ET 0 0 300 300 re f"


# ------------------------------------------------------------------------------------------- revisions by a library


def changed(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    """``pdf`` with a well-formed later revision."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf), strict=False)
    change(writer)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def first_page(writer: IncrementalPdfFileWriter) -> generic.DictionaryObject:
    page: generic.DictionaryObject = writer.root["/Pages"]["/Kids"][0]
    return page


def in_page(key: str, value: Any) -> Callable[[IncrementalPdfFileWriter], None]:
    """A change of one entry of the first page."""

    def change(writer: IncrementalPdfFileWriter) -> None:
        page = first_page(writer)
        page[pdf_name(key)] = value(writer) if callable(value) else value
        writer.update_container(page)

    return change


def in_root(key: str, value: Any) -> Callable[[IncrementalPdfFileWriter], None]:
    """A change of one entry of the catalogue."""

    def change(writer: IncrementalPdfFileWriter) -> None:
        writer.root[pdf_name(key)] = value(writer) if callable(value) else value
        writer.update_root()

    return change


def dictionary(**entries: Any) -> generic.DictionaryObject:
    return generic.DictionaryObject({pdf_name(f"/{key}"): value for key, value in entries.items()})


def array(*entries: Any) -> generic.ArrayObject:
    return generic.ArrayObject(entries)


def number(value: int) -> generic.NumberObject:
    return generic.NumberObject(value)


def text(value: str) -> generic.TextStringObject:
    return generic.TextStringObject(value)


def drawing(writer: IncrementalPdfFileWriter, content: bytes = OTHER_WORDS) -> generic.IndirectObject:
    return writer.add_object(generic.StreamObject(stream_data=content))


# ------------------------------------------------------------------------------------------------ the signature itself


@dataclass(frozen=True)
class Hole:
    """The signature's place in a file."""

    start: int
    end: int
    range_start: int
    range_end: int


def hole_of(pdf: bytes) -> Hole:
    found = byte_range_in(pdf)
    assert found is not None
    text = re.search(rb"/ByteRange\s*\[[^\]]*\]\s*", pdf)
    assert text is not None
    return Hole(found[1], found[2], text.start(), text.end())


def with_range(pdf: bytes, value: bytes) -> bytes:
    """The byte range written otherwise, in the same room where it fits."""
    hole = hole_of(pdf)
    entry = value.ljust(hole.range_end - hole.range_start)
    return pdf[: hole.range_start] + entry + pdf[hole.range_end :]


def with_hole(pdf: bytes, content: bytes) -> bytes:
    """Something else in the signature's place, which keeps its length."""
    hole = hole_of(pdf)
    room = hole.end - hole.start
    assert len(content) <= room
    return pdf[: hole.start] + content.ljust(room) + pdf[hole.end :]


def container_hex(pdf: bytes) -> bytes:
    """The signature without its padding, as it stands in the file."""
    hole = hole_of(pdf)
    padded = pdf[hole.start + 1 : hole.end - 1]
    octets = int(padded[2:4], 16) & 0x7F
    length = 2 + octets + int(padded[4 : 4 + 2 * octets], 16)
    return padded[: 2 * length]
