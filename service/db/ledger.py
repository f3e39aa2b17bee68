"""The ledger's tables and their queries: pending leaves, the sequenced log, its tiles, its head, its checkpoints.

They hold hashes, sizes, signed notes and times: no personal data, no organisation, hence no row-level security. The
application role can only append to the log and its checkpoints; triggers hold the same for every other role.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import DDL, CheckConstraint, Index, SmallInteger, Table, event, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base
from service.db.writing import insertion, write

# One number each in the database's space of advisory locks.
SEQUENCER_LOCK = 0x7A656E64_00000001
PUBLISHER_LOCK = 0x7A656E64_00000002

_HASH = 32


class LedgerPending(Base):
    """A leaf whose evidence is written and which has no place in the log yet."""

    __tablename__ = "ledger_pending"
    __table_args__ = (
        CheckConstraint("octet_length(leaf_hash) = 32", name="leaf_hash"),
        Index("ix_ledger_pending_created_at", "created_at", "id"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    evidence_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    leaf_hash: Mapped[bytes]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LedgerLeaf(Base):
    """A leaf of the log; ``index`` counts from 0 without gaps."""

    __tablename__ = "ledger_leaf"
    __table_args__ = (
        CheckConstraint("octet_length(leaf_hash) = 32", name="leaf_hash"),
        CheckConstraint("index >= 0", name="index"),
    )

    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    evidence_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    leaf_hash: Mapped[bytes]
    sequenced_at: Mapped[datetime] = mapped_column(server_default=func.now())


class LedgerTile(Base):
    """Up to 256 concatenated hashes; grows at its end only."""

    __tablename__ = "ledger_tile"
    __table_args__ = (
        CheckConstraint("level BETWEEN 0 AND 7", name="level"),
        CheckConstraint("width BETWEEN 1 AND 256 AND octet_length(hashes) = width * 32", name="width"),
    )

    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    width: Mapped[int] = mapped_column(SmallInteger)
    hashes: Mapped[bytes]


class LedgerHead(Base):
    """The one row that says how far the log has grown; ``signed_size`` is covered by a published checkpoint."""

    __tablename__ = "ledger_head"
    __table_args__ = (
        CheckConstraint("id = 1", name="id"),
        CheckConstraint("octet_length(root) = 32", name="root"),
        CheckConstraint("signed_size BETWEEN 0 AND size", name="signed_size"),
    )

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    size: Mapped[int]
    root: Mapped[bytes]
    signed_size: Mapped[int] = mapped_column(server_default=text("0"))
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    log_origin: Mapped[str]


class LedgerCheckpoint(Base):
    """A signed tree head, and the time-stamp token over its text where it has one."""

    __tablename__ = "ledger_checkpoint"
    __table_args__ = (
        CheckConstraint("octet_length(root) = 32", name="root"),
        Index(
            "ix_ledger_checkpoint_stamped",
            "size",
            postgresql_where=text("timestamp_token IS NOT NULL"),
        ),
    )

    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    root: Mapped[bytes]
    note: Mapped[str]
    at: Mapped[datetime]
    timestamp_token: Mapped[bytes | None]


TABLES: tuple[Table, ...] = tuple(
    Base.metadata.tables[name]
    for name in ("ledger_pending", "ledger_leaf", "ledger_tile", "ledger_head", "ledger_checkpoint")
)

# Rules that hold for every role, the owner's too, as long as the triggers stand.
GUARDS: Mapping[str, tuple[str, ...]] = {
    "ledger_tile": (
        # Hashes do not compress: store them as they are.
        "ALTER TABLE ledger_tile ALTER COLUMN hashes SET STORAGE EXTERNAL",
        """
        CREATE FUNCTION ledger_tile_grows() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' OR NEW.level <> OLD.level OR NEW.number <> OLD.number
               OR substring(NEW.hashes FOR octet_length(OLD.hashes)) <> OLD.hashes THEN
                RAISE EXCEPTION 'a tile of the ledger grows at its end only';
            END IF;
            RETURN NEW;
        END $$
        """,
        """
        CREATE TRIGGER ledger_tile_grows BEFORE UPDATE OR DELETE ON ledger_tile
        FOR EACH ROW EXECUTE FUNCTION ledger_tile_grows()
        """,
    ),
    "ledger_leaf": (
        """
        CREATE FUNCTION ledger_leaf_stands() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'a leaf of the ledger is never changed or removed';
        END $$
        """,
        """
        CREATE TRIGGER ledger_leaf_stands BEFORE UPDATE OR DELETE ON ledger_leaf
        FOR EACH ROW EXECUTE FUNCTION ledger_leaf_stands()
        """,
    ),
    "ledger_head": (
        """
        CREATE FUNCTION ledger_head_grows() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' OR NEW.log_origin <> OLD.log_origin OR NEW.size < OLD.size
               OR NEW.signed_size < OLD.signed_size OR (NEW.size = OLD.size AND NEW.root <> OLD.root) THEN
                RAISE EXCEPTION 'the head of the ledger only grows';
            END IF;
            RETURN NEW;
        END $$
        """,
        """
        CREATE TRIGGER ledger_head_grows BEFORE UPDATE OR DELETE ON ledger_head
        FOR EACH ROW EXECUTE FUNCTION ledger_head_grows()
        """,
    ),
    "ledger_checkpoint": (
        """
        CREATE FUNCTION ledger_checkpoint_stands() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' OR OLD.timestamp_token IS NOT NULL
               OR (NEW.size, NEW.root, NEW.note, NEW.at) IS DISTINCT FROM (OLD.size, OLD.root, OLD.note, OLD.at) THEN
                RAISE EXCEPTION 'a checkpoint is never changed; it gets a time-stamp token once';
            END IF;
            RETURN NEW;
        END $$
        """,
        """
        CREATE TRIGGER ledger_checkpoint_stands BEFORE UPDATE OR DELETE ON ledger_checkpoint
        FOR EACH ROW EXECUTE FUNCTION ledger_checkpoint_stands()
        """,
    ),
}
for _table, _statements in GUARDS.items():
    for _statement in _statements:
        event.listen(Base.metadata.tables[_table], "after_create", DDL(_statement))  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Head:
    """The head row as a value."""

    size: int
    root: bytes
    signed_size: int
    log_origin: str


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint row as a value."""

    size: int
    root: bytes
    note: str
    at: datetime
    timestamp_token: bytes | None


CHECKPOINT = (
    LedgerCheckpoint.size,
    LedgerCheckpoint.root,
    LedgerCheckpoint.note,
    LedgerCheckpoint.at,
    LedgerCheckpoint.timestamp_token,
)


def try_lock(session: Session, lock: int) -> bool:
    """Take an advisory lock until the transaction ends; False when another transaction holds it."""
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(lock))))


# --- pending ----------------------------------------------------------------------------------------------------------


_QUEUE = insertion(LedgerPending, "evidence_id", "leaf_hash", conflict="ON CONFLICT (evidence_id) DO NOTHING")


def put_pending(session: Session, leaves: Iterable[tuple[uuid.UUID, bytes]]) -> None:
    """Queue ``(evidence_id, leaf_hash)`` for the log; an evidence that is queued already stays as it is."""
    write(session, (_QUEUE, [{"evidence_id": evidence_id, "leaf_hash": leaf} for evidence_id, leaf in leaves]))


def has_pending(session: Session) -> bool:
    """Whether a committed leaf waits for its place."""
    return session.scalar(select(LedgerPending.id).limit(1)) is not None


# One statement, one snapshot: what it deletes it also numbers. A row whose transaction commits later is not seen yet
# and stays for the next time, however early its created_at. The first leaf of an evidence stands; a repeat is dropped.
_SEQUENCE = text("""
    WITH taken AS (
        DELETE FROM ledger_pending
        WHERE id IN (SELECT id FROM ledger_pending ORDER BY created_at, id LIMIT :limit)
        RETURNING id, evidence_id, leaf_hash, created_at
    ), numbered AS (
        SELECT evidence_id, leaf_hash, :size - 1 + row_number() OVER (ORDER BY created_at, id) AS index
        FROM taken
        WHERE NOT EXISTS (SELECT FROM ledger_leaf WHERE ledger_leaf.evidence_id = taken.evidence_id)
    )
    INSERT INTO ledger_leaf (index, evidence_id, leaf_hash)
    SELECT index, evidence_id, leaf_hash FROM numbered
    RETURNING index, leaf_hash
""")


def move_pending(session: Session, *, size: int, limit: int) -> list[bytes]:
    """Give up to ``limit`` committed pending leaves the places from ``size`` on; their hashes in the log's order."""
    rows = session.execute(_SEQUENCE, {"size": size, "limit": limit}).all()
    return [bytes(leaf) for _, leaf in sorted((index, leaf) for index, leaf in rows)]


# --- head and tiles ---------------------------------------------------------------------------------------------------


def create_head(session: Session, *, root: bytes, log_origin: str) -> None:
    """Write the head of an empty log, unless there is a head."""
    values = {"id": 1, "size": 0, "root": root, "signed_size": 0, "log_origin": log_origin}
    session.execute(insert(LedgerHead).values(values).on_conflict_do_nothing())


def head(session: Session) -> Head | None:
    """The head as it is committed."""
    row = session.execute(
        select(LedgerHead.size, LedgerHead.root, LedgerHead.signed_size, LedgerHead.log_origin)
    ).one_or_none()
    return None if row is None else Head(*row)


def move_head(session: Session, old: Head, *, size: int, root: bytes) -> bool:
    """Compare-and-set of the head; False when it is no longer ``old``."""
    found = session.execute(
        update(LedgerHead)
        .where(LedgerHead.id == 1, LedgerHead.size == old.size, LedgerHead.root == old.root)
        .values(size=size, root=root, updated_at=func.now())
        .returning(LedgerHead.id)
    ).one_or_none()
    return found is not None


def mark_signed(session: Session, size: int) -> None:
    """Note that a checkpoint of ``size`` leaves is published."""
    session.execute(
        update(LedgerHead).where(LedgerHead.id == 1, LedgerHead.signed_size < size).values(signed_size=size)
    )


def tiles(session: Session, wanted: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """The hashes of the wanted ``(level, number)``, as wide as they are by now; missing ones are left out."""
    if not wanted:
        return {}
    rows = session.execute(
        select(LedgerTile.level, LedgerTile.number, LedgerTile.hashes).where(
            tuple_(LedgerTile.level, LedgerTile.number).in_(sorted(wanted))
        )
    )
    return {(level, number): bytes(hashes) for level, number, hashes in rows}


def save_tiles(session: Session, changed: Mapping[tuple[int, int], bytes]) -> None:
    """Write tiles that were begun or grew (at least one)."""
    statement = insert(LedgerTile).values(
        [
            {"level": level, "number": number, "width": len(hashes) // _HASH, "hashes": hashes}
            for (level, number), hashes in changed.items()
        ]
    )
    new: Any = statement.excluded
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["level", "number"],
            set_={"width": new.width, "hashes": new.hashes},
            where=LedgerTile.width < new.width,
        )
    )


# --- leaves and checkpoints -------------------------------------------------------------------------------------------


def published(session: Session, evidence_ids: Collection[uuid.UUID]) -> frozenset[uuid.UUID]:
    """Those of ``evidence_ids`` that a signed checkpoint covers."""
    if not evidence_ids:
        return frozenset()
    signed = select(LedgerHead.signed_size).scalar_subquery()
    return frozenset(
        session.scalars(
            select(LedgerLeaf.evidence_id).where(
                LedgerLeaf.evidence_id.in_(list(evidence_ids)), LedgerLeaf.index < signed
            )
        )
    )


def add_checkpoint(session: Session, *, size: int, root: bytes, note: str, at: datetime) -> None:
    """Keep a signed checkpoint; the first one of a size stands."""
    values = {"size": size, "root": root, "note": note, "at": at}
    session.execute(insert(LedgerCheckpoint).values(values).on_conflict_do_nothing(index_elements=["size"]))


def newest_checkpoint(session: Session, *, stamped: bool = False) -> StoredCheckpoint | None:
    """The checkpoint of the largest tree; with ``stamped`` among those that have a time-stamp token."""
    query = select(*CHECKPOINT).order_by(LedgerCheckpoint.size.desc()).limit(1)
    if stamped:
        query = query.where(LedgerCheckpoint.timestamp_token.is_not(None))
    row = session.execute(query).one_or_none()
    return None if row is None else StoredCheckpoint(*row)


def set_token(session: Session, size: int, token: bytes) -> bool:
    """Store the time-stamp token of a checkpoint; False when it has one already."""
    found = session.execute(
        update(LedgerCheckpoint)
        .where(LedgerCheckpoint.size == size, LedgerCheckpoint.timestamp_token.is_(None))
        .values(timestamp_token=token)
        .returning(LedgerCheckpoint.size)
    ).one_or_none()
    return found is not None
