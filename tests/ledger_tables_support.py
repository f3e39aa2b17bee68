"""The log's tables on a real PostgreSQL, and what tests of them do again and again."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import Session, sessionmaker

from service.db import ledger as table
from service.db import ledger_cosignatures, ledger_past
from service.db.base import Base
from service.ledger import entry, merkle, sequencer, verify
from service.ledger.head_store import FileHeadStore
from tests.ledger_support import NOW, TestAuthority, postgres, record, signer

Sessions = sessionmaker[Session]


@contextmanager
def server() -> Iterator[Engine]:
    """A server of one's own."""
    with postgres() as url:
        made = create_engine(url)
        yield made
        made.dispose()


@contextmanager
def fresh_tables(engine: Engine) -> Iterator[Sessions]:
    """Sessions on freshly made tables."""
    tables = [*table.TABLES, ledger_cosignatures.TABLE, *ledger_past.TABLES]
    Base.metadata.create_all(engine, tables=tables)
    yield sessionmaker(engine)
    Base.metadata.drop_all(engine, tables=tables)
    with engine.begin() as connection:
        for name in ("tile_grows", "leaf_stands", "head_grows", "checkpoint_stands", "cosignature_stands"):
            connection.execute(text(f"DROP FUNCTION ledger_{name}()"))


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
