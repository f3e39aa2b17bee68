"""Where the last signed checkpoint is kept outside the database, so that a restored database cannot fork the log."""

import os
import tempfile
from pathlib import Path
from typing import Protocol


class HeadStore(Protocol):
    """One small object outside the database.

    ``write`` replaces the object as a whole and is durable once it returns; ``read`` after it gives exactly these
    bytes, in every process. One publisher writes at a time.
    """

    def read(self) -> bytes | None:
        """The object, or None when nothing was ever written."""
        ...

    def write(self, content: bytes, /) -> None:
        """Replace the object durably."""
        ...


class FileHeadStore:
    """The head in a file; keep it on another disk than the database's, and out of its backups."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """The file's content, or None when there is no file."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def write(self, content: bytes, /) -> None:
        """Write beside, flush to disk, replace, flush the folder: a power cut leaves the old or the new head."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(self.path.parent)


def sync_folder(folder: Path) -> None:
    """Make names created or replaced in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
