"""What a simulated print house knows, in one SQLite file: every change is committed before anything is told."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS parcel (
    name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, refused TEXT, sender TEXT, batch INTEGER, stamp TEXT,
    letters INTEGER, sheets INTEGER, times INTEGER NOT NULL DEFAULT 1, delete_at REAL, deleted INTEGER DEFAULT 0
);
CREATE TABLE IF NOT EXISTS letter (
    id TEXT, attempt INTEGER, parcel TEXT NOT NULL, sheets INTEGER NOT NULL, rejected TEXT, printed_at REAL,
    posted_at REAL, pulled INTEGER NOT NULL DEFAULT 0, envelope TEXT, PRIMARY KEY (id, attempt)
);
CREATE TABLE IF NOT EXISTS happening (
    event_id TEXT PRIMARY KEY, id TEXT NOT NULL, attempt INTEGER NOT NULL, event TEXT NOT NULL, at REAL NOT NULL,
    tell_at REAL NOT NULL, cause TEXT, sheets INTEGER, postage INTEGER, registered TEXT,
    times INTEGER NOT NULL DEFAULT 1, told INTEGER NOT NULL DEFAULT 0, envelope TEXT
);
CREATE INDEX IF NOT EXISTS happening_due ON happening (tell_at) WHERE told < times;
CREATE INDEX IF NOT EXISTS happening_letter ON happening (id, attempt);
CREATE TABLE IF NOT EXISTS picture (
    id TEXT, attempt INTEGER, what TEXT, at REAL NOT NULL, cause TEXT, sheet_code TEXT, ending TEXT NOT NULL,
    content BLOB NOT NULL, told INTEGER NOT NULL DEFAULT 0, envelope TEXT, PRIMARY KEY (id, attempt, what)
);
CREATE TABLE IF NOT EXISTS outgoing (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS seen (name TEXT PRIMARY KEY, look TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""

_ENVELOPED: Final = ("letter", "happening", "picture")
"""``envelope`` is the sender and the set of an envelope that letters share; what happens to it stands at its first."""


@dataclass(frozen=True)
class Counts:
    """Where a print house stands."""

    parcels: int
    submitted_again: int
    refused: int
    letters: int
    rejected: int
    printed: int
    sheets: int
    posted: int
    pulled: int
    deleted: int


class Book:
    """The file; one process at a time writes it."""

    def __init__(self, file: Path) -> None:
        """Open or make it."""
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_TABLES)
        for table in _ENVELOPED:
            # A book that was begun before letters shared envelopes.
            if all(row["name"] != "envelope" for row in self.rows(f"PRAGMA table_info({table})")):
                self.run(f"ALTER TABLE {table} ADD COLUMN envelope TEXT")
        self.run("CREATE INDEX IF NOT EXISTS letter_envelope ON letter (envelope) WHERE envelope IS NOT NULL")
        self.run("CREATE INDEX IF NOT EXISTS happening_envelope ON happening (envelope) WHERE envelope IS NOT NULL")

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """All that happens in the block, or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def run(self, statement: str, *values: object) -> int:
        """Change rows; how many were."""
        return self._connection.execute(statement, values).rowcount

    def rows(self, statement: str, *values: object) -> Sequence[sqlite3.Row]:
        """Read rows."""
        return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, *values: object) -> sqlite3.Row | None:
        """Read one row, or None."""
        found: sqlite3.Row | None = self._connection.execute(statement, values).fetchone()
        return found

    def count(self, name: str) -> int:
        """The next number of a row of numbers, from 1."""
        found = self.row(
            "INSERT INTO counter VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value", name
        )
        assert found is not None
        return int(found[0])

    def counts(self) -> Counts:
        """Where the house stands."""
        parcels = self.row(
            "SELECT count(*), coalesce(sum(times - 1), 0), count(refused), coalesce(sum(deleted), 0) FROM parcel"
        )
        letters = self.row(
            "SELECT count(*), count(rejected), count(printed_at), count(posted_at), coalesce(sum(pulled), 0),"
            " coalesce(sum(sheets) FILTER (WHERE printed_at IS NOT NULL), 0) FROM letter"
        )
        assert parcels is not None
        assert letters is not None
        return Counts(
            parcels=parcels[0],
            submitted_again=parcels[1],
            refused=parcels[2],
            deleted=parcels[3],
            letters=letters[0],
            rejected=letters[1],
            printed=letters[2],
            posted=letters[3],
            pulled=letters[4],
            sheets=letters[5],
        )
