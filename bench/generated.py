"""Tables filled with deliveries of the past and of the time to come, as many as asked for, without handing them in.

The rows are generated inside the database: real keys, times, states and lengths, but what is encrypted in life is
noise here, so nobody can open one. They lie a year either side of now, with a gap of hours around it: what is measured
happens in the middle of full tables and full indexes, and reads only rows of its own.

Left thin on purpose, to fit fifteen million deliveries on one disk (63 GB, an hour on two busy cores): two lines of
timeline and two evidence records for each, one look-up in a hundred, and short noise where a record or a name would
stand.
"""

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from service.ledger.merkle import GrowingTree

BATCH = 50_000
YEAR = timedelta(days=365)
GAP = timedelta(hours=12)
LEAVES_EACH = 2
_LEAF_BATCH = 200_000

_BATCH_ROWS = """
    CREATE TEMPORARY TABLE g (n bigint, id uuid, org uuid, at timestamptz, paper boolean, hash bytea)
"""
# UUIDv7 (RFC 9562, 5.7): milliseconds, version, and for the random part the digest of the row's number.
_FILL = """
    INSERT INTO g
    SELECT n, (lpad(to_hex(ms), 12, '0') || '7' || substr(h, 1, 3) || '8' || substr(h, 4, 15))::uuid,
           (%(organisations)s::uuid[])[1 + n %% array_length(%(organisations)s::uuid[], 1)], to_timestamp(ms / 1000.0),
           n %% 10 < 7, decode(h || h, 'hex')
    FROM (SELECT n, md5(n::text) AS h,
                 CASE WHEN n < %(half)s THEN %(begin)s + n * %(step)s
                      ELSE %(middle)s + (n - %(half)s) * %(step)s END AS ms
          FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n) AS rows
"""
_TABLES = Path(__file__).with_suffix(".sql").read_text("utf-8")


@dataclass(frozen=True)
class Filling:
    """What was generated, and how long it took."""

    deliveries: int
    seconds: float


def fill(superuser_url: str, organisations: Sequence[uuid.UUID], deliveries: int, *, origin: str) -> Filling:
    """Fill a migrated database whose ledger is still empty.

    Args:
        superuser_url: of the database; keys and triggers of the rows are not checked while they are written.
        organisations: whose deliveries they become, in turns.
        deliveries: how many.
        origin: of the ledger.
    """
    began = time.perf_counter()
    _prepare(superuser_url)
    values = _times(deliveries) | {"organisations": list(organisations)}
    steps = list(range(0, deliveries, BATCH))
    lots = [steps[0::2], steps[1::2]]
    works: list[Callable[[], None]] = [
        lambda lot=lot: _rows(superuser_url, lot, deliveries, values)  # type: ignore[misc]
        for lot in lots
        if lot
    ]
    _together([*works, lambda: _tree(superuser_url, deliveries * LEAVES_EACH, origin)])
    _settle(superuser_url)
    return Filling(deliveries, time.perf_counter() - began)


def _connect(url: str) -> "psycopg.Connection[tuple[object, ...]]":
    connection = psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)
    connection.execute("SET session_replication_role = replica")
    connection.execute("SET synchronous_commit = off")
    connection.execute("SET timezone = 'UTC'")
    return connection


def _prepare(url: str) -> None:
    with _connect(url) as connection:
        for name, value in (("fsync", "off"), ("full_page_writes", "off"), ("max_wal_size", "3GB")):
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        connection.execute("SELECT pg_reload_conf()")
        begin = (datetime.now(UTC) - YEAR - timedelta(days=31)).date()
        connection.execute("SELECT zending_make_partitions(%s, 28)", (begin,))
        connection.execute(
            "INSERT INTO print_batch (id, number, provider, product, state, file_name, frozen_at, letters)"
            " VALUES ('00000000-0000-7000-8000-000000000001', 0, 'generated', '{}', 'handed_over', 'generated',"
            " now(), 0)"
        )


def _times(deliveries: int) -> dict[str, object]:
    now = datetime.now(UTC)
    half = deliveries // 2
    step = max(1, int(YEAR.total_seconds() * 1000) // max(half, 1))
    return {
        "half": half,
        "step": step,
        "begin": int((now - GAP).timestamp() * 1000) - half * step,
        "middle": int((now + GAP).timestamp() * 1000),
    }


def _rows(url: str, firsts: Sequence[int], deliveries: int, values: dict[str, object]) -> None:
    with _connect(url) as connection:
        connection.execute(_BATCH_ROWS)
        for first in firsts:
            connection.execute("TRUNCATE g")
            connection.execute(_FILL, values | {"first": first, "last": min(first + BATCH, deliveries) - 1})
            connection.execute(_TABLES)


def _tree(url: str, leaves: int, origin: str) -> None:
    """The Merkle tree over the generated leaves, as the sequencer would have left it."""
    tree = GrowingTree(0, {})
    with _connect(url) as connection, connection.cursor() as cursor:
        for first in range(0, leaves, _LEAF_BATCH):
            numbers = range(first, min(first + _LEAF_BATCH, leaves))
            tiles = tree.extend(hashlib.sha256(b"leaf %d" % number).digest() for number in numbers)
            # A tile that grows in the next batch is written again then.
            cursor.executemany(
                "INSERT INTO ledger_tile (level, number, width, hashes) VALUES (%s, %s, %s, %s)"
                " ON CONFLICT (level, number) DO UPDATE SET width = excluded.width, hashes = excluded.hashes",
                [(level, number, len(hashes) // 32, hashes) for (level, number), hashes in tiles.items()],
            )
        connection.execute(
            "INSERT INTO ledger_head (id, size, root, signed_size, log_origin) VALUES (1, %s, %s, 0, %s)",
            (tree.size, tree.root(), origin),
        )


def _settle(url: str) -> None:
    """Statistics and visibility as autovacuum would have left them, and the server's care for power cuts back."""
    with _connect(url) as connection:
        for name in ("fsync", "full_page_writes", "max_wal_size"):
            connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
        connection.execute("SELECT pg_reload_conf()")
    tables = list(_grown(url))
    lots = [tables[0::2], tables[1::2]]
    _together([lambda lot=lot: _vacuum(url, lot) for lot in lots])  # type: ignore[misc]
    with _connect(url) as connection:
        connection.execute("CHECKPOINT")


def _grown(url: str) -> Iterator[str]:
    with _connect(url) as connection:
        query = "SELECT relname FROM pg_stat_user_tables WHERE n_mod_since_analyze > 0 ORDER BY n_live_tup DESC"
        for (name,) in connection.execute(query).fetchall():
            yield str(name)


def _vacuum(url: str, tables: Sequence[str]) -> None:
    with _connect(url) as connection:
        for name in tables:
            connection.execute(sql.SQL("VACUUM (ANALYZE, INDEX_CLEANUP OFF) {}").format(sql.Identifier(name)))


def _together(works: Sequence[Callable[[], None]]) -> None:
    failed: list[Exception] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  raised again below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
