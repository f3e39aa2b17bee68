"""Documents whose pages and forms lead to the same few objects again and again, or ask for more than anybody has."""

import random
import zlib
from collections.abc import Iterator

import pikepdf
from pikepdf import Array, Name

from tests import inspection_support as made
from tests.bomb_support import CATALOGUE, FLATE, LITTLE, MIB, PAGE, PAGES, numbers, simple, stream

# ----------------------------------------------------------------------------------------------------------- pages


def page_of(box: bytes, more: bytes = b"") -> bytes:
    return made.raw_document(simple(b"<< /Type /Page /Parent 2 0 R /MediaBox [ %b ] %b >>" % (box, more)))


def image(keys: bytes, raw: bytes = b"\x00") -> bytes:
    described = b"/Type /XObject /Subtype /Image /ColorSpace /DeviceGray /BitsPerComponent 8 %b" % keys
    resources = b"/Resources << /XObject << /I 4 0 R >> >>"
    return made.raw_document(simple(b"<< %b %b >>" % (LITTLE, resources), o4=stream(raw, described)))


def jpeg_header(width: int, height: int) -> bytes:
    """The beginning of a JPEG of that size (ITU-T T.81, B.2.2)."""
    frame = b"\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x01\x01\x11\x00"
    return b"\xff\xd8\xff\xe0\x00\x04xx\xff\xc0" + (len(frame) + 2).to_bytes(2, "big") + frame + b"\xff\xd9"


def forms_in_forms(width: int) -> bytes:
    """A form that draws itself, by `width` names."""
    names = b"".join(b"/F%d 4 0 R " % number for number in range(width))
    resources = b"/Resources << /XObject << %b >> >>" % names
    form = b"/Type /XObject /Subtype /Form /BBox [ 0 0 9 9 ] %b" % resources
    return made.raw_document(simple(b"<< %b %b >>" % (LITTLE, resources), o4=stream(b"/F0 Do", form)))


def forms_fan(levels: int, width: int) -> bytes:
    """Forms that each draw the next one by many names."""

    def resources(number: int) -> bytes:
        return b"/Resources << /XObject << %b >> >>" % b"".join(b"/F%d %d 0 R " % (n, number) for n in range(width))

    forms = {
        number: stream(b"", b"/Type /XObject /Subtype /Form /BBox [ 0 0 9 9 ] %b" % resources(number + 1))
        for number in range(4, 4 + levels)
    }
    last = stream(b"", b"/Type /XObject /Subtype /Form /BBox [ 0 0 9 9 ]")
    return made.raw_document({**simple(b"<< %b %b >>" % (LITTLE, resources(4))), **forms, 4 + levels: last})


def font(program: bytes) -> bytes:
    """A document whose font is that program."""

    def change(pdf: pikepdf.Pdf) -> None:
        held = pdf.make_stream(program)
        held.stream_dict.Length1 = len(program)
        descriptor = pikepdf.Dictionary(
            Type=Name.FontDescriptor, FontName=Name.Hostile, Flags=4, FontFile2=held, FontBBox=Array([0, 0, 9, 9])
        )
        used = pikepdf.Dictionary(
            Type=Name.Font, Subtype=Name.TrueType, BaseFont=Name.Hostile, FontDescriptor=pdf.make_indirect(descriptor)
        )
        pdf.pages[0].obj.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F=pdf.make_indirect(used)))

    return made.document(change)


def hostile_fonts() -> Iterator[bytes]:
    """TrueType programs whose directories lie: tables beyond the end, over each other, counted 65,535 times."""
    entry = b"glyf" + b"\xff" * 12
    yield b"\x00\x01\x00\x00\xff\xff" + b"\x00" * 6 + entry
    yield b"\x00\x01\x00\x00\xff\xff" + b"\x00" * 6 + entry * 65_535
    yield b"OTTO" + random.Random(1).randbytes(MIB)


# ----------------------------------------------------------------------------------------------------------- forms


def with_form(fields: bytes, objects: dict[int, bytes], more: bytes = b"") -> bytes:
    """A document of one page with a form; its objects come after the page, which is number 3."""
    catalogue = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [ %b ] %b >> >>" % (fields, more)
    return made.raw_document({1: catalogue, 2: PAGES, 3: PAGE, **objects})


def branching_fields(levels: int, width: int) -> bytes:
    """Fields whose children are all the same field."""
    nodes = {
        number: b"<< /T (a) /Kids [ %b] >>" % (b"%d 0 R " % (number + 1) * width) for number in range(4, 4 + levels)
    }
    return with_form(b"4 0 R", {**nodes, 4 + levels: b"<< /FT /Tx /T (x) >>"})


def looping_fields() -> bytes:
    return with_form(b"4 0 R", {4: b"<< /T (a) /Kids [ 5 0 R ] >>", 5: b"<< /T (b) /Kids [ 4 0 R ] >>"})


def many_fields(count: int, elements: int = 0) -> bytes:
    fields = {4 + at: b"<< /FT /Tx /T (f%d) /X [ %b ] >>" % (at, b"0 " * elements) for at in range(count)}
    return with_form(numbers(4, count), fields)


def shared_name(fields: int, size: int) -> bytes:
    """Fields that all take the same long name from one place."""
    named = dict.fromkeys(range(5, 5 + fields), b"<< /FT /Tx /T 4 0 R >>")
    return with_form(numbers(5, fields), {4: b"(%b)" % (b"x" * size), **named})


def many_references(fields: int, references: int) -> bytes:
    """Signature fields that share one signature with so many references."""
    signature = b"<< /Type /Sig /Filter /A /ByteRange [ 0 1 2 3 ] /Contents <3000> /Reference 5 0 R >>"
    shared = {
        4: signature,
        5: b"[ %b ]" % (b"6 0 R " * references),
        6: b"<< /TransformMethod /FieldMDP >>",
    }
    signed = {7 + at: b"<< /FT /Sig /T (f%d) /V 4 0 R >>" % at for at in range(fields)}
    return with_form(numbers(7, fields), {**shared, **signed})


def many_widgets(pages: int, widgets: int, *, resources: int = 0, drawn: bool = True) -> bytes:
    """Pages that all show the same widgets, of a form with so many fonts among its resources."""
    first, look = 6 + pages, b"/AP << /N 5 0 R >>" if drawn else b""
    fonts = b"".join(b"/F%d 4 0 R " % number for number in range(resources))
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 600 700 ] /Resources << >> /Annots 3 0 R >>"
    return made.raw_document(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields 3 0 R /DR << /Font << %b >> >> >> >>" % fonts,
            2: b"<< /Type /Pages /Kids [ %b ] /Count %d >>" % (numbers(6, pages), pages),
            3: b"[ %b ]" % numbers(first, widgets),
            4: b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            5: stream(b"", b"/Type /XObject /Subtype /Form /BBox [ 0 0 9 9 ] /Resources << >>"),
            **dict.fromkeys(range(6, first), page),
            **{
                first + at: b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (x%d) /Rect [ 0 0 9 9 ] /F 4 %b >>"
                % (at, look)
                for at in range(widgets)
            },
        }
    )


def shared_content(pages: int, times: int, raw: bytes) -> bytes:
    """Pages, none of them A4, that all show the same stream, each so many times."""
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 600 700 ] /Resources << >> /Contents [ %b] >>"
    return made.raw_document(
        {
            1: CATALOGUE,
            2: b"<< /Type /Pages /Kids [ %b ] /Count %d >>" % (numbers(4, pages), pages),
            3: stream(raw, FLATE),
            **dict.fromkeys(range(4, 4 + pages), page % (b"3 0 R " * times)),
        }
    )


def shared_resources(pages: int, elements: int) -> bytes:
    """Pages that take long resources from the node above them."""
    resources = b"/Resources << /ColorSpace << /C [ %b ] >> >>" % (b"0 " * elements)
    return made.raw_document(
        {
            1: CATALOGUE,
            2: b"<< /Type /Pages /Kids [ %b ] /Count %d %b >>" % (numbers(3, pages), pages, resources),
            **dict.fromkeys(range(3, 3 + pages), b"<< /Type /Page /Parent 2 0 R /MediaBox [ 0 0 600 700 ] >>"),
        }
    )


def drawn_again(levels: int, width: int) -> bytes:
    """A field that nobody drew, on a page whose forms each draw the next one so many times."""

    def named(number: int) -> bytes:
        return b"/Resources << /XObject << /F %d 0 R >> >>" % number

    shown = b"/Type /XObject /Subtype /Form /BBox [ 0 0 9 9 ] "
    again = b"/F Do " * width
    forms = {number: stream(again, shown + named(number + 1)) for number in range(6, 6 + levels)}
    field = b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (x) /V (y) /F 4 /DA (/Helv 9 Tf) /Rect [ 9 9 200 30 ] >>"
    objects = {
        3: b"<< %b %b /Contents 4 0 R /Annots [ 5 0 R ] >>" % (LITTLE, named(6)),
        4: stream(again),
        5: field,
        **forms,
        6 + levels: stream(b"0 0 5 5 re f", shown),
    }
    return with_form(b"5 0 R", objects, b"/NeedAppearances true /DA (/Helv 9 Tf)")


def layers(groups: int, usages: int) -> bytes:
    """Layers named so many times, and so many rules that each name all of them."""
    rules = b"<< /Event /Print /OCGs 4 0 R >> " * usages
    catalogue = b"<< /Type /Catalog /Pages 2 0 R /OCProperties << /OCGs 4 0 R /D << /AS [ %b ] >> >> >>" % rules
    return made.raw_document(
        {1: catalogue, 2: PAGES, 3: PAGE, 4: b"[ %b ]" % (b"5 0 R " * groups), 5: b"<< /Type /OCG /Name (x) >>"}
    )


def named_in_catalogue(entry: bytes, objects: dict[int, bytes]) -> bytes:
    """A document whose catalogue says one thing more."""
    return made.raw_document({**simple(), 1: b"<< /Type /Catalog /Pages 2 0 R %b >>" % entry, **objects})


def chain(length: int) -> dict[int, bytes]:
    """Objects from number 4 that each are nothing but the next one; a form at their end."""
    return {**{4 + at: b"%d 0 R" % (5 + at) for at in range(length)}, 4 + length: b"<< /Fields [ ] >>"}


def outlines(count: int) -> dict[int, bytes]:
    """Entries of outlines from number 4, each below the one before it, the last above the first."""
    item = b"<< /Title (x) /First %d 0 R /Last %d 0 R /Next %d 0 R >>"
    return {4 + at: item % ((4 + (at + 1) % count,) * 3) for at in range(count)}


def names(levels: int, width: int) -> dict[int, bytes]:
    """A tree of names from number 4 whose nodes all have the same child so many times."""
    nodes = {at: b"<< /Kids [ %b] >>" % (b"%d 0 R " % (at + 1) * width) for at in range(4, 4 + levels)}
    return {**nodes, 4 + levels: b"<< /Names [ (a) [ 3 0 R /Fit ] ] >>"}


def characters(ranges: int) -> bytes:
    """A font whose table of characters has so many ranges, and whose widths are 100,000 numbers."""
    table = zlib.compress(b"begincmap " + b"<0000> <ffff> <0000>\n" * ranges)
    below = b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /X /W [ 0 [ %b ] ] >>" % (b"500 " * 100_000)
    named = b"/BaseFont /X /Encoding /Identity-H /ToUnicode 5 0 R /DescendantFonts [ 6 0 R ]"
    page = b"<< %b /Resources << /Font << /F 4 0 R >> >> /Contents 7 0 R >>" % LITTLE
    used = b"<< /Type /Font /Subtype /Type0 %b >>" % named
    return made.raw_document(
        {**simple(page), 4: used, 5: stream(table, FLATE), 6: below, 7: stream(b"BT /F 9 Tf (xx) Tj ET")}
    )
