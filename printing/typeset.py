"""Text set with embedded fonts, as PDF content.

A face is parsed and subset once per process into two repertoires: ``latin`` (what almost every Belgian letter needs,
30 kB) and ``wide`` (all of Latin, Greek and Cyrillic that the font has). All letters of one process therefore carry the
same font bytes, and a batch of them keeps one copy.
"""

import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Final, Literal

import pikepdf
from pikepdf import Dictionary, Name
from reportlab.pdfbase.ttfonts import TTFontFile

from printing.profiles import MM

Weight = Literal["Regular", "Bold"]
Repertoire = Literal["latin", "wide"]

_FOLDER: Final = Path(__file__).with_name("fonts")
_LATIN: Final = (range(0x20, 0x180),)
_WIDE: Final = (range(0x20, 0x530), range(0x1E00, 0x2000))
# Dashes, quotes, a no-break blank and a few signs that lie outside of the letters.
_MARKS: Final = frozenset(
    map(chr, (0xA0, *range(0x2010, 0x2015), *range(0x2018, 0x201F), 0x2022, 0x2026, 0x2030, 0x20AC))
)
_TAG: Final = {"latin": "ZENDLA", "wide": "ZENDWI"}


@dataclass(frozen=True)
class Face:
    """One font in one repertoire, ready to be embedded.

    Attributes:
        name: the PostScript name with its subset tag.
        glyphs: character → glyph number in the embedded font.
        codes: character → that number as a hex string has it.
        widths: character → advance in thousandths of the size.
        program: the subset as TrueType.
    """

    name: str
    glyphs: dict[str, int]
    codes: dict[str, bytes]
    widths: dict[str, float]
    program: bytes
    ascent: float
    descent: float
    cap_height: float
    stem: float
    box: tuple[float, ...]

    def width(self, text: str, size: float) -> float:
        """Width of the text in points."""
        return sum(map(self.widths.__getitem__, text)) * size / 1000

    def encode(self, text: str) -> bytes:
        """The text as a PDF hex string of glyph numbers."""
        return b"<%s>" % b"".join(map(self.codes.__getitem__, text))


@cache
def _font_file(weight: Weight) -> TTFontFile:
    return TTFontFile(str(_FOLDER / f"LiberationSans-{weight}.ttf"))


def _repertoire(available: Iterable[int], repertoire: Repertoire) -> list[int]:
    spans = _WIDE if repertoire == "wide" else _LATIN
    return sorted(
        code
        for code in available
        if chr(code) in _MARKS or (chr(code).isprintable() and any(code in span for span in spans))
    )


@cache
def face(weight: Weight, repertoire: Repertoire) -> Face:
    """The face, parsed and subset at the first call of this process."""
    font = _font_file(weight)
    codes = _repertoire(font.charToGlyph, repertoire)
    numbers: dict[int, int] = {0: 0}
    glyphs = {chr(code): numbers.setdefault(font.charToGlyph[code], len(numbers)) for code in codes}
    return Face(
        name=f"{_TAG[repertoire]}+LiberationSans-{weight}",
        glyphs=glyphs,
        codes={character: b"%04X" % number for character, number in glyphs.items()},
        widths={chr(code): font.charWidths[code] for code in codes},
        program=font.makeSubset(codes),
        ascent=font.ascent,
        descent=font.descent,
        cap_height=font.capHeight,
        stem=font.stemV,
        box=tuple(font.bbox),
    )


def clean(text: str) -> str:
    """The text composed (NFC) with every run of white space as one blank."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def unprintable(text: str) -> str:
    """The characters of the cleaned text that no face has, each once."""
    known = face("Regular", "wide").glyphs
    return "".join(dict.fromkeys(character for character in clean(text) if character not in known))


def printable(text: str) -> str:
    """The cleaned text, with what no face has replaced by its base letter, or by a question mark."""
    known = face("Regular", "wide").glyphs
    return "".join(
        character
        if character in known
        else "".join(base for base in unicodedata.normalize("NFKD", character) if base in known) or "?"
        for character in clean(text)
    )


def repertoire_of(texts: Iterable[str]) -> Repertoire:
    """The smallest repertoire that has every character of the texts."""
    known = face("Regular", "latin").glyphs
    return "latin" if all(character in known for text in texts for character in text) else "wide"


def wrap(text: str, setting: Face, size: float, width: float) -> list[str]:
    """Break the text at blanks into lines of at most ``width`` points; a word that is wider is broken inside."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if setting.width(longer, size) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        pieces = _pieces(word, setting, size, width)
        lines.extend(pieces[:-1])
        line = pieces[-1]
    return [*lines, line] if line else lines


def _pieces(word: str, setting: Face, size: float, width: float) -> list[str]:
    pieces = [""]
    for character in word:
        if pieces[-1] and setting.width(pieces[-1] + character, size) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces


class Sheet:
    """The content of one A4 page, written from top to bottom; positions in mm from the top-left corner."""

    def __init__(self, faces: dict[Weight, Face], height: float) -> None:
        """Start an empty page of that height in mm."""
        self.faces = faces
        self._height = height
        self._parts: list[bytes] = []

    def text(
        self,
        left: float,
        baseline: float,
        text: str,
        *,
        size: float,
        weight: Weight = "Regular",
        grey: float = 0,
        condense: float = 1,
    ) -> None:
        """Set one line; ``condense`` is the horizontal scale."""
        self._parts.append(
            b"BT /%s %s Tf %s g %s Tz 1 0 0 1 %s %s Tm %s Tj ET\n"
            % (
                weight.encode(),
                _number(size),
                _number(grey),
                _number(condense * 100),
                _number(left * MM),
                _number((self._height - baseline) * MM),
                self.faces[weight].encode(text),
            )
        )

    def lines(
        self,
        left: float,
        baseline: float,
        lines: Sequence[str],
        *,
        size: float,
        leading: float,
        weight: Weight = "Regular",
        grey: float = 0,
    ) -> float:
        """Set lines under one another, ``leading`` in mm; return where the next baseline stands."""
        for line in lines:
            self.text(left, baseline, line, size=size, weight=weight, grey=grey)
            baseline += leading
        return baseline

    def rule(self, left: float, y: float, right: float, *, thickness: float, grey: float) -> None:
        """Draw a horizontal line, its thickness in points."""
        height = _number((self._height - y) * MM)
        self._parts.append(
            b"%s w %s G %s %s m %s %s l S\n"
            % (_number(thickness), _number(grey), _number(left * MM), height, _number(right * MM), height)
        )

    def bars(self, left: float, top: float, bars: Sequence[tuple[int, int]], module: float, height: float) -> None:
        """Draw bars as one path; each has its first module and its width in modules."""
        y, tall = _number((self._height - top - height) * MM), _number(height * MM)
        drawn = [
            b"%s %s %s %s re" % (_number((left + first * module) * MM), y, _number(width * module * MM), tall)
            for first, width in bars
        ]
        self._parts.append(b"0 g " + b" ".join(drawn) + b" f\n")

    def put(self, content: bytes) -> None:
        """Add content that stands in a graphics state of its own."""
        self._parts.append(b"q " + content + b" Q\n")

    def content(self) -> bytes:
        """The page's content stream."""
        return b"q\n" + b"".join(self._parts) + b"Q\n"


@lru_cache(maxsize=4096)
def _number(value: float) -> bytes:
    return f"{value:.3f}".rstrip("0").rstrip(".").encode()


def _font_object(shelf: pikepdf.Pdf, weight: Weight, repertoire: Repertoire) -> pikepdf.Object:
    setting = face(weight, repertoire)
    program = shelf.make_stream(
        zlib.compress(setting.program, 9), Filter=Name.FlateDecode, Length1=len(setting.program)
    )
    descriptor = Dictionary(
        Type=Name.FontDescriptor,
        FontName=Name("/" + setting.name),
        Flags=4 | (0x40000 if weight == "Bold" else 0),
        FontBBox=[round(value) for value in setting.box],
        ItalicAngle=0,
        Ascent=round(setting.ascent),
        Descent=round(setting.descent),
        CapHeight=round(setting.cap_height),
        StemV=round(setting.stem),
        FontFile2=program,
    )
    advances = {setting.glyphs[character]: round(width) for character, width in setting.widths.items()}
    last = max(advances)
    descendant = Dictionary(
        Type=Name.Font,
        Subtype=Name.CIDFontType2,
        BaseFont=Name("/" + setting.name),
        CIDSystemInfo=Dictionary(Registry=b"Adobe", Ordering=b"Identity", Supplement=0),
        FontDescriptor=shelf.make_indirect(descriptor),
        CIDToGIDMap=Name.Identity,
        DW=advances.get(0, 0),
        # An object of its own: whoever copies the font need not look for references among the numbers.
        W=shelf.make_indirect(pikepdf.Array([1, [advances.get(number, 0) for number in range(1, last + 1)]])),
    )
    return shelf.make_indirect(
        Dictionary(
            Type=Name.Font,
            Subtype=Name.Type0,
            BaseFont=Name("/" + setting.name),
            Encoding=Name("/Identity-H"),
            DescendantFonts=[shelf.make_indirect(descendant)],
            ToUnicode=shelf.make_stream(zlib.compress(_to_unicode(setting), 9), Filter=Name.FlateDecode),
        )
    )


def _to_unicode(setting: Face) -> bytes:
    pairs = sorted((number, character) for character, number in setting.glyphs.items())
    first_of: dict[int, str] = {}
    for number, character in pairs:
        first_of.setdefault(number, character)
    entries = [f"<{number:04X}> <{character.encode('utf-16-be').hex()}>" for number, character in first_of.items()]
    blocks = [entries[start : start + 100] for start in range(0, len(entries), 100)]
    body = "\n".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        "1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n"
        f"{body}\nendcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    ).encode("ascii")


@cache
def _empty(repertoire: Repertoire) -> bytes:
    """A document without pages that holds the fonts, in its catalogue."""
    weights: tuple[Weight, ...] = ("Regular", "Bold")
    with pikepdf.Pdf.new() as pdf:
        pdf.Root.Fonts = Dictionary({f"/{weight}": _font_object(pdf, weight, repertoire) for weight in weights})
        saved = BytesIO()
        pdf.save(saved, deterministic_id=True)
    return saved.getvalue()


def begin(repertoire: Repertoire) -> tuple[pikepdf.Pdf, pikepdf.Object]:
    """A new document in which the fonts are, and the font dictionary for its pages' resources.

    Reading one that was made before costs half of what copying the fonts into an empty one would.
    """
    pdf = pikepdf.open(BytesIO(_empty(repertoire)))
    fonts = pdf.Root.Fonts
    del pdf.Root.Fonts
    return pdf, fonts
