"""Hurting a running service: what its processes hold is seen in the database, and ended by its process number."""

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psycopg

from bench import truth
from bench.running import SENDERS, Answer, Running, hand_in, requests
from service.db.jobs import JobKind
from service.embedded.program import State

PATIENCE = 120.0
"""Within this many seconds after a fault everything is at its end, without a person."""


@dataclass
class Service:
    """A running service, and all that it ever acknowledged."""

    running: Running
    answers: list[Answer] = field(default_factory=list)

    def hand_in(self, count: int, *, seed: int, patience: float = 60.0) -> list[Answer]:
        """Hand in; what is acknowledged counts from that moment on, whatever happens to the others."""
        return hand_in(
            self.running,
            requests(self.running, count, seed=seed),
            sender=SENDERS[0],
            patience=patience,
            done=self.answers.append,
        )

    def comes_to_its_end(self, *, seconds: float = PATIENCE) -> truth.Found:
        """Wait until everything is at its end, then judge all of it."""
        truth.wait_for_end(self.running, len(self.answers), seconds=seconds)
        return truth.judge(self.running, self.answers)

    def wait_until_held(self, kind: JobKind, *, seconds: float = 120.0) -> int:
        """Wait until a worker holds jobs of a kind; how many. It may be a lease until there are any."""
        ends = time.monotonic() + seconds
        with truth.owner(self.running) as connection:
            while time.monotonic() < ends:
                row = connection.execute(
                    "SELECT count(*) FROM job WHERE kind = %s AND lease_until > clock_timestamp()", [kind.value]
                ).fetchone()
                if row is not None and row[0]:
                    return int(row[0])
                time.sleep(0.002)
        raise TimeoutError(f"no worker took a job of the kind {kind.value}")

    def unfinished(self) -> int:
        """How many deliveries that were acknowledged are not at their end."""
        with truth.owner(self.running) as connection:
            return len(self.answers) - truth.standing(connection).ended

    def kill(self, name: str) -> None:
        """End a program and the processes it started, at once and without a chance to tidy up."""
        for process in self.running.stack.pids().get(name, ()):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def back(self, name: str, *, seconds: float = 60.0) -> None:
        """Wait until a program that was killed runs again."""
        supervisor = self.running.stack.supervisor
        _wait(lambda: supervisor.state(name) is State.RUNNING, seconds=seconds)

    def keep_down(self, name: str, *, seconds: float) -> None:
        """Kill a program whenever it is there, for some time."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.kill(name)
            time.sleep(0.05)

    def flush_broker(self) -> None:
        """Throw away everything the broker holds."""
        url = urlsplit(self.running.application.settings.broker_url.get_secret_value())
        with socket.create_connection((url.hostname or "", url.port or 0), timeout=5) as line:
            if url.password:
                line.sendall(f"AUTH {url.username or 'default'} {url.password}\r\n".encode())
                assert line.recv(100) == b"+OK\r\n"
            line.sendall(b"FLUSHALL\r\n")
            assert line.recv(100) == b"+OK\r\n"


def _wait(condition: Callable[[], bool], *, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError("it did not come about")
        time.sleep(0.05)


def answers(running: Running) -> bool:
    """Whether the database answers."""
    try:
        with truth.owner(running) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def wait_for_database(running: Running, *, seconds: float = 60.0) -> None:
    """Wait until the database answers."""
    _wait(lambda: answers(running), seconds=seconds)
