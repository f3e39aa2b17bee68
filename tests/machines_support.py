"""Machines of our own: network namespaces on one bridge, with the service's processes in them.

Needs root and ``ip``. A machine can be lost (everything in it ends at once and says no good-bye), cut off, made mute
(what it sends is lost, what is sent to it arrives) or deaf (the other way round), and healed.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from service.cli.demo_house import House, house
from service.embedded.privileges import tied
from service.embedded.stack import Stack
from tests.service_support import until
from tests.tools_support import program

CHECKOUT = Path(__file__).resolve().parents[1]
RELAY = CHECKOUT / "tests" / "machines" / "relay.py"
NOBODYS = "02:00:00:00:00:99"
"""A hardware address that no machine has: what is sent there is lost without a word."""
API_PORT = 8000


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


@contextmanager
def object_store(host: str, logs: Path) -> Iterator[dict[str, str]]:
    """An S3 server in a process of its own, with a bucket; the settings that lead there."""
    servers, port = Processes(logs), _free_port(host)
    servers.start("s3", (sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)), _plain_environment())
    url = f"http://{host}:{port}"
    try:
        with httpx.Client(trust_env=False, timeout=30.0) as client:
            until(lambda: _answers(host, port), "the S3 server")
            assert client.put(f"{url}/zending").status_code == httpx.codes.OK
        yield {
            "STORAGE_URL": f"s3://zending/vault?endpoint={url}&allow_http=yes&region=us-east-1",
            "ZENDING_STORAGE_ACCESS_KEY": "testing",
            "ZENDING_STORAGE_SECRET_KEY": "testing",
        }
    finally:
        servers.kill()


@contextmanager
def rabbitmq(host: str, folder: Path) -> Iterator[str]:
    """Debian's RabbitMQ as a server of ours, not the system's: own folders, ports, node name and user."""
    server = program("rabbitmq-server")
    scripts = Path(server).resolve().parent
    raw = Path("/usr/lib/rabbitmq/bin")
    scripts = raw if raw.is_dir() else scripts
    port, distribution = _free_port(host), _free_port(host)
    folder.mkdir()
    node, password = f"zending{secrets.token_hex(3)}@localhost", secrets.token_urlsafe(18)
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = {host}:{port}\ndefault_user = zending\ndefault_pass = {password}\n"
        "loopback_users = none\nlog.console = true\nlog.file = false\n"
    )
    cookie = folder / ".erlang.cookie"
    cookie.write_text(secrets.token_hex(20))
    cookie.chmod(0o400)
    environment = _plain_environment() | {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": node,
        "RABBITMQ_BASE": str(folder),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        # No name service of Erlang's that would outlive the test: one node needs none.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false",
        "ERL_EPMD_PORT": str(_free_port("127.0.0.1")),
    }
    servers = Processes(folder)
    servers.start("rabbitmq", (scripts / "rabbitmq-server",), environment)
    try:
        until(lambda: _answers(host, port), "RabbitMQ")
        yield f"amqp://zending:{password}@{host}:{port}//"
    finally:
        servers.kill()


def relay(processes: Processes, name: str, listening: str, *targets: str, ready: str | None = None) -> None:
    """Carry connections; see tests/machines/relay.py."""
    more = () if ready is None else ("--ready", ready)
    processes.start(name, (sys.executable, RELAY, listening, *targets, *more), _plain_environment())


def place_of(url: str) -> str:
    """Host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}"


@dataclass
class Installation:
    """The service's roles on machines of their own, around servers that stand on ours."""

    network: Network
    environment: Mapping[str, str] = field(repr=False)
    issuer: str
    balancer: Processes
    roles: dict[str, tuple[Machine, str]] = field(default_factory=dict)

    def add(self, name: str, role: str) -> Machine:
        """A machine with one role: ``api``, ``worker`` or ``scheduler``."""
        machine = self.network.machine(name)
        self.roles[name] = (machine, role)
        self.start(name)
        return machine

    def start(self, name: str) -> None:
        """Start the role of a machine that stands."""
        machine, role = self.roles[name]
        environment = dict(self.environment) | {
            "ZENDING_HOST": machine.address,
            "ZENDING_PORT": str(API_PORT),
            "ZENDING_DRAIN_SECONDS": "2",
        }
        if "identity" not in machine.processes.running():
            relay(
                machine.processes, "identity", place_of(self.issuer), f"{self.network.hub}:{urlsplit(self.issuer).port}"
            )
        machine.processes.start(role, (sys.executable, "-m", "service.cli", role), environment)

    def replace(self, name: str) -> None:
        """Put a machine of the same role where one was lost."""
        self.roles[name][0].plug_in()
        self.start(name)

    def of(self, role: str) -> list[Machine]:
        """The machines with a role."""
        return [machine for machine, has in self.roles.values() if has == role]

    def wait_until_ready(self, name: str) -> None:
        """Wait until an API machine takes requests."""
        target = f"{self.roles[name][0].address}:{API_PORT}"
        with httpx.Client(trust_env=False, timeout=10.0) as client:
            until(lambda: is_ready(client, target), f"{target} to be ready")

    def balance(self, base_url: str) -> None:
        """Spread calls over the API machines that are ready, and wait until all are."""
        targets = [f"{machine.address}:{API_PORT}" for machine in self.of("api")]
        relay(self.balancer, "balancer", place_of(base_url), *targets, ready="/health/ready")
        for machine in self.of("api"):
            self.wait_until_ready(machine.name)


def installation(
    stack_environment: Mapping[str, str], net: Network, closing: ExitStack, *, machines: Mapping[str, str]
) -> Installation:
    """Start machines (name and role of each) around the servers of a stack that answer on the network's hub."""
    issuer, base_url = stack_environment["ZENDING_OIDC_ISSUER"], stack_environment["ZENDING_BASE_URL"]
    ours = Processes(net.logs)
    closing.callback(ours.kill)
    # The identity provider is plain HTTP, which only a loopback address may be; each machine reaches it over its wire.
    relay(ours, "identity", f"{net.hub}:{urlsplit(issuer).port}", place_of(issuer))
    made = Installation(net, stack_environment, issuer, ours)
    for name, role in machines.items():
        made.add(name, role)
    made.balance(base_url)
    return made


MACHINES = {
    "api-1": "api",
    "api-2": "api",
    "worker-1": "worker",
    "worker-2": "worker",
    "scheduler-1": "scheduler",
    "scheduler-2": "scheduler",
}
"""A small installation: name and role of each machine."""


@contextmanager
def house_apart(home: Path, given: Mapping[str, str], *, tell: Callable[[str], None]) -> Iterator[House]:
    """The demonstration's house with its roles on machines of their own, around an S3 server."""
    needs_machines()
    with ExitStack() as closing:
        net = closing.enter_context(network(home.parent / "logs"))
        store = closing.enter_context(object_store(net.hub, net.logs))
        base = {"ZENDING_BASE_URL": f"http://{free_address(net.hub)}"}

        def start(stack: Stack) -> None:
            installation(stack.environment, net, closing, machines=MACHINES)

        built = house(home, {**given, **store, **base}, notice=tell, tell=tell, also=net.hub, start=start)
        try:
            yield closing.enter_context(built)
        finally:
            # Before the servers go, which they would only complain about.
            for machine in net.machines:
                machine.lose()


def free_address(host: str) -> str:
    """Host and a port on which nobody listens at this moment."""
    return f"{host}:{_free_port(host)}"


def is_ready(client: httpx.Client, target: str) -> bool:
    """Whether an API at host and port says that it is ready."""
    try:
        return client.get(f"http://{target}/health/ready").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def _free_port(host: str) -> int:
    # Below the range of outgoing connections, so that none takes it before the server does.
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, port))
            return port


def installed_environment(checkout: Path) -> dict[str, str]:
    """For programs of a checkout, run by this interpreter."""
    return _plain_environment() | {"PYTHONPATH": str(checkout), "PYTHONUNBUFFERED": "1"}


def _plain_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    return kept | {"PYTHONSAFEPATH": "1", "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
