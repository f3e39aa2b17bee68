"""Objects in a local folder, durable when a call returns.

obstore's own local store does not fsync (it writes beside and renames), so this writes by itself: each object goes to a
file without a name (Linux ``O_TMPFILE``) in its own folder and is fsynced there, then linked under its name (a link
never overwrites, a rename would), and the folders that lead to it are fsynced. A crash at any point leaves nothing, or
the whole object. Where the file system has no nameless files (NFS), drafts are named ``.new-*``, which no listing
shows and `LocalFolder.sweep` removes. One folder for all drafts would be simpler and cost twice as much: ext4 looks
for free inodes near the folder in which a file is made, and that neighbourhood would soon be full.

Layout: ``objects/<two hex digits>/<first segment>/<other segments, joined by ~>``, and ``<segment>~`` for an object
whose path has one segment. The digits are a hash of the first segment, because one folder of fifteen million
deliveries is more than ext4 takes; these folders exist from the beginning. A folder for each further segment would
cost a block of the disk and a tenth of a millisecond each.

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
from service.vault.objects.base import StoredObject, checked, exists, missing, refuse_forked, too_large, unreachable

_SHARDS: Final = tuple(f"{number:02x}" for number in range(256))
_THREADS: Final = 4
_TOGETHER: Final = 64
"""Objects whose files are open at once; a common limit of open files is 1,024 per process."""
_TRIES: Final = 20
_DRAFT: Final = ".new-"
_JOINT: Final = "~"
"""Stands in no path, so that names can be turned back."""
_Result = TypeVar("_Result")
_Thing = TypeVar("_Thing")


@dataclass(frozen=True)
class _Draft:
    """An object that is written but not yet visible; ``name`` is None for a file that has none."""

    path: str
    content: bytes
    place: Path
    name: Path | None
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
        self._objects = root / "objects"
        if not create and not self.is_at(root):
            raise StoreMisconfigured("The folder of the document store is not there: is its disk mounted?")
        try:
            make_durable_folder(self._objects, mode=0o700)
            for shard in sorted(set(_SHARDS) - {found.name for found in self._objects.iterdir()}):
                (self._objects / shard).mkdir(mode=0o700, exist_ok=True)
            # Also when another process made them: it may not have come to its own fsync yet.
            fsync_folder(self._objects)
            self._nameless = _can_be_nameless(self._objects)
        except OSError as error:
            raise unreachable(_cause(error)) from error
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="vault-fsync")
        self._process = os.getpid()

    @staticmethod
    def is_at(root: Path) -> bool:
        """Whether a store was made there, and can be seen now."""
        return (root / "objects").is_dir()

    def put_new(self, path: str, content: bytes) -> None:
        """See `ObjectStore.put_new`."""
        self.put_many([(path, content)])

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """See `ObjectStore.put_many`."""
        refuse_forked(self._process)
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
        except FileNotFoundError:
            raise missing(path) from None
        except OSError as error:
            raise unreachable(_cause(error)) from error

    def delete_many(self, paths: Sequence[str]) -> None:
        """See `ObjectStore.delete_many`."""
        refuse_forked(self._process)
        places = [self._place(path) for path in paths]
        try:
            touched = {folder for place in places for folder in self._remove(place)}
            self._shared(_fsync_if_there, sorted(touched))
        except OSError as error:
            raise unreachable(_cause(error)) from error

    def listing(self, prefix: str = "") -> Iterator[StoredObject]:
        """See `ObjectStore.listing`."""
        if prefix:
            first, _, rest = checked(prefix.removesuffix("/")).partition("/")
            begins = rest.replace("/", _JOINT) + _JOINT if rest else ""
            yield from _objects_in(self._shard(first) / first, begins)
            return
        for shard in _SHARDS:
            for entry in _entries(self._objects / shard):
                if entry.is_dir(follow_symlinks=False):
                    yield from _objects_in(Path(entry.path), "")
                elif entry.name.endswith(_JOINT):
                    yield from _described(entry, entry.name.removesuffix(_JOINT))

    def sweep(self, before: datetime) -> int:
        """See `ObjectStore.sweep`."""
        if self._nameless:
            return 0
        old = [path for shard in _SHARDS for path in _drafts(self._objects / shard, before.timestamp())]
        try:
            for path in old:
                path.unlink(missing_ok=True)
                _fsync_if_there(path.parent)
        except OSError as error:
            raise unreachable(_cause(error)) from error
        return len(old)

    def _shard(self, first: str) -> Path:
        return self._objects / hashlib.sha256(first.encode()).hexdigest()[:2]

    def _place(self, path: str) -> Path:
        first, _, rest = checked(path).partition("/")
        shard = self._shard(first)
        return shard / first / rest.replace("/", _JOINT) if rest else shard / (first + _JOINT)

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
                _discard(draft)

    def _draft(self, path: str, content: bytes) -> _Draft:
        place = self._place(path)
        folder = place.parent
        name = None if self._nameless else folder / f"{_DRAFT}{secrets.token_hex(16)}"
        descriptor = self._led_to(place, lambda: _opened(folder, name))
        draft = _Draft(path, content, place, name, descriptor)
        try:
            write_all(descriptor, content)
        except BaseException:
            _discard(draft)
            raise
        return draft

    def _publish(self, draft: _Draft) -> tuple[Path, ...]:
        """Give the object its name; return the folders that must be fsynced for it, its shard included.

        All of them, not only those that this call made: another process that made one may not have fsynced it yet.
        """
        try:
            self._led_to(draft.place, lambda: _link(draft.name, draft.descriptor, draft.place))
        except FileExistsError:
            if not self._holds(draft.place, draft.content):
                raise exists(draft.path) from None
        return self._leading_to(draft.place)

    def _led_to(self, place: Path, act: Callable[[], _Result]) -> _Result:
        """What ``act`` gives in the folder of ``place``, which is made where it isn't there.

        A removal that finds the folder empty may take it away in between; then it is made again.
        """
        for left in reversed(range(_TRIES)):
            try:
                return act()
            except OSError as error:
                # ext4 answers EPERM, not ENOENT, for a file in a folder that is removed at that moment. The error is
                # kept in no variable: with its frames it would hold the document until the collector comes by.
                if error.errno not in {errno.ENOENT, errno.EPERM} or not left:
                    raise
                with contextlib.suppress(FileExistsError):
                    place.parent.mkdir(mode=0o700)
        raise AssertionError("the last try returns or raises")

    @staticmethod
    def _holds(place: Path, content: bytes) -> bool:
        # Removed in between, it is an OSError like any other: the whole put is tried again.
        return place.stat().st_size == len(content) and place.read_bytes() == content

    def _remove(self, place: Path) -> tuple[Path, ...]:
        """Unlink the object, and its folder if that is empty now; return the folders to be fsynced."""
        place.unlink(missing_ok=True)
        folders = self._leading_to(place)
        for folder in folders[:-1]:
            try:
                folder.rmdir()
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST}:
                    raise
        return folders

    def _leading_to(self, place: Path) -> tuple[Path, ...]:
        """The folders below ``objects/`` that lead to the object, innermost first; the last is its shard."""
        return (place.parent,) if place.parent.parent == self._objects else (place.parent, place.parent.parent)

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


def _can_be_nameless(folder: Path) -> bool:
    """Whether files can be made without a name there and be given one later."""
    probe = folder / f"{_DRAFT}{secrets.token_hex(16)}"
    try:
        descriptor = _opened(folder, None)
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}:
            return False
        raise
    try:
        _link(None, descriptor, probe)
    except FileNotFoundError:
        # No /proc here, by which such a file is reached.
        return False
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)
    return True


def _opened(folder: Path, name: Path | None) -> int:
    if name is None:
        return os.open(folder, os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _link(name: Path | None, descriptor: int, place: Path) -> None:
    if name is not None:
        os.link(name, place)
        return
    # As in open(2), O_TMPFILE. The folder's descriptor is not used (the path is absolute): naming one is what makes
    # Python follow the link to the file.
    os.link(f"/proc/self/fd/{descriptor}", place, src_dir_fd=descriptor, follow_symlinks=True)


def _discard(draft: _Draft) -> None:
    """Close the draft and take its name away, if it has one; what stays is invisible and swept later."""
    os.close(draft.descriptor)
    if draft.name is not None:
        with contextlib.suppress(OSError):
            draft.name.unlink()


def _each(wait: Callable[[_Thing], None], things: Sequence[_Thing]) -> None:
    for thing in things:
        wait(thing)


def _fsync_if_there(folder: Path) -> None:
    # A folder that was removed is made durable by its parent, which is in the same list.
    with contextlib.suppress(FileNotFoundError):
        fsync_folder(folder)


def _objects_in(folder: Path, begins: str) -> Iterator[StoredObject]:
    """The objects in the folder of a first segment whose names begin so."""
    for entry in _entries(folder):
        if entry.name.startswith(begins) and not entry.name.startswith(_DRAFT):
            yield from _described(entry, f"{folder.name}/{entry.name.replace(_JOINT, '/')}")


def _described(entry: os.DirEntry[str], path: str) -> Iterator[StoredObject]:
    """The object at ``entry``, or nothing if it was removed meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        status = entry.stat(follow_symlinks=False)
        yield StoredObject(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _drafts(folder: Path, before: float) -> Iterator[Path]:
    """The drafts below ``folder`` that were last written before that moment (seconds since 1970)."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _drafts(folder / entry.name, before)
        elif entry.name.startswith(_DRAFT):
            with contextlib.suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mtime < before:
                    yield folder / entry.name


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreachable(_cause(error)) from error


def _cause(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "unknown")
