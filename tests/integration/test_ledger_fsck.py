"""``zending ledger fsck``: exit statuses, what is counted, a service that goes on meanwhile, and no false alarm."""

import tracemalloc
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.db.ids import DELIVERY, parse_id
from service.db.ledger import StoredCheckpoint
from service.embedded.stack import Stack
from service.ledger import merkle
from service.ledger.checkpoint import Checkpoint
from service.ledger.errors import LedgerDiffers
from service.ledger.whole_log import Looked, WholeLog
from service.usecases import ledger_check
from service.usecases.log_head import StoredHead
from service.vault.errors import StoreUnreachable
from signing.trust import load_certificates
from tests.engine_support import execute
from tests.ledger_support import ORIGIN, leaves, signer, tiles_over
from tests.pipeline_support import Pipeline, TestDatabase
from tests.roles_support import Roles
from tests.usecase_support import activate, deliver, with_post

Sender = Callable[..., uuid.UUID]


def fsck(pipeline: Pipeline, **options: Any) -> Looked:
    application = pipeline.application
    head = StoredHead(application.store, application.log_signer.origin)
    roots = load_certificates(application.settings.trust_anchor)
    return ledger_check.check(pipeline.context, application.log_signer, head, roots, **options)


def test_the_command_tells_what_it_looked_at_and_what_differs_first(
    stack: Stack, pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    with_post(pipeline)
    sender, _ = organisation(), activate(pipeline)
    delivery = deliver(pipeline, sender, "an")
    pipeline.sequence()
    roles = Roles(stack, pipeline.application, database)
    done = roles.zending("ledger", "fsck")
    count = execute(database, "SELECT count(*) FROM evidence")[0][0]
    assert (done.returncode, done.stderr) == (0, "")
    assert {f"leaves: {count}", f"evidence: {count}", "documents: 1", "tokens: 1"} <= set(done.stdout.splitlines())
    assert done.stdout.endswith("Nothing differs.\n")
    (path,) = (row[0] for row in execute(database, "SELECT path FROM document"))
    pipeline.application.store.delete_many([path])
    assert roles.zending("ledger", "fsck", "--records-only").returncode == 0
    done = roles.zending("ledger", "fsck")
    assert (done.returncode, done.stdout) == (
        1,
        f"DIFFERS: The store does not hold a document of {parse_id(DELIVERY, delivery)} as it was written.\n",
    )
    execute(database, "UPDATE evidence SET at = at + interval '1 second'")
    assert "another time than its record" in roles.zending("ledger", "fsck").stdout


def test_what_can_not_be_looked_at_is_no_difference(stack: Stack, pipeline: Pipeline, database: TestDatabase) -> None:
    roles = Roles(stack, pipeline.application, database)
    nowhere = "postgresql://nobody:x@127.0.0.1:9/none"
    done = roles.zending("ledger", "fsck", DATABASE_URL=nowhere)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert roles.zending("ledger", "fsck", "--former-key", "nonsense").returncode == 2


def test_a_store_that_is_away_is_not_taken_for_a_difference(
    pipeline: Pipeline, organisation: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(pipeline, organisation())
    pipeline.sequence()

    def away(*_given: object, **_more: object) -> bytes:
        raise StoreUnreachable("away")

    monkeypatch.setattr(pipeline.context.vault, "read", away)
    with pytest.raises(StoreUnreachable):
        fsck(pipeline)
    assert fsck(pipeline, contents=False).documents == 0


def test_a_service_that_goes_on_is_no_false_alarm(
    pipeline: Pipeline, organisation: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every step of the check the log grows, is signed and its head in the store replaced."""
    sender = organisation()
    deliver(pipeline, sender)
    pipeline.sequence()
    real, rounds = ledger_check._stored, []

    def meanwhile(*given: Any) -> Any:
        found = real(*given)
        deliver(pipeline, sender)
        pipeline.sequence()
        rounds.append(found)
        return found

    monkeypatch.setattr(ledger_check, "_stored", meanwhile)
    assert fsck(pipeline).evidence > 0
    assert len(rounds) == 2
    deliver(pipeline, sender)
    assert fsck(pipeline).evidence > 0


def test_an_empty_service_is_whole(pipeline: Pipeline) -> None:
    assert fsck(pipeline) == Looked()
    pipeline.sequence()
    assert fsck(pipeline) == Looked(checkpoints=1)


# --- the log by itself ------------------------------------------------------------------------------------------------

SIZES = (0, 1, 255, 256, 257, 511, 512, 700)
ROW = leaves(700)
TILES = tiles_over(ROW)
NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def whole(tiles: dict[merkle.TileId, bytes] | None = None) -> WholeLog:
    held = TILES if tiles is None else tiles

    def read(wanted: Sequence[merkle.TileId]) -> dict[merkle.TileId, bytes]:
        return {tile: held[tile] for tile in wanted if tile in held}

    return WholeLog(ORIGIN, signer().verifiers, read, lambda _: (), (), lambda *_: NOW)


def signed(row: list[bytes], at: datetime = NOW) -> Iterator[StoredCheckpoint]:
    for size in SIZES:
        head = Checkpoint(ORIGIN, size, merkle.tree_hash(row[:size]))
        yield StoredCheckpoint(size, head.root, signer().sign(head, at=NOW), at, b"token" if size else None)


def test_a_log_is_followed_over_the_borders_of_tiles() -> None:
    log = whole()
    assert log.check(enumerate(ROW), signed(ROW)) == Checkpoint(ORIGIN, 700, merkle.tree_hash(ROW))
    assert log.looked == Looked(leaves=700, tiles=len(TILES), checkpoints=8, tokens=7)


@pytest.mark.parametrize("at", [0, 254, 255, 256, 511, 512, 699])
def test_any_changed_leaf_is_named_by_what_it_spoils(at: int) -> None:
    row = [*ROW[:at], leaves(1, of="other")[0], *ROW[at + 1 :]]
    with pytest.raises(LedgerDiffers):
        whole().check(enumerate(row), signed(ROW))
    with pytest.raises(LedgerDiffers):
        whole(tiles_over(row)).check(enumerate(row), signed(ROW))
    with pytest.raises(LedgerDiffers):
        whole(tiles_over(row)).check(enumerate(ROW), signed(ROW))


def test_a_time_that_was_not_signed_is_named() -> None:
    with pytest.raises(LedgerDiffers, match="time of the checkpoint of 0 leaves"):
        whole().check(enumerate(ROW), signed(ROW, at=NOW + timedelta(seconds=1)))


def test_memory_does_not_grow_with_the_log() -> None:
    """What is held at once is a chunk of leaves and the tiles that they make."""
    many, leaf = 120_000, ROW[0]
    tree = merkle.GrowingTree(0, {})
    tiles = tree.extend(leaf for _ in range(many))
    log = whole(tiles)
    tracemalloc.start()
    try:
        log.check(((index, leaf) for index in range(many)), ())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert log.looked.leaves == many
    assert peak < 4 << 20
