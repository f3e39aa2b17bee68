"""Queries over pictures of posting proofs, receipts and returned letters."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.db.base import among
from service.db.post_models import PrintScan


def add(session: Session, values: dict[str, Any]) -> bool:
    """Append a picture; False when the leg has it already."""
    statement = insert(PrintScan).values(**values).on_conflict_do_nothing().returning(PrintScan.id)
    return session.scalar(statement) is not None


def of(session: Session, deliveries: Collection[uuid.UUID]) -> Sequence[PrintScan]:
    """The pictures of these deliveries' letters, oldest first."""
    query = select(PrintScan).where(among(PrintScan.delivery_id, deliveries))
    return session.scalars(query.order_by(PrintScan.delivery_id, PrintScan.at, PrintScan.id)).all()


def digests(session: Session, deliveries: Collection[uuid.UUID]) -> dict[tuple[uuid.UUID, int], dict[str, str]]:
    """The SHA-256 of the first picture of each kind, in lower-case hexadecimal, by delivery and leg."""
    found: dict[tuple[uuid.UUID, int], dict[str, str]] = {}
    for row in of(session, deliveries):
        found.setdefault((row.delivery_id, row.leg), {}).setdefault(row.what, bytes(row.sha256).hex())
    return found
