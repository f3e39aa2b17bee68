"""Personal codes on address pages: whoever activates the mailbox with one shows that the letter reached them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from babel.dates import format_date
from sqlalchemy.orm import Session

from printing.letters import Invitation
from service.db import letters as rows
from service.db import mailboxes
from service.domain import calendar, verification
from service.domain.identifiers import RecipientKind
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.verification import hash_of, new_code

DAYS: Final = 90
"""How long a code is good: a letter lies for a while, and whoever was away for a season can still use it."""


@dataclass(frozen=True)
class Invited:
    """A code on its way onto paper: what is printed, and what is kept of it."""

    printed: Invitation
    recipient_hash: bytes = field(repr=False)
    code_sha256: bytes = field(repr=False)
    expires_at: datetime


def draft(context: Context, dossier: Dossier) -> Invited | None:
    """A new code for the letter of a delivery; nothing is kept yet.

    None for a recipient without a number, who can have no mailbox, and for one who has an activated mailbox.
    """
    delivery = dossier.delivery
    if delivery.recipient_kind == RecipientKind.POSTAL.value or delivery.recipient_hash is None:
        return None
    with context.database.transaction(organisations=[delivery.organisation_id]) as session:
        if mailboxes.activated(session, [delivery.recipient_hash]):
            return None
    code, expires_at = new_code(), context.clock() + timedelta(days=DAYS)
    # The day before: the code is good to its end, whatever the hour.
    last = calendar.local_date(expires_at) - timedelta(days=1)
    printed = Invitation(
        code, f"{context.base_url}/mailbox/activation", format_date(last, "long", locale=delivery.language)
    )
    return Invited(printed, delivery.recipient_hash, hash_of(code), expires_at)


def keep(context: Context, invited: list[Invited]) -> None:
    """Keep what is needed to know the codes again, before anything is printed of them."""
    if not invited:
        return
    with context.database.transaction(recipients={each.recipient_hash for each in invited}) as session:
        for each in invited:
            rows.invite(session, each.code_sha256, each.recipient_hash, expires_at=each.expires_at)


def read(typed: str) -> bytes | None:
    """The digest of a code as somebody typed it; None when it can't be one."""
    code = verification.read(typed)
    return None if code is None else hash_of(code)


def is_over(session: Session, hashes: tuple[bytes, ...], digest: bytes, *, now: datetime) -> bool:
    """Whether a letter to this recipient carried the code, and it was used or its time is over."""
    return rows.was_invited(session, hashes, digest) and not rows.is_invited(session, hashes, digest, now=now)


def is_good(session: Session, hashes: tuple[bytes, ...], digest: bytes, *, now: datetime) -> bool:
    """Whether a letter to this recipient carried the code, and it is still good."""
    return rows.is_invited(session, hashes, digest, now=now)
