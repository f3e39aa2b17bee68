"""Programs that a test starts and ends, with ports and environments of their own."""

import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from service.embedded.privileges import tied


class Processes:
    """Programs that end with their owner, each with its output in a file."""

    def __init__(self, logs: Path, *before: str) -> None:
        self._logs, self._before = logs, before
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str]) -> int:
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*tied(signal.SIGTERM), *self._before, *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        return self._running[name].pid

    def stop(self, name: str, *, seconds: float = 120.0) -> int:
        """Ask a program to end and wait for it; its status."""
        process = self._running.pop(name)
        process.terminate()
        try:
            return process.wait(seconds)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def running(self) -> dict[str, int]:
        """The programs that have not ended, with their process numbers."""
        return {name: process.pid for name, process in self._running.items() if process.poll() is None}

    def kill(self) -> None:
        """End all of them at once."""
        for process in self._running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()


def free_address(host: str) -> str:
    """Host and a port on which nobody listens at this moment."""
    return f"{host}:{free_port(host)}"


def answers(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def free_port(host: str) -> int:
    """A port on which nobody listens at this moment."""
    # Below the range of outgoing connections, so that none takes it before the server does.
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, port))
            return port


def installed_environment(checkout: Path) -> dict[str, str]:
    """For programs of a checkout, run by this interpreter."""
    return plain_environment() | {"PYTHONPATH": str(checkout), "PYTHONUNBUFFERED": "1"}


def plain_environment() -> dict[str, str]:
    """For programs that need nothing of ours."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return kept | {"PYTHONSAFEPATH": "1", "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
