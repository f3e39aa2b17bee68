"""What will happen to a delivery, computed from what it is sent under: for whoever is about to send it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from service.domain import calendar, terms
from service.domain.legal_basis import EffectRule, Ending, Fallback, Mode
from service.domain.states import Event
from service.domain.terms import Terms


class Act(StrEnum):
    """What the service does, or what comes of it."""

    MAILBOX = "mailbox"
    """It is laid into the mailbox, where the recipient agreed to this kind of mail there."""
    OFFER = "offer"
    """There too; the recipient is asked to accept it first."""
    REMINDER = "reminder"
    ANSWER_ENDS = "answer_ends"
    """The moment at which the time to accept or refuse is over."""
    REGISTERED_LETTER = "registered_letter"
    LETTER = "letter"
    NOTHING = "nothing"
    """Nothing follows."""
    EFFECT = "effect"
    """It has legal effect."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that will happen, or may.

    Attributes:
        act: what.
        at: when; None where it depends on what others do, and when.
        after: the ending or event that it follows; None for what begins by itself.
        working_days: of an effect: how many working days after that event; 0 for its moment.
    """

    act: Act
    at: datetime | None = None
    after: Ending | Event | None = None
    working_days: int = 0


_LETTERS: Final = {Fallback.REGISTERED_PAPER: Act.REGISTERED_LETTER, Fallback.ORDINARY_PAPER: Act.LETTER}
_OF_OFFERS: Final = frozenset(
    {
        Event.NOTIFICATION_FOR_ACCEPTANCE,
        Event.CONSIGNMENT_ACCEPTANCE,
        Event.CONSIGNMENT_REJECTION,
        Event.ACCEPTANCE_REJECTION_EXPIRY,
    }
)
_OF_PAPER: Final = frozenset({Event.RELAY_TO_NON_ERDS, Event.POSTED, Event.DELIVERED})


def outlook(sent_under: Terms, now: datetime, *, postal: bool = False, quiet_hours: bool = True) -> tuple[Step, ...]:
    """What will happen to a delivery that is sent at a moment, in the order in which people want to know it.

    Nothing of the recipient is asked: the ways with and without a mailbox both stand in it.

    Args:
        sent_under: its terms.
        now: when it goes on its way.
        postal: the recipient has no number, so it goes on paper.
        quiet_hours: nobody is written to at night; what counts from the notice then counts from the morning.
    """
    if postal:
        act = Act.LETTER if sent_under.mode is None else Act.REGISTERED_LETTER
        return (Step(act, now), *_effects(sent_under, {}, _OF_PAPER))
    offered = sent_under.mode is Mode.CONSENT
    noticed = calendar.next_allowed(now) if quiet_hours else now
    known = {Event.NOTIFICATION_FOR_ACCEPTANCE: noticed} if offered else {Event.CONTENT_CONSIGNMENT: now}
    steps = [
        Step(Act.OFFER if offered else Act.MAILBOX, now),
        *_follows(sent_under, Ending.NO_MAILBOX, now),
        *_follows(sent_under, Ending.NOTICE_FAILED),
    ]
    if offered:
        running = terms.acceptance(sent_under, noticed)
        known[Event.ACCEPTANCE_REJECTION_EXPIRY] = running.ends_at
        steps += [
            *(Step(Act.REMINDER, each) for each in terms.reminders(sent_under, noticed, running)),
            *_follows(sent_under, Ending.REFUSED),
            Step(Act.ANSWER_ENDS, running.ends_at),
            *_follows(sent_under, Ending.EXPIRED, running.ends_at),
        ]
    elif sent_under.unread_days is not None and sent_under.follows(Ending.UNREAD) is not Fallback.NOTHING:
        running = terms.period(sent_under, sent_under.unread_days, noticed)
        steps += [
            *(Step(Act.REMINDER, each) for each in terms.reminders(sent_under, noticed, running)),
            *_follows(sent_under, Ending.UNREAD, running.ends_at),
        ]
    never = {Event.CONTENT_CONSIGNMENT} if offered else _OF_OFFERS
    possible = {rule.on for rule in sent_under.effect} - never
    return (*steps, *_effects(sent_under, known, frozenset(possible)))


def _follows(sent_under: Terms, ending: Ending, at: datetime | None = None) -> Iterator[Step]:
    if ending in sent_under.fallback:
        yield Step(_LETTERS.get(sent_under.follows(ending), Act.NOTHING), at, ending)


def _effects(sent_under: Terms, known: dict[Event, datetime], possible: frozenset[Event]) -> Iterator[Step]:
    for rule in sent_under.effect:
        if rule.on in possible:
            yield Step(Act.EFFECT, _moment(rule, known.get(rule.on)), rule.on, rule.working_days)


def _moment(rule: EffectRule, at: datetime | None) -> datetime | None:
    return None if at is None else rule.moment(at)
