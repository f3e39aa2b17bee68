"""The parent's side of reading documents behind walls: keeps a helper, hands it documents, takes the answers."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog

from service.domain.errors import Retryable
from service.inspection.endings import Ending, Ready
from service.inspection.limits import InspectionLimits

_ROOT: Final = Path(__file__).resolve().parents[2]
_START_SECONDS: Final = 60.0
_GRACE: Final = 5.0
_STEP: Final = 1 << 20
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_OUT_OF_MEMORY: Final = 3

_log = structlog.get_logger(__name__)


class ReaderFailed(Exception):
    """A document's reader ended before it had answered, and that is the document's doing.

    Attributes:
        reason: "timeout" (too much of a processor), "memory", or "crashed".
        ended: how, for logs.
    """

    def __init__(self, reason: str, ended: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.ended = ended


class HeldUp(Retryable):
    """A document came no further in the time there is, whoever is to blame."""


class _HelperGone(Exception):
    """The helper ended while it had our document."""


class Readers:
    """Reads documents in short-lived, walled-in processes; one per process of the service, for all its threads.

    Use it as a context manager: entering starts the helper and proves its walls (or the first document does, where
    documents come seldom), leaving ends it. A helper that dies
    is started anew and the document in hand tried once more; it also dies with this process, however that ends.
    """

    def __init__(
        self, limits: InspectionLimits, program: str, further: Sequence[str] = (), *, late: bool = False
    ) -> None:
        """Set up; nothing is started yet.

        Args:
            limits: bounds of each reading.
            program: module that a helper runs.
            further: arguments for it.
            late: start it with the first document.
        """
        self._limits = limits
        self._program = program
        self._further = tuple(further)
        self._late = late
        self._places = threading.BoundedSemaphore(limits.children)
        self._lock = threading.Lock()
        self._helper: _Helper | None = None
        self._open = False

    def __enter__(self) -> Self:
        self._open = True
        if not self._late:
            self._present_helper()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._open = False
            if self._helper is not None:
                self._helper.end()
                self._helper = None

    @property
    def walls(self) -> Ready:
        """The walls around the children, as the helper found them on this machine."""
        return self._present_helper().ready

    @property
    def helper_pid(self) -> int:
        """The helper's process id."""
        return self._present_helper().pid

    def read(self, document: bytes) -> bytearray:
        """Have a document read; what its reader wrote, which may be anything.

        Raises:
            ReaderFailed: the reader crashed, or took too much of a processor or of memory.
            HeldUp: the machine held the reading up.
            Retryable: no place became free, or the helper cannot be started.
        """
        if not self._places.acquire(timeout=self._limits.wait):
            raise Retryable("Too many documents are being checked at the moment. Try again in a minute.")
        try:
            for _ in range(2):
                helper = self._present_helper()
                try:
                    return helper.read(document)
                except _HelperGone:
                    _log.warning("inspection_helper_gone", pid=helper.pid)
                    self._drop(helper)
        finally:
            self._places.release()
        raise Retryable("The checking of documents is interrupted at the moment. Try again in a minute.")

    def _present_helper(self) -> "_Helper":
        with self._lock:
            if not self._open:
                raise RuntimeError("the readers are not open")
            if self._helper is None:
                self._helper = _Helper(self._program, self._limits, self._further)
            return self._helper

    def _drop(self, helper: "_Helper") -> None:
        with self._lock:
            if self._helper is helper:
                self._helper = None
                helper.end()


class _Helper:
    """One helper process and the socket to it."""

    def __init__(self, program: str, limits: InspectionLimits, further: Sequence[str]) -> None:
        self._limits = limits
        self._owner = os.getpid()
        self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments = [msgspec.json.encode(limits).decode(), str(far.fileno()), str(self._owner), *further]
        # An environment of its own: the service's holds passwords and addresses.
        environment = {"PYTHONPATH": str(_ROOT), "PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-m", "service.inspection.start", program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=environment,
                pass_fds=[far.fileno()],
            )
        try:
            self.ready = self._first_word()
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def _first_word(self) -> Ready:
        self._control.settimeout(_START_SECONDS)
        try:
            word = self._control.recv(4096)
        except (TimeoutError, ConnectionResetError):
            word = b""
        if not word:
            raise Retryable("The checking of documents cannot be started.", context={"helper": str(self.pid)})
        ready = msgspec.json.decode(word, type=Ready)
        if not ready.walls_hold:
            raise Retryable(
                "Documents cannot be checked safely on this machine: it has no seccomp filter for the readers."
            )
        return ready

    def end(self) -> None:
        """End the process; its children end with it."""
        self._control.close()
        if os.getpid() != self._owner:
            return  # a fork of the owner; the process belongs to the other
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def read(self, document: bytes) -> bytearray:
        """Have one document read; what the child wrote.

        Raises:
            ReaderFailed: the child crashed, or took too much of a processor or of memory.
            HeldUp: it came no further in the time there is, or was killed from outside.
            _HelperGone: the helper is dead.
        """
        deadline = time.monotonic() + self._limits.wall + _GRACE
        report, far_report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pipe, far_pipe = (os.fdopen(end, mode, buffering=0) for end, mode in zip(os.pipe(), ("rb", "wb"), strict=True))
        with report, pipe:
            with far_report, far_pipe, _memory_file(document) as file:
                try:
                    socket.send_fds(self._control, [b"read"], [file, far_pipe.fileno(), far_report.fileno()])
                except OSError as error:
                    raise _HelperGone from error
            wire = self._answer(pipe.fileno(), deadline)
            _check(_ending(report, deadline))
            return wire

    def _answer(self, pipe: int, deadline: float) -> bytearray:
        """What the child wrote; to stop listening is to end it."""
        waiting = select.poll()
        waiting.register(pipe, select.POLLIN)
        wire = bytearray()
        while len(wire) <= self._limits.answer_bytes:
            if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise _held_up()
            piece = os.read(pipe, _STEP)
            if not piece:
                return wire
            wire += piece
        raise ReaderFailed("crashed", "answer too long")


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    """A descriptor of a file in memory that nobody can change any more."""
    with os.fdopen(os.memfd_create("document", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb", buffering=0) as file:
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]
        file.seek(0)
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
        yield file.fileno()


def _ending(report: socket.socket, deadline: float) -> Ending:
    report.settimeout(max(0.001, deadline - time.monotonic()))
    try:
        word = report.recv(256)
    except TimeoutError:
        return Ending(exit=1, timed_out=True)
    except ConnectionResetError as error:
        raise _HelperGone from error
    if not word:
        raise _HelperGone
    return msgspec.json.decode(word, type=Ending)


def _held_up() -> HeldUp:
    return HeldUp("The document could not be checked in time. Try again in a minute.")


def _check(ending: Ending) -> None:
    # Not the document's doing: nothing a document makes its reader do ends it in these ways.
    if ending.timed_out or ending.exit == -signal.SIGKILL:
        raise _held_up()
    if ending.exit == -signal.SIGXCPU:
        raise ReaderFailed("timeout", str(ending.exit))
    if ending.exit == _OUT_OF_MEMORY:
        raise ReaderFailed("memory", str(ending.exit))
    if ending.exit != 0:
        raise ReaderFailed("crashed", str(ending.exit))
