"""Every code of a finished batch file read as a machine would read it, and compared with the manifest."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pypdfium2
import zxingcpp

from printing.codes import MODULES
from printing.envelopes import differing
from printing.errors import BatchRefused, Problem
from printing.forms import PDFIUM
from printing.manifest import ManifestLetter, code_of
from printing.marks import Marks, bars_zone
from printing.profiles import MM, Box, Profile

_DOTS: Final = 4  # per module: enough for every module, and few enough to be quick
_QUIET: Final = 2.0  # mm rendered around a code


def read_back(
    pdf: Path | bytes, entries: Iterable[ManifestLetter], profile: Profile, *, file: str = "letters.pdf"
) -> int:
    """Render only the places where codes must stand, read them, and compare.

    Args:
        pdf: the finished file.
        entries: of the manifest; those of other files are left aside. A letter without a set number has no sheet codes.
        profile: with which the file was made.
        file: the name by which the entries know this file.

    Returns:
        How many codes were read.

    Raises:
        BatchRefused: ``CODE_UNREADABLE`` or ``CODE_MISMATCH`` with the page, for every code that is so (the first
            hundred of them); ``ENVELOPE_DIFFERS``, letters do not share an envelope as they should; ``PDF_UNREADABLE``,
            the file cannot be opened.
    """
    entries = [entry for entry in entries if entry.file == file]
    if wrong := differing(entries, profile):
        raise BatchRefused(*wrong)
    problems: list[Problem] = []
    count = 0
    try:
        with PDFIUM:
            opened = pypdfium2.PdfDocument(pdf)
    except pypdfium2.PdfiumError as error:
        raise BatchRefused(Problem("PDF_UNREADABLE", f"{file} cannot be read back.")) from error
    try:
        for entry in entries:
            for number, wanted in _codes(entry, profile):
                count += 1
                with PDFIUM:
                    found = _read(opened, number, wanted, profile)
                if found is not None:
                    problems.append(Problem(found, f"A code of letter {entry.id} is not what it should be.", number))
            if len(problems) >= 100:  # noqa: PLR2004 - the file is refused anyway
                break
    finally:
        with PDFIUM:
            opened.close()
    if problems:
        raise BatchRefused(*problems)
    return count


class _Wanted:
    """A code that must stand somewhere: its kind, its place, its bytes."""

    __slots__ = ("content", "format", "scale", "zone")

    def __init__(self, content: str, zone: Box, scale: float, form: zxingcpp.BarcodeFormat) -> None:
        self.content, self.zone, self.scale, self.format = content.encode(), zone, scale, form


def _codes(entry: ManifestLetter, profile: Profile) -> Iterator[tuple[int, _Wanted]]:
    """Page of the file, counted from 1, and what must stand there."""
    step = max(1, entry.pages // entry.sheets)
    scale = _DOTS * MODULES / (profile.code_zone.width * MM)
    for sheet in range(1, entry.sheets + 1) if entry.set is not None else ():
        code = code_of(entry, sheet)
        wanted = _Wanted(code.payload, profile.code_zone, scale, zxingcpp.BarcodeFormat.DataMatrix)
        yield entry.first_page + (sheet - 1) * step, wanted
    content = entry.registered_number or entry.mail_id
    zone = bars_zone(Marks(entry.mail_id, entry.registered is not None, entry.registered_number), profile)
    if content is not None and zone is not None:
        scale = _DOTS / (profile.barcode.module * MM)
        yield entry.first_page, _Wanted(content, zone, scale, zxingcpp.BarcodeFormat.Code128)


def _read(opened: pypdfium2.PdfDocument, number: int, wanted: _Wanted, profile: Profile) -> str | None:
    """What is wrong, or None."""
    page = opened[number - 1]
    try:
        found = _seen(page, wanted, profile)
    finally:
        page.close()
    if not found:
        return "CODE_UNREADABLE"
    return None if [each.bytes for each in found] == [wanted.content] else "CODE_MISMATCH"


def _seen(page: pypdfium2.PdfPage, wanted: _Wanted, profile: Profile) -> Sequence[zxingcpp.Barcode]:
    zone, size = wanted.zone, profile.page
    crop = (
        max(0.0, zone.left - _QUIET) * MM,
        max(0.0, size.height - zone.bottom - _QUIET) * MM,
        max(0.0, size.width - zone.right - _QUIET) * MM,
        max(0.0, zone.top - _QUIET) * MM,
    )
    bitmap = page.render(scale=wanted.scale, crop=crop, grayscale=True)
    try:
        picture = memoryview(bitmap.buffer).cast("B", (bitmap.height, bitmap.stride))
        view = zxingcpp.ImageView(picture, bitmap.width, bitmap.height, zxingcpp.ImageFormat.Lum, bitmap.stride)
        return zxingcpp.read_barcodes(
            view,
            formats=zxingcpp.BarcodeFormats(wanted.format),
            try_rotate=False,
            try_downscale=False,
            try_invert=False,
        )
    finally:
        bitmap.close()
