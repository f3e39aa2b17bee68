"""What letters take from the database while they are composed: serials of the post's numbers, and invitations."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base, among


class PrintSeries(Base):
    """The next serial of a series of numbers; it only goes forward."""

    __tablename__ = "print_series"
    series: Mapped[str] = mapped_column(primary_key=True)
    next: Mapped[int]
    taken_at: Mapped[datetime]


class Invitation(Base):
    """A personal code that a letter carries to its recipient."""

    __tablename__ = "invitation"
    code_sha256: Mapped[bytes] = mapped_column(primary_key=True)
    recipient_hash: Mapped[bytes]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


_BEGIN = text("INSERT INTO print_series (series, next, taken_at) VALUES (:series, 0, :now) ON CONFLICT DO NOTHING")
_MOVE = text("UPDATE print_series SET next = :after, taken_at = :now WHERE series = :series AND next = :seen")


def next_serial(session: Session, series: str) -> int:
    """The serial from which on nothing of a series was given away."""
    return session.scalar(select(PrintSeries.next).where(PrintSeries.series == series)) or 0


def take_serials(session: Session, series: str, *, seen: int, after: int, now: datetime) -> bool:
    """Take all serials from ``seen`` up to ``after``; False, and nothing taken, when somebody else was first."""
    if seen == 0:
        session.execute(_BEGIN, {"series": series, "now": now})
    moved = session.execute(_MOVE, {"series": series, "seen": seen, "after": after, "now": now})
    return bool(moved.rowcount)  # type: ignore[attr-defined]


def invite(session: Session, code_sha256: bytes, recipient_hash: bytes, *, expires_at: datetime) -> None:
    """Keep a code; the transaction is in the recipient's scope."""
    session.add(Invitation(code_sha256=code_sha256, recipient_hash=recipient_hash, expires_at=expires_at))


def is_invited(session: Session, hashes: Collection[bytes], code_sha256: bytes, *, now: datetime) -> bool:
    """Whether a letter to this recipient carried the code, and it is still good."""
    query = select(func.count()).where(
        Invitation.code_sha256 == code_sha256,
        among(Invitation.recipient_hash, hashes),
        Invitation.expires_at > now,
        Invitation.used_at.is_(None),
    )
    return bool(session.scalar(query))


def was_invited(session: Session, hashes: Collection[bytes], code_sha256: bytes) -> bool:
    """Whether a letter to this recipient carried the code, good or not, and it is kept still."""
    query = select(func.count()).where(Invitation.code_sha256 == code_sha256, among(Invitation.recipient_hash, hashes))
    return bool(session.scalar(query))


def use_invitation(session: Session, hashes: Collection[bytes], code_sha256: bytes, *, now: datetime) -> bool:
    """Use a code up; False when it is no longer good: of two that use it at once, one does."""
    used = session.execute(
        update(Invitation)
        .where(
            Invitation.code_sha256 == code_sha256,
            among(Invitation.recipient_hash, hashes),
            Invitation.expires_at > now,
            Invitation.used_at.is_(None),
        )
        .values(used_at=now)
        .execution_options(synchronize_session=False)
    )
    return bool(used.rowcount)  # type: ignore[attr-defined]


def uninvite(session: Session, hashes: Collection[bytes]) -> None:
    """Forget all codes of a recipient."""
    session.execute(
        delete(Invitation).where(among(Invitation.recipient_hash, hashes)).execution_options(synchronize_session=False)
    )
