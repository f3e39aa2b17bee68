"""What became of chunks, counted in the process and added to the database's sums now and then.

Workers open no port and leave no files: whoever asks the API for metrics gets the sums of all hosts. A process that is
killed takes at most the last few seconds' counts with it; jobs themselves are counted from their rows.
"""

import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.db.jobs import JobKind
from service.db.session import Database

log = structlog.get_logger()

OUTCOMES: Final = ("done", "ended", "postponed", "parked", "held", "lost")
"""Done; ended with evidence because it could never succeed; to be tried again; parked; held by a pause; taken over by
another worker because the lease had run out."""
BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the durations that chunks are counted by, in seconds; one more counts those above."""
FLUSH_SECONDS: Final = 5.0


@dataclass
class Account:
    """What became of the jobs of one chunk, and how long it took."""

    kind: JobKind
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)


_ADD = text(
    """
    INSERT INTO step_tally AS t (host, kind, done, ended, postponed, parked, held, lost, seconds, chunks)
    VALUES (:host, :kind, :done, :ended, :postponed, :parked, :held, :lost, :seconds, CAST(:chunks AS bigint[]))
    ON CONFLICT (host, kind) DO UPDATE SET
        done = t.done + excluded.done, ended = t.ended + excluded.ended,
        postponed = t.postponed + excluded.postponed, parked = t.parked + excluded.parked,
        held = t.held + excluded.held, lost = t.lost + excluded.lost, seconds = t.seconds + excluded.seconds,
        chunks = (SELECT array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY place)
                  FROM unnest(t.chunks, excluded.chunks) WITH ORDINALITY AS sums(a, b, place))
    """
)


class Tallies:
    """The counts of one process since it last added them to the database's; for several threads."""

    def __init__(self, *, host: str | None = None) -> None:
        self._host = host or socket.gethostname()
        self._lock = threading.Lock()
        self._sums: dict[JobKind, _Sum] = {}
        self._flushed = time.monotonic()

    def add(self, account: Account) -> None:
        """Count one chunk."""
        with self._lock:
            self._sums.setdefault(account.kind, _Sum()).add(account)

    def flush(self, database: Database, *, force: bool = False) -> bool:
        """Add what was counted to the database's sums, at most every few seconds; return whether it was done.

        What can't be written now stays for the next time: counting never stops the work.
        """
        with self._lock:
            if not self._sums or (not force and time.monotonic() - self._flushed < FLUSH_SECONDS):
                return False
            taken, self._sums, self._flushed = self._sums, {}, time.monotonic()
        try:
            with database.transaction() as session:
                # In one order everywhere, so that two processes of a host can't wait for one another.
                session.execute(_ADD, [taken[kind].row(self._host, kind) for kind in sorted(taken)])
        except DBAPIError as error:
            log.warning("tallies_not_written", error=type(error).__name__)
            with self._lock:
                for kind, missed in taken.items():
                    self._sums.setdefault(kind, _Sum()).take_in(missed)
            return False
        return True


@dataclass
class _Sum:
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    chunks: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, account: Account) -> None:
        self.outcomes += account.outcomes
        self.seconds += account.seconds
        place = next((number for number, bound in enumerate(BOUNDS) if account.seconds <= bound), len(BOUNDS))
        self.chunks[place] += 1

    def take_in(self, other: "_Sum") -> None:
        self.outcomes += other.outcomes
        self.seconds += other.seconds
        self.chunks = [mine + theirs for mine, theirs in zip(self.chunks, other.chunks, strict=True)]

    def row(self, host: str, kind: JobKind) -> dict[str, object]:
        counts = {name: self.outcomes[name] for name in OUTCOMES}
        return {"host": host, "kind": kind.value, "seconds": self.seconds, "chunks": self.chunks, **counts}
