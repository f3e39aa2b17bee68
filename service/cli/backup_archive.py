"""A backup as a folder: ``database.dump``, ``objects/``, ``objects.jsonl`` and, written last, ``manifest.json``.

The manifest names every part with its size and SHA-256, the objects by the SHA-256 of their list. A backup that was cut
short has no manifest; one that was altered does not fit it. Keys are never in it (see ``backup_keys``).
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.vault.durable import fsync_folder, make_durable_folder, write_all
from service.vault.objects.base import ObjectStore, StoredObject

FORMAT: Final = 1
DATABASE: Final = "database.dump"
OBJECTS: Final = "objects"
LISTING: Final = "objects.jsonl"
MANIFEST: Final = "manifest.json"
LARGEST: Final = 256 * 1024 * 1024
_CHUNK: Final = 1 << 20


class BackupRefused(Exception):
    """The backup is not whole, or not what was written; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a verified backup holds; ``taken_at`` is the moment of the database's snapshot (ISO 8601, UTC)."""

    taken_at: str
    release: str
    objects: int
    digest: str


def copy_objects(store: ObjectStore, target: Path) -> int:
    """Copy all objects into a backup, durably, and list them with their hashes; returns how many.

    What an earlier backup into the same folder copied is not copied again: objects never change.
    """
    folder = target / OBJECTS
    make_durable_folder(folder, mode=0o700)
    count = 0
    with (target / LISTING).open("w", encoding="utf-8") as listing:
        for each in sorted(store.listing(), key=lambda found: found.path):
            digest = _copied(store, each, folder / each.path)
            listing.write(json.dumps({"path": each.path, "size": each.size, "sha256": digest}) + "\n")
            count += 1
        listing.flush()
        os.fsync(listing.fileno())
    return count


def _copied(store: ObjectStore, each: StoredObject, file: Path) -> str:
    if not file.is_file() or file.stat().st_size != each.size:
        make_durable_folder(file.parent, mode=0o700)
        write_file(file, store.get(each.path, limit=LARGEST))
    return _sha256(file)


def write_file(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all, durably."""
    draft = file.with_name(f".{file.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(file)
    fsync_folder(file.parent)


def seal(target: Path, *, taken_at: str, release: str, objects: int) -> str:
    """Write the manifest, last of all; returns its SHA-256, to be noted elsewhere."""
    parts = {
        name: {"size": (target / name).stat().st_size, "sha256": _sha256(target / name)} for name in (DATABASE, LISTING)
    }
    content = {"format": FORMAT, "taken_at": taken_at, "release": release, "objects": objects, "parts": parts}
    text = json.dumps(content, indent=1, sort_keys=True).encode()
    write_file(target / MANIFEST, text)
    return hashlib.sha256(text).hexdigest()


def verify(folder: Path, *, digest: str | None = None) -> Manifest:
    """Read all of a backup and hold it against its manifest.

    Args:
        folder: the backup.
        digest: what ``seal`` returned, where it was noted: then not even somebody who rewrote the manifest passes.

    Raises:
        BackupRefused: anything is missing, cut off or altered.
    """
    try:
        raw = (folder / MANIFEST).read_bytes()
        content = json.loads(raw)
        if content["format"] != FORMAT:
            raise BackupRefused("The backup is of a format that this release does not know.")
        found = Manifest(content["taken_at"], content["release"], content["objects"], hashlib.sha256(raw).hexdigest())
        parts = {
            name: (content["parts"][name]["size"], content["parts"][name]["sha256"]) for name in (DATABASE, LISTING)
        }
    except FileNotFoundError:
        raise BackupRefused("The backup has no manifest: it was not finished, or parts of it are missing.") from None
    except (ValueError, KeyError, TypeError):
        raise BackupRefused("The manifest of the backup can't be read: it was altered or cut off.") from None
    if digest is not None and digest != found.digest:
        raise BackupRefused("The manifest is not the one whose digest was noted: the backup was altered.")
    for name, (size, sha256) in parts.items():
        _check(folder / name, name, size, sha256)
    count = sum(1 for each in listed(folder) if _check(folder / OBJECTS / each.path, each.path, each.size, each.sha256))
    if count != found.objects:
        raise BackupRefused(f"The list of objects names {count}, and the manifest {found.objects}.")
    return found


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as the backup lists it."""

    path: str
    size: int
    sha256: str


def listed(folder: Path) -> Iterator[Listed]:
    """The objects of a backup."""
    with (folder / LISTING).open(encoding="utf-8") as lines:
        for line in lines:
            yield Listed(**json.loads(line))


def _check(file: Path, name: str, size: int, sha256: str) -> bool:
    try:
        there = file.stat().st_size
    except FileNotFoundError:
        raise BackupRefused(f"{name} is missing in the backup.") from None
    if there != size:
        raise BackupRefused(
            f"{name} has {there} bytes in the backup, and {size} were written: it was cut off or altered."
        )
    if _sha256(file) != sha256:
        raise BackupRefused(f"{name} was altered: its SHA-256 is not the one that was written.")
    return True


def put_back(folder: Path, store: ObjectStore) -> int:
    """Put the objects of a verified backup that the store lacks into it; nothing is overwritten. Returns how many."""
    there = {each.path for each in store.listing()}
    missing = [each.path for each in listed(folder) if each.path not in there]
    for path in missing:
        store.put_new(path, (folder / OBJECTS / path).read_bytes())
    return len(missing)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
