"""API, workers and schedulers on machines of their own: one that is lost or cut off loses nothing and doubles nothing.

The tests share one installation, one after the other, and each judges everything that was ever acknowledged in it. With
``ZENDING_TEST_BROKER=rabbitmq`` in the environment RabbitMQ wakes the workers, else Valkey.
"""

import http.client
import json
import os
import signal
import threading
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import psycopg
import pytest

from bench import truth
from bench.running import Answer, Request, connect, requests, running
from service.db.jobs import JobKind
from service.usecases.submission_files import PART_BYTES
from tests.faults_support import Service
from tests.installation_support import MACHINES, Installation, installation
from tests.machines_support import Machine, needs_machines, network
from tests.processes_support import free_address
from tests.servers_support import object_store, rabbitmq
from tests.service_support import until
from tests.submission_support import PDF, line, packed

pytestmark = pytest.mark.machines

IN_FLIGHT = 40
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
        if os.environ.get("ZENDING_TEST_BROKER") == "rabbitmq":
            settings["BROKER_URL"] = closing.enter_context(rabbitmq(net.hub, folder / "rabbitmq"))
        target = closing.enter_context(running(folder / "home", here=True, also=net.hub, **settings))
        made = Apart(target)
        made.installation = installation(target.stack.environment, net, closing, machines=MACHINES)
        yield made


def test_what_is_handed_in_to_several_machines_comes_to_its_end_once(apart: Apart) -> None:
    apart.hand_in(IN_FLIGHT, seed=1)
    assert apart.comes_to_its_end().faults == []
    assert apart.running.stack.pids().keys() <= {"postgres", "valkey", "tsa", "oidc", "mail"}, "the work was elsewhere"


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


def test_an_upload_that_a_lost_machine_took_in_goes_on_at_another(apart: Apart) -> None:
    """Its parts lie in the store and their count in the database: no machine holds anything of an upload."""
    mark = uuid.uuid4().hex[:8]
    lines = [line("jan", f"{number}.pdf", reference=f"{mark}-{number}") for number in range(3)]
    padding = os.urandom(PART_BYTES)
    files = {f"{number}.pdf": PDF + b"\n%" + padding[number:].hex().encode()[:PART_BYTES] for number in range(3)}
    content = packed(lines, files, method=zipfile.ZIP_STORED)
    headers = {
        "Authorization": f"Bearer {apart.running.token()}",
        "Content-Type": "application/partial-upload",
        "Idempotency-Key": mark,
    }
    for name in ("api-1", "api-2"):
        apart.installation.wait_until_ready(name)
    first, second = (apart.installation.address(name) for name in ("api-1", "api-2"))
    # A line for each request: one that was kept open to a lost machine ends at the machine that comes in its place.
    alone = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(headers=headers, trust_env=False, timeout=60.0, limits=alone) as client:
        asked = {"size": len(content), "dry_run": True}
        made = client.post(f"{first}/v1/submissions", json=asked, headers={"Content-Type": "application/json"})
        assert made.status_code == httpx.codes.CREATED, made.text
        place = f"/v1/submissions/{made.json()['id']}"

        def upload(base: str, at: int, end: int) -> httpx.Response:
            more = {"Upload-Offset": str(at), "Upload-Complete": "?1" if end == len(content) else "?0"}
            return client.patch(f"{base}{place}/content", content=content[at:end], headers=more)

        at = PART_BYTES + 1000
        assert upload(first, 0, at).headers["Upload-Offset"] == str(at)
        apart.machine("api-1").lose()
        assert client.head(f"{second}{place}/content").headers["Upload-Offset"] == str(at)
        assert upload(second, at, 2 * at).headers["Upload-Offset"] == str(2 * at)
        apart.installation.replace("api-1")
        apart.installation.wait_until_ready("api-1")
        done = upload(first, 2 * at, len(content))
        assert (done.status_code, done.headers["Upload-Complete"]) == (httpx.codes.NO_CONTENT, "?1"), done.text
        found = until(
            lambda: (seen := client.get(f"{second}{place}").json())["state"] in ("checked", "refused") and seen,
            "the rows to be checked",
        )
    assert (found["state"], found["rows"]["good"]) == ("checked", len(lines)), found


class Strict:
    """Sends each hand-in and counts the answers. Only one that says "ask again" (503) is sent again: a machine that is
    too busy to reach its database may say so, while a line that breaks is a request that was lost."""

    def __init__(self, apart: Apart) -> None:
        self._apart, self.counted, self._line = (
            apart,
            Counter[str](),
            connect(apart.running.stack.base_url, timeout=120),
        )
        self._headers = {"Authorization": f"Bearer {apart.running.token()}"}

    def close(self) -> None:
        self._line.close()

    def send(self, request: Request) -> None:
        own = {"Idempotency-Key": request.key, "Content-Type": request.content_type}
        try:
            self._line.request("POST", "/v1/deliveries", request.body, self._headers | own)
            answer = self._line.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.counted[type(error).__name__] += 1
            self._line.close()
            return
        self.counted[str(answer.status)] += 1
        if answer.status == http.client.SERVICE_UNAVAILABLE:
            self.send(request)
        if answer.status == http.client.ACCEPTED:
            self._apart.answers.append(Answer(request, json.loads(content)["id"], 0.0))


def test_restarting_one_machine_after_the_other_under_load_loses_no_request(apart: Apart) -> None:
    strict, stopping = Strict(apart), threading.Event()
    wanted = iter(requests(apart.running, 2000, seed=7))

    def send() -> None:
        while not stopping.is_set():
            strict.send(next(wanted))

    # One that another test started just now would be ended before it listens to signals.
    for machine in apart.installation.of("api"):
        apart.installation.wait_until_ready(machine.name)
    sending = threading.Thread(target=send)
    sending.start()
    try:
        for name, (machine, role) in apart.installation.roles.items():
            assert machine.processes.stop(role) == 0, name
            apart.installation.start(name)
            if role == "api":
                apart.installation.wait_until_ready(name)
    finally:
        stopping.set()
        sending.join()
        strict.close()
    assert strict.counted.keys() <= {"202", "503"}, strict.counted
    assert strict.counted["202"] > len(apart.installation.roles), "requests came all the while"
    assert apart.comes_to_its_end().faults == []


def test_workers_that_are_asked_to_stop_leave_nothing_held(apart: Apart) -> None:
    apart.hand_in(IN_FLIGHT, seed=8)
    apart.wait_until_held(JobKind.SEAL)
    for machine in apart.installation.of("worker"):
        # Ended by the signal itself is one that was not up yet after the test before, and so holds nothing.
        assert machine.processes.stop("worker") in {0, -signal.SIGTERM}
    with truth.owner(apart.running) as connection:
        held = connection.execute("SELECT count(*) FROM job WHERE lease_until > clock_timestamp()").fetchone()
    assert held == (0,)
    for machine in apart.installation.of("worker"):
        apart.installation.start(machine.name)
    assert apart.comes_to_its_end().faults == []


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
