"""Limits of organisations: how many requests, and how much they may hand in on a day.

The defaults are generous: they stop a program that has gone wild, not a sender at work. What differs for an
organisation is a row that whoever runs the service writes (``zending organisations limits``).
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db import quotas
from service.db.jobs import Lane
from service.db.models import Client, Staff
from service.domain.errors import Invalid, QuotaExceeded
from service.usecases.context import Context
from service.usecases.personal import PLATFORM

REQUESTS_PER_SECOND: Final = 500
BURST: Final = 5_000
DAILY_DELIVERIES: Final = 2_000_000
DAILY_BYTES: Final = 1 << 40
INTERACTIVE_PER_MINUTE: Final = 10
_NAMES: Final = ("requests_per_second", "burst", "daily_deliveries", "daily_bytes", "interactive_per_minute")
_NEVER_NONE: Final = ("requests_per_second", "burst")
_HIGHEST: Final = {"requests_per_second": 100_000, "burst": 1_000_000, "interactive_per_minute": 1_000}


class DeliveryQuota(QuotaExceeded):
    """The organisation has handed in as many deliveries, or bytes, as it may on a day."""

    code = "delivery_quota"
    sentence = "Your organisation has handed in as much as its daily quota allows."


@dataclass(frozen=True, slots=True)
class Limits:
    """What an organisation may do.

    Attributes:
        requests_per_second: of each of its programs and people, in the long run.
        burst: how many requests may come at once after a pause.
        daily_deliveries: deliveries on a day in Brussels.
        daily_bytes: bytes of their documents.
        interactive_per_minute: deliveries that its programs may put into the lane of clerks' letters in a minute.
    """

    requests_per_second: int = REQUESTS_PER_SECOND
    burst: int = BURST
    daily_deliveries: int = DAILY_DELIVERIES
    daily_bytes: int = DAILY_BYTES
    interactive_per_minute: int = INTERACTIVE_PER_MINUTE


DEFAULTS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether who was given a token may still act by it, and how often."""

    active: bool
    limits: Limits


def limits(session: Session, organisation: uuid.UUID) -> Limits:
    """What an organisation may do now; the transaction must see its rows."""
    row = quotas.limits(session, organisation)
    if row is None:
        return DEFAULTS
    own = {name: value for name in _NAMES if (value := getattr(row, name)) is not None}
    return Limits(**own)


def set_limits(session: Session, organisation: uuid.UUID, **values: int | None) -> Limits:
    """Change these limits of an organisation; None gives it the default again.

    Raises:
        Invalid: ``limit_invalid``, a number out of its range.
    """
    for name, value in values.items():
        least = 1 if name in _NEVER_NONE else 0
        if name not in _NAMES or (value is not None and not least <= value <= _HIGHEST.get(name, 1 << 60)):
            raise Invalid(f"The limit {name} can't be that.", code="limit_invalid")
    quotas.set_limits(session, organisation, values)
    return limits(session, organisation)


def admit(context: Context, organisation: uuid.UUID, deliveries: int, size: int) -> None:
    """Look whether this much may still be handed in today, before the work is done; ``count`` it once it is true.

    Mostly answered from this process's own count, see ``Meter``; opens a transaction of its own where it is not.

    Raises:
        DeliveryQuota: it may not; ``retry_after`` says when the next day begins.
    """

    def read() -> quotas.Day:
        with context.database.transaction(organisations=[organisation]) as session:
            return quotas.today(session, organisation)

    full = context.meter.admit(organisation, deliveries, size, read=read, fits=_fits)
    if full is not None:
        raise DeliveryQuota(retry_after=max(1, full.seconds_left))


def lane_for(context: Context, organisation: uuid.UUID, deliveries: int) -> Lane:
    """The lane of deliveries for which a program asked for the interactive one; counted at once where it gets it.

    It gets it within its organisation's allowance of this minute, and while programs of all organisations together
    leave room: clerks, whose letters are not counted, never wait behind more than that.
    """
    with context.database.transaction(organisations=[organisation, PLATFORM]) as session:
        own = limits(session, organisation).interactive_per_minute
        if quotas.take_lane(session, organisation, deliveries, own) and quotas.take_lane(
            session, PLATFORM, deliveries, context.limits.interactive
        ):
            return Lane.INTERACTIVE
        session.rollback()
    return Lane.BULK


def count(session: Session, handed_in: Mapping[uuid.UUID, tuple[int, int]]) -> None:
    """Count deliveries and bytes per organisation, in the transaction that makes them true and sees their rows."""
    for organisation, (deliveries, size) in sorted(handed_in.items()):
        day = quotas.add(session, organisation, deliveries, size)
        if day is not None:
            # The first count of a day over a connection tidies up.
            quotas.forget(session, organisation, day - timedelta(days=quotas.KEPT_DAYS))


def _fits(day: quotas.Day, deliveries: int, size: int) -> bool:
    most_deliveries = DAILY_DELIVERIES if day.most_deliveries is None else day.most_deliveries
    most_bytes = DAILY_BYTES if day.most_bytes is None else day.most_bytes
    return deliveries <= most_deliveries and size <= most_bytes


def room(session: Session, organisation: uuid.UUID, deliveries: int, size: int = 0) -> None:
    """Look whether this much may still be handed in today, without counting it.

    Raises:
        DeliveryQuota: it may not; ``retry_after`` says when the next day begins.
    """
    used = quotas.today(session, organisation)
    if not _fits(used, used.deliveries + deliveries, used.bytes + size):
        raise DeliveryQuota(retry_after=max(1, used.seconds_left))


def take(session: Session, organisation: uuid.UUID, deliveries: int, size: int = 0) -> None:
    """Count ``deliveries`` with ``size`` bytes against the day's quota, in the transaction that makes them true.

    What several connections take at the same moment is seen once they commit: the quota may be passed by what they
    carry then, never by more.

    Raises:
        DeliveryQuota: as of ``room``; nothing is counted.
    """
    room(session, organisation, deliveries, size)
    count(session, {organisation: (deliveries, size)})


def standing(context: Context, organisation: uuid.UUID, *, client_id: str | None, subject: str) -> Standing:
    """How a token's bearer stands now.

    Args:
        context: the wired parts.
        organisation: that the token acts for.
        client_id: the program it was given to; None for a person.
        subject: the person, as the identity provider calls them.
    """
    with context.database.transaction(organisations=[organisation]) as session:
        if client_id is not None:
            row = session.get(Client, client_id)
            active = row is not None and row.active and row.organisation_id == organisation
        else:
            acts = select(Staff.subject).where(
                Staff.subject == subject, Staff.organisation_id == organisation, Staff.active
            )
            active = session.scalar(acts.limit(1)) is not None
        return Standing(active, limits(session, organisation))
