"""A worker's turn: how it goes through what is due so that nobody who waits for one letter waits for a large sender.

Between two chunks of anything the worker looks whether the interactive lane of *any* kind has something due, and does
that first: a clerk's letter goes through all its steps in the gaps of a large sender's, even with a single worker. And
a chunk is only as large as can be done in a few seconds, by what the last ones took. Where jobs go side by side their
number says nothing of that: such a step bounds itself.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from service.db import jobs
from service.db.jobs import JobKind, Lane
from service.db.session import Database
from service.engine.steps import Step, Watch, run_chunk, unwatched
from service.engine.tallies import Account

CHUNK_SECONDS: Final = 2.0
"""How long a chunk should take at most; it is what an interactive job waits for when every worker is busy."""
INTERACTIVE_SECONDS: Final = 10.0
"""So long the interactive lane goes before everything; then one chunk of what was there before gets its turn."""
# How much the newest chunk counts in the memory of how long a job takes.
_WEIGHT: Final = 0.3


class Pace:
    """Remembers how long a job of each kind takes here, and so how many to take together; for several threads."""

    def __init__(self, *, seconds: float = CHUNK_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._each: dict[JobKind, float] = {}

    def size(self, step: Step[Any, Any]) -> int:
        """How many jobs of a step to take together."""
        return step.chunk if step.together else self.fits(step.kind, step.chunk)

    def fits(self, kind: JobKind, most: int) -> int:
        """How many jobs to take together: at least one, at most ``most``, and few as long as nothing is known."""
        with self._lock:
            each = self._each.get(kind)
        if each is None:
            return max(1, most // 4)
        return most if each <= 0 else max(1, min(most, int(self._seconds / each)))

    def measured(self, account: Account) -> None:
        """Learn from a chunk; jobs that a pause held took no time and say nothing."""
        worked = sum(account.outcomes.values()) - account.outcomes["held"]
        if worked <= 0:
            return
        newest = account.seconds / worked
        with self._lock:
            before = self._each.get(account.kind)
            # Slower counts at once, faster little by little: one short chunk must not make the next one long.
            self._each[account.kind] = (
                newest if before is None or newest > before else before + _WEIGHT * (newest - before)
            )


def run_until_idle(
    database: Database,
    step: Step[Any, Any],
    *,
    lease_seconds: int,
    most_seconds: float,
    others: Mapping[JobKind, Step[Any, Any]] | None = None,
    pace: Pace | None = None,
    watch: Watch = unwatched,
    after_chunk: Callable[[JobKind], object] = lambda _: None,
) -> bool:
    """Work through what is due of a kind, for ``most_seconds`` at most; return whether more may be due.

    One suspect job is tried between two chunks, so that it neither holds the others up nor waits for ever.

    Args:
        database: the application's way to it.
        step: the step of the kind.
        lease_seconds: how long a lease holds.
        most_seconds: after this, others get their turn.
        others: the steps this worker also does; their interactive lane is seen to between two chunks.
        pace: what is known of how long jobs take.
        watch: is told of every chunk.
        after_chunk: is called after every chunk with its kind, to wake whoever goes on.
    """
    known = pace or Pace()
    turn = _Turn(database, lease_seconds, known, watch, after_chunk)
    ends = time.monotonic() + most_seconds
    while time.monotonic() < ends:
        turn.interactive({step.kind: step, **(others or {})})
        asked = known.size(step)
        done = turn.chunk(step)
        # A chunk that was not full took all that was due. What has come since has a wake-up of its own, or the next
        # sweep's: running after it row by row would cost many times as much as waiting for a few more.
        if not turn.chunk(step, alone=True) and done < asked:
            return False
    return True


class _Turn:
    def __init__(
        self,
        database: Database,
        lease_seconds: int,
        pace: Pace,
        watch: Watch,
        after_chunk: Callable[[JobKind], object],
    ) -> None:
        self._database = database
        self._lease_seconds = lease_seconds
        self._pace = pace
        self._watch = watch
        self._after_chunk = after_chunk

    def chunk(self, step: Step[Any, Any], *, lanes: tuple[Lane, ...] = tuple(Lane), alone: bool = False) -> int:
        done = run_chunk(
            self._database,
            step,
            lease_seconds=self._lease_seconds,
            alone=alone,
            lanes=lanes,
            most=self._pace.size(step),
            watch=self._seen,
        )
        if done:
            self._after_chunk(step.kind)
        return done

    def interactive(self, steps: Mapping[JobKind, Step[Any, Any]]) -> int:
        total = 0
        ends = time.monotonic() + INTERACTIVE_SECONDS
        while time.monotonic() < ends:
            with self._database.transaction() as session:
                due = [kind for kind in jobs.interactive_kinds(session) if kind in steps]
            done = sum(self.chunk(steps[kind], lanes=(Lane.INTERACTIVE,)) for kind in due)
            total += done
            if not done:
                break
        return total

    def _seen(self, account: Account) -> None:
        self._pace.measured(account)
        self._watch(account)
