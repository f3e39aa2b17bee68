"""Tables as PostgreSQL's catalogue knows them, and rows that fit them: whoever adds a table has it tested."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from service.db.ids import new_id
from tests.engine_support import execute
from tests.pipeline_support import TestDatabase

_TABLES = """
    SELECT c.relname, c.relrowsecurity,
           array_agg(a.attname::text ORDER BY a.attnum),
           array_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum),
           coalesce((SELECT string_agg(pg_get_constraintdef(k.oid), ' ') FROM pg_constraint k
                     WHERE k.conrelid = c.oid AND k.contype = 'c'), '')
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    GROUP BY c.oid, c.relname, c.relrowsecurity ORDER BY c.relname
"""


@dataclass(frozen=True)
class Table:
    """A table as the catalogue knows it."""

    name: str
    walled: bool
    columns: Mapping[str, str]
    checks: str

    def row(self, organisation: uuid.UUID, delivery: uuid.UUID, recipient: bytes) -> dict[str, object]:
        """A row that every constraint but foreign keys lets in."""
        given: dict[str, object] = {
            "organisation_id": organisation,
            "delivery_id": delivery,
            "subject_id": delivery,
            "recipient_hash": recipient,
        }
        if self.name == "delivery":
            given["id"] = delivery
        if self.name == "pause":
            given["kind"] = "on_lease"
        return {name: given.get(name, self._value(name, kind)) for name, kind in self.columns.items()}

    def _value(self, column: str, kind: str) -> object:
        words = re.search(rf"\(\(?{column} = ANY \(ARRAY\['(\w+)'", self.checks)
        if words:
            return words[1]
        made: dict[str, Callable[[], object]] = {
            "uuid": new_id,
            "text": lambda: uuid.uuid4().hex,
            "bytea": lambda: uuid.uuid4().bytes * 2,
            "boolean": lambda: False,
            "jsonb": lambda: "[]",
            "text[]": list,
            "date": lambda: "2026-11-23",
            "timestamp with time zone": lambda: "2026-11-23T12:00:00Z",
        }
        return made.get(kind, lambda: 1)()


def tables(database: TestDatabase) -> dict[str, Table]:
    """Every table; the months of a partitioned one are not told apart."""
    return {
        name: Table(name, walled, dict(zip(columns, kinds, strict=True)), checks)
        for name, walled, columns, kinds, checks in execute(database, _TABLES)
    }


def insert(connection: "psycopg.Connection[Any]", table: Table, row: Mapping[str, object]) -> None:
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table.name),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    connection.execute(statement, list(row.values()))
