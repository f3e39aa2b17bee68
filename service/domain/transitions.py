"""The one transition table: what may happen in which state, who makes it happen, and what follows from it.

`delivery.advance` reads nothing else; docs/state-machine.md is the same table in print, held equal by a test.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from service.domain.evidence import EvidenceEvent
from service.domain.states import Actor, DeliveryState, Event, FollowUp, LegKind, LegState


class Scope(StrEnum):
    """What a row of the table moves."""

    DELIVERY = "delivery"
    MAILBOX = "mailbox"
    PAPER = "paper"


SCOPES: Final[Mapping[LegKind, Scope]] = MappingProxyType({LegKind.MAILBOX: Scope.MAILBOX, LegKind.PAPER: Scope.PAPER})
"""The part of the table that a leg of each kind lives in."""

POST_RANKS: Final[Mapping[LegState, int]] = MappingProxyType(
    {
        LegState.HANDED_OVER: 0,
        LegState.PRINTED: 1,
        LegState.POSTED: 2,
        LegState.UNDELIVERABLE: 3,
        LegState.DELIVERED: 4,
        LegState.RETURNED: 5,
    }
)
"""How strong each report about a letter is: the strongest one known is the leg's state, whatever came first.

A letter that was given up and then delivered is delivered; one that was delivered and then came back is returned.
"""

POST_REPORTS: Final[Mapping[Event, LegState]] = MappingProxyType(
    {
        Event.PRINTED: LegState.PRINTED,
        Event.POSTED: LegState.POSTED,
        Event.UNDELIVERABLE: LegState.UNDELIVERABLE,
        Event.DELIVERED: LegState.DELIVERED,
        Event.RETURNED: LegState.RETURNED,
    }
)
"""The state that each report of the provider or post speaks of."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table.

    Attributes:
        scope: what is moved.
        state: before; None where the delivery or leg begins with this event.
        event: what happens.
        target: after; the same as before for an event that is only recorded.
        actors: who can make it happen, the usual one first.
        evidence: evidence to be recorded in the same transaction.
        follow_up: kind of job to be put in the same transaction, or None.
    """

    scope: Scope
    state: DeliveryState | LegState | None
    event: Event
    target: DeliveryState | LegState
    actors: tuple[Actor, ...]
    evidence: tuple[EvidenceEvent, ...] = ()
    follow_up: FollowUp | None = None


def _row(
    scope: Scope,
    state: DeliveryState | LegState | None,
    event: Event,
    target: DeliveryState | LegState,
    *actors: Actor,
    follow_up: FollowUp | None = None,
) -> Transition:
    """A row whose evidence is the event itself, where ETSI has a name for it."""
    named = (EvidenceEvent(event.value),) if event.value in frozenset(EvidenceEvent) else ()
    return Transition(scope, state, event, target, actors, named, follow_up)


_D: Final = DeliveryState
_L: Final = LegState

_DELIVERY: Final = (
    _row(Scope.DELIVERY, None, Event.HANDED_IN, _D.RECEIVED, Actor.SENDER, follow_up=FollowUp.SEAL),
    _row(
        Scope.DELIVERY,
        _D.RECEIVED,
        Event.SUBMISSION_ACCEPTANCE,
        _D.SEALED,
        Actor.SERVICE,
        follow_up=FollowUp.ROUTE,
    ),
    _row(Scope.DELIVERY, _D.RECEIVED, Event.SUBMISSION_REJECTION, _D.REJECTED, Actor.SERVICE),
    _row(Scope.DELIVERY, _D.RECEIVED, Event.CANCELLED, _D.CANCELLED, Actor.SENDER),
    _row(Scope.DELIVERY, _D.SEALED, Event.CANCELLED, _D.CANCELLED, Actor.SENDER),
)

_MAILBOX: Final = (
    _row(Scope.MAILBOX, None, Event.ROUTED, _L.PENDING, Actor.SERVICE, follow_up=FollowUp.DEPOSIT),
    _row(
        Scope.MAILBOX,
        _L.PENDING,
        Event.CONTENT_CONSIGNMENT,
        _L.AVAILABLE,
        Actor.SERVICE,
        follow_up=FollowUp.NOTIFY,
    ),
    _row(
        Scope.MAILBOX,
        _L.PENDING,
        Event.CONTENT_CONSIGNMENT_FAILURE,
        _L.UNDELIVERABLE,
        Actor.SERVICE,
        follow_up=FollowUp.ROUTE,
    ),
    # Consent mode: the offer lies ready, and begins once the recipient was told of it.
    _row(Scope.MAILBOX, _L.PENDING, Event.OFFER_PLACED, _L.PENDING, Actor.SERVICE, follow_up=FollowUp.NOTIFY),
    _row(Scope.MAILBOX, _L.PENDING, Event.NOTIFICATION_FOR_ACCEPTANCE, _L.OFFERED, Actor.SERVICE),
    _row(
        Scope.MAILBOX,
        _L.PENDING,
        Event.NOTIFICATION_FOR_ACCEPTANCE_FAILURE,
        _L.UNDELIVERABLE,
        Actor.SERVICE,
        follow_up=FollowUp.ROUTE,
    ),
    _row(Scope.MAILBOX, _L.PENDING, Event.CANCELLED, _L.WITHDRAWN, Actor.SENDER),
    # A reminder.
    _row(Scope.MAILBOX, _L.OFFERED, Event.NOTIFICATION_FOR_ACCEPTANCE, _L.OFFERED, Actor.SERVICE),
    _row(Scope.MAILBOX, _L.OFFERED, Event.PERIOD_EXTENSION, _L.OFFERED, Actor.CLOCK),
    _row(Scope.MAILBOX, _L.AVAILABLE, Event.PERIOD_EXTENSION, _L.AVAILABLE, Actor.CLOCK),
    # A notice can bounce hours after it was sent; it then started no period.
    _row(
        Scope.MAILBOX,
        _L.OFFERED,
        Event.NOTIFICATION_FOR_ACCEPTANCE_FAILURE,
        _L.UNDELIVERABLE,
        Actor.SERVICE,
        follow_up=FollowUp.ROUTE,
    ),
    Transition(
        Scope.MAILBOX,
        _L.OFFERED,
        Event.CONSIGNMENT_ACCEPTANCE,
        _L.AVAILABLE,
        (Actor.RECIPIENT,),
        # Accepting opens the mailbox's copy in the same moment.
        evidence=(EvidenceEvent.CONSIGNMENT_ACCEPTANCE, EvidenceEvent.CONTENT_CONSIGNMENT),
    ),
    _row(
        Scope.MAILBOX,
        _L.OFFERED,
        Event.CONSIGNMENT_REJECTION,
        _L.REFUSED,
        Actor.RECIPIENT,
        follow_up=FollowUp.ROUTE,
    ),
    _row(
        Scope.MAILBOX,
        _L.OFFERED,
        Event.ACCEPTANCE_REJECTION_EXPIRY,
        _L.EXPIRED,
        Actor.CLOCK,
        follow_up=FollowUp.ROUTE,
    ),
    _row(Scope.MAILBOX, _L.OFFERED, Event.CANCELLED, _L.WITHDRAWN, Actor.SENDER),
    _row(Scope.MAILBOX, _L.OFFERED, Event.WITHDRAWN, _L.WITHDRAWN, Actor.SERVICE),
    _row(Scope.MAILBOX, _L.OFFERED, Event.CONSIGNMENT_WITHDRAWAL, _L.WITHDRAWN, Actor.SENDER),
    _row(Scope.MAILBOX, _L.AVAILABLE, Event.CONSIGNMENT_NOTIFICATION, _L.AVAILABLE, Actor.SERVICE),
    _row(Scope.MAILBOX, _L.AVAILABLE, Event.CONSIGNMENT_NOTIFICATION_FAILURE, _L.AVAILABLE, Actor.SERVICE),
    _row(Scope.MAILBOX, _L.AVAILABLE, Event.CONTENT_ACCESS_TRACKING, _L.OPENED, Actor.RECIPIENT),
    # By a mandate without legal effect: who read it is evidenced, and for the addressee it stays unopened.
    Transition(
        Scope.MAILBOX,
        _L.AVAILABLE,
        Event.READ_BY_MANDATARY,
        _L.AVAILABLE,
        (Actor.RECIPIENT,),
        evidence=(EvidenceEvent.CONTENT_ACCESS_TRACKING,),
    ),
    _row(Scope.MAILBOX, _L.AVAILABLE, Event.WITHDRAWN, _L.WITHDRAWN, Actor.SERVICE),
    _row(Scope.MAILBOX, _L.AVAILABLE, Event.CONSIGNMENT_WITHDRAWAL, _L.WITHDRAWN, Actor.SENDER),
    # The recipient may be quicker than the notice.
    _row(Scope.MAILBOX, _L.OPENED, Event.CONSIGNMENT_NOTIFICATION, _L.OPENED, Actor.SERVICE),
    _row(Scope.MAILBOX, _L.OPENED, Event.CONSIGNMENT_NOTIFICATION_FAILURE, _L.OPENED, Actor.SERVICE),
    _row(Scope.MAILBOX, _L.OPENED, Event.CONTENT_HANDOVER, _L.OPENED, Actor.RECIPIENT),
    _row(Scope.MAILBOX, _L.OPENED, Event.CONTENT_HANDOVER_FAILURE, _L.OPENED, Actor.SERVICE),
)

# An e-mail that came back when nothing can follow from it any more, or a reminder's: it is only shown.
_LATE: Final = tuple(
    _row(Scope.MAILBOX, state, Event.NOTICE_BOUNCED, state, Actor.SERVICE)
    for state in (_L.AVAILABLE, _L.OPENED, _L.OFFERED, _L.REFUSED, _L.EXPIRED, _L.WITHDRAWN, _L.UNDELIVERABLE)
)

_PAPER: Final = (
    _row(Scope.PAPER, None, Event.ROUTED, _L.PENDING, Actor.SERVICE, follow_up=FollowUp.LETTER),
    _row(Scope.PAPER, _L.PENDING, Event.LETTER_COMPOSED, _L.TO_PRINT, Actor.SERVICE),
    _row(Scope.PAPER, _L.PENDING, Event.RELAY_TO_NON_ERDS_FAILURE, _L.UNDELIVERABLE, Actor.SERVICE, Actor.OPERATOR),
    _row(Scope.PAPER, _L.PENDING, Event.CANCELLED, _L.WITHDRAWN, Actor.SENDER),
    _row(Scope.PAPER, _L.PENDING, Event.WITHDRAWN, _L.WITHDRAWN, Actor.SERVICE),
    _row(Scope.PAPER, _L.PENDING, Event.CONSIGNMENT_WITHDRAWAL, _L.WITHDRAWN, Actor.SENDER),
    _row(
        Scope.PAPER,
        _L.TO_PRINT,
        Event.BATCHED,
        _L.BATCHED,
        Actor.CLOCK,
        Actor.OPERATOR,
        follow_up=FollowUp.HAND_OVER,
    ),
    _row(Scope.PAPER, _L.TO_PRINT, Event.RELAY_TO_NON_ERDS_FAILURE, _L.UNDELIVERABLE, Actor.SERVICE, Actor.OPERATOR),
    _row(Scope.PAPER, _L.TO_PRINT, Event.CANCELLED, _L.WITHDRAWN, Actor.SENDER),
    _row(Scope.PAPER, _L.TO_PRINT, Event.WITHDRAWN, _L.WITHDRAWN, Actor.SERVICE),
    _row(Scope.PAPER, _L.TO_PRINT, Event.CONSIGNMENT_WITHDRAWAL, _L.WITHDRAWN, Actor.SENDER),
    _row(Scope.PAPER, _L.BATCHED, Event.RELAY_TO_NON_ERDS, _L.HANDED_OVER, Actor.SERVICE),
    _row(Scope.PAPER, _L.BATCHED, Event.RELAY_TO_NON_ERDS_FAILURE, _L.UNDELIVERABLE, Actor.SERVICE, Actor.OPERATOR),
    # Until its batch is fixed: whoever lets this happen takes the letter out of the batch in the same transaction.
    _row(Scope.PAPER, _L.BATCHED, Event.CANCELLED, _L.WITHDRAWN, Actor.SENDER),
    _row(Scope.PAPER, _L.BATCHED, Event.CONSIGNMENT_WITHDRAWAL, _L.WITHDRAWN, Actor.SENDER),
)

# A letter that is printed again is handed over again, wherever the reports about it left it.
_AGAIN: Final = (
    *(
        _row(Scope.PAPER, state, Event.REPRINT_ORDERED, state, Actor.OPERATOR)
        for state in POST_RANKS
        if state not in {LegState.DELIVERED, LegState.RETURNED}
    ),
    *(_row(Scope.PAPER, state, Event.RELAY_TO_NON_ERDS, state, Actor.SERVICE) for state in POST_RANKS),
)

_REPORTS: Final = tuple(
    Transition(
        Scope.PAPER,
        state,
        event,
        max(state, reported, key=POST_RANKS.__getitem__),
        # A letter that came back is scanned by the operator; the rest is reported by provider and post.
        (Actor.POST, Actor.OPERATOR),
        evidence=(EvidenceEvent.RECEIVED_FROM_NON_ERDS,),
    )
    for state in POST_RANKS
    for event, reported in POST_REPORTS.items()
)

# Where the letter is on its way is shown, and no more; proofs are evidence of their own, whenever they come.
_PASSING: Final = tuple(
    Transition(Scope.PAPER, state, event, state, (Actor.POST, Actor.OPERATOR), evidence)
    for state in POST_RANKS
    for event, evidence in (
        (Event.LETTER_REJECTED, ()),
        (Event.IN_TRANSIT, ()),
        (Event.ATTEMPTED, ()),
        (Event.PICKUP_AVAILABLE, ()),
        (Event.PROOF_RECEIVED, (EvidenceEvent.RECEIVED_FROM_NON_ERDS,)),
    )
)

TRANSITIONS: Final[tuple[Transition, ...]] = (*_DELIVERY, *_MAILBOX, *_LATE, *_PAPER, *_AGAIN, *_REPORTS, *_PASSING)
"""Every row, in the order of a delivery's life."""

BY_EVENT: Final[Mapping[tuple[Scope, DeliveryState | LegState | None, Event], Transition]] = MappingProxyType(
    {(row.scope, row.state, row.event): row for row in TRANSITIONS}
)
"""The rows by what they start from and what happens."""


def is_final(scope: Scope, state: DeliveryState | LegState) -> bool:
    """Whether nothing can lead out of this state any more (events may still be recorded in it)."""
    return all(row.target == state for row in TRANSITIONS if row.scope is scope and row.state == state)


def transition_rows() -> tuple[tuple[str, ...], ...]:
    """The table in words: what, state, actor, event, next state, evidence, follow-up."""
    return tuple(
        (
            row.scope.value,
            row.state.value if row.state is not None else "(new)",
            ", ".join(actor.value for actor in row.actors),
            row.event.value,
            row.target.value,
            ", ".join(event.value for event in row.evidence) or "–",
            row.follow_up.value if row.follow_up is not None else "–",
        )
        for row in TRANSITIONS
    )
