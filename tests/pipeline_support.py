"""The application in the test's own process, on a real database, with real keys, time-stamps and mail."""

import dataclasses
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from service.bootstrap import Application, build
from service.db.jobs import JobKind, Lane
from service.db.session import Database
from service.embedded.fictional import Organisation
from service.embedded.postgres import APPLICATION, OWNER, Urls
from service.embedded.seeding import place_seal
from service.embedded.stack import Stack
from service.engine.steps import Step, run_chunk
from service.ledger import sequencer
from service.ledger.timestamps import stamp_checkpoints
from service.own_keys import make_keys
from service.settings import read_settings
from service.usecases import organisations, print_runs
from service.usecases.admission import Sender, Upload
from service.usecases.context import Context
from service.usecases.hand_in import HandedIn, hand_in
from service.usecases.log_head import StoredHead
from service.usecases.steps import all_steps
from tests import kept_helpers_support as kept_helpers
from tests.service_support import DOCUMENTS, delivery_for


@dataclass(frozen=True)
class TestDatabase:
    """A migrated database of its own, empty but for what migrations put there."""

    __test__ = False

    owner_url: str = field(repr=False)
    app_url: str = field(repr=False)
    database: Database


def make_copying_cheap(urls: Urls, template: str) -> None:
    """Leave the template only the months around now, and nothing of the others: a copy costs what it holds."""
    address = f"{urls.superuser.replace('+psycopg', '', 1).rpartition('/')[0]}/{template}"
    with psycopg.connect(address) as connection:
        names = connection.execute(
            "SELECT i.inhparent::regclass::text, c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE c.relkind = 'r' AND c.relname ~ '_[0-9]{6}$'"
            " AND right(c.relname, 6) > to_char(now() + interval '2 months', 'YYYYMM')"
            # What refers to others goes first.
            " ORDER BY (SELECT count(*) FROM pg_constraint k WHERE k.confrelid = i.inhparent), c.relname"
        ).fetchall()
        for parent, name in names:
            # Dropped while attached, it would take the tables' foreign keys along.
            for command in ("ALTER TABLE {parent} DETACH PARTITION {name}", "DROP TABLE {name}"):
                connection.execute(
                    sql.SQL(command).format(parent=sql.Identifier(str(parent)), name=sql.Identifier(str(name)))
                )
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM FULL")


@contextmanager
def fresh_database(urls: Urls, template: str) -> Iterator[TestDatabase]:
    """A copy of a migrated database, gone after the block."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    with _superuser(urls) as connection:
        parts = (sql.Identifier(name), sql.Identifier(template), sql.Identifier(OWNER))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY").format(*parts))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        connection.execute(grant.format(sql.Identifier(name), sql.Identifier(APPLICATION)))
    owner, app = (url.rsplit("/", 1)[0] + f"/{name}" for url in (urls.owner, urls.app))
    database = Database(app)
    try:
        yield TestDatabase(owner, app, database)
    finally:
        database.dispose()
        with _superuser(urls) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _superuser(urls: Urls) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(urls.superuser.replace("+psycopg", "", 1), autocommit=True)


@contextmanager
def wired(stack: Stack, database: TestDatabase, folder: Path, **changes: Any) -> Iterator[Application]:
    """The application over this database, with keys, vault and print folder of its own; ``changes`` are settings."""
    given = {
        name.removeprefix("ZENDING_").lower(): value
        for name, value in stack.environment.items()
        if name.startswith("ZENDING_") or name == "REDIS_URL"
    }
    keys = folder / "keys"
    make_keys(keys, given.get("ledger_origin", "zending.invalid/log"))
    for name in ("print", "store", "returned-mail"):
        (folder / name).mkdir()
    own = {
        "home": folder,
        "keys_folder": keys,
        "database_url": database.app_url,
        "storage_url": (folder / "store").as_uri(),
        "print_folder": folder / "print",
        "bounce_maildir": folder / "returned-mail",
    }
    application = build(read_settings(**(given | own | changes)))
    try:
        yield kept_helpers.instead_of_own(application)
    finally:
        application.close()


@dataclass
class Pipeline:
    """Does in this process, when it is told to, what workers and scheduler do by themselves."""

    application: Application
    pki: Path
    woken: list[JobKind] = field(default_factory=list)
    skew: timedelta = timedelta()

    def __post_init__(self) -> None:
        clock = self.application.context.clock
        self.context = dataclasses.replace(
            self.application.context, wake=self.woken.extend, clock=lambda: clock() + self.skew
        )

    context: Context = field(init=False)

    @property
    def now(self) -> datetime:
        return self.context.clock()

    def organisation(self, slug: str | None = None) -> uuid.UUID:
        """A new organisation that can seal."""
        slug = slug or f"org-{uuid.uuid4().hex[:8]}"
        known = Organisation(slug, f"Organisation {slug}", "OVO999999", ("Straat 1", "1000 Brussel"), "x@test.test")
        place_seal(self.pki, self.application.settings.keys_folder / "seals", known)
        with self.context.database.transaction() as session:
            return organisations.ensure(
                session,
                organisations.NewOrganisation(
                    slug=slug,
                    name=known.name,
                    kind="administration",
                    number=known.number,
                    seal_profile=slug,
                    return_address=known.return_address,
                    contact=known.contact,
                ),
            )

    def hand_in(
        self,
        organisation: uuid.UUID,
        recipient: str = "jan",
        *,
        key: str | None = None,
        uploads: Sequence[Upload] = (),
        **fields: Any,
    ) -> HandedIn:
        """Hand in a small letter for one of the fictional recipients."""
        pdf = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()
        return hand_in(
            self.context,
            Sender(organisation, Lane.INTERACTIVE),
            json.dumps(delivery_for(recipient, **fields)).encode(),
            uploads or [Upload("document", "brief.pdf", pdf)],
            key=key or uuid.uuid4().hex,
        )

    def work(self, *kinds: JobKind) -> None:
        """Do everything that is due, of these kinds or of all, until nothing is left."""
        steps = all_steps(self.context)
        chosen = [steps[kind] for kind in kinds or steps]
        while any([self._chunk(step) for step in chosen]):  # noqa: C419  every kind gets its turn
            pass

    def close_batches(self) -> int:
        """Freeze what waits for print."""
        return print_runs.close(self.context, actor="cli")

    def sequence(self) -> None:
        """Put new evidence into the ledger, sign a checkpoint and have it time-stamped."""
        head = StoredHead(self.application.store, self.application.settings.ledger_origin)
        sessions = self.context.database.session
        sequencer.tick(sessions, self.application.log_signer, head, self.now, limit=1000)
        stamp_checkpoints(sessions, self.application.tsa, self.now, timedelta(0))

    def _chunk(self, step: Step[Any, Any]) -> int:
        database = self.context.database
        done = run_chunk(database, step, lease_seconds=60)
        return done + run_chunk(database, step, lease_seconds=60, alone=True)
