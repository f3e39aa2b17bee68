"""The folder into which the operator's mail server delivers what comes back: a Maildir, read by nobody else.

A mail is one file, which appears in ``new`` when it is whole. It stays there until it is settled: moved to ``cur`` once
all that follows from it is committed, or to the folder ``.Aside`` where a person has to look.
"""

import contextlib
import heapq
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

KEEP_DAYS: Final = 30
"""Settled mails are removed after this long; those set aside stay until somebody removes them."""
_DAY: Final = 86400
_FOLDERS: Final = ("new", "cur", "tmp")
_SEEN: Final = ":2,S"


class Maildir:
    """One Maildir.

    Several may read it at once: a mail that another settled first is gone, which is no error.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._aside = folder / ".Aside"

    def waiting(self, limit: int) -> list[str]:
        """The names of mails that wait, the oldest first.

        Raises:
            OSError: the folder can't be read, or is not there.
        """
        try:
            with os.scandir(self._folder / "new") as entries:
                return heapq.nsmallest(limit, (entry.name for entry in entries if not entry.name.startswith(".")))
        except FileNotFoundError:
            # A mail server makes it with the first mail; the folder itself is the operator's.
            self._folder.stat()
            return []

    def read(self, name: str, most: int) -> bytes:
        """The beginning of a mail.

        Raises:
            FileNotFoundError: another settled it first.
            OSError: it is no file, or can't be read.
        """
        descriptor = os.open(self._folder / "new" / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(most)

    def settle(self, name: str) -> None:
        """Say that all that follows from a mail is done. Safe to repeat."""
        self._move(name, self._folder / "cur" / (name.partition(":2,")[0] + _SEEN))

    def set_aside(self, name: str) -> None:
        """Leave a mail to a person. Safe to repeat."""
        for each in _FOLDERS:
            (self._aside / each).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._move(name, self._aside / "new" / name)

    def aside(self) -> int:
        """How many mails wait for a person, read or not."""
        return sum(1 for folder in ("new", "cur") for _ in _entries(self._aside / folder))

    def oldest(self) -> float | None:
        """For how many seconds the oldest mail has waited; None where none waits.

        Raises:
            OSError: the folder can't be read.
        """
        since = [written for name in self.waiting(1) if (written := _written(self._folder / "new" / name)) is not None]
        return max(0.0, time.time() - since[0]) if since else None

    def tidy(self) -> None:
        """Remove what was settled long ago."""
        for entry in _entries(self._folder / "cur"):
            written = _written(Path(entry.path))
            if written is not None and written < time.time() - KEEP_DAYS * _DAY:
                with contextlib.suppress(FileNotFoundError):
                    Path(entry.path).unlink()

    def _move(self, name: str, target: Path) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self._folder / "new" / name).rename(target)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except FileNotFoundError:
        return


def _written(file: Path) -> float | None:
    try:
        return file.lstat().st_mtime
    except FileNotFoundError:
        return None
