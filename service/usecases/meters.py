"""A process's own count of what organisations hand in, between two looks at the rows that all processes share."""

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.db.quotas import Day

FRESH_SECONDS: Final = 2.0


@dataclass(slots=True)
class _Reading:
    day: Day
    until: float
    deliveries: int
    bytes: int


class Meter:
    """Keeps what was last read of an organisation's day, and adds what this process admitted since.

    One process so never passes a quota; several may, by what they admit within ``FRESH_SECONDS``. Safe to share between
    threads.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._read: dict[uuid.UUID, _Reading] = {}

    def admit(
        self,
        organisation: uuid.UUID,
        deliveries: int,
        size: int,
        *,
        read: Callable[[], Day],
        fits: Callable[[Day, int, int], bool],
    ) -> Day | None:
        """Admit this much if it fits; None when it was, else the day as it was read.

        Args:
            organisation: whose.
            deliveries: how many.
            size: bytes of their documents.
            read: looks at the rows.
            fits: whether a day's use may reach these deliveries and bytes.
        """
        with self._lock:
            reading = self._read.get(organisation)
        if reading is None or self._clock() >= reading.until:
            day = read()
            reading = _Reading(day, self._clock() + FRESH_SECONDS, day.deliveries, day.bytes)
            with self._lock:
                self._read[organisation] = reading
        with self._lock:
            if not fits(reading.day, reading.deliveries + deliveries, reading.bytes + size):
                return reading.day
            reading.deliveries += deliveries
            reading.bytes += size
            return None
