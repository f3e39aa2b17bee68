"""The restore drill with API, worker and scheduler as processes of their own, and nobody who says what was done.

The database goes back to T by PostgreSQL's means alone. Store, print house, mail and signed head stand later than T.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from bench.running import activate
from service.bootstrap import Application
from service.cli import backup_database
from service.cli.demo_calls import Paper, agency
from service.embedded.fictional import RECIPIENTS
from service.embedded.seeding import seed
from service.embedded.stack import Stack
from service.ledger.verify import verify_evidence
from service.usecases.log_head import StoredHead
from tests.pipeline_support import TestDatabase
from tests.printing_support import printed_in
from tests.roles_support import Roles
from tests.service_support import DOCUMENTS, delivery_for, until

pytestmark = pytest.mark.faults

NEW_LOG = "zending.invalid/log-2"
LETTER = Paper("brief.pdf", (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes())
ALL = ("api", "worker", "scheduler")


class Drill:
    """A service in processes, what it sends out, and what its senders see."""

    def __init__(self, stack: Stack, application: Application, database: TestDatabase, folder: Path) -> None:
        self.application, self.database = application, database
        self.roles = Roles(
            stack, application, database, ZENDING_PRINT_CUTOFF_SECONDS="1", ZENDING_CHECKPOINT_STAMP_SECONDS="1"
        )
        self.dump, self.mail = folder / "database.dump", stack.home / "mail"
        client = seed(stack.home, self.roles.environment)["tax"]
        activate(application, self.mail, str(RECIPIENTS["an"].number))
        self._mail_before = set(self.mail.glob("*.eml"))
        self.sender = agency(self.roles.base_url, client.client_id, client.secret)

    def hand_in(self, recipient: str = "jan", *, key: str | None = None) -> str:
        """Hand in; jan gets paper and an has a mailbox."""
        return str(self.sender.hand_in(delivery_for(recipient), LETTER, key=key or uuid4().hex)["id"])

    def until_status(self, delivery: str, status: str) -> None:
        until(lambda: self.sender.delivery(delivery)["status"] == status, f"a delivery to be {status}")

    def evidence(self, delivery: str, event: str) -> dict[str, Any]:
        """One evidence with its proof, once the ledger has it."""

        def look() -> list[str]:
            listed = self.sender.evidence(delivery)
            return [each["id"] for each in listed if each["event"] == event and each["published"]]

        return self.sender.one_evidence(delivery, until(look, f"the evidence {event}")[0])

    def printed(self) -> list[str]:
        return printed_in(self.application.settings.print_folder)

    def mails(self) -> int:
        return len(set(self.mail.glob("*.eml")) - self._mail_before)

    def head(self) -> bytes:
        """The signed head of the first log, as it lies in the store."""
        head = StoredHead(self.application.store, self.application.settings.ledger_origin).read()
        assert head is not None
        return head

    def leave_database(self) -> None:
        """End whatever of the service works on the database, at once."""
        self.roles.kill()
        self.application.context.database.dispose()
        self.database.database.dispose()
        until(lambda: not self._connected(), "the connections to end")

    def _connected(self) -> bool:
        with psycopg.connect(self.database.owner_url.replace("+psycopg", "", 1)) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND usename IS NOT NULL"
            ).fetchone()
        return row is not None and row[0] > 0

    def failed_loops(self) -> set[tuple[str, str]]:
        """What the scheduler's log says went wrong: the loop and the code."""
        log = (self.application.settings.home / "logs" / "scheduler.log").read_text("utf-8")
        lines = [json.loads(line) for line in log.splitlines() if '"loop_failed"' in line]
        return {(line["loop"], line["code"]) for line in lines}

    def zending(self, *arguments: str, fails: bool = False, **environment: str) -> str:
        done = self.roles.zending(*arguments, **environment)
        assert bool(done.returncode) == fails, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr if fails else done.stdout


@pytest.fixture
def drill(stack: Stack, application: Application, database: TestDatabase, tmp_path: Path) -> Iterator[Drill]:
    made = Drill(stack, application, database, tmp_path)
    try:
        yield made
    finally:
        made.sender.close()
        made.roles.kill()


def unstamped(evidence: dict[str, Any]) -> dict[str, Any]:
    """An evidence and its proof without the time-stamp, which its checkpoint may get a moment later."""
    return evidence | {"timestamp_token": None}


def holds(evidence: dict[str, Any], keys: list[str]) -> bool:
    checks = verify_evidence(evidence, keys)
    return bool(checks) and all(each.ok is not False for each in checks)


@dataclass
class World:
    """What was done before T, at T and after it."""

    before: str
    told: str
    waiting: str
    raw: str
    message: str
    lost: str
    unprinted: str
    unprinted_key: str
    proved: dict[str, Any]


def work_on_both_sides_of_t(drill: Drill) -> World:
    roles = drill.roles
    roles.start(*ALL)
    before, told = drill.hand_in(), drill.hand_in("an")
    drill.until_status(before, "handed_over")
    drill.evidence(told, "ConsignmentNotification")
    proved = drill.evidence(before, "RelayToNonERDS")
    # At T a letter waits for its batch; another, and a message, are only acknowledged.
    roles.stop("scheduler")
    waiting = drill.hand_in()
    drill.until_status(waiting, "to_print")
    roles.stop("worker")
    raw, message = drill.hand_in(), drill.hand_in("an")
    backup_database.dump(drill.database.owner_url, drill.dump)
    # Everything goes on, and all that follows is lost with the database.
    roles.start("worker", "scheduler")
    lost = drill.hand_in()
    for each in (waiting, raw, lost):
        drill.evidence(each, "RelayToNonERDS")
    drill.evidence(message, "ConsignmentNotification")
    roles.stop("scheduler")
    roles.stop("worker")
    key = uuid4().hex
    return World(before, told, waiting, raw, message, lost, drill.hand_in(key=key), key, proved)


def open_new_log_and_confirm(drill: Drill) -> None:
    """Steps 6 and 7 of the runbook."""
    assert "new log" in drill.zending("recovery", "confirm", "--yes", "--by", "test", fails=True)
    for role in ("scheduler", "worker", "api"):
        drill.roles.stop(role)
    origin = drill.application.settings.ledger_origin
    drill.zending("ledger", "open-new-log", "--origin", NEW_LOG, "--closing", origin, "--by", "test")
    drill.roles.environment["ZENDING_LEDGER_ORIGIN"] = NEW_LOG
    drill.roles.start(*ALL)
    drill.zending("recovery", "confirm", "--yes", "--by", "test")


def test_a_restored_service_lets_nothing_out_twice_does_not_fork_its_log_and_lists_what_is_lost(drill: Drill) -> None:
    world = work_on_both_sides_of_t(drill)
    out, mails, head = drill.printed(), drill.mails(), drill.head()
    assert out == sorted([world.before, world.waiting, world.raw, world.lost])
    assert mails == len([world.told, world.message])

    drill.leave_database()
    backup_database.restore(drill.database.owner_url, drill.dump)
    drill.roles.start(*ALL)
    # The service takes in, seals and brings to mailboxes; it finds out by itself that it may let nothing out.
    fresh = drill.hand_in()
    drill.until_status(world.message, "available")
    for each in (world.raw, fresh):
        drill.until_status(each, "to_print")
    refused = {("cutoff", "restored_behind"), ("sequence", "ledger_forked")}
    until(lambda: refused <= drill.failed_loops(), "the scheduler to refuse")
    report = drill.zending("recovery", "report")
    assert "Recovery open since" in report
    assert "2 letters and 1 notices of deliveries that are known went out." in report
    assert "2 deliveries are lost." in report
    rows = [[cell.strip() for cell in line.split("│")] for line in report.splitlines()]
    assert {row[1]: row[4] for row in rows if len(row) == 7} == {world.lost: "yes", world.unprinted: "no"}
    assert (drill.printed(), drill.mails(), drill.head()) == (out, mails, head)

    open_new_log_and_confirm(drill)
    again = drill.hand_in(key=world.unprinted_key)
    assert again != world.unprinted
    keys = drill.zending("keys").split()
    for each in (world.waiting, world.raw, fresh, again):
        assert holds(drill.evidence(each, "RelayToNonERDS"), keys)
    drill.evidence(world.message, "ConsignmentNotification")
    assert drill.printed() == sorted([*out, fresh, again])
    assert (drill.mails(), drill.head()) == (mails, head)
    assert unstamped(drill.evidence(world.before, "RelayToNonERDS")) == unstamped(world.proved)
    assert holds(world.proved, list(drill.application.log_signer.vkeys))
