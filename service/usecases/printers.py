"""The print houses that letters go to and reports come from, by their names."""

import hashlib
from collections.abc import Sequence

from printing.providers.base import PrintProvider
from service.domain.errors import Invalid
from service.usecases.context import Context


def names(context: Context) -> Sequence[str]:
    """Every print house."""
    return tuple(context.printers)


def way(context: Context, name: str) -> PrintProvider:
    """The way to a print house.

    Raises:
        NotFound: there is none by this name.
    """
    return context.printers.named(name).provider


def only(context: Context) -> str:
    """The one print house.

    Raises:
        Invalid: ``printer_missing``: there are several, so it must be named.
    """
    found = names(context)
    if len(found) != 1:
        raise Invalid(f"There are several print houses: name one of {', '.join(found)}.", code="printer_missing")
    return found[0]


def sha256_of(content: bytes) -> str:
    """A digest as parcels have it."""
    return hashlib.sha256(content).hexdigest()


def callback_secret(context: Context, name: str) -> bytes | None:
    """What a print house signs its calls with; None for one that does not call."""
    return context.printers[name].callback_secret if name in context.printers else None
