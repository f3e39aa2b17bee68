"""Logs that a restore cut short: closed as a whole, read for ever, and never changed. Only the owner closes one."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Index, SmallInteger, Table, func, select, text, tuple_
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base
from service.db.ledger import StoredCheckpoint


class LedgerPast(Base):
    """A closed log: where this database's copy ends, the head that was signed last, and the link that follows it.

    ``size`` and ``root`` are this copy's; ``last_note`` is the newest signed head of ``last_size`` leaves, kept outside
    the database; ``link`` is the first entry of the log ``next_origin``, as canonical JSON.
    """

    __tablename__ = "ledger_past"
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    origin: Mapped[str] = mapped_column(unique=True)
    size: Mapped[int]
    root: Mapped[bytes]
    signed_size: Mapped[int]
    last_note: Mapped[str]
    last_size: Mapped[int]
    next_origin: Mapped[str] = mapped_column(unique=True)
    link: Mapped[bytes]
    closed_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LedgerPastLeaf(Base):
    """A leaf of a closed log."""

    __tablename__ = "ledger_past_leaf"
    __table_args__ = (Index("ix_ledger_past_leaf_evidence", "evidence_id"),)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    evidence_id: Mapped[uuid.UUID]
    leaf_hash: Mapped[bytes]


class LedgerPastTile(Base):
    """A tile of a closed log."""

    __tablename__ = "ledger_past_tile"
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    tile: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hashes: Mapped[bytes]


class LedgerPastCheckpoint(Base):
    """A checkpoint of a closed log."""

    __tablename__ = "ledger_past_checkpoint"
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    root: Mapped[bytes]
    note: Mapped[str]
    at: Mapped[datetime]
    timestamp_token: Mapped[bytes | None]


TABLES: tuple[Table, ...] = tuple(
    Base.metadata.tables[name]
    for name in ("ledger_past", "ledger_past_leaf", "ledger_past_tile", "ledger_past_checkpoint")
)


@dataclass(frozen=True, slots=True)
class PastLeaf:
    """Where a leaf stands in which closed log."""

    number: int
    index: int
    leaf_hash: bytes


def leaf(session: Session, evidence_id: uuid.UUID) -> PastLeaf | None:
    """The place of an evidence in a closed log, as far as a kept checkpoint covers it; the oldest log counts."""
    row = session.execute(
        select(LedgerPastLeaf.number, LedgerPastLeaf.index, LedgerPastLeaf.leaf_hash)
        .join(LedgerPast, LedgerPast.number == LedgerPastLeaf.number)
        .where(LedgerPastLeaf.evidence_id == evidence_id, LedgerPastLeaf.index < LedgerPast.signed_size)
        .order_by(LedgerPastLeaf.number)
        .limit(1)
    ).one_or_none()
    return None if row is None else PastLeaf(row[0], row[1], bytes(row[2]))


def published(session: Session, evidence_ids: Collection[uuid.UUID]) -> frozenset[uuid.UUID]:
    """Those of ``evidence_ids`` that a kept checkpoint of a closed log covers."""
    query = (
        select(LedgerPastLeaf.evidence_id)
        .join(LedgerPast, LedgerPast.number == LedgerPastLeaf.number)
        .where(LedgerPastLeaf.evidence_id.in_(list(evidence_ids)), LedgerPastLeaf.index < LedgerPast.signed_size)
    )
    return frozenset(session.scalars(query))


def checkpoint(session: Session, number: int, *, covering: int) -> StoredCheckpoint | None:
    """The checkpoint that proves a leaf: the smallest time-stamped one that covers it, else the largest."""
    query = select(
        LedgerPastCheckpoint.size,
        LedgerPastCheckpoint.root,
        LedgerPastCheckpoint.note,
        LedgerPastCheckpoint.at,
        LedgerPastCheckpoint.timestamp_token,
    ).where(LedgerPastCheckpoint.number == number, LedgerPastCheckpoint.size > covering)
    stamped = query.where(LedgerPastCheckpoint.timestamp_token.is_not(None)).order_by(LedgerPastCheckpoint.size)
    row = session.execute(stamped.limit(1)).one_or_none()
    if row is None:
        row = session.execute(query.order_by(LedgerPastCheckpoint.size.desc()).limit(1)).one_or_none()
    return None if row is None else StoredCheckpoint(*row)


def tiles(session: Session, number: int, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """The hashes of the wanted ``(level, tile)`` of a closed log."""
    if not wanted:
        return {}
    rows = session.execute(
        select(LedgerPastTile.level, LedgerPastTile.tile, LedgerPastTile.hashes).where(
            LedgerPastTile.number == number, tuple_(LedgerPastTile.level, LedgerPastTile.tile).in_(sorted(wanted))
        )
    )
    return {(level, tile): bytes(hashes) for level, tile, hashes in rows}


def logs(session: Session) -> list[LedgerPast]:
    """The closed logs, oldest first."""
    return list(session.scalars(select(LedgerPast).order_by(LedgerPast.number)))


_CLOSE = (
    """
    LOCK TABLE ledger_head, ledger_leaf, ledger_tile, ledger_checkpoint, ledger_cosignature, ledger_pending
    IN ACCESS EXCLUSIVE MODE
    """,
    "INSERT INTO ledger_past_leaf SELECT :number, index, evidence_id, leaf_hash FROM ledger_leaf",
    "INSERT INTO ledger_past_tile SELECT :number, level, number, hashes FROM ledger_tile",
    # Nothing is added to a closed log's checkpoints: what witnesses signed becomes a part of the note.
    """
    INSERT INTO ledger_past_checkpoint
    SELECT :number, size, root, note || coalesce(
               (SELECT string_agg(line, '' ORDER BY key) FROM ledger_cosignature s WHERE s.size = c.size), ''),
           at, timestamp_token
    FROM ledger_checkpoint c
    """,
    # What no kept checkpoint covers can't be proved in the closed log: it goes into the new one too.
    """
    INSERT INTO ledger_pending (evidence_id, leaf_hash)
    SELECT evidence_id, leaf_hash FROM ledger_leaf WHERE index >= :signed ORDER BY index ON CONFLICT DO NOTHING
    """,
    "TRUNCATE ledger_leaf, ledger_tile, ledger_head, ledger_checkpoint, ledger_cosignature",
)


def close(session: Session, past: LedgerPast) -> None:
    """Move the present log aside, in the caller's transaction, as the owner; its tables are empty afterwards."""
    values = {"number": past.number, "signed": past.signed_size}
    session.execute(text(_CLOSE[0]))
    session.add(past)
    session.flush()
    for statement in _CLOSE[1:]:
        needed = {name: value for name, value in values.items() if f":{name}" in statement}
        session.execute(text(statement), needed)
