"""``zending ops status`` while real parts are away: one screen, right, soon, and nothing that is nobody's business."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from sqlalchemy import text

from bench.running import DOCUMENTS, Running, running
from service.db.jobs import Lane
from service.embedded.fictional import RECIPIENTS
from service.embedded.program import descendants
from service.usecases import heartbeats, operations
from service.usecases.admission import Sender, Upload
from service.usecases.hand_in import hand_in
from tests.s3_support import S3, s3_server
from tests.service_support import delivery_for

pytestmark = pytest.mark.faults

SECONDS = 45.0
"""For somebody who waits for it, on a machine that does other things too; some three seconds on one that does not."""
LINES = 30
"""One screen, also with everything away."""
PROGRAMS = {
    "database": "postgres",
    "broker": "valkey",
    "time-stamp authority": "tsa",
    "identity provider": "oidc",
    "mail server": "mail",
}
ADDRESS = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": "9000", "municipality": "Ergens"}
NUMBER = RECIPIENTS["jan"].number or ""
NEEDED = {"database", "store"}


@dataclass(frozen=True)
class Screen:
    """What somebody sees who looks."""

    status: int
    text: str

    @property
    def wrong(self) -> list[str]:
        """What is wrong, in the order in which it is told; how full this machine's disks are is not for us to say."""
        lines = [line for line in self.text.splitlines() if line.startswith(("CRITICAL", "WARNING"))]
        return [line for line in lines if "disk is free" not in line]


@dataclass
class Parts:
    """A service whose roles gave a sign of life a moment ago, and its parts, each of which can be away."""

    running: Running
    s3: S3

    @property
    def print_folder(self) -> Path:
        return Path(self.running.stack.environment["ZENDING_PRINT_FOLDER"])

    def beat(self) -> None:
        for role in operations.ROLES:
            heartbeats.beat(self.running.application.context, role, dict, host="host-1")

    def look(self, *arguments: str) -> Screen:
        """Type the command in a terminal of 100 columns; it comes back soon, and shows no trace and no secret."""
        command = (sys.executable, "-m", "service.cli", "ops", "status", *arguments)
        began = time.monotonic()
        done = subprocess.run(
            command,
            env=self.running.stack.environment | {"COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert time.monotonic() - began < SECONDS
        shown = done.stdout + done.stderr
        assert "Traceback" not in shown
        assert "Error" not in shown
        assert [each for each in self.secrets() if each in shown] == []
        assert len(done.stdout.splitlines()) <= LINES or arguments, shown
        return Screen(done.returncode, shown)

    def secrets(self) -> Iterator[str]:
        """What must not be shown: passwords, and everything about a person."""
        for name, value in self.running.stack.environment.items():
            if name.endswith(("_SECRET", "_SECRET_KEY")):
                yield value
            elif name.endswith("_URL") and (password := urlsplit(value).password):
                yield unquote(password)
        yield from (NUMBER, "Jan Claes", "Ergens", "Een brief")

    @contextmanager
    def away(self, part: str) -> Iterator[None]:
        """The part is not there within the block."""
        if part == "print house":
            moved = self.print_folder.rename(self.print_folder.with_name("print-elsewhere"))
            try:
                yield
            finally:
                moved.rename(self.print_folder)
        else:
            supervisor = self.running.stack.supervisor
            supervisor.stop(PROGRAMS[part])
            try:
                yield
            finally:
                supervisor.start_again(PROGRAMS[part])

    @contextmanager
    def frozen(self, part: str) -> Iterator[None]:
        """The part takes connections, and never says a word, within the block."""
        pids = [self.s3.pid] if part == "store" else self.running.stack.pids()[PROGRAMS[part]]
        every = [each for pid in pids for each in (pid, *descendants(pid))]
        for pid in every:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in every:
                os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with ExitStack() as closing:
        s3 = closing.enter_context(s3_server())
        settings = {
            "STORAGE_URL": s3.address(),
            # What waits here is not late.
            "ZENDING_PROMISE_SEAL_SECONDS": "86400",
            "ZENDING_STORAGE_ACCESS_KEY": s3.key,
            "ZENDING_STORAGE_SECRET_KEY": s3.secret,
        }
        home = tmp_path_factory.mktemp("status") / "home"
        made = closing.enter_context(running(home, mailboxes=0, here=True, **settings))
        delivery = delivery_for("jan", postal_address={**ADDRESS}, subject="Een brief")
        pdf = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()
        context = made.application.context
        with context.database.transaction() as session:
            (sender, *_) = session.scalars(text("SELECT id FROM organisation WHERE slug = 'belastingen'"))
        hand_in(
            context,
            Sender(sender, Lane.INTERACTIVE),
            json.dumps(delivery).encode(),
            [Upload("document", "brief.pdf", pdf)],
            key="one",
        )
        yield Parts(made, s3)


def sentence(part: str) -> str:
    if part in NEEDED:
        return f"CRITICAL  The {part} can't be reached."
    return f"WARNING   The {part} can't be reached; what needs it waits."


def test_with_everything_there_all_is_well_and_what_waits_is_shown(parts: Parts) -> None:
    parts.beat()
    seen = parts.look()
    assert (seen.status, seen.wrong) == (0, []), seen.text
    assert "All is well." in seen.text
    assert "seal  interactive" in seen.text


@pytest.mark.parametrize("part", [*PROGRAMS, "print house"])
def test_one_part_that_is_away_is_named_and_nothing_else(parts: Parts, part: str) -> None:
    parts.beat()
    with parts.away(part):
        seen = parts.look()
    assert seen.wrong == [sentence(part)], seen.text
    assert seen.status == (2 if part in NEEDED else 1)
    assert "docs/runbooks/provider-down.md" in seen.text
    there = next(line for line in seen.text.splitlines() if line.startswith("There: "))
    assert part not in there
    assert all(other in there for other in {*PROGRAMS, "print house", "store"} - {part})
    # What stands in the database is shown unless it is the database that is away, and then that is said.
    assert ("seal  interactive" in seen.text) == (part != "database")
    assert ("can't be shown" in seen.text) == (part == "database")


@pytest.mark.parametrize("part", ["database", "store"])
def test_a_part_that_hangs_is_away_and_keeps_nobody_waiting(parts: Parts, part: str) -> None:
    parts.beat()
    with parts.frozen(part):
        seen = parts.look()
    assert seen.wrong == [sentence(part)], seen.text


def test_with_everything_away_all_of_it_is_named_in_one_screen(parts: Parts) -> None:
    """The last of this file: the store does not come back."""
    os.kill(parts.s3.pid, signal.SIGKILL)
    parts.beat()
    assert parts.look().wrong == [sentence("store")]
    with ExitStack() as away:
        for part in (*PROGRAMS, "print house"):
            away.enter_context(parts.away(part))
        seen = parts.look()
        told = json.loads(parts.look("--json").text)
    everything = ["database", "store", *(part for part in PROGRAMS if part != "database"), "print house"]
    assert seen.wrong == [sentence(part) for part in everything], seen.text
    assert seen.status == 2
    # Of this machine even then is known how full its disks are.
    assert {each["metric"] for each in told["measured"]} == {"zending_part_up", "zending_disk_free_ratio"}
    assert told["status"] == "critical"
