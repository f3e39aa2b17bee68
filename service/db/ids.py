"""Ids: UUIDv7 inside, with a prefix that says what they name outside."""

import uuid
from typing import Final

from uuid_utils import compat

from service.domain.errors import NotFound

DELIVERY: Final = "dlv"
SUBMISSION: Final = "sub"
EVIDENCE: Final = "evd"
BATCH: Final = "prt"
ORGANISATION: Final = "org"


def new_id() -> uuid.UUID:
    """A fresh UUIDv7 (RFC 9562, section 5.7): ids made later sort later, to the millisecond."""
    return compat.uuid7()


def public_id(prefix: str, value: uuid.UUID) -> str:
    """The id as integrators see it, for example ``dlv_0199f0c2…`` (prefix, underscore, 32 hex digits)."""
    return f"{prefix}_{value.hex}"


def parse_id(prefix: str, text: str) -> uuid.UUID:
    """Read a public id.

    Raises:
        NotFound: it is not an id of this kind; nothing more is said, so that ids can't be probed by their form.
    """
    head, _, digits = text.partition("_")
    if head != prefix or len(digits) != 32 or not set(digits) <= set("0123456789abcdef"):  # noqa: PLR2004
        raise NotFound("There is nothing by this id.")
    return uuid.UUID(hex=digits)
