"""Keeps a home's processes running: restarted when they die, stopped in reverse order, never left behind."""

import fcntl
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from service.embedded.leftovers import end_leftovers
from service.embedded.privileges import CannotStart, private_folder
from service.embedded.program import Life, Program, State, log_file

log = logging.getLogger(__name__)

Pids = dict[str, tuple[int, ...]]

_TICK, _SHORT_TICK = 0.1, 0.02
_FAMILY_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
# A process that ran this long had no fault of its own: the next pause is short again.
_SOUND_SECONDS = 20.0


class HomeInUse(CannotStart):
    """Another supervisor works on the same home."""


class ProgramFailed(CannotStart):
    """A program did not come up at its first start."""


class StopRequested(SystemExit):
    """Somebody wants the whole to stop (Ctrl-C, SIGTERM, a closed terminal)."""


class _Entry:
    """A program and how it fares."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.state = State.STARTING
        self.life: Life | None = None
        self.pause = _FIRST_PAUSE
        self.next_start = 0.0
        self.failure = ""
        self.was_ready = False


class Supervisor:
    """Runs programs for one home folder.

    One thread starts and watches all processes; it lives until the last of them has ended. The kernel ends them when
    that thread or its process dies, however it dies.
    """

    def __init__(self, home: Path, *, notice: Callable[[str], None] | None = None) -> None:
        """Take the home, which no other supervisor may have, and end what an earlier one left behind.

        Args:
            home: holds everything; made when it is missing.
            notice: told in a sentence when a process died or is back.

        Raises:
            HomeInUse: another supervisor has it.
            CannotStart: the home can't be used.
        """
        private_folder(home)
        self.home = home.resolve()
        self._notice = notice or log.warning
        self._lock = _Lock(self.home)
        self._entries: dict[str, _Entry] = {}
        self._changed: list[Callable[[Pids], None]] = []
        self._pids: Pids = {}
        self._next_family = 0.0
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._closing = threading.Event()
        try:
            end_leftovers(self.home)
        except BaseException:
            self._lock.close()
            raise
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, *programs: Program) -> None:
        """Start programs, all at once, and wait until each is ready; from then on each is restarted whenever it dies.

        Raises:
            ProgramFailed: one ended, or was not ready in time; it is not tried again, while the others stay.
        """
        entries = [_Entry(program) for program in programs]
        for entry in entries:
            known = self._entries.get(entry.program.name)
            if known is not None and known.state not in {State.STOPPED, State.FAILED}:
                raise ValueError(f"{entry.program.name} runs already")

        def begin() -> None:
            for entry in entries:
                # At the end of the order, also when it was stopped before.
                self._entries.pop(entry.program.name, None)
                self._entries[entry.program.name] = entry
                self._spawn(entry)

        self._do(begin)
        for entry in entries:
            self._wait(partial(self._is_settled, entry))
            if entry.state is State.FAILED:
                where = log_file(self.home, entry.program.name)
                raise ProgramFailed(f"{entry.program.name} did not start: {entry.failure} See {where}.")

    def stop(self, name: str) -> None:
        """Stop a program in good order, or by force after its time; it stays stopped until the next :meth:`start`."""
        entry = self._entries[name]
        self._do(lambda: self._ask_to_stop(entry))
        self._wait(lambda: entry.state is not State.STOPPING and self._is_settled(entry))

    def start_again(self, name: str) -> None:
        """Start a program that was stopped, and wait until it is ready."""
        self.start(self._entries[name].program)

    def close(self) -> None:
        """Stop everything, the latest started first, and give the home back. Safe to repeat."""
        if self._closing.is_set():
            return
        for name in reversed(list(self._entries)):
            self.stop(name)
        self._closing.set()
        self._thread.join()
        self._lock.close()

    def pids(self) -> Pids:
        """The process numbers of each program that runs, the program's own first."""
        return dict(self._pids)

    def pid(self, name: str) -> int | None:
        """The process number of one program; None while it does not run."""
        numbers = self._pids.get(name)
        return numbers[0] if numbers else None

    def state(self, name: str) -> State:
        """How one program fares."""
        return self._entries[name].state

    def on_change(self, tell: Callable[[Pids], None]) -> None:
        """Have ``tell`` called with all process numbers whenever one changed, from the supervisor's own thread."""
        self._do(lambda: self._changed.append(tell))

    def _do(self, task: Callable[[], None]) -> None:
        """Have the supervising thread do something and wait until it is done; its error is ours."""
        done = threading.Event()
        failed: list[Exception] = []

        def attempt() -> None:
            try:
                task()
            except Exception as error:  # noqa: BLE001 - handed to the thread that asked
                failed.append(error)
            finally:
                done.set()

        self._tasks.put(attempt)
        self._wait(done.is_set)
        if failed:
            raise failed[0]

    def _wait(self, until: Callable[[], bool]) -> None:
        # In short steps, so that a signal for the waiting thread is not kept waiting.
        while not until():
            if not self._thread.is_alive():
                raise RuntimeError("the supervising thread has ended")
            time.sleep(_SHORT_TICK)

    def _run(self) -> None:
        while not self._closing.is_set():
            settled = all(entry.state is not State.STARTING for entry in self._entries.values())
            with suppress(queue.Empty):
                self._tasks.get(timeout=_TICK if settled else _SHORT_TICK)()
            for entry in list(self._entries.values()):
                self._look_after(entry)
            self._publish()

    def _look_after(self, entry: _Entry) -> None:
        now = time.monotonic()
        if entry.life is None:
            if entry.state is State.WAITING and now >= entry.next_start:
                self._spawn(entry)
            return
        status = entry.life.ended()
        if status is not None:
            self._after_end(entry, entry.life, status)
        elif entry.state is State.STARTING:
            self._while_starting(entry, entry.life)
        elif entry.state is State.STOPPING:
            entry.life.enforce_stop()

    def _spawn(self, entry: _Entry) -> None:
        entry.state = State.STARTING
        try:
            entry.life = Life(entry.program, self.home)
        except OSError as error:
            self._failed(entry, f"{error.strerror}.")

    def _while_starting(self, entry: _Entry, life: Life) -> None:
        if life.is_ready():
            if entry.was_ready:
                self._notice(f"{entry.program.name} runs again (process {life.pid}).")
            entry.state, entry.was_ready = State.RUNNING, True
        elif life.is_late():
            entry.failure = f"It was not ready within {entry.program.ready_seconds:.0f} seconds."
            life.kill()

    def _after_end(self, entry: _Entry, life: Life, status: int) -> None:
        entry.life = None
        if entry.state is State.STOPPING:
            entry.state = State.STOPPED
            return
        if time.monotonic() - life.started > _SOUND_SECONDS:
            entry.pause = _FIRST_PAUSE
        self._failed(entry, entry.failure or _ending(status))
        entry.failure = "" if entry.was_ready else entry.failure

    def _failed(self, entry: _Entry, why: str) -> None:
        if not entry.was_ready:
            entry.state, entry.failure = State.FAILED, why
            return
        entry.state, entry.next_start = State.WAITING, time.monotonic() + entry.pause
        where = log_file(self.home, entry.program.name)
        self._notice(f"{entry.program.name} ended and is started again. {why} See {where}.")
        entry.pause = min(entry.pause * 2, _LONGEST_PAUSE)

    def _ask_to_stop(self, entry: _Entry) -> None:
        if entry.life is None:
            entry.state = entry.state if entry.state is State.FAILED else State.STOPPED
            return
        entry.state = State.STOPPING
        entry.life.ask_to_stop()

    def _is_settled(self, entry: _Entry) -> bool:
        """Whether a start has come to its end, for readers of :meth:`pids` too."""
        return entry.state is not State.STARTING and self.pid(entry.program.name) == (entry.life and entry.life.pid)

    def _publish(self) -> None:
        """Tell who wants to know when a process number changed."""
        now = time.monotonic()
        leaders = {name: entry.life.pid for name, entry in self._entries.items() if entry.life}
        same = leaders == {name: numbers[0] for name, numbers in self._pids.items()}
        if same and now < self._next_family:
            return
        self._next_family = now + _FAMILY_SECONDS
        pids = {name: entry.life.family() for name, entry in self._entries.items() if entry.life}
        if pids == self._pids:
            return
        self._pids = pids
        for tell in self._changed:
            try:
                tell(dict(pids))
            except Exception:
                # A listener's fault must not end the thread that all processes are tied to.
                log.exception("a listener to process changes failed")


def _ending(status: int) -> str:
    if status < 0:
        return f"It was ended by signal {signal.Signals(-status).name}."
    return f"It ended with status {status}."


class _Lock:
    """The right to work on a home, held until :meth:`close` or the end of the process."""

    def __init__(self, home: Path) -> None:
        try:
            self._descriptor = os.open(home / "supervisor.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError:
            raise CannotStart(
                f"The folder {home} belongs to another user: set ZENDING_HOME to a folder of your own."
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise HomeInUse(
                f"Zending runs already with the data in {home} (process {holder or 'unknown'}): stop it first, or set "
                "ZENDING_HOME to another folder."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)

    def close(self) -> None:
        os.close(self._descriptor)


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Within the block, SIGTERM, SIGINT and SIGHUP raise :class:`StopRequested` in the main thread, once.

    Later ones are ignored, so that nobody interrupts the orderly end by impatience; the processes have time limits.
    A SIGHUP that is ignored already (nohup) stays so. Must be entered in the main thread.
    """
    asked = threading.Event()

    def stop(number: int, _frame: FrameType | None) -> None:
        if not asked.is_set():
            asked.set()
            raise StopRequested(128 + number)

    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
