"""Steps of the schema on full tables: none that is still to be released holds writers up while it reads a whole table.

Every step after the last that was released is run, and what each of its statements locked and read is taken from the
database itself: a lock that writers wait for passes only where nothing of the table was read, rewritten or changed.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from service.db import migrations
from service.db.migrations import migrate
from service.embedded.postgres import Urls
from service.embedded.stack import Stack
from tests.embedded_support import until
from tests.integration.test_migrations import empty_database
from tests.integration.test_upgrades import plain, upgrade

RELEASED = "0007"
"""The last step that was run where tables may be full; those up to it stay as they are."""
SMALL = ("organisation", "client", "staff", "pause", "print_cutoff", "print_batch", "alembic_version", "ledger_head",
         "organisation_limit", "retention_rule", "retention_walk", "recovery", "legal_hold", "promise")  # fmt: skip
"""Tables that no delivery makes longer; in all others there may be millions of rows."""

WATCH = """
CREATE SCHEMA watching;
CREATE TABLE watching.table_there AS
    SELECT c.oid, c.relname::text AS name FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
      AND coalesce((SELECT p.relname FROM pg_inherits JOIN pg_class p ON p.oid = inhparent WHERE inhrelid = c.oid),
                   c.relname) <> ALL ('{small}');
CREATE TABLE watching.held_up (statement text, name text, what text);
-- Locks that make writers wait; at the end of each statement that defines something, until its transaction ends.
CREATE FUNCTION watching.note() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO watching.held_up
    SELECT tg_tag, t.name, format('%s while %s times read', l.mode, pg_stat_get_xact_numscans(t.oid))
    FROM pg_locks l JOIN watching.table_there t ON t.oid = l.relation
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
      AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      AND pg_stat_get_xact_numscans(t.oid) > 0;
END $$;
CREATE FUNCTION watching.note_rewrite() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO watching.held_up SELECT tg_tag, t.name, 'rewritten' FROM watching.table_there t
    WHERE t.oid = pg_event_trigger_table_rewrite_oid();
END $$;
GRANT USAGE ON SCHEMA watching TO PUBLIC;
CREATE EVENT TRIGGER watching_end ON ddl_command_end EXECUTE FUNCTION watching.note();
CREATE EVENT TRIGGER watching_rewrite ON table_rewrite EXECUTE FUNCTION watching.note_rewrite();
"""
CHANGED = """
    SELECT t.name, format('%s rows changed', n_tup_upd + n_tup_del) FROM watching.table_there t
    JOIN pg_stat_all_tables s ON s.relid = t.oid WHERE n_tup_upd + n_tup_del > 0
"""
OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
FILL = """
    INSERT INTO submission (organisation_id, id, mark, lane)
        SELECT '00000000-0000-0000-0000-000000000000', uuidv7(), 'live', 1 FROM generate_series(1, 20);
    INSERT INTO lookup (id, organisation_id, client_id, purpose, recipients)
        SELECT uuidv7(), '00000000-0000-0000-0000-000000000000', 'client', 'delivery', 1 FROM generate_series(1, 20);
    INSERT INTO job (id, kind, organisation_id, lane, subject_id, last_error)
        SELECT uuidv7(), 'seal', '00000000-0000-0000-0000-000000000000', 1, uuidv7(), '' FROM generate_series(1, 20);
"""


@pytest.fixture(scope="module")
def urls(stack: Stack) -> Urls:
    assert stack.urls is not None
    return stack.urls


@contextmanager
def watched(urls: Urls, number: str) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """A database at a step, with rows, that notes what later steps do to its tables: its address, and a superuser."""
    with empty_database(urls) as url:
        upgrade(url, number)
        superuser = plain(urls.superuser).rpartition("/")[0] + "/" + url.rpartition("/")[2]
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(FILL)
            connection.execute(WATCH.replace("{small}", "{" + ",".join(SMALL) + "}"))  # type: ignore[arg-type]
            yield url, connection


def held_up(connection: psycopg.Connection[Any]) -> list[tuple[str, ...]]:
    """What made writers wait, or would change rows while they do; the step's process has ended by then."""
    # Numbers of rows come from a process's own counts, which it hands in when it ends: after its client left.
    until(lambda: connection.execute(OTHERS).fetchone() == (0,))
    found = connection.execute("SELECT DISTINCT statement, name, what FROM watching.held_up").fetchall()
    connection.execute("SELECT pg_stat_force_next_flush()")
    return sorted(found) + [("rows", *row) for row in connection.execute(CHANGED).fetchall()]


def test_no_step_that_is_still_to_be_released_holds_writers_up(urls: Urls) -> None:
    numbers = [step.number for step in migrations.migrations()]
    assert RELEASED in numbers
    with watched(urls, RELEASED) as (url, connection):
        for number in numbers[numbers.index(RELEASED) + 1 :]:
            upgrade(url, number)
            assert (number, held_up(connection)) == (number, [])


HOLDING: dict[str, tuple[str, str]] = {
    "an index": ("CREATE INDEX ix_new ON submission (created_at)", "submission_"),
    "an index of one month": ("CREATE INDEX ix_new ON submission_other (created_at)", "submission_other"),
    "a rule that is looked up in every row": ("ALTER TABLE lookup ADD CHECK (recipients > 0)", "lookup"),
    "a duty that is looked up in every row": ("ALTER TABLE job ALTER last_error SET NOT NULL", "job"),
    "another type": ("ALTER TABLE lookup ALTER recipients TYPE bigint", "lookup"),
    "a default for each row": ("ALTER TABLE lookup ADD COLUMN part uuid DEFAULT gen_random_uuid()", "lookup"),
    "a key to another table": (
        "ALTER TABLE lookup ADD CONSTRAINT once_more FOREIGN KEY (organisation_id) REFERENCES organisation",
        "lookup",
    ),
    "rows that are filled in": ("ALTER TABLE lookup ADD COLUMN part text; UPDATE lookup SET part = 'a'", "lookup"),
}
HARMLESS = (
    "ALTER TABLE lookup ADD COLUMN part text",
    "ALTER TABLE submission ADD COLUMN part integer NOT NULL DEFAULT 0",
    "ALTER TABLE lookup ADD CHECK (recipients > 0) NOT VALID",
    "CREATE TABLE fresh (id uuid PRIMARY KEY, lookup_id uuid); CREATE INDEX ix_fresh ON fresh (lookup_id)",
    "CREATE INDEX ix_small ON organisation (name)",
    "CREATE INDEX CONCURRENTLY ix_new ON lookup (client_id)",
)


@pytest.fixture(scope="module")
def full(urls: Urls) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    with watched(urls, RELEASED) as found:
        yield found


@pytest.mark.parametrize(("statements", "table"), HOLDING.values(), ids=HOLDING)
def test_the_watch_sees_what_holds_writers_up(
    full: tuple[str, psycopg.Connection[Any]], statements: str, table: str
) -> None:
    url, connection = full
    assert held_up(connection) == []
    try:
        with psycopg.connect(plain(url)) as step:
            step.execute(statements)  # type: ignore[call-overload]
            step.commit()
        assert any(name.startswith(table) for _, name, _ in held_up(connection))
    finally:
        _undo(connection)


def _undo(connection: psycopg.Connection[Any]) -> None:
    connection.execute("ALTER EVENT TRIGGER watching_end DISABLE; ALTER EVENT TRIGGER watching_rewrite DISABLE")
    connection.execute(
        "DROP INDEX IF EXISTS ix_new; ALTER TABLE lookup DROP CONSTRAINT IF EXISTS once_more;"
        "ALTER TABLE job ALTER last_error DROP NOT NULL; ALTER TABLE lookup DROP COLUMN IF EXISTS part;"
        "ALTER TABLE lookup DROP CONSTRAINT IF EXISTS lookup_recipients_check;"
        "TRUNCATE watching.held_up; SELECT pg_stat_reset()"
    )
    connection.execute("ALTER EVENT TRIGGER watching_end ENABLE; ALTER EVENT TRIGGER watching_rewrite ENABLE")


def test_the_watch_lets_pass_what_only_touches_the_catalogue(full: tuple[str, psycopg.Connection[Any]]) -> None:
    url, connection = full
    for statement in HARMLESS:
        with psycopg.connect(plain(url), autocommit=True) as step:
            step.execute(statement)  # type: ignore[call-overload]
        assert (statement, held_up(connection)) == (statement, [])
        with psycopg.connect(plain(url), autocommit=True) as step:
            step.execute("ALTER TABLE lookup DROP COLUMN IF EXISTS part")
            step.execute("ALTER TABLE submission DROP COLUMN IF EXISTS part")
    _undo(connection)


def test_a_step_asks_again_for_a_lock_that_somebody_holds(urls: Urls) -> None:
    """Writers wait two seconds at most behind it each time, and it comes through once the holder is done."""
    with empty_database(urls) as url:
        upgrade(url, "0005")
        paused: list[float] = []
        holder = psycopg.connect(plain(url))
        # As a writer that has not committed: the next step adds a column to this table.
        holder.execute("LOCK TABLE delivery IN ROW EXCLUSIVE MODE")

        def pause(seconds: float) -> None:
            paused.append(seconds)
            holder.close()

        began = time.monotonic()
        waiting = threading.Timer(0.5, _write, (url,))
        waiting.start()
        migrate(url, sleep=pause)
        waiting.join()
        assert len(paused) == 1
        assert time.monotonic() - began < 20
        assert migrations.missing(url) == []


def _write(url: str) -> None:
    with psycopg.connect(plain(url), options="-c lock_timeout=4s") as connection:
        connection.execute("LOCK TABLE delivery IN ROW EXCLUSIVE MODE")
