"""Documents that are small to hand in and enormous, endless or bottomless to read, made without ever holding that."""

import itertools
import struct
import zlib
from collections.abc import Sequence

from tests import inspection_support as made

MIB = 1 << 20
UPLOAD = 30_000_000
"""Bytes of the largest bombs: just under what is accepted."""

FLATE = b"/Filter /FlateDecode"

CATALOGUE = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGES = b"<< /Type /Pages /Kids [ 3 0 R ] /Count 1 >>"
LITTLE = b"/Type /Page /Parent 2 0 R /MediaBox [ 0 0 595 842 ]"
PAGE = b"<< %b >>" % LITTLE


def numbers(first: int, count: int) -> bytes:
    return b" ".join(b"%d 0 R" % number for number in range(first, first + count))


def simple(page: bytes = PAGE, **more: bytes) -> dict[int, bytes]:
    """Objects of a document of one page; `more` are those after it, ``o4`` being number 4."""
    return {1: CATALOGUE, 2: PAGES, 3: page, **{int(name[1:]): body for name, body in more.items()}}


def stream(raw: bytes, keys: bytes = b"") -> bytes:
    return b"<< /Length %d %b >>\nstream\n%b\nendstream" % (len(raw), keys, raw)


def drawn_by(raw: bytes, keys: bytes) -> bytes:
    """A document whose page is drawn by that stream, written by hand."""
    return made.raw_document(simple(b"<< %b /Contents 4 0 R >>" % LITTLE, o4=stream(raw, keys)))


# --------------------------------------------------------------------------------------------------------- packing


def deflated_forever(size: int) -> bytes:
    """`size` bytes of deflate that unpack to a thousand times as much: one block of zeros, said again and again."""
    packer = zlib.compressobj(9)
    start = packer.compress(bytes(4 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(4 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + again * (size // len(again))


def lzw_forever(size: int) -> bytes:
    """`size` bytes of LZW that unpack to a thousand times as much: ever longer runs of one byte, begun anew."""
    clear, first, last = 256, 258, 4093
    # Read when all before it are defined, each code means one byte more than the last; a clear begins anew.
    codes = [(0, 9), *((code, _width(code)) for code in range(first, last)), (clear, _width(last))]
    bits, length = 0, 0
    for code, width in codes:
        bits, length = bits << width | code, length + width
    eight = 0
    for _ in range(8):  # eight rounds end on a whole byte
        eight = eight << length | bits
    packed = eight.to_bytes(length, "big")
    return packed * (size // len(packed))


def _width(code: int) -> int:
    """Bits of a code that is read when `code` is the next to be defined (early change, ISO 32000-2, 7.4.4)."""
    return max(9, (code + 1).bit_length())


def packed_again(raw: bytes, times: int) -> bytes:
    for _ in range(times):
        raw = zlib.compress(raw, 9)
    return raw


# ----------------------------------------------------------------------------------------------------------- trees


def deep_pages(depth: int) -> bytes:
    """A page at the end of `depth` nodes, each the only child of the one above."""
    nodes = {
        number: b"<< /Type /Pages /Kids [ %d 0 R ] /Count 1 %b>>"
        % (number + 1, b"" if number == 2 else b"/Parent %d 0 R " % (number - 1))
        for number in range(2, depth + 2)
    }
    leaf = b"<< /Type /Page /Parent %d 0 R /MediaBox [ 0 0 595 842 ] >>" % (depth + 1)
    return made.raw_document({1: CATALOGUE, **nodes, depth + 2: leaf})


def one_page_many_times(times: int) -> bytes:
    """A page tree that names the same page again and again."""
    return made.raw_document(
        {1: CATALOGUE, 2: b"<< /Type /Pages /Kids [ %b] /Count %d >>" % (b"3 0 R " * times, times), 3: PAGE}
    )


def branching_pages(levels: int, width: int) -> bytes:
    """Nodes whose children are all the same node: `width` to the power of `levels` pages in a few objects."""
    nodes = {
        number: b"<< /Type /Pages /Kids [ %b] /Count 1 >>" % (b"%d 0 R " % (number + 1) * width)
        for number in range(2, levels + 2)
    }
    return made.raw_document({1: CATALOGUE, **nodes, levels + 2: PAGE})


def nested_dictionaries(depth: int) -> bytes:
    return made.raw_document(simple(o4=b"<< /A " * depth + b"1" + b" >>" * depth))


def many_objects(count: int) -> bytes:
    """`count` objects in compressed object streams: a byte of number, a bit of space for each."""
    return _with_object_streams([b"1"] * count)


def packed_fields(fields: int, others: int) -> bytes:
    """Fields in object streams of very many objects, each of which is looked for from the beginning."""
    each = 65_000
    first = first_packed(fields + others, each)
    catalogue = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [ %b ] >> >>" % numbers(first, fields)
    return _with_object_streams([b"<</FT/Tx/T(a)>>"] * fields + [b"1"] * others, each, catalogue)


def wide_objects(count: int, width: int) -> bytes:
    """Objects of `width` small dictionaries each."""
    return _with_object_streams([b"[" + b"<</A 1>>" * width + b"]"] * count)


def _with_object_streams(bodies: Sequence[bytes], each: int = 10_000, catalogue: bytes = CATALOGUE) -> bytes:
    """A document whose further objects stand in object streams, under a cross-reference stream (7.5.7, 7.5.8).

    The streams are objects 4 and after, what is in them comes behind.
    """
    out, entries = bytearray(b"%PDF-1.7\n"), [(0, 0, 65535)]

    def put(number: int, body: bytes) -> None:
        assert number == len(entries)
        entries.append((1, len(out), 0))
        out.extend(b"%d 0 obj\n%b\nendobj\n" % (number, body))

    for number, body in {**simple(), 1: catalogue}.items():
        put(number, body)
    chunks = [bodies[at : at + each] for at in range(0, len(bodies), each)]
    first = first_packed(len(bodies), each)
    for place, chunk in enumerate(chunks):
        number = first + place * each
        places = itertools.accumulate((len(body) + 1 for body in chunk), initial=0)
        head = b"".join(map(b"%d %d ".__mod__, zip(range(number, number + len(chunk)), places, strict=False)))
        raw = zlib.compress(head + b" ".join(chunk))
        put(4 + place, stream(raw, b"/Type /ObjStm /N %d /First %d %b" % (len(chunk), len(head), FLATE)))
    entries += [(2, 4 + at // each, at % each) for at in range(len(bodies))]
    return _with_table(out, entries, len(entries) + 1)


def first_packed(count: int, each: int = 10_000) -> int:
    """The number of the first of `count` objects in object streams."""
    return 4 + -(-count // each)


def _with_table(out: bytearray, entries: list[tuple[int, int, int]], size: int, more: bytes = b"") -> bytes:
    start, number = len(out), len(entries)
    table = b"".join(itertools.starmap(struct.Struct(">BIH").pack, [*entries, (1, start, 0)])) + more
    keys = b"/Type /XRef /W [ 1 4 2 ] /Size %d /Root 1 0 R %b" % (size, FLATE)
    out += b"%d 0 obj\n%b\nendobj\nstartxref\n%d\n%%%%EOF\n" % (number, stream(zlib.compress(table), keys), start)
    return bytes(out)


def object_stream_bomb(raw: bytes) -> bytes:
    """An object stream that unpacks to far more than the one object in it, which the catalogue names, needs."""
    catalogue = b"<< /Type /Catalog /Pages 2 0 R /X 5 0 R >>"
    packed = stream(raw, b"/Type /ObjStm /N 1 /First 4 %b" % FLATE)
    out, entries = bytearray(b"%PDF-1.7\n"), [(0, 0, 65535)]
    for number, body in {**simple(), 1: catalogue, 4: packed}.items():
        entries.append((1, len(out), 0))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    return _with_table(out, [*entries, (2, 4, 0)], 7)


def cross_reference_bomb(raw: bytes) -> bytes:
    """A cross-reference stream that unpacks to gigabytes."""
    keys = b"/Type /XRef /W [ 1 4 2 ] /Size 2000000000 /Root 1 0 R %b" % FLATE
    start = b"%PDF-1.7\n" + b"".join(b"%d 0 obj\n%b\nendobj\n" % each for each in simple().items())
    return start + b"4 0 obj\n%b\nendobj\nstartxref\n%d\n%%%%EOF\n" % (stream(raw, keys), len(start))


def object_stream_in_itself() -> bytes:
    """An object stream that says of itself that it lies in an object stream: in itself."""
    out, entries = bytearray(b"%PDF-1.7\n"), [(0, 0, 65535)]
    for number, body in simple().items():
        entries.append((1, len(out), 0))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    return _with_table(out, [*entries, (2, 5, 0), (2, 4, 0)], 7)


def cross_references(size: int, *, more: int = 0) -> bytes:
    """A document whose cross-reference stream says that there are `size` objects, `more` bytes behind its table."""
    out, entries = bytearray(b"%PDF-1.7\n"), [(0, 0, 65535)]
    for number, body in simple().items():
        entries.append((1, len(out), 0))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    return _with_table(out, entries, size, bytes(more))


# ------------------------------------------------------------------------------------------------ cross-references


def hybrid_loop() -> bytes:
    """A hybrid file whose cross-reference stream is the table that names it (7.5.8.4)."""
    sound = made.raw_document(simple())
    at = int(sound[sound.rindex(b"startxref") :].split()[1])
    return sound.replace(b"trailer\n<<", b"trailer\n<< /XRefStm %d /Prev %d" % (at, at), 1)


def long_history(sections: int) -> bytes:
    """A file that was updated so many times, each time without changing anything."""
    out = bytearray(made.raw_document(simple()))
    before = int(out[out.rindex(b"startxref") :].split()[1])
    for _ in range(sections):
        at = len(out)
        out += b"xref\n0 0\ntrailer\n<</Size 4/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (before, at)
        before = at
    return bytes(out)
