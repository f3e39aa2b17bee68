"""The judge of faults finds whatever is wrong: one good run, and then one thing of it changed at a time."""

import hashlib
import io
import json
import shutil
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.lives import Life
from bench.tree import ledger_faults
from bench.verdict import verdict, world_faults
from bench.wishes import Run
from bench.world import World, scanner, world
from service.bootstrap import Application
from service.embedded.stack import Stack

pytestmark = pytest.mark.faults

# What is changed in the database (as its owner, in a transaction that is taken back), and what must be said of it.
ROWS = (
    ("UPDATE delivery SET status = 'sealed' WHERE status = 'handed_over'", "is sealed by paper"),
    ("UPDATE document SET sealed = false WHERE sealed", "not sealed"),
    ("UPDATE mailbox_item SET deposited_at = NULL", "mailbox items"),
    ("UPDATE mailbox_item SET recipient_hash = sha256(recipient_hash)", "somebody else's mailbox"),
    ("UPDATE leg SET state = 'to_print' WHERE state = 'handed_over'", "leg that is to_print"),
    ("UPDATE document SET submitted_sha256 = sha256(submitted_sha256)", "is not what was handed in"),
    ("UPDATE document SET size = size + 1", "is not what its row says"),
    ("UPDATE print_batch SET state = 'uploaded'", "not handed over"),
    ("UPDATE print_batch SET sha256 = sha256(sha256)", "is not the file that was kept"),
    ("UPDATE print_letter SET sha256 = sha256(sha256)", "is not the one that was composed"),
    ("DELETE FROM delivery_event WHERE event = 'RelayToNonERDS'", "nothing in its timeline"),
    ("DELETE FROM idempotency_key WHERE key LIKE '%-paper'", "keys stand for"),
    ("UPDATE idempotency_key SET status = NULL WHERE key LIKE '%-paper'", "is claimed, and has no answer"),
    ("UPDATE quota_use SET deliveries = deliveries + 1", "quotas count"),
    ("INSERT INTO pause (id, kind, reason) VALUES (gen_random_uuid(), 'seal', 'a person')", "the table pause has rows"),
    ("UPDATE vault_object SET kept_at = NULL WHERE role = 'sealed-0'", "object that does not count"),
    ("DELETE FROM vault_object WHERE role = 'print-1'", "was never intended"),
    (
        (
            "INSERT INTO job (id, kind, organisation_id, lane, subject_id)"
            " SELECT gen_random_uuid(), 'seal', organisation_id, lane, id FROM delivery LIMIT 1"
        ),
        "a job seal is left",
    ),
    (
        (
            "INSERT INTO submission (organisation_id, id, mark, lane)"
            " SELECT organisation_id, gen_random_uuid(), mark, lane FROM submission LIMIT 1"
        ),
        "submissions without a delivery",
    ),
    (
        (
            "INSERT INTO delivery_event SELECT delivery_id, gen_random_uuid(), organisation_id, event, at, status,"
            " channel, actor, reason FROM delivery_event WHERE event = 'ContentConsignment'"
        ),
        "the timeline of",
    ),
    (
        (
            "INSERT INTO evidence SELECT delivery_id, gen_random_uuid(), organisation_id, leg, event, attempt + 1, at,"
            " record, salt, leaf_hash FROM evidence WHERE event = 'RelayToNonERDS'"
        ),
        "has the evidence",
    ),
    (
        (
            "INSERT INTO vault_object SELECT subject_id, path || '0', organisation_id, role, sha256, size, intended_at,"
            " kept_at FROM vault_object WHERE role = 'sealed-0'"
        ),
        "objects count as sealed-0",
    ),
    (
        (
            "WITH new AS (UPDATE evidence SET leaf_hash = sha256(leaf_hash) RETURNING id, leaf_hash)"
            " UPDATE ledger_leaf l SET leaf_hash = new.leaf_hash FROM new WHERE l.evidence_id = new.id"
        ),
        "is not the hash of its record",
    ),
    ("UPDATE ledger_leaf SET leaf_hash = sha256(leaf_hash) WHERE index = 1", "another hash"),
    ("UPDATE ledger_head SET signed_size = signed_size - 1", "signed: False"),
)
LOG = (
    ("UPDATE ledger_leaf SET leaf_hash = sha256(leaf_hash) WHERE index = 1", "a leaf is not its evidence's hash"),
    ("DELETE FROM ledger_leaf WHERE index = 1", "without gaps"),
    ("UPDATE ledger_head SET root = sha256(root)", "the ledger's head"),
    ("UPDATE ledger_tile SET hashes = sha256('') || substr(hashes, 33)", "tiles of the ledger"),
    (
        "UPDATE ledger_checkpoint SET root = sha256(root) WHERE size = (SELECT min(size) FROM ledger_checkpoint)",
        "is not a beginning of the log",
    ),
    ("DELETE FROM ledger_checkpoint WHERE size = (SELECT max(size) FROM ledger_checkpoint)", "newest signed head"),
    (
        "INSERT INTO ledger_pending (evidence_id, leaf_hash) SELECT gen_random_uuid(), leaf_hash FROM ledger_leaf",
        "wait for their place",
    ),
)
PROTECTED = ("ledger_leaf", "ledger_tile", "ledger_head", "ledger_checkpoint")


@dataclass(frozen=True)
class Good:
    """A run that ended well, its world, and those who can look into it."""

    place: World
    known: Run
    application: Application
    connection: "psycopg.Connection[Any]"

    def faults(self) -> list[str]:
        return verdict(self.place, self.known, self.connection, self.application).faults

    @contextmanager
    def changed(self, statement: str) -> Iterator[None]:
        try:
            for table in PROTECTED:
                self.connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            assert self.connection.execute(statement).rowcount > 0, "nothing was changed"
            yield
        finally:
            self.connection.rollback()

    def package(self) -> Path:
        return min(self.place.fetched(self.known.name).iterdir())

    def notice(self) -> Path:
        began = self.known.began
        return next(path for path in self.place.mail.glob("*.eml") if path.stat().st_mtime > began)

    def object(self, role: str) -> Path:
        return next(path for path in (self.place.printed.parent / "store").rglob(f"{role}~*"))


@pytest.fixture(scope="module")
def good(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Good]:
    with scanner() as port, world(stack, port, tmp_path_factory.mktemp("judged"), broker=14) as place:
        known = Run("judged")
        life = Life(place, known, None, 0.0, lambda **line: known.take(line))
        life.live()
        with closing(psycopg.connect(place.owner_url)) as connection:
            yield Good(place, known, life._application, connection)
        life.close()


def test_a_good_run_and_its_world_are_good(good: Good) -> None:
    assert good.faults() == []
    assert [*world_faults(good.place)] == []


@pytest.mark.parametrize(("statement", "says"), ROWS, ids=[says for _, says in ROWS])
def test_a_row_that_is_wrong_is_found(good: Good, statement: str, says: str) -> None:
    with good.changed(statement):
        assert says in "; ".join(good.faults())


@pytest.mark.parametrize(("statement", "says"), LOG, ids=[says for _, says in LOG])
def test_a_log_that_is_wrong_is_found(good: Good, statement: str, says: str) -> None:
    with good.changed(statement):
        assert says in "; ".join(ledger_faults(good.connection))


@contextmanager
def without(path: Path) -> Iterator[None]:
    aside = path.with_name("aside")
    shutil.move(path, aside)
    try:
        yield
    finally:
        shutil.move(aside, path)


@contextmanager
def beside(path: Path, content: bytes) -> Iterator[None]:
    path.write_bytes(content)
    try:
        yield
    finally:
        path.unlink()


@contextmanager
def instead(path: Path, content: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def package_again(good: Good) -> AbstractContextManager[None]:
    return beside(good.package().with_name("AGAIN.ZIP"), good.package().read_bytes())


def package_left(good: Good) -> AbstractContextManager[None]:
    return beside(good.place.printed / "LEFT.TMP", b"a half")


@contextmanager
def letters_swapped(good: Good) -> Iterator[None]:
    """Two letters of a batch under each other's names, in a package that everybody believes to be the one."""
    path = good.package()
    with zipfile.ZipFile(path) as package:
        files = {name: package.read(name) for name in package.namelist()}
    manifest = json.loads(files["manifest.json"])
    one, other = manifest["letters"]
    one["id"], other["id"] = other["id"], one["id"]
    files["manifest.json"] = json.dumps(manifest).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as package:
        for name, content in files.items():
            package.writestr(name, content)
    digest = hashlib.sha256(made.getvalue()).digest()
    with good.changed("UPDATE print_batch SET path = path"), instead(path, made.getvalue()):
        good.connection.execute("UPDATE print_batch SET sha256 = %s WHERE file_name = %s", [digest, path.name])
        yield


def notice_again(good: Good) -> AbstractContextManager[None]:
    return beside(good.place.mail / "99990101T000000.000000Z-again.eml", good.notice().read_bytes())


def notice_about_a_letter(good: Good) -> AbstractContextManager[None]:
    paper = uuid.UUID(good.known.acknowledged["paper"].removeprefix("dlv_"))
    message = hashlib.sha256(f"{paper}/1/arrived".encode()).hexdigest()[:40]
    content = f"Message-ID: <{message}@zending.test>\r\n\r\nPost\r\n".encode()
    return beside(good.place.mail / "99990101T000000.000000Z-wrong.eml", content)


FOLDERS: tuple[tuple[str, Callable[[Good], AbstractContextManager[None]]], ...] = (
    ("printed letters: 2 more than once", package_again),
    ("printed letters: 2 missing", lambda good: without(good.package())),
    ("LEFT.TMP lies in the print folder", package_left),
    ("goes to somebody else", letters_swapped),
    ("are not its own", letters_swapped),
    ("was never told of", lambda good: without(good.notice())),
    ("1 notices were sent again", notice_again),
    ("was told of", notice_about_a_letter),
    ("is not in the store", lambda good: without(good.object("sealed-0"))),
    ("is not what its name says", lambda good: instead(good.object("sealed-0"), b"another")),
)


@pytest.mark.parametrize(("says", "change"), FOLDERS, ids=[says for says, _ in FOLDERS])
def test_what_went_out_or_is_stored_and_is_wrong_is_found(
    good: Good, says: str, change: Callable[[Good], AbstractContextManager[None]]
) -> None:
    with change(good):
        assert says in "; ".join(good.faults())


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("got", "00" * 32, "its recipient read something else"),
        ("read", False, "somebody still has no answer"),
        ("refused", ["not_found: There is nothing by this id."], "somebody was told"),
    ],
)
def test_what_somebody_was_told_wrongly_is_found(
    good: Good, monkeypatch: pytest.MonkeyPatch, field: str, value: object, says: str
) -> None:
    monkeypatch.setattr(good.known, field, value)
    assert says in "; ".join(good.faults())


def test_a_delivery_that_nobody_was_told_of_or_that_is_gone_is_found(
    good: Good, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = good.known.acknowledged
    monkeypatch.setattr(good.known, "acknowledged", {**known, "paper": f"dlv_{'f' * 32}"})
    said = "; ".join(good.faults())
    assert f"dlv_{'f' * 32} is lost" in said
    assert f"{known['paper']} is there, but was never acknowledged" in said


def test_an_object_that_no_row_knows_is_found_at_the_worlds_end(good: Good) -> None:
    path = f"{uuid.uuid4()}/sealed-0/{'0' * 64}"
    good.application.store.put_new(path, b"left behind")
    assert "1 objects too many" in "; ".join(world_faults(good.place))
    good.application.store.delete_many([path])


def test_a_receipt_that_is_missing_is_found_at_the_worlds_end(good: Good) -> None:
    for folder, says in (("batch", "receipts of batches"), ("notices", "receipts of notices")):
        receipt = next(
            found.path for found in good.application.store.listing("receipts") if f"/{folder}/" in found.path
        )
        content = good.application.store.get(receipt, limit=1 << 20)
        good.application.store.delete_many([receipt])
        assert says in "; ".join(world_faults(good.place))
        good.application.store.put_new(receipt, content)
