"""RFC 3161 time-stamp tokens over checkpoints: one per interval in which evidence was added, not one per document."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.orm import Session

from service.db import ledger as table
from service.ledger import checkpoint, notes
from service.ledger.checkpoint import Checkpoint


class TokenSource(Protocol):
    """A time-stamp authority as the ledger sees it."""

    def token(self, sha256_digest: bytes, /) -> bytes:
        """A DER-encoded RFC 3161 TimeStampToken over the digest; raises when the authority does not answer."""
        ...


def due(session: Session, now: datetime, interval: timedelta) -> Checkpoint | None:
    """The newest checkpoint, if it has no token and the last stamped one is at least ``interval`` old."""
    newest = table.newest_checkpoint(session)
    if newest is None or newest.size == 0 or newest.timestamp_token is not None:
        return None
    last = table.newest_checkpoint(session, stamped=True)
    if last is not None and now - last.at < interval:
        return None
    return checkpoint.parse(notes.split(newest.note)[0])


def stamp_checkpoints(
    session_factory: Callable[[], Session], tsa: TokenSource, now: datetime, interval: timedelta
) -> Checkpoint | None:
    """Fetch and store the token that is due; no transaction is open while the authority works.

    Leaves between two stamped checkpoints are covered by the later one: a token stands for all that was added before.

    Returns:
        The checkpoint that got its token, or None when none was due or somebody else stored one first.

    Raises:
        Exception: whatever ``tsa`` raises; nothing is changed and the next call tries again. Only tokens wait.
    """
    with session_factory() as session:
        found = due(session, now, interval)
    if found is None:
        return None
    token = tsa.token(found.digest)
    with session_factory() as session:
        stored = table.set_token(session, found.size, token)
        session.commit()
    return found if stored else None
