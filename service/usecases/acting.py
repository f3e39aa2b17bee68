"""Whose mailbox a transaction is about: the reader's own, or that of somebody who gave them a mandate.

What a mandate allows is read in the very transaction of each act, with the mandate held: once it is revoked, an open
session, page or token has no effect any more, and an act that was quicker is whole.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from sqlalchemy.orm import Session

from service.db import mandates as rows
from service.db.ids import new_id
from service.db.mandates import MandateAct, MandateRow
from service.db.session import enter_mailbox
from service.domain import mandates as rules
from service.domain.errors import Forbidden, NotFound
from service.domain.evidence_record import Identification
from service.domain.identifiers import RecipientId, RecipientKind
from service.domain.mandates import Act, Mandate, Side, Terms
from service.usecases.context import Context
from service.usecases.personal import PLATFORM, PLATFORM_YEAR, find_hashes, open_value, seal_value


class Named(msgspec.Struct, frozen=True):
    """One side of a mandate, by number and name."""

    kind: RecipientKind
    number: str
    name: str

    def __repr__(self) -> str:
        return f"<{self.kind.value}>"

    @property
    def recipient(self) -> RecipientId:
        """The number."""
        return RecipientId(self.kind, self.number)


class Sides(msgspec.Struct, frozen=True):
    """Both sides, as they are kept."""

    mandator: Named
    mandatary: Named


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox that a transaction is about.

    Attributes:
        hashes: under which its rows are looked for.
        mandate: by which it is read; None for one's own.
        terms: of that mandate.
    """

    hashes: tuple[bytes, ...] = field(repr=False)
    mandate: uuid.UUID | None = None
    terms: Terms | None = None

    @property
    def senders(self) -> frozenset[uuid.UUID] | None:
        """Whose mail is seen; None for everybody's."""
        return None if self.terms is None else self.terms.senders

    @property
    def with_effect(self) -> bool:
        """Whether what is done here counts as the recipient's own act."""
        return self.terms is None or self.terms.legal_effect

    def covers(self, sender: uuid.UUID, *, registered: bool) -> bool:
        """Whether a delivery is seen here."""
        return self.terms is None or self.terms.covers(sender, registered=registered)

    def require_effect(self) -> None:
        """Pass whoever may accept and refuse here.

        Raises:
            Forbidden: ``mandate_without_effect``.
        """
        if self.terms is not None:
            rules.require_effect(self.terms)


def enter(
    session: Session, context: Context, own: tuple[bytes, ...], mandate: uuid.UUID | None, *, act: bool = False
) -> Box:
    """The mailbox that is meant; the transaction, which must be the reader's own, then sees that mailbox's rows.

    Args:
        session: of the running transaction.
        context: the wired parts.
        own: the reader's own hashes.
        mandate: by which they act for another; None for their own mailbox.
        act: something is done, so whoever revokes the mandate waits until it is.

    Raises:
        NotFound: they hold no such mandate.
        Forbidden: ``mandate_over``.
    """
    if mandate is None:
        return Box(own)
    row = rows.one(session, mandate, read=act)
    if row is None or row.mandatary_hash not in own or row.accepted_at is None:
        raise NotFound
    known = value_of(row)
    rules.require_standing(known, context.clock())
    hashes = find_hashes(context, sides_of(context, row.id, row.personal).mandator.recipient)
    enter_mailbox(session, hashes)
    return Box(hashes, row.id, known.terms)


def own_only(mandate: uuid.UUID | None) -> None:
    """Pass whoever acts for themselves: what one's own consent is needed for, a mandate does not reach.

    Raises:
        Forbidden: ``not_by_mandate``.
    """
    if mandate is not None:
        raise Forbidden("This can't be done for somebody else.", code="not_by_mandate")


def value_of(row: MandateRow) -> Mandate:
    """A mandate as the rules see it."""
    return Mandate(
        terms=Terms(
            senders=None if row.senders is None else frozenset(row.senders),
            registered=row.registered,
            legal_effect=row.legal_effect,
            last_day=row.last_day,
        ),
        given_at=row.given_at,
        tries_left=row.tries_left,
        accepted_at=row.accepted_at,
        revoked_at=row.revoked_at,
        revoked_by=None if row.revoked_by is None else Side(row.revoked_by),
    )


def sides_of(context: Context, mandate: uuid.UUID, personal: bytes) -> Sides:
    """Both sides in the clear."""
    raw = open_value(context, personal, organisation=PLATFORM, place=sides_place(mandate))
    return msgspec.json.decode(raw, type=Sides)


def sides_place(mandate: uuid.UUID) -> str:
    """Where both sides stand, encrypted."""
    return f"mandate.personal:{mandate}"


def note(
    session: Session,
    context: Context,
    mandate: uuid.UUID,
    act: Act,
    side: Side,
    how: Identification,
    *,
    at: datetime,
    delivery: uuid.UUID | None = None,
) -> None:
    """Write down what was done to a mandate, or under it."""
    act_id = new_id()
    session.add(
        MandateAct(
            id=act_id,
            mandate_id=mandate,
            act=act.value,
            by_side=side.value,
            at=at,
            delivery_id=delivery,
            personal=seal_value(
                context, how, organisation=PLATFORM, year=PLATFORM_YEAR, place=f"mandate_act.personal:{act_id}"
            ),
        )
    )
    session.flush()
