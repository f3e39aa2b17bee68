"""The sequencer on a real PostgreSQL: nothing skipped, nothing twice, nothing forked."""

import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, delete, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from service.db import ledger as table
from service.db import ledger_past
from service.db.base import Base
from service.ledger import checkpoint, entry, evidence_proof, merkle, notes, sequencer, tiles, timestamps, verify
from service.ledger.errors import LedgerForked, LedgerNotOpened, LedgerRaced, ProofRefused
from service.ledger.head_store import FileHeadStore
from tests.ledger_support import NOW, ORIGIN, TestAuthority, leaves, postgres, record, signer

Sessions = sessionmaker[Session]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with postgres() as url:
        made = create_engine(url)
        yield made
        made.dispose()


@pytest.fixture
def sessions(engine: Engine) -> Iterator[Sessions]:
    """Sessions on freshly made tables."""
    Base.metadata.create_all(engine, tables=[*table.TABLES, *ledger_past.TABLES])
    yield sessionmaker(engine)
    Base.metadata.drop_all(engine, tables=[*table.TABLES, *ledger_past.TABLES])
    with engine.begin() as connection:
        for name in ("tile_grows", "leaf_stands", "head_grows", "checkpoint_stands"):
            connection.execute(text(f"DROP FUNCTION ledger_{name}()"))


@pytest.fixture
def store(tmp_path: Path) -> FileHeadStore:
    return FileHeadStore(tmp_path / "head")


def put(sessions: Sessions, row: list[bytes]) -> list[uuid.UUID]:
    ids = [uuid.uuid4() for _ in row]
    with sessions.begin() as session:
        sequencer.append(session, list(zip(ids, row, strict=True)))
    return ids


def tick(sessions: Sessions, store: FileHeadStore, **more: int) -> sequencer.Tick:
    return sequencer.tick(sessions, signer(), store, NOW, **more)


def log(sessions: Sessions) -> list[bytes]:
    """The whole log, which must have no gaps, and whose head and tiles must agree with it."""
    with sessions() as session:
        rows = session.execute(
            select(table.LedgerLeaf.index, table.LedgerLeaf.leaf_hash).order_by(table.LedgerLeaf.index)
        ).all()
        head = table.head(session)
        tiles = {(found.level, found.number): found.hashes for found in session.scalars(select(table.LedgerTile)).all()}
    assert [index for index, _ in rows] == list(range(len(rows)))
    row = [leaf for _, leaf in rows]
    assert head is not None
    assert (head.size, head.root) == (len(row), merkle.tree_hash(row))
    tree = merkle.GrowingTree(0, {})
    assert tree.extend(row) == tiles
    return row


def overwrite(sessions: Sessions, *statements: object) -> None:
    """What somebody with the owner's rights could do: change rows with the triggers off."""
    with sessions.begin() as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in statements:
            session.execute(statement)  # type: ignore[call-overload]


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
    found = tick(sessions, store).checkpoint
    assert found is not None
    assert found.size == 2
    with sessions() as session:
        note = evidence_proof.newest_note(session)
    assert note is not None
    assert note.encode() == signed
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


APPLICATION_RIGHTS = (
    "SELECT, INSERT, DELETE ON ledger_pending",
    "SELECT, INSERT ON ledger_leaf",
    "SELECT, INSERT, UPDATE (width, hashes) ON ledger_tile",
    "SELECT, INSERT, UPDATE (size, root, signed_size, updated_at) ON ledger_head",
    "SELECT, INSERT, UPDATE (timestamp_token) ON ledger_checkpoint",
    "SELECT ON ledger_past, ledger_past_leaf, ledger_past_tile, ledger_past_checkpoint",
)


@pytest.fixture
def application(engine: Engine, sessions: Sessions) -> Iterator[Sessions]:
    """Sessions of a plain role with the application's rights."""
    with engine.begin() as connection:
        connection.execute(text("CREATE ROLE application LOGIN"))
        for rights in APPLICATION_RIGHTS:
            connection.execute(text(f"GRANT {rights} TO application"))
    made = create_engine(engine.url.set(username="application"))
    yield sessionmaker(made)
    made.dispose()
    with engine.begin() as connection:
        connection.execute(text("DROP OWNED BY application"))
        connection.execute(text("DROP ROLE application"))


def test_the_application_role_can_append_and_nothing_else(application: Sessions, store: FileHeadStore) -> None:
    for _ in range(2):
        ((evidence_id, *_), _) = evidences(application, 2)
        assert tick(application, store).sequenced == 2
        assert timestamps.stamp_checkpoints(application, TestAuthority(), NOW, timedelta(0)) is not None
    with application() as session:
        assert evidence_proof.proof_for(session, evidence_id) is not None
    for statement in (
        "UPDATE ledger_leaf SET index = index + 10",
        "DELETE FROM ledger_leaf",
        "DELETE FROM ledger_tile",
        "DELETE FROM ledger_head",
        "UPDATE ledger_head SET log_origin = 'other'",
        "DELETE FROM ledger_checkpoint",
        "UPDATE ledger_checkpoint SET note = 'other'",
        "UPDATE ledger_pending SET leaf_hash = decode(repeat('00', 32), 'hex')",
        "TRUNCATE ledger_leaf",
    ):
        with application() as session, pytest.raises(DBAPIError, match="permission denied"):
            session.execute(text(statement))


# --- proofs and time-stamps -------------------------------------------------------------------------------------------


def evidences(sessions: Sessions, count: int) -> list[tuple[uuid.UUID, dict[str, object], bytes, bytes]]:
    made = []
    for number in range(count):
        salt = entry.new_salt()
        one = record(number)
        made.append((uuid.uuid4(), one, salt, entry.leaf_hash(str(one["event_key"]), salt, one)))
    with sessions.begin() as session:
        sequencer.append(session, [(evidence_id, leaf) for evidence_id, _, _, leaf in made])
    return made


def failed(document: dict[str, object], authority: TestAuthority | None = None) -> list[str]:
    issuers = [authority.ca] if authority else []
    return [found.name for found in verify.verify_evidence(document, signer().vkeys, issuers) if found.ok is False]


def test_evidence_is_published_with_a_proof_that_holds_offline(sessions: Sessions, store: FileHeadStore) -> None:
    made = evidences(sessions, 400)
    ids = [evidence_id for evidence_id, *_ in made]
    with sessions() as session:
        assert evidence_proof.proof_for(session, ids[0]) is None
        assert evidence_proof.published(session, ids) == frozenset()
        assert evidence_proof.newest_note(session) is None
        assert evidence_proof.tile(session, tiles.parse("tile/0/000")) is None
    with sessions.begin() as session:
        sequencer.open_log(session, ORIGIN)
        sequencer.sequence(session)
    with sessions() as session:
        assert evidence_proof.proof_for(session, ids[0]) is None
        assert evidence_proof.published(session, ids) == frozenset()
    tick(sessions, store)
    with sessions() as session:
        assert evidence_proof.published(session, ids) == frozenset(ids)
        assert evidence_proof.published(session, []) == frozenset()
        for evidence_id, one, salt, leaf in made[::37]:
            proof = evidence_proof.proof_for(session, evidence_id)
            assert proof is not None
            assert proof.leaf_hash == leaf
            assert failed(evidence_proof.document(one, salt, leaf, proof)) == []
    _, one, salt, leaf = made[0]
    assert evidence_proof.document(one, salt, leaf, None)["proof"] is None


def test_a_proof_leads_to_the_earliest_stamped_checkpoint_that_covers_it(
    sessions: Sessions, store: FileHeadStore
) -> None:
    authority = TestAuthority()
    minute = timedelta(minutes=1)
    groups = []
    for number in range(5):
        groups.append(evidences(sessions, 3)[0])
        now = NOW + number * timedelta(seconds=30)
        sequencer.tick(sessions, signer(), store, now)
        timestamps.stamp_checkpoints(sessions, authority, now, minute)
    with sessions() as session:
        stamped = session.scalars(
            select(table.LedgerCheckpoint.size).where(table.LedgerCheckpoint.timestamp_token.is_not(None))
        ).all()
        assert sorted(stamped) == [3, 9, 15]
        sizes = []
        for evidence_id, one, salt, leaf in groups:
            proof = evidence_proof.proof_for(session, evidence_id)
            assert proof is not None
            assert failed(evidence_proof.document(one, salt, leaf, proof), authority) == []
            sizes.append(checkpoint.parse(notes.split(proof.checkpoint_note)[0]).size)
        assert sizes == [3, 9, 9, 15, 15]


def test_an_authority_that_is_down_delays_tokens_only(sessions: Sessions, store: FileHeadStore) -> None:
    authority = TestAuthority()
    authority.down = True
    ((evidence_id, one, salt, leaf),) = evidences(sessions, 1)
    assert timestamps.stamp_checkpoints(sessions, authority, NOW, timedelta(minutes=1)) is None
    tick(sessions, store)
    with pytest.raises(ConnectionError):
        timestamps.stamp_checkpoints(sessions, authority, NOW, timedelta(minutes=1))
    with sessions() as session:
        proof = evidence_proof.proof_for(session, evidence_id)
        assert proof is not None
        assert proof.timestamp_token is None
        assert failed(evidence_proof.document(one, salt, leaf, proof)) == []
    authority.down = False
    stamped = timestamps.stamp_checkpoints(sessions, authority, NOW, timedelta(minutes=1))
    assert stamped is not None
    assert authority.calls == [stamped.digest]
    assert timestamps.stamp_checkpoints(sessions, authority, NOW + timedelta(hours=1), timedelta(minutes=1)) is None


def test_a_checkpoint_is_stamped_once(sessions: Sessions, store: FileHeadStore) -> None:
    evidences(sessions, 1)
    tick(sessions, store)

    class Slow:
        def token(self, sha256_digest: bytes, /) -> bytes:
            assert len(sha256_digest) == 32
            with sessions.begin() as session:
                assert table.set_token(session, 1, b"first")
            return b"second"

    assert timestamps.stamp_checkpoints(sessions, Slow(), NOW, timedelta(minutes=1)) is None
    with sessions() as session:
        newest = table.newest_checkpoint(session)
    assert newest is not None
    assert newest.timestamp_token == b"first"


def test_an_empty_log_is_not_stamped(sessions: Sessions, store: FileHeadStore) -> None:
    tick(sessions, store)
    assert timestamps.stamp_checkpoints(sessions, TestAuthority(), NOW, timedelta(0)) is None


def test_a_damaged_tile_is_our_failure_and_never_handed_out(sessions: Sessions, store: FileHeadStore) -> None:
    ((evidence_id, *_), _) = evidences(sessions, 2)
    tick(sessions, store)
    overwrite(sessions, text("UPDATE ledger_tile SET hashes = decode(repeat('00', 64), 'hex')"))
    with sessions() as session, pytest.raises(ProofRefused):
        evidence_proof.proof_for(session, evidence_id)


def test_tiles_are_served_for_signed_sizes_only(sessions: Sessions, store: FileHeadStore) -> None:
    put(sessions, leaves(300))
    tick(sessions, store)
    row = log(sessions)
    put(sessions, leaves(10, of="unsigned"))
    with sessions.begin() as session:
        sequencer.sequence(session)
    with sessions() as session:
        assert evidence_proof.tile(session, tiles.parse("tile/0/000")) == b"".join(row[:256])
        assert evidence_proof.tile(session, tiles.parse("/tile/0/001.p/44")) == b"".join(row[256:])
        assert evidence_proof.tile(session, tiles.parse("tile/1/000.p/1")) == merkle.tree_hash(row[:256])
        assert evidence_proof.tile(session, tiles.parse("tile/0/001.p/45")) is None
        assert evidence_proof.tile(session, tiles.parse("tile/0/001")) is None
        with pytest.raises(ProofRefused):
            evidence_proof.tile(session, tiles.parse("tile/entries/000"))
