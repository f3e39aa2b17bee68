"""Mandates and what was done under them, as rows; migrations are their definition."""

import uuid
from collections.abc import Collection, Sequence
from datetime import date, datetime

from sqlalchemy import ARRAY, SmallInteger, Uuid, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base, among


class MandateRow(Base):
    """Somebody may act for another; ``personal`` holds number and name of both."""

    __tablename__ = "mandate"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    mandator_hash: Mapped[bytes]
    mandatary_hash: Mapped[bytes]
    index_key: Mapped[str]
    personal: Mapped[bytes]
    senders: Mapped[list[uuid.UUID] | None] = mapped_column(ARRAY(Uuid))
    registered: Mapped[bool]
    legal_effect: Mapped[bool]
    last_day: Mapped[date | None]
    ends_at: Mapped[datetime | None]
    given_at: Mapped[datetime]
    accept_before: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]
    code_hash: Mapped[bytes | None]
    code_key: Mapped[str | None]
    tries_left: Mapped[int] = mapped_column(SmallInteger)


class MandateAct(Base):
    """What was done to a mandate, or under it; ``personal`` says how who did it was identified."""

    __tablename__ = "mandate_act"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    mandate_id: Mapped[uuid.UUID]
    act: Mapped[str]
    by_side: Mapped[str]
    at: Mapped[datetime]
    delivery_id: Mapped[uuid.UUID | None]
    personal: Mapped[bytes]


def given(session: Session, mandator: Collection[bytes], *, limit: int) -> Sequence[MandateRow]:
    """What somebody gave, newest first."""
    query = select(MandateRow).where(among(MandateRow.mandator_hash, mandator))
    return session.scalars(query.order_by(MandateRow.id.desc()).limit(limit)).all()


def held(session: Session, mandatary: Collection[bytes], *, limit: int) -> Sequence[MandateRow]:
    """What somebody accepted, newest first."""
    query = select(MandateRow).where(among(MandateRow.mandatary_hash, mandatary), MandateRow.accepted_at.is_not(None))
    return session.scalars(query.order_by(MandateRow.id.desc()).limit(limit)).all()


def standing(session: Session, mandator: Collection[bytes], *, now: datetime) -> int:
    """How many of what somebody gave stand or wait at a moment."""
    query = select(func.count()).where(
        among(MandateRow.mandator_hash, mandator),
        MandateRow.revoked_at.is_(None),
        MandateRow.ends_at.is_(None) | (MandateRow.ends_at > now),
        MandateRow.accepted_at.is_not(None) | (MandateRow.accept_before > now),
    )
    return session.scalar(query) or 0


def unended(session: Session, hashes: Collection[bytes], *, now: datetime) -> Sequence[MandateRow]:
    """What somebody gave or accepted and has not ended at a moment; locked, in one order."""
    query = select(MandateRow).where(
        among(MandateRow.mandator_hash, hashes)
        | (among(MandateRow.mandatary_hash, hashes) & MandateRow.accepted_at.is_not(None)),
        MandateRow.revoked_at.is_(None),
        MandateRow.ends_at.is_(None) | (MandateRow.ends_at > now),
    )
    return session.scalars(query.order_by(MandateRow.id).with_for_update()).all()


def waiting(session: Session, mandatary: Collection[bytes], *, now: datetime) -> Sequence[MandateRow]:
    """Whose codes somebody may enter at a moment; locked, in one order."""
    query = select(MandateRow).where(
        among(MandateRow.mandatary_hash, mandatary),
        MandateRow.code_hash.is_not(None),
        MandateRow.accept_before > now,
        MandateRow.tries_left > 0,
    )
    return session.scalars(query.order_by(MandateRow.id).with_for_update()).all()


def one(session: Session, mandate_id: uuid.UUID, *, read: bool = False, lock: bool = False) -> MandateRow | None:
    """A mandate of which the transaction's recipient is one side.

    Args:
        session: of the running transaction.
        mandate_id: which.
        read: hold it as it is until the transaction ends: whoever ends it waits.
        lock: to change it.
    """
    query = select(MandateRow).where(MandateRow.id == mandate_id)
    if read or lock:
        query = query.with_for_update(read=read)
    return session.scalars(query).first()


def acts(session: Session, mandate_id: uuid.UUID, *, limit: int) -> Sequence[MandateAct]:
    """What was done to a mandate and under it, newest first."""
    query = select(MandateAct).where(MandateAct.mandate_id == mandate_id)
    return session.scalars(query.order_by(MandateAct.id.desc()).limit(limit)).all()


def done(
    session: Session, mandate_id: uuid.UUID, deliveries: Collection[uuid.UUID], act: str
) -> dict[uuid.UUID, datetime]:
    """On which of these deliveries something was done under a mandate, and when first."""
    query = (
        select(MandateAct.delivery_id, func.min(MandateAct.at))
        .where(MandateAct.mandate_id == mandate_id, MandateAct.act == act, among(MandateAct.delivery_id, deliveries))
        .group_by(MandateAct.delivery_id)
    )
    return {delivery: at for delivery, at in session.execute(query) if delivery is not None}


def to_move(session: Session, key: str, after: uuid.UUID | None, *, limit: int) -> Sequence[tuple[uuid.UUID, bytes]]:
    """The next mandates that are not found with this index key yet: id and personal part."""
    query = text("SELECT id, personal FROM zending_mandates_to_move(:key, CAST(:after AS uuid), :limit)")
    found = session.execute(query, {"key": key, "after": after, "limit": limit})
    return [(mandate, bytes(personal)) for mandate, personal in found]


def move(session: Session, mandate_id: uuid.UUID, mandator: bytes, mandatary: bytes, key: str) -> None:
    """Give a mandate the hashes of an index key."""
    values = {"mandate": mandate_id, "mandator": mandator, "mandatary": mandatary, "key": key}
    session.execute(text("SELECT zending_move_mandate(:mandate, :mandator, :mandatary, :key)"), values)


def left(session: Session, key: str) -> int:
    """How many mandates need another index key than this one."""
    return int(session.scalar(text("SELECT zending_mandates_left(:key)"), {"key": key}) or 0)


def erase(session: Session, *, before: datetime, unused: datetime, limit: int) -> int:
    """Remove mandates that ended before a moment, and those never accepted that ended before ``unused``; how many."""
    return int(session.scalar(select(func.zending_erase_mandates(before, unused, limit))) or 0)
