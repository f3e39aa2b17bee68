"""API, workers and schedulers on machines of their own: one that is lost or cut off loses nothing and doubles nothing.

The tests share one installation, one after the other, and each judges everything that was ever acknowledged in it. With
``ZENDING_TEST_BROKER=rabbitmq`` in the environment RabbitMQ wakes the workers, else Valkey.
"""

import http.client
import json
import signal
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from bench import truth
from bench.running import Answer, Request, connect, requests
from service.db.jobs import JobKind
from tests.apart_support import Apart
from tests.machines_support import Machine

pytestmark = pytest.mark.machines

IN_FLIGHT = 40


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
    # A key that the lost machine was writing is free when the server has given its connection up: half a minute.
    handing_in = threading.Thread(target=apart.hand_in, args=(IN_FLIGHT,), kwargs={"seed": 3, "patience": 150.0})
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
