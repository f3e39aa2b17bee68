"""A key ring in a folder: one file per key, for the demo and for small installations.

Layout: ``<id>.key`` (mode 0600) holds a key, ``<id>.made`` says that it was made, ``<id>.destroyed`` is its tombstone,
``index.key`` holds the index key (``index-next.key`` and ``index-former.key`` those beside it while it is exchanged),
and ``.new-*`` are files in the making. A key that was made and has no file is lost,
and is never made anew: what it closed would then open to nothing, also after the file is found again.

Ids are computed from organisation, year and generation, so that two processes that make the same key meet in the same
file name. A tombstone always wins over a key file: one that returns from a backup stays dead as long as the tombstones
are restored too.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import secrets
import stat
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from service.vault.durable import fsync_folder, make_durable_folder, write_all
from service.vault.errors import KeyRingUnusable
from service.vault.keyring.base import (
    CACHE_MAX_AGE_SECONDS,
    MATERIAL_BYTES,
    Clock,
    IndexKeys,
    KeyEncryptionKey,
    KeyFacts,
)
from service.vault.keyring.key_file import (
    FORMAT,
    ID,
    INDEX,
    INDEX_FORMER,
    INDEX_NAMES,
    INDEX_NEXT,
    Line,
    check_of,
    destroyed,
    line_of,
    lost,
    material_in,
    unknown,
    unreachable,
)

_LARGEST_FILE: Final = 4096
_OPEN_TO_OTHERS: Final = 0o077


@dataclass(frozen=True)
class _Cached:
    key: KeyEncryptionKey
    seen_at: float


class FileKeyRing:
    """A `KeyRing` in ``folder``, which is made (mode 0700) if it does not exist.

    Args:
        folder: holds keys and nothing else; belongs to the service's user and is closed to everybody else.
        clock: seconds of a monotonic clock.
        max_age: seconds for which a key is used without looking at its file again.

    Raises:
        KeyRingUnusable: the folder can be entered by others.
        KeyRingUnreachable: it cannot be made or read.
    """

    def __init__(self, folder: Path, *, clock: Clock = time.monotonic, max_age: float = CACHE_MAX_AGE_SECONDS) -> None:
        self._folder = folder
        self._clock = clock
        self._max_age = max_age
        self._lock = threading.Lock()
        self._keys: dict[str, _Cached] = {}
        self._newest: dict[Line, _Cached] = {}
        try:
            make_durable_folder(folder, mode=0o700)
            if folder.stat().st_mode & _OPEN_TO_OTHERS:
                raise KeyRingUnusable("The folder of the key ring is open to other users of this machine.")
            self._finish_destructions()
            self._mark_made()
            self._index = self._opened_index()
        except OSError as error:
            raise unreachable(error) from error

    def wrap_key(self, organisation: UUID, year: int) -> KeyEncryptionKey:
        """See `KeyRing.wrap_key`."""
        line = line_of(organisation, year)
        with self._lock:
            self._forget_aged()
            cached = self._newest.get(line)
        if cached is not None:
            return cached.key
        try:
            generation = max(1, self._last_generation(line))
            return self._made(line, generation)
        except OSError as error:
            raise unreachable(error) from error

    def rotate(self, organisation: UUID, year: int) -> KeyEncryptionKey:
        """See `KeyRing.rotate`."""
        line = line_of(organisation, year)
        try:
            return self._made(line, self._last_generation(line) + 1)
        except OSError as error:
            raise unreachable(error) from error

    def key(self, key_id: str) -> KeyEncryptionKey:
        """See `KeyRing.key`."""
        with self._lock:
            self._forget_aged()
            cached = self._keys.get(key_id)
        if cached is not None:
            return cached.key
        if ID.fullmatch(key_id) is None:
            raise unknown(key_id)
        try:
            self._refuse_destroyed(key_id)
            return self._remember(KeyEncryptionKey(key_id, self._read(key_id)))
        except FileNotFoundError:
            if self._tombstone(key_id).exists():
                raise destroyed(key_id) from None
            if self._marker(key_id).exists():
                raise lost(key_id) from None
            raise unknown(key_id) from None
        except OSError as error:
            raise unreachable(error) from error

    def destroy(self, key_id: str) -> None:
        """See `KeyRing.destroy`."""
        if ID.fullmatch(key_id) is None:
            raise unknown(key_id)
        try:
            if not self._was_made(key_id):
                raise unknown(key_id)
            # The tombstone first: from here on the key is dead, whatever interrupts the rest.
            self._bury(key_id)
            self._erase(key_id)
        except OSError as error:
            raise unreachable(error) from error
        finally:
            self._forget(key_id)

    def destroy_year(self, organisation: UUID, year: int) -> None:
        """See `KeyRing.destroy_year`."""
        line = line_of(organisation, year)
        try:
            generations = self._last_generation(line)
        except OSError as error:
            raise unreachable(error) from error
        for generation in range(1, generations + 1):
            self.destroy(line.id(generation))

    def listing(self) -> list[KeyFacts]:
        """See `KeyRing.listing`."""
        try:
            ids = {file.stem for kind in ("key", "made", "destroyed") for file in self._folder.glob(f"*.{kind}")}
            return [self._facts(key_id) for key_id in sorted(ids - set(INDEX_NAMES))]
        except OSError as error:
            raise unreachable(error) from error

    def line(self, organisation: UUID, year: int) -> list[KeyFacts]:
        """See `KeyRing.line`."""
        line = line_of(organisation, year)
        try:
            ids = [line.id(each) for each in range(1, self._last_generation(line) + 1)]
            return [KeyFacts(each, self._state(each), organisation, year, at) for at, each in enumerate(ids, 1)]
        except OSError as error:
            raise unreachable(error) from error

    def _state(self, key_id: str) -> str:
        if self._tombstone(key_id).exists():
            return "destroyed"
        return "usable" if self._file(key_id).exists() else "lost"

    def _facts(self, key_id: str) -> KeyFacts:
        state = self._state(key_id)
        try:
            facts = json.loads(self._file(key_id).read_bytes()) if state == "usable" else None
        except (FileNotFoundError, ValueError):
            facts = None
        if facts is None:
            return KeyFacts(key_id, state)
        return KeyFacts(key_id, state, UUID(facts["organisation"]), facts["year"], facts["generation"])

    def index_keys(self) -> IndexKeys:
        """See `KeyRing.index_keys`."""
        return self._index

    def begin_index(self) -> None:
        """See `KeyRing.begin_index`."""
        if self._file(INDEX_NEXT).exists() or self._file(INDEX_FORMER).exists():
            raise KeyRingUnusable("An exchange of the index key is under way: promote or retire first.")
        self._create(INDEX_NEXT, {"format": FORMAT, "use": INDEX})

    def promote_index(self) -> None:
        """See `KeyRing.promote_index`."""
        if not self._file(INDEX_NEXT).exists():
            raise KeyRingUnusable("There is no next index key.")
        self._tombstone(INDEX_FORMER).unlink(missing_ok=True)
        # In this order a crash leaves every key known; promoting again finishes it.
        with contextlib.suppress(FileExistsError):
            os.link(self._file(INDEX), self._file(INDEX_FORMER))
        fsync_folder(self._folder)
        self._file(INDEX_NEXT).replace(self._file(INDEX))
        fsync_folder(self._folder)

    def retire_index(self) -> None:
        """See `KeyRing.retire_index`."""
        if self._file(INDEX_NEXT).exists() or not self._file(INDEX_FORMER).exists():
            raise KeyRingUnusable("There is no former index key to retire, or the next one does not write yet.")
        self._bury(INDEX_FORMER)
        self._erase(INDEX_FORMER)

    def _opened_index(self) -> IndexKeys:
        """The index key, made together with the key ring, and those beside it.

        A new one in a key ring that is in use would find nobody any more: its loss is told, never papered over.
        """
        if not self._file(INDEX).exists() and any(self._folder.glob("*.key")):
            raise KeyRingUnusable("The key ring has lost its index key: restore it.")
        self._create(INDEX, {"format": FORMAT, "use": INDEX})
        next_, former = (self._read(name) if self._file(name).exists() else None for name in (INDEX_NEXT, INDEX_FORMER))
        return IndexKeys(self._read(INDEX), next_, former)

    def _made(self, line: Line, generation: int) -> KeyEncryptionKey:
        """The key of that generation, made if it is not there, durable either way."""
        key_id = line.id(generation)
        self._refuse_destroyed(key_id)
        if self._marker(key_id).exists() and not self._file(key_id).exists():
            raise lost(key_id)
        self._create(
            key_id,
            {
                "format": FORMAT,
                "organisation": str(line.organisation),
                "year": line.year,
                "generation": generation,
            },
        )
        self._mark(key_id)
        # A destruction that ran between the two looks may have removed the file that we then made anew.
        self._refuse_destroyed(key_id)
        return self._remember(KeyEncryptionKey(key_id, self._read(key_id)), line)

    def _create(self, name: str, facts: dict[str, str | int]) -> None:
        """Make ``<name>.key`` durable with fresh material unless it exists; a half-written key is never visible."""
        target = self._file(name)
        if not target.exists():
            material = secrets.token_bytes(MATERIAL_BYTES)
            text = json.dumps({**facts, "material": base64.b64encode(material).decode(), "check": check_of(material)})
            draft = self._folder / f".new-{secrets.token_hex(16)}"
            try:
                descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    write_all(descriptor, text.encode())
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
                # Where another process was first, its key is the key.
                with contextlib.suppress(FileExistsError):
                    os.link(draft, target)
            finally:
                draft.unlink(missing_ok=True)
        # Also when another process made it: it may not have reached its own fsync yet.
        fsync_folder(self._folder)

    def _read(self, name: str) -> bytes:
        """The material in ``<name>.key``, checked against its name, its own check value and its mode."""
        try:
            descriptor = os.open(self._file(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise KeyRingUnusable("A key file is a link.", context={"key": name}) from error
            raise
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            text = file.read(_LARGEST_FILE)
        if not stat.S_ISREG(mode) or mode & _OPEN_TO_OTHERS:
            raise KeyRingUnusable("A key file is open to other users of this machine.", context={"key": name})
        material = material_in(text, name)
        if material is None:
            # A file that is being overwritten by its destruction is not a damaged one.
            self._refuse_destroyed(name)
            raise KeyRingUnusable("A key file is damaged or under another key's name.", context={"key": name})
        return material

    def _last_generation(self, line: Line) -> int:
        generation = 0
        while self._was_made(line.id(generation + 1)):
            generation += 1
        return generation

    def _refuse_destroyed(self, key_id: str) -> None:
        if self._tombstone(key_id).exists():
            # Usually gone already. What fails here is tried again at the next look; the answer stays the same.
            with contextlib.suppress(OSError):
                self._erase(key_id)
            raise destroyed(key_id)

    def _bury(self, key_id: str) -> None:
        descriptor = os.open(self._tombstone(key_id), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fsync_folder(self._folder)

    def _erase(self, key_id: str) -> None:
        """Overwrite and remove the key file; the overwriting helps only on media that write in place."""
        # The tombstone says all there is to say of it.
        self._marker(key_id).unlink(missing_ok=True)
        path = self._file(key_id)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            write_all(descriptor, bytes(os.fstat(descriptor).st_size))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path.unlink(missing_ok=True)
        fsync_folder(self._folder)

    def _finish_destructions(self) -> None:
        """Remove key files whose destruction was cut short, or which a restored backup brought back."""
        for tombstone in self._folder.glob("*.destroyed"):
            self._erase(tombstone.stem)

    def _remember(self, key: KeyEncryptionKey, line: Line | None = None) -> KeyEncryptionKey:
        with self._lock:
            cached = _Cached(key, self._clock())
            self._keys[key.id] = cached
            if line is not None:
                self._newest[line] = cached
        return key

    def _forget(self, key_id: str) -> None:
        with self._lock:
            self._keys.pop(key_id, None)
            self._newest = {line: cached for line, cached in self._newest.items() if cached.key.id != key_id}

    def _forget_aged(self) -> None:
        """Drop all copies that are too old, those that nobody asks for included."""
        oldest = self._clock() - self._max_age
        for stale in [key_id for key_id, cached in self._keys.items() if cached.seen_at <= oldest]:
            del self._keys[stale]
        for line in [line for line, cached in self._newest.items() if cached.seen_at <= oldest]:
            del self._newest[line]

    def _mark_made(self) -> None:
        """Mark the keys that were made before there were marks."""
        for file in self._folder.glob("*.key"):
            if ID.fullmatch(file.stem):
                self._mark(file.stem)

    def _mark(self, key_id: str) -> None:
        marker = self._marker(key_id)
        if not marker.exists():
            # Not synced: a mark that a loss of power takes is made again when the key ring opens.
            os.close(os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))

    def _was_made(self, key_id: str) -> bool:
        return any(path.exists() for path in (self._file(key_id), self._marker(key_id), self._tombstone(key_id)))

    def _marker(self, key_id: str) -> Path:
        return self._folder / f"{key_id}.made"

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.key"

    def _tombstone(self, key_id: str) -> Path:
        return self._folder / f"{key_id}.destroyed"
