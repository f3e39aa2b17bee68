"""Rows and steps for tests of the engine and of the tables: made as the owner, used as the application."""

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy.orm import Session

from service.db import jobs
from service.db.ids import new_id
from service.db.jobs import JobKind, Lane, Leased, NewJob
from service.engine.steps import Outcome, Step, each, run_chunk
from tests.pipeline_support import TestDatabase

LEASE = 60
SHORT_LEASE = 4
"""Seconds of a lease that is outlasted: what goes before the first beat, and each beat, has three on a busy machine."""


def execute(database: TestDatabase, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement as the owner, whom row-level security does not hold; return its rows."""
    with psycopg.connect(database.owner_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []


def organisations(database: TestDatabase, count: int) -> list[uuid.UUID]:
    """New organisations, in the order of their ids."""
    made = sorted(new_id() for _ in range(count))
    for each_id in made:
        execute(
            database,
            "INSERT INTO organisation (id, slug, name, kind, seal_profile) VALUES (%s, %s, 'An agency',"
            " 'administration', 'seal')",
            each_id,
            each_id.hex,
        )
    return made


def put(
    database: TestDatabase,
    organisation: uuid.UUID,
    count: int = 1,
    *,
    kind: JobKind = JobKind.SEAL,
    lane: Lane = Lane.BULK,
) -> list[uuid.UUID]:
    """Put jobs, due one after the other; return their subjects."""
    subjects = [new_id() for _ in range(count)]
    with database.database.transaction() as session:
        jobs.put(session, [NewJob(kind, organisation, subject, lane=lane) for subject in subjects])
    return subjects


def lease(database: TestDatabase, most: int, *, kind: JobKind = JobKind.SEAL) -> list[Leased]:
    with database.database.transaction() as session:
        return jobs.lease(session, kind, most=most, seconds=LEASE)


def lease_alone(database: TestDatabase, *, kind: JobKind = JobKind.SEAL) -> list[Leased]:
    with database.database.transaction() as session:
        return jobs.lease_alone(session, kind, seconds=LEASE)


def end_leases(database: TestDatabase) -> None:
    """As if the workers had been silent for longer than their leases."""
    execute(database, "UPDATE job SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL")


def outlast_leases(database: TestDatabase) -> None:
    """Work for longer than the leases that hold now: by the database's clock, which is the one they go by."""
    (until,) = execute(database, "SELECT max(lease_until) FROM job")[0]
    while not execute(database, "SELECT clock_timestamp() > %s", until)[0][0]:
        time.sleep(0.1)


def make_due(database: TestDatabase) -> None:
    """As if the time until the next attempts had passed."""
    execute(database, "UPDATE job SET due_at = now() - interval '1 second'")


@dataclass(frozen=True)
class Row:
    """What is stored of a job."""

    attempts: int
    failures: int
    suspect: bool
    held: bool
    parked: bool
    error: str | None
    seconds: float


def row(database: TestDatabase, subject: uuid.UUID) -> Row | None:
    """The job of a subject; None when it is gone."""
    rows = execute(
        database,
        "SELECT attempts, failures, suspect, coalesce(lease_until > now(), false), parked_at IS NOT NULL, last_error,"
        " extract(epoch FROM due_at - now())::float FROM job WHERE subject_id = %s",
        subject,
    )
    return Row(*rows[0]) if rows else None


def there(database: TestDatabase, subject: uuid.UUID) -> Row:
    found = row(database, subject)
    assert found is not None, "the job is gone"
    return found


@dataclass
class Bench:
    """A step that remembers what it was asked to do; ``function`` works, ``on_record`` runs in the transaction."""

    function: Callable[[Leased], object] = lambda _: None
    on_record: Callable[[Session, Sequence[Outcome[Leased, object]]], None] = lambda *_: None
    chunk: int = 10
    performed: list[uuid.UUID] = field(default_factory=list)
    recorded: list[uuid.UUID] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self, **more: Any) -> Step[Leased, object]:
        def read(_: Session, taken: Sequence[Leased]) -> list[tuple[Leased, Leased]]:
            with self.lock:
                self.chunks.append(len(taken))
            return [(job, job) for job in taken]

        def perform(job: Leased) -> object:
            with self.lock:
                self.performed.append(job.subject_id)
            return self.function(job)

        def record(session: Session, outcomes: Sequence[Outcome[Leased, object]]) -> None:
            self.on_record(session, outcomes)
            with self.lock:
                self.recorded += [outcome.job.subject_id for outcome in outcomes]

        parts: dict[str, Any] = {"read": read, "perform": each(perform), "record": record} | more
        return Step(JobKind.SEAL, self.chunk, **parts)

    def run(self, database: TestDatabase, *, alone: bool = False, **more: Any) -> int:
        return run_chunk(database.database, self.step(**more), lease_seconds=LEASE, alone=alone)
