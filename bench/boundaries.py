"""Every call of a process that leaves it, seen at the one place where it leaves, and one of them hurt.

What leaves is wrapped where Python hands it on: the driver of the database, the calls of the operating system that
change a disk, the socket that leads to a broker, an authority, a mail server, a scanner or the inspection's helper, and
the two ports behind which stores and print houses differ. So no list of calls is kept anywhere: a call that is new in
the code is seen by the next run that makes it. Points are named by what is called and by where in our code, without
line numbers, so that a name stays what it is from day to day.
"""

import builtins
import io
import os
import select
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import Any, Final, Protocol

import psycopg
from psycopg.pq import TransactionStatus

from printing.errors import Problem, ProviderUnavailable
from printing.providers.base import PrintProvider
from service.vault.objects.base import ObjectStore, unreachable

OURS: Final = frozenset({"service", "signing", "printing", "workers"})
REPLY_SECONDS: Final = 1.0
"""How long a peer may take to act on what was sent, before the connection is cut."""
# Where a transaction is opened and closed for others: the caller's name says more.
_SILENT: Final = frozenset({("service.db.session", "Database.transaction"), ("service.db.session", "Database.session")})
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_DISK: Final = ("write", "fsync", "fdatasync", "link", "rename", "replace", "unlink", "rmdir", "mkdir", "ftruncate")


class Moment(StrEnum):
    """When a call is hurt.

    Attributes:
        BEFORE: an error comes back and nothing happened.
        LOST: it happened, and an error comes back.
        DIES: it happened, and the process is killed before it can go on (SIGKILL: nothing is tidied up).
        HALF: of several things that were to be stored together only some were, and an error comes back.
    """

    BEFORE = "before"
    LOST = "lost"
    DIES = "dies"
    HALF = "half"


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that goes wrong: the how-manieth call at a point, and the moment."""

    point: str
    number: int
    moment: Moment

    def __str__(self) -> str:
        return f"{self.point}#{self.number}@{self.moment.value}"

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read what ``str`` gives; without a number the first call is meant."""
        point, _, moment = text.rpartition("@")
        point, mark, number = point.partition("#")
        return cls(point, int(number) if mark else 1, Moment(moment))


class Watch:
    """Counts the calls of this process by point, and hurts the one that ``fault`` names, once.

    Args:
        fault: what goes wrong; None only counts.
        parties: the outside parties by the port on which they listen.
        struck: told right before the fault happens.
    """

    def __init__(
        self, fault: Fault | None, parties: Mapping[int, str], struck: Callable[[], object] = lambda: None
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.several: set[str] = set()
        self.statements = 0
        self.parties = dict(parties)
        self._fault, self._struck, self._lock = fault, struck, threading.Lock()
        self._here = threading.local()

    @property
    def inside(self) -> tuple[str, ...]:
        """The boundaries that this thread is crossing just now, outermost first."""
        return getattr(self._here, "inside", ())

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What this thread does in the block is not the service's, and is left alone."""
        before = self.inside
        self._here.inside = (*before, "aside")
        try:
            yield
        finally:
            self._here.inside = before

    def call(
        self,
        boundary: str,
        act: str,
        do: Callable[[], Any],
        fail: Callable[[Any], Exception],
        *,
        half: Callable[[], Any] | None = None,
    ) -> Any:
        """Make one call, or hurt it; ``fail`` gets the result (None before) and gives the error that comes back."""
        before = self.inside
        if "aside" in before:
            return do()
        moment = self._reach(f"{boundary}.{act}@{_place()}", half=half is not None)
        self._here.inside = (*before, boundary)
        try:
            if moment is None:
                return do()
            self._struck()
            if moment is Moment.BEFORE:
                raise fail(None)
            result = half() if moment is Moment.HALF and half else do()
            if moment is Moment.DIES:
                os.kill(os.getpid(), signal.SIGKILL)
            raise fail(result)
        finally:
            self._here.inside = before

    def _reach(self, point: str, *, half: bool) -> Moment | None:
        with self._lock:
            self.counts[point] += 1
            if half:
                self.several.add(point)
            fault = self._fault
            if fault is None or (fault.point, fault.number) != (point, self.counts[point]):
                return None
            self._fault = None
            return fault.moment


def _place() -> str:
    """Where in our code: the function that calls, and the one of another room for which it does."""
    frame = sys._getframe(1)  # noqa: SLF001  the stack of the interpreter, which inspect reads the same way
    inner = ""
    found = "elsewhere"
    walked: Any = frame
    while walked is not None:
        module = str(walked.f_globals.get("__name__", ""))
        name = walked.f_code.co_qualname.replace("<locals>.", "")
        if module.partition(".")[0] in OURS and (module, name) not in _SILENT:
            if not inner:
                inner, found = module, f"{module}.{name}"
            elif module != inner and not module.startswith(("service.db", "service.vault")):
                return f"{found}<{module}.{name}"
        walked = walked.f_back
    return found


@contextmanager
def watched(watch: Watch, store: ObjectStore, provider: PrintProvider) -> Iterator[Watch]:
    """Wrap everything through which this process reaches others, for the length of the block."""
    taken_back: list[Callable[[], None]] = []

    def put(owner: Any, name: str, made: Any) -> None:
        own, before = name in vars(owner), getattr(owner, name)
        taken_back.append(lambda: setattr(owner, name, before) if own else delattr(owner, name))
        setattr(owner, name, made)

    _wrap_database(watch, put)
    _wrap_disk(watch, put)
    _wrap_sockets(watch, put)
    _wrap_port(watch, put, "store", ObjectStore, store, lambda: unreachable("fault"))
    _wrap_port(watch, put, "provider", PrintProvider, provider, _provider_away)
    try:
        yield watch
    finally:
        for back in reversed(taken_back):
            back()


class Put(Protocol):
    """Replaces an attribute until the end of the block."""

    def __call__(self, owner: Any, name: str, made: Any) -> None:
        """Replace it."""


def _cut_off(connection: Any) -> Exception:
    with suppress(psycopg.Error):
        connection.close()
    return psycopg.OperationalError("the connection to the server was lost (a fault)")


def _wrap_database(watch: Watch, put: Put) -> None:
    real_connect = psycopg.connect

    @wraps(real_connect)
    def connect(*values: Any, **more: Any) -> Any:
        def fail(made: Any) -> Exception:
            return psycopg.OperationalError("no connection (a fault)") if made is None else _cut_off(made)

        return watch.call("database", "connect", lambda: real_connect(*values, **more), fail)

    for name in ("execute", "executemany"):
        _wrap_statement(watch, put, name)
    for name in ("commit", "rollback"):
        _wrap_end(watch, put, name)
    put(psycopg, "connect", connect)


def _wrap_statement(watch: Watch, put: Put, name: str) -> None:
    real = getattr(psycopg.Cursor, name)

    @wraps(real)
    def wrapped(self: Any, query: Any, params: Any = None, *rest: Any, **more: Any) -> Any:
        if "aside" not in watch.inside:
            watch.statements += len(params) if name == "executemany" else 1
        do: Callable[[], Any] = lambda: real(self, query, params, *rest, **more)  # noqa: E731
        return watch.call("database", name, do, lambda _: _cut_off(self.connection))

    put(psycopg.Cursor, name, wrapped)


def _wrap_end(watch: Watch, put: Put, name: str) -> None:
    real = getattr(psycopg.Connection, name)

    @wraps(real)
    def wrapped(self: Any) -> None:
        if self.info.transaction_status == TransactionStatus.IDLE:
            # Nothing is sent.
            real(self)
        else:
            watch.call("database", name, lambda: real(self), lambda _: _cut_off(self))

    put(psycopg.Connection, name, wrapped)


def _wrap_disk(watch: Watch, put: Put) -> None:
    def broken(_: Any) -> Exception:
        return OSError(5, "input/output error (a fault)")

    def broken_open(made: Any) -> Exception:
        if isinstance(made, int):
            os.close(made)
        elif made is not None:
            made.close()
        return broken(made)

    def wrap(name: str) -> None:
        real = getattr(os, name)

        @wraps(real)
        def wrapped(*values: Any, **more: Any) -> Any:
            return watch.call("disk", name, lambda: real(*values, **more), broken)

        put(os, name, wrapped)

    real_os_open, real_open = os.open, io.open

    @wraps(real_os_open)
    def os_open(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        do: Callable[[], Any] = lambda: real_os_open(path, flags, *rest, **more)  # noqa: E731
        return int(watch.call("disk", "open", do, broken_open) if flags & _WRITES else do())

    @wraps(real_open)
    def file_open(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
        do: Callable[[], Any] = lambda: real_open(file, mode, *rest, **more)  # noqa: E731
        writes = set(mode) & set("wax+") and not isinstance(file, int)
        return watch.call("disk", "open", do, broken_open) if writes else do()

    for name in _DISK:
        wrap(name)
    put(os, "open", os_open)
    put(io, "open", file_open)
    put(builtins, "open", file_open)


def _wrap_sockets(watch: Watch, put: Put) -> None:
    def cut(line: socket.socket, *, acted: bool) -> Exception:
        if acted:
            # What was sent has its effect before the connection goes: the peer's answer is there, and nobody reads it.
            select.select([line], [], [], REPLY_SECONDS)
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        return ConnectionResetError(104, "connection reset by peer (a fault)")

    def wrap(name: str) -> None:
        real = getattr(socket.socket, name)

        @wraps(real)
        def wrapped(self: socket.socket, *values: Any, **more: Any) -> Any:
            address = values[0] if name == "connect" else None
            done = False

            def do() -> Any:
                nonlocal done
                result = real(self, *values, **more)
                done = True
                return result

            party = _party(watch, self, address)
            return watch.call(party, name, do, lambda _: cut(self, acted=done and name != "connect"))

        put(socket.socket, name, wrapped)

    for name in ("connect", "send", "sendall", "sendmsg"):
        wrap(name)


def _party(watch: Watch, line: socket.socket, address: Any) -> str:
    if address is None:
        try:
            address = line.getpeername()
        except OSError:
            return "nobody"
    if isinstance(address, tuple):
        return watch.parties.get(int(address[1]), f"port-{address[1]}")
    # Only the inspection's helper is spoken to over a pair of sockets.
    return "helper"


def _provider_away() -> Exception:
    return ProviderUnavailable(Problem("PROVIDER_UNAVAILABLE", "The print house cannot be reached (a fault)."))


def _wrap_port(watch: Watch, put: Put, boundary: str, port: type, own: Any, error: Callable[[], Exception]) -> None:
    """Wrap the methods that a port names on the class that implements it; calls within the port are its own affair."""

    def wrap(name: str) -> None:
        real = getattr(type(own), name)

        @wraps(real)
        def wrapped(self: Any, *values: Any, **more: Any) -> Any:
            do: Callable[[], Any] = lambda: real(self, *values, **more)  # noqa: E731
            if boundary in watch.inside:
                return do()
            several = name == "put_many" and len(values[0]) > 1
            half = (lambda: real(self, values[0][: len(values[0]) // 2])) if several else None
            return watch.call(boundary, name, do, lambda _: error(), half=half)

        put(type(own), name, wrapped)

    for name in sorted(name for name in vars(port) if not name.startswith("_")):
        wrap(name)
