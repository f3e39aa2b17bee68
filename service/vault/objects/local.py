"""Objects in a local folder, durable when a call returns.

obstore's own local store does not fsync (it writes beside and renames), so this writes by itself: each object goes to
``incoming/`` first, is fsynced there, then linked under its final name (a link never overwrites, a rename would), and
the folders that lead to it are fsynced. A crash at any point leaves no name, or the whole object.

Layout: ``objects/<two hex digits>/<path>``; the digits are a hash of the path's first segment, because one folder of
fifteen million deliveries is more than ext4 takes. These folders exist from the beginning.

Several objects share their waits: all are written, then all fsynced from a few threads, then all linked, then each
folder fsynced once. One ``syncfs`` for all would cost about half of that on an idle machine, but it also waits for
whatever others write to the same disk, and on some file systems (FUSE) it waits for nothing at all.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from service.vault.durable import fsync_folder, make_durable_folder, write_all
from service.vault.errors import StoreMisconfigured
from service.vault.objects.base import StoredObject, checked, exists, missing, too_large, unreachable

_SHARDS: Final = tuple(f"{number:02x}" for number in range(256))
_THREADS: Final = 4
_TOGETHER: Final = 64
"""Objects whose files are open at once; a common limit of open files is 1,024 per process."""
_TRIES: Final = 20
_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class _Draft:
    """An object that is written but not yet visible."""

    path: str
    content: bytes
    file: Path
    descriptor: int


class LocalFolder:
    """An `ObjectStore` in ``root``.

    Args:
        root: folder of the store and nothing else, on one file system.
        create: make the folder if it does not exist. Without it a disk that is not mounted is refused instead of being
            taken for an empty store.

    Raises:
        StoreMisconfigured: there is no such folder.
        StoreUnreachable: it cannot be made or read.
    """

    def __init__(self, root: Path, *, create: bool = True) -> None:
        self._incoming = root / "incoming"
        self._objects = root / "objects"
        if not create and not self._objects.is_dir():
            raise StoreMisconfigured("The folder of the document store is not there: is its disk mounted?")
        try:
            make_durable_folder(self._incoming, mode=0o700)
            make_durable_folder(self._objects, mode=0o700)
            for shard in sorted(set(_SHARDS) - {found.name for found in self._objects.iterdir()}):
                (self._objects / shard).mkdir(mode=0o700, exist_ok=True)
            # Also when another process made them: it may not have come to its own fsync yet.
            fsync_folder(self._objects)
        except OSError as error:
            raise unreachable(_cause(error)) from error
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="vault-fsync")

    def put_new(self, path: str, content: bytes) -> None:
        """See `ObjectStore.put_new`."""
        self.put_many([(path, content)])

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """See `ObjectStore.put_many`."""
        for path, _ in items:
            checked(path)
        for first in range(0, len(items), _TOGETHER):
            try:
                self._put_group(items[first : first + _TOGETHER])
            except OSError as error:
                raise unreachable(_cause(error)) from error

    def get(self, path: str, *, limit: int) -> bytes:
        """See `ObjectStore.get`."""
        try:
            descriptor = os.open(self._place(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                size = os.fstat(descriptor).st_size
                if size > limit:
                    raise too_large(path)
                return file.readall()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise missing(path) from None
        except OSError as error:
            raise unreachable(_cause(error)) from error

    def delete_many(self, paths: Sequence[str]) -> None:
        """See `ObjectStore.delete_many`."""
        places = [self._place(path) for path in paths]
        try:
            touched = {folder for place in places for folder in self._remove(place)}
            self._shared(_fsync_if_there, sorted(touched))
        except OSError as error:
            raise unreachable(_cause(error)) from error

    def listing(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.listing`."""
        if prefix:
            start = self._place(prefix.removesuffix("/"))
            yield from _walk(start, prefix.removesuffix("/") + "/")
            return
        for shard in _SHARDS:
            yield from _walk(self._objects / shard, "")

    def sweep(self, before: datetime) -> int:
        """See `ObjectStore.sweep`."""
        removed = 0
        try:
            with os.scandir(self._incoming) as entries:
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        if entry.stat(follow_symlinks=False).st_mtime < before.timestamp():
                            Path(entry.path).unlink()
                            removed += 1
            fsync_folder(self._incoming)
        except OSError as error:
            raise unreachable(_cause(error)) from error
        return removed

    def _place(self, path: str) -> Path:
        first = checked(path).partition("/")[0]
        return self._objects / hashlib.sha256(first.encode()).hexdigest()[:2] / path

    def _put_group(self, items: Sequence[tuple[str, bytes]]) -> None:
        drafts: list[_Draft] = []
        try:
            for path, content in items:
                drafts.append(self._draft(path, content))
            self._shared(os.fsync, [draft.descriptor for draft in drafts])
            folders = {folder for draft in drafts for folder in self._publish(draft)}
            self._shared(fsync_folder, sorted(folders))
        finally:
            for draft in drafts:
                os.close(draft.descriptor)
                # What stays behind when even this fails is invisible; `sweep` removes it.
                with contextlib.suppress(OSError):
                    draft.file.unlink()

    def _draft(self, path: str, content: bytes) -> _Draft:
        file = self._incoming / secrets.token_hex(16)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, content)
        except BaseException:
            os.close(descriptor)
            file.unlink(missing_ok=True)
            raise
        return _Draft(path, content, file, descriptor)

    def _publish(self, draft: _Draft) -> tuple[Path, ...]:
        """Give the object its name; return the folders that must be fsynced for it, its shard included.

        All of them, not only those that this call made: another process that made one may not have fsynced it yet.
        """
        place = self._place(draft.path)
        folders = self._leading_to(place)
        for _ in range(_TRIES):
            try:
                for folder in reversed(folders[:-1]):
                    with contextlib.suppress(FileExistsError):
                        folder.mkdir(mode=0o700)
                os.link(draft.file, place)
            except FileNotFoundError:
                # A removal took the folder away because it was empty: make it again.
                continue
            except (FileExistsError, NotADirectoryError):
                if not self._holds(place, draft.content):
                    raise exists(draft.path) from None
            return folders
        raise unreachable("the object's folder kept disappearing")

    @staticmethod
    def _holds(place: Path, content: bytes) -> bool:
        try:
            return place.stat().st_size == len(content) and place.read_bytes() == content
        except (NotADirectoryError, IsADirectoryError, FileNotFoundError):
            return False

    def _remove(self, place: Path) -> tuple[Path, ...]:
        """Unlink the object and the folders that it leaves empty; return the folders to be fsynced."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            place.unlink()
        folders = self._leading_to(place)
        for folder in folders[:-1]:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    break
                raise
        return folders

    def _leading_to(self, place: Path) -> tuple[Path, ...]:
        """The folders between the object and ``objects/``, innermost first."""
        parents = place.relative_to(self._objects).parents
        return tuple(self._objects / parent for parent in parents if parent != Path())

    def _shared(self, wait: Callable[[_Thing], None], things: Sequence[_Thing]) -> None:
        """Call ``wait`` for each; shares run side by side, because a disk answers several flushes at once."""
        if len(things) <= _THREADS:
            _each(wait, things)
            return
        shares = [self._threads.submit(_each, wait, things[start::_THREADS]) for start in range(_THREADS)]
        # All are awaited before any error is raised: no thread may use a descriptor that is closed by then.
        for error in [share.exception() for share in shares]:
            if error is not None:
                raise error


def _each(wait: Callable[[_Thing], None], things: Sequence[_Thing]) -> None:
    for thing in things:
        wait(thing)


def _fsync_if_there(folder: Path) -> None:
    # A folder that was removed is made durable by its parent, which is in the same list.
    with contextlib.suppress(FileNotFoundError):
        fsync_folder(folder)


def _walk(folder: Path, prefix: str) -> Iterator[StoredObject]:
    """The objects below ``folder``, whose paths begin with ``prefix``; what vanishes meanwhile is left out."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise unreachable(_cause(error)) from error
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, f"{prefix}{entry.name}/")
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        yield StoredObject(prefix + entry.name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _cause(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "unknown")
