"""A parcel taken apart for a print house that takes letter by letter.

Each letter is a PDF of its own, cut out of the batch's; or, in a parcel of sealed letters
(`printing.sealed_letters`), what was sealed of it, which nobody here can open.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, cast
from zipfile import BadZipFile, ZipFile

import pikepdf

from printing.encryption import BEGINNING, ENDING, is_sealed, name_open
from printing.errors import BatchRefused, Problem, ProviderRefused
from printing.manifest import Manifest, ManifestLetter, is_file_name, read_manifest

WHOLE: Final = "file"
"""The one part of a parcel that goes whole: a pull list, a forecast, a proof, a batch that was sealed whole."""
ABOUT: Final = "batch.json"
"""In a parcel of sealed letters: what is said of the whole batch. No other parcel has it."""
LETTERS: Final = "letters/"


@dataclass(frozen=True)
class Part:
    """What is sent by one call.

    Attributes:
        name: where it goes below its batch.
        data: a letter's PDF, a sealed letter, or the whole parcel.
        letter: what the manifest says of it, as it stands in ``data``; None for what is sealed, or a whole parcel.
    """

    name: str
    data: bytes
    letter: ManifestLetter | None = None

    @property
    def sha256(self) -> str:
        """Of the data, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def about(name: str, data: bytes | Path) -> dict[str, object] | None:
    """What is said of the whole batch, nothing of any letter; None for a parcel that goes whole.

    Raises:
        ProviderRefused: ``PARCEL_UNREADABLE``.
    """
    if _goes_whole(name, data):
        return None
    with _opened(data) as package:
        return _sealed(package) or told_of(_manifest(package))


def told_of(manifest: Manifest) -> dict[str, object]:
    """What is told of a batch where its letters come one by one."""
    return {
        "schema": manifest.schema,
        "batch": manifest.batch,
        "sender": manifest.sender,
        "created": manifest.created.isoformat(),
        "key": asdict(manifest.key),
    }


def parts(name: str, data: bytes | Path) -> Iterator[Part]:
    """The parts of a parcel, one in memory at a time; the same parcel gives the same parts.

    Raises:
        ProviderRefused: ``PARCEL_UNREADABLE``.
    """
    if _goes_whole(name, data):
        yield Part(WHOLE, data if isinstance(data, bytes) else data.read_bytes())
        return
    with _opened(data) as package:
        if _sealed(package) is None:
            yield from cut(package)
            return
        with ZipFile(package) as archive:
            for member in archive.namelist():
                if member != ABOUT:
                    yield Part(member.removesuffix(ENDING), archive.read(member))


def cut(package: BinaryIO) -> Iterator[Part]:
    """The letters of a package, each with its entry.

    Raises:
        ProviderRefused: ``PARCEL_UNREADABLE``.
    """
    manifest = _manifest(package)
    with ZipFile(package) as archive:
        for file in manifest.files:
            try:
                pdf = pikepdf.open(BytesIO(archive.read(file.name)))
            except pikepdf.PdfError as error:
                raise _unreadable() from error
            with pdf:
                for letter in manifest.letters:
                    if letter.file == file.name:
                        yield _letter(pdf, letter)


def _letter(pdf: pikepdf.Pdf, letter: ManifestLetter) -> Part:
    first = letter.first_page - 1
    if not 0 <= first < first + letter.pages <= len(pdf.pages):
        raise _unreadable()
    own = f"{letter.id}-{letter.attempt}"
    with pikepdf.new() as made:
        made.pages.extend(pdf.pages[first : first + letter.pages])
        if "/OCProperties" in pdf.Root:
            # Which layers are hidden is said once for the whole file; without it all of them would be printed.
            made.Root.OCProperties = made.copy_foreign(pdf.make_indirect(pdf.Root.OCProperties))
        out = BytesIO()
        made.save(out, deterministic_id=True)
    return Part(f"{LETTERS}{own}", out.getvalue(), replace(letter, file=f"{own}.pdf", first_page=1))


def _goes_whole(name: str, data: bytes | Path) -> bool:
    if not is_file_name(name_open(name)):
        return True
    with _opened(data) as file:
        return is_sealed(file.read(len(BEGINNING)))


def _sealed(package: BinaryIO) -> dict[str, object] | None:
    """What a parcel of sealed letters says of itself; None for another package."""
    try:
        with ZipFile(package) as archive:
            names = archive.namelist()
            if ABOUT not in names:
                return None
            if not all(name == ABOUT or (name.startswith(LETTERS) and name.endswith(ENDING)) for name in names):
                raise _unreadable()
            told: dict[str, object] = json.loads(archive.read(ABOUT))
            return told
    except (BadZipFile, ValueError) as error:
        raise _unreadable() from error


def _opened(data: bytes | Path) -> BinaryIO:
    return BytesIO(data) if isinstance(data, bytes) else cast("BinaryIO", data.open("rb"))


def _manifest(package: BinaryIO) -> Manifest:
    try:
        return read_manifest(package)
    except BatchRefused as error:
        raise _unreadable() from error


def _unreadable() -> ProviderRefused:
    return ProviderRefused(Problem("PARCEL_UNREADABLE", "The parcel is no batch that letters can be taken from."))
