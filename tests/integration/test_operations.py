"""How the service is, as rows and machines tell it: every condition is found, and nothing else is."""

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.bootstrap import Application
from service.db import vitals
from service.db.ids import new_id
from service.db.jobs import JobKind, Lane
from service.domain.alarms import Finding
from service.engine.steps import run_chunk
from service.engine.tallies import Account, Tallies
from service.ledger.cosigning import KnownWitness
from service.ledger.keys import generate_witness
from service.usecases import heartbeats, operations
from tests.engine_support import Bench, execute, organisations, put
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import change

PROMISES = operations.Promises(seal=60, mailbox=120, bulk=14400, hand_over=3600, cutoff=86400)


def findings(pipeline: Pipeline, **parts: tuple[bool, bool]) -> dict[str, Finding]:
    return {each.code: each for each in operations.status(pipeline.context, PROMISES, parts).findings}


def beat(pipeline: Pipeline, **report: Any) -> None:
    for role in operations.ROLES:
        heartbeats.beat(pipeline.context, role, lambda: report, host="host-1")


@pytest.fixture
def healthy(pipeline: Pipeline) -> Pipeline:
    beat(pipeline)
    return pipeline


def test_nothing_is_wrong_with_a_service_that_lives(healthy: Pipeline) -> None:
    assert findings(healthy, database=(True, True)) == {}
    assert operations.status(healthy.context, PROMISES, {}).worst == 0


def test_without_signs_of_life_every_role_is_missed(pipeline: Pipeline, database: TestDatabase) -> None:
    status = operations.status(pipeline.context, PROMISES, {})
    assert [each.labels["role"] for each in status.findings if each.code == "RoleGone"] == list(operations.ROLES)
    assert status.worst == 2
    beat(pipeline)
    execute(database, "UPDATE heartbeat SET at = now() - interval '2 minutes' WHERE role = 'worker'")
    silent = findings(pipeline)
    assert silent["RoleGone"].labels == {"role": "worker"}
    assert silent["HostSilent"].labels == {"role": "worker", "host": "host-1"}


def test_a_host_that_is_silent_for_a_day_is_forgotten(pipeline: Pipeline, database: TestDatabase) -> None:
    beat(pipeline)
    execute(database, "UPDATE heartbeat SET at = now() - interval '25 hours', host = 'gone'")
    beat(pipeline)
    assert execute(database, "SELECT DISTINCT host FROM heartbeat") == [("host-1",)]


@pytest.mark.parametrize(
    ("kind", "lane", "waited", "late"),
    [
        (JobKind.SEAL, Lane.INTERACTIVE, 59, False),
        (JobKind.SEAL, Lane.INTERACTIVE, 90, True),
        (JobKind.DEPOSIT, Lane.INTERACTIVE, 90, False),
        (JobKind.DEPOSIT, Lane.INTERACTIVE, 150, True),
        (JobKind.SEAL, Lane.BULK, 150, False),
        (JobKind.SEAL, Lane.BULK, 15000, True),
        (JobKind.LETTER, Lane.INTERACTIVE, 15000, False),
        (JobKind.LETTER, Lane.BULK, 90000, True),
        (JobKind.HAND_OVER, Lane.BULK, 4000, True),
    ],
)
def test_the_oldest_of_each_step_is_held_to_its_promise(
    healthy: Pipeline, database: TestDatabase, kind: JobKind, lane: Lane, waited: int, *, late: bool
) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, 3, kind=kind, lane=lane)
    execute(database, "UPDATE job SET wanted_at = now() - make_interval(secs => %s) WHERE id IN"
            " (SELECT id FROM job LIMIT 1)", waited)  # fmt: skip
    found = findings(healthy)
    assert ("StepLate" in found) == late
    if late:
        assert found["StepLate"].labels == {"kind": kind.value, "lane": lane.name.lower()}


def test_trying_again_hides_no_delay(healthy: Pipeline, database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, lane=Lane.INTERACTIVE)
    execute(database, "UPDATE job SET wanted_at = now() - interval '5 minutes'")
    Bench(lambda _: 1 / 0).run(database)
    assert "StepLate" in findings(healthy)


def test_what_is_paused_is_not_late_and_hides_no_other(healthy: Pipeline, database: TestDatabase) -> None:
    paused, other = organisations(database, 2)
    put(database, paused, lane=Lane.INTERACTIVE)
    execute(database, "UPDATE job SET wanted_at = now() - interval '5 minutes'")
    execute(database, "INSERT INTO pause (id, organisation_id, reason) VALUES (%s, %s, 'x')", new_id(), paused)
    assert findings(healthy) == {}
    put(database, other, lane=Lane.INTERACTIVE)
    execute(database, "UPDATE job SET wanted_at = now() - interval '2 minutes' WHERE organisation_id = %s", other)
    assert "2 minutes" in findings(healthy)["StepLate"].what


def test_what_is_wanted_later_is_not_late(healthy: Pipeline, database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, lane=Lane.INTERACTIVE)
    execute(database, "UPDATE job SET wanted_at = now() + interval '1 hour', due_at = now() + interval '1 hour'")
    assert findings(healthy) == {}


@pytest.mark.parametrize(
    ("code", "statement"),
    [
        ("JobsParked", "UPDATE job SET parked_at = now(), last_error = 'odd'"),
        ("SealingFailsByKey", "UPDATE job SET last_error = 'key_unusable'"),
        ("JobsFailing", "UPDATE job SET last_error = 'mail_unavailable'"),
        ("PauseForgotten", ("INSERT INTO pause (id, kind, reason, since) VALUES (gen_random_uuid(), 'seal', 'x',"
                           " now() - interval '25 hours')")),
        ("CutOffLate", "INSERT INTO print_cutoff VALUES ('directory', now() - interval '11 minutes')"),
        ("LedgerBehind", ("INSERT INTO ledger_pending (evidence_id, leaf_hash, created_at)"
                         " VALUES (gen_random_uuid(), decode(repeat('00', 32), 'hex'), now() - interval '2 minutes')")),
        ("LedgerUnsigned", ("INSERT INTO ledger_head (id, size, root, updated_at, log_origin)"
                           " VALUES (1, 5, decode(repeat('00', 32), 'hex'), now() - interval '2 minutes', 'x')")),
        ("LedgerUnstamped", ("INSERT INTO ledger_checkpoint (size, root, note, at)"
                            " VALUES (5, decode(repeat('00', 32), 'hex'), 'x', now() - interval '40 minutes')")),
        ("BatchNotHandedOver", ("INSERT INTO print_batch (id, number, provider, product, state, file_name, frozen_at,"
                               " letters) VALUES (gen_random_uuid(), 1, 'p', '{}', 'uploaded', 'f',"
                               " now() - interval '2 hours', 1)")),
    ],
)  # fmt: skip
def test_each_condition_is_found_in_the_rows(
    healthy: Pipeline, database: TestDatabase, code: str, statement: str
) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, 26)
    assert findings(healthy) == {}
    execute(database, statement)
    assert set(findings(healthy)) - {"JobsFailing"} == {code} - {"JobsFailing"}
    assert code in findings(healthy)


def test_a_witness_that_cosigns_nothing_is_told(healthy: Pipeline, database: TestDatabase, tmp_path: Path) -> None:
    keys = [key.verifier for key in generate_witness(tmp_path / "w", "w.example/w")]
    change(healthy, witnesses=(KnownWitness("https://w.example", tuple(keys)),))
    assert findings(healthy) == {}
    put_checkpoint = (
        "INSERT INTO ledger_checkpoint (size, root, note, at, timestamp_token)"
        " VALUES ({}, decode(repeat('00', 32), 'hex'), 'x', now() - interval '{} minutes', 'x')"
    )
    execute(database, put_checkpoint.format(5, 50))
    assert set(findings(healthy)) == {"LedgerUncosigned"}
    assert "w.example/w" in findings(healthy)["LedgerUncosigned"].what
    execute(database, f"INSERT INTO ledger_cosignature VALUES ('w.example/w+{keys[1].id.hex()}', 5, 'x', now())")
    assert findings(healthy) == {}
    execute(database, put_checkpoint.format(6, 20))
    assert findings(healthy) == {}


def test_waiting_by_rule_is_nothing_wrong(healthy: Pipeline, database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, 30, kind=JobKind.NOTIFY)
    execute(database, "UPDATE job SET last_error = 'quiet_hours'")
    assert findings(healthy) == {}


def test_notices_that_bounce_are_counted_for_all_senders(healthy: Pipeline, database: TestDatabase) -> None:
    sender = healthy.organisation()
    healthy.hand_in(sender)
    execute(
        database,
        "INSERT INTO delivery_event (delivery_id, id, organisation_id, event, at, status, actor) SELECT id,"
        " gen_random_uuid(), organisation_id, 'ConsignmentNotificationFailure', now() - make_interval(hours => hours),"
        " 'available', 'service' FROM delivery, generate_series(0, 46, 2) AS hours, generate_series(1, 2)",
    )
    assert "24 notices" in findings(healthy)["NoticesBounced"].what


def test_disks_and_seals_are_what_machines_say(pipeline: Pipeline) -> None:
    beat(pipeline, disks={"store": 0.04, "home": 0.1}, seals={"a": None, "b": 86400.0, "c": 86400.0 * 20, "d": 1e9})
    found = operations.status(pipeline.context, PROMISES, {}).findings
    told = {(each.code, each.labels.get("disk") or each.labels.get("profile")) for each in found}
    assert {("DiskFull", "store"), ("DiskFilling", "home")} <= told
    assert ("DiskFilling", "store") not in told
    assert {("CertificateExpired", "b"), ("CertificateExpiring", "c")} <= told
    assert not {("CertificateExpiring", "b"), ("CertificateExpiring", "d")} & told
    assert [each.value for each in found if each.code == "SealKeyUnusable"] == [1, 1, 1]


def test_a_machine_sees_missing_and_good_seals(
    pipeline: Pipeline, application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slug = f"seal-{uuid.uuid4().hex[:6]}"
    pipeline.organisation(slug)
    folder = application.settings.keys_folder / "seals"
    places = {"home": tmp_path, "gone": tmp_path / "no" / "where"}
    machine = heartbeats.Machine(pipeline.context, places, application.sealers)
    told = machine.report()
    assert set(told["disks"]) == {"home"}
    assert 0 < told["disks"]["home"] <= 1
    assert (told["seals"][slug] or 0) > 0
    (folder / f"{slug}.key.pem").unlink()
    monkeypatch.setattr("service.seals.sealers.LOOKED_AT_EVERY", 0)
    assert heartbeats.seals(pipeline.context, application.sealers)[slug] is None


def test_tallies_of_a_host_add_up(pipeline: Pipeline) -> None:
    database = pipeline.context.database
    one, two = Tallies(host="a"), Tallies(host="a")
    for tallies, seconds in ((one, 0.01), (two, 7.0), (two, 100.0)):
        account = Account(JobKind.SEAL, seconds)
        account.outcomes.update(done=3, parked=1)
        tallies.add(account)
        assert tallies.flush(database, force=True)
    assert not two.flush(database, force=True)
    with database.transaction() as session:
        (told,) = vitals.tallies(session)
    assert (told["kind"], told["done"], told["parked"], told["seconds"]) == ("seal", 9, 3, 107.01)
    assert (told["chunks"][0], told["chunks"][7], told["chunks"][-1], sum(told["chunks"])) == (1, 1, 1, 3)


def test_chunks_are_counted_by_what_became_of_them(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, 5)
    seen: list[Account] = []
    bench = Bench(lambda job: 1 / (job.fence - 1 if job.subject_id == bench.performed[0] else 1))
    run_chunk(database.database, bench.step(), lease_seconds=60, watch=seen.append)
    ((account),) = seen
    assert {name: count for name, count in account.outcomes.items() if count} == {"done": 4, "postponed": 1}
    assert account.seconds > 0


def test_a_status_is_about_now(healthy: Pipeline) -> None:
    status = operations.status(healthy.context, PROMISES, {"broker": (False, False)})
    assert abs(status.at - healthy.now) < timedelta(minutes=1)
    assert [each.code for each in status.findings] == ["PartAway"]
    assert status.worst == 1
