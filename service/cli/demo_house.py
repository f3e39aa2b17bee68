"""The demonstration's house: the whole stack with its fictional world, and ``demo.json``, which tells scripts of it."""

import json
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from service.cli.demo_calls import CALLBACK, Calls, agency, person
from service.cli.demo_mailbox import activate
from service.embedded import fictional
from service.embedded.fictional import PEOPLE, RECIPIENTS, Recipient, people_for_provider
from service.embedded.kept import HOST, is_free, write_durably
from service.embedded.privileges import CannotStart
from service.embedded.program import Program, steady
from service.embedded.seeding import SeededClient, seed
from service.embedded.stack import CHECKOUT, Stack
from service.embedded.supervisor import Pids
from service.own_keys import make_keys

SETTINGS: Final = {
    "ZENDING_ISSUER_NAME": "Zending (demonstration)",
    "ZENDING_PRINT_CUTOFF_SECONDS": "10",
    "ZENDING_PRINT_INBOX_SECONDS": "2",
    "ZENDING_PRINT_NUMBERS": str(Path(fictional.__file__).with_name("numbers.toml")),
    "ZENDING_CHECKPOINT_STAMP_SECONDS": "5",
    "ZENDING_QUIET_HOURS": "false",
    "ZENDING_WORKER_SLOTS": "2",
    "ZENDING_INSPECTION_CHILDREN": "2",
}
"""What differs from the service's defaults; each can be set in the environment."""

# Quick enough to be watched; letters stay where people are told to look for them.
_PRINT_HOUSE: Final = ("--day", "10", "--seed", "1", "--tracked", "--leave")

DEMO_FILE: Final = "demo.json"
_ORIGIN: Final = "zending.invalid/log"
_OUTSIDE: Final = ("DATABASE_URL", "DATABASE_OWNER_URL", "BROKER_URL", "REDIS_URL", "STORAGE_URL")


@dataclass(frozen=True)
class House:
    """A running service with its fictional world.

    Attributes:
        stack: everything that runs.
        clients: each organisation's program, by the organisation's slug.
        activated: recipients whose mailbox is active.
        ledger_keys: verifier keys of the evidence ledger, the Ed25519 one first.
    """

    stack: Stack
    clients: Mapping[str, SeededClient]
    activated: Collection[Recipient]
    ledger_keys: tuple[str, ...]
    _writing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def home(self) -> Path:
        """All data."""
        return self.stack.home

    @property
    def base_url(self) -> str:
        """Where the service is reached."""
        return self.stack.base_url

    @property
    def print_folder(self) -> Path:
        """Where the print house takes batches from."""
        return Path(self.stack.environment["ZENDING_PRINT_FOLDER"])

    @property
    def time_stamp_issuer(self) -> Path | None:
        """The certificate (PEM) of who issued the embedded time-stamp authority's; None with another authority."""
        return self.home / "pki" / "issuing.cert.pem" if "tsa" in self.stack.pids() else None

    def agency(self, slug: str) -> Calls:
        """The public API as the organisation's program calls it."""
        client = self.clients[slug]
        return agency(self.base_url, client.client_id, client.secret)

    def person(self, login: str) -> Calls:
        """The public API as a person's program calls it."""
        return person(self.base_url, self.stack.environment, login)

    def described(self, pids: Pids) -> dict[str, Any]:
        """What ``demo.json`` says (docs/api)."""
        everybody = [recipient for recipient in RECIPIENTS.values() if recipient.number]
        keys = {recipient.key for recipient in self.activated}
        return {
            "base_url": self.base_url,
            "issuer": self.stack.environment["ZENDING_OIDC_ISSUER"],
            "clients": {
                slug: {
                    "client_id": each.client_id,
                    "client_secret": each.secret,
                    "organisation": each.organisation.name,
                }
                for slug, each in self.clients.items()
            },
            "recipients": {
                "activated": [_recipient(each) for each in everybody if each.key in keys],
                "not_activated": [_recipient(each) for each in everybody if each.key not in keys],
            },
            "people": [
                {"name": each.name, "login": each.login, "does": each.does, "recipient_id": each.number}
                for each in PEOPLE
            ],
            "print_folder": str(self.print_folder),
            "mail_folder": str(self.home / "mail"),
            "trust_anchor": self.stack.environment["ZENDING_TRUST_ANCHOR"],
            "ledger_key": self.ledger_keys[0],
            "pids": numbers(pids),
        }

    def write(self, pids: Pids) -> None:
        """Write ``demo.json``: all of it or nothing, on disk once this returns."""
        with self._writing:
            write_durably(self.home / DEMO_FILE, json.dumps(self.described(pids), ensure_ascii=False, indent=1) + "\n")


@contextmanager
def house(
    home: Path,
    given: Mapping[str, str],
    *,
    notice: Callable[[str], None],
    tell: Callable[[str], None],
    workers: int = 1,
    also: str | None = None,
    start: Callable[[Stack], object] | None = None,
) -> Iterator[House]:
    """Start everything, with the fictional world in it, and stop it again when the block ends.

    Args:
        home: all data; a second start goes on with what is there.
        given: the environment.
        notice: told in a sentence when a process died or is back.
        tell: told in a few words what is being done.
        workers: how many worker programs.
        also: an address of this machine besides 127.0.0.1 on which the servers answer, for a service on other machines.
        start: starts the service's own processes somewhere; here when left out.

    Raises:
        CannotStart: with a sentence that says what to change.
    """
    given = SETTINGS | without_own(home, given)
    tell("Starting the servers")
    stack = Stack(
        home, people=people_for_provider(), return_paths=(CALLBACK, "/"), given=given, notice=notice, also=also
    )
    with stack:
        # What an earlier start wrote is no longer true; it comes back once everything stands.
        (stack.home / DEMO_FILE).unlink(missing_ok=True)
        _check_port(given)
        tell("Preparing the database and the keys")
        stack.prepare()
        clients = seed(stack.home, stack.environment)
        tell("Starting the service")
        if start is None:
            stack.start_service(workers=workers)
        else:
            start(stack)
        tell("Activating mailboxes")
        folder = Path(stack.environment["ZENDING_KEYS_FOLDER"])
        keys = make_keys(folder, stack.environment.get("ZENDING_LEDGER_ORIGIN", _ORIGIN)).vkeys
        made = House(stack, clients, tuple(_activated(stack)), keys)
        made.write(stack.pids())
        stack.supervisor.on_change(made.write)
        # A process that was replaced between the two lines above.
        made.write(stack.pids())
        yield made


def start_print_house(house: House) -> None:
    """Let somebody print and deliver the letters: a simulated print house in which a day takes some seconds."""
    stack = house.stack
    places = {"--folder": house.print_folder, "--told": stack.environment["ZENDING_PRINT_INCOMING"]}
    places["--home"] = stack.home / "print-house"
    options = [str(part) for pair in places.items() for part in pair]
    stack.supervisor.start(
        Program(
            name="print-house",
            command=(sys.executable, "-m", "service.cli", "print-house", "run", *options, *_PRINT_HOUSE),
            environment={"PATH": os.defpath, "PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"},
            ready=steady(1.0),
            ready_seconds=30.0,
            stop_seconds=10.0,
            folder=CHECKOUT,
        )
    )


def without_own(home: Path, given: Mapping[str, str]) -> dict[str, str]:
    """The environment without what ``source <home>/environment`` put there: addresses of this home's own servers.

    Somebody who starts the demonstration again from such a shell wants these servers started, not expected.
    """
    ours = {file.read_text("utf-8").strip() for file in _passwords(home)}
    password = unquote(urlsplit(given.get("DATABASE_URL", "")).password or "")
    if not password or password not in ours:
        return dict(given)
    try:
        lines = (home / "environment").read_text("utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    written = {line.removeprefix("export ").partition("=")[0] for line in lines}
    return {name: value for name, value in given.items() if name not in written.union(_OUTSIDE)}


def numbers(pids: Pids) -> dict[str, Any]:
    """Process numbers as ``demo.json`` has them: lists of our own, one number for each server."""
    servers = {name: pids[name][0] if name in pids else None for name in ("postgres", "valkey")}
    workers = [number for name in sorted(pids) if name.split("-")[0] == "worker" for number in pids[name]]
    return {"api": [*pids.get("api", ())], "worker": workers, "scheduler": [*pids.get("scheduler", ())], **servers}


def _passwords(home: Path) -> list[Path]:
    try:
        return list((home / "secrets").glob("*.password"))
    except PermissionError:
        return []


def _recipient(recipient: Recipient) -> dict[str, str | None]:
    return {"type": recipient.kind, "id": recipient.number, "name": recipient.name}


def _check_port(given: Mapping[str, str]) -> None:
    port = given.get("ZENDING_PORT", "")
    if port.isdecimal() and not is_free(int(port)):
        raise CannotStart(
            f"The port {port} on {HOST} is taken by another program: set ZENDING_PORT to a free one, or unset it."
        )


def _activated(stack: Stack) -> Iterator[Recipient]:
    """Activate the mailboxes that are meant to be, the way their owners do; all that are active then."""
    environment = stack.environment
    if not {"mail", "oidc"} <= stack.pids().keys():
        # With another identity provider or mail server nobody of this world can log in or read mail.
        return
    for recipient in RECIPIENTS.values():
        owner = recipient.person
        if owner is None:
            continue
        with person(stack.base_url, environment, owner.login) as calls:
            if activate(calls, owner, stack.home / "mail", wanted=recipient.activated, registered=recipient.registered):
                yield recipient


def default_home(given: Mapping[str, str] = os.environ) -> Path:
    """``ZENDING_HOME``, or ``.zending`` in the checkout; in the current folder when there is no checkout."""
    named = given.get("ZENDING_HOME")
    if named:
        return Path(named)
    return (CHECKOUT if (CHECKOUT / "zending").is_file() else Path.cwd()) / ".zending"
