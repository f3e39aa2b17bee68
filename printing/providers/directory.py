"""A folder that the print house reads: on this machine, or mounted with POSIX renames."""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from printing.providers.base import unavailable
from printing.providers.staged import CHUNK, Far, StagedProvider


class DirectoryProvider(StagedProvider):
    """Parcels go into one folder; what the print house tells us is read from another."""

    def __init__(self, folder: Path, incoming: Path | None = None) -> None:
        """Both must exist, each on one file system; without ``incoming`` nothing is read."""
        super().__init__(inbox=incoming is not None)
        self._folder = folder
        self._incoming = incoming

    def look(self) -> None:
        """As the protocol says: there are folders in which we may write."""
        for folder in (self._folder, self._incoming):
            if folder is not None and not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
                raise _missing()

    @contextmanager
    def outgoing_folder(self) -> Iterator[Far]:
        """The folder of parcels."""
        yield _opened(self._folder)

    @contextmanager
    def incoming_folder(self) -> Iterator[Far]:
        """The inbox."""
        assert self._incoming is not None
        yield _opened(self._incoming)


class Folder:
    """A folder of this machine, as `Far` says."""

    def __init__(self, folder: Path) -> None:
        """``folder`` exists."""
        self._folder = folder

    def size(self, name: str) -> int | None:
        """In bytes."""
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            return None

    def sha256(self, name: str) -> str:
        """Always known."""
        with (self._folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def write(self, name: str, data: bytes | Path) -> None:
        """File and folder are synced before it returns."""
        with (self._folder / name).open("wb") as target:
            if isinstance(data, bytes):
                target.write(data)
            else:
                with data.open("rb") as source:
                    while chunk := source.read(CHUNK):
                        target.write(chunk)
        self.sync(name)

    def sync(self, *names: str) -> None:
        """Sync the files, then the folder."""
        for path in (*(self._folder / name for name in names), self._folder):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def rename(self, name: str, new: str) -> None:
        """In one step."""
        (self._folder / name).rename(self._folder / new)

    def unlink(self, name: str) -> None:
        """Take it away."""
        (self._folder / name).unlink()

    def listed(self) -> Sequence[tuple[str, int]]:
        """Plain files."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                try:
                    told = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # taken away since
                if stat.S_ISREG(told.st_mode):
                    found.append((entry.name, told.st_size))
        return found

    def read(self, name: str, most: int) -> bytes:
        """A link is refused as an OSError."""
        descriptor = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FileNotFoundError
            return file.read(most)


def _opened(folder: Path) -> Folder:
    if not folder.is_dir():
        # A folder that is not mounted must never look as if the print house had taken everything away.
        raise _missing()
    return Folder(folder)


def _missing() -> Exception:
    return unavailable("The folder of the print house cannot be used now.")
