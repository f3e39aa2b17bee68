"""One letter: the address page, the document, its attachments, as they go onto paper."""

import hashlib
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import pikepdf
from pikepdf import Array, Dictionary, Name, StreamDecodeLevel

from printing.checks import check_address
from printing.cover import Cover, Extras, Invitation, Language, Sender, Undeliverable, draw, own_place, texts
from printing.errors import LetterRefused, Problem
from printing.forms import flatten
from printing.logo import Logo
from printing.marks import NONE, Marks, draw_front, draw_marks
from printing.pages import Note, hidden_layers, open_part, place
from printing.profiles import MM, Box, Profile
from printing.receipt import draw_receipt
from printing.typeset import Sheet, begin, clean, face, printable, repertoire_of

__all__ = [
    "AddressMode",
    "Extras",
    "Invitation",
    "Language",
    "Letter",
    "LetterRefused",
    "Marks",
    "Note",
    "Sender",
    "Undeliverable",
    "compose",
]

AddressMode = Literal["page", "stamp", "adopt"]
"""The address stands on a page of its own in front, is printed into the free window of the document, or is there."""
_WORTH_PACKING = 256
"""Bytes of a stream below which packing gains less than the words that say so."""


@dataclass(frozen=True)
class Letter:
    """A print copy: never the sealed original, which stays as it is.

    Attributes:
        pages: sides of the PDF, blank backs included.
        sheets: leaves of paper.
        grams: with the envelope.
        envelope: the smallest that holds it, or None when none does (then `printing.checks` says so).
        sha256: of ``pdf``, in hexadecimal.
        notes: pages that were changed to fit the paper.
        own_place: of the first page, where nothing stands but our words and our code for people; None without any.
    """

    pdf: bytes
    pages: int
    sheets: int
    grams: int
    envelope: str | None
    duplex: bool
    sha256: str
    notes: tuple[Note, ...] = ()
    own_place: Box | None = None


def compose(
    document_pdf: bytes,
    attachments: Sequence[bytes],
    *,
    address_lines: Sequence[str],
    sender: Sender,
    reference: str,
    language: Language,
    duplex: bool,
    profile: Profile,
    mode: AddressMode = "page",
    marks: Marks = NONE,
    extras: Extras | None = None,
    return_receipt: bool = False,
    reduced: Collection[int] = (),
) -> Letter:
    """Make the letter that is printed for one delivery.

    The address page stands in front, or the document is the first page. Each part begins on a front, and when printed
    on both sides the letter fills its last sheet, so that the next one begins on a fresh sheet. The same input gives
    the same bytes.

    Args:
        document_pdf: the main document, sealed or not.
        attachments: in their order.
        address_lines: three to seven lines from the name down.
        sender: as the address page shows it.
        reference: the sender's own reference, shown beside the address.
        language: of the address page.
        duplex: printed on both sides.
        profile: of the print house and the post.
        mode: with ``stamp`` and ``adopt`` whoever calls has checked the window of the document.
        marks: the codes above the address, and whether the item is registered.
        extras: what else the address page shows.
        return_receipt: a form for the addressee's signature is the last sheet.
        reduced: pages of the letter that are made smaller until they stand within the margins.

    Raises:
        LetterRefused: the address does not fit (``ADDR_…``), or a document cannot be read (``PDF_UNREADABLE``,
            ``PDF_ENCRYPTED``).
    """
    parts = [open_part(data) for data in (document_pdf, *attachments)]
    try:
        for number, part in enumerate(parts):
            parts[number] = flatten(part)
        counts = [len(part.pages) for part in parts]
        front = _front(
            address_lines, sender, reference, language, counts, profile=profile, mode=mode, marks=marks, extras=extras
        )
        pdf, fonts = begin(front.repertoire)
        with pdf:
            pdf.Root.Lang = front.lang.encode()
            letter = _Gathering(pdf, profile, duplex=duplex, reduced=reduced)
            if mode == "page":
                letter.append_own(front.content, fonts, front.logo)
            for number, part in enumerate(parts):
                letter.append_part(number, part)
            if mode != "page":
                letter.print_over(front.content, fonts)
            if return_receipt:
                form = draw_receipt(
                    address_lines, sender=sender, reference=reference, language=language, marks=marks, profile=profile
                )
                letter.append_own(form.content, letter.fonts_of(form.repertoire, front.repertoire, fonts))
            letter.write_layers()
            data = _saved(pdf)
            pages = len(pdf.pages)
    except (pikepdf.PdfError, TypeError, ValueError, ArithmeticError, AttributeError, KeyError) as error:
        # What qpdf could open but whose pages are not what the standard says.
        raise LetterRefused(Problem("PDF_UNREADABLE", "The document cannot be prepared for printing.")) from error
    finally:
        for part in parts:
            part.close()
    sheets = pages // 2 if duplex else pages
    envelope = profile.envelope_for(sheets)
    return Letter(
        pdf=data,
        pages=pages,
        sheets=sheets,
        grams=profile.grams(sheets),
        envelope=envelope.name if envelope else None,
        duplex=duplex,
        sha256=hashlib.sha256(data).hexdigest(),
        notes=tuple(letter.notes),
        own_place=own_place(profile) if mode == "page" else None,
    )


def _saved(pdf: pikepdf.Pdf) -> bytes:
    """The letter's bytes. What came packed stays as it is: packing it anew would be most of what a letter costs."""
    for each in pdf.objects:
        if isinstance(each, pikepdf.Stream) and not each.get("/Filter"):
            content = each.read_raw_bytes()
            if len(content) >= _WORTH_PACKING:
                each.write(zlib.compress(content), filter=Name.FlateDecode)
    out = BytesIO()
    pdf.save(
        out,
        min_version="1.7",
        deterministic_id=True,
        compress_streams=False,
        stream_decode_level=StreamDecodeLevel.none,
    )
    return out.getvalue()


def _front(
    address: Sequence[str],
    sender: Sender,
    reference: str,
    language: Language,
    counts: Sequence[int],
    *,
    profile: Profile,
    mode: AddressMode,
    marks: Marks,
    extras: Extras | None,
) -> Cover:
    """The address page, or what is printed over the first page of the document."""
    if mode == "page":
        return draw(
            address,
            sender=sender,
            reference=reference,
            language=language,
            parts=counts,
            profile=profile,
            marks=marks,
            extras=extras,
        )
    problems = check_address(address, profile)
    if problems:
        raise LetterRefused(*problems)
    lines = [clean(line) for line in address]
    repertoire = repertoire_of([*lines, printable(marks.notice)])
    sheet = Sheet({"Regular": face("Regular", repertoire), "Bold": face("Bold", repertoire)}, profile.page.height)
    if mode == "stamp":
        draw_front(sheet, lines, marks, profile)
    else:
        draw_marks(sheet, marks, profile)
    return Cover(content=sheet.content(), repertoire=repertoire, lang=texts()[language].lang)


class _Gathering:
    """The pages of one letter while they come together."""

    def __init__(self, pdf: pikepdf.Pdf, profile: Profile, *, duplex: bool, reduced: Collection[int]) -> None:
        self._reduced = reduced
        self.notes: list[Note] = []
        self._pdf = pdf
        self._profile = profile
        self._duplex = duplex
        self._layers: list[pikepdf.Object] = []
        self._hidden: list[pikepdf.Object] = []

    def _sheet(self) -> Array:
        return Array([0, 0, round(self._profile.page.width * MM, 3), round(self._profile.page.height * MM, 3)])

    def append_own(self, content: bytes, fonts: pikepdf.Object, logo: Logo | None = None) -> None:
        """A page of ours."""
        resources = Dictionary(Font=fonts)
        if logo is not None:
            resources.XObject = Dictionary(Logo=logo.stream(self._pdf))
        page = Dictionary(
            Type=Name.Page,
            MediaBox=self._sheet(),
            Resources=resources,
            Contents=self._pdf.make_stream(content),
        )
        self._pdf.pages.append(pikepdf.Page(self._pdf.make_indirect(page)))
        self._fill_sheet()

    def print_over(self, content: bytes, fonts: pikepdf.Object) -> None:
        """Print over the first page, in a form of its own: no name of it can meet one of the document's."""
        page = self._pdf.pages[0]
        form = self._pdf.make_stream(
            content,
            Type=Name.XObject,
            Subtype=Name.Form,
            BBox=self._sheet(),
            Resources=Dictionary(Font=fonts),
        )
        # Its resources may belong to other pages too.
        resources = Dictionary(dict(page.obj.get("/Resources", Dictionary()).items()))
        objects = Dictionary(dict(resources.get("/XObject", Dictionary()).items()))
        name = "/ZendingFront"
        while name in objects:
            name += "A"
        objects[name] = form
        resources.XObject = objects
        page.obj.Resources = resources
        page.contents_add(b"q\n", prepend=True)
        page.contents_add(b"\nQ %s Do" % name.encode())

    def fonts_of(self, wanted: str, known: str, fonts: pikepdf.Object) -> pikepdf.Object:
        """The fonts of a repertoire: those of the address where it is the same."""
        if wanted == known:
            return fonts
        other, theirs = begin("wide" if wanted == "wide" else "latin")
        with other:
            return self._pdf.copy_foreign(other.make_indirect(theirs))

    def append_part(self, number: int, part: pikepdf.Pdf) -> None:
        for index, page in enumerate(part.pages, start=1):
            within = self._profile.printable if len(self._pdf.pages) + 1 in self._reduced else None
            shown, codes = place(part, page, self._profile.page, within)
            self._pdf.pages.append(pikepdf.Page(part.make_indirect(shown)))
            self.notes.extend(Note(code, number, index) for code in codes)
        groups, hidden = hidden_layers(part)
        self._layers.extend(self._pdf.copy_foreign(group) for group in groups)
        self._hidden.extend(self._pdf.copy_foreign(group) for group in hidden)
        self._fill_sheet()

    def _fill_sheet(self) -> None:
        if self._duplex and len(self._pdf.pages) % 2:
            blank = Dictionary(Type=Name.Page, MediaBox=self._sheet(), Resources=Dictionary())
            self._pdf.pages.append(pikepdf.Page(self._pdf.make_indirect(blank)))

    def write_layers(self) -> None:
        # Without these lists a viewer would print layers that the sender had hidden.
        if self._layers:
            self._pdf.Root.OCProperties = Dictionary(
                OCGs=Array(self._layers), D=Dictionary(Order=Array(), OFF=Array(self._hidden))
            )
