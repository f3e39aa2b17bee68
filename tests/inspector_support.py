"""Inspectors for tests, and what can be seen of their helper and its children."""

import threading
import time
from pathlib import Path

import pytest

from service.domain.errors import DocumentRefused, Retryable
from service.inspection.inspector import Inspector
from service.inspection.limits import InspectionLimits
from service.inspection.scanners.none import NoScanner
from tests import inspection_support as made

LIMITS = InspectionLimits()


def opened(limits: InspectionLimits = LIMITS) -> Inspector:
    return Inspector(limits, NoScanner(), program=made.PROBE_PROGRAM)


def refused(inspector: Inspector, document: bytes) -> DocumentRefused:
    with pytest.raises(DocumentRefused) as caught:
        inspector.inspect(document)
    return caught.value


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def gone(pid: int, seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if status_of(pid)["State"].startswith("Z"):
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


class Late:
    """A document that takes as long as it may, in a thread."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector, self.caught = inspector, list[Retryable]()
        self.thread = threading.Thread(target=self._inspect)
        self.thread.start()

    def _inspect(self) -> None:
        with pytest.raises(Retryable) as caught:
            self._inspector.inspect(b"probe:sleep")
        self.caught.append(caught.value)

    def child(self) -> str:
        """The child that reads it."""
        while not (children := children_of(self._inspector.helper_pid)):
            time.sleep(0.01)
        return children[0]


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def childless(pid: int, seconds: float = 20) -> bool:
    """Whether a process has no child left, or soon has none: one that nobody listens to takes a moment to end."""
    until = time.monotonic() + seconds
    while children_of(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
