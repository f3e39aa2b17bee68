"""What goes with the PDFs to the print house: the manifest, the file name, the ZIP around them.

The manifest is JSON with sorted keys and without blanks. Readers ignore keys they don't know, so later versions may add
some; ``schema`` changes when a key changes its meaning or goes away.
"""

import hashlib
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import IO, BinaryIO, Final, Literal

import msgspec

from printing.codes import SheetCode
from printing.errors import BatchRefused, Problem

SCHEMA: Final = 2
SHARED: Final = 3
"""The schema of a manifest with envelopes that letters share: who does not know them must not print it."""
MANIFEST: Final = "manifest.json"

_CHUNK: Final = 1 << 20
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_SENDER: Final = re.compile(r"[A-Z0-9]{8}")
_NAME: Final = re.compile(r"PRT_0100_([A-Z0-9]{8})_([0-9]{10})_([0-9]{12})_0(RQ|PROOF)\.ZIP")
_MOST_BATCHES: Final = 10**10


@dataclass(frozen=True)
class BatchKey:
    """What all letters of one batch have in common; letters that differ in one of these never share a batch."""

    provider: str
    product: str
    colour: bool
    duplex: bool
    envelope: str
    registered: str | None
    language: str


@dataclass(frozen=True)
class ManifestLetter:
    """One letter of a batch.

    Attributes:
        id: ours; stable over reprints.
        attempt: 1 for the first print, one more for each reprint.
        file: the PDF of this batch that holds it.
        first_page: counted from 1 within that file.
        pages: sides in the file, blank ones included.
        grams: with the envelope.
        product: what the post is asked for.
        registered: the kind of registered item (`printing.numbers`), or None.
        content_sha256: of the letter as it was composed, before merging, in hexadecimal.
        undeliverable: what happens to the letter when it cannot be delivered.
        duplex, colour: how it was made, as its sheet codes say it.
        set: the twelve digits of its sheet codes, one number per envelope and attempt; None for a letter without codes.
        sequence: its envelope's place in the run, as its sheet codes say it.
        presort: what the post sorts by.
        postage_cents: None where it is not known beforehand.
        mail_id: what the post's own code above the address says, where it was printed.
        registered_number: the number whose code stands on the front; None where the print house gives it one.
        address_mode: whether the address stands on a page of its own, was stamped, or was in the document already.
        place: in its envelope, from 1; in an envelope that it shares, the first one's address shows.
        first_sheet: the number of its first sheet, as sheet codes count.
        set_sheets: all sheets of an envelope that it shares; None for one of its own. These three are written only of
            letters that share one, and say how ``set`` and ``sequence``, ``grams`` (the envelope's are the first
            letter's) and ``postage_cents`` (its share) are meant.
    """

    id: str
    attempt: int
    sheets: int
    grams: int
    envelope: str
    product: str
    address_lines: tuple[str, ...]
    return_address: tuple[str, ...]
    undeliverable: Literal["return", "destroy"]
    content_sha256: str
    registered: str | None = None
    priority: bool = False
    duplex: bool = True
    colour: bool = False
    set: str | None = None
    sequence: int = 0
    presort: str = ""
    postage_cents: int | None = None
    mail_id: str | None = None
    registered_number: str | None = None
    address_mode: Literal["page", "stamp", "adopt"] = "page"
    place: int = 1
    first_sheet: int = 1
    set_sheets: int | None = None
    file: str = ""
    first_page: int = 0
    pages: int = 0


@dataclass(frozen=True)
class ManifestFile:
    """One PDF of a batch; ``size`` in bytes, ``sha256`` in hexadecimal."""

    name: str
    size: int
    sha256: str
    letters: int
    pages: int
    sheets: int


@dataclass(frozen=True)
class Manifest:
    """All that is said of one batch.

    Attributes:
        sender: the eight capitals or digits by which the print house knows us.
        batch: its number.
        created: when the batch was frozen, with an offset; written in UTC.
        proof: to be printed and looked at, never posted; written only where it is so.
    """

    batch: int
    sender: str
    created: datetime
    key: BatchKey
    files: tuple[ManifestFile, ...]
    letters: tuple[ManifestLetter, ...]
    schema: int = SCHEMA
    proof: bool = False

    def encode(self) -> bytes:
        """The manifest as canonical JSON in UTF-8."""
        value = asdict(self) | {"created": _utc(self.created).strftime("%Y-%m-%dT%H:%M:%SZ")}
        if not self.proof:
            del value["proof"]
        for letter in value["letters"]:
            if letter["set_sheets"] is None:
                del letter["set_sheets"], letter["place"], letter["first_sheet"]
        return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def code_of(letter: ManifestLetter, sheet: int) -> SheetCode:
    """What the code on a sheet of a letter, counted from 1 within it, says.

    Raises:
        ValueError: a number does not fit, or the letter has no set.
    """
    number, of = letter.first_sheet + sheet - 1, letter.set_sheets or letter.sheets
    return SheetCode(letter.set or "", number, of, letter.sequence, duplex=letter.duplex, colour=letter.colour)


def schema_for(letters: Iterable[ManifestLetter]) -> int:
    """The schema of a manifest of these letters."""
    return SCHEMA if all(letter.set_sheets is None for letter in letters) else SHARED


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("the time of a batch needs an offset")
    return moment.astimezone(UTC)


def file_name(sender: str, batch: int, created: datetime) -> str:
    """The name of the ZIP, ``PRT_0100_<sender>_<batch>_<YYMMDDHHMMSS>_0RQ.ZIP``; the time is in UTC.

    Raises:
        ValueError: the sender has not eight capitals or digits, the number has more than ten digits, or the time has no
            offset.
    """
    if not _SENDER.fullmatch(sender):
        raise ValueError("a sender's code has eight capital letters or digits")
    if not 0 <= batch < _MOST_BATCHES:
        raise ValueError("a batch number has at most ten digits")
    return f"PRT_0100_{sender}_{batch:010d}_{_utc(created):%y%m%d%H%M%S}_0RQ.ZIP"


def is_file_name(name: str) -> bool:
    """Whether the name is one that `file_name` gives."""
    found = _NAME.fullmatch(name)
    return found is not None and found[4] == "RQ"


def proof_name(sender: str, number: int, created: datetime) -> str:
    """The name of a proof's ZIP, ``…_0PROOF.ZIP``; who knows no proofs takes it for nothing, and posts nothing.

    Raises:
        ValueError: as `file_name`.
    """
    return file_name(sender, number, created).replace("_0RQ.", "_0PROOF.")


def is_proof_name(name: str) -> bool:
    """Whether the name is one that `proof_name` gives."""
    found = _NAME.fullmatch(name)
    return found is not None and found[4] == "PROOF"


def _digest(data: IO[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := data.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def describe_file(name: str, data: BinaryIO, letters: Sequence[ManifestLetter]) -> ManifestFile:
    """Read a merged PDF and say what the manifest says of it; ``letters`` of other files are left aside."""
    sha256, size = _digest(data)
    own = [letter for letter in letters if letter.file == name]
    return ManifestFile(
        name=name,
        size=size,
        sha256=sha256,
        letters=len(own),
        pages=sum(letter.pages for letter in own),
        sheets=sum(letter.sheets for letter in own),
    )


def pack(manifest: Manifest, files: Mapping[str, BinaryIO], out: BinaryIO) -> None:
    """Write the ZIP: the manifest, then the PDFs in its order, stored, with fixed dates; equal input, equal bytes.

    ``files`` holds every PDF by name, at its beginning.

    Raises:
        BatchRefused: ``FILE_DIFFERS``, a PDF is missing, left over, or not what the manifest says.
    """
    if set(files) != {file.name for file in manifest.files}:
        raise BatchRefused(Problem("FILE_DIFFERS", "The files are not those of the manifest."))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(member(MANIFEST), manifest.encode())
        for file in manifest.files:
            digest = hashlib.sha256()
            with archive.open(member(file.name), "w", force_zip64=True) as target:
                while chunk := files[file.name].read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
            if digest.hexdigest() != file.sha256:
                raise BatchRefused(Problem("FILE_DIFFERS", f"{file.name} is not what the manifest says."))


def member(name: str) -> zipfile.ZipInfo:
    """A file of a ZIP that is the same bytes whenever and wherever it is written."""
    made = zipfile.ZipInfo(name, date_time=_EPOCH)
    made.create_system = 3  # as on Unix, wherever it is written
    made.external_attr = 0o600 << 16
    return made


def read_manifest(package: BinaryIO) -> Manifest:
    """Open a ZIP as the print house does: read its manifest and compare every file with it.

    Raises:
        BatchRefused: ``PACKAGE_UNREADABLE``, ``SCHEMA_UNKNOWN`` or ``FILE_DIFFERS``.
    """
    try:
        with zipfile.ZipFile(package) as archive:
            manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
            if manifest.schema != schema_for(manifest.letters):
                raise BatchRefused(Problem("SCHEMA_UNKNOWN", "The manifest is of another version."))
            if set(archive.namelist()) != {MANIFEST, *(file.name for file in manifest.files)}:
                raise BatchRefused(Problem("FILE_DIFFERS", "The files are not those of the manifest."))
            for file in manifest.files:
                with archive.open(file.name) as member:
                    if _digest(member) != (file.sha256, file.size):
                        raise BatchRefused(Problem("FILE_DIFFERS", f"{file.name} is not what the manifest says."))
    except (zipfile.BadZipFile, KeyError, msgspec.DecodeError) as error:
        raise BatchRefused(Problem("PACKAGE_UNREADABLE", "The package cannot be read.")) from error
    return manifest
