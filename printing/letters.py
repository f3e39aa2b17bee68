"""One letter: the address page, the document, its attachments, as they go onto paper."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import pikepdf
from pikepdf import Array, Dictionary, Name

from printing.cover import Language, Sender, draw
from printing.errors import LetterRefused, Problem
from printing.forms import flatten
from printing.pages import Note, hidden_layers, open_part, place
from printing.profiles import MM, Profile
from printing.typeset import begin

__all__ = ["Language", "Letter", "LetterRefused", "Note", "Sender", "compose"]


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
    """

    pdf: bytes
    pages: int
    sheets: int
    grams: int
    envelope: str | None
    duplex: bool
    sha256: str
    notes: tuple[Note, ...] = ()


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
) -> Letter:
    """Make the letter that is printed for one delivery.

    The address page stands in front. Each part begins on a front, and when printed on both sides the letter fills its
    last sheet, so that the next one begins on a fresh sheet. The same input gives the same bytes.

    Args:
        document_pdf: the main document, sealed or not.
        attachments: in their order.
        address_lines: three to seven lines from the name down.
        sender: as the address page shows it.
        reference: the sender's own reference, shown beside the address.
        language: of the address page.
        duplex: printed on both sides.
        profile: of the print house and the post.

    Raises:
        LetterRefused: the address does not fit (``ADDR_…``), or a document cannot be read (``PDF_UNREADABLE``,
            ``PDF_ENCRYPTED``).
    """
    parts = [open_part(data) for data in (document_pdf, *attachments)]
    try:
        for number, part in enumerate(parts):
            parts[number] = flatten(part)
        counts = [len(part.pages) for part in parts]
        cover = draw(
            address_lines, sender=sender, reference=reference, language=language, parts=counts, profile=profile
        )
        pdf, fonts = begin(cover.repertoire)
        with pdf:
            pdf.Root.Lang = cover.lang.encode()
            letter = _Gathering(pdf, profile, duplex=duplex)
            letter.append_cover(cover.content, fonts)
            for number, part in enumerate(parts):
                letter.append_part(number, part)
            letter.write_layers()
            saved = BytesIO()
            pdf.save(saved, min_version="1.7", deterministic_id=True)
            pages = len(pdf.pages)
    except (pikepdf.PdfError, TypeError, ValueError, ArithmeticError, AttributeError, KeyError) as error:
        # What qpdf could open but whose pages are not what the standard says.
        raise LetterRefused(Problem("PDF_UNREADABLE", "The document cannot be prepared for printing.")) from error
    finally:
        for part in parts:
            part.close()
    data = saved.getvalue()
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
    )


class _Gathering:
    """The pages of one letter while they come together."""

    def __init__(self, pdf: pikepdf.Pdf, profile: Profile, *, duplex: bool) -> None:
        self.notes: list[Note] = []
        self._pdf = pdf
        self._profile = profile
        self._duplex = duplex
        self._layers: list[pikepdf.Object] = []
        self._hidden: list[pikepdf.Object] = []

    def _sheet(self) -> Array:
        return Array([0, 0, round(self._profile.page.width * MM, 3), round(self._profile.page.height * MM, 3)])

    def append_cover(self, content: bytes, fonts: pikepdf.Object) -> None:
        page = Dictionary(
            Type=Name.Page,
            MediaBox=self._sheet(),
            Resources=Dictionary(Font=fonts),
            Contents=self._pdf.make_stream(content),
        )
        self._pdf.pages.append(pikepdf.Page(self._pdf.make_indirect(page)))
        self._fill_sheet()

    def append_part(self, number: int, part: pikepdf.Pdf) -> None:
        for index, page in enumerate(part.pages, start=1):
            shown, codes = place(part, page, self._profile.page)
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
