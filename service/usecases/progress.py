"""Making things happen to deliveries: state, timeline, evidence and follow-up jobs of a chunk in one transaction.

``Progress`` asks the domain's transition table and nothing else what may happen and what follows. The rows are locked
by its caller; evidence that is there already is left as it is, so a step that is repeated changes nothing.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from printing.errors import Problem
from service import tracing
from service.db import deliveries, jobs, webhooks
from service.db.ids import new_id
from service.db.jobs import JobKind, Lane, NewJob
from service.db.models import DeliveryRow, LegRow
from service.db.writing import values_of, write
from service.domain import calendar
from service.domain import delivery as rules
from service.domain.delivery import Delivery, Leg, Occurrence, Report
from service.domain.errors import TransitionRefused
from service.domain.evidence import External
from service.domain.evidence_record import Identification, Letter
from service.domain.states import Actor, DeliveryState, Event, FollowUp, LegKind, LegState
from service.domain.transitions import BY_EVENT, SCOPES, Transition
from service.usecases import evidence
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.webhook_messages import message_of

MOST_NOTED: Final = 60
"""Problems of one letter that its sender is told."""

_CHANNELS = {LegKind.MAILBOX: "digital", LegKind.PAPER: "paper"}


@dataclass(frozen=True)
class Cause:
    """Who made something happen and how they were identified, why, and through whom outside, by which letter."""

    actor: Actor
    reasons: tuple[str, ...] = ()
    external: External | None = None
    attempt: int = 1
    identification: Identification | None = None
    letter: Letter | None = None


@dataclass(frozen=True)
class Told:
    """A report about a letter: what, when it happened, and everything that is known of the letter with it."""

    event: Event
    at: datetime
    known: Sequence[Report]


def may_happen(dossier: Dossier, event: Event, leg: LegRow | None = None) -> bool:
    """Whether an event has a place in the present state."""
    try:
        rules.transition(_value(dossier, leg), event)
    except TransitionRefused:
        return False
    return True


def may_cancel(dossier: Dossier) -> bool:
    """Whether the sender can still take a delivery back."""
    return rules.cancellable(_delivery_value(dossier.delivery), [_leg_value(leg) for leg in dossier.legs])


def withdrawable(dossier: Dossier) -> list[LegRow]:
    """The legs that the sender's withdrawal would end; none when it can't be."""
    values = [_leg_value(leg) for leg in dossier.legs]
    standing = rules.withdrawable(_delivery_value(dossier.delivery), values, dossier.terms)
    return [dossier.leg(leg.number) for leg in standing]


class Progress:
    """What happened to the deliveries of a chunk, gathered and then written together."""

    def __init__(self, context: Context, *, now: datetime) -> None:
        self._context = context
        self._now = now
        self._touched: dict[uuid.UUID, Dossier] = {}
        self._new_legs: dict[tuple[uuid.UUID, int], LegRow] = {}
        self._changed_legs: dict[tuple[uuid.UUID, int], LegRow] = {}
        self._events: list[dict[str, Any]] = []
        self._messages: list[dict[str, Any]] = []
        self._evidence: list[evidence.Draft] = []
        self._jobs: list[NewJob] = []

    @property
    def now(self) -> datetime:
        """When all of it happens."""
        return self._now

    def happen(self, dossier: Dossier, event: Event, cause: Cause, *, leg: LegRow | None = None) -> None:
        """Let an event happen to a delivery, or to one of its legs.

        Raises:
            TransitionRefused: the event has no place in the present state, or is not this actor's.
        """
        reason = cause.reasons[0] if cause.reasons else None
        occurrence = Occurrence(event, self._now, cause.actor, reason)
        if leg is None:
            before = _delivery_value(dossier.delivery)
            row = rules.transition(before, event)
            after = rules.advance(before, occurrence)
            dossier.delivery.state, dossier.delivery.reason = after.state.value, after.reason
        else:
            row = rules.transition(_leg_value(leg), event)
            _take_over(leg, rules.advance(_leg_value(leg), occurrence, dossier.terms))
            self._changed_legs[dossier.id, leg.number] = leg
        self._settle(dossier)
        self._follow(dossier, row, leg, cause)

    def report(self, dossier: Dossier, leg: LegRow, told: Told, cause: Cause) -> None:
        """Let something that was reported of a handed-over letter be so, by all that is known of it.

        Raises:
            TransitionRefused: the letter was not handed over.
        """
        row = rules.transition(_leg_value(leg), told.event)
        _take_over(leg, rules.settle(_leg_value(leg), told.known, dossier.terms))
        self._changed_legs[dossier.id, leg.number] = leg
        self._settle(dossier)
        self._follow(dossier, row, leg, cause, at=told.at)

    def pass_by(self, dossier: Dossier, leg: LegRow, event: Event, cause: Cause, *, at: datetime) -> None:
        """Show in the timeline where a handed-over letter was on its way.

        Raises:
            TransitionRefused: the letter was not handed over.
        """
        row = rules.transition(_leg_value(leg), event)
        self._touched[dossier.id] = dossier
        self._follow(dossier, row, leg, cause, at=at)

    def begin_leg(self, dossier: Dossier, kind: LegKind, cause: Cause, *, registered: bool | None = None) -> LegRow:
        """Open the next leg of a delivery; a paper one goes by registered letter or not."""
        value = rules.open_leg(dossier.id, dossier.id, kind, len(dossier.legs) + 1, self._now)
        leg = LegRow(
            delivery_id=dossier.id,
            number=value.number,
            organisation_id=dossier.delivery.organisation_id,
            kind=kind.value,
            registered=registered,
        )
        _take_over(leg, value)
        dossier.legs.append(leg)
        self._new_legs[dossier.id, leg.number] = leg
        self._settle(dossier)
        self._follow(dossier, BY_EVENT[SCOPES[kind], None, Event.ROUTED], leg, cause)
        return leg

    def note(self, dossier: Dossier, code: str, detail: str) -> None:
        """Add a problem to what the sender sees."""
        if all(problem["code"] != code for problem in dossier.delivery.problems):
            dossier.delivery.problems = [*dossier.delivery.problems, {"code": code, "detail": detail, "page": None}]
            self._touched[dossier.id] = dossier

    def note_letter(self, dossier: Dossier, found: Sequence[Problem]) -> None:
        """Add what keeps a letter from being printed, each with its page and places; many of them are too many."""
        known = dossier.delivery.problems
        told = [
            {"code": each.code, "detail": each.detail, "page": each.page}
            | ({"boxes": [[box.left, box.top, box.right, box.bottom] for box in each.boxes]} if each.boxes else {})
            for each in found[:MOST_NOTED]
        ]
        new = [each for each in told if each not in known]
        if new:
            dossier.delivery.problems = [*known, *new]
            self._touched[dossier.id] = dossier

    def write(self, session: Session) -> None:
        """Write all of it into the running transaction."""
        changed = [leg for key, leg in self._changed_legs.items() if key not in self._new_legs]
        deliveries.save(session, [dossier.delivery for dossier in self._touched.values()], changed)
        write(
            session,
            (deliveries.LEGS, [values_of(leg, deliveries.LEGS) for leg in self._new_legs.values()]),
            (deliveries.EVENTS, self._events),
            (webhooks.MESSAGES, self._messages),
            (jobs.PUT, jobs.rows(self._jobs)),
        )
        evidence.write(session, self._context, self._evidence)

    def _settle(self, dossier: Dossier) -> None:
        legs = [_leg_value(leg) for leg in dossier.legs]
        delivery = dossier.delivery
        delivery.status = rules.public_status(DeliveryState(delivery.state), legs)
        delivery.channel = rules.channel(legs)
        effect = rules.effect(legs)
        delivery.effective_at, delivery.effect_event = effect if effect is not None else (None, None)
        delivery.updated_at = self._now
        self._touched[dossier.id] = dossier

    def _follow(
        self, dossier: Dossier, row: Transition, leg: LegRow | None, cause: Cause, *, at: datetime | None = None
    ) -> None:
        delivery = dossier.delivery
        event = {
            "delivery_id": dossier.id,
            "id": new_id(),
            "organisation_id": delivery.organisation_id,
            "event": row.event.value,
            "at": at or self._now,
            "status": delivery.status,
            "channel": None if leg is None else _CHANNELS[LegKind(leg.kind)],
            "actor": cause.actor.value,
            "reason": cause.reasons[0] if cause.reasons else None,
        }
        self._events.append(event)
        self._messages.append(message_of(event, delivery, leg))
        self._evidence += [
            evidence.Draft(
                dossier=dossier,
                event=event,
                at=self._now,
                actor=cause.actor,
                leg=None if leg is None else leg.number,
                attempt=cause.attempt,
                reasons=cause.reasons,
                external=cause.external,
                identification=cause.identification,
                letter=cause.letter,
            )
            for event in row.evidence
        ]
        # Letters are handed over by their batch, which puts that job itself.
        if row.follow_up is not None and row.follow_up is not FollowUp.HAND_OVER:
            self._jobs.append(
                NewJob(
                    kind=JobKind(row.follow_up.value),
                    organisation_id=delivery.organisation_id,
                    subject_id=dossier.id,
                    lane=Lane(delivery.lane),
                    leg=0 if leg is None else leg.number,
                    due_at=self._due(row.follow_up, delivery),
                    trace=tracing.origin(dossier.id),
                )
            )

    def _due(self, follow_up: FollowUp, delivery: DeliveryRow) -> datetime | None:
        if follow_up is FollowUp.ROUTE and delivery.send_at is not None and delivery.send_at > self._now:
            return delivery.send_at
        if follow_up is FollowUp.NOTIFY and self._context.quiet_hours:
            allowed = calendar.next_allowed(self._now)
            return allowed if allowed > self._now else None
        return None


def _value(dossier: Dossier, leg: LegRow | None) -> Delivery | Leg:
    return _delivery_value(dossier.delivery) if leg is None else _leg_value(leg)


def _delivery_value(row: DeliveryRow) -> Delivery:
    return Delivery(row.id, DeliveryState(row.state), row.updated_at, row.reason)


def _leg_value(row: LegRow) -> Leg:
    return Leg(
        id=row.delivery_id,
        delivery_id=row.delivery_id,
        kind=LegKind(row.kind),
        number=row.number,
        state=LegState(row.state),
        since=row.since,
        handed_over_at=row.handed_over_at,
        effective_at=row.effective_at,
        effect_event=None if row.effect_event is None else Event(row.effect_event),
        reason=row.reason,
    )


def _take_over(row: LegRow, value: Leg) -> None:
    row.state = value.state.value
    row.since = value.since
    row.handed_over_at = value.handed_over_at
    row.effective_at = value.effective_at
    row.effect_event = None if value.effect_event is None else value.effect_event.value
    row.reason = value.reason
