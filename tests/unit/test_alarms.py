"""The one table of alarms: what rings, what the monitoring's rules say, and that every runbook is there."""

from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from service.domain.alarms import ALARMS, Alarm, Sample, Severity, judge, spoken
from service.operations_rules import rules
from service.usecases.heartbeats import disks
from service.web.metrics import HELP

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "alarms.yaml"
BY_NAME = {alarm.name: alarm for alarm in ALARMS}


def sample_beyond(alarm: Alarm, by: float) -> list[Sample]:
    """Samples that lie ``by`` beyond an alarm's bound; with a negative number, on its good side."""
    labels = {"kind": "seal", "lane": "interactive", "role": "worker", "host": "h", "disk": "store", "profile": "tax",
              "part": "database", "needed": "yes", "code": "some_code", "witness": "w"} | dict(alarm.where)  # fmt: skip
    if isinstance(alarm.beyond, str):
        by = -by if alarm.below else by
        return [Sample(alarm.metric, 60 + by, labels), Sample(alarm.beyond, 60, labels)]
    return [Sample(alarm.metric, alarm.beyond + (-by if alarm.below else by), labels)]


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_every_alarm_rings_beyond_its_bound_and_not_on_it(alarm: Alarm) -> None:
    found = judge(sample_beyond(alarm, 0.01), [alarm])
    assert [each.code for each in found] == [alarm.name]
    assert "{" not in found[0].what + found[0].do
    assert judge(sample_beyond(alarm, 0), [alarm]) == []
    assert judge(sample_beyond(alarm, -0.01), [alarm]) == []


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_an_alarm_looks_at_nothing_else(alarm: Alarm) -> None:
    others = [Sample(each.metric + "_other", each.value, each.labels) for each in sample_beyond(alarm, 1)]
    assert judge(others, [alarm]) == []
    if alarm.where:
        elsewhere = [
            Sample(each.metric, each.value, dict.fromkeys(each.labels, "x")) for each in sample_beyond(alarm, 1)
        ]
        assert judge(elsewhere, [alarm]) == []


def test_a_promise_counts_for_its_own_step_and_lane() -> None:
    late = Sample("zending_oldest_seconds", 100, {"kind": "seal", "lane": "interactive"})
    other = Sample("zending_promise_seconds", 10, {"kind": "seal", "lane": "bulk"})
    own = Sample("zending_promise_seconds", 200, {"kind": "seal", "lane": "interactive"})
    assert judge([late, other, own], [BY_NAME["StepLate"]]) == []


def test_the_worst_comes_first() -> None:
    found = judge([each for alarm in ALARMS for each in sample_beyond(alarm, 0.01)], ALARMS)
    severities = [each.severity for each in found]
    assert severities == sorted(severities, reverse=True)
    assert {Severity.CRITICAL, Severity.WARNING} == set(severities)


def test_a_graver_alarm_speaks_for_a_milder_one_of_the_same_sample_and_no_other() -> None:
    full = Sample("zending_disk_free_ratio", 0.01, {"host": "a", "disk": "store"})
    filling = Sample("zending_disk_free_ratio", 0.1, {"host": "b", "disk": "store"})
    found = judge([filling, full], ALARMS)
    assert [(each.code, each.labels["host"]) for each in found] == [("DiskFull", "a"), ("DiskFilling", "b")]


def test_places_on_one_disk_are_one_disk(tmp_path: Path) -> None:
    (tmp_path / "print").mkdir()
    places = {"home": tmp_path, "print": tmp_path / "print", "gone": tmp_path / "gone", "memory": Path("/proc")}
    found = disks(places)
    assert list(found) == ["home and print", "memory"]
    assert 0 <= found["home and print"] <= 1


def test_names_are_told_apart_and_every_runbook_is_there() -> None:
    assert len(BY_NAME) == len(ALARMS)
    for alarm in ALARMS:
        page = ROOT / "docs" / "runbooks" / alarm.runbook
        assert page.is_file(), alarm.name
        assert f"`{alarm.name}`" in page.read_text("utf-8"), f"{alarm.runbook} says nothing of {alarm.name}"


def test_every_alarm_looks_at_a_metric_that_there_is() -> None:
    for alarm in ALARMS:
        assert alarm.metric in HELP
        assert not isinstance(alarm.beyond, str) or alarm.beyond in HELP


def test_the_committed_rules_are_those_of_the_table() -> None:
    assert COMMITTED.read_text("utf-8") == rules(), "run: python -m service.operations_rules docs/alarms.yaml"


def test_the_rules_are_in_the_form_that_prometheus_reads() -> None:
    (group,) = yaml.safe_load(COMMITTED.read_text("utf-8"))["groups"]
    assert [rule["alert"] for rule in group["rules"]] == [alarm.name for alarm in ALARMS]
    for rule in group["rules"]:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert (ROOT / rule["annotations"]["runbook"]).is_file()
        assert "{{ $value" in rule["annotations"]["summary"] or "{value}" not in BY_NAME[rule["alert"]].what


@pytest.mark.parametrize(
    ("metric", "value", "said"),
    [
        ("a_seconds", 0, "0 seconds"),
        ("a_seconds", 1, "1 second"),
        ("a_seconds", 119, "1 minute"),
        ("a_seconds", 7200, "2 hours"),
        ("a_seconds", 86400 * 3, "3 days"),
        ("a_seconds", -86400, "-1 day"),
        ("a_ratio", 0.045, "4%"),
        ("a", 3.0, "3"),
    ],
)
def test_values_are_told_as_people_say_them(metric: str, value: float, said: str) -> None:
    assert spoken(metric, value) == said
