"""Several time-stamp authorities as one: the first that works serves, those behind it stand ready."""

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from signing.errors import SigningError, TimeStampInvalid, TimeStampRefused, TimeStampUnavailable
from signing.timestamps import TimeStampAuthority

PAUSE = 30.0
"""Seconds for which one that failed is not asked first."""


class SeveralAuthorities:
    """Asks in the given order; one that failed steps behind the others for a while.

    A failure of any kind sends the question on: who refuses, lies or is away is of no use here, and a token from the
    next one is as good. So a document waits only while nobody works. Safe to share between threads.
    """

    def __init__(
        self,
        authorities: Sequence[TimeStampAuthority],
        *,
        pause: float = PAUSE,
        clock: Callable[[], float] = time.monotonic,
        failed: Callable[[int, SigningError], None] | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            authorities: by preference.
            pause: seconds for which one that failed is not asked before those that didn't.
            clock: seconds that only grow.
            failed: told the position of one that failed, and how.

        Raises:
            ValueError: there is none.
        """
        if not authorities:
            raise ValueError("at least one time-stamp authority is needed")
        self._authorities = tuple(authorities)
        self._pause, self._clock, self._failed = pause, clock, failed
        self._until = [0.0] * len(self._authorities)
        self._lock = threading.Lock()

    def token(self, digest: bytes) -> bytes:
        """A checked token over ``digest`` from the first that gives one; see :meth:`TimeStampAuthority.token`.

        Raises:
            TimeStampUnavailable, TimeStampInvalid, TimeStampRefused: nobody gave one. The error is that of one that
                may give one later, when there is such a one.
        """
        errors: list[SigningError] = []
        for position in self._order():
            try:
                token = self._authorities[position].token(digest)
            except (TimeStampUnavailable, TimeStampInvalid, TimeStampRefused) as error:
                self._set(position, self._clock() + self._pause)
                if self._failed:
                    self._failed(position, error)
                errors.append(error)
            else:
                self._set(position, 0.0)
                return token
        raise next((error for error in errors if error.retryable), errors[0])

    def _order(self) -> list[int]:
        now = self._clock()
        with self._lock:
            return sorted(range(len(self._until)), key=lambda position: self._until[position] > now)

    def _set(self, position: int, until: float) -> None:
        with self._lock:
            self._until[position] = until

    def close(self) -> None:
        """Close those that can be closed."""
        for authority in self._authorities:
            if close := getattr(authority, "close", None):
                close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
