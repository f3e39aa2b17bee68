"""Leases that are prolonged while their work goes on, by a thread of its own."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from service.db import jobs
from service.db.jobs import Leased
from service.db.session import Database

log = structlog.get_logger()

BEATS: Final = 4
"""In the time of a lease: one or two that fail lose nothing."""


@contextmanager
def prolonged(database: Database, held: Sequence[Leased], *, seconds: int) -> Iterator[None]:
    """Hold on to jobs while the block runs, however long it takes; work that is short asks nothing of the database.

    Args:
        database: the application's way to it.
        held: jobs whose leases hold; one that was lost stays lost, and is found out when its results are recorded.
        seconds: how long a lease holds.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(seconds / BEATS):
            try:
                with database.transaction() as session:
                    jobs.renew(session, held, seconds=seconds)
            except Exception as error:  # noqa: BLE001  the next beat tries again
                log.warning("lease_not_renewed", kind=held[0].kind.value, jobs=len(held), error=type(error).__name__)

    heart = threading.Thread(target=beat, name="heartbeat", daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()
