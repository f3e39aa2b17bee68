"""Two schedulers at once, as after a failover in which the first one lives on: what each does, the other must not."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import truth
from bench.running import Answer, Running, hand_in, requests

_AT_ONCE = 10
_EVERY = 5.0
_STOP_SECONDS = 20.0


@contextmanager
def second_scheduler(target: Running) -> Iterator[None]:
    """Another scheduler beside the one that runs, for the length of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "scheduler"],
        env=target.stack.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError("the second scheduler ended by itself")
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def side_by_side(target: Running, seconds: float, *, answers: list[Answer], patience: float, seed: int) -> truth.Found:
    """Hand in a little every few seconds while two schedulers run, then wait for the end and judge.

    Args:
        target: the running service.
        seconds: how long.
        answers: what was acknowledged before; what is acknowledged now is added.
        patience: seconds until all must be at its end.
        seed: of the documents' mixture.
    """
    with second_scheduler(target):
        ends = time.monotonic() + seconds
        while True:
            hand_in(target, requests(target, _AT_ONCE, seed=seed), connections=2, done=answers.append)
            seed += 1
            if time.monotonic() + _EVERY > ends:
                break
            time.sleep(_EVERY)
        truth.wait_for_end(target, len(answers), seconds=patience)
    return truth.judge(target, answers)
