"""How the service is, as operators and the monitoring read it: over HTTP, over the command, and when parts are down."""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from service.bootstrap import Application
from service.cli import ops
from service.db import vitals
from service.db.ids import ORGANISATION, new_id, public_id
from service.db.jobs import JobKind, Lane
from service.domain.alarms import ALARMS, Finding
from service.engine.steps import run_chunk
from service.engine.tallies import Account, Tallies
from service.identity.scopes import Scope
from service.usecases import audit, heartbeats, operations
from service.usecases.access import EXCHANGE_CLIENT
from service.usecases.personal import PLATFORM
from service.web import metrics
from tests.api_support import ORGANISATION_ID, bearer, door, token
from tests.engine_support import Bench, execute, lease, organisations, put
from tests.pipeline_support import Pipeline, TestDatabase, wired

PROMISES = operations.Promises(seal=60, mailbox=120, bulk=14400, hand_over=3600, cutoff=86400)
OWN = {"organisation": public_id(ORGANISATION, PLATFORM)}


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
    assert {("DiskFull", "store"), ("DiskFilling", "store"), ("DiskFilling", "home")} <= told
    assert {("CertificateExpired", "b"), ("CertificateExpiring", "b"), ("CertificateExpiring", "c")} <= told
    assert ("CertificateExpiring", "d") not in told
    assert [each.value for each in found if each.code == "SealKeyUnusable"] == [1, 1, 1]


def test_a_machine_sees_missing_and_good_seals(pipeline: Pipeline, application: Application, tmp_path: Path) -> None:
    slug = f"seal-{uuid.uuid4().hex[:6]}"
    pipeline.organisation(slug)
    folder = application.settings.keys_folder / "seals"
    machine = heartbeats.Machine(pipeline.context, {"home": tmp_path, "gone": tmp_path / "no" / "where"}, folder)
    told = machine.report()
    assert set(told["disks"]) == {"home"}
    assert 0 < told["disks"]["home"] <= 1
    assert (told["seals"][slug] or 0) > 0
    (folder / f"{slug}.key.pem").unlink()
    assert heartbeats.seals(pipeline.context, folder)[slug] is None


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


# ---------------------------------------------------------------- over HTTP


OUTSIDER = {"client_id": "outsider", "subject": "outsider"}


def know(database: TestDatabase) -> None:
    """The programs and people of the tokens here, so that these are believed."""
    execute(
        database,
        "INSERT INTO organisation (id, slug, name, kind, seal_profile)"
        " VALUES (%s, 'sender', 'x', 'administration', 's')",
        ORGANISATION_ID,
    )
    for program, organisation in (("program", PLATFORM), ("outsider", ORGANISATION_ID)):
        execute(
            database,
            "INSERT INTO client (client_id, organisation_id, name, secret_hash, scopes)"
            " VALUES (%s, %s, 'x', 'x', '{}')",
            program,
            organisation,
        )
    for person, organisation in (("olga", PLATFORM), ("otto", PLATFORM), ("anna", ORGANISATION_ID)):
        execute(
            database,
            "INSERT INTO staff (organisation_id, issuer, subject, role) VALUES (%s, 'x', %s, 'operator')",
            organisation,
            person,
        )


@pytest.fixture
def client(application: Application, database: TestDatabase) -> Iterator[TestClient[Any]]:
    know(database)
    with door(application) as found:
        yield found


def families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_the_monitoring_reads_everything_the_alarms_look_at(
    client: TestClient[Any], application: Application, database: TestDatabase
) -> None:
    heartbeats.beat(application.context, "worker", lambda: {"disks": {"store": 0.5}, "seals": {"a": 5.0}}, host="h")
    (sender,) = organisations(database, 1)
    put(database, sender, 2)
    (job,) = lease(database, 1)
    execute(database, "UPDATE job SET parked_at = now(), last_error = 'odd' WHERE id = %s", job.id)
    execute(database, "UPDATE job SET last_error = 'mail_unavailable' WHERE id <> %s", job.id)
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    shown = families(answer.text)
    assert {alarm.metric for alarm in ALARMS} <= set(shown)
    assert set(metrics.HELP) <= set(shown)
    assert {(s.labels["kind"], s.value) for s in shown["zending_jobs_parked"].samples} == {("seal", 1.0)}
    assert sender.hex not in answer.text.replace("-", "")


def test_answers_are_counted_by_pattern_and_by_what_was_really_answered(
    client: TestClient[Any], application: Application
) -> None:
    def counted() -> dict[tuple[str, str, str], float]:
        samples = families(client.get("/metrics").text)["zending_requests"].samples
        return {
            (each.labels["method"], each.labels["route"], each.labels["status"]): each.value
            for each in samples
            if each.name == "zending_requests_total"
        }

    before = counted()
    # A form that comes from nowhere: the framework's own metrics counted such refusals as 200.
    assert (
        client.post("/language", data={"language": "en"}, headers={"Origin": "https://evil.example"}).status_code == 403
    )
    assert client.get("/v1/deliveries/dlv_85073003328", headers=bearer(application, **OUTSIDER)).status_code == 404
    assert client.get("/nothing/85073003328").status_code == 404
    after = counted()
    grown = {key for key, value in after.items() if value > before.get(key, 0)}
    assert {
        ("POST", "/language", "403"),
        ("GET", "/v1/deliveries/{delivery_id}", "404"),
        ("GET", "none", "404"),
    } <= grown
    assert not any("85073003328" in part for key in after for part in key)


def test_only_the_monitoring_reads_the_metrics(stack: Any, database: TestDatabase, tmp_path: Path) -> None:
    with (
        wired(stack, database, tmp_path, metrics_token="a-token-of-sixteen") as application,
        door(application) as client,
    ):
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer a-token-of-sixteex"}).status_code == 401
        assert client.get("/metrics", headers=bearer(application)).status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer a-token-of-sixteen"}).status_code == 200


READS = ("/v1/ops/status", "/v1/ops/pauses", "/v1/ops/parked", "/v1/ops/audit")


def test_operations_belong_to_the_platform_whatever_a_token_says(
    client: TestClient[Any], application: Application
) -> None:
    for path in READS:
        assert client.get(path, headers=bearer(application, **OUTSIDER)).json()["code"] == "not_an_operator"
        assert client.get(path, headers=bearer(application, Scope.OPERATIONS_READ, **OWN)).status_code == 200
    for path, body in (
        ("/v1/ops/pauses", {"reason": "x", "kind": "seal"}),
        ("/v1/ops/pauses/pau_x/end", None),
        ("/v1/ops/parked/retry", {"ids": None}),
        ("/v1/ops/parked/job_x/propose-end", {"reason": "x"}),
        ("/v1/ops/parked/job_x/confirm-end", None),
    ):
        assert client.post(path, json=body, headers=bearer(application, **OUTSIDER)).json()["code"] == "not_an_operator"
        assert (
            client.post(path, json=body, headers=bearer(application, Scope.OPERATIONS_READ, **OWN)).status_code == 403
        )


def test_work_is_paused_and_goes_on_over_http(client: TestClient[Any], application: Application) -> None:
    who = bearer(application, **OWN)
    begun = client.post("/v1/ops/pauses", json={"channel": "paper", "reason": "the printer burns"}, headers=who)
    assert begun.status_code == 201
    again = client.post("/v1/ops/pauses", json={"channel": "paper", "reason": "x"}, headers=who)
    assert (again.status_code, again.json()["code"]) == (409, "paused_already")
    wrong = client.post("/v1/ops/pauses", json={"provider": "nobody", "reason": "x"}, headers=who)
    assert wrong.status_code == 422
    (listed,) = client.get("/v1/ops/pauses", headers=who).json()["items"]
    assert (listed["id"], listed["channel"], listed["actor"]) == (begun.json()["id"], "paper", "client:program")
    ended = client.post(f"/v1/ops/pauses/{listed['id']}/end", headers=who)
    assert (ended.status_code, ended.json()) == (200, {"let_go": 0})
    assert client.post(f"/v1/ops/pauses/{listed['id']}/end", headers=who).status_code == 404
    page = client.get("/v1/ops/audit?limit=1", headers=who).json()
    assert page["items"][0]["act"] == "pause.end"
    rest = client.get(f"/v1/ops/audit?cursor={page['next_cursor']}", headers=who).json()
    assert [each["act"] for each in rest["items"]] == ["pause.begin"]


def test_two_people_end_a_job_over_http_and_one_alone_does_not(
    client: TestClient[Any], application: Application, pipeline: Pipeline, database: TestDatabase
) -> None:
    sender = pipeline.organisation()
    pipeline.hand_in(sender)
    execute(database, "UPDATE job SET parked_at = now(), last_error = 'workers_lost'")
    person: dict[str, Any] = {"client_id": EXCHANGE_CLIENT, **OWN}
    olga, otto = bearer(application, subject="olga", **person), bearer(application, subject="otto", **person)
    (job,) = client.get("/v1/ops/parked", headers=olga).json()["items"]
    path = f"/v1/ops/parked/{job['id']}"
    program = client.post(f"{path}/propose-end", json={"reason": "seal_failed"}, headers=bearer(application, **OWN))
    assert program.json()["code"] == "person_needed"
    proposed = client.post(f"{path}/propose-end", json={"reason": "seal_failed"}, headers=olga)
    assert proposed.status_code == 201
    assert proposed.json()["proposed_by"] == audit.staff_actor(application.context.index_key, "olga")
    alone = client.post(f"{path}/confirm-end", headers=olga)
    assert (alone.status_code, alone.json()["code"]) == (403, "second_person_needed")
    done = client.post(f"{path}/confirm-end", headers=otto)
    assert (done.status_code, done.json()) == (200, {"event": "SubmissionRejection"})
    assert client.get("/v1/ops/parked", headers=otto).json() == {"items": [], "next_cursor": None}


def test_parked_jobs_are_retried_over_http(
    client: TestClient[Any], application: Application, database: TestDatabase
) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, 3)
    execute(database, "UPDATE job SET parked_at = now(), last_error = 'odd'")
    who = bearer(application, **OWN)
    first = client.get("/v1/ops/parked?limit=1", headers=who).json()
    assert first["next_cursor"]
    done = client.post("/v1/ops/parked/retry", json={"ids": [first["items"][0]["id"]]}, headers=who)
    assert done.json() == {"retried": 1}
    assert client.post("/v1/ops/parked/retry", json={"ids": None}, headers=who).json() == {"retried": 2}
    assert client.post("/v1/ops/parked/retry", json={"ids": ["nonsense"]}, headers=who).status_code == 404


# ---------------------------------------------------------------- the command


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(ops.ops, arguments, env=environment)


@pytest.fixture
def command(application: Application, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    """The command finds this application's settings."""
    monkeypatch.setattr("service.settings.settings", lambda: application.settings)
    yield application
    structlog.reset_defaults()


def test_the_command_says_what_is_wrong_and_ends_with_how_bad_it_is(command: Application, pipeline: Pipeline) -> None:
    missing = run("status")
    assert missing.exit_code == 2
    assert "No worker has given a sign of life" in missing.output
    beat(pipeline)
    well = run("status")
    assert (well.exit_code, "All is well." in well.output) == (0, True), well.output
    beat(pipeline, disks={"store": 0.1})
    look = run("status", "--json")
    assert look.exit_code == 1
    told = json.loads(look.stdout)
    assert told["status"] == "warning"
    assert {each["code"] for each in told["findings"]} == {"DiskFilling"}


def test_the_command_says_so_when_the_database_is_down(command: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    away = command.settings.model_copy(
        update={"database_url": type(command.settings.database_url)("postgresql://nobody@127.0.0.1:1/x")}
    )
    monkeypatch.setattr("service.settings.settings", lambda: away)
    found = run("status")
    assert found.exit_code == 2
    assert "The database can't be reached." in found.output
    assert "Traceback" not in found.output
    listed = run("parked")
    assert listed.exit_code == 1
    assert "the database can't be reached" in listed.output


def test_the_command_ends_a_job_with_two_peoples_tokens_only(
    command: Application, pipeline: Pipeline, database: TestDatabase
) -> None:
    know(database)
    pipeline.hand_in(pipeline.organisation())
    execute(database, "UPDATE job SET parked_at = now(), last_error = 'workers_lost'")
    job = re.findall(r"job_[0-9a-f]{32}", run("parked").output)[0]
    person: dict[str, Any] = {"client_id": EXCHANGE_CLIENT, **OWN}
    olga, otto = token(command, subject="olga", **person), token(command, subject="otto", **person)
    nobody = run("propose-end", job, "--reason", "seal_failed", ZENDING_OPERATOR_TOKEN="")
    assert nobody.exit_code == 1
    assert "ZENDING_OPERATOR_TOKEN" in nobody.output
    outsider = token(command, subject="anna", client_id=EXCHANGE_CLIENT)
    assert run("propose-end", job, "--reason", "seal_failed", ZENDING_OPERATOR_TOKEN=outsider).exit_code == 1
    assert run("propose-end", job, "--reason", "seal_failed", ZENDING_OPERATOR_TOKEN=olga).exit_code == 0
    assert run("confirm-end", job, ZENDING_OPERATOR_TOKEN=olga).exit_code == 1
    assert "SubmissionRejection" in run("confirm-end", job, ZENDING_OPERATOR_TOKEN=otto).output
    assert "Nothing is parked." in run("parked").output
    execute(database, "UPDATE staff SET active = false")
    left = run("pause", "--kind", "seal", "--reason", "x", ZENDING_OPERATOR_TOKEN=otto)
    assert left.exit_code == 1
    assert execute(database, "SELECT count(*) FROM pause") == [(0,)]


def test_the_command_pauses_resumes_and_retries_as_the_machines_account(
    command: Application, database: TestDatabase
) -> None:
    paused = run("pause", "--kind", "seal", "--reason", "a try")
    assert paused.exit_code == 0
    made = re.findall(r"pau_[0-9a-f]{32}", paused.output)[0]
    assert "a try" in run("pauses").output
    assert run("resume", made).exit_code == 0
    assert "Nothing is paused." in run("pauses").output
    assert run("retry").exit_code == 2
    assert "0 put back" in run("retry", "--all").output
    actors = {actor for (actor,) in execute(database, "SELECT actor FROM audit_entry")}
    assert len(actors) == 1
    assert actors.pop().startswith("os:")
    assert "pause.end" in run("audit").output


def test_a_status_is_about_now(healthy: Pipeline) -> None:
    status = operations.status(healthy.context, PROMISES, {"broker": (False, False)})
    assert abs(status.at - healthy.now) < timedelta(minutes=1)
    assert [each.code for each in status.findings] == ["PartAway"]
    assert status.worst == 1
