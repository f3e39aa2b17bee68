"""The far sides of the ways to a print house, as their owners see them, for the contract that all ways hold."""

import hashlib
from pathlib import Path
from typing import Protocol

from printing.providers import staged
from printing.providers.base import Parcel, PrintProvider
from printing.providers.directory import DirectoryProvider

NAME = "PRT_0100_VOORBEEL_0000000001_261123175001_0RQ.ZIP"
DATA = bytes(range(256)) * 6_000
PARCEL = Parcel(NAME, len(DATA), hashlib.sha256(DATA).hexdigest())


class Remote(Protocol):
    """The far side as its owner sees it."""

    bounded: tuple[object, ...]
    """Modules that know how much is read of a file."""
    parcel: Parcel
    """What the contract brings there."""

    def provider(self) -> PrintProvider:
        """A fresh object, as after a restart."""
        ...

    def names(self) -> set[str]: ...

    def read(self, name: str) -> bytes: ...

    def put(self, name: str, data: bytes) -> None: ...

    def take_away(self, name: str) -> bytes: ...

    def tell(self, name: str, data: bytes) -> None:
        """Put a file into the inbox."""
        ...

    def told(self) -> set[str]:
        """What lies in the inbox."""
        ...

    def lose(self) -> None:
        """Make the far side unreachable."""
        ...


class DirectoryRemote:
    bounded: tuple[object, ...] = (staged,)
    parcel = PARCEL

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "out"
        self.folder.mkdir()
        self.inbox = folder / "in"
        self.inbox.mkdir()

    def provider(self) -> PrintProvider:
        return DirectoryProvider(self.folder, self.inbox)

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)

    def take_away(self, name: str) -> bytes:
        data = self.read(name)
        (self.folder / name).unlink()
        return data

    def tell(self, name: str, data: bytes) -> None:
        (self.inbox / name).write_bytes(data)

    def told(self) -> set[str]:
        return {path.name for path in self.inbox.iterdir()}

    def lose(self) -> None:
        self.inbox.rename(self.inbox.with_name("in elsewhere"))
        self.folder.rename(self.folder.with_name("elsewhere"))
