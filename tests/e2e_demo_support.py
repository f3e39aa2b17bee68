"""``zending demo`` in a process of its own, and what it says."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from service.embedded.fictional import SAMPLES
from tests.embedded_support import as_user, environment
from tests.service_support import until

ARRIVING = [sample for sample in SAMPLES if not sample.broken]
# So that several demonstrations on two cores stay within the tests' patience.
QUICK = {"ZENDING_PRINT_CUTOFF_SECONDS": "2", "ZENDING_WORKER_SLOTS": "1"}
SECONDS = 240.0


class Demo:
    """A demonstration in a process of its own; what it says is read as it comes."""

    def __init__(self, home: Path, *options: str, user: int | None = None, **more: str) -> None:
        self.home, self.said = home, ""
        self.process = subprocess.Popen(
            [*as_user(user), sys.executable, "-m", "service.cli", "demo", *options],
            env=environment() | QUICK | {"ZENDING_HOME": str(home)} | more,
            cwd=home.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line

    def until_said(self, words: str) -> None:
        until(lambda: words in self.said or self.process.poll() is not None, words, seconds=SECONDS)
        assert words in self.said, self.said

    def end(self, number: signal.Signals | None = None) -> int:
        """Wait for its end, after a signal when one is given; its status."""
        try:
            if number is not None:
                self.process.send_signal(number)
            status = self.process.wait(SECONDS)
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self._reading.join()
            assert self.process.stdout is not None
            self.process.stdout.close()
        return status

    def told(self) -> dict[str, Any]:
        """What demo.json says now."""
        found: dict[str, Any] = json.loads((self.home / "demo.json").read_text("utf-8"))
        return found
