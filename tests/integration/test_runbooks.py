"""docs/runbooks, walked: each command block of the page, in its order, as it is written there."""

import os
import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner

from service.cli.main import zending
from service.db.ids import ORGANISATION, public_id
from service.embedded.kept import HOST, free_port
from service.embedded.stack import Stack
from service.usecases.access import EXCHANGE_CLIENT
from service.usecases.personal import PLATFORM
from tests.api_support import token
from tests.embedded_support import until
from tests.engine_support import execute
from tests.machines_support import Processes
from tests.pipeline_support import Pipeline, TestDatabase, fresh_database
from tests.runbook_support import PAGES, Page, Shell

Sender = Callable[..., uuid.UUID]
LOOKED = (0, 1, 2)
"""What ``zending ops status`` may end with here: it looks at this machine's disks too."""
SECONDS = {"api": 25.0, "worker": 40.0, "scheduler": 30.0}
"""How long docs/runbooks/stop.md gives each role, with the drain below."""


def test_every_command_that_a_page_names_is_there() -> None:
    named = set()
    for file in PAGES.glob("*.md"):
        text = file.read_text("utf-8")
        for line in re.findall(r"(?:^|`|= |PATH |[a-z] )(?:\./)?zending ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)", text):
            named.add((file.name, line))
    assert len(named) > 40
    for name, line in sorted(named):
        words = line.split()
        command: click.Command = zending
        context = click.Context(zending)
        while words and isinstance(command, click.Group):
            found = command.get_command(context, words[0])
            if found is None and command.invoke_without_command:
                break
            assert found is not None, f"{name}: zending {line}"
            command = found
            words.pop(0)
        done = CliRunner().invoke(command, ["--help"])
        assert done.exit_code == 0, f"{name}: zending {line}"


@pytest.fixture
def empty(stack: Stack) -> Iterator[TestDatabase]:
    """A database in which nothing was made yet."""
    assert stack.urls is not None
    with fresh_database(stack.urls, "template0") as made:
        yield made


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    made = Processes(tmp_path / "logs")
    yield made
    made.kill()


def test_an_installation_is_started_upgraded_and_stopped(
    stack: Stack, empty: TestDatabase, processes: Processes, tmp_path: Path
) -> None:
    port = free_port()
    settings = {name: value for name, value in stack.environment.items() if name.startswith("ZENDING_")} | {
        "REDIS_URL": stack.environment["REDIS_URL"],
        "DATABASE_URL": empty.app_url,
        "STORAGE_URL": (tmp_path / "store").as_uri(),
        "ZENDING_HOME": str(tmp_path),
        "ZENDING_KEYS_FOLDER": str(tmp_path / "keys"),
        "ZENDING_PRINT_FOLDER": str(tmp_path / "print"),
        "ZENDING_PORT": str(port),
        "ZENDING_DRAIN_SECONDS": "5",
    }
    for folder in ("store", "print", "etc", "run"):
        (tmp_path / folder).mkdir()
    (tmp_path / "etc" / "environment").write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
    (tmp_path / "etc" / "owner-url").write_text(empty.owner_url)
    bare = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    shell = Shell(tmp_path, bare)
    fill = {
        "/etc/zending": str(tmp_path / "etc"),
        "/run/zending": str(tmp_path / "run"),
        "ADDRESS:8000": f"{HOST}:{port}",
    }
    start = Page(PAGES / "start.md", shell, fill)
    load = start.take()
    shell.before = load

    assert len(start.run().splitlines()) == 2
    refused = shell.run("zending worker", status=(1,))
    assert "schema" in refused
    assert "The database has the schema of this release." in start.run()
    for line in start.take().splitlines():
        role = line.rsplit(" ", 1)[1]
        processes.start(role, ["bash", "-c", f"{load}\nexec env {line}"], shell.environment)
    health = f"http://{HOST}:{port}/health/ready"
    until(lambda: _status(health) == 200)
    assert '"status":"ready"' in start.run()
    alive = tmp_path / "run"
    until(lambda: (alive / "worker").exists() and (alive / "scheduler").exists())
    start.run()
    assert start.is_walked()

    upgrade = Page(PAGES / "upgrade.md", shell, fill)
    assert "Nothing is missing." in upgrade.run()
    assert "Nothing is parked." in upgrade.run()
    upgrade.run()
    said = upgrade.run(status=LOOKED)
    assert "Nothing is parked." in said
    assert "RoleGone" not in said
    assert "sign of life" not in said
    assert upgrade.is_walked()

    stop = Page(PAGES / "stop.md", shell, fill)
    kill = stop.take()
    numbers = processes.running()
    assert set(numbers) == set(SECONDS)
    for role, seconds in SECONDS.items():
        shell.run(kill.replace("PID", str(numbers[role])))
        if role == "api":
            until(lambda: _status(health) == 503, seconds=4)
        # No second signal: that would cut the ending short.
        until(lambda role=role: role not in processes.running(), seconds=seconds)  # type: ignore[misc]
        assert processes.stop(role) == 0, role
    stop.run(status=LOOKED)
    assert stop.is_walked()


def _status(url: str) -> int | None:
    try:
        return httpx.get(url, trust_env=False, timeout=5).status_code
    except httpx.TransportError:
        return None


@pytest.fixture
def shell(stack: Stack, pipeline: Pipeline, database: TestDatabase, tmp_path: Path) -> Shell:
    settings = pipeline.application.settings
    own = {
        "DATABASE_URL": database.app_url,
        "STORAGE_URL": settings.storage_url.get_secret_value(),
        "ZENDING_KEYS_FOLDER": str(settings.keys_folder),
        "ZENDING_PRINT_FOLDER": str(settings.print_folder),
        "ZENDING_HOME": str(tmp_path),
    }
    return Shell(tmp_path, stack.environment | own)


def park(database: TestDatabase) -> None:
    execute(database, "UPDATE job SET parked_at = now(), last_error = 'workers_lost', attempts = 5, failures = 5")


def test_work_that_is_stuck_goes_on_or_ends_by_two_persons(
    shell: Shell, pipeline: Pipeline, database: TestDatabase, organisation: Sender
) -> None:
    page = Page(PAGES / "stuck-queue.md", shell)
    pipeline.hand_in(organisation())
    park(database)
    assert "1 job(s) of the step seal are parked." in page.run(status=(1, 2))
    (job,) = set(re.findall(r"job_[0-9a-f]{32}", page.run()))
    assert "1 put back to work." in page.run({"job_…": job})
    assert "0 put back to work." in shell.run("zending ops retry --all")

    park(database)
    for person in ("olga", "otto"):
        add = "INSERT INTO staff (organisation_id, issuer, subject, role) VALUES (%s, 'x', %s, 'operator')"
        execute(database, add, PLATFORM, person)
    own: dict[str, Any] = {"client_id": EXCHANGE_CLIENT, "organisation": public_id(ORGANISATION, PLATFORM)}
    tokens = {name: token(pipeline.application, subject=name, **own) for name in ("olga", "otto")}
    assert "Proposed." in page.run({"TOKEN=…": f"TOKEN={tokens['olga']}", "job_…": job})
    assert "SubmissionRejection" in page.run({"TOKEN=…": f"TOKEN={tokens['otto']}", "job_…": job})
    assert page.is_walked()


def test_what_needs_somebody_who_is_away_is_paused_and_goes_on(
    shell: Shell, pipeline: Pipeline, organisation: Sender
) -> None:
    page = Page(PAGES / "provider-down.md", shell)
    sender = organisation("belastingen")
    pipeline.hand_in(sender)
    page.run(status=LOOKED)
    (listed,) = re.findall(r"belastingen: .*(org_[0-9a-f]{32})", shell.run("zending organisations list"))
    made = re.findall(r"pau_[0-9a-f]{32}", page.run({"org_…": listed}))
    assert len(made) == 3
    pauses = shell.run("zending ops pauses")
    for what in ("provider mail", "channel paper", "organisation", "kind seal"):
        assert what in pauses
    pipeline.work()
    said = page.run({"pau_…": made[2]})
    assert "It goes on" in said
    pipeline.work()
    for each in made[:2]:
        shell.run(f"zending ops resume {each}")
    assert "Nothing is paused." in shell.run("zending ops pauses")
    page.run(status=LOOKED)
    assert page.is_walked()


def test_keys_are_exchanged(shell: Shell, pipeline: Pipeline, database: TestDatabase, organisation: Sender) -> None:
    page = Page(PAGES / "key-rotation.md", shell, {"NAME": "test"})
    pipeline.hand_in(organisation("belastingen"))
    inline = re.findall(r"`zending keys ((?:rotate|tokens) [^`]+)`", (PAGES / "key-rotation.md").read_text("utf-8"))
    assert [words.split()[:2] for words in inline] == [
        ["rotate", "belastingen"], ["tokens", "next"], ["tokens", "promote"], ["tokens", "retire"],
    ]  # fmt: skip
    for words in inline:
        shell.run(f"zending keys {words.replace('<who>', 'test')}")
    tried = page.run()
    assert "belastingen: signs by ecdsa-sha256" in tried
    assert "seals until" in tried
    assert "Start every process again" in page.run()
    page.run()
    assert "1 deliveries were gone through" in page.run()
    # The recovery window passes.
    execute(database, "UPDATE index_walk SET done_at = done_at - interval '8 days'")
    page.run()
    assert page.is_walked()
    assert shell.run("zending keys list").count("index key") == 1
