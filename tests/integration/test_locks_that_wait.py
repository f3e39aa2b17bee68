"""Whoever waits for a row gets it once its holder has committed: under every policy, and with every plan.

When a lock was waited for, PostgreSQL looks at the row's new version again. PostgreSQL 18 then loses the row if the
plan leaves partitions out by a parameter and the policy compares the same key with a sub-select: a lock finds nothing,
a change changes nothing. It is a matter of the plan, which PostgreSQL chooses; here each is chosen for it.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from service.db import deliveries
from service.db.ids import new_id
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from tests.engine_support import execute, organisations
from tests.pipeline_support import TestDatabase, fresh_database
from tests.tenancy_support import insert, tables

RECIPIENT = b"r" * 32
PATIENCE = 15.0
KEYS = {"delivery": "id", "submission": "id", "vault_object": "subject_id", "submission_part": "submission_id",
        "submission_row": "submission_id"}  # fmt: skip
"""The column by which a partitioned table is parted, where it is not ``delivery_id``."""
APPENDED = {"evidence", "delivery_event"}
"""Nobody locks or changes these rows."""
PARTITIONED = "SELECT relname FROM pg_class WHERE relkind = 'p' AND relnamespace = 'public'::regnamespace"


@pytest.fixture(scope="module")
def world(stack: Stack) -> Iterator[tuple[TestDatabase, uuid.UUID, uuid.UUID]]:
    """A database with one row in each table, a sender and their delivery."""
    assert stack.urls is not None
    with fresh_database(stack.urls, DATABASE) as database:
        (sender,), delivery = organisations(database, 1), new_id()
        superuser = f"{stack.urls.superuser.rpartition('/')[0]}/{database.owner_url.rpartition('/')[2]}"
        with psycopg.connect(superuser.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            for table in tables(database).values():
                if "organisation_id" in table.columns:
                    row = table.row(sender, delivery, RECIPIENT)
                    if table.name in KEYS:
                        row[KEYS[table.name]] = delivery
                    insert(connection, table, row)
        yield database, sender, delivery


def scopes(sender: uuid.UUID, delivery: uuid.UUID) -> dict[str, dict[str, Any]]:
    return {
        "sender": {"organisations": [sender]},
        "recipient": {"recipients": [RECIPIENT], "delivery": delivery},
        "both": {"organisations": [sender], "delivery": delivery},
    }


def waited_for(
    database: TestDatabase, scope: dict[str, Any], table: str, statement: str, key: uuid.UUID, plan: str
) -> int:
    """How many rows ``statement`` finds, with this kind of plan, that had to wait for another's change."""
    column = KEYS.get(table, "delivery_id")

    def wait(process: list[int]) -> int:
        with database.database.transaction(**scope) as session:
            connection = session.connection().connection.driver_connection
            assert isinstance(connection, psycopg.Connection)
            connection.execute(sql.SQL("SET LOCAL plan_cache_mode = {}").format(plan))
            connection.execute(sql.SQL("PREPARE waiting(uuid) AS {}").format(sql.SQL(statement)))  # type: ignore[arg-type]
            process.append(connection.info.backend_pid)
            try:
                return connection.execute(sql.SQL("EXECUTE waiting({})").format(key)).rowcount
            finally:
                connection.execute("DEALLOCATE waiting")

    process: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        with database.database.transaction(**scope) as session:
            change = text(f"UPDATE {table} SET organisation_id = organisation_id WHERE {column} = :key")
            assert session.execute(change, {"key": key}).rowcount == 1  # type: ignore[attr-defined]
            waiter = pool.submit(wait, process)
            _until_it_waits(database, process)
        return waiter.result(PATIENCE)


def _until_it_waits(database: TestDatabase, process: Sequence[int]) -> None:
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if process and execute(database, "SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted", process[0]):
            return
        time.sleep(0.01)
    raise AssertionError("nobody waited")


@pytest.mark.parametrize("plan", ["force_generic_plan", "force_custom_plan"])
@pytest.mark.parametrize("whose", ["sender", "recipient", "both"])
def test_a_row_that_was_waited_for_is_found(
    world: tuple[TestDatabase, uuid.UUID, uuid.UUID], whose: str, plan: str
) -> None:
    database, sender, delivery = world
    scope = scopes(sender, delivery)[whose]
    names = {name for (name,) in execute(database, PARTITIONED)} - APPENDED
    assert names > {"delivery", "leg", "mailbox_item", "submission"}
    lost: list[str] = []
    for table in sorted(names):
        column = KEYS.get(table, "delivery_id")
        with database.database.transaction(**scope) as session:
            if not session.scalar(text(f"SELECT count(*) FROM {table}")):
                continue
        statements = (
            f"SELECT FROM {table} WHERE {column} = $1 FOR UPDATE",
            f"SELECT FROM {table} WHERE {column} = ANY (ARRAY[$1]) ORDER BY {column} FOR UPDATE",
            f"UPDATE {table} SET organisation_id = organisation_id WHERE {column} = $1",
        )
        lost += [one for one in statements if waited_for(database, scope, table, one, delivery, plan) != 1]
    assert lost == []


def test_a_chunk_of_deliveries_is_locked_whole_whoever_was_waited_for(
    world: tuple[TestDatabase, uuid.UUID, uuid.UUID],
) -> None:
    database, sender, delivery = world

    def lock(process: list[int]) -> set[uuid.UUID]:
        with database.database.transaction(organisations=[sender]) as session:
            process.append(int(session.execute(text("SELECT pg_backend_pid()")).scalar_one()))
            return set(deliveries.by_ids(session, [delivery, new_id()], lock=True))

    process: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        with database.database.transaction(organisations=[sender]) as session:
            (row,) = deliveries.by_ids(session, [delivery], lock=True).values()
            row.status = "changed"
            waiter = pool.submit(lock, process)
            _until_it_waits(database, process)
        assert waiter.result(PATIENCE) == {delivery}
