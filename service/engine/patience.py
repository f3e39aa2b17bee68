"""How much of a worker's processor time and memory one document may take.

What is accepted was looked at, yet nobody can say of a file that no reader will ever go in circles over it. So a step
that takes a document apart does it under two clocks of the process's own time; what waits for others costs nothing.
"""

import contextlib
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final

SECONDS: Final = 20.0
"""Then the work is stopped, if it is Python that runs; an ordinary document takes hundredths of one."""
LAST_SECONDS: Final = 40.0
"""Then the process is ended, if it is a library that does not come back."""
_AGAIN: Final = 0.5


class OutOfPatience(Exception):
    """The work took more processor time or memory than it may."""


class _Stop(BaseException):
    """Not an `Exception`, so that nobody takes it for a broken file and goes on."""


@contextlib.contextmanager
def patience(seconds: float = SECONDS, *, at_last: float = LAST_SECONDS, memory: int | None = None) -> Iterator[None]:
    """Bound the processor time of what is done inside, in the main thread; other threads are not bounded.

    Args:
        seconds: processor time of this process.
        at_last: beyond it the process ends by SIGVTALRM, which the engine takes for a lost worker: the job is tried
            alone, then parked.
        memory: bytes of address space beyond what the process has. Only for work that ends when there is none: qpdf
            goes on without the objects it found no room for.

    Raises:
        OutOfPatience: it took more than `seconds` or `memory`.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    running = True

    def stop(_number: int, _frame: FrameType | None) -> None:
        if running:
            raise _Stop

    unraisable = sys.unraisablehook

    def swallowed(event: "sys.UnraisableHookArgs") -> None:
        # It fell into a finaliser, out of which nothing can be raised; the clock strikes again in a moment.
        if not isinstance(event.exc_value, _Stop):
            unraisable(event)

    before = signal.signal(signal.SIGPROF, stop)
    sys.unraisablehook = swallowed
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN)
        signal.setitimer(signal.ITIMER_VIRTUAL, at_last)
        try:
            with contextlib.nullcontext() if memory is None else _room(memory):
                yield
        finally:
            running = False
    except _Stop:
        raise OutOfPatience from None
    finally:
        running = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGPROF, before)
        sys.unraisablehook = unraisable


@contextlib.contextmanager
def _room(memory: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    present = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    bounds = [each for each in (present + memory, *before) if each != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), before[1]))
    try:
        yield
    except MemoryError:
        raise OutOfPatience from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
