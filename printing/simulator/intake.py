"""A batch's file looked at as a print house looks at it: the package first, then every letter, code by code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Final
from zipfile import ZipFile

import pypdfium2

from printing.encryption import is_sealed, name_open, open_with
from printing.envelopes import DIFFERS, wrongly_together
from printing.errors import BatchRefused, Problem
from printing.manifest import Manifest, ManifestLetter, file_name, proof_name, read_manifest
from printing.profiles import Profile
from printing.readback import read_back
from printing.simulator import by_letter

Name = tuple[str, int]
"""A letter's id and attempt."""

SET_INCOMPLETE: Final = "SET_INCOMPLETE"
"""Why a letter is rejected that shares an envelope with one that is."""
_MOST_LINES: Final = 7


@dataclass(frozen=True)
class Package:
    """A batch's file, opened: its manifest, its PDFs by name, and why some of its letters can't be printed."""

    manifest: Manifest
    files: dict[str, bytes]
    rejected: dict[Name, str]

    @property
    def sheets(self) -> int:
        """All of the batch, as counted here."""
        return sum(letter.sheets for letter in self.manifest.letters)


def examine(name: str, data: bytes, profile: Profile, identity: str | None) -> Package:
    """Open a package and look at everything in it.

    Args:
        name: under which it lay there.
        data: as it lay there.
        profile: with which its letters were made.
        identity: the print house's secret key of age; None for one that takes no encrypted parcels.

    Raises:
        BatchRefused: nothing of it can be printed: ``PARCEL_UNOPENABLE``, ``PACKAGE_UNREADABLE``, ``SCHEMA_UNKNOWN``,
            ``FILE_DIFFERS``, ``NAME_DIFFERS``, ``COUNTS_DIFFER``, ``PDF_UNREADABLE``.
    """
    if is_sealed(data):
        if identity is None:
            raise BatchRefused(Problem("PARCEL_UNOPENABLE", "The parcel is encrypted and there is no key to open it."))
        data = open_with(identity, data)
    manifest, files = _unpacked(data, identity)
    named = proof_name if manifest.proof else file_name
    if named(manifest.sender, manifest.batch, manifest.created) != name_open(name):
        raise BatchRefused(Problem("NAME_DIFFERS", "The file's name is not that of its manifest."))
    names = [(letter.id, letter.attempt) for letter in manifest.letters]
    if len(set(names)) != len(names) or any(letter.file not in files for letter in manifest.letters):
        raise BatchRefused(Problem("COUNTS_DIFFER", "A letter is named twice, or its file is not there."))
    rejected: dict[Name, str] = {}
    for file in manifest.files:
        letters = [letter for letter in manifest.letters if letter.file == file.name]
        told = (file.letters, file.pages, file.sheets)
        with _opened(files[file.name]) as pdf:
            found = (len(letters), len(pdf), sum(letter.sheets for letter in letters))
        if told != found or sum(letter.pages for letter in letters) != file.pages:
            raise BatchRefused(Problem("COUNTS_DIFFER", f"{file.name} has not the letters and pages it should."))
        rejected |= _reject(letters, files[file.name], file.name, profile)
    return Package(manifest, files, rejected)


def _unpacked(data: bytes, identity: str | None) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the PDFs, of a package or of letters that came one by one."""
    announced = by_letter.announcement_of(data)
    if announced is not None:
        return by_letter.open_letters(announced, data, identity)
    manifest = read_manifest(BytesIO(data))
    with ZipFile(BytesIO(data)) as archive:
        return manifest, {file.name: archive.read(file.name) for file in manifest.files}


def _reject(letters: list[ManifestLetter], pdf: bytes, file: str, profile: Profile) -> dict[Name, str]:
    rejected: dict[Name, str] = {
        (letter.id, letter.attempt): DIFFERS for wrong in wrongly_together(letters, profile) for letter in wrong
    }
    page = 1
    for letter in letters:
        if letter.first_page != page or letter.sheets < 1 or letter.pages not in {letter.sheets, 2 * letter.sheets}:
            rejected[letter.id, letter.attempt] = "PAGES_DIFFER"
        elif not 1 <= len(letter.address_lines) <= _MOST_LINES:
            rejected[letter.id, letter.attempt] = "ADDRESS_INVALID"
        page += letter.pages
    while True:
        rejected |= _left_alone(letters, rejected)
        left = [letter for letter in letters if (letter.id, letter.attempt) not in rejected]
        try:
            read_back(pdf, left, profile, file=file)
        except BatchRefused as error:
            # It names the first hundred at most: what is left is read again until all that is left can be read.
            found = {
                (letter.id, letter.attempt): problem.code
                for problem in error.problems
                for letter in left
                if problem.page is not None and 0 <= problem.page - letter.first_page < letter.pages
            }
            if not found:
                raise
            rejected |= found
        else:
            return rejected


def _left_alone(letters: list[ManifestLetter], rejected: Mapping[Name, str]) -> dict[Name, str]:
    """The others of envelopes of which a letter is rejected: machines close one when all of its sheets are there."""
    short = {letter.set for letter in letters if letter.set_sheets and (letter.id, letter.attempt) in rejected}
    names = [(letter.id, letter.attempt) for letter in letters if letter.set in short]
    return {name: SET_INCOMPLETE for name in names if name not in rejected}


def front(package: Package, letter: ManifestLetter, *, dots: int = 200) -> bytes:
    """What a scanner sees of a letter's first sheet, as PNG with so many dots an inch."""
    with _opened(package.files[letter.file]) as pdf:
        page = pdf[letter.first_page - 1]
        try:
            picture = page.render(scale=dots / 72, grayscale=True).to_pil()
        finally:
            page.close()
    out = BytesIO()
    picture.save(out, "PNG", dpi=(dots, dots))
    return out.getvalue()


@contextmanager
def _opened(pdf: bytes) -> Iterator[pypdfium2.PdfDocument]:
    try:
        opened = pypdfium2.PdfDocument(pdf)
    except pypdfium2.PdfiumError as error:
        raise BatchRefused(Problem("PDF_UNREADABLE", "A PDF of the package cannot be read.")) from error
    try:
        yield opened
    finally:
        opened.close()
