"""A service whose roles stand on machines of their own, and its judge."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench import truth
from bench.running import running
from service.db.jobs import JobKind
from tests.faults_support import Service
from tests.installation_support import MACHINES, Installation, installation
from tests.machines_support import Machine, network
from tests.processes_support import free_address
from tests.servers_support import object_store, rabbitmq

LEASE = 6

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
        """Let the five minutes pass for which a hand-in's key waits for the machine that claimed it.

        A lost machine may have held the row of a key, and its transaction ends only when the server no longer believes
        in its connection: each key is waited for, on its own, so that no other waits meanwhile.
        """
        with truth.owner(self.running) as connection:
            claimed = connection.execute(
                "SELECT organisation_id, route, key FROM idempotency_key WHERE lease_until > clock_timestamp()"
            ).fetchall()
            for row in claimed:
                connection.execute(
                    "UPDATE idempotency_key SET lease_until = clock_timestamp()"
                    " WHERE organisation_id = %s AND route = %s AND key = %s AND lease_until > clock_timestamp()",
                    row,
                )

    def past_leases(self) -> None:
        """Wait until every lease that was held at this moment has ended."""
        with truth.owner(self.running) as connection:
            connection.execute("SELECT pg_sleep(%s)", [LEASE + 1])


@contextmanager
def service_apart(folder: Path) -> Iterator[Apart]:
    """A service on several machines, in a folder that is there."""
    with ExitStack() as closing:
        net = closing.enter_context(network(folder / "logs"))
        settings: dict[str, Any] = closing.enter_context(object_store(net.hub, folder / "logs"))
        settings |= {
            "ZENDING_BASE_URL": f"http://{free_address(net.hub)}",
            "ZENDING_PRINT_CUTOFF_SECONDS": "4",
            "ZENDING_LEASE_SECONDS": str(LEASE),
            "ZENDING_INSPECTION_CHILDREN": "2",
        }
        if os.environ.get("ZENDING_TEST_BROKER") == "rabbitmq":
            settings["BROKER_URL"] = closing.enter_context(rabbitmq(net.hub, folder / "rabbitmq"))
        target = closing.enter_context(running(folder / "home", here=True, also=net.hub, **settings))
        made = Apart(target)
        made.installation = installation(target.stack.environment, net, closing, machines=MACHINES)
        yield made
