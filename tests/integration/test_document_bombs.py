"""Documents made to exhaust who reads them: each is refused with a code, or comes through sealing and printing cheaply.

The child's own bounds are tighter here than in service, and no refusal may come from them but where it is said: what is
refused is recognised, not survived. What is accepted then goes where it goes in service, outside the walls.
"""

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from printing.apart import apart
from printing.asked import Asked
from printing.batch import merge
from printing.errors import LetterRefused
from printing.profiles import load
from service.domain.errors import DocumentRefused
from service.inspection.inspector import Inspector
from service.inspection.letter_inspector import LetterInspector
from service.inspection.limits import InspectionLimits
from service.inspection.scanners.none import NoScanner
from service.seals.looks import look_apart
from signing.errors import SigningError
from signing.seal import Sealer
from tests import bomb_support as bomb
from tests import inspection_support as made
from tests import maze_support as maze
from tests.appearance_support import appearance
from tests.bomb_support import FLATE, MIB, UPLOAD
from tests.letter_check_support import judged
from tests.printing_support import batch_letter, letter
from tests.signing_support import seal_key

LIMITS = replace(InspectionLimits(), address_space=768 * MIB, processor=10)
ORDINARY = (made.DOCUMENTS / "letter-fr-chromium.pdf").read_bytes()
LATER_SECONDS = 15
LATER_MEMORY = 512 * MIB

Make = Callable[[], bytes]


def jbig2_page(width: int, height: int) -> bytes:
    """A page's information, the first segment of a JBIG2 picture (ITU-T T.88, 7.4.8)."""
    return b"\x00\x00\x00\x00\x30\x00\x01\x00\x00\x00\x13" + width.to_bytes(4, "big") + height.to_bytes(4, "big")


def jpeg_2000_header(width: int, height: int) -> bytes:
    return b"\xff\x4f\xff\x51\x00\x2f\x00\x00" + width.to_bytes(4, "big") + height.to_bytes(4, "big")


def jpeg_with_a_pdf_in_its_comment() -> bytes:
    pdf = made.document()
    return b"\xff\xd8\xff\xfe" + (len(pdf) + 2).to_bytes(2, "big") + pdf + bomb_jpeg()[2:]


def bomb_jpeg() -> bytes:
    return maze.jpeg_header(8, 8)


def small_image(keys: bytes, raw: bytes) -> bytes:
    """A picture that calls itself small."""
    return maze.image(b"/Width 10 /Height 10 %b" % keys, raw)


def encrypted(length: int) -> bytes:
    password = b"x" * 32
    keys = b"/Filter /Standard /V 4 /R 4 /Length %d /O (%b) /U (%b) /P -4" % (length, password, password)
    return made.raw_document(bomb.simple()).replace(
        b"trailer\n<<", b"trailer\n<< /Encrypt << %b >> /ID [ (a) (b) ]" % keys
    )


REFUSED: dict[str, tuple[str, Make]] = {
    # Packing
    "deflate, 30 MB": ("too_large_unpacked", lambda: bomb.drawn_by(bomb.deflated_forever(UPLOAD), FLATE)),
    # qpdf has no bound of its own for LZW: the child's memory is one.
    "LZW, 30 MB": ("inspection_memory", lambda: bomb.drawn_by(bomb.lzw_forever(UPLOAD), b"/Filter /LZWDecode")),
    "deflate in deflate": (
        "too_large_unpacked",
        lambda: bomb.drawn_by(
            bomb.packed_again(bomb.deflated_forever(MIB), 3), b"/Filter [ %b]" % (b"/FlateDecode " * 4)
        ),
    ),
    "nine filters": ("too_large_unpacked", lambda: bomb.drawn_by(b"00", b"/Filter [ %b]" % (b"/ASCIIHexDecode " * 9))),
    "100,000 filters": (
        "too_large_unpacked",
        lambda: bomb.drawn_by(b"00", b"/Filter [ %b]" % (b"/ASCIIHexDecode " * 100_000)),
    ),
    "an attachment": ("too_large_unpacked", lambda: made.attached("a.txt", bytes(65 * MIB))),
    "content drawn 10,000 times": (
        "too_large_unpacked",
        lambda: maze.shared_content(1, 10_000, zlib.compress(b" " * MIB)),
    ),
    "content shared by 300 pages": (
        "too_large_unpacked",
        lambda: maze.shared_content(300, 1, zlib.compress(b" " * 2 * MIB)),
    ),
    # Pixels
    "image by its dictionary": ("too_large_unpacked", lambda: maze.image(b"/Width 100000 /Height 100000")),
    "image with negative sides": ("too_large_unpacked", lambda: maze.image(b"/Width -100000 /Height 100000.0")),
    "JPEG": (
        "too_large_unpacked",
        lambda: small_image(b"/Filter /DCTDecode", maze.jpeg_header(65_535, 65_535)),
    ),
    "JPEG in deflate": (
        "too_large_unpacked",
        lambda: small_image(b"/Filter [ /FlateDecode /DCTDecode ]", zlib.compress(maze.jpeg_header(65_535, 65_535))),
    ),
    "JPEG 2000": (
        "too_large_unpacked",
        lambda: small_image(b"/Filter /JPXDecode", jpeg_2000_header(2**31 - 1, 2**31 - 1)),
    ),
    "JBIG2": ("too_large_unpacked", lambda: small_image(b"/Filter /JBIG2Decode", jbig2_page(2**24, 2**24))),
    "JBIG2 in hexadecimal": (
        "too_large_unpacked",
        lambda: small_image(
            b"/Filter [ /ASCIIHexDecode /JBIG2Decode ]", jbig2_page(2**24, 2**24).hex().encode() + b">"
        ),
    ),
    "fax": (
        "too_large_unpacked",
        lambda: small_image(b"/Filter /CCITTFaxDecode /DecodeParms << /Columns 2000000000 /Rows 9 >>", b"\x00"),
    ),
    "a page without end": ("no_pages", lambda: maze.page_of(b"0 0 1%b 842" % (b"0" * 30))),
    # Objects
    "510,000 objects": ("too_complex", lambda: bomb.many_objects(510_000)),
    "two billion objects, it says": ("too_complex", lambda: bomb.cross_references(2_000_000_000)),
    "a cross-reference stream that unpacks to gigabytes": (
        "too_complex",
        lambda: bomb.cross_reference_bomb(bomb.deflated_forever(3 * MIB)),
    ),
    "an object stream that unpacks to gigabytes": (
        "damaged",
        lambda: bomb.object_stream_bomb(bomb.deflated_forever(3 * MIB)),
    ),
    "an object stream that lies in itself": ("damaged", bomb.object_stream_in_itself),
    "an object of millions of dictionaries": ("inspection_memory", lambda: bomb.wide_objects(400, 10_000)),
    "an object of 4 MB": (
        "too_complex",
        lambda: maze.named_in_catalogue(b"/X [ %b ]" % (b"0 " * 2 * MIB), {}),
    ),
    "nesting beyond measure": ("damaged", lambda: bomb.nested_dictionaries(1_000_000)),
    "arrays nested beyond measure": ("damaged", lambda: made.nested(1_000_000)),
    # Cross-references
    "300,000 updates": ("too_complex", lambda: bomb.long_history(300_000)),
    # Pages
    "100,000 nodes one below the other": ("damaged", lambda: bomb.deep_pages(100_000)),
    "one page 100,000 times": ("damaged", lambda: bomb.one_page_many_times(100_000)),
    "2^40 pages": ("damaged", lambda: bomb.branching_pages(40, 2)),
    "pages in a circle": ("damaged", made.looping_pages),
    "300 pages with 1 MB of the same resources": ("too_complex", lambda: maze.shared_resources(300, MIB // 2)),
    "300 pages with the same 1,000 fields": ("too_complex", lambda: maze.many_widgets(300, 1000)),
    # Forms
    "2^40 fields": ("too_complex", lambda: maze.branching_fields(40, 2)),
    "fields in a circle": ("too_complex", maze.looping_fields),
    "100,000 fields": ("too_complex", lambda: maze.many_fields(100_000)),
    "fields of 1 MB": ("too_complex", lambda: maze.many_fields(6, MIB // 2)),
    "fields with one name of 1 MB": ("too_complex", lambda: maze.shared_name(1000, MIB)),
    "fields among 65,000 objects": ("too_complex", lambda: bomb.packed_fields(10_000, 55_000)),
    "signatures that share 20,000 references": ("too_complex", lambda: maze.many_references(2000, 20_000)),
    "fields with 20,000 fonts for each": ("too_complex", lambda: maze.many_widgets(1, 1000, resources=20_000)),
    # Other
    "a key of two billion bits": ("encrypted", lambda: encrypted(2_000_000_000)),
    "a JPEG with a PDF in it": ("polyglot", jpeg_with_a_pdf_in_its_comment),
    "a PDF behind a web page": ("polyglot", lambda: b"<html><!--" + made.document()),
    "a PDF and an archive": ("polyglot", lambda: made.document() + made.archive({"a.txt": b"x"})),
    "a header that comes late": ("not_a_pdf", lambda: b"\n" * 5000 + made.document()),
}

ACCEPTED: dict[str, tuple[str, Make]] = {
    # Packing: as much as is allowed, and what only looks like much
    "deflate, 250 MiB": ("printed", lambda: bomb.drawn_by(bomb.deflated_forever(250 * 1024), FLATE)),
    "LZW": ("printed", lambda: bomb.drawn_by(bomb.lzw_forever(60 * 1024), b"/Filter /LZWDecode")),
    "filters around filters": (
        "printed",
        lambda: bomb.drawn_by(
            b"z" * (8 * MIB), b"/Filter [ /ASCII85Decode /RunLengthDecode /ASCIIHexDecode /FlateDecode ]"
        ),
    ),
    "run length": ("printed", lambda: bomb.drawn_by(b"\x81\x00" * MIB, b"/Filter /RunLengthDecode")),
    "content drawn several times": ("printed", lambda: maze.shared_content(1, 10, zlib.compress(b" " * 10 * MIB))),
    "content shared by pages": ("printed", lambda: maze.shared_content(50, 1, zlib.compress(b" " * 2 * MIB))),
    # Objects
    "100,000 objects": ("printed", lambda: bomb.many_objects(100_000)),
    "objects of many dictionaries": ("printed", lambda: bomb.wide_objects(50, 10_000)),
    "nesting that is bearable": ("printed", lambda: bomb.nested_dictionaries(190)),
    "an object of 256 KB": ("printed", lambda: maze.named_in_catalogue(b"/X [ %b ]" % (b"0 " * (MIB // 8)), {})),
    "a string of 10 MB": ("printed", lambda: maze.named_in_catalogue(b"/X (%b)" % (b"x" * 10 * MIB), {})),
    "blanks without end": ("printed", lambda: maze.named_in_catalogue(b" " * 3_000_000, {})),
    "an object that is itself, by way of another": (
        "not sealed: pdf_unreadable",
        lambda: maze.named_in_catalogue(b"/AcroForm 4 0 R", {4: b"5 0 R", 5: b"4 0 R"}),
    ),
    "an object at the end of 10,000 others": (
        "not sealed: pdf_unreadable",
        lambda: maze.named_in_catalogue(b"/AcroForm 4 0 R", maze.chain(10_000)),
    ),
    # Cross-references; what goes round in circles is written anew
    "4,900 updates": ("printed", lambda: bomb.long_history(4900)),
    "a table before itself": ("printed", made.looping_cross_references),
    "a hybrid table that is its own stream": ("printed", bomb.hybrid_loop),
    "30 MB behind a table": ("printed", lambda: bomb.cross_references(6, more=30 * MIB)),
    # Pages and what they draw
    "100 nodes one below the other": ("printed", lambda: bomb.deep_pages(100)),
    "pages with the same fields": ("printed", lambda: maze.many_widgets(100, 190)),
    "forms that draw themselves": ("printed", lambda: maze.forms_in_forms(100)),
    "forms of forms": ("printed", lambda: maze.forms_fan(40, 50)),
    "forms of forms under a field": ("not printed: PDF_UNREADABLE", lambda: maze.drawn_again(30, 2)),
    "a hundred million states": ("printed", lambda: bomb.drawn_by(zlib.compress(b"q " * 20_000_000), FLATE)),
    "ten million lines": ("printed", lambda: bomb.drawn_by(zlib.compress(b"0 0 m 9 9 l S\n" * 3_000_000), FLATE)),
    "arrays in content that never end": ("printed", lambda: bomb.drawn_by(zlib.compress(b"[" * 50_000_000), FLATE)),
    "layers named again and again": ("printed", lambda: maze.layers(50_000, 5000)),
    "a table of characters without end": ("printed", lambda: maze.characters(1_000_000)),
    # Trees that nobody here walks
    "outlines in a circle": ("printed", lambda: maze.named_in_catalogue(b"/Outlines 4 0 R", maze.outlines(1000))),
    "2^40 names": ("printed", lambda: maze.named_in_catalogue(b"/Names << /Dests 4 0 R >>", maze.names(40, 2))),
    # Forms
    "5,000 fields": ("printed", lambda: maze.many_fields(5000)),
    "1,000 fields nobody drew": ("printed", lambda: maze.many_widgets(1, 1000, drawn=False)),
    "fields with many fonts for each": ("printed", lambda: maze.many_widgets(1, 200, resources=5000)),
    "signatures that share references": ("printed", lambda: maze.many_references(100, 150)),
    "fields among many objects": ("printed", lambda: bomb.packed_fields(70, 60_000)),
}
FONTS = tuple(maze.hostile_fonts())


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    with Inspector(LIMITS, NoScanner()) as real:
        yield real


@pytest.fixture(scope="module")
def letters() -> Iterator[LetterInspector]:
    with LetterInspector(replace(LIMITS, processor=4)) as real:
        yield real


@pytest.fixture(scope="module")
def sealer() -> Sealer:
    """One whose seals can be seen: it looks at pages for room, besides all else that sealing does."""
    return Sealer(seal_key(), None, appearance=appearance(look_at=look_apart))


@pytest.mark.parametrize(("code", "make"), REFUSED.values(), ids=REFUSED)
def test_a_bomb_is_refused_within_the_childs_bounds_and_the_next_document_is_read(
    inspector: Inspector, code: str, make: Make
) -> None:
    before = inspector.helper_pid
    with pytest.raises(DocumentRefused) as caught:
        inspector.inspect(make())
    assert caught.value.code == code
    assert inspector.inspect(ORDINARY).pages == 2
    assert inspector.helper_pid == before


@pytest.mark.parametrize(("fate", "make"), ACCEPTED.values(), ids=ACCEPTED)
def test_what_is_accepted_is_sealed_and_printed_within_their_bounds(
    inspector: Inspector, letters: LetterInspector, sealer: Sealer, fate: str, make: Make
) -> None:
    found, composed = later(sealer, accepted(inspector, make()))
    assert found == fate
    if composed:
        # Looking at it is done behind walls of its own, where it may take too much: that is an answer, and the next
        # letter is looked at by the same helper.
        before = letters.helper_pid
        told = judged(letters, Asked("letter", load(), duplex=True, sheets=1), composed)
        assert len(told.window_lines) == 3 or [each.code for each in told.problems][-1].startswith("CHECK_")
        assert judged(letters, Asked("document", load(), duplex=True), ORDINARY).problems == ()
        assert letters.helper_pid == before


@pytest.mark.parametrize("program", FONTS, ids=range(len(FONTS)))
def test_a_font_that_lies_is_nobodys_concern_here(
    inspector: Inspector, letters: LetterInspector, sealer: Sealer, program: bytes
) -> None:
    found, composed = later(sealer, accepted(inspector, maze.font(program)))
    assert found == "printed"
    told = judged(letters, Asked("letter", load(), duplex=True, sheets=1), composed)
    assert not [each.code for each in told.problems if each.code.startswith("CHECK_")]


def accepted(inspector: Inspector, data: bytes) -> bytes:
    found = inspector.inspect(data)
    return data if found.replacement is None else found.replacement


def later(sealer: Sealer, data: bytes) -> tuple[str, bytes]:
    """What becomes of a document after its inspection, done within bounds ("" when it breaks them), and its letter."""

    def work() -> bytes:
        try:
            made_letter = letter(sealer.seal(data, at=datetime.now(UTC)))
        except SigningError as error:
            return b"not sealed: " + error.code.encode()
        except LetterRefused as error:
            return b"not printed: " + error.problems[0].code.encode()
        (entry,) = merge([batch_letter(1, made_letter)], io.BytesIO())
        assert entry.pages == made_letter.pages
        return b"printed\0" + made_letter.pdf

    done = apart(work, seconds=LATER_SECONDS, memory=LATER_MEMORY) or b""
    fate, _, composed = done.partition(b"\0")
    return fate.decode(), composed
