"""What pages draw with, as far as it can go wrong on paper: fonts, transparency, colours of screens."""

from collections.abc import Iterator
from typing import Final

import pikepdf
import pypdfium2
from pikepdf import Array, Dictionary, Name, Stream
from pypdfium2 import raw as pdfium

from printing.pages import inherited

FONT: Final = "FONT_NOT_EMBEDDED"
_DEEPEST: Final = 24  # forms in forms; readers stop somewhere too
_PROGRAMS: Final = ("/FontFile", "/FontFile2", "/FontFile3")
_NORMAL: Final = ("/Normal", "/Compatible")
_RGB: Final = 3
_PAINTED_IN_RGB: Final = frozenset({"rg", "RG"})
_UNSEEN: Final = (pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP)


class Survey:
    """Looks through the resources of a document's pages, at each of them once however many pages share it."""

    def __init__(self, *, colours: bool) -> None:
        """Set up; ``colours`` says whether colours of screens are looked for, which reads all contents."""
        self._colours = colours
        self._known: dict[tuple[int, int], frozenset[str]] = {}

    def of_page(self, page: pikepdf.Page) -> frozenset[str]:
        """What it has: ``FONT_NOT_EMBEDDED`` (used or not), ``FONT_TYPE3``, ``TRANSPARENCY``, ``NOT_CMYK``."""
        found = set(self._of_resources(inherited(page.obj, "/Resources"), 0))
        if self._colours and _paints_in_rgb(page):
            found.add("NOT_CMYK")
        return frozenset(found)

    def _of_resources(self, resources: pikepdf.Object | None, depth: int) -> frozenset[str]:
        if not isinstance(resources, Dictionary) or depth > _DEEPEST:
            return frozenset()
        key = resources.objgen
        if key != (0, 0) and key in self._known:
            return self._known[key]
        if key != (0, 0):
            self._known[key] = frozenset()  # what leads back to itself adds nothing
        found: set[str] = set()
        for font in _values(resources, "/Font"):
            found |= self._of_font(font, depth)
        for state in _values(resources, "/ExtGState"):
            if _is_transparent(state):
                found.add("TRANSPARENCY")
        for drawn in (*_values(resources, "/XObject"), *_values(resources, "/Pattern")):
            found |= self._of_drawn(drawn, depth)
        if self._colours and any(_is_rgb(space) for space in _values(resources, "/ColorSpace")):
            found.add("NOT_CMYK")
        if key != (0, 0):
            self._known[key] = frozenset(found)
        return frozenset(found)

    def _of_font(self, font: pikepdf.Object, depth: int) -> frozenset[str]:
        if not isinstance(font, Dictionary):
            return frozenset()
        if font.get("/Subtype") == Name.Type3:
            return frozenset({"FONT_TYPE3"}) | self._of_resources(font.get("/Resources"), depth + 1)
        return frozenset() if is_embedded(font) else frozenset({FONT})

    def _of_drawn(self, drawn: pikepdf.Object, depth: int) -> frozenset[str]:
        if not isinstance(drawn, Stream):
            return frozenset()
        key = drawn.objgen
        if key in self._known:
            return self._known[key]
        self._known[key] = frozenset()
        found: set[str] = set()
        if drawn.get("/Subtype") == Name.Image:
            if isinstance(drawn.get("/SMask"), Stream):
                found.add("TRANSPARENCY")
            if self._colours and _is_rgb(drawn.get("/ColorSpace")):
                found.add("NOT_CMYK")
        else:
            found |= self._of_resources(drawn.get("/Resources"), depth + 1)
            if self._colours and _paints_in_rgb(drawn):
                found.add("NOT_CMYK")
        self._known[key] = frozenset(found)
        return self._known[key]


def is_embedded(font: pikepdf.Object) -> bool:
    """Whether the font's program is in the document; a font of Type 3 is its own program."""
    if font.get("/Subtype") == Name.Type3:
        return True
    if font.get("/Subtype") == Name.Type0:
        below = font.get("/DescendantFonts")
        entries = list(below.as_list()) if isinstance(below, Array) else []
        return bool(entries) and all(isinstance(each, Dictionary) and _has_program(each) for each in entries)
    return _has_program(font)


def _has_program(font: pikepdf.Object) -> bool:
    descriptor = font.get("/FontDescriptor")
    return isinstance(descriptor, Dictionary) and any(isinstance(descriptor.get(key), Stream) for key in _PROGRAMS)


def shows_unembedded_text(page: pypdfium2.PdfPage) -> bool:
    """Whether ink of a page comes from a font that is not embedded; unseen text and blanks leave none."""
    textpage = page.get_textpage()
    try:
        return any(_is_seen(each, textpage) for each in _texts(page))
    finally:
        textpage.close()


def _texts(page: pypdfium2.PdfPage) -> Iterator[pypdfium2.PdfObject]:
    found: Iterator[pypdfium2.PdfObject] = page.get_objects(filter=(pdfium.FPDF_PAGEOBJ_TEXT,), max_depth=_DEEPEST)
    return found


def _is_seen(text: pypdfium2.PdfObject, textpage: pypdfium2.PdfTextPage) -> bool:
    font = pdfium.FPDFTextObj_GetFont(text.raw)
    if not font or pdfium.FPDFFont_GetIsEmbedded(font) == 1:
        return False
    if pdfium.FPDFTextObj_GetTextRenderMode(text.raw) in _UNSEEN:
        return False
    # Two bytes a character, and a closing zero.
    return _extract(text, textpage).strip() != ""


def _extract(text: pypdfium2.PdfObject, textpage: pypdfium2.PdfTextPage) -> str:
    size = pdfium.FPDFTextObj_GetText(text.raw, textpage.raw, None, 0)
    buffer = (pdfium.FPDF_WCHAR * max(size, 1))()
    pdfium.FPDFTextObj_GetText(text.raw, textpage.raw, buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace").split("\0", 1)[0]


def drop_unused_fonts(pdf: pikepdf.Pdf) -> int:
    """Take fonts that are neither embedded nor selected out of the pages' resources; return how many were.

    A print house's own checks stumble over them. A page whose contents cannot be read keeps all of its fonts.
    """
    dropped = 0
    for page in pdf.pages:
        resources = inherited(page.obj, "/Resources")
        if not isinstance(resources, Dictionary):
            continue
        fonts = resources.get("/Font")
        if not isinstance(fonts, Dictionary):
            continue
        missing = [name for name, font in fonts.items() if isinstance(font, Dictionary) and not is_embedded(font)]
        if not missing:
            continue
        selected = _selected(page, resources)
        gone = [name for name in missing if selected is not None and name not in selected]
        if gone:
            # Other pages may share these dictionaries, and use what this one does not.
            kept = Dictionary({name: font for name, font in fonts.items() if name not in gone})
            page.obj.Resources = Dictionary({**dict(resources.items()), "/Font": kept})
            dropped += len(gone)
    return dropped


def _selected(page: pikepdf.Page, resources: pikepdf.Object) -> set[str] | None:
    """Names of the fonts that a page's contents select, or None where that cannot be known."""
    streams: list[pikepdf.Object | pikepdf.Page] = [page]
    # A form without resources of its own takes its page's.
    streams += [
        drawn
        for drawn in _values(resources, "/XObject")
        if isinstance(drawn, Stream) and drawn.get("/Subtype") == Name.Form and "/Resources" not in drawn
    ]
    names: set[str] = set()
    try:
        for stream in streams:
            for each in pikepdf.parse_content_stream(stream, "Tf"):
                names.update(str(operand) for operand in list(each.operands)[:1])
    except (pikepdf.PdfError, pikepdf.PdfParsingError, TypeError, ValueError):
        return None
    return names


def _values(resources: pikepdf.Object, key: str) -> list[pikepdf.Object]:
    entries = resources.get(key)
    if not isinstance(entries, Dictionary) or isinstance(entries, Stream):
        return []
    return [value for _, value in entries.items()]


def _is_transparent(state: pikepdf.Object) -> bool:
    if not isinstance(state, Dictionary):
        return False
    if isinstance(state.get("/SMask"), Dictionary):
        return True
    blend = state.get("/BM", Name.Normal)
    modes = blend.as_list() if isinstance(blend, Array) else [blend]
    if modes and str(modes[0]) not in _NORMAL:
        return True
    return any(_number(state.get(key)) < 1 for key in ("/ca", "/CA"))


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 1.0


def _is_rgb(space: pikepdf.Object | None) -> bool:
    if isinstance(space, Name):
        return space == Name.DeviceRGB
    if not isinstance(space, Array) or not len(space):
        return False
    kind = space[0]
    if kind == Name.ICCBased and len(space) > 1:
        return isinstance(space[1], Stream) and space[1].get("/N") == _RGB
    if kind == Name.Indexed and len(space) > 1:
        return _is_rgb(space[1])
    return bool(kind == Name.CalRGB)


def _paints_in_rgb(contents: pikepdf.Object | pikepdf.Page) -> bool:
    try:
        found = pikepdf.parse_content_stream(contents, "rg RG cs CS")
        return any(
            str(each.operator) in _PAINTED_IN_RGB or any(operand == Name.DeviceRGB for operand in each.operands)
            for each in found
        )
    except (pikepdf.PdfError, pikepdf.PdfParsingError, TypeError, ValueError):
        return False
