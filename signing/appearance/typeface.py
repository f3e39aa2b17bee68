"""A font prepared once for many documents: a subset without hints, and the PDF objects that say what is in it.

The subset holds the characters that a profile can ever need, so nothing of it depends on a document: the same bytes go
into every update. Hints, names and character maps are left out (ISO 32000-1, 9.9.1 asks for none of them in a CIDFont
with an identity map): half of what reportlab's subset weighs.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its constructors without.

import hashlib
import struct
import unicodedata
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.writer import BasePdfFileWriter
from reportlab.pdfbase.ttfonts import TTFontFile

_KEPT: Final = (b"glyf", b"head", b"hhea", b"hmtx", b"loca", b"maxp")
"""Tables that a reader needs in a font embedded so (ISO 32000-1, 9.9.1)."""
_CHECKSUM_OF_ALL: Final = 0xB1B0AFBA
_IN_SHORTS: Final = 0
_ARGUMENTS_ARE_WORDS, _SCALE, _MORE, _SCALES, _TWO_BY_TWO, _INSTRUCTIONS = 0x1, 0x8, 0x20, 0x40, 0x80, 0x100


@dataclass(frozen=True, slots=True)
class Typeface:
    """A font's subset, ready to be put into any number of documents.

    Attributes:
        name: the PostScript name with a tag of this subset.
        codes: character → its number in the subset, as a hexadecimal string has it.
        widths: character → advance in thousandths of the size.
    """

    name: str
    codes: dict[str, bytes]
    widths: dict[str, float]
    ascent: float
    descent: float
    _program: bytes
    _program_size: int
    _to_unicode: bytes
    _cid_set: bytes
    _advances: tuple[int, ...]
    _figures: tuple[tuple[str, int], ...]
    _box: tuple[int, ...]

    @classmethod
    def subset(cls, font: bytes, characters: Iterable[str]) -> "Typeface":
        """Prepare a TrueType font for these characters; those it lacks are left out.

        Raises:
            ValueError: it isn't a TrueType font.
        """
        try:
            whole = TTFontFile(BytesIO(font))
        except Exception as error:
            raise ValueError("This is no TrueType font that can be embedded.") from error
        wanted = sorted({ord(character) for character in characters} & whole.charToGlyph.keys())
        numbers: dict[int, int] = {0: 0}
        glyphs = {chr(code): numbers.setdefault(whole.charToGlyph[code], len(numbers)) for code in wanted}
        program, advances = without_hints(whole.makeSubset(wanted))
        count = len(advances)
        # All numbers from 0 are in use: the bits beyond them in the last byte are 0 (ISO 19005-1, 6.3.5).
        used = (1 << count) - 1 << (-count % 8)
        figures = ("Ascent", whole.ascent), ("Descent", whole.descent), ("CapHeight", whole.capHeight)
        return cls(
            name=f"{_tag(program)}+{_text(whole.name)}",
            codes={character: b"%04X" % number for character, number in glyphs.items()},
            widths={character: advances[number] for character, number in glyphs.items()},
            ascent=whole.ascent,
            descent=whole.descent,
            _program=zlib.compress(program, 9),
            _program_size=len(program),
            _to_unicode=zlib.compress(_to_unicode(glyphs), 9),
            _cid_set=used.to_bytes((count + 7) // 8, "big"),
            _advances=advances,
            _figures=(*((key, round(value)) for key, value in figures), ("StemV", round(whole.stemV))),
            _box=tuple(round(value) for value in whole.bbox),
        )

    def width(self, text: str, size: float) -> float:
        """Width of the text in points."""
        return sum(map(self.widths.__getitem__, text)) * size / 1000

    def encode(self, text: str) -> bytes:
        """The text as a hexadecimal string of glyph numbers."""
        return b"<%s>" % b"".join(map(self.codes.__getitem__, text))

    def printable(self, text: str) -> str:
        """The text composed and with single blanks, what isn't in the subset as its base letter or a question mark."""
        cleaned = " ".join(unicodedata.normalize("NFC", text).split())
        return "".join(
            character
            if character in self.codes
            else "".join(base for base in unicodedata.normalize("NFKD", character) if base in self.codes) or "?"
            for character in cleaned
        )

    def add_to(self, writer: BasePdfFileWriter) -> generic.IndirectObject:
        """Put the font into an update; returns the reference for the resources."""
        name = pdf_name(f"/{self.name}")
        flate = {pdf_name("/Filter"): pdf_name("/FlateDecode")}
        program = generic.StreamObject(
            {**flate, pdf_name("/Length1"): generic.NumberObject(self._program_size)}, encoded_data=self._program
        )
        descriptor = generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/FontDescriptor"),
                pdf_name("/FontName"): name,
                pdf_name("/Flags"): generic.NumberObject(4),
                pdf_name("/FontBBox"): generic.ArrayObject(map(generic.NumberObject, self._box)),
                pdf_name("/ItalicAngle"): generic.NumberObject(0),
                **{pdf_name(f"/{key}"): generic.NumberObject(value) for key, value in self._figures},
                pdf_name("/FontFile2"): writer.add_object(program),
                pdf_name("/CIDSet"): writer.add_object(generic.StreamObject({}, encoded_data=self._cid_set)),
            }
        )
        advances = generic.ArrayObject(map(generic.NumberObject, self._advances))
        descendant = generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/Font"),
                pdf_name("/Subtype"): pdf_name("/CIDFontType2"),
                pdf_name("/BaseFont"): name,
                pdf_name("/CIDSystemInfo"): generic.DictionaryObject(
                    {
                        pdf_name("/Registry"): generic.pdf_string("Adobe"),
                        pdf_name("/Ordering"): generic.pdf_string("Identity"),
                        pdf_name("/Supplement"): generic.NumberObject(0),
                    }
                ),
                pdf_name("/FontDescriptor"): writer.add_object(descriptor),
                pdf_name("/CIDToGIDMap"): pdf_name("/Identity"),
                pdf_name("/W"): generic.ArrayObject([generic.NumberObject(0), advances]),
            }
        )
        font = generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/Font"),
                pdf_name("/Subtype"): pdf_name("/Type0"),
                pdf_name("/BaseFont"): name,
                pdf_name("/Encoding"): pdf_name("/Identity-H"),
                pdf_name("/DescendantFonts"): generic.ArrayObject([writer.add_object(descendant)]),
                pdf_name("/ToUnicode"): writer.add_object(generic.StreamObject(flate, encoded_data=self._to_unicode)),
            }
        )
        return writer.add_object(font)


def _text(name: str | bytes) -> str:
    return name.decode("ascii") if isinstance(name, bytes) else name


def _tag(program: bytes) -> str:
    """Six capital letters that differ for different subsets (ISO 32000-1, 9.6.4)."""
    number = int.from_bytes(hashlib.sha256(program).digest()[:8], "big")
    return "".join(chr(ord("A") + number // 26**place % 26) for place in range(6))


def without_hints(font: bytes) -> tuple[bytes, tuple[int, ...]]:
    """A TrueType font with the tables a PDF needs and no instructions in its glyphs, and each glyph's advance."""
    tables = {}
    for place in range(struct.unpack_from(">H", font, 4)[0]):
        tag, _, start, size = struct.unpack_from(">4sLLL", font, 12 + 16 * place)
        tables[tag] = font[start : start + size]
    count = struct.unpack_from(">H", tables[b"maxp"], 4)[0]
    glyphs, starts = bytearray(), [0]
    for outline in _outlines(tables, count):
        plain = _without_instructions(outline)
        glyphs += plain + bytes(-len(plain) % 4)
        starts.append(len(glyphs))
    head = bytearray(tables[b"head"])
    struct.pack_into(">L", head, 8, 0)  # the checksum of all, set below
    struct.pack_into(">h", head, 50, 1)  # positions are four bytes wide
    tables |= {b"glyf": bytes(glyphs), b"loca": struct.pack(f">{count + 1}L", *starts), b"head": bytes(head)}
    return _font_of({tag: tables[tag] for tag in _KEPT}), _advances_in(tables, count)


def _advances_in(tables: dict[bytes, bytes], count: int) -> tuple[int, ...]:
    """In thousandths of the size; the last one told holds for all further glyphs."""
    unit = struct.unpack_from(">H", tables[b"head"], 18)[0]
    told = struct.unpack_from(">H", tables[b"hhea"], 34)[0]
    places = (min(number, told - 1) for number in range(count))
    return tuple(round(struct.unpack_from(">H", tables[b"hmtx"], 4 * place)[0] * 1000 / unit) for place in places)


def _outlines(tables: dict[bytes, bytes], count: int) -> Iterable[bytes]:
    short = struct.unpack_from(">h", tables[b"head"], 50)[0] == _IN_SHORTS
    places = struct.unpack_from(f">{count + 1}{'H' if short else 'L'}", tables[b"loca"])
    scale = 2 if short else 1
    for start, end in pairwise(places):
        yield tables[b"glyf"][start * scale : end * scale]


def _without_instructions(outline: bytes) -> bytes:
    if not outline:
        return outline
    contours = struct.unpack_from(">h", outline)[0]
    if contours >= 0:
        end = 10 + 2 * contours
        size = struct.unpack_from(">H", outline, end)[0]
        return outline[:end] + b"\x00\x00" + outline[end + 2 + size :]
    plain, place, flags = bytearray(outline), 10, _MORE
    while flags & _MORE:
        flags = struct.unpack_from(">H", plain, place)[0]
        struct.pack_into(">H", plain, place, flags & ~_INSTRUCTIONS)
        place += 4 + (4 if flags & _ARGUMENTS_ARE_WORDS else 2)
        place += 2 if flags & _SCALE else 4 if flags & _SCALES else 8 if flags & _TWO_BY_TWO else 0
    return bytes(plain[:place])


def _font_of(tables: dict[bytes, bytes]) -> bytes:
    count = len(tables)
    power = count.bit_length() - 1
    head = struct.pack(">LHHHH", 0x00010000, count, 16 << power, power, 16 * (count - (1 << power)))
    place, directory, body, head_at = 12 + 16 * count, b"", b"", 0
    for tag, table in sorted(tables.items()):
        if tag == b"head":
            head_at = place
        directory += struct.pack(">4sLLL", tag, _checksum(table), place, len(table))
        padded = table + bytes(-len(table) % 4)
        body += padded
        place += len(padded)
    font = bytearray(head + directory + body)
    struct.pack_into(">L", font, head_at + 8, (_CHECKSUM_OF_ALL - _checksum(font)) & 0xFFFFFFFF)
    return bytes(font)


def _checksum(table: bytes | bytearray) -> int:
    padded = bytes(table) + bytes(-len(table) % 4)
    words: tuple[int, ...] = struct.unpack(f">{len(padded) // 4}L", padded)
    return sum(words) & 0xFFFFFFFF


def _to_unicode(glyphs: dict[str, int]) -> bytes:
    first: dict[int, str] = {}
    for character, number in glyphs.items():
        first.setdefault(number, character)
    entries = [f"<{number:04X}> <{character.encode('utf-16-be').hex()}>" for number, character in sorted(first.items())]
    blocks = [entries[start : start + 100] for start in range(0, len(entries), 100)]
    body = "\n".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        "1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n"
        f"{body}\nendcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    ).encode("ascii")
