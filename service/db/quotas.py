"""Limits of organisations, and what they have used of a day; the migration is the tables' definition."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Integer, SmallInteger, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base

KEPT_DAYS = 35
"""Days for which a day's use is kept; nothing personal is in it."""


class OrganisationLimit(Base):
    """What differs from the default limits for an organisation; None: the default counts."""

    __tablename__ = "organisation_limit"
    organisation_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    requests_per_second: Mapped[int | None] = mapped_column(Integer)
    burst: Mapped[int | None] = mapped_column(Integer)
    daily_deliveries: Mapped[int | None]
    daily_bytes: Mapped[int | None]
    interactive_per_minute: Mapped[int | None] = mapped_column(Integer)
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())


class QuotaUse(Base):
    """What was handed in on a day over the connections that count in this slot."""

    __tablename__ = "quota_use"
    organisation_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    slot: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    deliveries: Mapped[int]
    bytes: Mapped[int]


class LaneUse(Base):
    """How many deliveries of an organisation's programs went into the interactive lane in its last such minute."""

    __tablename__ = "lane_use"
    organisation_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    minute: Mapped[datetime]
    deliveries: Mapped[int] = mapped_column(Integer)


class LookupHour(Base):
    """How many recipients an organisation asked about in an hour; counted by the database."""

    __tablename__ = "lookup_hour"
    organisation_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    recipients: Mapped[int]


@dataclass(frozen=True, slots=True)
class Day:
    """A day's use by an organisation until now.

    Attributes:
        day: in Brussels.
        seconds_left: until the next day begins.
        most_deliveries: the organisation's own limit; None: the default counts.
        most_bytes: likewise.
    """

    day: date
    deliveries: int
    bytes: int
    seconds_left: int
    most_deliveries: int | None
    most_bytes: int | None


_TODAY = text(
    """
    SELECT today.day, coalesce(sum(used.deliveries), 0), coalesce(sum(used.bytes), 0),
           ceil(extract(epoch FROM (today.day + 1)::timestamp AT TIME ZONE 'Europe/Brussels' - now())),
           most.daily_deliveries, most.daily_bytes
    FROM (SELECT (now() AT TIME ZONE 'Europe/Brussels')::date AS day) AS today
    LEFT JOIN organisation_limit AS most ON most.organisation_id = :organisation
    LEFT JOIN quota_use AS used ON used.organisation_id = :organisation AND used.day = today.day
    GROUP BY today.day, most.daily_deliveries, most.daily_bytes
    """
)
_ADD = text(
    """
    INSERT INTO quota_use AS used (organisation_id, day, slot, deliveries, bytes)
    VALUES (:organisation, (now() AT TIME ZONE 'Europe/Brussels')::date, pg_backend_pid() % 16, :deliveries, :bytes)
    ON CONFLICT (organisation_id, day, slot) DO UPDATE
    SET deliveries = used.deliveries + excluded.deliveries, bytes = used.bytes + excluded.bytes
    RETURNING CASE WHEN used.deliveries = :deliveries THEN used.day END
    """
)


# Whoever waited for the row comes with the minute in which it asked: no earlier minute takes a later one's count away.
_TAKE_LANE = text(
    """
    INSERT INTO lane_use AS used (organisation_id, minute, deliveries)
    SELECT :organisation, date_trunc('minute', clock_timestamp()), CAST(:deliveries AS integer)
    WHERE CAST(:deliveries AS integer) <= CAST(:most AS integer)
    ON CONFLICT (organisation_id) DO UPDATE
    SET minute = greatest(used.minute, excluded.minute),
        deliveries = excluded.deliveries + CASE WHEN used.minute >= excluded.minute THEN used.deliveries ELSE 0 END
    WHERE excluded.deliveries + CASE WHEN used.minute >= excluded.minute THEN used.deliveries ELSE 0 END
          <= CAST(:most AS integer)
    RETURNING organisation_id
    """
)


def take_lane(session: Session, organisation: uuid.UUID, deliveries: int, most: int) -> bool:
    """Count deliveries for the interactive lane, if at most ``most`` go into it in this minute; whether so."""
    values = {"organisation": organisation, "deliveries": deliveries, "most": most}
    return session.scalar(_TAKE_LANE, values) is not None


def limits(session: Session, organisation: uuid.UUID) -> OrganisationLimit | None:
    """What differs from the defaults for an organisation."""
    return session.scalar(select(OrganisationLimit).where(OrganisationLimit.organisation_id == organisation))


def set_limits(session: Session, organisation: uuid.UUID, values: dict[str, int | None]) -> None:
    """Change these limits of an organisation; None gives it the default again."""
    row = {"organisation_id": organisation, **values}
    changed = {**values, "changed_at": func.now()}
    session.execute(
        insert(OrganisationLimit).values(row).on_conflict_do_update(index_elements=["organisation_id"], set_=changed)
    )


def today(session: Session, organisation: uuid.UUID) -> Day:
    """What an organisation has used today."""
    day, deliveries, size, left, *most = session.execute(_TODAY, {"organisation": organisation}).one()
    return Day(day, int(deliveries), int(size), int(left), *most)


def add(session: Session, organisation: uuid.UUID, deliveries: int, size: int) -> date | None:
    """Add to today's use; the day where this was the first of its slot, else None."""
    values = {"organisation": organisation, "deliveries": deliveries, "bytes": size}
    day: date | None = session.scalar(_ADD, values)
    return day


def forget(session: Session, organisation: uuid.UUID, before: date) -> None:
    """Remove an organisation's days before ``before``."""
    session.execute(delete(QuotaUse).where(QuotaUse.organisation_id == organisation, QuotaUse.day < before))
