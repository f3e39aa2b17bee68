"""Queries over lists of letters that must not go out any more."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.db.base import among
from service.db.models import PrintBatch
from service.db.post_models import PrintPull, PrintPullLetter


def next_number(session: Session, batch: uuid.UUID) -> int:
    """The number of a batch's next list; its caller holds the batch."""
    return 1 + (session.scalar(select(func.max(PrintPull.number)).where(PrintPull.batch_id == batch)) or 0)


def add(session: Session, pull: PrintPull, letters: Sequence[dict[str, Any]]) -> None:
    """Write a list and its letters."""
    session.add(pull)
    session.flush()
    session.add_all(PrintPullLetter(pull_id=pull.id, **each) for each in letters)
    session.flush()


def unsent(session: Session, *, limit: int) -> list[uuid.UUID]:
    """The lists that the print house was not given yet, oldest first."""
    query = select(PrintPull.id).where(PrintPull.sent_at.is_(None), PrintPull.answered_at.is_(None))
    return list(session.scalars(query.order_by(PrintPull.ordered_at).limit(limit)))


def one(session: Session, pull: uuid.UUID, *, lock: bool = False) -> tuple[PrintPull, PrintBatch] | None:
    """A list and its batch."""
    found = session.get(PrintPull, pull, with_for_update=lock, populate_existing=True)
    batch = None if found is None else session.get(PrintBatch, found.batch_id)
    return None if found is None or batch is None else (found, batch)


def by_number(session: Session, printer: str, batch: int, number: int) -> PrintPull | None:
    """A list by its batch's number and its own, locked."""
    query = (
        select(PrintPull)
        .join(PrintBatch, PrintBatch.id == PrintPull.batch_id)
        .where(PrintPull.printer == printer, PrintBatch.number == batch, PrintPull.number == number)
    )
    return session.scalars(query.with_for_update(of=PrintPull)).one_or_none()


def letters(session: Session, pulls: Collection[uuid.UUID]) -> Sequence[PrintPullLetter]:
    """The letters of these lists."""
    query = select(PrintPullLetter).where(among(PrintPullLetter.pull_id, pulls))
    return session.scalars(query.order_by(PrintPullLetter.pull_id, PrintPullLetter.delivery_id)).all()


def of_deliveries(session: Session, deliveries: Collection[uuid.UUID]) -> set[tuple[uuid.UUID, int, int]]:
    """The letters of these deliveries that are on a list already: delivery, leg, attempt."""
    return {(row.delivery_id, row.leg, row.attempt) for row in asked(session, deliveries)}


def asked(session: Session, deliveries: Collection[uuid.UUID]) -> Sequence[PrintPullLetter]:
    """What was asked to be taken out of these deliveries' letters."""
    return session.scalars(select(PrintPullLetter).where(among(PrintPullLetter.delivery_id, deliveries))).all()


def newest(session: Session, *, limit: int) -> Sequence[tuple[PrintPull, PrintBatch]]:
    """The newest lists with their batches."""
    query = select(PrintPull, PrintBatch).join(PrintBatch, PrintBatch.id == PrintPull.batch_id)
    return [(pull, batch) for pull, batch in session.execute(query.order_by(PrintPull.ordered_at.desc()).limit(limit))]
