"""A validation helper whose documents may name what its reader shall do: to see what the walls make of it."""

import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec

from service.inspection.forking import serve
from service.inspection.limits import InspectionLimits
from service.inspection.validating import Asked, Believed, Trust, answered, question
from signing.algorithms import digest
from signing.report import Report, Verdict

Pieces = Sequence[bytes]


def _crash() -> NoReturn:
    os.kill(os.getpid(), signal.SIGSEGV)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os._exit(139)


def _error() -> NoReturn:
    raise RuntimeError("whatever a library may raise")


def _spin() -> NoReturn:
    while True:
        pass


def _memory() -> Pieces:
    kept = []
    while True:
        kept.append(bytearray(16 * 1024 * 1024))


def _sleep() -> Pieces:
    time.sleep(60)
    return ()


def _endless() -> Pieces:
    return [b" " * (1 << 20)] * 200


def _lie() -> Pieces:
    return (msgspec.json.encode(Report("00", Verdict.VALID, None, strict=True, signatures=())),)


def _tried(attempt: Callable[[], object], document: bytes) -> Pieces:
    code = "done"
    try:
        attempt()
    except OSError:
        code = "refused"
    sha256 = digest("sha256", document).hex()
    return (msgspec.json.encode(Report(sha256, Verdict.INDETERMINATE, code, strict=False, signatures=())),)


PROBES: dict[str, Callable[[], Pieces]] = {
    "crash": _crash,
    "abort": os.abort,
    "error": _error,
    "noise": lambda: (b"\xff" * 100,),
    "nothing": lambda: (),
    "a lie": _lie,
    "another document": partial(_tried, lambda: None, b"another"),
    "endless": _endless,
    "spin": _spin,
    "memory": _memory,
    "sleep": _sleep,
    "socket": partial(_tried, socket.socket, b"probe:socket"),
    "open a file": partial(_tried, Path("/etc/hostname").read_bytes, b"probe:open a file"),
    "fork": partial(_tried, os.fork, b"probe:fork"),
}


def probing(trust: Trust, document: bytes) -> Pieces:
    """Run the probe that the document names, or judge it."""
    at = document.find(b"probe:")
    return PROBES[document[at + 6 :].decode()]() if at >= 0 else answered(trust, document)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    limits = msgspec.json.decode(sys.argv[1], type=InspectionLimits)
    trust = Trust(msgspec.json.decode(sys.argv[4], type=Believed), datetime.now(UTC))
    asked = question(Asked(datetime.now(UTC)), b"no pdf")
    answered(trust, asked)
    serve(sys.argv[1:], limits, partial(probing, trust), asked)
