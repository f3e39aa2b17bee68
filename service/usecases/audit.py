"""The audit trail: who did what to what, appended in the transaction of the act, never changed."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from service.db.ids import new_id, parse_id, public_id
from service.db.operations import AuditEntry
from service.usecases.context import Context
from service.vault.keyring.base import IndexKeys

ENTRY = "aud"


@dataclass(frozen=True, slots=True)
class Entry:
    """One act as operators read it."""

    id: str
    at: datetime
    actor: str
    act: str
    subject: str
    details: dict[str, Any]


_RECORD = text(
    "INSERT INTO audit_entry (id, actor, act, subject, details)"
    " VALUES (:id, :actor, :act, :subject, CAST(:details AS jsonb))"
)


def record(
    session: Session, *, actor: str, act: str, subject: str, details: Mapping[str, str | int | None] | None = None
) -> None:
    """Append one entry; it is there exactly when the act is, because both are in one transaction.

    Args:
        session: the transaction of the act.
        actor: a client's id, or a person by ``staff_actor``; never a name or number (letters, digits and ``:._-``).
        act: what was done, as ``subject.verb`` in lower case, for example ``pause.begin``.
        subject: the id of what it was done to.
        details: ids, codes and counts; nothing personal, and no free text of anybody's.
    """
    told = json.dumps(dict(details or {}))
    session.execute(_RECORD, {"id": new_id(), "actor": actor, "act": act, "subject": subject, "details": told})


def staff_actor(index_key: bytes, subject: str) -> str:
    """A person as the trail names them: a keyed hash of what the identity provider calls them.

    The same person is always the same actor, by whichever door they come; who it is can be found by whoever has the key
    and the provider's name for them, and by nobody else.
    """
    digest = hmac.new(index_key, b"zending staff\0" + subject.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"staff:{digest.hexdigest()[:32]}"


def is_same_person(index: IndexKeys, actor: str, subject: str) -> bool:
    """Whether the trail's name is this person's, under whichever index key it was made."""
    return any(staff_actor(key, subject) == actor for key in (index.writing, *index.others))


def entries(
    context: Context, *, cursor: str | None = None, limit: int = 50, subject: str | None = None
) -> tuple[list[Entry], str | None]:
    """The trail, newest first, and where its next page begins.

    Args:
        context: the wired parts.
        cursor: the ``id`` of the last entry that was read.
        limit: how many at most.
        subject: only what was done to this.

    Raises:
        NotFound: the cursor is not an entry's id.
    """
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(AuditEntry.id < parse_id(ENTRY, cursor))
    if subject is not None:
        query = query.where(AuditEntry.subject == subject)
    with context.database.transaction() as session:
        rows = session.scalars(query).all()
    shown = [_entry(row) for row in rows[:limit]]
    return shown, shown[-1].id if len(rows) > limit else None


def acts(session: Session, act: str, *, since: datetime, limit: int) -> list[Entry]:
    """The newest of one kind of act since a moment."""
    first = uuid.UUID(int=int(since.timestamp() * 1000) << 80)
    query = select(AuditEntry).where(AuditEntry.act == act, AuditEntry.id >= first)
    return [_entry(row) for row in session.scalars(query.order_by(AuditEntry.id.desc()).limit(limit))]


def _entry(row: AuditEntry) -> Entry:
    return Entry(public_id(ENTRY, row.id), row.at, row.actor, row.act, row.subject, row.details)
