"""Which deliveries' seals must be renewed, and when."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base
from service.db.writing import GIVEN, Part, write


class Archive(Base):
    """That the seals of a delivery must be renewed before a moment; ``failed`` says why they never will be."""

    __tablename__ = "archive"
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    renew_at: Mapped[datetime]
    failed: Mapped[str | None]


_PUT: Final = Part(
    "archive",
    f"""
    INSERT INTO archive (delivery_id, organisation_id, renew_at)
    SELECT delivery_id, organisation_id, renew_at FROM {GIVEN}
    ON CONFLICT (delivery_id) DO UPDATE SET renew_at = excluded.renew_at, failed = NULL
    """,  # noqa: S608  no value is ever put into the text
    (("delivery_id", "uuid"), ("organisation_id", "uuid"), ("renew_at", "timestamptz")),
)


def renew_by(session: Session, moments: Mapping[uuid.UUID, tuple[uuid.UUID, datetime]]) -> None:
    """Write down until when the seals of deliveries must be renewed: by delivery its organisation and the moment."""
    rows = [
        {"delivery_id": delivery, "organisation_id": organisation, "renew_at": moment}
        for delivery, (organisation, moment) in moments.items()
    ]
    if rows:
        write(session, (_PUT, rows), keys={row["delivery_id"] for row in rows})


def due(session: Session, *, now: datetime, limit: int) -> Sequence[tuple[uuid.UUID, uuid.UUID]]:
    """Delivery and organisation of the seals that are to be renewed now, the most urgent first."""
    query = text(
        "SELECT delivery_id, organisation_id FROM archive WHERE renew_at <= :now AND failed IS NULL"
        " ORDER BY renew_at LIMIT :limit"
    )
    return [(row.delivery_id, row.organisation_id) for row in session.execute(query, {"now": now, "limit": limit})]


def forget(session: Session, deliveries: Collection[uuid.UUID]) -> None:
    """There is nothing left of these deliveries that could be renewed."""
    if deliveries:
        query = text("DELETE FROM archive WHERE delivery_id = ANY(CAST(:ids AS uuid[]))")
        session.execute(query, {"ids": list(deliveries)})


def fail(session: Session, delivery: uuid.UUID, code: str) -> None:
    """The seals of this delivery can't be renewed; a person must look at it."""
    session.execute(text("UPDATE archive SET failed = :code WHERE delivery_id = :id"), {"code": code, "id": delivery})


def overdue(session: Session, *, before: datetime) -> int:
    """How many deliveries' seals failed to be renewed, or should have been before that moment; up to 10000."""
    query = text(
        "SELECT (SELECT count(*) FROM (SELECT FROM archive WHERE failed IS NOT NULL LIMIT 10000) a)"
        " + (SELECT count(*) FROM (SELECT FROM archive WHERE failed IS NULL AND renew_at < :before LIMIT 10000) b)"
    )
    return int(session.scalar(query, {"before": before}) or 0)
