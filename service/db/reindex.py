"""Queries of the exchange of the index key; the migration is the table's definition."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base
from service.db.mailbox_models import Lookup
from service.db.models import DeliveryRow


class IndexWalk(Base):
    """How far the deliveries were gone through for an index key."""

    __tablename__ = "index_walk"
    index_key: Mapped[str] = mapped_column(primary_key=True)
    began_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    upto: Mapped[uuid.UUID | None]
    deliveries: Mapped[int] = mapped_column(default=0)
    unreadable: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[datetime | None]


# A second walk may have come further meanwhile: none goes back.
_FURTHER = text(
    """
    UPDATE index_walk SET upto = greatest(upto, :upto), deliveries = deliveries + :deliveries,
                          unreadable = unreadable + :unreadable
    WHERE index_key = :key
    """
)
_REWRITE = text(
    """
    WITH given AS (
        SELECT id, decode(hash, 'hex') AS hash
        FROM unnest(CAST(:ids AS uuid[]), CAST(:hashes AS text[])) AS given(id, hash)
    ), items AS (
        UPDATE mailbox_item i SET recipient_hash = given.hash FROM given
        WHERE i.delivery_id = given.id AND i.delivery_id = ANY(CAST(:ids AS uuid[]))
    )
    UPDATE delivery d SET recipient_hash = given.hash FROM given
    WHERE d.id = given.id AND d.id = ANY(CAST(:ids AS uuid[]))
    """
)


def walk(session: Session, key: str, *, begin: bool = False) -> IndexWalk | None:
    """The walk for an index key; ``begin`` makes it where there is none."""
    if begin:
        session.execute(text("INSERT INTO index_walk (index_key) VALUES (:key) ON CONFLICT DO NOTHING"), {"key": key})
    return session.get(IndexWalk, key)


def next_deliveries(session: Session, after: uuid.UUID | None, *, limit: int) -> Sequence[DeliveryRow]:
    """The next deliveries with a recipient's hash, in the order of their ids."""
    query = select(DeliveryRow).where(DeliveryRow.recipient_hash.is_not(None)).order_by(DeliveryRow.id).limit(limit)
    return session.scalars(query if after is None else query.where(DeliveryRow.id > after)).all()


def rewrite(session: Session, hashes: dict[uuid.UUID, bytes]) -> None:
    """Give deliveries, and what of them lies in mailboxes, these hashes."""
    if hashes:
        session.execute(_REWRITE, {"ids": list(hashes), "hashes": [each.hex() for each in hashes.values()]})


def further(session: Session, key: str, upto: uuid.UUID, *, deliveries: int, unreadable: int) -> None:
    """Remember how far the walk has come."""
    session.execute(_FURTHER, {"key": key, "upto": upto, "deliveries": deliveries, "unreadable": unreadable})


def finish(session: Session, key: str) -> None:
    """Remember that the walk is at its end; the first time counts."""
    session.execute(
        text("UPDATE index_walk SET done_at = coalesce(done_at, clock_timestamp()) WHERE index_key = :key"),
        {"key": key},
    )


def move(session: Session, old: bytes, new: bytes, sealed: bytes | None, key: str) -> bool:
    """Move all of a recipient that is no delivery's from one hash to another; whether there was a mailbox."""
    values = {"old": old, "new": new, "sealed": sealed, "key": key}
    return bool(session.scalar(text("SELECT zending_move_recipient(:old, :new, :sealed, :key)"), values))


def mailboxes_left(session: Session, key: str) -> int:
    """How many mailboxes are not found with this index key yet."""
    return int(session.scalar(text("SELECT zending_mailboxes_left(:key)"), {"key": key}) or 0)


def lookups_before(session: Session, moment: datetime) -> int:
    """How many look-ups are kept from before a moment; the transaction must see all organisations' rows."""
    return session.scalar(select(func.count()).select_from(Lookup).where(Lookup.at < moment)) or 0
