"""Processes that an earlier supervisor left behind: found, given time to end, then ended.

They were told to end when their supervisor died; a database that is writing its last page needs a moment for it.
Only whoever holds the home's lock may call this: what it finds then belongs to nobody who still runs.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "ZENDING_SUPERVISED"
"""Environment variable of every supervised process and what it starts: the home it belongs to."""

_STEP = 0.05


def end_leftovers(home: Path, *, patience: float = 30.0) -> int:
    """Wait until no earlier process of ``home`` is left, ending those that are after ``patience`` seconds.

    Returns:
        How many there were.

    Raises:
        TimeoutError: one could not be ended, for example because it hangs in the kernel.
    """
    found: set[int] = set()
    deadline = time.monotonic() + patience
    last = deadline + patience
    while left := set(_processes_of(home)):
        for process in left - found:
            _signal(process, signal.SIGTERM)
        found |= left
        now = time.monotonic()
        if now > last:
            raise TimeoutError(f"processes of an earlier run do not end: {sorted(left)}")
        if now > deadline:
            for process in left:
                _signal(process, signal.SIGKILL)
        time.sleep(_STEP)
    return len(found)


def _signal(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return


def _processes_of(home: Path) -> Iterator[int]:
    mark = os.fsencode(f"{MARK}={home}")
    data = home / "postgres" / "data"
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0") or _is_database(entry, data):
                yield int(entry.name)
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue


def _is_database(entry: Path, data: Path) -> bool:
    """PostgreSQL writes its state over its environment, but works in its data folder."""
    return (entry / "cwd").readlink() == data and (entry / "exe").readlink().name == "postgres"
