"""Queries over letters and print batches. A transaction that handles letters sees all senders: a batch mixes them."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.db.models import Organisation, PrintBatch, PrintCutoff, PrintLetter

# One batch is frozen at a time: two that close at once would share letters.
FREEZE_LOCK = 2053467748_20


def every_organisation(session: Session) -> list[uuid.UUID]:
    """The ids of all organisations."""
    return list(session.scalars(select(Organisation.id)))


def lock_freezing(session: Session) -> bool:
    """Be the one that freezes batches, until the transaction ends; False when somebody else is."""
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(FREEZE_LOCK))))


def queue(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Queue composed letters, each with a number for its sheets' codes; one that is queued already stays as it is."""
    if rows:
        numbers = text("SELECT nextval('print_set') FROM generate_series(1, :count)")
        sets = session.scalars(numbers, {"count": len(rows)})
        given = [dict(row) | {"set_number": number} for row, number in zip(rows, sets, strict=True)]
        session.execute(insert(PrintLetter).on_conflict_do_nothing(), given)


def next_number(session: Session) -> int:
    """A batch number that was never given before."""
    return int(session.scalar(text("SELECT nextval('print_batch_number')")))


def freeze(session: Session, batch: PrintBatch, letters: Sequence[PrintLetter]) -> None:
    """Write a batch and its letters in their order; from here on neither changes."""
    session.add(batch)
    session.flush()
    statement = text(
        """
        UPDATE print_letter SET batch_id = :batch, sequence = given.sequence
        FROM unnest(CAST(:deliveries AS uuid[]), CAST(:legs AS smallint[]), CAST(:attempts AS smallint[]))
             WITH ORDINALITY AS given(delivery_id, leg, attempt, sequence)
        WHERE print_letter.delivery_id = given.delivery_id AND print_letter.leg = given.leg
          AND print_letter.attempt = given.attempt
        """
    )
    session.execute(
        statement,
        {
            "batch": batch.id,
            "deliveries": [letter.delivery_id for letter in letters],
            "legs": [letter.leg for letter in letters],
            "attempts": [letter.attempt for letter in letters],
        },
    )


def letters(session: Session, batch_id: uuid.UUID) -> Sequence[PrintLetter]:
    """The letters of a batch in their order."""
    query = select(PrintLetter).where(PrintLetter.batch_id == batch_id).order_by(PrintLetter.sequence)
    return session.scalars(query).all()


def batch(session: Session, batch_id: uuid.UUID, *, lock: bool = False) -> PrintBatch | None:
    """A batch by id."""
    return session.get(PrintBatch, batch_id, with_for_update=lock, populate_existing=True)


def batches(session: Session, *, limit: int) -> Sequence[PrintBatch]:
    """The newest batches."""
    return session.scalars(select(PrintBatch).order_by(PrintBatch.number.desc()).limit(limit)).all()


def save_content(
    session: Session, batch_id: uuid.UUID, *, path: str, sha256: bytes, size: int, pages: int, sheets: int
) -> bool:
    """Freeze a batch's bytes; False when they were frozen before."""
    result = session.execute(
        update(PrintBatch)
        .where(PrintBatch.id == batch_id, PrintBatch.path.is_(None))
        .values(path=path, sha256=sha256, size=size, pages=pages, sheets=sheets)
        .execution_options(synchronize_session=False)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def mark(session: Session, batch_id: uuid.UUID, state: str, *, now: datetime) -> None:
    """Say that a batch was uploaded, or handed over."""
    column = {"uploaded": PrintBatch.uploaded_at, "handed_over": PrintBatch.handed_over_at}[state]
    session.execute(
        update(PrintBatch)
        .where(PrintBatch.id == batch_id)
        .values({PrintBatch.state: state, column: func.coalesce(column, now)})
        .execution_options(synchronize_session=False)
    )


def withdraw(session: Session, deliveries: Collection[uuid.UUID]) -> None:
    """Letters of cancelled deliveries leave the queue; those in a batch can't."""
    session.execute(
        text("DELETE FROM print_letter WHERE batch_id IS NULL AND delivery_id = ANY(CAST(:ids AS uuid[]))"),
        {"ids": list(deliveries)},
    )


def take_cutoff(session: Session, provider: str, *, now: datetime, next_at: datetime) -> bool:
    """Whether a cut-off has come; if so the next one is set, so that only one scheduler acts on it."""
    session.execute(insert(PrintCutoff).values(provider=provider, next_at=next_at).on_conflict_do_nothing())
    result = session.execute(
        update(PrintCutoff)
        .where(PrintCutoff.provider == provider, PrintCutoff.next_at <= now)
        .values(next_at=next_at)
        .execution_options(synchronize_session=False)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]
