"""Signs of life: every process says now and then that it lives, and what it sees of its machine."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from service.db import vitals
from service.seals.sealers import Sealers
from service.usecases.bounces import Returns
from service.usecases.context import Context
from signing.errors import SigningError

log = structlog.get_logger()

EVERY: Final = 10.0
"""Seconds between two signs of life."""
LOOKED_AT_EVERY: Final = 60.0
"""Seconds between two looks at the seal keys: a key that fails at work is told at once by the job that needs it."""
SILENT_AFTER: Final = 60.0
"""A process that was silent for this long counts as gone."""


def beat(context: Context, role: str, report: Callable[[], Mapping[str, Any]], *, host: str | None = None) -> None:
    """Give one sign of life.

    Args:
        context: the wired parts.
        role: ``api``, ``worker`` or ``scheduler``.
        report: what this process sees of its machine; asked each time.
        host: the machine's name unless given.
    """
    told = json.dumps(dict(report()))
    with context.database.transaction() as session:
        vitals.beat(session, role=role, host=host or socket.gethostname(), report=told)


class Beating:
    """Beats in a thread of its own until it is closed; what can't be written now is written the next time."""

    def __init__(self, context: Context, role: str, report: Callable[[], Mapping[str, Any]]) -> None:
        self._context, self._role, self._report = context, role, report
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Beat no more."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while True:
            try:
                beat(self._context, self._role, self._report)
            except SQLAlchemyError as error:
                log.warning("heartbeat_not_written", error=type(error).__name__)
            if self._stop.wait(EVERY):
                return


class Machine:
    """What a process sees of its machine: how full its disks are, and whether the seals there are good.

    Args:
        context: the wired parts.
        places: a place on each disk that matters, by a name.
        sealers: of a process that seals.
        returns: of a process that reads returned mail.
    """

    def __init__(
        self, context: Context, places: Mapping[str, Path], sealers: Sealers | None, returns: Returns | None = None
    ) -> None:
        self._context, self._places, self._sealers, self._returns = context, dict(places), sealers, returns
        self._seals: tuple[float, dict[str, float | None]] | None = None

    def report(self) -> dict[str, Any]:
        """Look at it."""
        told: dict[str, Any] = {"disks": disks(self._places)}
        if self._sealers is not None:
            if self._seals is None or time.monotonic() - self._seals[0] >= LOOKED_AT_EVERY:
                self._seals = (time.monotonic(), seals(self._context, self._sealers))
            told["seals"] = self._seals[1]
        if self._returns is not None:
            told["returned_mail"] = returned_mail(self._returns)
        return told


def returned_mail(returns: Returns) -> dict[str, float]:
    """How many mails wait for a person, and for how many seconds the oldest one has waited to be read.

    A folder that can't be read has nothing that waits, and says ``unreadable``.
    """
    try:
        return {"aside": returns.folder.aside(), "oldest": round(returns.folder.oldest() or 0.0), "unreadable": 0}
    except OSError as error:
        log.warning("returned_mail_not_read", error=type(error).__name__)
        return {"aside": 0, "oldest": 0, "unreadable": 1}


def disks(places: Mapping[str, Path]) -> dict[str, float]:
    """How much of each disk is free, as a share, by the names of the places on it; what is not there is left out."""
    free: dict[int, float] = {}
    names: dict[int, list[str]] = {}
    for name, place in places.items():
        try:
            usage, disk = shutil.disk_usage(place), place.stat().st_dev
        except OSError:
            continue
        free[disk] = round(usage.free / usage.total, 4) if usage.total else 0.0
        names.setdefault(disk, []).append(name)
    return {" and ".join(names[disk]): share for disk, share in free.items()}


def seals(context: Context, sealers: Sealers) -> dict[str, float | None]:
    """For every organisation's seal profile the seconds until it stops by itself; None where it does not seal now."""
    with context.database.transaction() as session:
        profiles = {profile for _, profile in vitals.seal_profiles(session)}
    return {profile: _left(sealers, profile) for profile in sorted(profiles)}


def _left(sealers: Sealers, profile: str) -> float | None:
    try:
        return round(sealers.left(profile).total_seconds())
    except SigningError as error:
        log.warning("seal_unusable", profile=profile, code=error.code)
        return None
