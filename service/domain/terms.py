"""The terms of one delivery: its register entry with what the sender chose, and the moments that follow from them.

They are settled at hand-in and kept with the delivery, so that a later version of the register changes nothing for it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from service.domain import calendar
from service.domain.errors import FieldError
from service.domain.legal_basis import EffectRule, Ending, Entry, Fallback, Mail, Mode, silent_endings
from service.domain.states import Event

MODE_NOT_ALLOWED: Final = "registered_mode_not_allowed"
DAYS_NOT_ALLOWED: Final = "acceptance_days_not_allowed"
FALLBACK_NOT_ALLOWED: Final = "fallback_not_allowed"
_OF_CONSENT: Final = frozenset({Ending.EXPIRED, Ending.REFUSED})
_OF_DIRECT: Final = frozenset({Ending.UNREAD})


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which the service could not be used, as the operator recorded it."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a sender chose for one delivery, within what its entry allows.

    Attributes:
        mode: None for the entry's usual one.
        acceptance_days: None for the entry's usual ones.
        fallback: endings that lead on to registered paper beside those of the entry.
    """

    mode: Mode | None = None
    acceptance_days: int | None = None
    fallback: frozenset[Ending] = frozenset()


@dataclass(frozen=True, slots=True)
class Terms:
    """What one delivery is sent under.

    Attributes:
        basis: id of the entry; empty for deliveries from before there was a register.
        version: its version.
        sha256: of its file.
        mode: of registered mail in the mailbox; None for ordinary mail.
        acceptance_days: to accept or refuse, counted from the day after the notice; None without an offer.

    The others are as in `legal_basis.Entry`.
    """

    basis: str
    version: int
    sha256: str
    mode: Mode | None = None
    acceptance_days: int | None = None
    end_moves: bool = False
    extended: bool = False
    hides_sender: bool = False
    unread_days: int | None = None
    remind_after: tuple[int, ...] = ()
    remind_before: tuple[int, ...] = ()
    fallback: Mapping[Ending, Fallback] = field(default_factory=dict)
    effect: tuple[EffectRule, ...] = ()

    @property
    def policy_id(self) -> str:
        """The entry's id and version, as evidence names them."""
        return f"{self.basis}/{self.version}"

    def rule(self, event: Event) -> EffectRule | None:
        """The rule of legal effect that an event sets going."""
        return next((each for each in self.effect if each.on is event), None)

    def follows(self, ending: Ending) -> Fallback:
        """What follows an ending."""
        return self.fallback.get(ending, Fallback.NOTHING)

    def as_json(self) -> dict[str, Any]:
        """As it is kept with the delivery."""
        return {
            "basis": self.basis,
            "version": self.version,
            "sha256": self.sha256,
            "mode": None if self.mode is None else self.mode.value,
            "acceptance_days": self.acceptance_days,
            "end_moves": self.end_moves,
            "extended": self.extended,
            "hides_sender": self.hides_sender,
            "unread_days": self.unread_days,
            "remind_after": list(self.remind_after),
            "remind_before": list(self.remind_before),
            "fallback": {ending.value: way.value for ending, way in self.fallback.items()},
            "effect": [{"on": each.on.value, "working_days": each.working_days} for each in self.effect],
        }


ORDINARY: Final = Terms(
    basis="",
    version=0,
    sha256="",
    fallback=MappingProxyType({Ending.NO_MAILBOX: Fallback.ORDINARY_PAPER}),
    effect=(EffectRule(Event.CONTENT_CONSIGNMENT), EffectRule(Event.RELAY_TO_NON_ERDS)),
)
"""Of mail from before there was a register: effect in the mailbox, or once the print house has the letter."""
REGISTERED: Final = replace(
    ORDINARY,
    mode=Mode.DIRECT,
    unread_days=15,
    fallback=MappingProxyType(dict.fromkeys(silent_endings([Mode.DIRECT]), Fallback.REGISTERED_PAPER)),
)
"""Of registered mail from before there was a register: its silent ends lead to a registered letter too."""


def from_json(kept: Mapping[str, Any], *, registered: bool) -> Terms:
    """Terms as they were kept; those of the time before the register for a delivery that has none."""
    if not kept:
        return REGISTERED if registered else ORDINARY
    return Terms(
        basis=kept["basis"],
        version=kept["version"],
        sha256=kept["sha256"],
        mode=None if kept["mode"] is None else Mode(kept["mode"]),
        acceptance_days=kept["acceptance_days"],
        end_moves=kept["end_moves"],
        extended=kept["extended"],
        hides_sender=kept["hides_sender"],
        unread_days=kept["unread_days"],
        remind_after=tuple(kept["remind_after"]),
        remind_before=tuple(kept["remind_before"]),
        fallback={Ending(ending): Fallback(way) for ending, way in kept["fallback"].items()},
        effect=tuple(EffectRule(Event(each["on"]), each["working_days"]) for each in kept["effect"]),
    )


def settle(entry: Entry, wishes: Wishes) -> tuple[Terms, tuple[FieldError, ...]]:
    """The terms of a delivery, and what of the wishes the entry does not allow (then the terms don't count)."""
    found: list[FieldError] = []
    registered = entry.mail is Mail.REGISTERED
    mode = wishes.mode or (entry.modes[0] if registered else None)
    if mode is not None and mode not in entry.modes:
        detail = f"What this is sent under ({entry.name}) does not allow this mode."
        found.append(FieldError("/policy/registered_mode", MODE_NOT_ALLOWED, detail))
    days = _days(entry, mode, wishes.acceptance_days, found)
    if not registered and not wishes.fallback <= entry.fallback.keys():
        # Whoever was told nothing would believe that a letter follows.
        detail = f"What this is sent under ({entry.name}) lets no letter follow this: only registered mail can choose."
        found.append(FieldError("/policy/fallback", FALLBACK_NOT_ALLOWED, detail))
    chosen = wishes.fallback if registered else ()
    fallback = dict(entry.fallback) | dict.fromkeys(chosen, Fallback.REGISTERED_PAPER)
    # What the other mode alone can come to is no part of these terms.
    never = {None: frozenset[Ending](), Mode.CONSENT: _OF_DIRECT, Mode.DIRECT: _OF_CONSENT}[mode]
    fallback = {ending: way for ending, way in fallback.items() if ending not in never}
    terms = Terms(
        basis=entry.id,
        version=entry.version,
        sha256=entry.sha256,
        mode=mode,
        acceptance_days=days,
        end_moves=entry.end_moves,
        extended=entry.extended,
        hides_sender=entry.hides_sender and mode is Mode.CONSENT,
        unread_days=None if mode is Mode.CONSENT else entry.unread_days,
        remind_after=entry.remind_after,
        remind_before=entry.remind_before,
        fallback=fallback,
        effect=entry.effect,
    )
    return terms, tuple(found)


def _days(entry: Entry, mode: Mode | None, wished: int | None, found: list[FieldError]) -> int | None:
    if mode is not Mode.CONSENT or entry.acceptance is None:
        if wished is not None:
            detail = "Days to accept belong to registered mail that is offered first (consent)."
            found.append(FieldError("/policy/acceptance_days", DAYS_NOT_ALLOWED, detail))
        return None
    bounds = entry.acceptance
    if wished is not None and not bounds.least <= wished <= bounds.most:
        detail = f"What this is sent under ({entry.name}) allows {bounds.least} to {bounds.most} days."
        found.append(FieldError("/policy/acceptance_days", DAYS_NOT_ALLOWED, detail))
    return wished or bounds.usual


@dataclass(frozen=True, slots=True)
class Period:
    """A running period.

    Attributes:
        last_day: the last day that counts, in Brussels.
        ends_at: the beginning of the day after it.
        extended_days: by how many days unavailability made it longer.
    """

    last_day: date
    ends_at: datetime
    extended_days: int


def period(terms: Terms, days: int, begun: datetime, outages: Sequence[Outage] = ()) -> Period:
    """The period of ``days`` days, counted from the day after ``begun`` in Brussels.

    An end on a Saturday, Sunday or holiday moves to the next working day where the entry says so. Recorded
    unavailability within the period makes it longer from there by as many days as it lasted in all, begun days in full;
    what falls into the days that were added counts as well.
    """
    first = calendar.local_date(begun) + timedelta(days=1)
    plain = _moved(terms, first + timedelta(days=days - 1))
    extended = 0
    while True:
        last = _moved(terms, plain + timedelta(days=extended))
        end = calendar.begins(last + timedelta(days=1))
        lost = _lost(outages, calendar.begins(first), end) if terms.extended else 0
        if lost == extended:
            return Period(last, end, extended)
        extended = lost


def _moved(terms: Terms, day: date) -> date:
    return calendar.next_working_day(day) if terms.end_moves else day


def _lost(outages: Iterable[Outage], since: datetime, until: datetime) -> int:
    """Days lost to outages between two moments, begun days in full; times that two outages share count once."""
    seconds = 0.0
    reached = since
    for outage in sorted(outages, key=lambda each: each.since):
        begun, ended = max(outage.since, reached), min(outage.until, until)
        if ended > begun:
            seconds += (ended - begun).total_seconds()
            reached = ended
    return math.ceil(seconds / timedelta(days=1).total_seconds())


def acceptance(terms: Terms, noticed: datetime, outages: Sequence[Outage] = ()) -> Period:
    """Until when an offer can be accepted or refused.

    Args:
        terms: of a delivery in consent mode.
        noticed: when the recipient was told; a notice that bounced starts no period.
        outages: recorded unavailability.
    """
    assert terms.acceptance_days is not None, "only an offer has days to accept"
    return period(terms, terms.acceptance_days, noticed, outages)


def reminders(terms: Terms, begun: datetime, running: Period) -> tuple[datetime, ...]:
    """When people are reminded of what waits: in order, each once, at nine in the morning, never after the end.

    Args:
        terms: of the delivery.
        begun: when they were told first.
        running: the period that ends.
    """
    day = calendar.local_date(begun)
    days = {day + timedelta(days=each) for each in terms.remind_after}
    days |= {running.last_day - timedelta(days=each) for each in terms.remind_before}
    return tuple(calendar.at_nine(each) for each in sorted(days) if day < each <= running.last_day)


def address_required(terms: Terms, *, postal: bool) -> bool:
    """Whether a hand-in needs a postal address: whenever some end leads to paper."""
    return postal or any(way is not Fallback.NOTHING for way in terms.fallback.values())
