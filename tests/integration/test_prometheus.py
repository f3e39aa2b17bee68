"""The alarms as Prometheus takes them: its own tools judge the rules and /metrics, and a server of it rings."""

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.bootstrap import Application
from service.domain.alarms import ALARMS, Alarm, Sample
from service.embedded.stack import Stack
from tests.embedded_support import CHECKOUT
from tests.engine_support import execute, organisations, put
from tests.pipeline_support import TestDatabase
from tests.processes_support import Processes, free_address
from tests.roles_support import HOST, Roles
from tests.service_support import until
from tests.tools_support import program

RULES = CHECKOUT / "docs" / "alarms.yaml"
LABELS = {
    "kind": "seal", "lane": "interactive", "role": "worker", "host": "h", "disk": "store", "profile": "tax",
    "part": "database", "needed": "yes", "code": "some_code", "witness": "w.example/1",
}  # fmt: skip
USED = {
    "zending_part_up": ("part", "needed"),
    "zending_seal_keys_unusable": ("role", "host"),
    "zending_jobs_failing": ("code",),
    "zending_processes": ("role",),
    "zending_heartbeat_age_seconds": ("role", "host"),
    "zending_oldest_seconds": ("kind", "lane"),
    "zending_batch_open_seconds": ("kind", "lane"),
    "zending_promise_seconds": ("kind", "lane"),
    "zending_jobs_parked": ("kind",),
    "zending_certificate_left_seconds": ("profile",),
    "zending_ledger_uncosigned_seconds": ("witness",),
    "zending_disk_free_ratio": ("host", "disk"),
    "zending_returned_mail_aside": ("host",),
    "zending_returned_mail_oldest_seconds": ("host",),
    "zending_returned_mail_unreadable": ("host",),
    "zending_print_numbers_left": ("kind",),
    "zending_print_numbers_reserve": ("kind",),
}
"""The labels of each metric that has some, as the service shows it."""
SCRAPE = {"job": "zending", "instance": "api-1"}
SAYS = {
    "PartDown": "The database can't be reached.",
    "SealKeyUnusable": "On h, 1 organisation(s) have no usable seal key or certificate.",
    "SealingFailsByKey": "1 document(s) can't be sealed: the key or its certificate can't be used.",
    "SealingStoppedByEnd": "1 document(s) wait: the certificate to seal them with has ended, or ends too soon.",
    "SealingStoppedByRevocation": "1 document(s) wait: the certificate to seal them with was revoked.",
    "RoleGone": "No worker has given a sign of life for a minute.",
    "HostSilent": "The worker on h has been silent for 1m 1s.",
    "StepLate": "The step seal is late: the oldest of its interactive lane has waited for 1m 1s.",
    "BatchNotHandedOver": "A print batch was closed 1m 1s ago and is not handed over.",
    "CutOffLate": "A print cut-off should have been 10m 1s ago, and no batch was closed.",
    "PrintNumbersGone": "1 letter(s) wait: the numbers that the post gave for them are used up.",
    "PrintNumbersEnding": "59 numbers of the post of the kind seal are left.",
    "JobsParked": "1 job(s) of the step seal are parked.",
    "JobsFailing": "26 jobs wait to be tried again: some_code.",
    "PartAway": "The database can't be reached; what needs it waits.",
    "PauseForgotten": "Something has been paused for 1d 0h 0m 1s.",
    "LedgerBehind": "Evidence has waited for 1m 1s to be put into the ledger.",
    "LedgerUnsigned": "The ledger has grown, and no checkpoint was signed for 1m 1s.",
    "LedgerUnstamped": "No checkpoint got a time-stamp for 30m 1s though the ledger has grown.",
    "LedgerUncosigned": "The witness w.example/1 has cosigned nothing for 30m 1s though the ledger has grown.",
    "CertificateExpired": "The seal profile tax seals for 1d 23h 59m 59s more.",
    "CertificateExpiring": "The seal profile tax seals for 29d 23h 59m 59s more.",
    "DiskFull": "On h, 4% of the store disk is free.",
    "DiskFilling": "On h, 14% of the store disk is free.",
    "SealsNotRenewed": "The seals of 1 delivery(ies) or signature request(s) could not be renewed in time.",
    "NoticesBounced": "21 notices of the last day could not be brought to anybody.",
    "WebhooksDisabled": (
        "1 webhook(s) are disabled: their receivers took nothing for days, or said that they are gone."
    ),
    "WebhooksFailing": "A receiver of webhooks has taken nothing for 1d 0h 0m 1s.",
    "ReturnedMailAside": "On h, 1 mail(s) that came back were not understood and wait for a person.",
    "ReturnedMailUnread": "On h, a mail that came back has waited for 15m 1s to be read.",
    "PrintExceptions": "1 thing(s) that print houses said do not fit and wait for somebody's look.",
    "PrintLettersLate": "1 letter(s) are past their deadline, and nobody said that the post has them.",
    "PrintLettersUnprinted": "1 letter(s) wait, and no print house offers their product.",
    "PrintLettersUnprintedSince": "The oldest letter whose product no print house offers has waited for 1s.",
    "PrintLettersHeld": "1 letter(s) are held back, one by one or with their product.",
    "PrintLettersHeldSince": "The oldest letter that is held back has waited for 1s.",
    "PrintLettersLeft": "1 letter(s) wait past their cut-off: no print house had room for them.",
    "PrintLettersLeftSince": "The oldest letter that no print house had room for has waited for 1s.",
    "PrintNotAcknowledged": "A batch was handed over 4h 0m 1s ago, and the print house has not acknowledged it.",
    "PrintInboxStuck": "A file of a print house has been kept for 30m 1s and could not be taken in.",
    "PrintPullUnanswered": "A pull list was ordered 4h 0m 1s ago, and the print house has not answered for all of its"
    " letters.",
    "PrintFilesNotDeleted": "Of 1 batch file(s) the print house has not confirmed the deletion in time.",
    "ReturnedMailUnreadable": "On h, the folder of mail that came back can't be read.",
}
"""What each says when it is one step beyond its bound, in Prometheus' words for times and shares."""
MINUTES = 6
"""Longer than any alarm lasts before it calls."""


def at(alarm: Alarm, steps: int) -> list[Sample]:
    """Samples that lie some steps beyond the alarm's bound; with 0 on it, below 0 on its good side."""

    def made(metric: str, value: float) -> Sample:
        given = LABELS | dict(alarm.where)
        return Sample(metric, value, {name: given[name] for name in USED.get(metric, ())})

    bound = 60.0 if isinstance(alarm.beyond, str) else alarm.beyond
    step = 0.01 if alarm.metric.endswith("_ratio") else 1.0
    found = [made(alarm.metric, round(bound + (-steps if alarm.below else steps) * step, 6))]
    return [*found, made(alarm.beyond, bound)] if isinstance(alarm.beyond, str) else found


def series(samples: Sequence[Sample], *, until: int = MINUTES) -> list[dict[str, str]]:
    """The samples as a scrape gives them, the same each minute."""
    found = []
    for each in samples:
        labels = {**each.labels, **SCRAPE}
        written = ",".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
        found.append({"series": f"{each.metric}{{{written}}}", "values": f"{each.value:f}+0x{until}"})
    return found


def ringing(alarm: Alarm, samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """What rings by our own table, with all that Prometheus is to make of it."""
    severity, runbook = alarm.severity.name.lower(), f"docs/runbooks/{alarm.runbook}"
    return [
        {
            "exp_labels": {**each.labels, **SCRAPE, "severity": severity},
            "exp_annotations": {"summary": SAYS[alarm.name], "action": alarm.do, "runbook": runbook},
        }
        for each in alarm.rings(samples)
    ]


def firing(samples: Sequence[Sample]) -> dict[str, Any]:
    """All alarms that ring in the end, and no others, as our own table has it."""
    codes = [alarm.name for alarm in ALARMS if alarm.rings(samples)]
    shown = [{"labels": f'{{alertname="{code}"}}', "value": 1} for code in codes]
    return {
        "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{MINUTES}m",
        "exp_samples": shown,
    }


def promtool(*arguments: str, given: str | None = None) -> "subprocess.CompletedProcess[str]":
    command = [program("promtool"), *arguments]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


def test_prometheus_takes_the_rules() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(ALARMS)} rules found" in done.stdout


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_prometheus_and_our_own_table_ring_for_the_same(alarm: Alarm, tmp_path: Path) -> None:
    tests = []
    for steps in (1, 0, -1):
        samples = at(alarm, steps)
        rings = ringing(alarm, samples)
        assert bool(rings) == (steps == 1)
        looks: list[dict[str, Any]] = [
            {"eval_time": f"{alarm.minutes}m", "alertname": alarm.name, "exp_alerts": rings},
        ]
        if alarm.minutes:
            # A minute before it has lasted for long enough.
            looks.append({"eval_time": f"{alarm.minutes - 1}m", "alertname": alarm.name, "exp_alerts": []})
        tests.append(
            {
                "name": f"{alarm.name}: {steps} beyond",
                "interval": "1m",
                "input_series": series(samples),
                "alert_rule_test": looks,
                "promql_expr_test": [firing(samples)],
            }
        )
    file = tmp_path / "tests.yaml"
    given = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    # JSON is YAML too.
    file.write_text(json.dumps(given), "utf-8")
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


TOKEN = "the-monitoring-shows-this-token"


@pytest.fixture
def roles(stack: Stack, application: Application, database: TestDatabase) -> Iterator[Roles]:
    """An API process of its own, with the monitoring's token."""
    made = Roles(stack, application, database, ZENDING_METRICS_TOKEN=TOKEN)
    try:
        made.start("api")
        yield made
    finally:
        made.kill()


@contextmanager
def prometheus(folder: Path, target: str) -> Iterator[Callable[[str], Any]]:
    """A server that scrapes the service as docs/operations.md has it, but each second; asks its own API."""
    (folder / "token").write_text(TOKEN, "ascii")
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [
            {
                "job_name": "zending",
                "authorization": {"credentials_file": str(folder / "token")},
                "static_configs": [{"targets": [target]}],
            }
        ],
        "rule_files": [str(RULES)],
    }
    (folder / "prometheus.yml").write_text(json.dumps(configuration), "utf-8")
    address = free_address(HOST)
    processes = Processes(folder / "logs")
    command = (
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    )
    processes.start("prometheus", command, {})
    with httpx.Client(base_url=f"http://{address}/api/v1", trust_env=False, timeout=10.0) as client:

        def ask(path: str) -> Any:
            try:
                answer = client.get(path)
            except httpx.ConnectError:
                return None
            return answer.json()["data"] if answer.status_code == httpx.codes.OK else None

        try:
            yield ask
        finally:
            processes.kill()


def check_by_promtool(roles: Roles) -> None:
    """Let Prometheus' own check read what the service shows: names, types, texts of help."""
    with httpx.Client(base_url=roles.base_url, trust_env=False, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        # The first request is counted in the second answer.
        for _ in range(2):
            shown = client.get("/metrics")
    assert shown.status_code == httpx.codes.OK
    assert "zending_requests_total{" in shown.text
    done = promtool("check", "metrics", given=shown.text)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # It is a check that can fail.
    assert promtool("check", "metrics", given=shown.text + "# TYPE broken counter\nbroken 1\n").returncode != 0


def test_a_running_prometheus_rings_for_what_is_wrong_and_stops_when_it_is_mended(
    roles: Roles, database: TestDatabase, tmp_path: Path
) -> None:
    (sender,) = organisations(database, 1)
    put(database, sender, 1)
    execute(database, "UPDATE job SET parked_at = now(), last_error = 'odd'")
    check_by_promtool(roles)
    (tmp_path / "prometheus").mkdir()
    with prometheus(tmp_path / "prometheus", roles.address) as ask:
        up = until(lambda: (ask("/targets") or {}).get("activeTargets"), "a target")
        assert [each["scrapeUrl"] for each in up] == [f"http://{roles.address}/metrics"]

        def firing() -> dict[str, dict[str, Any]]:
            alerts = (ask("/alerts") or {}).get("alerts", [])
            return {each["labels"]["alertname"]: each for each in alerts if each["state"] == "firing"}

        found = until(lambda: firing().get("JobsParked"), "the alarm of a parked job")
        assert found["annotations"]["summary"] == "1 job(s) of the step seal are parked."
        assert {name: found["labels"][name] for name in ("job", "instance", "kind", "severity")} == {
            "job": "zending",
            "instance": roles.address,
            "kind": "seal",
            "severity": "warning",
        }
        (target,) = ask("/targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        # No worker lives here: that calls only after a minute, and is known already.
        pending = {each["labels"]["alertname"] for each in ask("/alerts")["alerts"] if each["state"] == "pending"}
        assert "RoleGone" in pending
        (group,) = ask("/rules")["groups"]
        assert {rule["name"]: rule["health"] for rule in group["rules"]} == {each.name: "ok" for each in ALARMS}

        execute(database, "DELETE FROM job")
        until(lambda: "JobsParked" not in firing(), "the alarm to end")
