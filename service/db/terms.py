"""Queries over running periods, and over the times in which the service could not be used."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from service.db.models import OutageRow, Term
from service.db.writing import GIVEN, Part, write

RUN: Final = Part(
    "term_set",
    f"""
    INSERT INTO term (delivery_id, leg, organisation_id, next_at, handled_at)
    SELECT delivery_id, leg, organisation_id, next_at, handled_at FROM {GIVEN}
    ON CONFLICT (delivery_id, leg) DO UPDATE SET next_at = excluded.next_at, handled_at = excluded.handled_at
    """,  # noqa: S608  no value is ever put into the text
    (
        ("delivery_id", "uuid"),
        ("leg", "smallint"),
        ("organisation_id", "uuid"),
        ("next_at", "timestamptz"),
        ("handled_at", "timestamptz"),
    ),
)


@dataclass(frozen=True, slots=True)
class Running:
    """A running period as it is kept.

    Attributes:
        next_at: when the clock has something to do.
        handled_at: up to when the clock has done what there was to do.
    """

    delivery_id: uuid.UUID
    leg: int
    organisation_id: uuid.UUID
    next_at: datetime
    handled_at: datetime


def run(session: Session, periods: Collection[Running]) -> None:
    """Begin periods, or set when the clock looks at them next."""
    write(session, (RUN, [{name: getattr(each, name) for name in RUN.names} for each in periods]))


def due(session: Session, *, now: datetime, limit: int) -> Sequence[Term]:
    """Periods with something to do; those that another scheduler looks at are left to it."""
    query = select(Term).where(Term.next_at <= now).order_by(Term.next_at).limit(limit)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def stop(session: Session, places: Collection[tuple[uuid.UUID, int]]) -> None:
    """End periods."""
    for delivery_id, leg in places:
        session.execute(delete(Term).where(Term.delivery_id == delivery_id, Term.leg == leg))


def outages(session: Session, *, since: datetime) -> Sequence[OutageRow]:
    """What was recorded of times after a moment, oldest first."""
    return session.scalars(select(OutageRow).where(OutageRow.until > since).order_by(OutageRow.since)).all()


def record_outage(session: Session, row: OutageRow) -> int:
    """Keep an outage, and let the clock look at every period that may have become longer; how many those are."""
    session.add(row)
    session.flush()
    return session.execute(_LOOK_AGAIN, {"until": row.until}).rowcount  # type: ignore[attr-defined, no-any-return]


_LOOK_AGAIN: Final = text("UPDATE term SET next_at = clock_timestamp() WHERE handled_at < :until")
