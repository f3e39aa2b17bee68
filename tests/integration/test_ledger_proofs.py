"""Proofs and time-stamps out of a real PostgreSQL, with no more rights than the application has."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import sessionmaker

from service.db import ledger as table
from service.ledger import checkpoint, evidence_proof, merkle, notes, sequencer, tiles, timestamps
from service.ledger.errors import ProofRefused
from service.ledger.head_store import FileHeadStore
from tests.ledger_support import NOW, ORIGIN, TestAuthority, leaves, signer
from tests.ledger_tables_support import Sessions, evidences, failed, fresh_tables, log, overwrite, put, server, tick


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


APPLICATION_RIGHTS = (
    "SELECT, INSERT, DELETE ON ledger_pending",
    "SELECT, INSERT ON ledger_leaf",
    "SELECT, INSERT, UPDATE (width, hashes) ON ledger_tile",
    "SELECT, INSERT, UPDATE (size, root, signed_size, updated_at) ON ledger_head",
    "SELECT, INSERT, UPDATE (timestamp_token) ON ledger_checkpoint",
    "SELECT, INSERT ON ledger_cosignature",
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
