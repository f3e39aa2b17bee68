"""Which parts the service needs are there, asked rarely and never for long."""

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import structlog
from kombu import Connection
from sqlalchemy import text

from printing.providers.base import PrintProvider
from service.api.shapes import Health, HealthPart
from service.db.session import Database
from service.vault.objects.base import ObjectStore

log = structlog.get_logger()

UP, DOWN, NOT_SET = "up", "down", "not_set"
READY, DEGRADED, UNAVAILABLE = "ready", "degraded", "unavailable"
_SECONDS: Final = 2
_PORTS: Final = {"http": 80, "https": 443, "smtp": 25, "smtp+starttls": 587, "smtps": 465}
_PROBED_FOLDER: Final = "readiness"


@dataclass(frozen=True, slots=True)
class Probe:
    """How to see whether a part is there.

    Attributes:
        check: passes or raises; False or None mean down or not set. Must end by itself within some seconds.
        needed: whether nothing can be taken in without it.
    """

    check: Callable[[], object]
    needed: bool


class Readiness:
    """Asks all parts at once; an answer counts for ``keep`` seconds, so that asking us often asks them rarely.

    A part that does not answer in time is down, and is not asked again before that question has ended. No question
    keeps the process from ending.
    """

    def __init__(self, probes: Mapping[str, Probe], *, seconds: float = 3.0, keep: float = 2.0) -> None:
        self._probes, self._seconds, self._keep = dict(probes), seconds, keep
        self._asked: dict[str, Future[tuple[str, str]]] = {}
        self._states: dict[str, str] = {}
        self._health: tuple[float, Health] | None = None
        self._lock = threading.Lock()

    def health(self) -> Health:
        """How things stand now, or stood a moment ago."""
        with self._lock:
            if self._health is None or time.monotonic() - self._health[0] >= self._keep:
                self._health = (time.monotonic(), self._ask())
            return self._health[1]

    def parts(self) -> dict[str, tuple[bool, bool]]:
        """The parts: whether each is there, and whether it is needed. What is not set is left out."""
        return {part.name: (part.state == UP, part.needed) for part in self.health().parts if part.state != NOT_SET}

    def _ask(self) -> Health:
        for name, probe in self._probes.items():
            if name not in self._asked or self._asked[name].done():
                self._asked[name] = _begun(probe)
        wait_for(self._asked.values(), timeout=self._seconds)
        parts = []
        for name, probe in self._probes.items():
            asked = self._asked[name]
            state, error = asked.result() if asked.done() else (DOWN, "TimeoutError")
            parts.append(HealthPart(name, state, probe.needed))
            if self._states.get(name) != state:
                log.info("part_changed", part=name, state=state, error=error)
                self._states[name] = state
        return Health(_overall(parts), parts)


def _begun(probe: Probe) -> Future[tuple[str, str]]:
    asked: Future[tuple[str, str]] = Future()
    threading.Thread(target=lambda: asked.set_result(_state(probe)), name="readiness", daemon=True).start()
    return asked


def _state(probe: Probe) -> tuple[str, str]:
    """The part's state, and the kind of error that says so."""
    try:
        found = probe.check()
    except Exception as error:  # noqa: BLE001 - whatever a part answers with instead of working, it is down
        return DOWN, type(error).__name__
    return (NOT_SET if found is None else UP if found else DOWN), ""


def _overall(parts: list[HealthPart]) -> str:
    down = [part for part in parts if part.state == DOWN]
    if any(part.needed for part in down):
        return UNAVAILABLE
    return DEGRADED if down else READY


def database(wired: Database) -> Callable[[], bool]:
    """Whether the database answers a query."""

    def check() -> bool:
        with wired.engine.connect() as connection:
            return bool(connection.scalar(text("SELECT 1")))

    return check


def broker(url: str) -> Callable[[], bool]:
    """Whether the broker of wake-ups, of whichever kind, takes a connection."""

    def check() -> bool:
        with Connection(
            url,
            connect_timeout=_SECONDS,
            transport_options={"socket_timeout": _SECONDS, "socket_connect_timeout": _SECONDS, "max_retries": 0},
        ) as connection:
            connection.ensure_connection(max_retries=1, timeout=_SECONDS, reraise_as_library_errors=False)
        return True

    return check


def store(wired: ObjectStore) -> Callable[[], bool]:
    """Whether the document store answers; the folder asked about is empty."""

    def check() -> bool:
        for _ in wired.listing(_PROBED_FOLDER):
            break
        return True

    return check


def print_house(wired: PrintProvider) -> Callable[[], bool]:
    """Whether the print house takes batches."""

    def check() -> bool:
        wired.look()
        return True

    return check


def listener(url: str | None) -> Callable[[], bool | None]:
    """Whether somebody listens at an address. A connection only: a question could cost money, or send something."""

    def check() -> bool | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_SECONDS)
                connection.connect(parts.path)
            return True
        port = parts.port or _PORTS.get(parts.scheme, 0)
        with socket.create_connection((parts.hostname or "", port), timeout=_SECONDS):
            return True

    return check


def any_listener(urls: Sequence[str]) -> Callable[[], bool | None]:
    """Whether somebody listens at one of several addresses that stand in for one another."""
    checks = [listener(url) for url in urls]

    def check() -> bool | None:
        for one in checks[:-1]:
            with suppress(OSError):
                return one()
        return checks[-1]()

    return check
