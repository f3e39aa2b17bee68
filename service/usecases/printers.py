"""The print houses that letters go to and reports come from, by their names."""

import hashlib
from collections.abc import Sequence
from typing import Protocol, cast

from printing.providers.base import PrintProvider
from service.usecases.context import Context


class Incoming(Protocol):
    """A whole file that waits at the far side."""

    @property
    def name(self) -> str:
        """Its name there."""
        ...

    @property
    def size(self) -> int:
        """In bytes."""
        ...


class Inbox(Protocol):
    """Where a print house puts what it tells us."""

    def incoming(self) -> Sequence[Incoming]:
        """The whole files that wait."""
        ...

    def fetch(self, name: str) -> bytes:
        """A file's bytes, bounded."""
        ...

    def remove(self, name: str) -> None:
        """Take a file away after it was kept; one that is not there is taken away already."""
        ...


def names(context: Context) -> Sequence[str]:
    """Every print house."""
    return tuple(context.printers)


def way(context: Context, name: str) -> PrintProvider:
    """The way to a print house.

    Raises:
        NotFound: there is none by this name.
    """
    return context.printers.named(name).provider


def inbox(context: Context, name: str) -> Inbox | None:
    """Where a print house puts what it tells us; None where it tells nothing by files."""
    found = way(context, name)
    return cast("Inbox", found) if hasattr(found, "incoming") else None


def sha256_of(content: bytes) -> str:
    """A digest as parcels have it."""
    return hashlib.sha256(content).hexdigest()
