"""The service's roles on machines of their own, around servers that stand on ours."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from service.cli.demo_house import House, house
from service.embedded.stack import Stack
from tests.machines_support import Machine, Network, needs_machines, network
from tests.processes_support import Processes, free_address
from tests.servers_support import object_store, place_of, relay
from tests.service_support import until

API_PORT = 8000


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

    def address(self, name: str) -> str:
        """Where an API machine listens, past the balancer."""
        return f"http://{self.roles[name][0].address}:{API_PORT}"

    def of(self, role: str) -> list[Machine]:
        """The machines with a role."""
        return [machine for machine, has in self.roles.values() if has == role]

    def wait_until_ready(self, name: str) -> None:
        """Wait until an API machine takes requests."""
        target = place_of(self.address(name))
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


def is_ready(client: httpx.Client, target: str) -> bool:
    """Whether an API at host and port says that it is ready."""
    try:
        return client.get(f"http://{target}/health/ready").status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
