"""What the ledger costs: leaves through the sequencer, proofs at three sizes, the wait for a checkpoint, a witness.

The large logs are generated: every full tile of a level is the same, so that ten million leaves are made in seconds.
What is measured reads and writes them like any other. Leaf rows are there for the leaves that are asked for.
"""

import logging
import random
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from bench.measure import Result, cost, options, rate, report, time_in_turns
from service.db import ledger as table
from service.ledger import checkpoint, evidence_proof, merkle, notes, sequencer, verify, witness
from service.ledger.add_checkpoint import AddCheckpoint
from service.ledger.checkpoint import Checkpoint
from service.ledger.head_store import FileHeadStore
from service.ledger.proof import TlogProof, parse
from service.ledger.whole_log import WholeLog
from tests.ledger_support import ORIGIN, leaves, record, signer
from tests.ledger_tables_support import fresh_tables, put, server
from workers.schedule import SEQUENCE_LIMIT, run_loop

SIZES: Final = (1_000, 100_000, 10_000_000)
ASKED: Final = 200
"""Leaves that are asked for, spread over the log."""
BATCH: Final = SEQUENCE_LIMIT
TARGET: Final = "target"

Sessions = sessionmaker[Session]


# --- a log of any size ------------------------------------------------------------------------------------------------


@contextmanager
def generated(engine: Engine, size: int, folder: Path) -> Iterator[tuple[Sessions, FileHeadStore, list[uuid.UUID]]]:
    """A signed log of ``size`` leaves, where it lives, and the evidence ids of leaves spread over it."""
    with fresh_tables(engine) as sessions:
        tree = _fill(sessions, size)
        store = FileHeadStore(folder / f"head-{size}")
        ids = [uuid.uuid4() for _ in range(ASKED)]
        places = random.Random(size).sample(range(size), ASKED)
        with sessions.begin() as session:
            session.add(table.LedgerHead(id=1, size=size, root=tree.root(), signed_size=0, log_origin=ORIGIN))
            session.add_all(
                table.LedgerLeaf(index=index, evidence_id=evidence_id, leaf_hash=_TILE[index % merkle.TILE_WIDTH])
                for evidence_id, index in zip(ids, places, strict=True)
            )
        sequencer.publish(sessions, signer(), store, datetime.now(UTC))
        yield sessions, store, ids


_TILE = leaves(merkle.TILE_WIDTH)


def _fill(sessions: Sessions, size: int) -> merkle.GrowingTree:
    """Write all tiles; the tree's right edge."""
    row, level, edge = b"".join(_TILE), 0, {}
    while size >> (8 * level):
        full, rest = divmod(size >> (8 * level), merkle.TILE_WIDTH)
        with sessions.begin() as session:
            if full:
                statement = "INSERT INTO ledger_tile SELECT :level, n, 256, :row FROM generate_series(0, :last) n"
                session.execute(text(statement), {"level": level, "row": row, "last": full - 1})
            if rest:
                edge[level, full] = row[: rest * merkle.HASH_SIZE]
                session.add(table.LedgerTile(level=level, number=full, width=rest, hashes=edge[level, full]))
        root = merkle.tree_hash([row[at : at + merkle.HASH_SIZE] for at in range(0, len(row), merkle.HASH_SIZE)])
        row, level = root * merkle.TILE_WIDTH, level + 1
    return merkle.GrowingTree(size, edge)


# --- what is measured -------------------------------------------------------------------------------------------------


def sequencing(sessions: Sessions, store: FileHeadStore, size: int, *, rounds: int) -> float:
    """Leaves a second, from the queue into a signed checkpoint; the best of ``rounds`` batches."""
    best = 0.0
    for number in range(rounds):
        put(sessions, leaves(BATCH, of=f"{size} {number}"))
        began = time.perf_counter()
        done = sequencer.tick(sessions, signer(), store, datetime.now(UTC), limit=BATCH)
        spent = time.perf_counter() - began
        assert done.sequenced == BATCH
        best = max(best, BATCH / spent)
    return best


def moving(sessions: Sessions, *, rounds: int) -> float:
    """The limit: as many rows a second as PostgreSQL moves from queue to log, without any tree."""
    best = 0.0
    for number in range(rounds):
        put(sessions, leaves(BATCH, of=f"moved {number}"))
        with sessions() as session:
            began = time.perf_counter()
            table.move_pending(session, size=1 << 40, limit=BATCH)
            session.flush()
            best = max(best, BATCH / (time.perf_counter() - began))
            session.rollback()
            session.execute(text("DELETE FROM ledger_pending"))
            session.commit()
    return best


def prove(sessions: Sessions, ids: list[uuid.UUID]) -> int:
    """Make the proof of each, as it is handed out: read, computed, checked, written."""
    with sessions() as session:
        for evidence_id in ids:
            assert evidence_proof.proof_for(session, evidence_id) is not None
    return len(ids)


def compute(proofs: list[evidence_proof.PublishedProof], tiles: dict[merkle.TileId, bytes]) -> int:
    """Make the proof of each with its tiles at hand: computed, checked, written."""
    for each in proofs:
        head = checkpoint.parse(notes.split(each.checkpoint_note)[0])
        hashes = merkle.inclusion_proof(each.log_index, head.size, tiles)
        merkle.verify_inclusion(each.leaf_hash, each.log_index, head.size, head.root, hashes)
        assert str(TlogProof(each.log_index, tuple(hashes), each.checkpoint_note)) == each.proof_text
    return len(proofs)


def check(documents: list[dict[str, object]]) -> int:
    """Check each as anybody would, with both of the log's keys; the leaf is a generated one, so its record is not."""
    for document in documents:
        checks = verify.verify_evidence(document, signer().vkeys)
        assert [each.ok for each in checks if each.name == "checkpoint"] == [True, True]
    return len(documents)


def at_size(engine: Engine, size: int, folder: Path, *, rounds: int) -> list[Result]:
    """Everything about one size."""
    with generated(engine, size, folder) as (sessions, store, ids):
        with sessions() as session:
            proofs = [found for each in ids if (found := evidence_proof.proof_for(session, each)) is not None]
            ranges = [part for each in proofs for part in merkle.inclusion_ranges(each.log_index, size)]
            tiles = table.tiles(session, merkle.tiles_of(ranges))
        hashes = max(sum(map(len, parse(each.proof_text).hashes)) for each in proofs)
        whole = max(len(each.proof_text.encode()) for each in proofs)
        documents = [evidence_proof.document(record(), bytes(32), each.leaf_hash, each) for each in proofs[:20]]
        spent = time_in_turns(
            {
                "prove": partial(prove, sessions, ids),
                "compute": partial(compute, proofs, tiles),
                "check": partial(check, documents),
            },
            rounds=rounds,
        )
        name = f"{size:,} leaves"
        found = [
            cost(f"{name}/proof, tiles at hand", spent["compute"].wall, "ms", peer=TARGET, peer_value=1.0),
            cost(f"{name}/proof out of the database", spent["prove"].wall, "ms", peer=TARGET, peer_value=1.0),
            cost(f"{name}/inclusion hashes", hashes / 1000, "kB", peer=TARGET, peer_value=2.0),
            cost(f"{name}/proof with both signatures", whole / 1000, "kB", peer=TARGET, peer_value=8.0),
            cost(f"{name}/check offline", spent["check"].wall, "ms"),
        ]
        speed = sequencing(sessions, store, size, rounds=rounds)
        found.append(rate(f"{name}/sequenced and signed", speed, "leaves/s", peer=TARGET, peer_value=5000.0))
        if size == SIZES[0]:
            limit = moving(sessions, rounds=rounds)
            found.append(
                rate(f"{name}/of what PostgreSQL moves", speed, "leaves/s", peer="rows alone", peer_value=limit)
            )
        return found


def waiting(engine: Engine, folder: Path, *, times: int) -> list[Result]:
    """From a leaf's commit until it is in a published, signed checkpoint, with the scheduler's loop."""
    spent = []
    with fresh_tables(engine) as sessions:
        store, stop = FileHeadStore(folder / "head-waiting"), threading.Event()

        def tick() -> None:
            sequencer.tick(sessions, signer(), store, datetime.now(UTC), limit=SEQUENCE_LIMIT)

        tick()
        loop = threading.Thread(target=run_loop, args=("sequence", 0.5, tick, stop))
        loop.start()
        for number in range(times):
            # At any moment of the loop's round.
            time.sleep(random.Random(number).random() * 0.5)
            (evidence_id,) = put(sessions, leaves(1, of=f"waiting {number}"))
            began = time.perf_counter()
            while not _is_published(sessions, evidence_id):
                time.sleep(0.005)
            spent.append(time.perf_counter() - began)
        stop.set()
        loop.join()
    return [
        cost("commit to checkpoint/median", statistics.median(spent), "s", peer=TARGET, peer_value=2.0),
        cost("commit to checkpoint/longest", max(spent), "s", peer=TARGET, peer_value=2.0),
    ]


def _is_published(sessions: Sessions, evidence_id: uuid.UUID) -> bool:
    with sessions() as session:
        return bool(evidence_proof.published(session, [evidence_id]))


def witnessed(folder: Path, *, rounds: int) -> Result:
    """What a witness takes to check, remember and cosign one checkpoint."""
    row = leaves(2_000)
    tree = merkle.GrowingTree(0, {})
    tiles = tree.extend(row)
    asked = []
    for size in range(1_000, 1_100):
        head = Checkpoint(ORIGIN, size, merkle.range_hash(0, size, tiles))
        old = 0 if size == 1_000 else size - 1
        proof = tuple(merkle.consistency_proof(old, size, tiles))
        asked.append(bytes(AddCheckpoint(old, proof, signer().sign(head, at=datetime.now(UTC)))))
    number = iter(range(rounds + 1))

    def answer() -> int:
        one = witness.create(folder / f"witness-{next(number)}", "witness.example/w1")
        one.add_log(signer().vkeys)
        assert all(one.answer(each, now=datetime.now(UTC)).status == 200 for each in asked)
        return len(asked)

    return cost("witness/one checkpoint", time_in_turns({"answer": answer}, rounds=rounds)["answer"].wall, "ms")


def followed(*, rounds: int) -> Result:
    """Leaves a second that ``fsck`` puts into a tree once more and holds against the tiles."""
    row = leaves(100_000)
    tiles = merkle.GrowingTree(0, {}).extend(row)

    def once() -> int:
        log = WholeLog(
            ORIGIN, signer().verifiers, lambda wanted: {each: tiles[each] for each in wanted}, lambda _: (), (), _never
        )
        log.check(enumerate(row), ())
        return len(row)

    return rate("fsck/tree", 1e3 / time_in_turns({"once": once}, rounds=rounds)["once"].wall, "leaves/s")


def _never(_token: bytes, _text: str) -> datetime:
    raise ValueError("there are no tokens here")


def results(*, quick: bool) -> Iterator[Result]:
    """All figures; first those of single leaves, which the large logs would disturb."""
    rounds = 3 if quick else 10
    with tempfile.TemporaryDirectory() as name, server() as engine:
        folder = Path(name)
        yield from waiting(engine, folder, times=12 if quick else 60)
        yield witnessed(folder, rounds=rounds)
        yield followed(rounds=rounds)
        per_leaf = {}
        for size in SIZES:
            for found in at_size(engine, size, folder, rounds=rounds):
                if found.case.endswith("sequenced and signed"):
                    per_leaf[size] = 1e6 / found.value
                yield found
        small, large = per_leaf[SIZES[0]], per_leaf[SIZES[-1]]
        yield cost("cost of a leaf in the largest log", large, "µs", peer=f"{SIZES[0]:,} leaves", peer_value=small)


def main() -> None:
    chosen = options("What the ledger costs")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    report(results(quick=chosen.quick), json_file=chosen.json)


if __name__ == "__main__":
    main()
