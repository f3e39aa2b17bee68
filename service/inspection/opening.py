"""From bytes to an opened PDF: is it one, is it only one, is it whole, can it be repaired."""

import io
import re
from dataclasses import dataclass
from typing import Final

import pikepdf

from service.inspection.limits import MIB, InspectionLimits

MOST_FILTERS: Final = 8
"""Filters of one stream, one around the other; writers use two at most."""

_HEADER: Final = re.compile(rb"(?:\xef\xbb\xbf)?[\x00\t\n\x0c\r ]{0,1000}%PDF-[1-9]\.[0-9]")
_LATE_HEADER: Final = re.compile(rb"%PDF-[1-9]\.[0-9]")
_HEADER_WINDOW: Final = 1024
_BLANK: Final = b"\x00\t\n\x0c\r "

# Another file's mark at a fixed place: tar, ISO 9660.
_FIXED_MARKS: Final = ((257, b"ustar"), (0x8001, b"CD001"))
# Another file's beginning, after the end of the PDF.
_APPENDED_MARKS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"Rar!\x1a", b"7z\xbc\xaf\x27", b"\x7fELF", b"MZ", b"#!")
_WEB_MARKS: Final = re.compile(rb"<(?:script|html|body|iframe|svg)\b", re.IGNORECASE)
_ZIP_END: Final = b"PK\x05\x06"
_ZIP_END_LENGTH: Final = 22
_ZIP_COMMENT: Final = 65_535
_REFERENCE: Final = re.compile(rb"\b(\d{1,10}) (\d{1,5}) R\b")
# Any warning of qpdf but those about page dictionaries that every reader copes with, where the file as such is sound.
_DAMAGE: Final = re.compile(
    r"\A(?!.*; (?:repairing|overriding|setting to letter / ANSI A|creating a new page object as a copy))", re.DOTALL
)
# In a document that is being repaired: something was guessed, or left out.
_GUESSED: Final = re.compile(
    r"ignoring|treating (?:as|stream)|giving up|limits error|too many errors"
    r"|error decoding|unfilterable|supposed object stream|loop detected resolving"
)
_NO_MEMORY: Final = "bad_alloc"
# Behind the walls there are no random numbers, and only encryption (AES-256) asks for some.
_TOLD: Final = {"encrypt": "encrypted", "random numbers": "encrypted", "no pages found": "no_pages"}
"""What stands in a complaint of qpdf's about an object that it left out because there was no memory for it."""
_OTHER_HEADER: Final = re.compile(rb"\A(?:MZ|\x7fELF|PK|GIF8|\xff\xd8\xff|\x89PNG|#!|<|Rar!|7z)")


class Refused(Exception):
    """The document is refused; ``code`` is one of `codes.REFUSALS`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened document and, when it had to be repaired, the bytes that were opened instead."""

    pdf: pikepdf.Pdf
    data: bytes
    replacement: bytes | None = None


def bound_decoders(limits: InspectionLimits) -> dict[str, int | bool]:
    """Bound qpdf's own decoders and parser; process-wide, so once per process. Returns what held before."""
    return pikepdf.settings.set_qpdf_limits(
        doc_max_warnings=200,
        parser_max_nesting=200,
        max_stream_filters=MOST_FILTERS,
        dct_max_memory=limits.stream_bytes,
        dct_max_progressive_scans=100,
        flate_max_memory=limits.stream_bytes,
        png_max_memory=limits.stream_bytes,
        run_length_max_memory=limits.stream_bytes,
        tiff_max_memory=limits.stream_bytes,
    )


def check_kind(data: bytes) -> None:
    """Refuse what is not a PDF, or is something else as well.

    Raises:
        Refused: ``not_a_pdf``, ``polyglot``.
    """
    if _HEADER.match(data) is None:
        late = _LATE_HEADER.search(data, 0, _HEADER_WINDOW) is not None
        raise Refused("polyglot" if late and _OTHER_HEADER.match(data) else "not_a_pdf")
    if any(data.startswith(mark, place) for place, mark in _FIXED_MARKS) or _ends_as_zip(data):
        raise Refused("polyglot")
    end = data.rfind(b"%%EOF")
    tail = data[end + 5 :].strip(_BLANK) if end >= 0 else b""
    if any(mark in tail[:64] for mark in _APPENDED_MARKS) or _WEB_MARKS.search(tail[:MIB]) is not None:
        raise Refused("polyglot")


def _ends_as_zip(data: bytes) -> bool:
    """Whether a ZIP reader, which starts from the end, would find an archive.

    An end record somewhere near the end proves nothing (an attachment may be an archive); one whose comment reaches
    exactly to the end of the file does.
    """
    window = data[-(_ZIP_END_LENGTH + _ZIP_COMMENT) :]
    at = window.rfind(_ZIP_END)
    while at >= 0:
        rest = len(window) - at - _ZIP_END_LENGTH
        if rest >= 0 and int.from_bytes(window[at + 20 : at + 22], "little") == rest:
            return True
        at = window.rfind(_ZIP_END, 0, at)
    return False


def open_document(data: bytes, limits: InspectionLimits) -> Opened:
    """Open a PDF strictly; when that fails, repair it if nothing is lost and no signature breaks.

    Raises:
        Refused: ``encrypted``, ``damaged``, ``damaged_signed``, ``too_complex``.
    """
    pdf = _open(data, limits, repair=False)
    if pdf is not None:
        return Opened(pdf, data)
    replacement = _repair(data, limits)
    pdf = _open(replacement, limits, repair=False)
    if pdf is None or pdf.check_pdf_syntax():
        raise Refused("damaged")
    return Opened(pdf, replacement, replacement)


def _open(data: bytes, limits: InspectionLimits, *, repair: bool) -> pikepdf.Pdf | None:
    """The document, or None when it cannot be opened or something in it does not hold.

    With `repair`, qpdf may recover what the file itself says; None when it had to guess or leave something out.

    Raises:
        Refused: ``encrypted``, ``no_pages``, ``too_complex``.
        MemoryError: an object was left out because there was not enough of it.
    """
    try:
        pdf = pikepdf.open(
            io.BytesIO(data),
            attempt_recovery=repair,
            inherit_page_attributes=False,
            suppress_warnings=True,
            conversion_mode="implicit",
        )
        if pdf.is_encrypted:
            raise Refused("encrypted")
        # Before any object is read: what the cross-references count, which a reader makes room for.
        if int(pdf.trailer.get("/Size", 0)) > limits.objects:
            raise Refused("too_complex")
        # Reading every object is what finds a broken one; the page list finds a broken or looping page tree.
        if len(pdf.objects) > limits.objects:
            raise Refused("too_complex")
        len(pdf.pages)
    except pikepdf.PasswordError as error:
        raise Refused("encrypted") from error
    except (pikepdf.PdfError, ValueError, TypeError, RuntimeError) as error:
        if _NO_MEMORY in str(error):
            raise MemoryError from error
        for words, code in _TOLD.items():
            if words in str(error):
                raise Refused(code) from error
        return None
    telling = _GUESSED if repair else _DAMAGE
    # Asked for once: qpdf forgets its warnings when it has told them.
    warnings = [str(warning) for warning in pdf.get_warnings()]
    if any(_NO_MEMORY in warning for warning in warnings):
        raise MemoryError
    return None if any(telling.search(warning) for warning in warnings) else pdf


def _repair(data: bytes, limits: InspectionLimits) -> bytes:
    """The document written anew from what its objects say.

    Raises:
        Refused: ``damaged`` when an object that another one refers to is lost or the pages had to be guessed,
            ``damaged_signed``.
    """
    if b"/ByteRange" in data:
        raise Refused("damaged_signed")
    pdf = _open(data, limits, repair=True)
    if pdf is None or _lost_something(pdf):
        raise Refused("damaged")
    out = io.BytesIO()
    # Without a size in a recovered trailer qpdf writes none, and its own file would be damaged again.
    pdf.trailer["/Size"] = len(pdf.objects) + 1
    try:
        pdf.save(out, deterministic_id=True, fix_metadata_version=False)
    except (pikepdf.PdfError, ValueError, RuntimeError) as error:
        raise Refused("damaged") from error
    return out.getvalue()


def _lost_something(pdf: pikepdf.Pdf) -> bool:
    """Whether a recovered document lacks an object that another one refers to."""
    for held in [*pdf.objects, pdf.trailer]:
        if not isinstance(held, pikepdf.Object):
            continue
        whole = held.stream_dict if isinstance(held, pikepdf.Stream) else held
        for number, generation in _REFERENCE.findall(whole.unparse(resolved=True)):
            if pdf.get_object(int(number), int(generation)) is None:
                return True
    return False
