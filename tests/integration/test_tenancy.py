"""Tenants never see one another, whatever a query forgets: the tables are found in the catalogue, not in a list."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.orm import Session

from service.db.ids import new_id
from service.db.session import APPLICATION_ROLE, Database, enter_delivery, psycopg_url, widen
from service.embedded.postgres import DATABASE, READ_ONLY
from service.embedded.stack import Stack
from tests.engine_support import execute, organisations
from tests.pipeline_support import TestDatabase, fresh_database
from tests.tenancy_support import Table, insert, tables

# Read before it is known, or without regard to, for whom one works; each holds ids, codes and hashes only.
ACROSS = {
    "client": "a program is known by its id before its organisation is",
    "staff": "a person is known by the identity provider's subject before the organisation is",
    "job": "a worker takes the work of all organisations in turn",
    "pause": "it is asked in the same breath as the jobs",
}
# Columns whose bytes are encrypted, or identify a person by their hash.
PERSONAL = {"personal", "recipient_hash", "filename", "record", "salt", "data", "answer", "proof", "secret_hash",
            "code_hash", "id_hash", "prepared", "outcome", "secrets"}  # fmt: skip
APPEND_ONLY = ("evidence", "delivery_event", "activation", "ledger_leaf", "lookup", "lookup_recipient", "audit_entry",
               "signature_evidence", "mandate_act")  # fmt: skip
# About a delivery, and no business of who receives it.
SENDERS_ONLY = {
    "archive", "legal_hold", "retention_later", "submission_row", "signature_document", "signature_hold",
    "signature_renewal", "signature_request", "verification_code", "webhook_message",
}  # fmt: skip
# About a delivery in somebody's mailbox, and seen with the mandate only; see test_mandate_walls.
BY_MANDATE = {"mandate_act"}
# SQLSTATE: insufficient privilege, or a row that the policy does not let in.
FORBIDDEN = "42501"
ALICE, BOB = b"a" * 32, b"b" * 32


@dataclass(frozen=True)
class World:
    """Two organisations, each with one row in every table that has an organisation."""

    database: TestDatabase
    tables: Mapping[str, Table]
    mine: uuid.UUID
    theirs: uuid.UUID
    my_delivery: uuid.UUID
    their_delivery: uuid.UUID
    superuser: str

    def count(self, table: str, **scope: Any) -> int:
        with self.database.database.transaction(**scope) as session:
            return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

    @property
    def walled(self) -> list[Table]:
        return [table for table in self.tables.values() if "organisation_id" in table.columns and table.walled]


@pytest.fixture(scope="module")
def world(stack: Stack) -> Iterator[World]:
    assert stack.urls is not None
    with fresh_database(stack.urls, DATABASE) as database:
        found = tables(database)
        mine, theirs = organisations(database, 2)
        deliveries = {mine: new_id(), theirs: new_id()}
        name = database.owner_url.rpartition("/")[2]
        superuser = f"{stack.urls.superuser.rpartition('/')[0]}/{name}"
        with psycopg.connect(superuser.replace("+psycopg", "", 1), autocommit=True) as connection:
            # Without foreign keys and triggers: the rows need no others.
            connection.execute("SET session_replication_role = replica")
            for table in found.values():
                for whose, recipient in ((mine, ALICE), (theirs, BOB)):
                    if {"organisation_id", "recipient_hash"} & set(table.columns):
                        insert(connection, table, table.row(whose, deliveries[whose], recipient))
        yield World(
            database,
            found,
            mine,
            theirs,
            deliveries[mine],
            deliveries[theirs],
            superuser,
        )


def refused(world: World, statement: str, values: Mapping[str, object] | None = None, **scope: Any) -> str:
    """The SQLSTATE with which a statement is refused."""
    with (
        pytest.raises(DBAPIError) as caught,
        world.database.database.transaction(**scope) as session,
    ):
        session.execute(text(statement), values or {})
    return str(caught.value.orig.sqlstate)  # type: ignore[union-attr]


def test_every_table_with_an_organisation_has_its_wall_or_a_reason(world: World) -> None:
    without = {name for name, table in world.tables.items() if "organisation_id" in table.columns and not table.walled}
    assert without == set(ACROSS)
    assert len(world.walled) >= 12
    for name in ACROSS:
        assert not set(world.tables[name].columns) & (PERSONAL - {"secret_hash"})


def test_every_table_about_a_recipient_has_its_wall(world: World) -> None:
    about = {name for name, table in world.tables.items() if "recipient_hash" in table.columns}
    assert about == {name for name in about if world.tables[name].walled}
    assert {"mailbox", "activation", "activation_code", "invitation", "mailbox_item", "delivery"} <= about


def test_a_transaction_sees_its_own_organisations_rows_only(world: World) -> None:
    for table in world.walled:
        with world.database.database.transaction(organisations=[world.mine]) as session:
            seen = session.scalars(text(f"SELECT organisation_id FROM {table.name}")).all()
        assert seen == [world.mine], table.name
        assert world.count(table.name, organisations=[world.mine, world.theirs]) == 2, table.name


def test_a_transaction_without_a_scope_sees_nothing(world: World) -> None:
    for table in world.tables.values():
        if table.walled:
            assert world.count(table.name) == 0, table.name


def test_no_row_is_written_for_another_organisation(world: World) -> None:
    for table in world.walled:
        row = table.row(world.theirs, new_id(), BOB)
        names = ", ".join(row)
        values = ", ".join(
            f"CAST(:{name} AS {table.columns[name]})" if table.columns[name] != "text[]" else "'{}'" for name in row
        )
        statement = f"INSERT INTO {table.name} ({names}) VALUES ({values})"
        for scope in ({"organisations": [world.mine]}, {}):
            assert refused(world, statement, row, **scope) == FORBIDDEN, table.name


def test_no_row_of_another_organisation_is_changed_or_removed(world: World) -> None:
    for table in world.walled:
        for statement in (
            f"UPDATE {table.name} SET organisation_id = organisation_id WHERE organisation_id = '{world.theirs}'",
            f"DELETE FROM {table.name} WHERE organisation_id = '{world.theirs}'",
        ):
            for scope in ([world.mine], []):
                with world.database.database.transaction(organisations=scope) as session:
                    assert _changed(session, statement) == 0, statement
        assert world.count(table.name, organisations=[world.theirs]) == 1, table.name


def _changed(session: Session, statement: str) -> int:
    """How many rows a statement touched; none where the application may not even try."""
    inner = session.begin_nested()
    try:
        touched = int(session.execute(text(statement)).rowcount)  # type: ignore[attr-defined]
    except ProgrammingError as error:
        inner.rollback()
        if getattr(error.orig, "sqlstate", None) != FORBIDDEN:
            raise
        return 0
    inner.commit()
    return touched


def test_no_row_is_moved_to_another_organisation(world: World) -> None:
    for table in world.walled:
        statement = f"UPDATE {table.name} SET organisation_id = '{world.theirs}'"
        assert refused(world, statement, organisations=[world.mine]) == FORBIDDEN, table.name


def test_nobody_reaches_a_month_past_its_tables_wall(world: World) -> None:
    months = execute(world.database, "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")
    assert len(months) > 9 * 4
    for (month,) in months:
        assert refused(world, f"SELECT FROM {month}", organisations=[world.mine]) == FORBIDDEN


def test_a_recipient_sees_what_is_theirs_and_nothing_of_the_sender(world: World) -> None:
    for table in world.tables.values():
        if not table.walled:
            continue
        own = {"mailbox", "activation", "activation_code", "invitation", "mailbox_item", "signature_signer"}
        expected = 1 if table.name in own else 0
        assert world.count(table.name, recipients=[ALICE]) == expected, table.name
        assert world.count(table.name, recipients=[b"c" * 32]) == 0, table.name


def test_a_recipient_changes_no_other_recipients_mailbox(world: World) -> None:
    statement = text("UPDATE mailbox SET language = 'fr' WHERE recipient_hash = :hash")
    with world.database.database.transaction(recipients=[ALICE]) as session:
        assert session.execute(statement, {"hash": BOB}).rowcount == 0  # type: ignore[attr-defined]
        assert session.execute(statement, {"hash": ALICE}).rowcount == 1  # type: ignore[attr-defined]


def test_a_sender_learns_of_a_mailbox_only_whether_it_is_activated(world: World) -> None:
    execute(world.database, "UPDATE mailbox SET activated_at = now(), revoked_at = NULL WHERE recipient_hash = %s", BOB)
    execute(world.database, "UPDATE mailbox SET revoked_at = now() WHERE recipient_hash = %s", ALICE)
    with world.database.database.transaction(organisations=[world.mine]) as session:
        assert session.execute(text("SELECT count(*) FROM mailbox")).scalar_one() == 0
        asked = text("SELECT zending_activated(CAST(:hashes AS bytea[]))")
        assert session.scalars(asked, {"hashes": [ALICE, BOB, b"c" * 32]}).all() == [BOB]


def test_a_delivery_that_was_entered_is_seen_with_what_belongs_to_it_and_no_other(world: World) -> None:
    with_delivery = {name for name, table in world.tables.items() if "delivery_id" in table.columns and table.walled}
    with_delivery -= SENDERS_ONLY | BY_MANDATE
    assert {"leg", "document", "evidence", "delivery_event", "mailbox_item"} <= with_delivery
    for name in with_delivery:
        for scope in ({"delivery": world.my_delivery}, {"recipients": [b"c" * 32]}):
            with world.database.database.transaction(**scope) as session:
                enter_delivery(session, world.my_delivery)
                seen = session.scalars(text(f"SELECT delivery_id FROM {name}")).all()
            assert seen == [world.my_delivery], name
    assert world.count("delivery", delivery=world.my_delivery) == 1
    assert world.count("submission", delivery=world.my_delivery) == 0


def test_a_scope_ends_with_its_transaction(world: World) -> None:
    for _ in range(3):
        assert world.count("delivery", organisations=[world.mine]) == 1
        assert world.count("delivery") == 0


def test_a_scope_can_be_widened_for_the_rest_of_a_transaction(world: World) -> None:
    with world.database.database.transaction(organisations=[world.mine]) as session:
        widen(session, [world.mine, world.theirs])
        assert session.execute(text("SELECT count(*) FROM delivery")).scalar_one() == 2
    assert world.count("delivery") == 0


def test_composite_keys_keep_rows_with_their_organisation(world: World) -> None:
    """Even without row-level security: a leg of mine can't belong to a delivery of theirs."""
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        execute(
            world.database,
            "INSERT INTO leg (delivery_id, number, organisation_id, kind, state, since)"
            " VALUES (%s, 9, %s, 'paper', 'pending', now())",
            world.their_delivery,
            world.mine,
        )


def test_the_application_role_has_no_power_of_its_own(world: World) -> None:
    for role in (APPLICATION_ROLE, READ_ONLY):
        (rights,) = execute(
            world.database,
            "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,"
            " (SELECT count(*) FROM pg_auth_members WHERE member = pg_roles.oid),"
            " (SELECT count(*) FROM pg_class WHERE relowner = pg_roles.oid),"
            " (SELECT count(*) FROM pg_proc WHERE proowner = pg_roles.oid),"
            " (SELECT count(*) FROM pg_database WHERE datdba = pg_roles.oid)"
            " FROM pg_roles WHERE rolname = %s",
            role,
        )
        assert rights == (False, False, False, False, False, 0, 0, 0, 0)


@pytest.mark.parametrize("table", APPEND_ONLY)
def test_what_happened_is_never_changed_or_removed(world: World, table: str) -> None:
    column = next(iter(world.tables[table].columns))
    for statement in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}", f"TRUNCATE {table}"):
        assert refused(world, statement, organisations=[world.mine]) == FORBIDDEN


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE evidence DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE ledger_leaf DISABLE TRIGGER ALL",
        "DROP POLICY tenant ON delivery",
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_shadow",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT pg_ls_dir('.')",
        "SELECT lo_import('/etc/passwd')",
        "COPY organisation TO '/tmp/zending-copied'",
        "COPY organisation TO PROGRAM 'cat'",
        "SET session_replication_role = replica",
        "SET ROLE zending_owner",
        "SET ROLE postgres",
        "ALTER ROLE zending_app SUPERUSER",
        "UPDATE alembic_version SET version_num = ''",
        "UPDATE ledger_leaf SET leaf_hash = leaf_hash",
        "DELETE FROM ledger_checkpoint",
        "DELETE FROM delivery",
        "UPDATE organisation SET retention_years = 1",
    ],
)
def test_the_application_can_do_nothing_beyond_its_work(world: World, statement: str) -> None:
    assert refused(world, statement, organisations=[world.mine]) == FORBIDDEN


def test_security_definer_functions_are_few_and_hold_their_search_path(world: World) -> None:
    found = execute(
        world.database,
        "SELECT proname, proconfig, has_function_privilege('public', oid, 'EXECUTE') FROM pg_proc"
        " WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY proname",
    )
    assert [(name, public) for name, _, public in found] == [
        ("zending_activated", False),
        ("zending_activated_registered", False),
        ("zending_count_lookup", False),
        ("zending_erase_codes", False),
        ("zending_erase_deliveries", False),
        ("zending_erase_lookups", False),
        ("zending_erase_mailboxes", False),
        ("zending_erase_mandates", False),
        ("zending_erase_signature_requests", False),
        ("zending_mailboxes_left", False),
        ("zending_make_partitions", False),
        ("zending_mandates_left", False),
        ("zending_mandates_to_move", False),
        ("zending_move_mandate", False),
        ("zending_move_recipient", False),
        ("zending_sum_lookups", False),
        ("zending_verified", False),
    ]
    assert all(any(setting.startswith("search_path=pg_catalog") for setting in config) for _, config, _ in found)


def test_whoever_may_become_the_application_works_as_it(world: World) -> None:
    """Whatever role the address logs in as: a superuser, or an owner of its own."""
    owner = f"owner_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(world.superuser.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {owner} LOGIN PASSWORD 'made-for-this'")
        connection.execute(f"GRANT {APPLICATION_ROLE} TO {owner}")
        connection.execute(f"GRANT CONNECT ON DATABASE {world.superuser.rpartition('/')[2]} TO {owner}")
        connection.execute(f"ALTER TABLE lookup OWNER TO {owner}")
    host = world.superuser.rpartition("@")[2]
    for url in (world.superuser, f"postgresql://{owner}:{quote('made-for-this')}@{host}"):
        database = Database(url, pool_size=1)
        for _ in range(2):
            with database.transaction(organisations=[world.mine]) as session:
                assert session.execute(text("SELECT current_user")).scalar_one() == APPLICATION_ROLE
                assert session.execute(text("SELECT count(*) FROM lookup")).scalar_one() == 1
        database.dispose()
    with psycopg.connect(world.superuser.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute("ALTER TABLE lookup OWNER TO zending_owner")
        connection.execute(f"DROP OWNED BY {owner}")
        connection.execute(f"DROP ROLE {owner}")


def test_whoever_may_not_become_the_application_does_not_work_at_all(world: World) -> None:
    database = Database(world.database.owner_url)
    with pytest.raises(DBAPIError, match="permission denied to set role"), database.transaction() as session:
        session.execute(text("SELECT 1"))
    database.dispose()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_way_of_writing_the_address_is_understood(world: World, scheme: str) -> None:
    url = scheme + world.database.app_url.removeprefix("postgresql+psycopg")
    assert psycopg_url(url) == world.database.app_url
    database = Database(url)
    with database.session() as session:
        assert session.execute(text("SELECT current_user")).scalar_one() == APPLICATION_ROLE
    database.dispose()


def test_those_who_look_after_the_service_read_nothing_about_people(world: World, stack: Stack) -> None:
    assert stack.urls is not None
    readable = {
        (table, column)
        for table, column in execute(
            world.database,
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND c.relkind IN ('r', 'p', 'v', 'm')"
            " AND has_column_privilege('zending_readonly', c.oid, a.attnum, 'SELECT')",
        )
    }
    assert ("job", "kind") in readable
    assert not {(table, column) for table, column in readable if column in PERSONAL}
    assert {table for table, _ in readable} == {
        *("job", "pause", "print_batch", "print_cutoff", "organisation"),
        *("print_batch_report", "print_deposit", "print_exception", "print_forecast", "print_hold", "print_inbound"),
        *("print_pull", "print_series"),
        *("ledger_pending", "ledger_leaf", "ledger_tile", "ledger_head", "ledger_checkpoint", "ledger_cosignature"),
        *("ledger_past", "ledger_past_leaf", "ledger_past_tile", "ledger_past_checkpoint"),
        *("audit_entry", "end_proposal", "heartbeat", "step_tally", "recovery", "gone_out"),
    }
    writable = execute(
        world.database,
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND has_table_privilege('zending_readonly', oid, 'INSERT, UPDATE, DELETE, TRUNCATE')",
    )
    assert writable == []
