"""The print houses that letters go to and reports come from, by their names."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol, cast

from printing.providers.base import PrintProvider
from service.domain.errors import Invalid, NotFound
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
    return (context.printing.provider,)


def way(context: Context, name: str) -> PrintProvider:
    """The way to a print house.

    Raises:
        NotFound: there is none by this name.
    """
    if name not in names(context):
        raise NotFound("There is no print house by this name.")
    return context.provider


def only(context: Context) -> str:
    """The one print house.

    Raises:
        Invalid: ``printer_missing``: there are several, so it must be named.
    """
    found = names(context)
    if len(found) != 1:
        raise Invalid("There are several print houses: name the one.", code="printer_missing")
    return found[0]


def inbox(context: Context, name: str) -> Inbox | None:
    """Where a print house puts what it tells us; None where it tells nothing by files."""
    found = way(context, name)
    return cast("Inbox", found) if hasattr(found, "incoming") else None


def sha256_of(content: bytes) -> str:
    """A digest as parcels have it."""
    return hashlib.sha256(content).hexdigest()


def callback_secret(context: Context, name: str) -> bytes | None:
    """What a print house signs its calls with; None for one that does not call."""
    return context.printing.callback_secret if name in names(context) else None


def deadline_days(context: Context, _name: str) -> int:
    """Working days after its hand-over in which a letter is posted."""
    return context.printing.deadline_days


def deletion(context: Context) -> timedelta:
    """How long after a hand-over a print house may keep our files."""
    return timedelta(days=context.printing.deletion_days)
