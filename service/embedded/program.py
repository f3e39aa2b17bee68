"""One supervised program: what it is, and its life as a process."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from service.embedded.leftovers import MARK
from service.embedded.privileges import tied

_LARGEST_LOG = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Program:
    """What a supervisor keeps running.

    Attributes:
        name: names it, its log file and its place in lists.
        command: program and arguments.
        environment: all of its environment; nothing else is inherited. May hold passwords, so it is never shown.
        ready: whether it does its work by now; asked from the start until it says yes, must answer within a second or
            two. An OSError means not yet. None: ready once started.
        ready_seconds: how long that may take.
        stop_signal: ends it in good order.
        stop_seconds: how long that may take before it is killed.
        user: who it runs as when that is not us; see :func:`service.embedded.privileges.tied`.
        folder: where it starts.
        family: whether the processes it starts itself are listed with it.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    ready: Callable[[], bool] | None = None
    ready_seconds: float = 30.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    user: int | None = None
    folder: Path = Path("/")
    family: bool = False


def steady(seconds: float = 2.5) -> Callable[[], bool]:
    """Readiness of a program that answers nobody: at its first start it must have stayed up for a while."""
    since: list[float] = []

    def ready() -> bool:
        since.append(time.monotonic())
        del since[1:]
        return time.monotonic() - since[0] >= seconds

    return ready


class State(Enum):
    """Where a program stands."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """It died; the next start comes after a pause."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    """It died, or never was ready, at its very first start."""


class Life:
    """One start of a program. All calls must come from one thread, which must outlive the process."""

    def __init__(self, program: Program, home: Path) -> None:
        """Start the process, in a process group of its own, its output appended to its log."""
        self.program = program
        self.started = time.monotonic()
        self.stop_by: float | None = None
        with open_log(home, program.name) as log:
            self._process = subprocess.Popen(
                [*tied(program.stop_signal, user=program.user), *program.command],
                env={**program.environment, MARK: str(home)},
                cwd=program.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def ended(self) -> int | None:
        """The exit status once the process is gone, else None.

        What it left in its process group is ended before its number can be given to another process.
        """
        if self._process.returncode is None:
            if os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            self._kill_group()
            self._process.wait()
        return self._process.returncode

    def is_ready(self) -> bool:
        """Whether it does its work."""
        if self.program.ready is None:
            return True
        try:
            return self.program.ready()
        except OSError:
            return False

    def is_late(self) -> bool:
        """Whether it should have been ready by now."""
        return time.monotonic() > self.started + self.program.ready_seconds

    def ask_to_stop(self) -> None:
        """Send the signal that ends it in good order, once."""
        if self.stop_by is None:
            self.stop_by = time.monotonic() + self.program.stop_seconds
            self._process.send_signal(self.program.stop_signal)

    def enforce_stop(self) -> None:
        """Kill it when it has had its time."""
        if self.stop_by is not None and time.monotonic() > self.stop_by:
            self._kill_group()

    def kill(self) -> None:
        """End it at once."""
        self._kill_group()

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def family(self) -> tuple[int, ...]:
        """The process and, where the program wants that, those it started."""
        return (self.pid, *(descendants(self.pid) if self.program.family else ()))


def descendants(process: int) -> list[int]:
    """The processes that ``process`` and its children started and that still run, in no special order."""
    found: list[int] = []
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text("ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return found
    for child in children:
        found += [child, *descendants(child)]
    return found


def log_file(home: Path, name: str) -> Path:
    """Where a program's output goes."""
    return home / "logs" / f"{name}.log"


def open_log(home: Path, name: str) -> BinaryIO:
    """Open a program's log for appending; one that grew large becomes the only older one."""
    file = log_file(home, name)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.exists() and file.stat().st_size > _LARGEST_LOG:
        file.replace(file.with_suffix(".log.1"))
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
