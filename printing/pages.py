"""Pages as they come brought to pages as they are printed: upright A4 that shows what the screen shows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Final

import pikepdf
from pikepdf import Array, Dictionary, Name

from printing.errors import LetterRefused, Problem
from printing.profiles import MM, Box, PageSize

INHERITABLE: Final = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")
KEPT: Final = (*INHERITABLE, "/Contents", "/Group", "/UserUnit")
"""What of a page dictionary is printed; everything else (links, tags, thumbnails, actions) stays behind."""

_ASSUMED: Final = (0.0, 0.0, 612.0, 792.0)  # the page readers show when a document does not say
_EXACT: Final = 1.0  # points: a page this near to A4 is taken as it is


@dataclass(frozen=True)
class Note:
    """What was changed about a page to print it.

    Attributes:
        code: ``PAGE_SCALED``, ``PAGE_CENTRED``, ``PAGE_TURNED`` or ``PAGE_REDUCED``.
        part: 0 for the document, then the number of the attachment.
        page: counted from 1 within the part.
    """

    code: str
    part: int
    page: int


def open_part(data: bytes) -> pikepdf.Pdf:
    """Open a document that is to be printed.

    Raises:
        LetterRefused: ``PDF_ENCRYPTED`` or ``PDF_UNREADABLE``.
    """
    try:
        pdf = pikepdf.open(BytesIO(data))
    except pikepdf.PasswordError as error:
        raise LetterRefused(Problem("PDF_ENCRYPTED", "The document is protected by a password.")) from error
    except pikepdf.PdfError as error:
        raise LetterRefused(Problem("PDF_UNREADABLE", "The document cannot be read.")) from error
    if pdf.is_encrypted:
        raise LetterRefused(Problem("PDF_ENCRYPTED", "The document is encrypted."))
    if not len(pdf.pages):
        raise LetterRefused(Problem("PDF_UNREADABLE", "The document has no pages."))
    return pdf


def inherited(obj: pikepdf.Object, key: str) -> pikepdf.Object | None:
    """An entry of a page or field, its own or one it takes from above."""
    for _ in range(64):  # a page tree is never so deep; a loop of parents ends here
        if key in obj:
            return obj[key]
        if "/Parent" not in obj:
            return None
        obj = obj["/Parent"]
    return None


def printed_part(page: pikepdf.Page) -> Dictionary:
    """A page dictionary with only what is printed, its inherited entries written out."""
    found: dict[str, pikepdf.Object] = {"/Type": Name.Page}
    for key in KEPT:
        value = inherited(page.obj, key) if key in INHERITABLE else page.obj.get(key)
        if value is not None:
            found[key] = value
    return Dictionary(found)


def visible_box(page: Dictionary) -> tuple[float, float, float, float]:
    """Left, bottom, right, top in points of what a viewer shows, before it is turned."""
    return _visible(page.get("/MediaBox"), page.get("/CropBox"))


def _visible(media_box: pikepdf.Object | None, crop_box: pikepdf.Object | None) -> tuple[float, float, float, float]:
    media = _corners(media_box) or _ASSUMED
    crop = _corners(crop_box) or media
    box = (max(media[0], crop[0]), max(media[1], crop[1]), min(media[2], crop[2]), min(media[3], crop[3]))
    return box if box[0] < box[2] and box[1] < box[3] else media


def _corners(box: pikepdf.Object | None) -> tuple[float, float, float, float] | None:
    if isinstance(box, Array) and len(box) == 4:  # noqa: PLR2004 - a rectangle has four numbers
        a, b, c, d = (float(value) for value in box.as_list())
        if a != c and b != d:
            return (min(a, c), min(b, d), max(a, c), max(b, d))
    return None


def visible_size(page: pikepdf.Page) -> tuple[float, float]:
    """Width and height in points as a viewer shows the page, turned and in its user unit."""
    box = _visible(inherited(page.obj, "/MediaBox"), inherited(page.obj, "/CropBox"))
    unit, turned = float(page.obj.get("/UserUnit", 1)), inherited(page.obj, "/Rotate")
    width, height = (box[2] - box[0]) * unit, (box[3] - box[1]) * unit
    return (width, height) if turned is None or not int(turned) % 180 else (height, width)


def place(
    pdf: pikepdf.Pdf, page: pikepdf.Page, size: PageSize, within: Box | None = None
) -> tuple[Dictionary, tuple[str, ...]]:
    """Bring a page to upright A4.

    A page of that size stays as it is, unless its content ends in another graphics state than it began in: such a page
    is enclosed, so that what is printed on it afterwards stands where it should. One within the tolerance is centred. A
    wide one is turned so that its top lies left. One that is too large is made smaller, in proportion; a small one
    keeps its size, centred. With ``within`` the whole of it is made smaller until it stands there, centred.

    Returns:
        The dictionary to print, which belongs to ``pdf``, and the codes of what was changed.
    """
    shown = printed_part(page)
    box = visible_box(shown)
    width, height = size.width * MM, size.height * MM
    upright = is_balanced(page) and int(shown.get("/Rotate", 0)) % 360 == 0 and float(shown.get("/UserUnit", 1)) == 1
    exact = abs(box[2] - box[0] - width) < _EXACT and abs(box[3] - box[1] - height) < _EXACT
    sheet = Array([0, 0, round(width, 3), round(height, 3)])
    if within is None and upright and exact and abs(box[0]) < _EXACT and abs(box[1]) < _EXACT:
        shown.MediaBox = sheet
        for key in ("/CropBox", "/Rotate", "/UserUnit"):
            if key in shown:
                del shown[key]
        return shown, ()
    for key in ("/TrimBox", "/ArtBox", "/BleedBox"):
        if key in page.obj:
            del page.obj[key]
    page.obj.CropBox = Array(list(box))
    form = pdf.make_indirect(page.as_form_xobject())
    matrix, codes = _placement(form, size)
    if within is not None:
        matrix, codes = matrix @ _into(within, size), (*codes, "PAGE_REDUCED")
    return (
        Dictionary(
            Type=Name.Page,
            MediaBox=sheet,
            Resources=Dictionary(XObject=Dictionary(Page=form)),
            Contents=pdf.make_stream(b"q %s cm /Page Do Q" % matrix.encode()),
        ),
        codes,
    )


# Each alternative begins with a letter of its own, so that the expression runs from one of them to the next.
_STRING_OR_STATE: Final = re.compile(
    rb"\((?:[^\\()]++|\\.)*\)|<[0-9A-Fa-f\s]*+>|%[^\r\n]*"
    rb"|q(?<![^\s\[\]()<>/]q)(?![^\s\[\]()<>/%])|Q(?<![^\s\[\]()<>/]Q)(?![^\s\[\]()<>/%])"
    rb"|BT(?<![^\s\[\]()<>/]BT)(?![^\s\[\]()<>/%])|ET(?<![^\s\[\]()<>/]ET)(?![^\s\[\]()<>/%])",
    re.DOTALL,
)
_BEGINS: Final = {b"Q": b"q", b"ET": b"BT"}


def is_balanced(page: pikepdf.Page) -> bool:
    """Whether every saved graphics state of the page's content is restored, and every text object ended, in order.

    Content is looked at with an expression, in microseconds. Inline images may make it say no of a page that is; of
    content that qpdf cannot unpack it says yes.
    """
    depth = {b"q": 0, b"BT": 0}
    found = page.obj.get("/Contents")
    streams = found.as_list() if isinstance(found, Array) else [found]
    try:
        content = b"\n".join(stream.read_bytes() for stream in streams if isinstance(stream, pikepdf.Stream))
    except pikepdf.PdfError:
        return True  # packed in a way that only who draws it can undo: every code is read back from what is printed
    for match in _STRING_OR_STATE.finditer(content):
        operator = match[0]
        if operator in depth:
            depth[operator] += 1
        elif (opened := _BEGINS.get(operator)) is not None:
            depth[opened] -= 1
            if depth[opened] < 0:
                return False
    return not any(depth.values())


def _into(box: Box, size: PageSize) -> pikepdf.Matrix:
    """What brings a whole sheet into a box on it."""
    scale = min(box.width / size.width, box.height / size.height)
    left = box.left + (box.width - size.width * scale) / 2
    bottom = size.height - box.bottom + (box.height - size.height * scale) / 2
    return pikepdf.Matrix(scale, 0, 0, scale, left * MM, bottom * MM)


def _placement(form: pikepdf.Object, size: PageSize) -> tuple[pikepdf.Matrix, tuple[str, ...]]:
    own = pikepdf.Matrix(form.get("/Matrix", Array([1, 0, 0, 1, 0, 0])))
    area = own.transform(pikepdf.Rectangle(*(_corners(form.get("/BBox")) or _ASSUMED)))
    codes = []
    matrix = pikepdf.Matrix()
    if area.width > area.height + _EXACT:
        matrix = pikepdf.Matrix(0, 1, -1, 0, 0, 0)
        area = matrix.transform(area)
        codes.append("PAGE_TURNED")
    width, height = size.width * MM, size.height * MM
    off = max(abs(area.width - width), abs(area.height - height))
    scale = 1.0
    if off > size.tolerance * MM:
        scale = min(1.0, width / area.width, height / area.height)
        codes.append("PAGE_SCALED" if scale < 1 else "PAGE_CENTRED")
    left = (width - area.width * scale) / 2 - area.llx * scale
    bottom = (height - area.height * scale) / 2 - area.lly * scale
    return matrix @ pikepdf.Matrix(scale, 0, 0, scale, left, bottom), tuple(codes)


def hidden_layers(pdf: pikepdf.Pdf) -> tuple[list[pikepdf.Object], list[pikepdf.Object]]:
    """All optional-content groups of a document, and those of them that are off when it is printed.

    ISO 32000-1, 8.11.4: base state, then the ON and OFF lists, then what a group's usage says for printing where the
    document applies usage automatically.
    """
    properties = pdf.Root.get("/OCProperties")
    if not isinstance(properties, Dictionary):
        return [], []
    groups = {group.objgen: group for group in _entries(properties, "/OCGs")}
    default = properties.get("/D", Dictionary())
    off = set(groups) if default.get("/BaseState") == Name.OFF else set()
    off -= {group.objgen for group in _entries(default, "/ON")}
    off |= {group.objgen for group in _entries(default, "/OFF")}
    for group in _printed_by_usage(default):
        state = group.get("/Usage", Dictionary()).get("/Print", Dictionary()).get("/PrintState")
        if state is not None:
            (off.discard if state == Name.ON else off.add)(group.objgen)
    return [*groups.values()], [group for number, group in groups.items() if number in off]


def _printed_by_usage(default: pikepdf.Object) -> Iterator[pikepdf.Object]:
    """The groups whose usage decides, each list looked at once however often it is named."""
    seen = set[tuple[int, int]]()
    for usage in default.get("/AS", Array()).as_list():
        if usage.get("/Event") != Name.Print:
            continue
        named = usage.get("/OCGs")
        if isinstance(named, Array) and named.is_indirect:
            if named.objgen in seen:
                continue
            seen.add(named.objgen)
        yield from _entries(usage, "/OCGs")


def _entries(owner: pikepdf.Object, key: str) -> list[pikepdf.Object]:
    found = owner.get(key)
    if not isinstance(found, Array):
        return []
    return [entry for entry in found.as_list() if isinstance(entry, Dictionary)]
