"""A small world in which one process at a time does everything: servers and parties are real, its database is its own.

Programs that break things on purpose use it: what is broken is only ever their own process.
"""

import contextlib
import itertools
import os
import socket
import socketserver
import struct
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bench.running import activate
from service.bootstrap import build
from service.embedded.fictional import RECIPIENTS, TAX, people_for_provider
from service.embedded.postgres import DATABASE
from service.embedded.seeding import place_seal
from service.embedded.stack import Stack
from service.own_keys import make_keys
from service.settings import read_settings
from service.usecases import organisations
from tests.pipeline_support import fresh_database

READERS: Final = ("an", "cem")
"""Who has a mailbox here."""
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True)
class World:
    """All that a process needs to begin a life in it; holds nothing that a fork or a pickle would break.

    Attributes:
        settings: as ``read_settings`` takes them.
        owner_url: the database as its owner, as psycopg reads it.
        organisation: who hands in.
        parties: the outside parties by port.
        mail: where the mail server keeps what it took.
        printed: where the print house fetches.
    """

    settings: dict[str, Any] = field(repr=False)
    owner_url: str = field(repr=False)
    organisation: uuid.UUID
    parties: dict[int, str]
    mail: Path
    printed: Path

    def fetched(self, run: str) -> Path:
        """What the print house took away during a run."""
        return self.printed.parent / "fetched" / run

    def fetch(self, run: str) -> None:
        """Be the print house: take every package away; one that comes twice is there twice."""
        folder = self.fetched(run)
        folder.mkdir(parents=True, exist_ok=True)
        for path in self.printed.glob("*.ZIP"):
            names = itertools.chain([path.name], (f"{path.stem}-again-{number}.ZIP" for number in itertools.count(1)))
            path.rename(next(folder / name for name in names if not (folder / name).exists()))


@contextlib.contextmanager
def parties(home: Path) -> Iterator[tuple[Stack, int]]:
    """Servers and outside parties in ``home``, with a malware scanner beside them; the scanner's port comes second."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("ZENDING_")}
    with (
        Stack(home, people=people_for_provider(), return_paths=("/login/callback",), given=given) as stack,
        scanner() as port,
    ):
        stack.prepare()
        yield stack, port


@contextlib.contextmanager
def world(stack: Stack, scanner_port: int, folder: Path, *, broker: int = 0, **changes: Any) -> Iterator[World]:
    """A world with a database, keys, vault and print folder of its own in ``folder``.

    Args:
        stack: a running one.
        scanner_port: the malware scanner's port.
        folder: an empty one.
        broker: the broker's database, so that two worlds do not count each other's messages.
        changes: settings that differ.
    """
    assert stack.urls is not None
    given = stack.environment
    own = {name.removeprefix("ZENDING_").lower(): value for name, value in given.items() if name.startswith("ZENDING_")}
    for name in ("print", "store"):
        (folder / name).mkdir()
    make_keys(folder / "keys", own.get("ledger_origin", "zending.invalid/log"))
    place_seal(stack.home / "pki", folder / "keys" / "seals", TAX)
    broker_url = f"{given['REDIS_URL'].rsplit('/', 1)[0]}/{broker}"
    with fresh_database(stack.urls, DATABASE) as database:
        settings = own | {
            "home": folder,
            "keys_folder": folder / "keys",
            "database_url": database.app_url,
            "redis_url": broker_url,
            "storage_url": (folder / "store").as_uri(),
            "print_folder": folder / "print",
            "scanner_url": f"tcp://127.0.0.1:{scanner_port}",
            "quiet_hours": False,
            "checkpoint_stamp_seconds": 1,
            **changes,
        }
        yield World(
            settings=settings,
            owner_url=database.owner_url.replace("+psycopg", "", 1),
            organisation=_inhabit(settings, stack.home / "mail"),
            parties={
                scanner_port: "scanner",
                _port(broker_url): "broker",
                _port(given["ZENDING_TSA_URL"]): "authority",
                _port(given["ZENDING_SMTP_URL"]): "mail",
                _port(given["ZENDING_OIDC_ISSUER"]): "identity",
            },
            mail=stack.home / "mail",
            printed=folder / "print",
        )


def _inhabit(settings: dict[str, Any], mail: Path) -> uuid.UUID:
    application = build(read_settings(**settings))
    try:
        with application.context.database.transaction() as session:
            organisation = organisations.ensure(
                session,
                organisations.NewOrganisation(
                    slug=TAX.slug,
                    name=TAX.name,
                    kind="administration",
                    number=TAX.number,
                    seal_profile=TAX.slug,
                    return_address=TAX.return_address,
                    contact=TAX.contact,
                ),
            )
        for key in READERS:
            number = RECIPIENTS[key].number
            assert number is not None
            activate(application, mail, number)
        return organisation
    finally:
        application.close()


def _port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None, "the embedded parties say theirs"
    return port


class _Clamd(socketserver.StreamRequestHandler):
    """ClamAV's daemon as far as its driver speaks to it; everything is clean."""

    def handle(self) -> None:
        command = b""
        while not command.endswith(b"\0") and (piece := self.rfile.read(1)):
            command += piece
        if command == b"zPING\0":
            self.wfile.write(b"PONG\0")
            return
        while len(head := self.rfile.read(_LENGTH.size)) == _LENGTH.size and (size := _LENGTH.unpack(head)[0]):
            self.rfile.read(size)
        if len(head) == _LENGTH.size:
            with contextlib.suppress(OSError):
                self.wfile.write(b"stream: OK\0")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: connections that break off are what this is for."""


@contextlib.contextmanager
def scanner() -> Iterator[int]:
    """A malware scanner that finds everything clean, at a port of this machine."""
    with _Server(("127.0.0.1", 0), _Clamd) as server:
        thread = threading.Thread(target=server.serve_forever, name="scanner")
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def empty_broker(url: str) -> None:
    """Take every message that waits in the broker's database."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=5) as line:
        commands = [f"AUTH {parts.username or 'default'} {parts.password}"] if parts.password else []
        for command in (*commands, f"SELECT {parts.path.strip('/') or 0}", "FLUSHDB"):
            line.sendall(f"{command}\r\n".encode())
            if line.recv(100) != b"+OK\r\n":
                raise RuntimeError("the broker does not let itself be emptied")
