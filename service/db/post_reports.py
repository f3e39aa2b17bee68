"""Queries over what print houses and the post report. A transaction that takes reports in sees all senders."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.db.base import among
from service.db.models import PrintBatch, PrintLetter
from service.db.post_models import PrintBatchReport, PrintException, PrintInbound, PrintReport, PrintReturn
from service.db.writing import insertion, write

_REPORTS: Final = insertion(PrintReport, conflict="ON CONFLICT (printer, statement) DO NOTHING RETURNING statement")
_RETURNS: Final = insertion(
    PrintReturn,
    *("delivery_id", "leg", "organisation_id", "cause", "returned_at", "decision", "decided_by", "decided_at"),
    conflict="ON CONFLICT (delivery_id, leg) DO NOTHING",
)
_EXCEPTIONS: Final = insertion(
    PrintException,
    *("id", "printer", "statement", "code", "letter", "batch", "detail", "at", "inbound_id"),
    conflict="ON CONFLICT (printer, code, statement) DO NOTHING RETURNING id",
)


@dataclass(frozen=True, slots=True)
class SentLetter:
    """A letter that is in a batch: of which attempt (counted from 1), whose, and what is known of it.

    ``has_copy`` is False once its copy was let go of, and it is only known because others lie in its envelope.
    """

    delivery_id: uuid.UUID
    leg: int
    attempt: int
    sheets: int
    sha256: bytes
    batch: PrintBatch
    envelope_set: int | None = None
    set_number: int | None = None
    has_copy: bool = True


# ---------------------------------------------------------------- what came in
def inbound(session: Session, inbound_id: uuid.UUID, *, lock: bool = False) -> PrintInbound | None:
    """What came in, by id."""
    return session.get(PrintInbound, inbound_id, with_for_update=lock, populate_existing=True)


def inbound_by_digest(session: Session, printer: str, sha256: bytes) -> PrintInbound | None:
    """What came in before with the same bytes."""
    query = select(PrintInbound).where(PrintInbound.printer == printer, PrintInbound.sha256 == sha256)
    return session.scalars(query).one_or_none()


def keep(session: Session, row: PrintInbound) -> bool:
    """Write down that something came in; False when the same bytes are there already."""
    columns = ("id", "printer", "name", "sha256", "size", "received_at", "path", "state")
    values = {name: getattr(row, name) for name in columns}
    made = session.scalar(insert(PrintInbound).values(**values).on_conflict_do_nothing().returning(PrintInbound.id))
    return made is not None


def waiting(session: Session, *, now: datetime, limit: int) -> list[uuid.UUID]:
    """What is kept and was not taken in yet, oldest first."""
    query = select(PrintInbound.id).where(
        PrintInbound.state == "kept", (PrintInbound.next_at.is_(None)) | (PrintInbound.next_at <= now)
    )
    return list(session.scalars(query.order_by(PrintInbound.received_at).limit(limit)))


def inbounds(session: Session, *, batch: int | None = None, limit: int) -> Sequence[PrintInbound]:
    """What came in last."""
    query = select(PrintInbound)
    if batch is not None:
        query = query.where(PrintInbound.batch == batch)
    return session.scalars(query.order_by(PrintInbound.received_at.desc()).limit(limit)).all()


def inbounds_about(session: Session, batches: Collection[int]) -> Sequence[PrintInbound]:
    """What came in and was taken in about batches, or other parcels, by their numbers; the first first."""
    query = select(PrintInbound).where(PrintInbound.batch.in_(batches), PrintInbound.state == "taken")
    return session.scalars(query.order_by(PrintInbound.received_at)).all()


def inbound_over(session: Session, *, before: datetime, limit: int) -> Sequence[PrintInbound]:
    """What was taken in or refused before that moment and whose bytes are still kept, locked."""
    query = select(PrintInbound).where(PrintInbound.taken_at < before, PrintInbound.path.is_not(None))
    return session.scalars(query.order_by(PrintInbound.taken_at).limit(limit).with_for_update(skip_locked=True)).all()


# ---------------------------------------------------------------- letters and what is said of them
def sent(session: Session, deliveries: Collection[uuid.UUID]) -> dict[tuple[uuid.UUID, int], list[SentLetter]]:
    """The letters of these deliveries that are in a batch, by delivery and leg, first attempt first."""
    query = (
        select(PrintLetter, PrintBatch)
        .join(PrintBatch, PrintBatch.id == PrintLetter.batch_id)
        .where(among(PrintLetter.delivery_id, deliveries))
        .order_by(PrintLetter.delivery_id, PrintLetter.leg, PrintLetter.attempt)
    )
    found: dict[tuple[uuid.UUID, int], list[SentLetter]] = {}
    for letter, batch in session.execute(query):
        found.setdefault((letter.delivery_id, letter.leg), []).append(_sent(letter, batch))
    return found


def ordered(session: Session, deliveries: Collection[uuid.UUID]) -> dict[tuple[uuid.UUID, int], int]:
    """The newest attempt (counted from 1) that was ordered of each letter of these deliveries, in a batch or not."""
    query = select(PrintLetter.delivery_id, PrintLetter.leg, func.max(PrintLetter.attempt) + 1)
    query = query.where(among(PrintLetter.delivery_id, deliveries))
    rows = session.execute(query.group_by(PrintLetter.delivery_id, PrintLetter.leg))
    return {(delivery, leg): attempt for delivery, leg, attempt in rows}


def of_sets(session: Session, numbers: Collection[int]) -> dict[int, list[SentLetter]]:
    """The letters whose sheets have one of these numbers in their codes, by number, in their order, if in a batch.

    A letter that goes in another one's envelope has that one's number on its sheets: its own was never printed.
    """
    # Two indexes answer this; by coalesce(…) row-level security would let none.
    shared = among(PrintLetter.envelope_set, numbers)
    alone = PrintLetter.envelope_set.is_(None) & among(PrintLetter.set_number, numbers)
    query = (
        select(PrintLetter, PrintBatch)
        .join(PrintBatch, PrintBatch.id == PrintLetter.batch_id)
        .where(shared | alone)
        .order_by(PrintLetter.sequence)
    )
    found: dict[int, list[SentLetter]] = {}
    for letter, batch in session.execute(query):
        found.setdefault(int(letter.envelope_set or letter.set_number or 0), []).append(_sent(letter, batch))
    return found


def shared(session: Session, batch_id: uuid.UUID) -> dict[int, list[SentLetter]]:
    """The letters of a batch that share envelopes, by the number of the envelope, in their order."""
    query = (
        select(PrintLetter, PrintBatch)
        .join(PrintBatch, PrintBatch.id == PrintLetter.batch_id)
        .where(PrintLetter.batch_id == batch_id, PrintLetter.envelope_set.is_not(None))
        .order_by(PrintLetter.sequence)
    )
    found: dict[int, list[SentLetter]] = {}
    for letter, batch in session.execute(query):
        found.setdefault(int(letter.envelope_set or 0), []).append(_sent(letter, batch))
    return found


def _sent(letter: PrintLetter, batch: PrintBatch) -> SentLetter:
    return SentLetter(
        letter.delivery_id, letter.leg, letter.attempt + 1, letter.sheets, bytes(letter.sha256), batch,
        letter.envelope_set, letter.set_number, bool(letter.path),
    )  # fmt: skip


def add(session: Session, given: Sequence[dict[str, Any]]) -> set[str]:
    """Append what is said of letters; the statements that were not there yet."""
    return {row.statement for row in write(session, (_REPORTS, given))}


def stated(session: Session, printer: str, statements: Collection[str]) -> dict[str, PrintReport]:
    """What a print house said before, by its statements."""
    query = select(PrintReport).where(PrintReport.printer == printer, among(PrintReport.statement, statements))
    return {row.statement: row for row in session.scalars(query)}


def reports(session: Session, deliveries: Collection[uuid.UUID]) -> dict[tuple[uuid.UUID, int], list[PrintReport]]:
    """Everything that is said of the letters of these deliveries, by delivery and leg, in the order of its times."""
    query = (
        select(PrintReport)
        .where(among(PrintReport.delivery_id, deliveries))
        .order_by(PrintReport.at, PrintReport.printer, PrintReport.statement)
    )
    found: dict[tuple[uuid.UUID, int], list[PrintReport]] = {}
    for row in session.scalars(query):
        found.setdefault((row.delivery_id, row.leg), []).append(row)
    return found


def add_returns(session: Session, given: Sequence[dict[str, Any]]) -> None:
    """Write down that letters came back; what is known already stays as it is."""
    write(session, (_RETURNS, given))


def returns(session: Session, deliveries: Collection[uuid.UUID]) -> dict[tuple[uuid.UUID, int], PrintReturn]:
    """The letters of these deliveries that came back."""
    query = select(PrintReturn).where(among(PrintReturn.delivery_id, deliveries))
    return {(row.delivery_id, row.leg): row for row in session.scalars(query)}


# ---------------------------------------------------------------- batches
def batch_by_number(session: Session, number: int) -> PrintBatch | None:
    """A batch by its number."""
    return session.scalars(select(PrintBatch).where(PrintBatch.number == number)).one_or_none()


def add_batch_report(session: Session, values: dict[str, Any]) -> bool:
    """Append what is said of a batch; False when it was said before."""
    statement = insert(PrintBatchReport).values(**values).on_conflict_do_nothing()
    return session.scalar(statement.returning(PrintBatchReport.batch_id)) is not None


def batch_reports(session: Session, batches: Collection[uuid.UUID]) -> Sequence[PrintBatchReport]:
    """What is said of these batches."""
    query = select(PrintBatchReport).where(among(PrintBatchReport.batch_id, batches))
    return session.scalars(query.order_by(PrintBatchReport.received_at)).all()


# ---------------------------------------------------------------- what does not fit
def add_exceptions(session: Session, given: Sequence[dict[str, Any]]) -> int:
    """Append what does not fit; what is there already stays as it is."""
    return len(write(session, (_EXCEPTIONS, given)))


def exceptions(session: Session, *, every: bool = False, limit: int) -> Sequence[PrintException]:
    """What nobody has seen yet, oldest first; or what there is, newest first."""
    query = select(PrintException)
    if every:
        query = query.order_by(PrintException.at.desc())
    else:
        query = query.where(PrintException.seen_at.is_(None)).order_by(PrintException.at)
    return session.scalars(query.limit(limit)).all()


def see(session: Session, exceptions: Collection[uuid.UUID], *, by: str, now: datetime) -> int:
    """Say that somebody looked at these; how many had not been seen."""
    result = session.execute(
        update(PrintException)
        .where(among(PrintException.id, exceptions), PrintException.seen_at.is_(None))
        .values(seen_by=by, seen_at=now)
        .execution_options(synchronize_session=False)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


def exceptions_about(session: Session, letters: Collection[str]) -> Sequence[PrintException]:
    """What does not fit about these letters."""
    query = select(PrintException).where(among(PrintException.letter, letters))
    return session.scalars(query.order_by(PrintException.at)).all()


_STRANGERS: Final = ("LETTER_UNKNOWN", "SET_UNKNOWN", "ATTEMPT_UNKNOWN", "BATCH_UNKNOWN", "OTHER_BATCH")


def strangers(session: Session, since: datetime, until: datetime) -> int:
    """How much was told in that time of letters and batches that were never sent."""
    query = select(func.count()).where(
        PrintException.at >= since, PrintException.at < until, PrintException.code.in_(_STRANGERS)
    )
    return int(session.scalar(query) or 0)
