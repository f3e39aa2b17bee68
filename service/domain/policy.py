"""Which way a delivery goes, as decided in this release: plain rules under one version.

The version stands in the evidence as the policy id, so that it stays clear by which rules a delivery went its way.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from service.domain.identifiers import RecipientKind
from service.domain.states import LegKind

VERSION: Final = "zending-routing-1"
"""Policy id of these rules; a change of any rule is a new version."""

REGISTERED_ON_PAPER: Final = "registered_on_paper"
"""Problem code: registered mail goes to paper, because no registered mode for mailboxes is in force yet."""


class RouteReason(StrEnum):
    """Why a way was chosen."""

    MAILBOX_ACTIVATED = "mailbox_activated"
    NO_MAILBOX = "no_mailbox"
    POSTAL_RECIPIENT = "postal_recipient"
    REGISTERED = "registered"


@dataclass(frozen=True, slots=True)
class Route:
    """The way a delivery goes.

    Attributes:
        kind: of the leg to begin.
        reason: why.
        problem: a code for the delivery's public ``problems``, when it could not go as the sender asked.
        policy: version of the rules.
    """

    kind: LegKind
    reason: RouteReason
    problem: str | None = None
    policy: str = VERSION


def route(*, activated: bool, registered: bool, recipient_kind: RecipientKind) -> Route:
    """The way of a delivery by what is known when it is routed.

    Args:
        activated: a channel says that the recipient's mailbox takes this sender's mail now.
        registered: the sender asked for registered mail.
        recipient_kind: a postal recipient has no mailbox, whatever a channel says.
    """
    # The note does not depend on the mailbox, so that it tells nobody who has one.
    problem = REGISTERED_ON_PAPER if registered else None
    if recipient_kind is RecipientKind.POSTAL:
        return Route(LegKind.PAPER, RouteReason.POSTAL_RECIPIENT, problem)
    if registered:
        return Route(LegKind.PAPER, RouteReason.REGISTERED, problem)
    if activated:
        return Route(LegKind.MAILBOX, RouteReason.MAILBOX_ACTIVATED)
    return Route(LegKind.PAPER, RouteReason.NO_MAILBOX)


def address_required(*, registered: bool, recipient_kind: RecipientKind) -> bool:
    """Whether a hand-in needs a postal address: whenever some answer of the channels leads to paper.

    A mailbox can be given up between hand-in and routing, so what is known at hand-in does not count.
    """
    return any(
        route(activated=activated, registered=registered, recipient_kind=recipient_kind).kind is LegKind.PAPER
        for activated in (False, True)
    )
