"""Which PINs were refused, remembered beyond the process: a remote service locks a key after a few wrong ones.

What is kept is a digest of a PIN that is wrong and of whose key it was. Another PIN is tried; the same one again only
when somebody says so (it was set right at the other side).
"""

import contextlib
import os
from hashlib import sha256
from pathlib import Path

import structlog

log = structlog.get_logger()


class RefusedPins:
    """Refused PINs as empty files in a folder, for all processes of a machine."""

    def __init__(self, folder: Path | None = None) -> None:
        """The folder is made when the first PIN is refused; without one only this process remembers."""
        self._folder = folder
        self._here: set[str] = set()

    def knows(self, place: str, pin: str) -> bool:
        """Whether the key at ``place`` refused this PIN before."""
        name = _name(place, pin)
        return name in self._here or (self._folder is not None and (self._folder / name).exists())

    def add(self, place: str, pin: str) -> None:
        """The key at ``place`` refused this PIN. What can't be written down is remembered by this process."""
        name = _name(place, pin)
        if self._folder is None:
            self._here.add(name)
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError as error:
            self._here.add(name)
            log.warning("refused_pin_not_written", error=type(error).__name__)

    def forget(self) -> None:
        """Let every PIN be tried again."""
        self._here.clear()
        for file in self._folder.glob("*") if self._folder else ():
            file.unlink(missing_ok=True)


def _name(place: str, pin: str) -> str:
    return sha256(f"{place}\0{pin}".encode()).hexdigest()
