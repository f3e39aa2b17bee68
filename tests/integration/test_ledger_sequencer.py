"""The sequencer on a real PostgreSQL: nothing skipped, nothing twice."""

import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from service.db import ledger as table
from service.ledger import checkpoint, evidence_proof, merkle, notes, sequencer
from service.ledger.errors import LedgerRaced
from service.ledger.head_store import FileHeadStore
from tests.ledger_support import ORIGIN, leaves, signer
from tests.ledger_tables_support import Sessions, fresh_tables, log, put, server, tick


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


def test_leaves_are_in_a_signed_checkpoint_after_one_round(sessions: Sessions, store: FileHeadStore) -> None:
    empty = tick(sessions, store)
    assert empty.sequenced == 0
    assert empty.checkpoint == checkpoint.Checkpoint(ORIGIN, 0, merkle.EMPTY_ROOT)
    put(sessions, leaves(3))
    done = tick(sessions, store)
    assert done.sequenced == 3
    assert done.checkpoint is not None
    assert (done.checkpoint.size, done.checkpoint.root) == (3, merkle.tree_hash(log(sessions)))
    assert sorted(log(sessions)) == sorted(leaves(3))
    with sessions() as session:
        note = evidence_proof.newest_note(session)
    assert note is not None
    assert store.read() == note.encode()
    assert checkpoint.parse(notes.open_note(note, signer().verifiers).text) == done.checkpoint
    assert tick(sessions, store) == sequencer.Tick(0, None)


def test_the_log_grows_over_tile_borders(sessions: Sessions, store: FileHeadStore) -> None:
    for count in (255, 1, 1, 600, 5):
        put(sessions, leaves(count, of=str(count)))
        assert tick(sessions, store).sequenced == count
    assert len(log(sessions)) == 862


def test_a_round_takes_no_more_than_its_limit(sessions: Sessions, store: FileHeadStore) -> None:
    put(sessions, leaves(25))
    assert [tick(sessions, store, limit=10).sequenced for _ in range(4)] == [10, 10, 5, 0]


def test_a_transaction_that_commits_late_is_never_skipped(sessions: Sessions, store: FileHeadStore) -> None:
    late, early = leaves(2)
    with sessions() as slow:
        sequencer.append(slow, [(uuid.uuid4(), late)])
        put(sessions, [early])
        assert tick(sessions, store).sequenced == 1
        assert log(sessions) == [early]
        slow.commit()
    assert tick(sessions, store).sequenced == 1
    assert log(sessions) == [early, late]


def test_a_leaf_that_is_rolled_back_never_enters(sessions: Sessions, store: FileHeadStore) -> None:
    with sessions() as session:
        sequencer.append(session, [(uuid.uuid4(), leaves(1)[0])])
        session.rollback()
    assert tick(sessions, store).sequenced == 0


def test_a_sequencer_that_is_rolled_back_changes_nothing(sessions: Sessions, store: FileHeadStore) -> None:
    tick(sessions, store)
    put(sessions, leaves(300))
    with sessions() as session:
        assert sequencer.sequence(session) == 300
        session.rollback()
    assert log(sessions) == []
    assert tick(sessions, store).sequenced == 300
    assert len(log(sessions)) == 300


def test_the_same_evidence_enters_once(sessions: Sessions, store: FileHeadStore) -> None:
    first, second = leaves(2)
    evidence_id = uuid.uuid4()
    for _ in range(2):
        with sessions.begin() as session:
            sequencer.append(session, [(evidence_id, first)])
    assert tick(sessions, store).sequenced == 1
    with sessions.begin() as session:
        sequencer.append(session, [(evidence_id, second)])
    put(sessions, [second])
    assert tick(sessions, store).sequenced == 1
    assert log(sessions) == [first, second]
    with sessions() as session:
        assert not table.has_pending(session)


def test_appending_nothing_is_harmless(sessions: Sessions) -> None:
    with sessions.begin() as session:
        sequencer.append(session, [])


def test_a_second_sequencer_waits_for_nobody(sessions: Sessions, store: FileHeadStore) -> None:
    tick(sessions, store)
    put(sessions, leaves(2))
    with sessions() as first, sessions() as second:
        assert sequencer.sequence(first) == 2
        assert sequencer.sequence(second) == 0
        first.commit()
    assert len(log(sessions)) == 2


def test_a_head_that_moved_in_spite_of_the_lock_is_not_overwritten(
    sessions: Sessions, store: FileHeadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick(sessions, store)
    put(sessions, leaves(2))
    real = table.move_pending

    def slow(session: Session, *, size: int, limit: int) -> list[bytes]:
        found = real(session, size=size, limit=limit)
        other = leaves(1, of="other")
        with sessions.begin() as racing:
            table.move_head(racing, table.Head(0, merkle.EMPTY_ROOT, 0, ORIGIN), size=1, root=other[0])
        return found

    monkeypatch.setattr(table, "move_pending", slow)
    with sessions() as session, pytest.raises(LedgerRaced):
        sequencer.sequence(session)


def guarded(work: Callable[[], None], errors: list[BaseException]) -> threading.Thread:
    """A thread whose error is not lost."""

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  the caller asserts that there is none
            errors.append(error)

    return threading.Thread(target=run)


def test_many_writers_and_two_sequencers_lose_and_double_nothing(sessions: Sessions, store: FileHeadStore) -> None:
    tick(sessions, store)
    written: list[bytes] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def write(number: int) -> None:
        for part in range(20):
            row = leaves(7, of=f"{number} {part}")
            with sessions() as session:
                sequencer.append(session, [(uuid.uuid4(), leaf) for leaf in row])
                if part % 5 == 4:
                    session.rollback()
                else:
                    session.commit()
                    written.extend(row)

    def round_and_round() -> None:
        while not done.is_set():
            tick(sessions, store, limit=50)

    writers = [guarded(lambda number=number: write(number), errors) for number in range(3)]  # type: ignore[misc]
    loops = [guarded(round_and_round, errors) for _ in range(2)]
    for thread in [*writers, *loops]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in loops:
        thread.join()
    while tick(sessions, store, limit=50).sequenced:
        pass
    assert errors == []
    row = log(sessions)
    assert sorted(row) == sorted(written)
    with sessions() as session:
        every = session.scalars(select(table.LedgerCheckpoint).order_by(table.LedgerCheckpoint.size)).all()
    assert every[-1].size == len(written)
    assert all(found.root == merkle.tree_hash(row[: found.size]) for found in every)
