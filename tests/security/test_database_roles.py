"""The database roles of the application and of onlookers have exactly the rights that they need, and no others."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from tests.pipeline_support import TestDatabase, fresh_database

Connection = psycopg.Connection[Any]

ADD = ("insert", "select")
CHANGE = ("insert", "select", "update")
TAKE = ("delete", "insert", "select")
EVERYTHING = ("delete", "insert", "select", "update")
_APPLICATION = {
    ("select",): "alembic_version ledger_past ledger_past_checkpoint ledger_past_leaf ledger_past_tile lookup_hour",
    ADD: (
        "activation audit_entry client delivery_event end_proposal evidence gone_out lane_use ledger_checkpoint"
        " ledger_cosignature ledger_head ledger_leaf ledger_tile legal_hold lookup lookup_recipient mandate mandate_act"
        " organisation"
        " organisation_limit outage print_batch_report print_forecast print_exception print_report print_scan"
        " print_series recovery"
        " signature_evidence signature_hold staff verification_code webhook_attempt"
    ),
    TAKE: "invitation ledger_pending print_hold quota_use",
    CHANGE: (
        "delivery document index_walk leg mailbox mailbox_item print_batch print_cutoff print_deposit print_inbound"
        " print_pull print_pull_letter print_return retention_year step_tally"
        " signature_document signature_request signature_signer submission"
    ),
    EVERYTHING: (
        "activation_code archive client_assertion heartbeat idempotency_key job pause print_letter retention_later"
        " retention_rule retention_walk signature_renewal submission_part submission_row term vault_object"
        " vault_removal web_session webhook webhook_message"
    ),
    ("usage",): "print_batch_number print_set",
}
_READERS = (
    "audit_entry end_proposal gone_out heartbeat job ledger_checkpoint ledger_cosignature ledger_head ledger_leaf"
    " ledger_past ledger_past_checkpoint ledger_past_leaf ledger_past_tile ledger_pending ledger_tile organisation"
    " pause print_batch print_batch_report print_cutoff print_deposit print_exception print_forecast print_hold"
    " print_inbound print_pull print_series recovery step_tally"
)
TABLES: dict[str, dict[str, tuple[str, ...]]] = {
    "zending_app": {name: rights for rights, names in _APPLICATION.items() for name in names.split()},
    "zending_readonly": dict.fromkeys(_READERS.split(), ("select",)),
}
"""Every table and sequence with the rights that a role has on it. A new one is added here on purpose."""
COLUMNS = {
    "client": "active jwks scopes secret_hash",
    "end_proposal": "confirmed_at confirmed_by",
    "invitation": "used_at",
    "lane_use": "deliveries minute",
    "ledger_checkpoint": "timestamp_token",
    "ledger_head": "root signed_size size updated_at",
    "ledger_tile": "hashes width",
    "legal_hold": "ended_at ended_by",
    "signature_hold": "ended_at ended_by",
    "mandate": "accepted_at code_hash code_key revoked_at revoked_by tries_left",
    "organisation": (
        "contact document_types logo logo_sha256 lookup_quota name return_address returned_mail seal_profile"
        " share_envelopes undeliverable"
    ),
    "organisation_limit": "burst changed_at daily_bytes daily_deliveries interactive_per_minute requests_per_second",
    "print_series": "next taken_at",
    "quota_use": "bytes deliveries",
    "print_exception": "seen_at seen_by",
    "recovery": "confirmed_at confirmed_by",
    "staff": "active",
}
"""What the application may update of tables of which it may not update everything."""
FUNCTIONS = {
    "zending_activated(bytea[])",
    "zending_activated_registered(bytea[])",
    "zending_erase_codes(timestamp with time zone,integer)",
    "zending_erase_deliveries(uuid[])",
    "zending_erase_lookups(timestamp with time zone,integer)",
    "zending_erase_mandates(timestamp with time zone,timestamp with time zone,integer)",
    "zending_erase_mailboxes(timestamp with time zone,integer)",
    "zending_erase_signature_requests(uuid[])",
    "zending_count_lookup()",
    "zending_mailboxes_left(text)",
    "zending_mandates_left(text)",
    "zending_mandates_to_move(text,uuid,integer)",
    "zending_move_mandate(uuid,bytea,bytea,text)",
    "zending_make_partitions(date,integer)",
    "zending_move_recipient(bytea,bytea,bytea,text)",
    "zending_verified(bytea)",
    "zending_sum_lookups(uuid,timestamp with time zone)",
}
"""What the application may call of functions that run with their owner's rights."""
APPEND_ONLY = (
    "activation",
    "audit_entry",
    "delivery_event",
    "evidence",
    "ledger_leaf",
    "lookup",
    "lookup_recipient",
    "mandate_act",
    "print_batch_report",
    "print_report",
    "print_scan",
    "signature_evidence",
)


@pytest.fixture(scope="module")
def shared(stack: Stack) -> Iterator[TestDatabase]:
    assert stack.urls is not None
    with fresh_database(stack.urls, DATABASE) as made:
        yield made


@pytest.fixture
def owner(shared: TestDatabase) -> Iterator[Connection]:
    with psycopg.connect(shared.owner_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection


@pytest.fixture
def application(shared: TestDatabase) -> Iterator[Connection]:
    with psycopg.connect(shared.app_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("role", sorted(TABLES))
def test_a_role_has_exactly_these_rights_on_tables(owner: Connection, role: str) -> None:
    query = (
        "SELECT c.relname, lower(g.privilege_type) FROM pg_class c, aclexplode(c.relacl) g"
        " WHERE c.relnamespace = 'public'::regnamespace AND g.grantee = %s::regrole ORDER BY 2"
    )
    found: dict[str, tuple[str, ...]] = {}
    for table, right in owner.execute(query, (role,)):
        found[table] = (*found.get(table, ()), right)
    assert found == TABLES[role]


def test_the_application_may_update_only_these_columns_of_what_stands(owner: Connection) -> None:
    query = (
        "SELECT a.attrelid::regclass::text, a.attname, g.privilege_type, g.grantee::regrole::text"
        " FROM pg_attribute a, aclexplode(a.attacl) g WHERE g.grantee <> 0 AND a.attrelid >= 16384 ORDER BY 2"
    )
    found: dict[str, str] = {}
    for table, column, right, role in owner.execute(query):
        assert (right, role) == ("UPDATE", "zending_app"), (table, column)
        found[table] = f"{found.get(table, '')} {column}".strip()
    assert found == COLUMNS


def test_everybody_has_no_right_on_any_table(owner: Connection) -> None:
    query = (
        "SELECT c.relname FROM pg_class c, aclexplode(c.relacl) g"
        " WHERE c.relnamespace = 'public'::regnamespace AND g.grantee = 0"
    )
    assert owner.execute(query).fetchall() == []


def test_functions_with_the_owners_rights_are_these_and_trust_no_path(owner: Connection) -> None:
    query = (
        "SELECT oid::regprocedure::text, proconfig FROM pg_proc"
        " WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    )
    found = dict(owner.execute(query).fetchall())
    assert set(found) == FUNCTIONS
    for name, config in found.items():
        assert config == ["search_path=pg_catalog, public, pg_temp"], name


def test_only_the_application_may_call_them(owner: Connection) -> None:
    query = (
        "SELECT p.oid::regprocedure::text, g.grantee FROM pg_proc p,"
        " aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g"
        " WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace"
        " AND g.grantee NOT IN (p.proowner, 'zending_app'::regrole)"
    )
    assert owner.execute(query).fetchall() == []


@pytest.mark.parametrize("role", sorted(TABLES))
def test_a_role_is_nobody_special_and_belongs_to_nobody(owner: Connection, role: str) -> None:
    query = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = %s"
    assert owner.execute(query, (role,)).fetchone() == (False,) * 5
    assert owner.execute("SELECT roleid FROM pg_auth_members WHERE member = %s::regrole", (role,)).fetchall() == []


REFUSED = {
    "make a table": "CREATE TABLE mine (x int)",
    "make a temporary table": "CREATE TEMPORARY TABLE mine (x int)",
    "make a schema": "CREATE SCHEMA mine",
    "make a function": "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "become the owner": "SET ROLE zending_owner",
    "become the onlooker": "SET ROLE zending_readonly",
    "read passwords": "SELECT rolpassword FROM pg_authid",
    "read files": "SELECT pg_read_file('postgresql.conf')",
    "list folders": "SELECT pg_ls_dir('.')",
    "write files": "COPY organisation TO '/tmp/x'",
    "run programs": "COPY organisation TO PROGRAM 'id'",
    "import files": "SELECT lo_import('/etc/passwd')",
    "end others": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'zending_owner'"
    " UNION ALL SELECT pg_reload_conf()",
    "switch triggers off": "SET session_replication_role = replica",
    "switch row security off": "ALTER TABLE delivery DISABLE ROW LEVEL SECURITY",
    "change the migrations' mark": "UPDATE alembic_version SET version_num = '0000'",
    "empty a table": "TRUNCATE delivery",
    "remove deliveries": "DELETE FROM delivery",
    "rename an organisation's slug": "UPDATE organisation SET slug = 'x'",
    "move a client to another organisation": "UPDATE client SET organisation_id = organisation_id",
    "change who published": "UPDATE ledger_checkpoint SET note = note",
}


@pytest.mark.parametrize("act", sorted(REFUSED))
def test_the_application_can_not(application: Connection, act: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        application.execute(REFUSED[act])
    # 42501: insufficient privilege; PostgreSQL says so and nothing else, or the attempt failed for a wrong reason.
    assert caught.value.sqlstate == "42501", str(caught.value)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("act", ["update", "delete"])
def test_what_is_appended_stands(application: Connection, table: str, act: str) -> None:
    name = sql.Identifier(table)
    column = application.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(name)).description
    assert column
    changed = sql.SQL("UPDATE {} SET {} = NULL").format(name, sql.Identifier(column[0].name))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application.execute(changed if act == "update" else sql.SQL("DELETE FROM {}").format(name))


def test_without_a_scope_nothing_of_anybody_is_seen(application: Connection, owner: Connection) -> None:
    query = (
        "SELECT relname FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relrowsecurity AND NOT relispartition"
    )
    tables = [name for (name,) in owner.execute(query)]
    assert {"delivery", "document", "evidence", "mailbox_item", "quota_use"} <= set(tables)
    for table in tables:
        found = application.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        assert found == (0,), table
