"""What is due to be erased, as rows: periods, how far they were walked, what waits, what is held; their queries."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Integer, SmallInteger, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base
from service.db.models import DeliveryRow, DocumentRow, PrintBatch, Submission, VaultObject

NOBODY: Final = uuid.UUID(int=0)
"""Before every delivery's id: where a walk begins."""


class RetentionRule(Base):
    """Periods of an organisation (``document_type`` empty) or of one of its document types; None: as the next wider.

    ``signature_days`` is the organisation's alone: signature requests have no document type.
    """

    __tablename__ = "retention_rule"
    organisation_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    document_type: Mapped[str] = mapped_column(primary_key=True)
    print_days: Mapped[int | None] = mapped_column(Integer)
    content_days: Mapped[int | None] = mapped_column(Integer)
    signature_days: Mapped[int | None] = mapped_column(Integer)
    changed_at: Mapped[datetime]


class RetentionWalk(Base):
    """How far one period has been walked along the deliveries of an organisation."""

    __tablename__ = "retention_walk"
    organisation_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    document_type: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[uuid.UUID]
    next_at: Mapped[datetime]


class RetentionLater(Base):
    """A delivery that could not be dealt with when the walk came by."""

    __tablename__ = "retention_later"
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    retention_year: Mapped[int] = mapped_column(SmallInteger)
    cause: Mapped[str]
    due_at: Mapped[datetime]


class RetentionYear(Base):
    """The deliveries of an organisation whose evidence goes, and whose key is destroyed, after one year's end."""

    __tablename__ = "retention_year"
    organisation_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    first_id: Mapped[uuid.UUID]
    last_id: Mapped[uuid.UUID]
    position: Mapped[uuid.UUID]
    rows_gone_at: Mapped[datetime | None]
    key_destroyed_at: Mapped[datetime | None]


class _Hold:
    """What every hold says: why, and who began and ended it when."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    reason: Mapped[str]
    begun_by: Mapped[str]
    begun_at: Mapped[datetime]
    ended_by: Mapped[str | None]
    ended_at: Mapped[datetime | None]


class LegalHold(_Hold, Base):
    """A delivery that is kept whatever its periods say."""

    __tablename__ = "legal_hold"
    delivery_id: Mapped[uuid.UUID]


class SignatureHold(_Hold, Base):
    """A signature request that is kept whatever its periods say."""

    __tablename__ = "signature_hold"
    request_id: Mapped[uuid.UUID]


class VaultRemoval(Base):
    """An object that no row names any more; it is removed once no restore can need it."""

    __tablename__ = "vault_removal"
    path: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[uuid.UUID]
    organisation_id: Mapped[uuid.UUID]
    since: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Removal:
    """An object to be removed, of a delivery, batch or submission."""

    path: str
    subject_id: uuid.UUID
    organisation_id: uuid.UUID


_BEGIN_WALKS = text(
    """
    INSERT INTO retention_walk (organisation_id, document_type, stage, position, next_at)
    SELECT o.id, coalesce(r.document_type, ''), s.stage, CAST(:nobody AS uuid), :now
    FROM organisation o
    LEFT JOIN (SELECT organisation_id, document_type FROM retention_rule
               UNION SELECT id, '' FROM organisation) r ON r.organisation_id = o.id
    CROSS JOIN (VALUES ('original'), ('print'), ('content')) s (stage)
    WHERE o.kind <> 'platform' AND (s.stage <> 'original' OR r.document_type = '')
    ON CONFLICT DO NOTHING
    """
)
_SPAN = text(
    """
    INSERT INTO retention_year (organisation_id, year, first_id, last_id, position)
    VALUES (:organisation, :year, :first, :last, :nobody)
    ON CONFLICT (organisation_id, year) DO UPDATE
    SET first_id = least(retention_year.first_id, excluded.first_id),
        last_id = greatest(retention_year.last_id, excluded.last_id)
    """
)


_PARTS = text(
    """
    INSERT INTO vault_removal (path, subject_id, organisation_id, since)
    SELECT path, subject_id, organisation_id, :now FROM vault_object WHERE subject_id = ANY (:ids)
    ON CONFLICT DO NOTHING
    """
)
_EMPTY = text(
    """
    UPDATE submission SET container = false, name = NULL, problems = '[]', sha256 = NULL, fingerprint = NULL,
        announced_sha256 = NULL
    WHERE id = ANY (:ids)
    """
)


# An upload's key is as old as its submission, within minutes: the times keep the search to a few pages of the table.
_FORGET_KEYS = text(
    """
    DELETE FROM idempotency_key WHERE subject_id = ANY (:ids) AND created_at BETWEEN
        (SELECT min(zending_id_time(id)) - interval '2 days' FROM unnest(CAST(:ids AS uuid[])) AS id)
        AND (SELECT max(zending_id_time(id)) + interval '2 days' FROM unnest(CAST(:ids AS uuid[])) AS id)
    """
)


def begin_walks(session: Session, *, now: datetime) -> None:
    """See to it that each organisation, and each document type with a period of its own, is walked."""
    session.execute(_BEGIN_WALKS, {"nobody": NOBODY, "now": now})


def next_walk(session: Session, *, now: datetime) -> RetentionWalk | None:
    """The walk that waited longest, locked; None when none is due, or others are at all of them."""
    query = select(RetentionWalk).where(RetentionWalk.next_at <= now).order_by(RetentionWalk.next_at)
    return session.scalars(query.limit(1).with_for_update(skip_locked=True)).first()


def walk_again(session: Session, organisation: uuid.UUID, *, now: datetime) -> None:
    """Walk an organisation from its first delivery, after a change of its periods; what is done is found done."""
    session.execute(
        update(RetentionWalk)
        .where(RetentionWalk.organisation_id == organisation)
        .values(position=NOBODY, next_at=now)
        .execution_options(synchronize_session=False)
    )


def signature_days(session: Session) -> dict[uuid.UUID, int]:
    """How long the results of signature requests are kept where organisations have a period of their own for them."""
    query = select(RetentionRule).where(RetentionRule.document_type == "", RetentionRule.signature_days.is_not(None))
    return {rule.organisation_id: rule.signature_days for rule in session.scalars(query) if rule.signature_days}


def rules_of(session: Session, organisation: uuid.UUID) -> dict[str, RetentionRule]:
    """An organisation's own periods by document type."""
    query = select(RetentionRule).where(RetentionRule.organisation_id == organisation)
    return {rule.document_type: rule for rule in session.scalars(query)}


def along(
    session: Session, organisation: uuid.UUID, after: uuid.UUID, until: uuid.UUID, *, limit: int
) -> Sequence[DeliveryRow]:
    """The next deliveries of an organisation in the order of their ids, after one and before another; locked."""
    query = (
        select(DeliveryRow)
        .where(DeliveryRow.organisation_id == organisation, DeliveryRow.id > after, DeliveryRow.id < until)
        .order_by(DeliveryRow.id)
        .limit(limit)
        .with_for_update()
    )
    return session.scalars(query).all()


def span_years(session: Session, rows: Iterable[DeliveryRow]) -> None:
    """Note which deliveries each retention year spans."""
    spans: dict[tuple[uuid.UUID, int], list[uuid.UUID]] = {}
    for row in rows:
        spans.setdefault((row.organisation_id, row.retention_year), []).append(row.id)
    for (organisation, year), ids in spans.items():
        span_year(session, organisation, year, ids)


def span_year(session: Session, organisation: uuid.UUID, year: int, ids: Collection[uuid.UUID]) -> None:
    """Note that a retention year of an organisation has these deliveries, or batches."""
    values = {"organisation": organisation, "year": year, "first": min(ids), "last": max(ids), "nobody": NOBODY}
    session.execute(_SPAN, values)


def held(session: Session, deliveries: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these deliveries are held."""
    query = select(LegalHold.delivery_id).where(LegalHold.delivery_id.in_(deliveries), LegalHold.ended_at.is_(None))
    return set(session.scalars(query))


def put_off(session: Session, row: DeliveryRow, stage: str, cause: str, *, until: datetime) -> None:
    """Come back to a delivery at that time."""
    values = {"organisation_id": row.organisation_id, "retention_year": row.retention_year}
    session.execute(
        insert(RetentionLater)
        .values(delivery_id=row.id, stage=stage, cause=cause, due_at=until, **values)
        .on_conflict_do_update(index_elements=["delivery_id", "stage"], set_={"cause": cause, "due_at": until})
    )


def due_later(session: Session, *, now: datetime, limit: int) -> Sequence[RetentionLater]:
    """Deliveries to come back to, locked."""
    query = select(RetentionLater).where(RetentionLater.due_at <= now).order_by(RetentionLater.due_at)
    return session.scalars(query.limit(limit).with_for_update(skip_locked=True)).all()


def done_later(session: Session, delivery: uuid.UUID, stage: str) -> None:
    """A delivery need not be come back to."""
    session.execute(
        delete(RetentionLater)
        .where(RetentionLater.delivery_id == delivery, RetentionLater.stage == stage)
        .execution_options(synchronize_session=False)
    )


def kept_objects(session: Session, deliveries: Collection[uuid.UUID]) -> Sequence[VaultObject]:
    """The objects of these deliveries that count."""
    query = select(VaultObject).where(VaultObject.subject_id.in_(deliveries), VaultObject.kept_at.is_not(None))
    return session.scalars(query).all()


def remove_later(session: Session, removals: Iterable[Removal], *, now: datetime) -> None:
    """Have objects removed that the running transaction stops naming, a recovery window from now."""
    rows = [
        {"path": each.path, "subject_id": each.subject_id, "organisation_id": each.organisation_id, "since": now}
        for each in removals
    ]
    if rows:
        session.execute(insert(VaultRemoval).on_conflict_do_nothing(), rows)


def due_removals(session: Session, *, before: datetime, limit: int) -> Sequence[VaultRemoval]:
    """Objects that have waited for their removal since before that moment, locked."""
    query = select(VaultRemoval).where(VaultRemoval.since < before).order_by(VaultRemoval.since)
    return session.scalars(query.limit(limit).with_for_update(skip_locked=True)).all()


def removed(session: Session, rows: Sequence[VaultRemoval]) -> None:
    """These objects are gone: so are the rows about them."""
    for row in rows:
        session.delete(row)
    session.flush()
    subjects, paths = {row.subject_id for row in rows}, [row.path for row in rows]
    session.execute(
        delete(VaultObject)
        .where(VaultObject.subject_id.in_(subjects), VaultObject.path.in_(paths))
        .execution_options(synchronize_session=False)
    )


def documents(session: Session, deliveries: Collection[uuid.UUID]) -> Sequence[DocumentRow]:
    """The documents of these deliveries, to be changed."""
    return session.scalars(select(DocumentRow).where(DocumentRow.delivery_id.in_(deliveries))).all()


def batches_over(session: Session, *, before: datetime, limit: int) -> Sequence[PrintBatch]:
    """Batches that were handed over before that moment and whose file is still kept, locked."""
    query = select(PrintBatch).where(PrintBatch.handed_over_at < before, PrintBatch.path.is_not(None))
    return session.scalars(
        query.order_by(PrintBatch.handed_over_at).limit(limit).with_for_update(skip_locked=True)
    ).all()


def years_over(session: Session, *, year: int, limit: int) -> Sequence[RetentionYear]:
    """Retention years before that one whose key is still there, locked."""
    query = select(RetentionYear).where(RetentionYear.year < year, RetentionYear.key_destroyed_at.is_(None))
    query = query.order_by(RetentionYear.year, RetentionYear.organisation_id).limit(limit)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def year_waits(session: Session, organisation: uuid.UUID, year: int) -> bool:
    """Whether deliveries of a retention year are still held or unfinished."""
    query = select(RetentionLater.delivery_id).where(
        RetentionLater.organisation_id == organisation,
        RetentionLater.retention_year == year,
        RetentionLater.stage == "evidence",
    )
    return session.scalar(query.limit(1)) is not None


def batches_wait(session: Session, year: int) -> bool:
    """Whether a batch that was frozen in that year, in Brussels, has its file still, or is still to be handed over."""
    frozen = func.extract("year", func.timezone("Europe/Brussels", PrintBatch.frozen_at))
    query = select(PrintBatch.id).where(
        frozen == year, or_(PrintBatch.state != "handed_over", PrintBatch.path.is_not(None))
    )
    return session.scalar(query.limit(1)) is not None


def end_submissions(session: Session, *, year: int, limit: int, now: datetime) -> int:
    """Empty submissions whose retention year is before that one, of rows, parts and names; how many."""
    over = session.scalars(
        select(Submission.id)
        .where(Submission.container, Submission.retention_year < year)
        .order_by(Submission.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if over:
        session.execute(_PARTS, {"ids": list(over), "now": now})
        for table in ("submission_row", "submission_part"):
            session.execute(text(f"DELETE FROM {table} WHERE submission_id = ANY (:ids)"), {"ids": list(over)})  # noqa: S608
        session.execute(_EMPTY, {"ids": list(over)})
        forget_keys(session, over)
    return len(over)


def forget_keys(session: Session, subjects: Collection[uuid.UUID]) -> None:
    """Remove the idempotency keys with which these were asked for."""
    if subjects:
        session.execute(_FORGET_KEYS, {"ids": list(subjects)})


def erase_deliveries(session: Session, deliveries: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Remove all rows of these deliveries, where the database finds their year over and nobody holds them."""
    query = text("SELECT zending_erase_deliveries(CAST(:ids AS uuid[]))")
    return set(session.scalars(query, {"ids": list(deliveries)}))


def erase_mailboxes(session: Session, *, before: datetime, limit: int) -> int:
    """Remove mailboxes that were given up before that moment, with the proofs of their consents; how many."""
    return _erased(session, "mailboxes", before, limit)


def erase_codes(session: Session, *, before: datetime, limit: int) -> int:
    """Remove activation codes whose time ended before that moment; how many."""
    return _erased(session, "codes", before, limit)


def erase_lookups(session: Session, *, before: datetime, limit: int) -> int:
    """Remove look-ups from before that moment, with whom they asked about; how many."""
    return _erased(session, "lookups", before, limit)


def _erased(session: Session, what: str, before: datetime, limit: int) -> int:
    query = select(getattr(func, f"zending_erase_{what}")(before, limit))
    return int(session.scalar(query) or 0)
