"""Which way a delivery goes: by what it is sent under, and by how the ways before it ended."""

from dataclasses import dataclass
from typing import Final

from service.domain.identifiers import RecipientKind
from service.domain.legal_basis import Ending, Fallback
from service.domain.states import LegKind, LegState
from service.domain.terms import Terms

NOTICE_REASONS: Final = frozenset({"no_address", "address_refused", "bounced"})
"""Reasons of a leg that ended because the recipient could not be told."""


@dataclass(frozen=True, slots=True)
class Route:
    """The way a delivery goes.

    Attributes:
        kind: of the leg to begin.
        registered: a paper leg goes by registered letter.
    """

    kind: LegKind
    registered: bool


def first(terms: Terms, *, activated: bool, registered: bool, recipient_kind: RecipientKind) -> Route | None:
    """The first way of a delivery.

    Args:
        terms: what it is sent under.
        activated: a channel says that the recipient's mailbox takes this kind of mail of this sender now.
        registered: the sender asked for registered mail.
        recipient_kind: a postal recipient has no mailbox, whatever a channel says.
    """
    if recipient_kind is RecipientKind.POSTAL:
        return Route(LegKind.PAPER, registered)
    if activated:
        return Route(LegKind.MAILBOX, registered)
    return after(terms, Ending.NO_MAILBOX)


def after(terms: Terms, ending: Ending) -> Route | None:
    """The way that follows an ending; None where nothing does."""
    way = terms.follows(ending)
    return None if way is Fallback.NOTHING else Route(LegKind.PAPER, way is Fallback.REGISTERED_PAPER)


def ending(state: LegState, reason: str | None) -> Ending | None:
    """How a mailbox leg ended, where something may follow; None for every other state."""
    if state is LegState.UNDELIVERABLE:
        return Ending.NOTICE_FAILED if reason in NOTICE_REASONS else Ending.NO_MAILBOX
    return {LegState.REFUSED: Ending.REFUSED, LegState.EXPIRED: Ending.EXPIRED}.get(state)
