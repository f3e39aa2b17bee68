"""Queries over deliveries and what belongs to them; each takes a chunk as easily as one."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from service.db.base import among
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
from service.db.writing import Part, change, insertion, values_of, write
from service.domain.errors import Retryable
from service.domain.states import Event


def organisation(session: Session, organisation_id: uuid.UUID) -> Organisation | None:
    """An organisation by id."""
    return session.get(Organisation, organisation_id)


def organisations(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Organisation]:
    """Organisations by id."""
    rows = session.scalars(select(Organisation).where(among(Organisation.id, ids)))
    return {row.id: row for row in rows}


def by_ids(session: Session, ids: Collection[uuid.UUID], *, lock: bool = False) -> dict[uuid.UUID, DeliveryRow]:
    """Deliveries by id; locked in one order, so that two chunks can't wait for one another."""
    query = select(DeliveryRow).where(among(DeliveryRow.id, ids)).order_by(DeliveryRow.id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return {row.id: row for row in session.scalars(query)}


def legs(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[LegRow]]:
    """The legs of deliveries, oldest first."""
    query = (
        select(LegRow)
        .where(among(LegRow.delivery_id, ids))
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
        .where(among(DocumentRow.delivery_id, ids))
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


SUBMISSIONS: Final = insertion(Submission, "id", "organisation_id", "mark", "lane", "created_at")
DELIVERIES: Final = insertion(DeliveryRow)
DOCUMENTS: Final = insertion(DocumentRow)
LEGS: Final = insertion(LegRow)
EVENTS: Final = insertion(DeliveryEvent)
_NOTICE_ENDS = tuple(
    each.value
    for each in (
        Event.CONSIGNMENT_NOTIFICATION,
        Event.CONSIGNMENT_NOTIFICATION_FAILURE,
        Event.NOTIFICATION_FOR_ACCEPTANCE,
        Event.NOTIFICATION_FOR_ACCEPTANCE_FAILURE,
    )
)


def told(session: Session, ids: Collection[uuid.UUID]) -> dict[tuple[uuid.UUID, int], int]:
    """How many notices about each leg of these deliveries came to an end, good or bad; legs without one are absent."""
    query = (
        select(EvidenceRow.delivery_id, EvidenceRow.leg, func.count())
        .where(among(EvidenceRow.delivery_id, ids), EvidenceRow.event.in_(_NOTICE_ENDS))
        .group_by(EvidenceRow.delivery_id, EvidenceRow.leg)
    )
    return {(delivery, leg): count for delivery, leg, count in session.execute(query)}


_EVIDENCE = insertion(EvidenceRow, conflict="ON CONFLICT (delivery_id, leg, event, attempt) DO NOTHING RETURNING id")
_INTENTS = insertion(
    VaultObject,
    "subject_id",
    "path",
    "organisation_id",
    "role",
    "sha256",
    "size",
    conflict="ON CONFLICT DO NOTHING",
)
_STATES = change(
    DeliveryRow,
    ("id",),
    ("state", "status", "channel", "reason", "problems", "updated_at", "effective_at", "effect_event"),
)
_LEG_STATES = change(
    LegRow,
    ("delivery_id", "number"),
    ("state", "reason", "since", "handed_over_at", "effective_at", "effect_event", "noticed_at", "ends_at"),
)
_OBJECTS = change(DocumentRow, ("delivery_id", "position"), ("path", "sha256", "size", "sealed"))


def add(
    session: Session,
    rows: Sequence[DeliveryRow],
    documents: Sequence[DocumentRow],
    *also: tuple[Part, Sequence[Mapping[str, Any]]],
    with_submissions: bool = False,
) -> None:
    """Write new deliveries and what belongs to them, in one statement; the rows stay plain values of the caller's.

    Args:
        session: a transaction of the caller's.
        rows: the deliveries.
        documents: theirs.
        also: rows of further tables.
        with_submissions: what they were handed in with has no row yet.
    """
    submissions = {row.submission_id: {**values_of(row, SUBMISSIONS), "id": row.submission_id} for row in rows}
    write(
        session,
        (SUBMISSIONS, list(submissions.values()) if with_submissions else []),
        (DELIVERIES, [values_of(row, DELIVERIES) for row in rows]),
        (DOCUMENTS, [values_of(row, DOCUMENTS) for row in documents]),
        *also,
    )


def add_evidence(session: Session, rows: Sequence[Mapping[str, Any]]) -> set[uuid.UUID]:
    """Append evidence; return the ids of those that were not there yet by delivery, leg, event and attempt."""
    return {row.id for row in write(session, (_EVIDENCE, rows))}


def save(session: Session, rows: Collection[DeliveryRow], legs: Collection[LegRow] = ()) -> None:
    """Write the changed state of deliveries that this transaction has locked, and of their legs."""
    write(
        session,
        (_STATES, [values_of(row, _STATES) for row in rows]),
        (_LEG_STATES, [values_of(leg, _LEG_STATES) for leg in legs]),
        keys={row.id for row in rows} | {leg.delivery_id for leg in legs},
    )


def readdress(session: Session, delivery_id: uuid.UUID, personal: bytes) -> None:
    """Write the personal part of a delivery anew, which this transaction has locked."""
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.id == delivery_id)
        .values(personal=personal)
        .execution_options(synchronize_session=False)
    )


def intend(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write down which objects are about to be stored; commit before storing them. Safe to repeat."""
    write(session, (_INTENTS, rows))


_KEEP = text(
    "UPDATE vault_object SET kept_at = clock_timestamp()"
    " WHERE subject_id = ANY(CAST(:subjects AS uuid[])) AND path = ANY(CAST(:paths AS text[]))"
)


def keep(session: Session, subject_ids: Collection[uuid.UUID], paths: Collection[str]) -> None:
    """Say that stored objects count, in the transaction that names them.

    Raises:
        Retryable: ``stored_too_long_ago``; a writer was slower than the recovery window, and the collector of orphans
            took what it had written. Nothing may name that any more.
    """
    if paths:
        result = session.execute(_KEEP, {"subjects": list(subject_ids), "paths": list(paths)})
        if result.rowcount != len(set(paths)):  # type: ignore[attr-defined]
            raise Retryable("This took too long and must be done again.", code="stored_too_long_ago")


def replace_documents(session: Session, rows: Collection[DocumentRow]) -> None:
    """Name the objects that count from now on."""
    write(session, (_OBJECTS, [values_of(row, _OBJECTS) for row in rows]), keys={row.delivery_id for row in rows})
