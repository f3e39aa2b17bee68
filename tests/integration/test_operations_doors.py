"""What operators and the monitoring reach: over HTTP and by the command, also when parts are down."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import structlog
from click.testing import CliRunner
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from service.bootstrap import Application
from service.cli import ops
from service.db.ids import ORGANISATION, public_id
from service.domain.alarms import ALARMS
from service.identity.scopes import Scope
from service.usecases import audit, heartbeats, operations
from service.usecases.access import EXCHANGE_CLIENT
from service.usecases.personal import PLATFORM
from service.web import metrics
from tests.api_support import ORGANISATION_ID, bearer, door, token
from tests.engine_support import execute, lease, organisations, put
from tests.pipeline_support import Pipeline, TestDatabase, wired

OWN = {"organisation": public_id(ORGANISATION, PLATFORM)}


def beat(pipeline: Pipeline, **report: Any) -> None:
    for role in operations.ROLES:
        heartbeats.beat(pipeline.context, role, lambda: report, host="host-1")


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
    returned = heartbeats.Machine(application.context, {}, None, application.returns).report
    heartbeats.beat(application.context, "scheduler", returned, host="h")
    (sender,) = organisations(database, 1)
    put(database, sender, 2)
    (job,) = lease(database, 1)
    execute(database, "UPDATE job SET parked_at = now(), last_error = 'odd' WHERE id = %s", job.id)
    execute(database, "UPDATE job SET last_error = 'mail_unavailable' WHERE id <> %s", job.id)
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    shown = families(answer.text)
    # Told of each witness and of each range of numbers, and this installation has none of either: test_operations and
    # test_letter_fronts have.
    numbers = {"zending_print_numbers_left", "zending_print_numbers_reserve"}
    of_others = {"zending_ledger_uncosigned_seconds", *numbers}
    assert {alarm.metric for alarm in ALARMS} - of_others <= set(shown)
    assert set(metrics.HELP) - of_others <= set(shown)
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
    assert proposed.json()["proposed_by"] == audit.staff_actor(application.context.index.writing, "olga")
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


def test_the_command_pauses_while_the_folder_of_the_store_is_away_and_does_not_make_it(
    command: Application, pipeline: Pipeline
) -> None:
    folder = Path(urlsplit(command.settings.storage_url.get_secret_value()).path)
    beat(pipeline)
    folder.rename(folder.with_name("elsewhere"))
    paused = run("pause", "--channel", "paper", "--reason", "the store is away")
    assert paused.exit_code == 0, paused.output
    found = run("status")
    assert (found.exit_code, "The store can't be reached." in found.output) == (2, True)
    # Everything else is still told.
    assert "There: database," in found.output
    assert not folder.exists()
