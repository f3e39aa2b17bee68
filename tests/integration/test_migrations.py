"""Migrations: from nothing, again, two at once, and never back; months that are there before they are needed."""

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import text

from service.db.deliveries import lowest_id
from service.db.ids import new_id
from service.db.migrations import MIGRATION_LOCK, migrate
from service.embedded.postgres import OWNER, Urls
from service.embedded.stack import Stack
from service.usecases import housekeeping
from tests.engine_support import execute, organisations
from tests.pipeline_support import TestDatabase

PARTITIONED = {"submission", "delivery", "leg", "document", "vault_object", "delivery_event", "evidence",
               "mailbox_item", "print_letter", "submission_part", "submission_row"}  # fmt: skip
_MONTHS = (
    "SELECT p.relname, c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i"
    " JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent WHERE p.relkind = 'p'"
)


@contextmanager
def empty_database(urls: Urls, *, owner: str = OWNER) -> Iterator[str]:
    """A database without a table; yields its owner's address."""
    name = sql.Identifier(f"test_{uuid.uuid4().hex[:16]}")
    plain = urls.superuser.replace("+psycopg", "", 1)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, sql.Identifier(owner)))
    url = urls.owner if owner == OWNER else urls.superuser
    try:
        yield f"{url.rpartition('/')[0]}/{name.as_string().strip(chr(34))}"
    finally:
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def tables(url: str) -> dict[str, int]:
    """Every table with its number, which a table that was made again would not keep."""
    with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
        query = "SELECT relname, oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r','p')"
        return dict(connection.execute(query).fetchall())


@pytest.fixture
def urls(stack: Stack) -> Urls:
    assert stack.urls is not None
    return stack.urls


def test_an_empty_database_gets_the_schema_and_a_second_run_changes_nothing(urls: Urls) -> None:
    with empty_database(urls) as url:
        assert tables(url) == {}
        migrate(url)
        made = tables(url)
        assert {"alembic_version", "job", "ledger_leaf"} | PARTITIONED <= set(made)
        migrate(url)
        assert tables(url) == made


def test_two_migrations_at_once_make_one_schema(urls: Urls) -> None:
    with empty_database(urls) as url:
        failures: list[BaseException] = []

        def run() -> None:
            try:
                _upgrade(url)
            except BaseException as error:  # noqa: BLE001  shown by the test
                failures.append(error)

        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(newest(),)]


def newest() -> str | None:
    config = Config()
    config.set_main_option("script_location", str(_ROOT / "alembic"))
    return ScriptDirectory.from_config(config).get_current_head()


def _upgrade(url: str) -> None:
    """As a process of its own: alembic keeps one context in each."""
    code = "import sys; from service.db.migrations import migrate; migrate(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, url], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


_ROOT = Path(__file__).parents[2]


def test_a_migration_waits_for_another_and_stands_in_no_concurrent_builds_way(urls: Urls) -> None:
    with empty_database(urls) as url, psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as first:
        first.execute("CREATE TABLE there (id integer)")
        first.execute("SELECT pg_advisory_lock(%s)", (MIGRATION_LOCK,))
        second = threading.Thread(target=_upgrade, args=(url,))
        second.start()
        try:
            _until_asked_for(first)
            # A build waits for every statement that began before it: one that waited for our lock would never end.
            first.execute("SET statement_timeout = '20s'")
            first.execute("CREATE INDEX CONCURRENTLY ix_there ON there (id)")
            assert second.is_alive()
            assert "delivery" not in tables(url)
        finally:
            first.execute("SELECT pg_advisory_unlock(%s)", (MIGRATION_LOCK,))
            second.join()
        assert "delivery" in tables(url)


def _until_asked_for(connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND query ~ 'advisory_lock|COMMIT|ROLLBACK'"
    )
    for _ in range(600):
        if connection.execute(query).fetchone() != (0,):
            return
        time.sleep(0.05)
    raise AssertionError("nobody asked for the lock")


def test_the_first_schema_is_not_taken_back(urls: Urls) -> None:
    with empty_database(urls) as url:
        migrate(url)
        config = Config()
        config.set_main_option("script_location", str(_ROOT / "alembic"))
        config.attributes["url"] = url
        with pytest.raises(RuntimeError, match="restore a backup"):
            command.downgrade(config, "base")
        assert "delivery" in tables(url)


def test_a_role_that_may_too_much_is_refused(urls: Urls) -> None:
    plain = urls.superuser.replace("+psycopg", "", 1)
    with empty_database(urls) as url, psycopg.connect(plain, autocommit=True) as connection:
        connection.execute("ALTER ROLE zending_readonly CREATEROLE")
        try:
            with pytest.raises(psycopg.errors.RaiseException, match="must not be superuser, CREATEROLE or BYPASSRLS"):
                migrate(url)
        finally:
            connection.execute("ALTER ROLE zending_readonly NOCREATEROLE")
        assert "delivery" not in tables(url)


def test_a_superuser_may_migrate_too(urls: Urls) -> None:
    with empty_database(urls, owner="postgres") as url:
        migrate(url)
        assert "delivery" in tables(url)


def test_there_are_partitions_for_the_months_to_come(urls: Urls) -> None:
    found: dict[str, set[str]] = {}
    with empty_database(urls) as url:
        migrate(url)
        with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
            tables = connection.execute(_MONTHS).fetchall()
    for parent, child, bounds in tables:
        found.setdefault(parent, set()).add(child.removeprefix(parent))
        if child.endswith("_other"):
            assert bounds == "DEFAULT"
    assert set(found) == PARTITIONED
    today = datetime.now(UTC).date()
    months = {_month(today, ahead) for ahead in range(-1, 13)}
    for parent, names in found.items():
        assert names == {"_other"} | {f"_{month:%Y%m}" for month in months}, parent


def _month(day: date, ahead: int) -> date:
    number = day.year * 12 + day.month - 1 + ahead
    return date(number // 12, number % 12 + 1, 1)


def test_an_id_lies_in_the_partition_of_the_month_it_was_made_in(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    now = datetime.now(UTC)
    _submit(database, sender, new_id())
    assert execute(database, "SELECT tableoid::regclass::text FROM submission") == [(f"submission_{now:%Y%m}",)]
    month = _month(now.date(), 2)
    floor = lowest_id(datetime(month.year, month.month, 1, 0, 1, tzinfo=UTC))
    assert execute(database, "SELECT zending_month_floor(%s)", month) == [(floor,)]
    for each, name in ((floor, month), (uuid.UUID(int=floor.int - 1), _month(now.date(), 1))):
        _submit(database, sender, each)
        found = execute(database, "SELECT tableoid::regclass::text FROM submission WHERE id = %s", each)
        assert found == [(f"submission_{name:%Y%m}",)]


def _submit(database: TestDatabase, sender: uuid.UUID, each: uuid.UUID) -> None:
    with database.database.transaction(organisations=[sender]) as session:
        session.execute(
            text("INSERT INTO submission (organisation_id, id, mark, lane) VALUES (:sender, :id, 'live', 0)"),
            {"sender": sender, "id": each},
        )


def test_partitions_are_made_once(database: TestDatabase) -> None:
    now = datetime.now(UTC)
    with database.database.transaction() as session:
        housekeeping.make_partitions(session, now=now)
        assert housekeeping.make_partitions(session, now=now) == 0
    later = now.replace(year=now.year + 1)
    with database.database.transaction() as session:
        made = housekeeping.make_partitions(session, now=later)
        assert made == len(PARTITIONED) * (housekeeping.MONTHS_AHEAD - 1)
        assert housekeeping.make_partitions(session, now=later) == 0


def test_two_schedulers_at_once_make_each_partition_once(database: TestDatabase) -> None:
    later = datetime.now(UTC).replace(year=datetime.now(UTC).year + 2, day=1)
    made: list[int] = []
    ready = threading.Barrier(3)

    def run() -> None:
        ready.wait()
        with database.database.transaction() as session:
            made.append(housekeeping.make_partitions(session, now=later))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [0, 0, len(PARTITIONED) * housekeeping.MONTHS_AHEAD]


@pytest.mark.parametrize("months", [0, 61])
def test_no_more_partitions_are_made_than_anybody_needs(database: TestDatabase, months: int) -> None:
    with pytest.raises(Exception, match="between 1 and 60"), database.database.transaction() as session:
        session.execute(text("SELECT zending_make_partitions(current_date, :months)"), {"months": months})


def test_a_row_of_a_month_nobody_expected_is_kept_and_blocks_nothing(database: TestDatabase) -> None:
    (sender,) = organisations(database, 1)
    now = datetime.now(UTC)
    far = datetime(now.year + 3, 6, 15, tzinfo=UTC)
    lost = lowest_id(far)
    _submit(database, sender, lost)
    assert execute(database, "SELECT tableoid::regclass::text FROM submission") == [("submission_other",)]
    with database.database.transaction() as session:
        made = housekeeping.make_partitions(session, now=datetime(far.year, 1, 1, tzinfo=UTC))
    # Only the one table's one month can't be made while its rows lie in the default partition.
    assert made == len(PARTITIONED) * housekeeping.MONTHS_AHEAD - 1
    another = uuid.UUID(int=lost.int + 1)
    _submit(database, sender, another)
    with database.database.transaction(organisations=[sender]) as session:
        assert session.scalars(text("SELECT id FROM submission ORDER BY id")).all() == [lost, another]


def test_the_database_knows_whether_its_schema_is_there(database: TestDatabase, urls: Urls) -> None:
    assert execute(database, "SELECT to_regclass('public.ledger_checkpoint') IS NOT NULL") == [(True,)]
    with empty_database(urls) as url, psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
        assert connection.execute("SELECT to_regclass('public.ledger_checkpoint')").fetchone() == (None,)
