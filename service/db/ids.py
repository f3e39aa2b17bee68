"""Ids: UUIDv7 inside, with a prefix that says what they name outside."""

import uuid
from datetime import UTC, datetime
from typing import Final

from uuid_utils import compat

from service.domain.errors import NotFound

DELIVERY: Final = "dlv"
SUBMISSION: Final = "sub"
EVIDENCE: Final = "evd"
BATCH: Final = "prt"
ORGANISATION: Final = "org"
SIGNATURE_REQUEST: Final = "sgr"
MANDATE: Final = "mdt"
WEBHOOK: Final = "whk"
MESSAGE: Final = "msg"
_TELLS_TIME: Final = 7


def new_id() -> uuid.UUID:
    """A fresh UUIDv7 (RFC 9562, section 5.7): ids made later sort later, to the millisecond."""
    return compat.uuid7()


def moment_of(value: uuid.UUID) -> datetime | None:
    """When an id of ours was made; None for one that tells no time."""
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC) if value.version == _TELLS_TIME else None


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
