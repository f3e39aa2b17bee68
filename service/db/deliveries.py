"""Queries over deliveries and what belongs to them; each takes a chunk as easily as one."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.db.models import (
    DeliveryEvent,
    DeliveryRow,
    DocumentRow,
    EvidenceRow,
    LegRow,
    Organisation,
    Submission,
    VaultObject,
)
from service.domain.errors import Retryable


def organisation(session: Session, organisation_id: uuid.UUID) -> Organisation | None:
    """An organisation by id."""
    return session.get(Organisation, organisation_id)


def organisations(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Organisation]:
    """Organisations by id."""
    rows = session.scalars(select(Organisation).where(Organisation.id.in_(ids)))
    return {row.id: row for row in rows}


def by_ids(session: Session, ids: Collection[uuid.UUID], *, lock: bool = False) -> dict[uuid.UUID, DeliveryRow]:
    """Deliveries by id; locked in one order, so that two chunks can't wait for one another."""
    query = select(DeliveryRow).where(DeliveryRow.id.in_(ids)).order_by(DeliveryRow.id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = {row.id: row for row in session.scalars(query)}
    if lock and len(found) < len(ids):
        # A row that somebody changed while we waited for it can drop out when PostgreSQL looks at it again under
        # row-level security; a second look, with what is committed by now, finds it.
        found |= {row.id: row for row in session.scalars(query)}
    return found


def legs(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[LegRow]]:
    """The legs of deliveries, oldest first."""
    query = (
        select(LegRow)
        .where(LegRow.delivery_id.in_(ids))
        .order_by(LegRow.delivery_id, LegRow.number)
        .execution_options(populate_existing=True)
    )
    found: dict[uuid.UUID, list[LegRow]] = {each: [] for each in ids}
    for row in session.scalars(query):
        found[row.delivery_id].append(row)
    return found


def documents(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[DocumentRow]]:
    """The documents of deliveries, the main one first."""
    query = (
        select(DocumentRow)
        .where(DocumentRow.delivery_id.in_(ids))
        .order_by(DocumentRow.delivery_id, DocumentRow.position)
        .execution_options(populate_existing=True)
    )
    found: dict[uuid.UUID, list[DocumentRow]] = {each: [] for each in ids}
    for row in session.scalars(query):
        found[row.delivery_id].append(row)
    return found


@dataclass(frozen=True, slots=True)
class Filters:
    """Which deliveries a list shows; times bound the creation, ``to`` excluded."""

    status: str | None = None
    reference: str | None = None
    since: datetime | None = None
    to: datetime | None = None


def page(
    session: Session, organisation_id: uuid.UUID, filters: Filters, *, before: uuid.UUID | None, limit: int
) -> Sequence[DeliveryRow]:
    """One page of an organisation's deliveries, newest first; ``before`` is the last id of the page before."""
    query = select(DeliveryRow).where(DeliveryRow.organisation_id == organisation_id)
    if filters.status is not None:
        query = query.where(DeliveryRow.status == filters.status)
    if filters.reference is not None:
        query = query.where(DeliveryRow.reference == filters.reference)
    # The id begins with the time of creation: bounds on it keep the search to the months it is about.
    if filters.since is not None:
        query = query.where(DeliveryRow.id >= lowest_id(filters.since), DeliveryRow.created_at >= filters.since)
    if filters.to is not None:
        # An hour's grace: a large hand-in makes its ids well after its time was taken.
        newest = lowest_id(filters.to + timedelta(hours=1))
        query = query.where(DeliveryRow.id < newest, DeliveryRow.created_at < filters.to)
    if before is not None:
        query = query.where(DeliveryRow.id < before)
    return session.scalars(query.order_by(DeliveryRow.id.desc()).limit(limit)).all()


def lowest_id(moment: datetime) -> uuid.UUID:
    """The smallest UUIDv7 of a minute before ``moment``: ids are made a little before their row's time."""
    milliseconds = max(0, int(moment.timestamp() * 1000) - 60_000)
    return uuid.UUID(int=milliseconds << 80)


def timeline(session: Session, delivery_id: uuid.UUID) -> Sequence[DeliveryEvent]:
    """What happened to a delivery, in order."""
    query = select(DeliveryEvent).where(DeliveryEvent.delivery_id == delivery_id)
    return session.scalars(query.order_by(DeliveryEvent.at, DeliveryEvent.id)).all()


def evidence_of(session: Session, delivery_id: uuid.UUID) -> Sequence[EvidenceRow]:
    """All evidence of a delivery, in order."""
    query = select(EvidenceRow).where(EvidenceRow.delivery_id == delivery_id)
    return session.scalars(query.order_by(EvidenceRow.at, EvidenceRow.id)).all()


def evidence(session: Session, delivery_id: uuid.UUID, evidence_id: uuid.UUID) -> EvidenceRow | None:
    """One evidence of a delivery."""
    return session.get(EvidenceRow, (delivery_id, evidence_id))


def add_submissions(session: Session, rows: Collection[DeliveryRow]) -> None:
    """Write the rows of what was handed in together, for deliveries that are about to be added."""
    submissions = {
        row.submission_id: {
            "id": row.submission_id,
            "organisation_id": row.organisation_id,
            "mark": row.mark,
            "lane": row.lane,
            "created_at": row.created_at,
        }
        for row in rows
    }
    if submissions:
        session.connection().execute(insert(Submission.__table__), list(submissions.values()))  # type: ignore[arg-type]


def add(session: Session, rows: Sequence[DeliveryRow], documents: Sequence[DocumentRow]) -> None:
    """Write new deliveries and their documents; the rows stay plain values of the caller's."""
    for model, group in ((DeliveryRow, rows), (DocumentRow, documents)):
        table = model.__table__
        if group:
            names = [column.key for column in table.columns]
            session.connection().execute(
                insert(table),  # type: ignore[arg-type]
                [{name: getattr(row, name) for name in names} for row in group],
            )


def add_evidence(session: Session, rows: Sequence[Mapping[str, Any]]) -> set[uuid.UUID]:
    """Append evidence; return the ids of those that were not there yet by delivery, leg, event and attempt."""
    if not rows:
        return set()
    query = (
        insert(EvidenceRow)
        .on_conflict_do_nothing(index_elements=["delivery_id", "leg", "event", "attempt"])
        .returning(EvidenceRow.id)
    )
    return set(session.scalars(query, [dict(row) for row in rows]))


def add_events(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append lines to timelines."""
    if rows:
        session.execute(insert(DeliveryEvent), [dict(row) for row in rows], execution_options={"render_nulls": True})


_DELIVERY_CHANGE = (
    update(DeliveryRow.__table__)  # type: ignore[arg-type]
    .where(DeliveryRow.__table__.c.id == bindparam("key"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in ("state", "status", "channel", "reason", "problems", "updated_at", "effective_at")
        }
    )
)
_LEG_CHANGE = (
    update(LegRow.__table__)  # type: ignore[arg-type]
    .where(LegRow.__table__.c.delivery_id == bindparam("key"), LegRow.__table__.c.number == bindparam("key_number"))
    .values({name: bindparam(f"new_{name}") for name in ("state", "reason", "since", "handed_over_at", "effective_at")})
)


def save(session: Session, rows: Collection[DeliveryRow]) -> None:
    """Write the changed state of deliveries that this transaction has locked."""
    if rows:
        session.connection().execute(
            _DELIVERY_CHANGE,
            [
                {
                    "key": row.id,
                    "new_state": row.state,
                    "new_status": row.status,
                    "new_channel": row.channel,
                    "new_reason": row.reason,
                    "new_problems": row.problems,
                    "new_updated_at": row.updated_at,
                    "new_effective_at": row.effective_at,
                }
                for row in rows
            ],
        )


def save_legs(session: Session, new: Sequence[LegRow], changed: Sequence[LegRow]) -> None:
    """Write new and changed legs of deliveries that this transaction has locked."""
    if new:
        columns = [column.key for column in LegRow.__table__.columns]
        session.execute(
            insert(LegRow),
            [{name: getattr(row, name) for name in columns} for row in new],
            execution_options={"render_nulls": True},
        )
    if changed:
        session.connection().execute(
            _LEG_CHANGE,
            [
                {
                    "key": row.delivery_id,
                    "key_number": row.number,
                    "new_state": row.state,
                    "new_reason": row.reason,
                    "new_since": row.since,
                    "new_handed_over_at": row.handed_over_at,
                    "new_effective_at": row.effective_at,
                }
                for row in changed
            ],
        )


_INTEND = insert(VaultObject.__table__).on_conflict_do_nothing()  # type: ignore[arg-type]


def intend(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down which objects are about to be stored; commit before storing them. Safe to repeat."""
    if rows:
        session.connection().execute(_INTEND, [dict(row) for row in rows])


def keep(session: Session, subject_ids: Collection[uuid.UUID], paths: Collection[str]) -> None:
    """Say that stored objects count, in the transaction that names them.

    Raises:
        Retryable: ``stored_too_long_ago``; a writer was slower than the recovery window, and the collector of orphans
            took what it had written. Nothing may name that any more.
    """
    if paths:
        result = session.execute(
            update(VaultObject)
            .where(VaultObject.subject_id.in_(subject_ids), VaultObject.path.in_(paths))
            .values(kept_at=func.clock_timestamp())
            .execution_options(synchronize_session=False)
        )
        if result.rowcount != len(set(paths)):  # type: ignore[attr-defined]
            raise Retryable("This took too long and must be done again.", code="stored_too_long_ago")


def replace_documents(session: Session, rows: Collection[DocumentRow]) -> None:
    """Name the objects that count from now on."""
    table = DocumentRow.__table__
    if rows:
        session.connection().execute(
            update(table)  # type: ignore[arg-type]
            .where(table.c.delivery_id == bindparam("key"), table.c.position == bindparam("key_position"))
            .values({name: bindparam(f"new_{name}") for name in ("path", "sha256", "size", "sealed")}),
            [
                {
                    "key": row.delivery_id,
                    "key_position": row.position,
                    "new_path": row.path,
                    "new_sha256": row.sha256,
                    "new_size": row.size,
                    "new_sealed": row.sealed,
                }
                for row in rows
            ],
        )
