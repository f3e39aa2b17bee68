"""Signed statements of clients that were used: each counts once."""

from datetime import datetime

from sqlalchemy import delete, text
from sqlalchemy.orm import Session

from service.db.models import ClientAssertion

_USE = text(
    """
    INSERT INTO client_assertion AS known (id_hash, expires_at) VALUES (:id_hash, :expires_at)
    ON CONFLICT (id_hash) DO UPDATE SET expires_at = excluded.expires_at WHERE known.expires_at < :now
    RETURNING id_hash
    """
)


def use(session: Session, id_hash: bytes, *, expires_at: datetime, now: datetime) -> bool:
    """Use up a statement; False when it was used before, by whichever process."""
    return session.scalar(_USE, {"id_hash": id_hash, "expires_at": expires_at, "now": now}) is not None


def forget(session: Session, *, now: datetime) -> int:
    """Remove statements that nobody would believe any more; returns how many."""
    result = session.execute(delete(ClientAssertion).where(ClientAssertion.expires_at < now))
    return int(result.rowcount)  # type: ignore[attr-defined]
