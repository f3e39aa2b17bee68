"""What dies, dies in the middle of two hundred deliveries, with leases as long as usual; the judge looks from outside.

The tests share one home, one after the other, and each judges everything that was ever acknowledged in it.
"""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from bench import truth
from bench.running import running
from bench.schedulers import side_by_side
from service.db.jobs import JobKind
from service.settings import Settings
from tests.faults_support import PATIENCE, Service, wait_for_database

pytestmark = pytest.mark.faults

IN_FLIGHT = 200


@pytest.fixture(scope="module")
def hurt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("faults") / "home", ZENDING_PRINT_CUTOFF_SECONDS="4") as target:
        assert target.application.settings.lease_seconds == Settings.model_fields["lease_seconds"].default
        yield Service(target)


def test_a_broker_that_forgets_everything_and_dies_loses_and_repeats_nothing(hurt: Service) -> None:
    hurt.hand_in(IN_FLIGHT // 2, seed=2)
    hurt.flush_broker()
    hurt.hand_in(IN_FLIGHT // 2, seed=3)
    assert hurt.unfinished() > 0
    hurt.keep_down("valkey", seconds=3.0)
    found = hurt.comes_to_its_end()
    assert found.faults == []
    assert found.repeated_notices == 0, "no worker died, so no notice had to be sent again"


def test_work_whose_workers_and_scheduler_are_killed_is_done_once_by_those_that_follow(hurt: Service) -> None:
    hurt.hand_in(IN_FLIGHT, seed=1)
    for kind in (JobKind.SEAL, JobKind.LETTER, JobKind.HAND_OVER):
        assert hurt.wait_until_held(kind) > 0
        hurt.kill("worker")
        hurt.kill("scheduler")
    assert hurt.unfinished() > 0
    assert hurt.comes_to_its_end(seconds=PATIENCE).faults == []


def test_hand_ins_and_work_go_on_after_the_database_was_restarted_and_killed(hurt: Service) -> None:
    handing_in = threading.Thread(target=hurt.hand_in, args=(IN_FLIGHT,), kwargs={"seed": 4})
    before = len(hurt.answers)
    handing_in.start()
    try:
        hurt.wait_until_held(JobKind.SEAL)
        process = hurt.running.stack.supervisor.pid("postgres")
        assert process is not None
        # PostgreSQL's fast shutdown: open transactions are rolled back, all connections end.
        os.kill(process, signal.SIGINT)
        hurt.back("postgres")
        wait_for_database(hurt.running)
        hurt.wait_until_held(JobKind.LETTER)
        hurt.kill("postgres")
        wait_for_database(hurt.running)
    finally:
        handing_in.join()
    assert len(hurt.answers) == before + IN_FLIGHT
    assert hurt.comes_to_its_end().faults == []


@pytest.mark.parametrize(("party", "seed"), [("mail", 5), ("tsa", 6)])
def test_an_outside_party_that_is_away_for_some_seconds_is_waited_for(hurt: Service, party: str, seed: int) -> None:
    away = threading.Thread(target=hurt.keep_down, args=(party,), kwargs={"seconds": 6.0})
    away.start()
    try:
        hurt.hand_in(IN_FLIGHT, seed=seed)
    finally:
        away.join()
    found = hurt.comes_to_its_end()
    assert found.faults == []


def test_two_schedulers_do_nothing_twice(hurt: Service) -> None:
    found = side_by_side(hurt.running, 10.0, answers=hurt.answers, patience=PATIENCE, seed=20)
    assert found.faults == []


def test_the_judge_of_these_tests_sees_what_is_lost_and_what_happened_twice(hurt: Service) -> None:
    if not hurt.answers:
        hurt.hand_in(20, seed=7)
    assert hurt.comes_to_its_end().faults == []
    batch = max((hurt.running.home / "print").glob("*.ZIP"))
    notice = max((hurt.running.home / "mail").glob("*.eml"))
    again, kept = batch.with_name(f"AGAIN_{batch.name}"), notice.read_bytes()
    again.write_bytes(batch.read_bytes())
    notice.unlink()
    # One on paper, so that the notice that is gone is somebody else's.
    lost = next(answer for answer in hurt.answers if not answer.request.digital)
    hurt.answers.remove(lost)
    try:
        faults = truth.judge(hurt.running, hurt.answers).faults
    finally:
        again.unlink()
        notice.write_bytes(kept)
        hurt.answers.append(lost)
    told = "\n".join(faults)
    assert "more than once" in told
    assert "was never told of" in told
    assert f"{lost.delivery} is there, but was never acknowledged" in told
