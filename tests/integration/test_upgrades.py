"""Releases beside each other: steps of the schema only expand, an older one is refused, a newer one is not."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.db import migrations
from service.db.migrations import SchemaTooOld, migrate, missing, refuse_older
from service.db.session import Database
from service.embedded.postgres import Urls
from service.embedded.stack import Stack
from service.settings import SettingsRefused
from tests.embedded_support import environment
from tests.integration.test_migrations import empty_database
from tests.pipeline_support import TestDatabase, wired

_ROOT = Path(__file__).parents[2]
FIRST = "0001"

# What the release before may rely on, a row for each thing with what it must still be; all from the catalogue.
LOOKS = {
    "columns": """
        SELECT format('%s.%s', c.relname, a.attname),
               jsonb_build_object('type', format_type(a.atttypid, a.atttypmod), 'not null', a.attnotnull,
                                  'default', pg_get_expr(d.adbin, d.adrelid), 'made', a.attgenerated)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d
          ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND a.attnum > 0 AND NOT a.attisdropped""",
    "grants on tables": """
        SELECT format('%s %s %s', grantee, privilege_type, table_name), '{}'::jsonb
        FROM information_schema.role_table_grants WHERE table_schema = 'public' AND grantee LIKE 'zending_%'""",
    "grants on columns": """
        SELECT format('%s %s %s.%s', grantee, privilege_type, table_name, column_name), '{}'::jsonb
        FROM information_schema.column_privileges WHERE table_schema = 'public' AND grantee LIKE 'zending_%'""",
    "grants on functions": """
        SELECT format('%s %s', grantee, specific_name), '{}'::jsonb FROM (
            SELECT grantee, (SELECT oid::regprocedure::text FROM pg_proc
                             WHERE specific_name = proname || '_' || oid) AS specific_name
            FROM information_schema.role_routine_grants
            WHERE specific_schema = 'public' AND grantee LIKE 'zending_%') AS named""",
    "policies": """
        SELECT format('%s %s', tablename, policyname), jsonb_build_object('roles', roles, 'cmd', cmd, 'sees',
               -- Two forms of one rule: what it lets see is the same (step 0008).
               replace(qual, '= ANY (( SELECT ARRAY[zending_delivery()] AS "array")::uuid[])',
                       '= ( SELECT zending_delivery() AS zending_delivery)'),
               'writes', with_check) FROM pg_policies WHERE schemaname = 'public'""",
    "row-level security": """
        SELECT relname::text, jsonb_build_object('on', relrowsecurity, 'owner too', relforcerowsecurity) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition""",
    "keys": """
        SELECT format('%s %s', conrelid::regclass, conname), jsonb_build_object('is', pg_get_constraintdef(oid))
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f')
          AND NOT (SELECT relispartition FROM pg_class WHERE pg_class.oid = conrelid)""",
    "checks": """
        SELECT format('%s %s', conrelid::regclass, conname), jsonb_build_object('is', pg_get_constraintdef(oid))
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype = 'c'
          AND NOT (SELECT relispartition FROM pg_class WHERE pg_class.oid = conrelid)""",
    "triggers": """
        SELECT format('%s %s', tgrelid::regclass, tgname), jsonb_build_object('on', tgenabled) FROM pg_trigger
        WHERE NOT tgisinternal AND NOT (SELECT relispartition FROM pg_class WHERE pg_class.oid = tgrelid)""",
    "sequences": "SELECT sequencename::text, '{}'::jsonb FROM pg_sequences WHERE schemaname = 'public'",
}

Catalogue = dict[str, dict[str, Any]]


def catalogue(url: str) -> Catalogue:
    with psycopg.connect(plain(url)) as connection:
        return {name: dict(connection.execute(look).fetchall()) for name, look in LOOKS.items()}  # type: ignore[arg-type]


def plain(url: str) -> str:
    return url.replace("+psycopg", "", 1)


def narrowed(before: Catalogue, after: Catalogue) -> list[str]:
    """What a program that knows the schema of before could no longer do after."""
    found = []
    for name in LOOKS.keys() - {"columns", "checks"}:
        found += [f"{name}: {key} is gone" for key in before[name].keys() - after[name].keys()]
        found += [
            f"{name}: {key} is another"
            for key in before[name].keys() & after[name].keys()
            if before[name][key] != after[name][key]
        ]
    found += _narrowed_columns(before["columns"], after["columns"])
    known = {key.partition(".")[0] for key in before["columns"]}
    for name in ("keys", "checks"):
        # What a new rule of an old table forbids, the release before may still write. A check may be widened, or be
        # about new columns only.
        new = [key for key in after[name].keys() - before[name].keys() if key.split()[0] in known]
        found += [
            f"{name}: {key} is new on a table that the release before writes"
            for key in new
            if not _is_about_new_columns(after[name][key]["is"], key.split()[0], before, after)
        ]
    return sorted(found)


def _narrowed_columns(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    tables = {key.partition(".")[0] for key in before}
    for key, was in before.items():
        now = after.get(key)
        if now is None:
            yield f"columns: {key} is gone"
        elif now["type"] != was["type"]:
            yield f"columns: {key} was {was['type']} and is {now['type']}"
        elif (now["not null"] and not was["not null"]) or (was["default"] is not None and now["default"] is None):
            yield f"columns: {key} must be given now"
    for key in after.keys() - before.keys():
        now = after[key]
        if key.partition(".")[0] in tables and now["not null"] and now["default"] is None and not now["made"]:
            yield f"columns: {key} is new and must be given"


def _is_about_new_columns(definition: str, table: str, before: Catalogue, after: Catalogue) -> bool:
    old = {key.partition(".")[2] for key in before["columns"] if key.startswith(f"{table}.")}
    fresh = {key.partition(".")[2] for key in after["columns"] if key.startswith(f"{table}.")} - old
    return any(name in definition for name in fresh)


@pytest.fixture(scope="module")
def urls(stack: Stack) -> Urls:
    assert stack.urls is not None
    return stack.urls


def upgrade(url: str, number: str) -> None:
    """In a process of its own: alembic keeps one context in each."""
    code = (
        "import sys; from alembic import command; from alembic.config import Config; c = Config();"
        "c.set_main_option('script_location', sys.argv[1]); c.attributes['url'] = sys.argv[2];"
        "command.upgrade(c, sys.argv[3])"
    )
    command_line = [sys.executable, "-c", code, str(_ROOT / "alembic"), url, number]
    done = subprocess.run(command_line, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def states(urls: Urls) -> list[tuple[str, Catalogue]]:
    """The catalogue after each step, in order."""
    found = []
    with empty_database(urls) as url:
        for step in migrations.migrations():
            upgrade(url, step.number)
            found.append((step.number, catalogue(url)))
    return found


def test_steps_after_the_first_only_expand(states: list[tuple[str, Catalogue]]) -> None:
    assert states[0][0] == FIRST
    for (_, before), (number, after) in itertools.pairwise(states):
        assert (number, narrowed(before, after)) == (number, [])
    assert narrowed(states[0][1], states[-1][1]) == []


NARROWING: dict[str, tuple[str, str]] = {
    "a dropped column": ("ALTER TABLE staff DROP COLUMN role", "columns: staff.role is gone"),
    "a renamed column": ("ALTER TABLE staff RENAME COLUMN role TO part", "columns: staff.role is gone"),
    "a narrowed type": ("ALTER TABLE organisation ALTER lookup_quota TYPE integer", "columns: organisation.lookup"),
    "a new duty": ("ALTER TABLE job ADD COLUMN must text NOT NULL", "columns: job.must is new and must be given"),
    "an old column's duty": ("ALTER TABLE job ALTER last_error SET NOT NULL", "columns: job.last_error must be given"),
    "a default taken away": ("ALTER TABLE job ALTER attempts DROP DEFAULT", "columns: job.attempts must be given"),
    "a revoked grant": ("REVOKE INSERT ON evidence FROM zending_app", "grants on tables: zending_app INSERT evidence"),
    "a policy taken away": ("DROP POLICY tenant ON delivery", "policies: delivery tenant is gone"),
    "another policy": ("ALTER POLICY tenant ON delivery USING (true)", "policies: delivery tenant is another"),
    "row-level security": ("ALTER TABLE delivery DISABLE ROW LEVEL SECURITY", "row-level security: delivery"),
    "a new key": ("ALTER TABLE job ADD CONSTRAINT once UNIQUE (subject_id)", "keys: job once is new"),
    "a new check": ("ALTER TABLE job ADD CONSTRAINT few CHECK (attempts < 3)", "checks: job few is new"),
}


@pytest.mark.parametrize(("statement", "told"), NARROWING.values(), ids=NARROWING)
def test_the_look_at_the_catalogue_sees_what_narrows(urls: Urls, statement: str, told: str) -> None:
    with empty_database(urls) as url:
        upgrade(url, FIRST)
        before = catalogue(url)
        with psycopg.connect(plain(url), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]
        assert any(each.startswith(told) for each in narrowed(before, catalogue(url)))


def test_what_is_missing_is_listed_in_order_and_nothing_is_after_a_migration(urls: Urls) -> None:
    every = [step.number for step in migrations.migrations()]
    with empty_database(urls) as url:
        assert [step.number for step in missing(url)] == every
        upgrade(url, every[2])
        assert [step.number for step in missing(url)] == every[3:]
        told = zending(url, "migrate", "--check")
        assert (told.returncode, told.stdout.split("\n")[0][:4]) == (1, every[3])
        assert zending(url, "migrate", "--plan").returncode == 0
        migrate(url)
        assert missing(url) == []
        told = zending(url, "migrate", "--check")
        assert (told.returncode, told.stdout) == (0, "Nothing is missing.\n")


def zending(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    variables = environment() | {"DATABASE_OWNER_URL": url}
    command_line = [sys.executable, "-m", "service.cli", *arguments]
    return subprocess.run(command_line, env=variables, capture_output=True, text=True, check=False)


def test_a_process_refuses_a_schema_that_lacks_steps(stack: Stack, database: TestDatabase, tmp_path: Path) -> None:
    last, newest = migrations.migrations()[-2:]
    execute(database, f"UPDATE alembic_version SET version_num = '{last.number}'")
    with pytest.raises(SettingsRefused) as refused, wired(stack, database, tmp_path):
        pass
    assert f"has the schema of step {last.number}, and this release needs step {newest.number}" in str(refused.value)
    assert "zending migrate" in str(refused.value)


def test_a_process_works_on_a_newer_schema(stack: Stack, database: TestDatabase, tmp_path: Path) -> None:
    execute(database, "UPDATE alembic_version SET version_num = '9999'")
    with wired(stack, database, tmp_path) as application:
        assert application.context.database is not None
    assert missing(database.owner_url) == []


def test_a_database_that_was_never_migrated_or_hides_its_step_is_refused(urls: Urls, database: TestDatabase) -> None:
    execute(database, "REVOKE SELECT ON alembic_version FROM zending_app")
    with pytest.raises(SchemaTooOld, match="no schema yet"):
        refuse_older(database.database)


def test_a_database_that_is_away_stops_no_start() -> None:
    away = Database("postgresql://zending_app@127.0.0.1:1/none")
    try:
        refuse_older(away)
    finally:
        away.dispose()


def execute(database: TestDatabase, statement: str) -> None:
    with psycopg.connect(plain(database.owner_url), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]
