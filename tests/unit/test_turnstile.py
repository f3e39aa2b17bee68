"""Places for a machine's processes: as many as there are, and a dead process's place is free."""

import os
import signal

import pytest

from service.engine.turnstile import Turnstile


def inside(turnstile: Turnstile) -> int:
    """A process of ours that is inside, or ended at once with 1 because there was no place; its id."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with turnstile.entered() as free:
            os.write(tell, b"x")
            if free:
                signal.pause()
        os._exit(1)
    os.read(ready, 1)
    os.close(ready)
    os.close(tell)
    return child


def end(child: int) -> int:
    """End a process without a word; the signal, or the status with which it had ended before."""
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_no_more_processes_enter_than_there_are_places_and_a_dead_one_leaves_its_own(
    request: pytest.FixtureRequest,
) -> None:
    turnstile = Turnstile(2)
    request.addfinalizer(turnstile.close)
    first, second = inside(turnstile), inside(turnstile)
    third = inside(turnstile)
    assert os.waitstatus_to_exitcode(os.waitpid(third, 0)[1]) == 1
    with turnstile.entered() as free:
        assert not free
    assert end(first) == -signal.SIGKILL
    with turnstile.entered() as free:
        assert free
        fourth = inside(turnstile)
        assert os.waitstatus_to_exitcode(os.waitpid(fourth, 0)[1]) == 1
    with turnstile.entered() as free:
        assert free
    assert end(second) == -signal.SIGKILL
