"""People's log-ins as rows: found by a hash, readable only with the platform's key, gone when their time is over.

Each function opens and commits its own transaction: a session is kept or ended whatever becomes of the page around it.
"""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service.db.models import WebSession
from service.usecases.context import Context
from service.usecases.personal import PLATFORM, PLATFORM_YEAR, open_value, seal_value

TOUCH_EVERY: Final = timedelta(minutes=1)
"""How old "last seen" may be before it is written again: a write per page would cost more than it tells."""


def begin(context: Context, id_hash: bytes, data: Any, *, lifetime: timedelta) -> None:
    """Keep a new session.

    Args:
        context: the wired parts.
        id_hash: SHA-256 of the secret in the person's cookie, 32 bytes.
        data: any value that JSON can hold; it is encrypted and bound to this row.
        lifetime: after which the session ends whatever happens.
    """
    now = context.clock()
    with context.database.transaction() as session:
        session.add(
            WebSession(
                id_hash=id_hash,
                data=_sealed(context, id_hash, data),
                created_at=now,
                seen_at=now,
                expires_at=now + lifetime,
            )
        )


def find(context: Context, id_hash: bytes, *, idle: timedelta, touch: bool = True) -> bytes | None:
    """The JSON of a session that is still valid, or None.

    Args:
        context: the wired parts.
        id_hash: as of ``begin``.
        idle: a session that was not touched for this long is over.
        touch: whether this counts as activity; what a page does by itself does not.
    """
    now = context.clock()
    with context.database.transaction() as session:
        row = _valid(session, context, id_hash, idle)
        if row is None:
            return None
        if touch and now - row.seen_at >= TOUCH_EVERY:
            session.execute(update(WebSession).where(WebSession.id_hash == id_hash).values(seen_at=now))
        return _opened(context, row)


def change(context: Context, id_hash: bytes, data: Any) -> None:
    """Replace what a session holds; nothing happens when it has ended meanwhile."""
    with context.database.transaction() as session:
        session.execute(
            update(WebSession).where(WebSession.id_hash == id_hash).values(data=_sealed(context, id_hash, data))
        )


def take(context: Context, id_hash: bytes) -> bytes | None:
    """The JSON of a session that is still valid, which ends by this: of two that take it, one gets it."""
    with context.database.transaction() as session:
        row = session.scalar(delete(WebSession).where(WebSession.id_hash == id_hash).returning(WebSession))
        if row is None or row.expires_at <= context.clock():
            return None
        return _opened(context, row)


def end(context: Context, id_hash: bytes) -> None:
    """End a session; harmless when it has ended already."""
    with context.database.transaction() as session:
        session.execute(delete(WebSession).where(WebSession.id_hash == id_hash))


def _valid(session: Session, context: Context, id_hash: bytes, idle: timedelta) -> WebSession | None:
    now = context.clock()
    return session.scalar(
        select(WebSession).where(
            WebSession.id_hash == id_hash, WebSession.expires_at > now, WebSession.seen_at > now - idle
        )
    )


def _sealed(context: Context, id_hash: bytes, data: Any) -> bytes:
    return seal_value(context, data, organisation=PLATFORM, year=PLATFORM_YEAR, place=_place(id_hash))


def _opened(context: Context, row: WebSession) -> bytes:
    return open_value(context, row.data, organisation=PLATFORM, place=_place(row.id_hash))


def _place(id_hash: bytes) -> str:
    return f"web_session.data:{id_hash.hex()}"
