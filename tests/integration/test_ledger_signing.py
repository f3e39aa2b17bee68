"""Heads that are signed on a real PostgreSQL: nothing forked, whatever crashes, is restored or is changed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, text, update
from sqlalchemy.exc import DBAPIError

from service.db import ledger as table
from service.ledger import checkpoint, notes, sequencer
from service.ledger.errors import LedgerForked, LedgerNotOpened
from service.ledger.head_store import FileHeadStore
from tests.ledger_support import NOW, ORIGIN, leaves, signer
from tests.ledger_tables_support import Sessions, fresh_tables, overwrite, put, server, tick


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with server() as made:
        yield made


@pytest.fixture
def sessions(engine: Engine) -> Iterator[Sessions]:
    with fresh_tables(engine) as made:
        yield made


@pytest.fixture
def store(tmp_path: Path) -> FileHeadStore:
    return FileHeadStore(tmp_path / "head")


def test_a_second_publisher_signs_nothing(sessions: Sessions, store: FileHeadStore) -> None:
    tick(sessions, store)
    put(sessions, leaves(1))
    with sessions() as other:
        assert table.try_lock(other, table.PUBLISHER_LOCK)
        assert tick(sessions, store).checkpoint is None
    assert sequencer.publish(sessions, signer(), store, NOW) is not None


class CrashError(Exception):
    """The process dies here."""


def test_a_crash_before_the_head_store_signs_again(
    sessions: Sessions, store: FileHeadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick(sessions, store)
    put(sessions, leaves(2))

    def crash(_: bytes) -> None:
        raise CrashError

    with monkeypatch.context() as patched:
        patched.setattr(store, "write", crash)
        with pytest.raises(CrashError):
            tick(sessions, store)
    found = tick(sessions, store).checkpoint
    assert found is not None
    assert found.size == 2


def test_a_crash_after_the_head_store_publishes_the_note_that_was_signed(
    sessions: Sessions, store: FileHeadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick(sessions, store)
    put(sessions, leaves(2))

    def crash(*_: object, **__: object) -> None:
        raise CrashError

    with monkeypatch.context() as patched:
        patched.setattr(table, "add_checkpoint", crash)
        with pytest.raises(CrashError):
            tick(sessions, store)
    signed = store.read()
    put(sessions, leaves(1, of="later"))
    found = sequencer.tick(sessions, signer(), store, NOW + timedelta(hours=1)).checkpoint
    assert found is not None
    assert found.size == 2
    with sessions() as session:
        newest = table.newest_checkpoint(session)
    assert newest is not None
    # Published as it was signed, and as of when.
    assert (newest.note.encode(), newest.at) == (signed, NOW)
    later = tick(sessions, store).checkpoint
    assert later is not None
    assert later.size == 3


def test_a_database_restored_behind_the_signed_head_refuses_to_sign(sessions: Sessions, store: FileHeadStore) -> None:
    put(sessions, leaves(2))
    tick(sessions, store)
    backup = store.read()
    assert backup is not None
    other = FileHeadStore(store.path.with_name("other"))
    put(sessions, leaves(1, of="lost"))
    other.write(backup)
    ahead = sequencer.tick(sessions, signer(), store, NOW).checkpoint
    assert ahead is not None
    # Restore: the third leaf and its checkpoint never happened, the store remembers them.
    overwrite(
        sessions,
        delete(table.LedgerLeaf).where(table.LedgerLeaf.index == 2),
        delete(table.LedgerCheckpoint).where(table.LedgerCheckpoint.size == 3),
        update(table.LedgerHead).values(size=2, root=checkpoint_root(backup), signed_size=2),
        update(table.LedgerTile).values(width=2, hashes=text("substring(hashes for 64)")),
    )
    put(sessions, leaves(4, of="after"))
    with pytest.raises(LedgerForked, match="restored") as forked:
        tick(sessions, store)
    assert forked.value.why == "restored_behind"
    with sessions() as session:
        assert table.has_pending(session)
    # Even grown past the old size, the other history is refused.
    with sessions.begin() as session:
        assert sequencer.sequence(session) == 4
    with pytest.raises(LedgerForked, match="does not continue") as grown:
        sequencer.publish(sessions, signer(), store, NOW)
    assert grown.value.why == "inconsistent"
    assert store.read() == ahead_note(store)


def checkpoint_root(note: bytes) -> bytes:
    return checkpoint.parse(notes.split(note.decode())[0]).root


def ahead_note(store: FileHeadStore) -> bytes:
    content = store.read()
    assert content is not None
    assert checkpoint.parse(notes.split(content.decode())[0]).size == 3
    return content


def test_an_empty_database_beside_an_old_head_refuses_to_sign(sessions: Sessions, store: FileHeadStore) -> None:
    store.write(signer().sign(checkpoint.Checkpoint(ORIGIN, 5, leaves(1)[0]), at=NOW).encode())
    with pytest.raises(LedgerForked, match="restored"):
        tick(sessions, store)


def test_a_lost_head_store_stops_the_log_until_an_operator_adopts(sessions: Sessions, store: FileHeadStore) -> None:
    assert sequencer.adopt(sessions, signer(), store) is None
    put(sessions, leaves(2))
    tick(sessions, store)
    store.path.unlink()
    with pytest.raises(LedgerForked) as forked:
        tick(sessions, store)
    assert forked.value.why == "head_missing"
    adopted = sequencer.adopt(sessions, signer(), store)
    assert adopted is not None
    assert adopted.size == 2
    assert sequencer.adopt(sessions, signer(), store) is None
    assert tick(sessions, store) == sequencer.Tick(0, None)


@pytest.mark.parametrize("content", [b"", b"\xff", b"no note", b"a\n\n\xe2\x80\x94 b AAAAAAA=\n"])
def test_a_foreign_head_stops_the_log(sessions: Sessions, store: FileHeadStore, content: bytes) -> None:
    store.write(content)
    with pytest.raises(LedgerForked) as forked:
        tick(sessions, store)
    assert forked.value.why == "foreign_head"


def test_changed_tiles_and_heads_are_not_signed(sessions: Sessions, store: FileHeadStore) -> None:
    put(sessions, leaves(5))
    tick(sessions, store)
    put(sessions, leaves(5, of="more"))
    with sessions.begin() as session:
        sequencer.sequence(session)
    overwrite(sessions, update(table.LedgerHead).values(root=leaves(1)[0]))
    with pytest.raises(LedgerForked, match="does not continue"):
        sequencer.publish(sessions, signer(), store, NOW)


def test_the_log_of_another_origin_is_refused(sessions: Sessions, store: FileHeadStore) -> None:
    tick(sessions, store)
    with pytest.raises(LedgerNotOpened) as other:
        sequencer.tick(sessions, signer("another.example/log"), store, NOW)
    assert other.value.why == "other_log"


def test_a_log_that_is_not_opened_says_so(sessions: Sessions, store: FileHeadStore) -> None:
    with sessions() as session, pytest.raises(LedgerNotOpened):
        sequencer.sequence(session)
    with pytest.raises(LedgerNotOpened):
        sequencer.publish(sessions, signer(), store, NOW)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_leaf SET leaf_hash = decode(repeat('00', 32), 'hex')",
        "DELETE FROM ledger_leaf",
        "DELETE FROM ledger_tile",
        "UPDATE ledger_tile SET hashes = decode(repeat('00', width * 32), 'hex')",
        "UPDATE ledger_tile SET number = number + 1",
        "DELETE FROM ledger_head",
        "UPDATE ledger_head SET size = size - 1, signed_size = 0",
        "UPDATE ledger_head SET root = decode(repeat('00', 32), 'hex')",
        "UPDATE ledger_head SET log_origin = 'other'",
        "DELETE FROM ledger_checkpoint",
        "UPDATE ledger_checkpoint SET note = 'other'",
    ],
)
def test_the_tables_only_grow(sessions: Sessions, store: FileHeadStore, statement: str) -> None:
    put(sessions, leaves(3))
    tick(sessions, store)
    with sessions() as session, pytest.raises(DBAPIError, match="ledger"):
        session.execute(text(statement))
