"""API, workers and schedulers on machines of their own: one that is lost or cut off loses nothing and doubles nothing.

The tests share one installation, one after the other, and each judges everything that was ever acknowledged in it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from bench import truth
from bench.running import running
from service.db.jobs import JobKind
from tests.faults_support import Service
from tests.machines_support import (
    Installation,
    Machine,
    free_address,
    installation,
    needs_machines,
    network,
    object_store,
)

pytestmark = pytest.mark.machines

IN_FLIGHT = 60
LEASE = 6
MACHINES = {
    "api-1": "api",
    "api-2": "api",
    "worker-1": "worker",
    "worker-2": "worker",
    "scheduler-1": "scheduler",
    "scheduler-2": "scheduler",
}


# Only the server's superuser sees where others' connections come from.
_BUSIEST = (
    "SELECT host(client_addr) FROM pg_stat_activity WHERE client_addr = ANY(%s::inet[])"
    " ORDER BY state_change DESC LIMIT 1"
)


class Apart(Service):
    """A service whose roles stand on different machines."""

    installation: Installation

    def machine(self, name: str) -> Machine:
        return self.installation.roles[name][0]

    def holder(self, kind: JobKind) -> Machine:
        """A worker's machine, at a moment when jobs of a kind are held."""
        urls = self.running.stack.urls
        assert urls is not None
        workers = [machine.address for machine in self.installation.of("worker")]
        with psycopg.connect(urls.superuser.replace("+psycopg", "", 1), autocommit=True) as connection:
            self.wait_until_held(kind)
            row = connection.execute(_BUSIEST, [workers]).fetchone()
        assert row is not None
        return next(machine for machine in self.installation.of("worker") if machine.address == row[0])

    def end_claims(self) -> None:
        """Let the five minutes pass for which a hand-in's key waits for the machine that claimed it."""
        with truth.owner(self.running) as connection:
            connection.execute(
                "UPDATE idempotency_key SET lease_until = clock_timestamp() WHERE lease_until > clock_timestamp()"
            )

    def past_leases(self) -> None:
        """Wait until every lease that was held at this moment has ended."""
        with truth.owner(self.running) as connection:
            connection.execute("SELECT pg_sleep(%s)", [LEASE + 1])


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    needs_machines()
    folder = tmp_path_factory.mktemp("machines")
    with ExitStack() as closing:
        net = closing.enter_context(network(folder / "logs"))
        settings: dict[str, Any] = closing.enter_context(object_store(net.hub, folder / "logs"))
        settings |= {
            "ZENDING_BASE_URL": f"http://{free_address(net.hub)}",
            "ZENDING_PRINT_CUTOFF_SECONDS": "4",
            "ZENDING_LEASE_SECONDS": str(LEASE),
            "ZENDING_INSPECTION_CHILDREN": "2",
        }
        target = closing.enter_context(running(folder / "home", here=True, also=net.hub, **settings))
        made = Apart(target)
        made.installation = installation(target.stack.environment, net, closing, machines=MACHINES)
        yield made


def test_what_is_handed_in_to_several_machines_comes_to_its_end_once(apart: Apart) -> None:
    apart.hand_in(IN_FLIGHT, seed=1)
    assert apart.comes_to_its_end().faults == []
    assert apart.running.stack.pids().keys() == {"postgres", "valkey", "tsa", "oidc", "mail"}, "the work was elsewhere"


def test_a_lost_workers_and_a_lost_schedulers_machine_are_done_without(apart: Apart) -> None:
    apart.hand_in(IN_FLIGHT, seed=2)
    lost = apart.holder(JobKind.SEAL)
    lost.lose()
    apart.machine("scheduler-1").lose()
    assert apart.unfinished() > 0
    assert apart.comes_to_its_end().faults == []
    apart.installation.replace(lost.name)
    apart.installation.replace("scheduler-1")


def test_a_lost_api_machine_loses_no_hand_in_and_doubles_none(apart: Apart) -> None:
    before = len(apart.answers)
    handing_in = threading.Thread(target=apart.hand_in, args=(IN_FLIGHT,), kwargs={"seed": 3})
    handing_in.start()
    try:
        apart.wait_until_held(JobKind.SEAL)
        assert len(apart.answers) < before + IN_FLIGHT, "hand-ins are under way"
        apart.machine("api-1").lose()
        apart.end_claims()
    finally:
        handing_in.join()
    assert len(apart.answers) == before + IN_FLIGHT
    assert apart.comes_to_its_end().faults == []
    apart.installation.replace("api-1")


CUTS: dict[str, Callable[[Machine], None]] = {
    "both ways": Machine.cut_off,
    "mute": Machine.make_mute,
    "deaf": Machine.make_deaf,
}


@pytest.mark.parametrize(("way", "seed"), [("both ways", 4), ("mute", 5), ("deaf", 6)])
def test_a_worker_that_is_cut_off_for_longer_than_its_lease_and_back_doubles_nothing(
    apart: Apart, way: str, seed: int
) -> None:
    apart.hand_in(IN_FLIGHT, seed=seed)
    away = apart.holder(JobKind.SEAL)
    CUTS[way](away)
    try:
        apart.past_leases()
    finally:
        away.heal()
    assert apart.comes_to_its_end().faults == []
    assert "worker" in away.processes.running(), "it goes on, without a person"
