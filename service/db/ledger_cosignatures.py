"""What witnesses signed under checkpoints: one line a key and checkpoint, appended, never changed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import DDL, ForeignKey, Index, Table, event, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base
from service.db.ledger import CHECKPOINT, LedgerCheckpoint, StoredCheckpoint, newest_checkpoint


class LedgerCosignature(Base):
    """A signature line of the witness key ``key`` (name and key id) under the checkpoint of ``size`` leaves."""

    __tablename__ = "ledger_cosignature"
    __table_args__ = (Index("ix_ledger_cosignature_size", "size"),)

    key: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(ForeignKey("ledger_checkpoint.size"), primary_key=True, autoincrement=False)
    line: Mapped[str]
    at: Mapped[datetime]


TABLE: Table = Base.metadata.tables["ledger_cosignature"]
GUARDS = (
    """
    CREATE FUNCTION ledger_cosignature_stands() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'a cosignature under the ledger is never changed or removed';
    END $$
    """,
    """
    CREATE TRIGGER ledger_cosignature_stands BEFORE UPDATE OR DELETE ON ledger_cosignature
    FOR EACH ROW EXECUTE FUNCTION ledger_cosignature_stands()
    """,
)
for _statement in GUARDS:
    event.listen(TABLE, "after_create", DDL(_statement))  # type: ignore[no-untyped-call]


def add(session: Session, size: int, lines: Sequence[tuple[str, str, datetime]]) -> None:
    """Keep ``(key, line, at)`` under a checkpoint (at least one); the first of a key stands."""
    values = [{"size": size, "key": key, "line": line, "at": at} for key, line, at in lines]
    session.execute(insert(LedgerCosignature).values(values).on_conflict_do_nothing())


def lines(session: Session, size: int) -> str:
    """All cosignatures of a checkpoint, as they stand under its note."""
    found = select(LedgerCosignature.line).where(LedgerCosignature.size == size).order_by(LedgerCosignature.key)
    return "".join(session.scalars(found))


def largest(session: Session, keys: Sequence[str]) -> int:
    """The largest tree that one of these keys has cosigned; 0 before the first."""
    found = select(func.max(LedgerCosignature.size)).where(LedgerCosignature.key.in_(keys))
    return session.scalar(found) or 0


def waiting_since(session: Session, keys: Sequence[str]) -> datetime | None:
    """When the first checkpoint was signed that these keys have yet to cosign; None when there is none."""
    query = select(LedgerCheckpoint.at).where(LedgerCheckpoint.size > largest(session, keys))
    return session.scalar(query.order_by(LedgerCheckpoint.size).limit(1))


def next_checkpoint(session: Session, *, seen: int, several: int) -> StoredCheckpoint | None:
    """The first checkpoint of more leaves than a witness has ``seen``.

    Where ``several`` wait or more: the first of them with a time-stamp, by which evidence is proved, else the newest.
    """
    query = select(*CHECKPOINT).where(LedgerCheckpoint.size > seen).order_by(LedgerCheckpoint.size)
    waiting = session.execute(query.limit(several)).all()
    if len(waiting) < several:
        return StoredCheckpoint(*waiting[0]) if waiting else None
    stamped = session.execute(query.where(LedgerCheckpoint.timestamp_token.is_not(None)).limit(1)).one_or_none()
    return newest_checkpoint(session) if stamped is None else StoredCheckpoint(*stamped)
