"""A small world with evidence in a closed and a present log, copied for each tampering; and who could notice it.

Whoever tampers runs software of their own: the checks by which the service itself would refuse are switched off here,
so that only those count who hold public keys, a memory of their own, or who compute everything anew.
"""

import dataclasses
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from unittest import mock

import psycopg
from cryptography import x509
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from service.cli.verify import _named
from service.db.ids import DELIVERY, parse_id, public_id
from service.db.session import psycopg_url
from service.domain.errors import ZendingError
from service.domain.evidence import EvidenceEvent
from service.domain.states import Actor
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from service.ledger import merkle, new_log, sequencer, timestamps
from service.ledger.cosigning import Asker
from service.ledger.errors import LedgerDiffers, WitnessContradicts
from service.ledger.keys import LogSigner
from service.ledger.verify import verify_evidence
from service.ledger.witness import Witness, create
from service.usecases import dossiers, evidence, ledger_check, mailbox
from service.usecases.context import Context
from service.usecases.evidence import Draft
from service.usecases.log_head import StoredHead
from service.vault.objects.address import open_store
from service.vault.objects.base import ObjectStore
from service.vault.vault import Vault
from signing.history import revision_digests
from signing.trust import load_certificates
from tests.pipeline_support import Pipeline, TestDatabase, fresh_database, wired
from tests.usecase_support import activate, deliver, with_post
from tests.witness_support import answering, known

FIRST, SECOND = "zending.invalid/log", "zending.invalid/log-2"
MORE: Final = 270
"""Leaves beyond the deliveries': more than a tile is wide."""
TABLES: Final = (
    "evidence", "document", "ledger_pending", "ledger_leaf", "ledger_tile", "ledger_head", "ledger_checkpoint",
    "ledger_cosignature", "ledger_past", "ledger_past_leaf", "ledger_past_tile", "ledger_past_checkpoint",
)  # fmt: skip


@dataclass
class World:
    """What is copied: a database, a store, a witness's folder; and what lies outside of the tamperer's reach."""

    stack: Stack
    context: Context
    store: ObjectStore
    folder: Path
    database: TestDatabase
    signer: LogSigner
    witness: Witness
    roots: Sequence[x509.Certificate]
    issuers: Sequence[x509.Certificate]
    organisation: uuid.UUID
    old: uuid.UUID
    """A delivery in the closed log."""
    digital: uuid.UUID
    paper: uuid.UUID

    @property
    def former(self) -> LogSigner:
        return LogSigner(FIRST, self.signer.ed25519, self.signer.ml_dsa_44)


@contextmanager
def world(stack: Stack, folder: Path) -> Iterator[World]:
    """Deliveries both ways, 280 leaves, four checkpoints of the present log: signed, time-stamped, cosigned."""
    assert stack.urls is not None
    with (
        fresh_database(stack.urls, DATABASE) as database,
        wired(stack, database, folder, quiet_hours=False) as application,
    ):
        pipeline = Pipeline(application, stack.home / "pki")
        with_post(pipeline)
        context, former = pipeline.context, application.log_signer
        signer = LogSigner(SECOND, former.ed25519, former.ml_dsa_44)
        witness = create(folder / "witness", "witness.example/w1")
        for each in (former, signer):
            witness.add_log(each.vkeys)
        organisation, an = pipeline.organisation("agentschap"), activate(pipeline)

        def publish(keys: LogSigner) -> None:
            head = StoredHead(application.store, keys.origin)
            sequencer.tick(context.database.session, keys, head, context.clock())
            timestamps.stamp_checkpoints(context.database.session, application.tsa, context.clock(), timedelta(0))
            cosign(context, witness)

        old = parse_id(DELIVERY, deliver(pipeline, organisation, "an"))
        publish(former)
        write_more(context, organisation, old, range(2, 6))
        publish(former)
        engine = create_engine(psycopg_url(database.owner_url), connect_args={"options": "-c timezone=UTC"})
        with Session(engine) as session, session.begin():
            new_log.open_new(session, former, StoredHead(application.store, FIRST), SECOND)
        engine.dispose()
        digital, paper = (parse_id(DELIVERY, deliver(pipeline, organisation, each)) for each in ("an", "jan"))
        mailbox.open_message(context, an, public_id(DELIVERY, digital))
        publish(signer)
        for attempts in (range(2, MORE), [MORE], [MORE + 1]):
            write_more(context, organisation, paper, attempts)
            publish(signer)
        context.database.dispose()
        issuers = x509.load_pem_x509_certificates((stack.home / "pki" / "issuing.cert.pem").read_bytes())
        roots = load_certificates(application.settings.trust_anchor)
        yield World(
            stack, context, application.store, folder, database, signer, witness, roots, issuers, organisation, old,
            digital, paper,
        )  # fmt: skip


def write_more(context: Context, organisation: uuid.UUID, delivery: uuid.UUID, attempts: Iterable[int]) -> None:
    """Further evidence of a delivery, one of each of these attempts."""
    with context.database.transaction(organisations=[organisation]) as session:
        dossier = dossiers.load(session, context, [delivery])[delivery]
        event, at = EvidenceEvent.SUBMISSION_ACCEPTANCE, context.clock()
        evidence.write(session, context, [Draft(dossier, event, at, Actor.SERVICE, attempt=each) for each in attempts])


def cosign(context: Context, witness: Witness) -> None:
    """Have the witness cosign all that it has to."""
    with (
        answering(lambda body: witness.answer(body, now=context.clock())) as url,
        closing(Asker(known(url, witness))) as asker,
    ):
        while asker.ask(context.database.session, context.clock) is not None:
            pass


@dataclass
class Scene:
    """One copy of the world, for one tampering: ``sql`` has every right, and no trigger sees what it does."""

    world: World
    store: ObjectStore
    witness: Witness
    owner: "psycopg.Connection[Any]"

    @property
    def context(self) -> Context:
        given = self.world.context
        vault = Vault(self.store, given.keyring)
        known_witness = (known("http://127.0.0.1", self.witness),)
        return dataclasses.replace(given, vault=vault, log_origin=SECOND, witnesses=known_witness)

    def head(self, origin: str = SECOND) -> StoredHead:
        return StoredHead(self.store, origin)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        cursor = self.owner.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []

    def evidence_ids(self, delivery: uuid.UUID) -> list[uuid.UUID]:
        return [row[0] for row in self.sql("SELECT id FROM evidence WHERE delivery_id = %s ORDER BY id", delivery)]


@contextmanager
def keeping(world_: World) -> Iterator["psycopg.Connection[Any]"]:
    """Keep a copy of every row that can be tampered with; a superuser's connection, which no trigger binds."""
    urls = world_.stack.urls
    assert urls is not None
    name = world_.database.owner_url.rsplit("/", 1)[1]
    superuser = urls.superuser.replace("+psycopg", "", 1).rsplit("/", 1)[0] + f"/{name}"
    with psycopg.connect(superuser, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("CREATE SCHEMA kept")
        for table in TABLES:
            owner.execute(f"CREATE TABLE kept.{table} AS TABLE public.{table}".encode())
        yield owner


@contextmanager
def scene(world_: World, owner: "psycopg.Connection[Any]", folder: Path) -> Iterator[Scene]:
    """A copy of the world: rows as they were kept, and the files of the store and of the witness."""
    for part in ("store", "witness"):
        shutil.copytree(world_.folder / part, folder / part)
    with owner.transaction():
        for table in TABLES:
            owner.execute(f"DELETE FROM public.{table}; INSERT INTO public.{table} TABLE kept.{table}".encode())
    store = open_store((folder / "store").as_uri())
    yield Scene(world_, store, Witness(folder / "witness"), owner)


# --- who could notice -------------------------------------------------------------------------------------------------


def handed_out(scene_: Scene, delivery: uuid.UUID) -> list[dict[str, object]]:
    """The evidence of a delivery as it would be handed out now; what can't be is left out: it proves nothing."""
    found = []
    world_ = scene_.world
    with (
        mock.patch.object(merkle, "verify_inclusion"),
        scene_.context.database.transaction(organisations=[world_.organisation]) as session,
    ):
        for row in evidence.listed(session, delivery):
            try:
                found.append(evidence.whole(session, scene_.context, delivery, row["id"]))
            except ZendingError:
                continue
    return found


def verifier_finds(scene_: Scene, documents: Sequence[dict[str, object]], signer: LogSigner) -> bool:
    """Whether somebody with public keys refuses one of these: the log's keys, the witness's, and an authority."""
    keys = [*signer.vkeys, *scene_.witness.vkeys]
    return any(
        check.ok is False for document in documents for check in verify_evidence(document, keys, scene_.world.issuers)
    )


def pdf_finds(scene_: Scene, delivery: uuid.UUID, documents: Sequence[dict[str, object]]) -> bool:
    """Whether the PDF that would be handed out is not the one that the evidence names, where there is any."""
    records = {Path(str(at)): document["record"] for at, document in enumerate(documents)}
    rows = scene_.sql("SELECT path, position FROM document WHERE delivery_id = %s ORDER BY position", delivery)
    for path, position in rows:
        try:
            content = scene_.context.vault.read(path, scene_.world.organisation, delivery, f"sealed-{position}")
        except ZendingError:
            continue
        if documents and not _named(revision_digests(content), records).ok:  # type: ignore[arg-type]
            return True
    return False


def witness_finds(scene_: Scene) -> bool:
    """Whether the witness refuses what the log goes on to sign, and the log can't get round it."""
    context, world_ = scene_.context, scene_.world
    with mock.patch.object(sequencer, "_refuse_fork"):
        try:
            for attempts in ([MORE + 50], range(MORE + 51, MORE + 55)):
                write_more(context, world_.organisation, world_.paper, attempts)
                sequencer.tick(context.database.session, world_.signer, _Forgetful(), context.clock())
                cosign(context, scene_.witness)
        except WitnessContradicts:
            return True
        except Exception:  # noqa: BLE001  a log that can't even go on is cosigned by nobody, which is no finding
            return False
    return False


class _Forgetful:
    """A head store of somebody who wants nothing to be remembered."""

    def read(self) -> bytes | None:
        return None

    def write(self, content: bytes, /) -> None:
        """Forget it."""


def fsck_finds(scene_: Scene) -> str | None:
    """The sentence with which ``zending ledger fsck`` names the first difference."""
    try:
        ledger_check.check(scene_.context, scene_.world.signer, scene_.head(), scene_.world.roots)
    except LedgerDiffers as error:
        return error.detail
    return None
