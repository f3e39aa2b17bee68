"""Letters that come one by one: kept until all are there, then laid as one parcel where the house takes them from."""

import hashlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from zipfile import BadZipFile, ZipFile

import msgspec
import pikepdf

from printing.encryption import ENDING, open_with
from printing.errors import BatchRefused, Problem, ProviderRefused
from printing.manifest import BatchKey, Manifest, ManifestLetter, describe_file, member, read_manifest
from printing.providers.base import Parcel
from printing.providers.directory import Folder
from printing.providers.parts import LETTERS, WHOLE

ANNOUNCED: Final = "announced.json"
"""The member that only a collected parcel has: what was announced of it."""
_MERGED: Final = "letters.pdf"
_COMPLETE: Final = "complete"
_PART: Final = re.compile(rf"{WHOLE}|{LETTERS}[A-Za-z0-9_-]{{1,200}}")


class Announcement(msgspec.Struct, frozen=True):
    """What is said of a parcel before it comes: its digest, those of its parts, and of what batch it is."""

    sha256: str
    size: int
    parts: dict[str, str]
    manifest: dict[str, Any] | None = None


class _About(msgspec.Struct, frozen=True):
    schema: int
    batch: int
    sender: str
    created: datetime
    key: BatchKey


@dataclass(frozen=True)
class Said:
    """An answer: its status, and what stands in it."""

    status: HTTPStatus
    body: Mapping[str, Any] | None = None


class Desk:
    """Takes parts in and knows what is there; all of it lies on disk before it is answered."""

    def __init__(self, folder: Path, home: Path) -> None:
        """Parcels are laid into ``folder``; ``home`` is the desk's own, made when it is not there."""
        self._folder, self._home = folder, home
        home.mkdir(parents=True, exist_ok=True)

    def told(self, parcel: str) -> Said:
        """What was announced, and what is there."""
        own = self._own(parcel)
        if own is None or (announced := _announced(own)) is None:
            return Said(HTTPStatus.OK, {"state": "absent"})
        state = "complete" if (own / _COMPLETE).exists() else "open"
        told = {"sha256": announced.sha256, "announced": announced.parts, "parts": _parts(own, announced)}
        return Said(HTTPStatus.OK, {"state": state, **told})

    def announce(self, parcel: str, body: bytes) -> Said:
        """Hear what will come; an open parcel of another digest is to be withdrawn before."""
        own = self._own(parcel)
        try:
            told = msgspec.json.decode(body, type=Announcement)
        except msgspec.DecodeError:
            return Said(HTTPStatus.BAD_REQUEST, {"code": "ANNOUNCEMENT_UNREADABLE"})
        if own is None or not all(_PART.fullmatch(name) for name in told.parts):
            return Said(HTTPStatus.BAD_REQUEST, {"code": "NAME_INVALID"})
        before = _announced(own)
        if (own / _COMPLETE).exists() or (before is not None and before.sha256 != told.sha256):
            return Said(HTTPStatus.CONFLICT)
        own.mkdir(exist_ok=True)
        _write(own, ANNOUNCED, body)
        return Said(HTTPStatus.OK)

    def take(self, parcel: str, part: str, data: bytes, entry: bytes | None) -> Said:
        """Keep one part: a sealed letter, a parcel that comes whole, or a letter's PDF with its ``entry``."""
        own = self._own(parcel)
        announced = None if own is None else _announced(own)
        if own is None or announced is None or part not in announced.parts:
            return Said(HTTPStatus.UNPROCESSABLE_ENTITY, {"code": "NOT_ANNOUNCED"})
        digest = hashlib.sha256(data).hexdigest()
        held = _parts(own, announced).get(part)
        if held == digest:
            return Said(HTTPStatus.OK)
        if (own / _COMPLETE).exists():
            return Said(HTTPStatus.CONFLICT, {"sha256": held})
        if digest != announced.parts[part]:
            return Said(HTTPStatus.UNPROCESSABLE_ENTITY, {"code": "DIGEST_DIFFERS"})
        if entry is not None:
            _write(own, _file(part) + ".json", entry)
        else:
            (own / (_file(part) + ".json")).unlink(missing_ok=True)
        _write(own, _file(part), data)
        return Said(HTTPStatus.CREATED)

    def complete(self, parcel: str, sha256: str) -> Said:
        """Lay the parcel where the house takes it from, once all of it is there."""
        own = self._own(parcel)
        announced = None if own is None else _announced(own)
        if own is None or announced is None:
            return Said(HTTPStatus.CONFLICT, {"code": "NOT_ANNOUNCED"})
        if (own / _COMPLETE).exists():
            return Said(HTTPStatus.OK)
        if announced.sha256 != sha256 or _parts(own, announced) != announced.parts:
            return Said(HTTPStatus.CONFLICT, {"code": "PARTS_MISSING"})
        # In this order: who dies between lays it there again, and the house knows a parcel that it had.
        whole = announced.parts.keys() == {WHOLE}
        _write(self._folder, parcel, (own / _file(WHOLE)).read_bytes() if whole else _collected(own, announced))
        _write(own, _COMPLETE, b"")
        for part in announced.parts:
            # The digest is all that is asked for from now on.
            _write(own, _file(part) + ".sha256", announced.parts[part].encode())
            (own / _file(part)).unlink(missing_ok=True)
            (own / (_file(part) + ".json")).unlink(missing_ok=True)
        return Said(HTTPStatus.OK)

    def withdraw(self, parcel: str) -> Said:
        """Forget a parcel that is not complete."""
        own = self._own(parcel)
        if own is not None and (own / _COMPLETE).exists():
            return Said(HTTPStatus.CONFLICT)
        if own is not None:
            shutil.rmtree(own, ignore_errors=True)
        return Said(HTTPStatus.OK)

    def _own(self, parcel: str) -> Path | None:
        try:
            Parcel(parcel, 0, "").check_name()
        except ProviderRefused:
            return None
        return self._home / parcel


def _file(part: str) -> str:
    return quote(part, safe="")


def _write(folder: Path, name: str, data: bytes) -> None:
    far = Folder(folder)
    # The house takes nothing of such a name.
    far.write(f"{name}.TMP", data)
    far.rename(f"{name}.TMP", name)
    far.sync()


def _announced(own: Path) -> Announcement | None:
    try:
        return msgspec.json.decode((own / ANNOUNCED).read_bytes(), type=Announcement)
    except FileNotFoundError:
        return None


def _parts(own: Path, announced: Announcement) -> dict[str, str]:
    found = {}
    for part in announced.parts:
        held, kept = own / _file(part), own / (_file(part) + ".sha256")
        if kept.exists():
            found[part] = kept.read_text("ascii")
        elif held.exists():
            found[part] = hashlib.sha256(held.read_bytes()).hexdigest()
    return found


def _collected(own: Path, announced: Announcement) -> bytes:
    out = BytesIO()
    with ZipFile(out, "w") as archive:
        archive.writestr(member(ANNOUNCED), (own / ANNOUNCED).read_bytes())
        for part in announced.parts:
            entry = own / (_file(part) + ".json")
            if entry.exists():
                archive.writestr(member(f"{part}.json"), entry.read_bytes())
            archive.writestr(member(part + (".pdf" if entry.exists() else ENDING)), (own / _file(part)).read_bytes())
    return out.getvalue()


def announcement_of(data: bytes) -> Announcement | None:
    """What was announced of a collected parcel; None for any other file."""
    try:
        with ZipFile(BytesIO(data)) as archive:
            if ANNOUNCED not in archive.namelist():
                return None
            return msgspec.json.decode(archive.read(ANNOUNCED), type=Announcement)
    except BadZipFile:
        return None


def open_letters(announced: Announcement, data: bytes, identity: str | None) -> tuple[Manifest, dict[str, bytes]]:
    """A collected parcel as if it had come in one: a manifest of all of its letters, and one PDF.

    Raises:
        BatchRefused: ``PARCEL_UNOPENABLE``, ``PACKAGE_UNREADABLE`` or what `read_manifest` says of a sealed letter.
    """
    letters: list[ManifestLetter] = []
    try:
        about = msgspec.convert(announced.manifest, _About)
        with ZipFile(BytesIO(data)) as archive, pikepdf.new() as merged:
            for part in announced.parts:
                if f"{part}.json" in archive.namelist():
                    letter = msgspec.json.decode(archive.read(f"{part}.json"), type=ManifestLetter)
                    pdf = archive.read(f"{part}.pdf")
                else:
                    letter, pdf = _open_one(archive.read(part + ENDING), identity)
                letters.append(replace(letter, file=_MERGED, first_page=len(merged.pages) + 1))
                with pikepdf.open(BytesIO(pdf)) as opened:
                    merged.pages.extend(opened.pages)
            out = BytesIO()
            merged.save(out)
        file = describe_file(_MERGED, BytesIO(out.getvalue()), letters)
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, ValueError, pikepdf.PdfError) as error:
        raise BatchRefused(Problem("PACKAGE_UNREADABLE", "The letters are not what was announced.")) from error
    manifest = Manifest(about.batch, about.sender, about.created, about.key, (file,), tuple(letters))
    return manifest, {_MERGED: out.getvalue()}


def _open_one(sealed: bytes, identity: str | None) -> tuple[ManifestLetter, bytes]:
    """A sealed letter's entry and its PDF."""
    if identity is None:
        raise BatchRefused(Problem("PARCEL_UNOPENABLE", "The letters are encrypted and there is no key to open them."))
    package = BytesIO(open_with(identity, sealed))
    (letter,) = read_manifest(package).letters
    with ZipFile(package) as archive:
        return letter, archive.read(letter.file)
