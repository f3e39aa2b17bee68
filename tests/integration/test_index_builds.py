"""Indexes of tables that are large already: built while writers go on, and taken up where a build broke off."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from service.db import index_builds
from service.db.index_builds import Index, build
from service.db.migrations import migrate
from service.embedded.postgres import Urls
from service.embedded.stack import Stack
from tests.integration.test_migrations import empty_database

PARTITIONED = Index("ix_submission_made", "submission", "(organisation_id, created_at DESC) WHERE lane = 1")
PLAIN = Index("ix_lookup_client", "lookup", "(client_id, at DESC)")
SENDER = "00000000-0000-0000-0000-000000000000"
PATIENCE = 30.0


@pytest.fixture
def url(stack: Stack) -> Iterator[str]:
    """A migrated database with a few thousand rows in each of three months, and in look-ups."""
    assert stack.urls is not None
    with _migrated(stack.urls) as url:
        yield url


@contextmanager
def _migrated(urls: Urls) -> Iterator[str]:
    with empty_database(urls) as owner:
        migrate(owner)
        url = owner.replace("+psycopg", "", 1)
        with connected(url) as connection:
            for days in (0, 31, 62):
                _fill(connection, datetime.now(UTC) + timedelta(days=days))
            connection.execute(
                "INSERT INTO lookup (id, organisation_id, client_id, purpose, recipients)"
                " SELECT gen_random_uuid(), %s, 'client', 'delivery', 1 FROM generate_series(1, 3000)",
                (SENDER,),
            )
            # One organisation's look-ups wait for one another at the sum they add to; here they would wait for a build.
            connection.execute("ALTER TABLE lookup DISABLE TRIGGER lookup_counts")
        yield url


def _fill(connection: psycopg.Connection[Any], moment: datetime) -> None:
    milliseconds = int(moment.timestamp() * 1000)
    connection.execute(
        "INSERT INTO submission (organisation_id, id, mark, lane) SELECT %s,"
        " (lpad(to_hex(%s + n), 12, '0') || '7000' || '8' || substr(md5(n::text), 1, 15))::uuid, 'live', n %% 2"
        " FROM generate_series(1, 3000) AS n",
        (SENDER, milliseconds),
    )


@contextmanager
def connected(url: str, *, autocommit: bool = True) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=autocommit) as connection:
        connection.execute("SET timezone = 'UTC'")
        yield connection


def submit(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "INSERT INTO submission (organisation_id, id, mark, lane) VALUES (%s, uuidv7(), 'live', 1)", (SENDER,)
    )


def ask(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        "INSERT INTO lookup (id, organisation_id, client_id, purpose, recipients) VALUES (uuidv7(), %s, 'c', 'd', 1)",
        (SENDER,),
    )


WRITES: dict[Index, Callable[[psycopg.Connection[Any]], None]] = {PARTITIONED: submit, PLAIN: ask}


class Building(threading.Thread):
    """A build on a connection of its own."""

    def __init__(self, url: str, index: Index) -> None:
        super().__init__()
        self._index = index
        self.connection = psycopg.connect(url, autocommit=True)
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            build(self.connection, self._index)
        except Exception as error:  # noqa: BLE001  shown by the test
            self.error = error
        finally:
            self.connection.close()


def whole(connection: psycopg.Connection[Any], index: Index) -> bool:
    """Whether the index stands, with one of every partition, and nothing of it is half-built."""
    partitions = connection.execute(
        "SELECT count(*) FROM pg_partition_tree(%s::regclass) WHERE isleaf AND level > 0", (index.table,)
    ).fetchone()
    found = connection.execute(
        "SELECT indisvalid, (SELECT count(*) FROM pg_inherits JOIN pg_index i ON i.indexrelid = inhrelid"
        " WHERE inhparent = own.indexrelid AND i.indisvalid) FROM pg_index own"
        " WHERE own.indexrelid = to_regclass(%s)",
        (index.name,),
    ).fetchone()
    broken = connection.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid").fetchone()
    assert partitions is not None
    return found == (True, partitions[0]) and broken == (0,)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def is_building(connection: psycopg.Connection[Any]) -> bool:
    """Whether a concurrent build waits for a transaction that began before it."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_progress_create_index WHERE command = 'CREATE INDEX CONCURRENTLY'"
        " AND phase LIKE 'waiting for%%' AND datname = current_database()"
    ).fetchone()
    return row != (0,)


@pytest.mark.parametrize("index", [PARTITIONED, PLAIN], ids=["partitioned", "plain"])
def test_writers_go_on_while_an_index_waits_for_one_that_holds_the_table(url: str, index: Index) -> None:
    longest = written = 0.0
    with connected(url) as writer, connected(url, autocommit=False) as slow:
        # Nobody may stand behind the build for longer than it may ask for a lock.
        writer.execute("SET lock_timeout = '2500ms'")
        WRITES[index](slow)
        building = Building(url, index)
        building.start()
        end = time.monotonic() + 4
        while time.monotonic() < end:
            began = time.monotonic()
            WRITES[index](writer)
            longest, written = max(longest, time.monotonic() - began), written + 1
            time.sleep(0.01)
        assert building.is_alive(), "the build did not wait for the transaction that holds the table"
        slow.commit()
        building.join(PATIENCE)
        assert building.error is None
        assert not building.is_alive()
        assert whole(writer, index)
    assert written > 40
    assert longest < index_builds.LOCK_SECONDS + 1


@pytest.mark.parametrize("index", [PARTITIONED, PLAIN], ids=["partitioned", "plain"])
def test_a_build_that_broke_off_is_taken_up(url: str, index: Index) -> None:
    with connected(url) as connection, connected(url, autocommit=False) as old:
        # It reads the table and holds no writer's lock: a concurrent build waits for it to the end.
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM organisation")
        broken = Building(url, index)
        process = broken.connection.info.backend_pid
        broken.start()
        until(lambda: is_building(connection))
        connection.execute("SELECT pg_terminate_backend(%s)", (process,))
        broken.join(PATIENCE)
        assert isinstance(broken.error, psycopg.OperationalError)
        left = connection.execute(
            "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT indisvalid"
        ).fetchall()
        assert any(name.startswith(index.name) for (name,) in left), "nothing half-built was left to be taken up"
        old.rollback()
        build(connection, index)
        assert whole(connection, index)


def test_a_month_that_is_made_while_an_index_is_built_has_it_too(url: str) -> None:
    with connected(url) as connection:
        connection.execute("CREATE INDEX ix_submission_made ON ONLY submission (organisation_id, created_at DESC)"
                           " WHERE lane = 1")  # fmt: skip
        connection.execute("SELECT zending_make_partitions((now() + interval '20 months')::date, 2)")
        build(connection, PARTITIONED)
        assert whole(connection, PARTITIONED)
        build(connection, PARTITIONED)
        assert whole(connection, PARTITIONED)


def test_an_index_that_can_never_be_whole_is_told(url: str) -> None:
    other = uuid.uuid4().hex[:8]
    with connected(url) as connection:
        connection.execute(f"CREATE INDEX ix_{other} ON ONLY submission (lane)")
        child = connection.execute(
            "SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid"
            " WHERE inhparent = 'submission'::regclass ORDER BY 1 LIMIT 1"
        ).fetchone()
        assert child is not None
        name = f"ix_{other}{child[0].removeprefix('submission')}"
        connection.execute(f"CREATE INDEX {name} ON {child[0]} (mark)")
        with pytest.raises(psycopg.errors.InvalidObjectDefinition):
            build(connection, Index(f"ix_{other}", "submission", "(lane)"))  # type: ignore[arg-type]
