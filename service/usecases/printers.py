"""The print houses that letters go to and reports come from, by their names."""

import hashlib
from collections.abc import Sequence

from printing.providers.base import PrintProvider
from service.domain.errors import NotFound
from service.usecases.context import Context


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


def sha256_of(content: bytes) -> str:
    """A digest as parcels have it."""
    return hashlib.sha256(content).hexdigest()
