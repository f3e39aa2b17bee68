"""The commands of the runbooks, as they are written there, each in a process of its own."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from service.embedded.stack import Stack
from tests.pipeline_support import Pipeline, TestDatabase
from tests.roles_support import Roles

Sender = Callable[..., uuid.UUID]
ORIGIN = "zending.invalid/log"


@pytest.fixture
def zending(stack: Stack, pipeline: Pipeline, database: TestDatabase) -> Callable[..., str]:
    roles = Roles(stack, pipeline.application, database)

    def run(*arguments: str, fails: bool = False, **environment: str) -> str:
        done = roles.zending(*arguments, **environment)
        assert bool(done.returncode) == fails, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr if fails else done.stdout

    return run


def test_the_runbook_of_a_restore_works_as_it_is_written(
    zending: Callable[..., str], pipeline: Pipeline, organisation: Sender, tmp_path: Path
) -> None:
    sender = organisation("belastingen")
    pipeline.hand_in(sender)
    pipeline.work()
    pipeline.sequence()
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery staple\n")
    data, medium = str(tmp_path / "data"), str(tmp_path / "medium")
    told = zending("backup", "--to", data, "--keys-to", medium, "--passphrase-file", str(secret))
    digest = next(line for line in told.splitlines() if "digest" in line).rsplit(" ", 1)[-1]
    assert "whole" in zending("backup", "verify", data, "--digest", digest)
    assert "whole" in zending("backup", "verify", medium, "--passphrase-file", str(secret))
    assert "altered" in zending("backup", "verify", data, "--digest", "0" * 64, fails=True)

    lost = pipeline.hand_in(sender).delivery_id
    pipeline.work()
    pipeline.sequence()
    assert "stop it everywhere" in zending("restore", "--from", data, "--by", "test", fails=True)
    pipeline.context.database.dispose()
    assert "before_restore_" in zending("restore", "--from", data, "--by", "test")
    report = zending("recovery", "report")
    assert lost in report
    assert "open-new-log" in report
    assert "new log" in zending("recovery", "confirm", "--yes", "--by", "test", fails=True)
    pipeline.context.database.dispose()
    new = f"{ORIGIN}-2"
    zending("ledger", "open-new-log", "--origin", new, "--closing", ORIGIN, "--by", "test")
    status = zending("ledger", "status", ZENDING_LEDGER_ORIGIN=new)
    link = json.loads(next(line for line in status.splitlines() if "link" in line).split("): ", 1)[1])
    assert (link["new_log"], link["previous_log"]) == (new, ORIGIN)
    assert "confirmed" in zending("recovery", "confirm", "--yes", "--by", "test", ZENDING_LEDGER_ORIGIN=new)


def test_the_runbooks_of_keys_work_as_they_are_written(
    zending: Callable[..., str], pipeline: Pipeline, organisation: Sender, tmp_path: Path
) -> None:
    sender = organisation("belastingen")
    pipeline.hand_in(sender)
    (key,) = [facts for facts in pipeline.context.keyring.listing() if facts.organisation == sender]
    year = str(key.year)
    assert key.id in zending("keys", "list")
    zending("keys", "rotate", "belastingen", year, "--by", "test")
    secret, medium = tmp_path / "passphrase", str(tmp_path / "medium")
    secret.write_text("correct horse battery staple\n")
    zending("backup", "--keys-to", medium, "--passphrase-file", str(secret))
    file = pipeline.application.settings.keys_folder / "keyring" / f"{key.id}.key"
    file.unlink()
    assert "lost" in zending("keys", "list")
    assert "1 files" in zending("keys", "bring-back", "--from", medium, "--passphrase-file", str(secret))
    assert file.exists()

    for stage in ("next", "promote", "retire"):
        zending("keys", "tokens", stage)
    assert "no former key" in zending("keys", "tokens", "retire", fails=True)
    zending("keys", "seal", "belastingen", "belastingen", "--by", "test")
    assert "can't be used" in zending("keys", "seal", "belastingen", "nothing", "--by", "test", fails=True)

    typed = ("--confirm", f"belastingen/{year}", "--by", "one")
    assert "two persons" in zending("keys", "destroy", "belastingen", year, *typed, "--second", "one", fails=True)
    assert "2 keys" in zending("keys", "destroy", "belastingen", year, *typed, "--second", "two")
    assert zending("keys", "list").count("destroyed") == 2
