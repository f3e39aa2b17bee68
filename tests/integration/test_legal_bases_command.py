"""``zending legal-bases`` and ``zending ops outage`` as an operator types them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from click.testing import CliRunner, Result

from service.cli import legal_bases as commands
from service.cli import ops
from service.cli.main import zending
from service.domain import legal_bases
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.registered_support import agreed, legs, offer
from tests.usecase_support import Sender, with_post


@pytest.fixture
def wired(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    monkeypatch.setattr(commands, "database_of", lambda: pipeline.context.database)
    monkeypatch.setattr("service.settings.settings", lambda: pipeline.application.settings)
    yield pipeline
    structlog.reset_defaults()


def call(*words: str) -> Result:
    return CliRunner().invoke(zending, ["legal-bases", *words])


def test_an_operator_assigns_an_entry_and_deliveries_go_under_it(
    wired: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(wired)
    sender = organisation("belasting")
    agreed(wired)
    said = call("assign", "belasting", "notice", "--registered", "example-consent")
    assert said.exit_code == 0, said.output
    assert "notice: registered example-consent" in said.output
    assert legs(database, offer(wired, sender, "notice")) == [("mailbox", "offered", True)]
    ((actor, details),) = execute(database, "SELECT actor, details FROM audit_entry WHERE act = 'legal_basis.assign'")
    assert (actor, details["registered"]) == ("operator-command", "example-consent")
    said = call("assign", "belasting", "notice", "--registered", "none")
    assert "example-consent" not in said.output
    assert execute(database, "SELECT document_types FROM organisation WHERE slug = 'belasting'") == [({},)]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("belasting", "notice", "--registered", "no-such"), "the register has no entry no-such"),
        (("belasting", "notice", "--ordinary", "example-consent"), "example-consent is for registered mail"),
        (("nobody", "notice", "--registered", "example-consent"), "there is no organisation nobody"),
        (("belasting", "--registered", "example-consent"), "name the document type"),
    ],
)
def test_what_can_not_be_assigned_is_said_in_a_sentence(
    wired: Pipeline, organisation: Sender, words: tuple[str, ...], sentence: str
) -> None:
    organisation("belasting")
    said = call("assign", *words)
    assert said.exit_code != 0
    assert sentence in said.output
    assert wired.context.register.entries()


def test_entries_are_listed_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = Path(legal_bases.__file__).parent / "example-consent.1.toml"
    assert "example-consent/1 is good" in call("check", str(good)).output
    bad = tmp_path / "own.toml"
    bad.write_text(good.read_text().replace('expired = "registered_paper"', 'expired = "nothing"'))
    said = call("check", str(bad))
    assert (said.exit_code, "Every silent end" in said.output) == (1, True)
    monkeypatch.setenv("ZENDING_LEGAL_BASES", str(tmp_path))
    assert "own.toml: Every silent end" in call("list").output
    bad.write_text(good.read_text().replace("example-consent", "own-rule"))
    legal_bases.load.cache_clear()
    listed = call("list").output
    assert "own-rule/1" in listed
    assert "example, no law" in listed
    assert legal_bases.load().entries()[0].sha256 in listed


def test_an_outage_is_recorded_with_who_did_it(wired: Pipeline, database: TestDatabase) -> None:
    run: Any = CliRunner().invoke
    said = run(ops.ops, ["outage", "2026-11-03T08:00", "2026-11-03T14:00", "--reason", "power cut"])
    assert said.output == "Recorded. 0 running periods are looked at now.\n", said.output
    ((since, reason),) = execute(database, "SELECT since, reason FROM outage")
    assert (since.isoformat(), reason) == ("2026-11-03T08:00:00+00:00", "power cut")
    assert execute(database, "SELECT act FROM audit_entry") == [("outage.record",)]
    wrong = run(ops.ops, ["outage", "2026-11-03T14:00", "2026-11-03T08:00", "--reason", "x"])
    assert wrong.exit_code == 1
    assert "ends after it began" in wrong.output
