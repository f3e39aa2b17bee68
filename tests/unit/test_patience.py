"""How long a document is borne with: by processor time, in Python and in libraries, and no longer than it lasts."""

import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from printing.apart import apart
from service.engine.patience import OutOfPatience, patience


def spin(seconds: float = 30.0) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        continue


def test_work_that_takes_too_long_is_stopped_whatever_it_catches() -> None:
    def deaf() -> None:
        try:
            spin()
        except Exception:  # noqa: BLE001 - as readers of broken files do
            spin()

    began = time.process_time()
    with pytest.raises(OutOfPatience), patience(0.2):
        deaf()
    assert time.process_time() - began < 5


def _outlast(slow: Callable[[], object]) -> None:
    with patience(0.2):
        slow()
        spin()


def test_a_stop_that_falls_into_a_finaliser_says_nothing_and_comes_again() -> None:
    class Slow:
        def __del__(self) -> None:
            spin(0.6)

    told: list[object] = []
    hook = told.append
    before, sys.unraisablehook = sys.unraisablehook, hook
    try:
        with pytest.raises(OutOfPatience):
            _outlast(Slow)
        left = sys.unraisablehook
    finally:
        sys.unraisablehook = before
    assert left is hook
    assert told == []


def test_waiting_for_others_takes_no_patience() -> None:
    with patience(0.2):
        time.sleep(0.5)


def test_nothing_is_left_of_it_afterwards() -> None:
    before = signal.getsignal(signal.SIGPROF)
    for _ in range(3):
        with patience(0.2):
            spin(0.05)
    with pytest.raises(KeyError), patience(0.2):
        raise KeyError
    spin(0.5)
    assert signal.getsignal(signal.SIGPROF) is before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_work_that_takes_too_much_memory_is_stopped_and_the_bound_goes_with_it() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with pytest.raises(OutOfPatience), patience(memory=64 << 20):
        bytearray(128 << 20)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    with patience(memory=256 << 20):
        assert len(bytearray(128 << 20)) == 128 << 20


def test_another_thread_works_unbounded() -> None:
    done = []

    def work() -> None:
        with patience(0.05):
            spin(0.3)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_a_library_that_never_comes_back_ends_with_its_process() -> None:
    child = os.fork()
    if child == 0:
        # The signal stays pending, as it does while a library keeps the interpreter to itself.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPROF})
        with patience(0.1, at_last=0.3):
            spin()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGVTALRM


def test_work_apart_gives_what_it_made() -> None:
    assert apart(lambda: b"") == b""
    assert apart(lambda: b"\n" * 3_000_000) == b"\n" * 3_000_000
    here = os.getpid()
    assert apart(lambda: str(os.getpid()).encode()) != str(here).encode()


def test_work_apart_may_fail_in_any_way() -> None:
    def fail() -> bytes:
        raise LookupError

    def crash() -> bytes:
        os.abort()

    def take() -> bytes:
        return bytes(1 << 30)

    def write_half() -> bytes:
        spin()
        return b"never"

    assert apart(fail) is None
    assert apart(crash) is None
    assert apart(take, memory=1 << 26) is None
    assert apart(write_half, seconds=1) is None


def test_work_apart_leaves_no_process_behind() -> None:
    # Looked up, not waited for: other tests of this process have children too.
    before = _children()
    apart(lambda: b"done")
    assert _children() <= before


def _children() -> set[str]:
    return set(Path("/proc/thread-self/children").read_text("ascii").split())
