"""Where the hand-ins of one process meet: those that come together share transactions and waits for the disk."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError

from service.db import deliveries
from service.engine.together import Together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.db import idempotency
    from service.db.models import Organisation
    from service.db.session import Database
    from service.usecases.admission import Admission
    from service.usecases.hand_in import Taken

# More than the threads of a process wait seldom; a group's documents are in memory together anyway.
MOST: Final = 32
# What a hand-in reads of its organisation (mark, years of retention) changes once in years; a change counts for all
# processes within this time, as if the hand-ins of these seconds had come a moment earlier.
_KNOWN_SECONDS: Final = 5.0
_WAKE_SECONDS: Final = 0.25


def _connection_lost(error: Exception) -> bool:
    """Whether nobody knows what became of the transaction: each member's own next request finds out."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


class Desk:
    """The rows of waiting hand-ins, one for each step of theirs, and the organisations that were seen just now."""

    def __init__(self) -> None:
        self.claims: Together[idempotency.Request, idempotency.Claim | idempotency.Seen | None] = Together(
            most=MOST, hopeless=_connection_lost
        )
        # Intents and objects are written under names of their own: doing it again changes nothing.
        self.objects: Together[Sequence[Admission], None] = Together(most=MOST)
        self.records: Together[Taken, bool] = Together(most=MOST, hopeless=_connection_lost)
        self._organisations: dict[uuid.UUID, tuple[float, Organisation]] = {}
        self._woke = 0.0

    def may_wake(self, *, at_once: bool) -> bool:
        """Whether to wake workers now: for somebody who waits always, for programs a few times a second.

        Workers that are woken for each hand-in take one at a time, which costs them as much as taking ten. What comes
        in between is found at the next wake-up, or by the scheduler within a second.
        """
        now = time.monotonic()
        if not at_once and now - self._woke < _WAKE_SECONDS:
            return False
        self._woke = now
        return True

    def organisation(self, database: Database, organisation_id: uuid.UUID) -> Organisation | None:
        """An organisation as it was at most some seconds ago; None when there is none."""
        known = self._organisations.get(organisation_id)
        if known is not None and time.monotonic() - known[0] < _KNOWN_SECONDS:
            return known[1]
        with database.transaction(organisations=[organisation_id]) as session:
            found = deliveries.organisation(session, organisation_id)
        if found is not None:
            self._organisations[organisation_id] = (time.monotonic(), found)
        return found
