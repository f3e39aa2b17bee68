"""Opens a file for judging, and holds its bytes against what a signature says it covers.

Readers differ in what they forgive. Whatever lets two of them see two documents is not forgiven here.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

import re
from io import BytesIO
from typing import Any, Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DiffResult, ModificationLevel
from pyhanko.sign.validation import EmbeddedPdfSignature, SignatureCoverageLevel

from signing.report import Changes, Coverage

_COVERAGE: Final = {
    SignatureCoverageLevel.ENTIRE_FILE: Coverage.WHOLE_FILE,
    SignatureCoverageLevel.ENTIRE_REVISION: Coverage.WHOLE_REVISION,
}
_END: Final = re.compile(rb"startxref\s+(\d{1,12})\s+%%EOF\s*\Z")
_TAIL: Final = 1024
_RANGE_NUMBERS: Final = 4


def open_strictly(pdf: bytes) -> tuple[PdfFileReader, bool]:
    """A reader that goes by the letter if the file allows it (hybrid cross-references do not), and whether it does."""
    try:
        reader = PdfFileReader(BytesIO(pdf), strict=True)
        if not reader.xrefs.hybrid_xrefs_present:
            return reader, True
    except PdfError:
        pass
    return PdfFileReader(BytesIO(pdf), strict=False), False


def der_in(container: bytes) -> bytes:
    """The one DER element a container begins with; the rest of it is padding."""
    octets = container[1] & 0x7F  # a CMS is never so small that its length would stand in one octet
    return container[: 2 + octets + int.from_bytes(container[2 : 2 + octets], "big")]


class Extent:
    """What the signatures of one document cover, and what stands behind them."""

    def __init__(self, pdf: bytes, reader: PdfFileReader) -> None:
        self._pdf = pdf
        self._reader = reader

    def coverage(self, embedded: EmbeddedPdfSignature) -> Coverage:
        """Coverage by pyHanko, and beyond it: the one gap is this signature's own container and holds nothing else."""
        numbers = _range_of(embedded)
        if numbers is None:
            return Coverage.UNCLEAR
        start, size, resume, _ = numbers
        gap = self._pdf[size:resume]
        container = embedded.pkcs7_content
        if start != 0 or gap[:1] + gap[-1:] != b"<>" or gap[1:-1].lower() != container.hex().encode():
            return Coverage.UNCLEAR
        if any(container[len(der_in(container)) :]):
            return Coverage.UNCLEAR
        found: SignatureCoverageLevel | None = embedded.coverage
        return _COVERAGE.get(found, Coverage.UNCLEAR) if found is not None else Coverage.UNCLEAR

    def changes(self, embedded: EmbeddedPdfSignature) -> Changes:
        """What came after a signature, by the policy its integrity was computed with."""
        result: Any = embedded.diff_result
        behind = self._pdf[end_of(embedded) :].strip()
        if not isinstance(result, DiffResult) or (behind and not self._is_revision(embedded)):
            return Changes.NOT_ALLOWED
        if result.modification_level is ModificationLevel.NONE:
            return Changes.NONE
        allowed = embedded.summarise_integrity_info()["docmdp_ok"]
        return Changes.ALLOWED if allowed else Changes.NOT_ALLOWED

    def _is_revision(self, embedded: EmbeddedPdfSignature) -> bool:
        """Whether what stands behind a signature are revisions and nothing else: readers differ in what they ignore."""
        end = _END.search(self._pdf, max(0, len(self._pdf) - _TAIL))
        return (
            embedded.signed_revision < self._reader.xrefs.total_revisions - 1
            and end is not None
            and int(end[1]) == self._reader.last_startxref
            and self._pdf.count(b"startxref", self._reader.last_startxref) == 1
        )


def end_of(embedded: EmbeddedPdfSignature) -> int:
    """Where the covered part of the file ends.

    Raises:
        ValueError: the byte range is none.
    """
    numbers = _range_of(embedded)
    if numbers is None:
        raise ValueError("not a byte range")
    return numbers[2] + numbers[3]


def _range_of(embedded: EmbeddedPdfSignature) -> tuple[int, int, int, int] | None:
    """The four numbers, each of them a whole one standing there itself and none of them negative."""
    entries = embedded.byte_range
    if not isinstance(entries, generic.ArrayObject) or len(entries) != _RANGE_NUMBERS:
        return None
    raw = [entries.raw_get(place) for place in range(_RANGE_NUMBERS)]
    if not all(isinstance(number, generic.NumberObject) and number >= 0 for number in raw):
        return None
    start, size, resume, rest = (int(number) for number in raw)
    return (start, size, resume, rest) if size <= resume else None
