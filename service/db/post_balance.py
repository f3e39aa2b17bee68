"""Counts by which what was sent to a print house and what came back of it are held against each other."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.db.models import PrintBatch
from service.db.post_models import PrintBatchReport

SETTLED: Final = "settled"


@dataclass(frozen=True, slots=True)
class Counts:
    """Letters of a batch by what is said of them, and sheets; each letter is in one of the last five classes.

    Attributes:
        told_sheets: sheets of the letters whose posting was told with a count, as we made them.
        posted_sheets: the same as the print house counted them.
        posted: the post has or had it.
        pulled, rejected: it will not go out as this printing.
        given_up: by an operator, or lost, refused or not picked up, without a word of its posting.
        missing: handed over, and none of these was said yet.
    """

    letters: int = 0
    envelopes: int = 0
    sheets: int = 0
    accepted: int = 0
    refused: int = 0
    printed: int = 0
    told_sheets: int = 0
    posted_sheets: int = 0
    postage_cents: int = 0
    delivered: int = 0
    returned: int = 0
    posted: int = 0
    pulled: int = 0
    rejected: int = 0
    given_up: int = 0
    missing: int = 0


_LETTERS = """
    SELECT l.batch_id, l.delivery_id, l.leg, l.attempt, l.sheets, l.envelope_set,
           coalesce(bool_or(r.event = 'accepted'), false) AS accepted,
           coalesce(bool_or(r.event = 'rejected'), false) AS refused,
           coalesce(bool_or(r.event = 'printed'), false) AS printed,
           coalesce(bool_or(r.event = 'delivered'), false) AS delivered,
           coalesce(bool_or(r.event = 'returned'), false) AS returned,
           coalesce(bool_or(r.event IN ('posted', 'delivered', 'returned')), false) AS posted,
           coalesce(bool_or(r.event IN ('refused', 'unclaimed', 'lost', 'given_up')), false) AS given_up,
           coalesce(bool_or(r.event = 'pulled'), false) AS pulled,
           max(r.sheets) FILTER (WHERE r.event = 'posted') AS posted_sheets,
           max(r.postage_cents) FILTER (WHERE r.event = 'posted') AS postage_cents
    FROM print_letter l
    LEFT JOIN print_report r ON r.delivery_id = l.delivery_id AND r.leg = l.leg AND r.attempt = l.attempt + 1
         -- What is said of an envelope says nothing of a letter that was taken out of it.
         AND NOT (r.statement LIKE '~set:%' AND EXISTS (
             SELECT FROM print_report o WHERE o.delivery_id = r.delivery_id AND o.leg = r.leg AND o.attempt = r.attempt
             AND o.event IN ('pulled', 'rejected')))
    WHERE l.batch_id = ANY(CAST(:batches AS uuid[]))
    GROUP BY l.batch_id, l.delivery_id, l.leg, l.attempt, l.sheets, l.envelope_set
"""
_STANDS = "NOT posted AND NOT pulled AND NOT given_up AND NOT refused"
_COUNTS = text(
    f"""
    SELECT batch_id, count(*) AS letters, count(*) - count(envelope_set) + count(DISTINCT envelope_set) AS envelopes,
           sum(sheets) AS sheets, count(*) FILTER (WHERE accepted) AS accepted,
           count(*) FILTER (WHERE refused) AS refused, count(*) FILTER (WHERE printed) AS printed,
           coalesce(sum(sheets) FILTER (WHERE posted_sheets IS NOT NULL), 0) AS told_sheets,
           coalesce(sum(posted_sheets), 0) AS posted_sheets, coalesce(sum(postage_cents), 0) AS postage_cents,
           count(*) FILTER (WHERE delivered) AS delivered, count(*) FILTER (WHERE returned) AS returned,
           count(*) FILTER (WHERE posted) AS posted,
           count(*) FILTER (WHERE NOT posted AND pulled) AS pulled,
           count(*) FILTER (WHERE NOT posted AND NOT pulled AND given_up) AS given_up,
           count(*) FILTER (WHERE NOT posted AND NOT pulled AND NOT given_up AND refused) AS rejected,
           count(*) FILTER (WHERE {_STANDS}) AS missing
    FROM ({_LETTERS}) AS told GROUP BY batch_id
    """  # noqa: S608  parts of this module
)
_MISSING = text(
    f"SELECT delivery_id, leg, attempt + 1 AS attempt FROM ({_LETTERS}) AS told WHERE {_STANDS}"  # noqa: S608
    " ORDER BY delivery_id, leg LIMIT :most"
)


def counts(session: Session, batches: Collection[uuid.UUID]) -> dict[uuid.UUID, Counts]:
    """The counts of these batches; those whose letters were let go of are absent."""
    found: dict[uuid.UUID, Counts] = {}
    for row in session.execute(_COUNTS, {"batches": list(batches)}).mappings():
        values: dict[str, Any] = dict(row)
        batch = values.pop("batch_id")
        found[batch] = Counts(**{name: int(value or 0) for name, value in values.items()})
    return found


def missing(session: Session, batch: uuid.UUID, *, most: int) -> list[tuple[uuid.UUID, int, int]]:
    """Letters of a batch of which nothing was said that ends or posts them: delivery, leg, attempt."""
    rows = session.execute(_MISSING, {"batches": [batch], "most": most})
    return [(row.delivery_id, row.leg, row.attempt) for row in rows]


def handed_over(session: Session, since: datetime, until: datetime) -> Sequence[PrintBatch]:
    """The batches that were handed over in that time, in the order of their numbers."""
    query = select(PrintBatch).where(PrintBatch.handed_over_at >= since, PrintBatch.handed_over_at < until)
    return session.scalars(query.order_by(PrintBatch.number)).all()


def newest(session: Session, *, limit: int, before: int | None = None) -> Sequence[PrintBatch]:
    """The newest batches, before a number."""
    query = select(PrintBatch)
    if before is not None:
        query = query.where(PrintBatch.number < before)
    return session.scalars(query.order_by(PrintBatch.number.desc()).limit(limit)).all()


_OPEN = text(
    """
    SELECT b.id FROM print_batch b
    WHERE b.handed_over_at >= :since
      AND NOT EXISTS (SELECT FROM print_batch_report s WHERE s.batch_id = b.id AND s.event = 'settled')
    ORDER BY b.handed_over_at
    """
)


def unsettled(session: Session, since: datetime) -> Sequence[PrintBatch]:
    """Batches with letters that may still have no end, handed over since then."""
    ids = list(session.scalars(_OPEN, {"since": since}))
    query = select(PrintBatch).where(PrintBatch.id.in_(ids)).order_by(PrintBatch.handed_over_at)
    return session.scalars(query).all() if ids else []


def settle(session: Session, batch: PrintBatch, *, now: datetime) -> None:
    """Say that every letter of a batch was posted or has its end."""
    values = {
        "batch_id": batch.id,
        "event": SETTLED,
        "file": batch.file_name,
        "at": now,
        "received_at": now,
        "agrees": True,
    }
    session.execute(insert(PrintBatchReport).values(**values).on_conflict_do_nothing())


_LAGS = text(
    """
    SELECT (SELECT count(*) FROM print_exception WHERE seen_at IS NULL) AS exceptions,
           (SELECT min(received_at) FROM print_inbound WHERE state = 'kept') AS inbound,
           (SELECT min(ordered_at) FROM print_pull WHERE answered_at IS NULL) AS pull,
           (SELECT min(b.handed_over_at) FROM print_batch b WHERE b.handed_over_at >= :since
              AND EXISTS (SELECT FROM print_inbound i WHERE i.printer = b.provider)
              AND NOT EXISTS (SELECT FROM print_batch_report r WHERE r.batch_id = b.id AND r.event = 'acknowledged'))
              AS acknowledgement,
           (SELECT count(*) FROM print_batch b WHERE b.handed_over_at >= :kept AND b.handed_over_at < :deleted
              AND EXISTS (SELECT FROM print_inbound i WHERE i.printer = b.provider)
              AND NOT EXISTS (SELECT FROM print_batch_report r
                              WHERE r.batch_id = b.id AND r.event = 'deleted' AND r.agrees))
              AS undeleted
    """
)


@dataclass(frozen=True, slots=True)
class Lags:
    """What waits for a word of a print house, or for an operator; moments are those of the oldest."""

    exceptions: int
    inbound: datetime | None
    pull: datetime | None
    acknowledgement: datetime | None
    undeleted: int


def lags(session: Session, *, since: datetime, deleted: datetime, kept: datetime) -> Lags:
    """Everything that can lag, of batches handed over since then.

    Files are to be deleted that were handed over before ``deleted``, and are asked for back to ``kept``. A print house
    that never told anything is not waited for.
    """
    row = session.execute(_LAGS, {"since": since, "deleted": deleted, "kept": kept}).one()
    return Lags(row.exceptions, row.inbound, row.pull, row.acknowledgement, row.undeleted)


_TELLING = text("SELECT DISTINCT printer FROM print_inbound")


def telling(session: Session) -> set[str]:
    """The print houses that have ever told anything."""
    return set(session.scalars(_TELLING))
