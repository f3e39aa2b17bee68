"""Rows of a recovery: that it is open, and what receipts told that the restored database does not know."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ARRAY, Integer, SmallInteger, Uuid, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base, among
from service.db.models import DeliveryRow, PrintBatch, Submission
from service.db.signatures import SignatureRequestRow

LETTER: Final = "letter"
NOTICE: Final = "notice"
_CHUNK: Final = 5_000


class Recovery(Base):
    """A database that was restored; until a person confirms it, nothing goes out."""

    __tablename__ = "recovery"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    begun_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    begun_by: Mapped[str]
    reason: Mapped[str]
    pauses: Mapped[list[uuid.UUID]] = mapped_column(ARRAY(Uuid))
    confirmed_at: Mapped[datetime | None]
    confirmed_by: Mapped[str | None]


class GoneOut(Base):
    """A letter or notice that went out, by its receipt; the database of that time is lost."""

    __tablename__ = "gone_out"
    what: Mapped[str] = mapped_column(primary_key=True)
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    leg: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    attempt: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    at: Mapped[datetime]
    batch_id: Mapped[uuid.UUID | None]
    sequence: Mapped[int | None] = mapped_column(Integer)
    set_number: Mapped[int | None]


def opened(session: Session) -> Recovery | None:
    """The recovery that is open, if one is."""
    return session.scalar(select(Recovery).where(Recovery.confirmed_at.is_(None)))


def begin(session: Session, values: Mapping[str, Any]) -> bool:
    """Open a recovery; False when one is open already."""
    made = insert(Recovery).values(dict(values)).on_conflict_do_nothing().returning(Recovery.id)
    return session.scalar(made) is not None


def confirm(session: Session, recovery_id: uuid.UUID, *, now: datetime, actor: str) -> None:
    """Close a recovery."""
    session.execute(update(Recovery).where(Recovery.id == recovery_id).values(confirmed_at=now, confirmed_by=actor))


def add_gone(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep what went out; what is known already stays as it is."""
    for start in range(0, len(rows), _CHUNK):
        session.execute(insert(GoneOut).on_conflict_do_nothing(), [dict(row) for row in rows[start : start + _CHUNK]])


def gone(session: Session, what: str, deliveries: Collection[uuid.UUID]) -> list[GoneOut]:
    """What of these deliveries went out before the restore."""
    if not deliveries:
        return []
    query = select(GoneOut).where(GoneOut.what == what, among(GoneOut.delivery_id, deliveries))
    return list(session.scalars(query))


def every_gone(session: Session) -> Sequence[GoneOut]:
    """All that receipts told, oldest first."""
    return session.scalars(select(GoneOut).order_by(GoneOut.at, GoneOut.sequence)).all()


def known_batches(session: Session, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these batches that the database has."""
    return set(session.scalars(select(PrintBatch.id).where(PrintBatch.id.in_(ids)))) if ids else set()


def batches(session: Session, ids: Collection[uuid.UUID]) -> Sequence[PrintBatch]:
    """These batches."""
    return session.scalars(select(PrintBatch).where(PrintBatch.id.in_(ids))).all()


def skip_numbers(session: Session, beyond: int, *, more: int) -> int:
    """Use up batch numbers, so that none that went out comes again; the last one used up."""
    last = int(session.scalar(text("SELECT nextval('print_batch_number')")) or 0)
    count = max(0, beyond - last) + more
    used = text("SELECT max(nextval('print_batch_number')) FROM generate_series(1, :count)")
    return int(session.scalar(used, {"count": count}) or 0)


def skip_sets(session: Session, *, more: int) -> None:
    """Use up numbers of letters' sheets, so that none that stands on paper comes again."""
    session.execute(text("SELECT max(nextval('print_set')) FROM generate_series(1, :more)"), {"more": more})


def known_subjects(session: Session, ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these ids that are a delivery, a signature request, a submission or a batch of the database."""
    known: set[uuid.UUID] = set()
    for column in (DeliveryRow.id, SignatureRequestRow.id, Submission.id, PrintBatch.id):
        known.update(session.scalars(select(column).where(column.in_(ids))))
    return known


def newest_delivery(session: Session) -> uuid.UUID | None:
    """The delivery that was handed in last, as far as the transaction sees."""
    return session.scalar(select(DeliveryRow.id).order_by(DeliveryRow.id.desc()).limit(1))


def assign(session: Session, rows: Sequence[GoneOut]) -> None:
    """Put letters that went out into their batch, at their place, with the numbers that stand on their sheets.

    Of letters that shared an envelope the first one has its number.
    """
    session.execute(
        text(
            """
            UPDATE print_letter
            SET batch_id = given.batch, sequence = given.sequence, share_key = NULL, envelope_product = NULL,
                set_number = CASE WHEN given.sequence = inside.first THEN given.number ELSE set_number END,
                envelope_set = CASE WHEN inside.letters > 1 THEN given.number END
            FROM unnest(CAST(:deliveries AS uuid[]), CAST(:legs AS smallint[]), CAST(:attempts AS smallint[]),
                        CAST(:batches AS uuid[]), CAST(:sequences AS integer[]), CAST(:numbers AS bigint[]))
                 AS given(delivery_id, leg, attempt, batch, sequence, number),
                 LATERAL (SELECT min(sequence) AS first, count(*) AS letters FROM gone_out
                          WHERE batch_id = given.batch AND set_number = given.number) AS inside
            WHERE print_letter.delivery_id = given.delivery_id AND print_letter.leg = given.leg
              AND print_letter.attempt = given.attempt AND print_letter.batch_id IS NULL
            """
        ),
        {
            "deliveries": [row.delivery_id for row in rows],
            "legs": [row.leg for row in rows],
            "attempts": [row.attempt for row in rows],
            "batches": [row.batch_id for row in rows],
            "sequences": [row.sequence for row in rows],
            "numbers": [row.set_number for row in rows],
        },
    )
