"""A parcel taken apart for a print house that takes letter by letter: each letter a PDF of its own."""

import hashlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, cast
from zipfile import ZipFile

import pikepdf

from printing.errors import BatchRefused, Problem, ProviderRefused
from printing.manifest import Manifest, ManifestLetter, is_file_name, read_manifest

WHOLE: Final = "file"
"""The one part of a parcel that is no open batch: a pull list, a forecast, what was sealed."""


@dataclass(frozen=True)
class Part:
    """What is sent by one call.

    Attributes:
        name: where it goes below its batch.
        data: a letter's PDF, or the whole parcel.
        letter: what the manifest says of it, as it stands in ``data``; None for a whole parcel.
    """

    name: str
    data: bytes
    letter: ManifestLetter | None = None

    @property
    def sha256(self) -> str:
        """Of the data, in hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()


def about(name: str, data: bytes | Path) -> dict[str, object] | None:
    """What the manifest says of the whole batch; None for a parcel that goes whole.

    Raises:
        ProviderRefused: ``PARCEL_UNREADABLE``.
    """
    if not is_file_name(name):
        return None
    with _opened(data) as package:
        manifest = _manifest(package)
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
    if not is_file_name(name):
        yield Part(WHOLE, data if isinstance(data, bytes) else data.read_bytes())
        return
    with _opened(data) as package:
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
    return Part(f"letters/{own}", out.getvalue(), replace(letter, file=f"{own}.pdf", first_page=1))


def _opened(data: bytes | Path) -> BinaryIO:
    return BytesIO(data) if isinstance(data, bytes) else cast("BinaryIO", data.open("rb"))


def _manifest(package: BinaryIO) -> Manifest:
    try:
        return read_manifest(package)
    except BatchRefused as error:
        raise _unreadable() from error


def _unreadable() -> ProviderRefused:
    return ProviderRefused(Problem("PARCEL_UNREADABLE", "The parcel is no batch that letters can be taken from."))
