"""Deliveries and their legs as values, and the pure functions that move them.

Commands (ours, the sender's, the recipient's) go through `advance`. Reports of the print provider and the post arrive
twice, late and out of order: they are kept as a set, and `settle` derives the leg's state from the set.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from service.domain.addresses import ReturnReason
from service.domain.errors import TransitionRefused
from service.domain.legal_basis import Mode
from service.domain.states import Actor, DeliveryState, Event, FollowUp, LegKind, LegState
from service.domain.terms import ORDINARY, Terms
from service.domain.transitions import BY_EVENT, POST_RANKS, POST_REPORTS, SCOPES, Scope, Transition, is_final

__all__ = [
    "Actor",
    "Delivery",
    "DeliveryState",
    "Event",
    "FollowUp",
    "Leg",
    "LegKind",
    "LegState",
    "Occurrence",
    "Report",
    "Transition",
    "Weighed",
    "advance",
    "cancellable",
    "channel",
    "effect",
    "hand_in",
    "has_ended",
    "has_the_post",
    "is_repeat",
    "open_leg",
    "public_status",
    "rank_reports",
    "report_attempt",
    "settle",
    "transition",
    "weighty",
    "withdrawable",
]

_CAUSES = tuple(ReturnReason)
_AT_THE_POST = frozenset({LegState.POSTED, LegState.DELIVERED, LegState.RETURNED})


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happens, with its time.

    Attributes:
        event: what.
        at: when; has a time zone.
        actor: who made it happen; None stands for the usual actor of the table's row.
        reason: a word of a closed list (`evidence.REASONS`, `addresses.ReturnReason`), where one applies.
    """

    event: Event
    at: datetime
    actor: Actor | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError("The time of an occurrence needs a time zone.")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One set of documents for one recipient.

    Attributes:
        since: when it came into its state.
        reason: why it was rejected.
    """

    id: UUID
    state: DeliveryState
    since: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Leg:
    """One way of bringing a delivery.

    Attributes:
        number: 1, 2 … in the order in which the delivery's legs began.
        since: when it came into its state.
        handed_over_at: when the print provider got the letter; reports of the post mean nothing before.
        effective_at: when the delivery has its legal effect by this leg; set once, never moved. It may lie ahead, where
            the rule counts working days.
        effect_event: what that was counted from.
        reason: why it ended as it did, or with which cause the letter came back.
    """

    id: UUID
    delivery_id: UUID
    kind: LegKind
    number: int
    state: LegState
    since: datetime
    handed_over_at: datetime | None = None
    effective_at: datetime | None = None
    effect_event: Event | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What the print provider or the post says about a letter.

    Attributes:
        event: one of `transitions.POST_REPORTS`.
        at: when it happened, by the reporter's clock; has a time zone.
        cause: why it came back or was given up.
    """

    event: Event
    at: datetime
    cause: ReturnReason | None = None

    def __post_init__(self) -> None:
        if self.event not in POST_REPORTS:
            raise ValueError(f"{self.event} is no report of the post.")
        if self.at.tzinfo is None:
            raise ValueError("The time of a report needs a time zone.")

    @property
    def state(self) -> LegState:
        """The state that the report speaks of."""
        return POST_REPORTS[self.event]


class Weighed(Protocol):
    """What is asked of a leg to find its weight: a `Leg`, or a stored row with the same words as text."""

    @property
    def number(self) -> int:
        """As in `Leg`."""
        ...

    @property
    def kind(self) -> str:
        """A `LegKind` or its value."""
        ...

    @property
    def state(self) -> str:
        """A `LegState` or its value."""
        ...

    @property
    def effective_at(self) -> datetime | None:
        """As in `Leg`."""
        ...


Moved = TypeVar("Moved", Delivery, Leg)
AnyLeg = TypeVar("AnyLeg", bound=Weighed)


def hand_in(delivery_id: UUID, at: datetime) -> Delivery:
    """A delivery as it begins; its first job is `FollowUp.SEAL`."""
    return Delivery(delivery_id, DeliveryState.RECEIVED, at)


def open_leg(leg_id: UUID, delivery_id: UUID, kind: LegKind, number: int, at: datetime) -> Leg:
    """A leg as it begins; its first job is the follow-up of ``BY_EVENT[SCOPES[kind], None, Event.ROUTED]``."""
    return Leg(leg_id, delivery_id, kind, number, LegState.PENDING, at)


def transition(subject: Delivery | Leg, event: Event) -> Transition:
    """The table's row for this event now: next state, actors, evidence to record, job to put.

    Raises:
        TransitionRefused: the event has no place in the current state; ``context`` says which.
    """
    row = BY_EVENT.get((_scope(subject), subject.state, event))
    if row is None or (event in POST_REPORTS and not _handed_over(subject)):
        raise TransitionRefused(
            f"This is not possible while the status is {subject.state.value}.",
            context={"id": str(subject.id), "state": subject.state.value, "event": event.value},
        )
    return row


def advance(subject: Moved, what: Occurrence, terms: Terms = ORDINARY) -> Moved:
    """The delivery or leg after ``what``.

    An event that is only recorded (a notice was sent, a file was fetched) leaves the value as it is.

    Args:
        subject: before.
        what: happens.
        terms: what the delivery is sent under: they say what has legal effect.

    Raises:
        TransitionRefused: the event has no place in the current state, or not by this actor.
    """
    row = transition(subject, what.event)
    if what.actor is not None and what.actor not in row.actors:
        raise TransitionRefused(
            "Somebody else decides on this.",
            context={"id": str(subject.id), "event": what.event.value, "actor": what.actor.value},
        )
    if row.target == subject.state:
        return subject
    if isinstance(subject, Delivery):
        assert isinstance(row.target, DeliveryState)
        return replace(subject, state=row.target, since=what.at, reason=what.reason)
    assert isinstance(row.target, LegState)
    handed_over = what.event is Event.RELAY_TO_NON_ERDS
    moved = replace(
        subject,
        state=row.target,
        since=what.at,
        handed_over_at=what.at if handed_over else subject.handed_over_at,
        reason=what.reason,
    )
    return _with_effect(moved, what.event, what.at, terms)


def _with_effect(leg: Leg, event: Event, at: datetime, terms: Terms) -> Leg:
    """The leg with its legal effect, if this event has one and none had before."""
    rule = terms.rule(event)
    if rule is None or leg.effective_at is not None:
        return leg
    return replace(leg, effective_at=rule.moment(at), effect_event=event)


def is_repeat(subject: Delivery | Leg, event: Event) -> bool:
    """Whether the current state is one that this event leads to: a command that came twice is answered, not refused."""
    scope = _scope(subject)
    return any(
        row.scope is scope and row.event is event and row.target == subject.state and row.state != row.target
        for row in BY_EVENT.values()
    )


def has_ended(subject: Delivery | Leg) -> bool:
    """Whether no event can bring the delivery or leg into another state."""
    return is_final(_scope(subject), subject.state)


def rank_reports(reports: Iterable[Report]) -> LegState:
    """The state of a handed-over letter by all that is known of it, whatever the order and number of the reports."""
    return max((report.state for report in reports), key=POST_RANKS.__getitem__, default=LegState.HANDED_OVER)


def settle(leg: Leg, reports: Sequence[Report], terms: Terms = ORDINARY) -> Leg:
    """The leg after all reports known about it, old and new together.

    State, time, cause and effect depend only on the set. Before the hand-over, and on a mailbox leg, reports fit
    nowhere: the leg stays as it is, and they are kept for the time after it.
    """
    if leg.handed_over_at is None:
        return leg
    state = rank_reports(reports)
    if state is LegState.HANDED_OVER:
        return leg
    # Of several reports of one kind the earliest tells since when it is so.
    told = min((report for report in reports if report.state is state), key=lambda each: (each.at, each.cause or ""))
    cause = None if told.cause is None else told.cause.value
    settled = replace(leg, state=state, since=told.at, reason=cause)
    if leg.effect_event is not None and leg.effect_event not in POST_REPORTS:
        return settled
    # Of what the post reports the earliest effect counts, whatever came first.
    bare = replace(settled, effective_at=None, effect_event=None)
    by_report = [_with_effect(bare, report.event, report.at, terms) for report in reports]
    told_of = [(each.effective_at, each.effect_event) for each in by_report if each.effective_at is not None]
    if not told_of:
        return settled
    effective, event = min(told_of, key=lambda each: (each[0], str(each[1])))
    return replace(settled, effective_at=effective, effect_event=event)


def report_attempt(report: Report, printed: int = 1) -> int:
    """The ``attempt`` in the evidence key of a report: equal for repeats, different for different statements.

    Args:
        report: what was said.
        printed: of which printing of the letter, counted from 1.
    """
    cause = 0 if report.cause is None else 1 + _CAUSES.index(report.cause)
    return (printed - 1) * 1000 + POST_RANKS[report.state] * 100 + cause


def has_the_post(reports: Iterable[Report]) -> bool:
    """Whether the post had the letter; one that was only given up may have got lost before anybody posted it."""
    return any(report.state in _AT_THE_POST for report in reports)


def weighty(legs: Iterable[AnyLeg]) -> AnyLeg | None:
    """The leg that has legal weight now: the first to have effect, else the newest.

    A withdrawn leg has none while another one stands, nor a letter that came back beside a later try.
    """
    known = sorted(legs, key=lambda leg: leg.number)
    if any(_stands(leg) for leg in known):
        known = [leg for leg in known if leg.state != LegState.WITHDRAWN]
    # A letter that came back gives way to the next try, once that one is more than decided on.
    begun = max((leg.number for leg in known if leg.state != LegState.PENDING), default=0)
    known = [leg for leg in known if leg.state != LegState.RETURNED or leg.number >= begun]
    effective = [(leg.effective_at, leg.number, leg) for leg in known if leg.effective_at is not None]
    if effective:
        return min(effective, key=lambda each: each[:2])[2]
    if not known:
        return None
    # A letter that is not composed yet says less than the mailbox's copy, as long as that one stands.
    told = [leg for leg in known if leg.state != LegState.PENDING and _stands(leg)]
    return told[-1] if known[-1].state == LegState.PENDING and told else known[-1]


def public_status(delivery_state: DeliveryState, legs: Iterable[Weighed]) -> str:
    """The delivery's status as the API and the pages show it.

    That of the leg with legal weight; the delivery's own while no leg has begun its work, and once it was cancelled or
    rejected. ``pending`` is never public.
    """
    leg = weighty(legs)
    if delivery_state is not DeliveryState.SEALED or leg is None or leg.state == LegState.PENDING:
        return delivery_state.value
    return LegState(leg.state).value


def channel(legs: Iterable[Weighed]) -> str | None:
    """The public ``channel``: ``digital`` or ``paper`` by the leg with legal weight; None before any leg."""
    leg = weighty(legs)
    if leg is None:
        return None
    return "digital" if leg.kind == LegKind.MAILBOX else "paper"


def effect(legs: Iterable[Leg]) -> tuple[datetime, Event | None] | None:
    """When the delivery has its legal effect and what that is counted from; None while nothing had any.

    By the terms it was sent under. Of several legs the earliest, also where that one gave way to another.
    """
    told = [(leg.effective_at, leg.number, leg.effect_event) for leg in legs if leg.effective_at is not None]
    first = min(told, key=lambda each: each[:2], default=None)
    return None if first is None else (first[0], first[2])


def cancellable(delivery: Delivery, legs: Iterable[Leg]) -> bool:
    """Whether the sender can still take the delivery back: every leg either can be, or ended without effect."""
    legs = sorted(legs, key=lambda leg: leg.number)
    if (Scope.DELIVERY, delivery.state, Event.CANCELLED) not in BY_EVENT:
        return False
    if legs and legs[-1].state is LegState.WITHDRAWN:
        # The sender withdrew it, and nothing took over: that is its end already.
        return False
    return all(
        (SCOPES[leg.kind], leg.state, Event.CANCELLED) in BY_EVENT or (_given_up(leg) and leg.effective_at is None)
        for leg in legs
    )


def withdrawable(delivery: Delivery, legs: Iterable[Leg], terms: Terms = ORDINARY) -> tuple[Leg, ...]:
    """The legs that a withdrawal by the sender ends; none when it is too early (cancel it) or too late.

    What the recipient accepted is theirs, opened or not.

    Every leg either can be taken back, or ended without effect: what somebody opened, or the print house has, stays.
    """
    known = tuple(legs)
    accepted = terms.mode is Mode.CONSENT and any(leg.state is LegState.AVAILABLE for leg in known)
    if delivery.state is not DeliveryState.SEALED or accepted:
        return ()
    standing = tuple(leg for leg in known if not (_given_up(leg) and leg.effective_at is None))
    possible = all((SCOPES[leg.kind], leg.state, Event.CONSIGNMENT_WITHDRAWAL) in BY_EVENT for leg in standing)
    return standing if possible else ()


def _stands(leg: Weighed) -> bool:
    """Whether the leg brought the delivery, or still may."""
    if leg.state == LegState.WITHDRAWN:
        return False
    ended = leg.state == LegState.UNDELIVERABLE or is_final(SCOPES[LegKind(leg.kind)], LegState(leg.state))
    return leg.effective_at is not None or not ended


def _given_up(leg: Leg) -> bool:
    return has_ended(leg) or (leg.state is LegState.UNDELIVERABLE and leg.handed_over_at is None)


def _handed_over(subject: Delivery | Leg) -> bool:
    return isinstance(subject, Leg) and subject.handed_over_at is not None


def _scope(subject: Delivery | Leg) -> Scope:
    return Scope.DELIVERY if isinstance(subject, Delivery) else SCOPES[subject.kind]
