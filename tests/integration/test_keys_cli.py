"""``zending keys index`` as operators call it: stage by stage, each refused where it has no place."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from service.bootstrap import Application
from service.cli import keys as commands
from service.cli.main import zending
from service.vault.keyring.file import FileKeyRing
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import activate, deliver

Call = Callable[..., Result]


@pytest.fixture
def call(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Call:
    folder = pipeline.application.settings.keys_folder

    @contextmanager
    def application() -> Iterator[Application]:
        # Each command is a process of its own, and reads the key ring as it is then.
        context = replace(pipeline.context, index=FileKeyRing(folder / "keyring").index_keys())
        with commands.refusals():
            yield replace(pipeline.application, context=context)

    monkeypatch.setattr(commands, "_application", application)
    return lambda *words: CliRunner().invoke(zending, ["keys", "--folder", str(folder), *words])


def test_the_index_key_is_exchanged_by_command(
    call: Call, pipeline: Pipeline, organisation: Callable[..., uuid.UUID], database: TestDatabase
) -> None:
    activate(pipeline, "an")
    deliver(pipeline, organisation(), "an")
    early = call("index", "promote")
    assert (early.exit_code, "no next index key" in early.output) == (1, True)
    assert "index_not_promoted" in call("index", "re-index", "--by", "test").output
    assert call("list").output.count("index key") == 1
    assert "Start every process again" in call("index", "next").output
    assert call("index", "promote").exit_code == 0
    shown = call("list").output
    assert [word in shown for word in ("writing", "former", "next")] == [True, True, False]
    needed = call("index", "retire", "--by", "test")
    assert (needed.exit_code, "index_needed" in needed.output) == (1, True)
    done = call("index", "re-index", "--by", "test").output
    assert "1 deliveries were gone through; 0 of them" in done
    assert "0 mailboxes; 0 look-ups" in done
    assert "wait until" in call("index", "retire", "--by", "test").output
    execute(database, "UPDATE index_walk SET done_at = done_at - interval '8 days'")
    assert call("index", "retire", "--by", "test").exit_code == 0
    assert call("list").output.count("index key") == 1
    assert not list(pipeline.application.settings.keys_folder.glob("keyring/index-*.key"))
    acts = execute(database, "SELECT act FROM audit_entry WHERE act LIKE 'index.%%' ORDER BY id")
    assert acts == [("index.rewrite",), ("index.retire",)]
