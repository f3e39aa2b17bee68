"""The restore drill: the database goes back to T, while store, print house and signed head stand at T + something."""

import hashlib
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session

from service.cli import backup_archive as archive
from service.cli import backup_database, backup_keys
from service.db import ledger as ledger_rows
from service.db import ledger_past
from service.db.ids import DELIVERY, parse_id
from service.db.session import psycopg_url
from service.domain.errors import Conflict, NotFound, Retryable
from service.ledger import new_log, sequencer
from service.ledger.errors import LedgerForked, LedgerStopped
from service.ledger.keys import LogSigner
from service.ledger.verify import verify_evidence
from service.usecases import deliveries, evidence, recovery
from service.usecases.log_head import StoredHead
from service.usecases.receipts import Receipts
from service.vault.errors import VaultIntegrityError
from service.vault.keyring.base import IndexKeys
from tests.pipeline_support import Pipeline, TestDatabase
from tests.printing_support import printed_in
from tests.usecase_support import Post, activate, change, status, with_post

Sender = Callable[..., uuid.UUID]
ADDRESS = {"name": "Jan Claes", "street": "Dorp", "number": "1", "postcode": "9000", "municipality": "Ergens"}


def letter(pipeline: Pipeline, sender: uuid.UUID) -> str:
    return pipeline.hand_in(sender, "jan", postal_address=ADDRESS).delivery_id


def printed(pipeline: Pipeline) -> list[str]:
    return printed_in(pipeline.application.settings.print_folder)


def bring(pipeline: Pipeline) -> None:
    """What workers and scheduler do: all steps, the cut-off, the hand-over, the ledger."""
    pipeline.work()
    pipeline.close_batches()
    pipeline.work()
    pipeline.sequence()


def documents(pipeline: Pipeline, sender: uuid.UUID, delivery: str) -> dict[str, dict[str, object]]:
    """Every evidence of a delivery, by its event."""
    found = parse_id(DELIVERY, delivery)
    with pipeline.context.database.transaction(organisations=[sender]) as session:
        listed = evidence.listed(session, found)
        return {each["event"]: evidence.whole(session, pipeline.context, found, each["id"]) for each in listed}


def holds(document: dict[str, object], signer: LogSigner) -> bool:
    return all(check.ok is not False for check in verify_evidence(document, signer.vkeys))


def assert_binds_its_batch(pipeline: Pipeline, relayed: dict[str, Any]) -> None:
    letter = relayed["record"]["letter"]
    assert letter["print_sha256"] is None, "which copy was printed is not known any more"
    files = pipeline.application.settings.print_folder.glob("*.ZIP")
    assert letter["batch_sha256"] in {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


class Drill:
    """A database at T, five deliveries on both sides of T, and everything else as it is after T."""

    def __init__(self, pipeline: Pipeline, sender: uuid.UUID, database: TestDatabase, folder: Path) -> None:
        self.pipeline, self.sender, self.database, self.folder = pipeline, sender, database, folder
        self.post: Post = with_post(pipeline)
        activate(pipeline, "an")
        self.before = letter(pipeline, sender)
        pipeline.hand_in(sender, "an")
        bring(pipeline)
        # At T one letter waits for its batch, one is not composed, and one message is not deposited.
        self.waiting = letter(pipeline, sender)
        pipeline.work()
        self.raw = letter(pipeline, sender)
        self.message = pipeline.hand_in(sender, "an").delivery_id
        backup_database.dump(database.owner_url, folder / "database.dump")
        # Five more minutes of work, whose database is lost.
        self.lost = letter(pipeline, sender)
        bring(pipeline)
        self.lost_unprinted = letter(pipeline, sender)
        self.sent = len(self.post.sent)
        self.printed = printed(pipeline)

    def restore(self) -> None:
        self.pipeline.context.database.dispose()
        backup_database.restore(self.database.owner_url, self.folder / "database.dump")

    def open_new_log(self, origin: str) -> new_log.NewLog:
        """What ``zending ledger open-new-log`` does, and then every process is started with the new name."""
        application = self.pipeline.application
        head = StoredHead(application.store, application.log_signer.origin)
        engine = create_engine(psycopg_url(self.database.owner_url))
        try:
            with Session(engine) as session, session.begin():
                opened = new_log.open_new(session, application.log_signer, head, origin)
        finally:
            engine.dispose()
        change(self.pipeline, log_origin=origin, signed_size=StoredHead(application.store, origin).signed_size)
        return opened

    def sequence(self, origin: str) -> LogSigner:
        application = self.pipeline.application
        signer = LogSigner(origin, application.log_signer.ed25519, application.log_signer.ml_dsa_44)
        head = StoredHead(application.store, origin)
        sequencer.tick(self.pipeline.context.database.session, signer, head, self.pipeline.now)
        return signer


@pytest.fixture
def drill(pipeline: Pipeline, organisation: Sender, database: TestDatabase, tmp_path: Path) -> Drill:
    folder = tmp_path / "backup"
    folder.mkdir()
    return Drill(pipeline, organisation(), database, folder)


def test_after_a_restore_nothing_goes_out_twice_the_log_does_not_fork_and_the_difference_is_told(drill: Drill) -> None:
    pipeline, sender = drill.pipeline, drill.sender
    assert drill.printed == sorted([drill.before, drill.waiting, drill.raw, drill.lost])
    signed = pipeline.context.signed_size()
    drill.restore()
    # Nobody has said that this is a restored database: the service finds out, and lets nothing out.
    with pytest.raises(Retryable, match="restored"):
        pipeline.close_batches()
    pipeline.work()
    with pytest.raises(LedgerForked):
        pipeline.sequence()
    assert (printed(pipeline), len(drill.post.sent)) == (drill.printed, drill.sent)

    told = recovery.report(pipeline.context)
    assert told.since is not None
    assert told.ledger_behind
    assert told.signed == signed
    assert {(each.id, each.printed) for each in told.deliveries} == {(drill.lost, True), (drill.lost_unprinted, False)}
    assert len(told.batches) == 1
    assert (told.letters, told.notices) == (2, 1)

    with pytest.raises(Conflict, match="new log"):
        recovery.confirm(pipeline.context, actor="test")
    old = pipeline.application.log_signer
    proved = documents(pipeline, sender, drill.before)
    opened = drill.open_new_log("zending.invalid/log-2")
    recovery.confirm(pipeline.context, actor="test")
    signer = drill.sequence("zending.invalid/log-2")

    pipeline.work()
    pipeline.close_batches()
    pipeline.work()
    drill.sequence("zending.invalid/log-2")
    assert (printed(pipeline), len(drill.post.sent)) == (drill.printed, drill.sent), "what went out, went out once"
    for delivery in (drill.waiting, drill.raw):
        assert status(pipeline, sender, delivery) == "handed_over"
        relayed = documents(pipeline, sender, delivery)["RelayToNonERDS"]
        assert holds(relayed, signer)
        assert_binds_its_batch(pipeline, relayed)
    assert "ConsignmentNotification" in documents(pipeline, sender, drill.message)
    # What was evidenced before is proved by the old log, and the new one states which head it follows.
    again = documents(pipeline, sender, drill.before)
    assert again == proved
    assert all(holds(each, old) for each in again.values())
    with pipeline.context.database.transaction() as session:
        first = session.scalar(select(ledger_rows.LedgerLeaf.leaf_hash).where(ledger_rows.LedgerLeaf.index == 0))
        (past,) = ledger_past.logs(session)
    assert first is not None
    assert new_log.check_link(opened.link, first, past.last_note, old.verifiers)
    assert not new_log.check_link(opened.link.replace(b"log-2", b"log-3"), first, past.last_note, old.verifiers)

    # Letters of today go out, under numbers that were never used; a hand-in that was lost may come again.
    fresh = letter(pipeline, sender)
    pipeline.work()
    pipeline.close_batches()
    pipeline.work()
    assert printed(pipeline) == sorted([*drill.printed, fresh])


def test_a_log_is_never_opened_twice_under_a_name_and_needs_its_head(drill: Drill) -> None:
    drill.restore()
    with pytest.raises(LedgerStopped, match="another"):
        drill.open_new_log(drill.pipeline.application.log_signer.origin)
    drill.open_new_log("zending.invalid/log-2")
    with pytest.raises(LedgerStopped):
        drill.open_new_log("zending.invalid/log-3")


def test_a_recovery_is_begun_once_and_confirmed_once(pipeline: Pipeline) -> None:
    assert recovery.begin(pipeline.context, reason="test", actor="test")
    assert not recovery.begin(pipeline.context, reason="test", actor="test")
    with pytest.raises(Retryable):
        recovery.guard(pipeline.context)
    recovery.confirm(pipeline.context, actor="test")
    recovery.guard(pipeline.context)
    with pytest.raises(NotFound):
        recovery.confirm(pipeline.context, actor="test")
    with pipeline.context.database.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM pause")) == 0


def test_a_receipt_that_was_altered_is_not_believed(pipeline: Pipeline, tmp_path: Path) -> None:
    store = pipeline.application.store
    receipts = Receipts(store, IndexKeys(b"k" * 32))
    receipts.noticed([(uuid.uuid4(), 1)], now=pipeline.now)
    assert len(list(receipts.notices())) == 1
    with pytest.raises(VaultIntegrityError):
        list(Receipts(store, IndexKeys(b"x" * 32)).notices())


@pytest.fixture
def saved(pipeline: Pipeline, organisation: Sender, database: TestDatabase, tmp_path: Path) -> Path:
    pipeline.hand_in(organisation())
    folder = tmp_path / "saved"
    folder.mkdir()
    backup_database.dump(database.owner_url, folder / archive.DATABASE)
    count = archive.copy_objects(pipeline.application.store, folder)
    archive.seal(folder, taken_at="2026-11-24T00:00:00+00:00", release="0007", objects=count)
    assert archive.verify(folder).objects == count > 0
    return folder


def test_a_backup_that_was_cut_short_or_altered_is_refused(saved: Path) -> None:
    digest = hashlib.sha256((saved / archive.MANIFEST).read_bytes()).hexdigest()
    some = next(path for path in (saved / archive.OBJECTS).rglob("*") if path.is_file())
    for file in (saved / archive.DATABASE, saved / archive.LISTING, some):
        whole = file.read_bytes()
        for broken in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), None):
            if broken is None:
                file.unlink()
            else:
                file.write_bytes(broken)
            with pytest.raises(archive.BackupRefused, match=r"cut off|altered|missing"):
                archive.verify(saved)
            file.write_bytes(whole)
    content = json.loads((saved / archive.MANIFEST).read_text())
    (saved / archive.MANIFEST).write_text(json.dumps(content | {"taken_at": "2020-01-01T00:00:00+00:00"}))
    with pytest.raises(archive.BackupRefused, match="digest"):
        archive.verify(saved, digest=digest)
    (saved / archive.MANIFEST).unlink()
    with pytest.raises(archive.BackupRefused, match="no manifest"):
        archive.verify(saved)


def test_keys_come_back_from_their_own_backup_and_destroyed_ones_stay_dead(
    pipeline: Pipeline, organisation: Sender, tmp_path: Path
) -> None:
    sender = organisation()
    delivery = pipeline.hand_in(sender).delivery_id
    keys, target, secret = pipeline.application.settings.keys_folder, tmp_path / "medium", b"a long passphrase"
    target.mkdir()
    backup_keys.save(keys, target, secret)
    assert b"material" not in (target / backup_keys.FILE).read_bytes()
    with pytest.raises(archive.BackupRefused):
        backup_keys.put_back(target, keys, b"another passphrase")
    key = next(facts for facts in pipeline.context.keyring.listing() if facts.organisation == sender)
    (keys / "keyring" / f"{key.id}.key").unlink()
    assert backup_keys.put_back(target, keys, secret) == 1
    assert deliveries.get(pipeline.context, sender, delivery).id == delivery
    pipeline.context.keyring.destroy(key.id)
    assert backup_keys.put_back(target, keys, secret) == 0
    assert not (keys / "keyring" / f"{key.id}.key").exists()
