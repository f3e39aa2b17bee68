"""Machines of our own: network namespaces on one bridge, with the service's processes in them.

Needs root and ``ip``. A machine can be lost (everything in it ends at once and says no good-bye), cut off, made mute
(what it sends is lost, what is sent to it arrives) or deaf (the other way round), and healed.
"""

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.processes_support import Processes
from tests.tools_support import program

NOBODYS = "02:00:00:00:00:99"
"""A hardware address that no machine has: what is sent there is lost without a word."""


def needs_machines() -> None:
    """Skip the test where this process may not make namespaces."""
    program("ip")
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces stand for machines")
    tried = _ip("netns", "add", name := f"zt{secrets.token_hex(4)}", check=False)
    if tried.returncode:
        pytest.skip(f"needs network namespaces, which this machine's root may not make: {tried.stderr.strip()}")
    _ip("netns", "del", name)


def _ip(*arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run([program("ip"), *arguments], capture_output=True, text=True, check=False)
    assert not check or not done.returncode, f"ip {' '.join(arguments)}: {done.stderr}"
    return done


@dataclass
class Machine:
    """One machine: a network namespace with a wire to the bridge."""

    network: "Network"
    name: str
    number: int
    processes: Processes = field(init=False)

    def __post_init__(self) -> None:
        inside = ("ip", "netns", "exec", self.space)
        self.processes = Processes(self.network.logs / self.name, *inside)

    @property
    def space(self) -> str:
        return f"{self.network.name}{self.number}"

    @property
    def wire(self) -> str:
        """The wire's end at the bridge."""
        return f"{self.space}w"

    @property
    def address(self) -> str:
        return self.network.address(self.number)

    def plug_in(self) -> None:
        inner, hub = f"{self.space}i", self.network
        _ip("netns", "add", self.space)
        _ip("link", "add", self.wire, "type", "veth", "peer", "name", inner)
        _ip("link", "set", inner, "netns", self.space, "address", f"02:00:00:00:00:{self.number:02x}")
        _ip("link", "set", self.wire, "master", hub.bridge, "up")
        self._inside("addr", "add", f"{self.address}/24", "dev", inner)
        self._inside("link", "set", inner, "up")
        self._inside("link", "set", "lo", "up")

    def lose(self) -> None:
        """The power fails: no connection is closed, nothing is told to anybody, and what was in memory is gone."""
        _ip("link", "set", self.wire, "down", check=False)
        for number in _ip("netns", "pids", self.space, check=False).stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)
        self.processes.kill()
        # With the space goes what the kernel would still send: a good-bye that a lost machine can't say.
        _ip("netns", "del", self.space, check=False)
        _ip("link", "del", self.wire, check=False)

    def cut_off(self) -> None:
        """Nothing comes in or goes out."""
        _ip("link", "set", self.wire, "down")

    def make_mute(self) -> None:
        """What it sends to the servers is lost."""
        self._inside(
            "neigh", "replace", self.network.hub, "lladdr", NOBODYS, "dev", f"{self.space}i", "nud", "permanent"
        )

    def make_deaf(self) -> None:
        """What the servers send to it is lost."""
        _ip("neigh", "replace", self.address, "lladdr", NOBODYS, "dev", self.network.bridge, "nud", "permanent")

    def heal(self) -> None:
        """Everything is as before."""
        _ip("link", "set", self.wire, "up")
        _ip("neigh", "del", self.address, "dev", self.network.bridge, check=False)
        self._inside("neigh", "del", self.network.hub, "dev", f"{self.space}i", check=False)

    def _inside(self, *arguments: str, check: bool = True) -> None:
        _ip("-n", self.space, *arguments, check=check)


@dataclass
class Network:
    """A bridge with an address of ours, and the machines on it."""

    logs: Path
    name: str = field(default_factory=lambda: f"zt{secrets.token_hex(3)}")
    net: str = field(default_factory=lambda: f"10.{64 + secrets.randbelow(64)}.{secrets.randbelow(256)}")
    machines: list[Machine] = field(default_factory=list)

    @property
    def bridge(self) -> str:
        return f"{self.name}b"

    @property
    def hub(self) -> str:
        """Our own address: the servers' machine."""
        return self.address(1)

    def address(self, number: int) -> str:
        return f"{self.net}.{number}"

    def machine(self, name: str) -> Machine:
        made = Machine(self, name, len(self.machines) + 2)
        self.machines.append(made)
        made.plug_in()
        return made


@contextmanager
def network(logs: Path) -> Iterator[Network]:
    """A bridge; with it go its machines and whatever runs there."""
    made = Network(logs)
    _ip("link", "add", made.bridge, "type", "bridge")
    try:
        _ip("addr", "add", f"{made.hub}/24", "dev", made.bridge)
        _ip("link", "set", made.bridge, "up")
        yield made
    finally:
        for machine in made.machines:
            machine.lose()
        _ip("link", "del", made.bridge)
