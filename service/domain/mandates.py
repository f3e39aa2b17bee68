"""Mandates: somebody acts for another. What may be given, how it ends, and what an act under it is worth.

A mandate is given with a code, accepted with it in time, and ends by its last day or at once by either side. Where it
stands follows from its moments and the clock: nothing has to run for it to end.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from service.domain import calendar
from service.domain.errors import Conflict, FieldError, Forbidden, Invalid
from service.domain.identifiers import RecipientId

ACCEPT_DAYS: Final = 14
"""How long the code is good."""
CODE_TRIES: Final = 5
"""How often a mandatary may enter a wrong code before the codes that wait for them are worth nothing."""
MOST_MANDATES: Final = 50
"""How many a mandator may have standing or waiting at once."""
MOST_SENDERS: Final = 50
LONGEST: Final = timedelta(days=100 * 366)
"""How far away a last day may be; a mandate without one goes on until it is revoked."""
NAME_LENGTH: Final = 100
# No 0, 1, I, L, O: nobody mistakes one for another. Ten of 31 are 49 bits.
CODE_ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
CODE_LENGTH: Final = 10


class MandateState(StrEnum):
    """Where a mandate stands.

    - ``given``: its code waits to be accepted.
    - ``accepted``: the mandatary may act.
    - ``revoked``: by either side, before or after it was accepted. The end.
    - ``ended``: its last day is over. The end.
    - ``lapsed``: nobody accepted it in time, or wrong codes were entered too often. The end.
    """

    GIVEN = "given"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    ENDED = "ended"
    LAPSED = "lapsed"


class Side(StrEnum):
    """Who of the two does something."""

    MANDATOR = "mandator"
    MANDATARY = "mandatary"


class Act(StrEnum):
    """What is done to a mandate, or under it; each is written down for both sides to see."""

    GIVEN = "given"
    ACCEPTED = "accepted"
    REVOKED = "revoked"
    OPENED = "opened"
    READ = "document_read"
    ACCEPTED_MAIL = "registered_mail_accepted"
    REFUSED_MAIL = "registered_mail_refused"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a mandatary may do.

    Attributes:
        senders: mail of these organisations only; None for all.
        registered: registered mail too.
        legal_effect: what the mandatary does counts as the mandator's own act. Without it they may read, and no more.
        last_day: in Brussels, counted in; None for until it is revoked.
    """

    senders: frozenset[UUID] | None = None
    registered: bool = False
    legal_effect: bool = False
    last_day: date | None = None

    @property
    def ends_at(self) -> datetime | None:
        """The first moment at which it is over."""
        if self.last_day is None:
            return None
        return datetime.combine(self.last_day + timedelta(days=1), time(), tzinfo=calendar.BRUSSELS)

    def covers(self, sender: UUID, *, registered: bool) -> bool:
        """Whether a delivery is within what was given."""
        return (self.senders is None or sender in self.senders) and (self.registered or not registered)


@dataclass(frozen=True, slots=True)
class Mandate:
    """One mandate by its moments, and how often a wrong code may still be entered for it."""

    terms: Terms
    given_at: datetime
    tries_left: int = CODE_TRIES
    accepted_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_by: Side | None = None

    @property
    def accept_before(self) -> datetime:
        """The first moment at which its code is worth nothing."""
        end = self.given_at + timedelta(days=ACCEPT_DAYS)
        last = self.terms.ends_at
        return end if last is None else min(end, last)

    def state(self, now: datetime) -> MandateState:
        """Where it stands at a moment."""
        if self.revoked_at is not None:
            return MandateState.REVOKED
        if self.accepted_at is None:
            good = self.tries_left > 0 and now < self.accept_before
            return MandateState.GIVEN if good else MandateState.LAPSED
        last = self.terms.ends_at
        return MandateState.ACCEPTED if last is None or now < last else MandateState.ENDED


def give(mandator: RecipientId, mandatary: RecipientId, terms: Terms, now: datetime) -> Mandate:
    """A mandate as it begins.

    Raises:
        Invalid: to oneself, for a last day that is over or too far away, or for no sender at all; with pointers.
    """
    found = []
    if mandatary == mandator:
        found.append(FieldError("/mandatary/id", "mandate_to_oneself", "Nobody needs a mandate from themselves."))
    if terms.last_day is not None and terms.last_day < calendar.local_date(now):
        found.append(FieldError("/last_day", "last_day_over", "The last day of the mandate is over."))
    if terms.last_day is not None and terms.last_day > calendar.local_date(now) + LONGEST:
        found.append(FieldError("/last_day", "last_day_far", "The last day of the mandate is too far away."))
    if terms.senders is not None and not 1 <= len(terms.senders) <= MOST_SENDERS:
        detail = f"A mandate is for all senders, or for 1 to {MOST_SENDERS} of them."
        found.append(FieldError("/senders", "mandate_senders", detail))
    if found:
        raise Invalid("The mandate can't be given like this.", code="mandate_invalid", errors=found)
    return Mandate(terms, now)


def accept(mandate: Mandate, now: datetime) -> Mandate:
    """The mandate once its code was entered.

    Raises:
        Conflict: ``mandate_not_waiting``, it was accepted or revoked before, or its time is over.
    """
    if mandate.state(now) is not MandateState.GIVEN:
        raise Conflict("This mandate does not wait to be accepted.", code="mandate_not_waiting")
    return replace(mandate, accepted_at=now)


def revoke(mandate: Mandate, by: Side, now: datetime) -> Mandate:
    """The mandate once one side ended it; what is over already stays as it is."""
    if mandate.state(now) not in {MandateState.GIVEN, MandateState.ACCEPTED}:
        return mandate
    return replace(mandate, revoked_at=now, revoked_by=by)


def require_standing(mandate: Mandate, now: datetime) -> None:
    """Pass a mandate under which something may be done.

    Raises:
        Forbidden: ``mandate_over``.
    """
    if mandate.state(now) is not MandateState.ACCEPTED:
        raise Forbidden("This mandate is over, or was never accepted.", code="mandate_over")


def require_effect(terms: Terms) -> None:
    """Pass a mandate whose acts count as the mandator's own.

    Raises:
        Forbidden: ``mandate_without_effect``.
    """
    if not terms.legal_effect:
        raise Forbidden("This mandate is for reading only.", code="mandate_without_effect")


def written(code: str) -> str:
    """A code as people read it: two groups of five."""
    half = CODE_LENGTH // 2
    return f"{code[:half]}-{code[half:]}"


def read_code(text: str) -> str:
    """What somebody typed, as the code it means: without spaces and hyphens, in capitals."""
    return "".join(each for each in text.upper() if each in CODE_ALPHABET)
