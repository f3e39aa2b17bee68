"""Indexes on tables that are large already, built while everybody goes on reading and writing them.

A plain ``CREATE INDEX`` holds writers off until it has read the whole table. Here each index is built concurrently, on
a partitioned table partition by partition: the parent's index is made without its partitions, each partition gets its
own, and is then attached; with the last the parent's becomes valid. Partitions that are made meanwhile bring theirs.

What is left of a build that was interrupted is found and taken up: indexes that are whole stay, half-built ones are
dropped and built again. So a step of the schema that calls `build_index` does nothing else, and may be run again.

The few statements that need a lock which writers stand behind ask for it for a moment, many times: whoever waits for a
lock makes all others wait that come after.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg
from alembic import op
from psycopg import sql

LOCK_SECONDS: Final = 1
"""How long writers may stand behind a statement that waits for its lock."""
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0, 10.0, 10.0, 10.0, 20.0, 20.0, 30.0)
_BUILDS: Final = 3
# Nobody stands behind a concurrent build: it waits for transactions that began before it, and for nobody's rows.
_UNHURRIED: Final = "SET lock_timeout = '30min'; SET statement_timeout = 0"
_HURRIED: Final = sql.SQL("SET lock_timeout = {}; SET statement_timeout = '300s'").format(f"{LOCK_SECONDS}s")

_LEAVES: Final = """
    SELECT c.relname FROM pg_partition_tree(%s::regclass) t JOIN pg_class c ON c.oid = t.relid
    WHERE t.isleaf AND t.level > 0 ORDER BY c.relname
"""
_STATE: Final = """
    SELECT i.indisvalid, c.relispartition FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
    WHERE c.oid = to_regclass(%s)
"""
# A partition that was made after the parent's index has one of its own under a name that PostgreSQL chose.
_COVERED: Final = """
    SELECT EXISTS (SELECT FROM pg_inherits h JOIN pg_index i ON i.indexrelid = h.inhrelid
                   WHERE h.inhparent = %s::regclass AND i.indrelid = %s::regclass AND i.indisvalid)
"""

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Index:
    """An index that is to be; ``what`` are its columns and the rest of its definition: ``(a, b DESC) WHERE c``."""

    name: str
    table: str
    what: LiteralString


def build_index(name: str, table: str, what: LiteralString) -> None:
    """Build an index from within a step of the schema, which must do nothing else."""
    with op.get_context().autocommit_block():
        driver = op.get_bind().connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        try:
            build(driver, Index(name, table, what))
        finally:
            driver.execute("RESET lock_timeout; RESET statement_timeout")


def build(connection: Connection, index: Index) -> None:
    """Build what is missing of an index; the connection commits by itself.

    Raises:
        psycopg.errors.LockNotAvailable: somebody held a lock for minutes; call again.
        RuntimeError: the index can't become whole.
    """
    leaves = _names(connection, index.table)
    if not leaves:
        _one(connection, index.name, index.table, index.what)
        return
    table, name, what = sql.Identifier(index.table), sql.Identifier(index.name), sql.SQL(index.what)
    if _state(connection, index.name) is None:
        _in_a_moment(connection, sql.SQL("CREATE INDEX {} ON ONLY {} {}").format(name, table, what))
    for leaf in leaves:
        if _covered(connection, index.name, leaf):
            continue
        own = index.name + leaf.removeprefix(index.table)
        _one(connection, own, leaf, index.what)
        _in_a_moment(connection, sql.SQL("ALTER INDEX {} ATTACH PARTITION {}").format(name, sql.Identifier(own)))
    if _state(connection, index.name) != (True, False):
        raise RuntimeError(f"the index {index.name} is not whole: a partition has none that is valid")


def _one(connection: Connection, name: str, table: str, what: LiteralString) -> None:
    """Build an index of one table that has no partitions."""
    statement = sql.SQL("CREATE INDEX CONCURRENTLY {} ON {} {}")
    for tries in itertools.count(1):
        state = _state(connection, name)
        if state is not None and state[0]:
            return
        if state is not None:
            _in_a_moment(connection, sql.SQL("DROP INDEX CONCURRENTLY {}").format(sql.Identifier(name)))
        connection.execute(_UNHURRIED)
        try:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(table), sql.SQL(what)))
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if tries == _BUILDS:
                raise


def _in_a_moment(
    connection: Connection, statement: sql.Composed, *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Run a statement that needs a lock at once, as often as it takes."""
    connection.execute(_HURRIED)
    for pause in _PAUSES:
        try:
            connection.execute(statement)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            sleep(pause)
        else:
            return
    connection.execute(statement)


def _names(connection: Connection, table: str) -> list[str]:
    return [str(name) for (name,) in connection.execute(_LEAVES, (table,)).fetchall()]


def _state(connection: Connection, name: str) -> tuple[bool, bool] | None:
    """Whether an index is valid, and whether it is attached to another; None where there is none."""
    row = connection.execute(_STATE, (name,)).fetchone()
    return None if row is None else (bool(row[0]), bool(row[1]))


def _covered(connection: Connection, index: str, leaf: str) -> bool:
    row = connection.execute(_COVERED, (index, leaf)).fetchone()
    assert row is not None
    return bool(row[0])
