import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import Final

from printing.errors import Problem, ProviderRefused, ProviderUnavailable
from printing.providers.base import Parcel, RemoteKind, RemoteState

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+\.(?:ZIP|JSON)")
_CHUNK: Final = 1 << 20


class DirectoryProvider:
    """A folder that the print house reads: on this machine, or mounted with POSIX renames."""

    def __init__(self, folder: Path) -> None:
        """``folder`` must exist and be on one file system."""
        self._folder = folder

    def _paths(self, parcel: Parcel) -> tuple[Path, Path]:
        if not _PLAIN.fullmatch(parcel.name):
            raise ProviderRefused(Problem("NAME_INVALID", "A parcel's name has no folder and ends in .ZIP or .JSON."))
        return self._folder / parcel.temporary, self._folder / parcel.name

    def look(self) -> None:
        """As the protocol says: there is a folder in which we may write."""
        if not (self._folder.is_dir() and os.access(self._folder, os.W_OK | os.X_OK)):
            raise _unavailable()

    def state(self, parcel: Parcel) -> RemoteState:
        """As the protocol says; the digest is always known."""
        temporary, final = self._paths(parcel)
        if not self._folder.is_dir():
            # A folder that is not mounted must never look as if the print house had taken everything away.
            raise _unavailable()
        try:
            # In this order: a rename between the two looks can then only be seen as handed over.
            size = _size(temporary)
            published = _size(final)
            if published is not None:
                return RemoteState(RemoteKind.HANDED_OVER, published)
            if size is None:
                return RemoteState(RemoteKind.ABSENT)
            sha256 = _sha256(temporary) if size == parcel.size else None
        except FileNotFoundError:
            # Renamed by another while we read: it stands, or stood, under its own name.
            return RemoteState(RemoteKind.HANDED_OVER, parcel.size)
        except OSError as error:
            raise _unavailable() from error
        kind = RemoteKind.UPLOADED if sha256 == parcel.sha256 else RemoteKind.PARTIAL
        return RemoteState(kind, size, sha256)

    def upload(self, parcel: Parcel, data: bytes | Path) -> RemoteState:
        """As the protocol says; file and folder are synced before it returns."""
        temporary, _ = self._paths(parcel)
        before = self.state(parcel)
        if before.kind is RemoteKind.HANDED_OVER:
            return before
        failure: OSError | None = None
        try:
            self._write(temporary, data)
        except OSError as error:
            failure = error
        after = self.state(parcel)
        if after.kind is RemoteKind.PARTIAL or after.kind is RemoteKind.ABSENT:
            raise _unavailable() from failure
        if failure is not None:
            # Everything arrived, but perhaps not on the disk yet.
            self._sync(temporary)
        return after

    def _write(self, temporary: Path, data: bytes | Path) -> None:
        with temporary.open("wb") as target:
            if isinstance(data, bytes):
                target.write(data)
            else:
                with data.open("rb") as source:
                    while chunk := source.read(_CHUNK):
                        target.write(chunk)
        self._sync(temporary)

    def _sync(self, *files: Path) -> None:
        try:
            for path in (*files, self._folder):
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise _unavailable() from error

    def publish(self, parcel: Parcel) -> None:
        """As the protocol says; the rename is synced before it returns."""
        temporary, final = self._paths(parcel)
        kind = self.state(parcel).kind
        if kind is RemoteKind.PARTIAL:
            raise ProviderRefused(Problem("UPLOAD_INCOMPLETE", f"{parcel.name} did not arrive whole."))
        try:
            # A file that is gone was renamed or taken by another in the meantime, which is what was wanted.
            with contextlib.suppress(FileNotFoundError):
                if kind is RemoteKind.UPLOADED:
                    temporary.rename(final)
                elif kind is RemoteKind.HANDED_OVER:
                    temporary.unlink()
        except OSError as error:
            raise _unavailable() from error
        self._sync()


def _unavailable() -> ProviderUnavailable:
    return ProviderUnavailable(Problem("PROVIDER_UNAVAILABLE", "The folder of the print house cannot be used now."))


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
