"""The process that keeps everything a reader of documents needs loaded, and forks one child per document.

Started by `readers.Readers` through `start`, with the arguments LIMITS SOCKET PARENT and what its program needs more.
A fresh interpreter holds nothing of the service's memory (no key, no other document, no password), and a fork of it
costs 1 ms where a start would cost 150. It has one thread and decides nothing: it forks, keeps time, reports how each
child ended. What a child does with its document is the program's: `helper` inspects, `validating` judges signatures.

Per document it gets one message with three descriptors: the document (a sealed memfd), the pipe for the child's
answer, and a socket for the `Ending`. Closing that socket early ends the child. When the parent is gone, so are the
helper and all its children.
"""

import fcntl
import gc
import io
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NoReturn

import msgspec

from service.inspection import sandbox, seccomp
from service.inspection.endings import Ending, Ready
from service.inspection.limits import InspectionLimits

Work = Callable[[bytes], Iterable[bytes]]
"""What a child does with its document: the pieces of its answer, to be written one after another."""

OUT_OF_MEMORY: Final = 3
"""A child's exit status when it had not enough memory."""

_DESCRIPTORS: Final = 3
_ANSWER, _DOCUMENT = 3, 4


class _Child(msgspec.Struct):
    pid: int
    pidfd: int
    report: socket.socket
    deadline: float
    timed_out: bool = False


class Helper:
    """The loop: take a document, fork, watch."""

    def __init__(self, control: socket.socket, parent: int, limits: InspectionLimits, work: Work) -> None:
        self._control = control
        self._limits = limits
        self._work = work
        self._walls = sandbox.ChildWalls(limits, os.getpid())
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._parent = os.pidfd_open(parent)
        self._selector.register(self._parent, selectors.EVENT_READ, self._stop)
        self._listening = False
        self._running = True

    def run(self) -> None:
        """Serve until the parent is gone; then end every child."""
        while self._running:
            self._listen(len(self._children) < self._limits.children)
            for key, _ in self._selector.select(self._until_next_deadline()):
                key.data()
            self._stop_late_ones()
        for child in self._children.values():
            os.kill(child.pid, signal.SIGKILL)

    def walls_hold(self, document: bytes) -> bool:
        """Whether a child can be shut in and still read a document."""
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                self._walls.close()
                b"".join(self._work(document))
                status = 0
            finally:
                os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def _until_next_deadline(self) -> float | None:
        deadlines = [child.deadline for child in self._children.values() if not child.timed_out]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _stop(self) -> None:
        self._running = False

    def _listen(self, wanted: bool) -> None:  # noqa: FBT001 - one private switch
        if wanted and not self._listening:
            self._selector.register(self._control, selectors.EVENT_READ, self._take)
        elif self._listening and not wanted:
            self._selector.unregister(self._control)
        self._listening = wanted

    def _take(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self._control, 16, _DESCRIPTORS)
        if not message:
            self._stop()
        elif len(descriptors) == _DESCRIPTORS:
            document, answer, report = descriptors
            self._fork(document, answer, socket.socket(fileno=report))

    def _fork(self, document: int, answer: int, report: socket.socket) -> None:
        pid = os.fork()
        if pid == 0:
            self._be_child(document, answer)
        os.close(document)
        os.close(answer)
        child = _Child(pid, os.pidfd_open(pid), report, time.monotonic() + self._limits.wall)
        self._children[pid] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, lambda: self._bury(child))
        self._selector.register(report, selectors.EVENT_READ, lambda: self._give_up(child))

    def _be_child(self, document: int, answer: int) -> NoReturn:
        """Read one document and never return."""
        status = 1
        try:
            # Collecting writes to every page it looks at, and a child is over before there is much to collect.
            gc.disable()
            _keep_only(document, answer)
            self._walls.close()
            _read_and_answer(self._work)
            status = 0
        except MemoryError:
            status = OUT_OF_MEMORY
        finally:
            # What else goes wrong here is the document's doing; the exit status says so and nobody reads a traceback.
            os._exit(status)

    def _give_up(self, child: _Child) -> None:
        """The parent no longer wants the answer."""
        if child.pid not in self._children:
            return  # ended and buried in the same round of events, a moment ago
        self._selector.unregister(child.report)
        os.kill(child.pid, signal.SIGKILL)

    def _stop_late_ones(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if not child.timed_out and child.deadline <= now:
                child.timed_out = True
                os.kill(child.pid, signal.SIGKILL)

    def _bury(self, child: _Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        del self._children[child.pid]
        self._selector.unregister(child.pidfd)
        os.close(child.pidfd)
        if child.report in self._selector.get_map():
            self._selector.unregister(child.report)
        code = os.waitstatus_to_exitcode(status)
        ending = Ending(exit=code, timed_out=child.timed_out)
        try:
            child.report.send(msgspec.json.encode(ending))
        except (BrokenPipeError, ConnectionResetError):
            return  # the parent has stopped waiting for this one
        finally:
            child.report.close()


def _keep_only(document: int, answer: int) -> None:
    """Leave the child the document to read, the pipe to write, and nothing of the helper's."""
    # First out of the way of the numbers they are to have.
    document, answer = (fcntl.fcntl(number, fcntl.F_DUPFD, 10) for number in (document, answer))
    os.dup2(answer, _ANSWER)
    os.dup2(document, _DOCUMENT)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    os.closerange(_DOCUMENT + 1, 65536)


def _read_and_answer(work: Work) -> None:
    """Read the document from its descriptor, do the work, write the answer to the pipe."""
    document = io.FileIO(_DOCUMENT, closefd=False).readall()
    for wire in work(document):
        rest = memoryview(wire)
        while rest:
            rest = rest[os.write(_ANSWER, rest) :]


def serve(arguments: Sequence[str], limits: InspectionLimits, work: Work, document: bytes) -> None:
    """Run a helper to the end of its parent.

    Args:
        arguments: the limits as JSON, the control socket's number, the parent's process id.
        limits: the same limits.
        work: what a child does; everything it needs is loaded.
        document: one that a child can read, to prove the walls with.
    """
    control, parent = socket.socket(fileno=int(arguments[1])), int(arguments[2])
    # Ctrl-C in a terminal reaches every process there; the parent decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        helper = Helper(control, parent, limits, work)
    except seccomp.SandboxMissing:
        control.send(msgspec.json.encode(Ready(walls_hold=False, no_network=False, unprivileged=False)))
        return
    if os.getppid() != parent:
        return
    walls = sandbox.confine_helper()
    gc.collect()
    gc.freeze()
    ready = Ready(walls_hold=helper.walls_hold(document), **walls)
    control.send(msgspec.json.encode(ready))
    if ready.walls_hold:
        helper.run()
