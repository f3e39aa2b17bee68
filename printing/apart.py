"""Work with a document that code of others does, in a process of its own: it may crash, hang or take all memory."""

import faulthandler
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

SECONDS: Final = 20
"""Processor time of the work."""
MEMORY: Final = 1024 * 1024 * 1024
"""Bytes that the work may have beyond what this process has when it begins."""

_WAIT: Final = 40.0
_STEP: Final = 1 << 20


def apart(work: Callable[[], bytes], *, seconds: int = SECONDS, memory: int = MEMORY) -> bytes | None:
    """What `work` gives, done in a fork of this process, or None when it failed, crashed or was ended for its use.

    A fork takes milliseconds and has everything that is loaded here. It must not touch what this process shares with
    others (connections, locks of threads), and ends without any of the usual cleaning up.
    """
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:
        _do(work, mouth, seconds, memory)
    os.close(mouth)
    try:
        said = _heard(ear, time.monotonic() + _WAIT)
    finally:
        os.close(ear)
        # It has said all it will; one that still runs was too slow.
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    # The last byte says that it came to its end: a killed process may have written half of it.
    return said[:-1] if said.endswith(b"\n") else None


def _do(work: Callable[[], bytes], mouth: int, seconds: int, memory: int) -> None:
    # Its end is told by what it says; a dump of this process's frames would only frighten whoever reads its log.
    faulthandler.disable()
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _lower(resource.RLIMIT_CPU, seconds)
        _lower(resource.RLIMIT_AS, _present_size() + memory)
        rest = memoryview(work() + b"\n")
        while rest:
            rest = rest[os.write(mouth, rest) :]
    finally:
        # Whatever went wrong is told by the missing last byte.
        os._exit(0)


def _lower(kind: int, bound: int) -> None:
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (bound if hard == resource.RLIM_INFINITY else min(bound, hard), hard))


def _present_size() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
    return int(pages) * resource.getpagesize()


def _heard(ear: int, deadline: float) -> bytes:
    waiting = select.poll()
    waiting.register(ear, select.POLLIN)
    said = bytearray()
    while waiting.poll(max(0.0, deadline - time.monotonic()) * 1000):
        piece = os.read(ear, _STEP)
        if not piece:
            break
        said += piece
    return bytes(said)
