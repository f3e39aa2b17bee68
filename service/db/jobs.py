"""Queries of the engine: put, lease, confirm, settle, park. Time is the database's."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, Final

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from service.db.ids import new_id
from service.db.writing import GIVEN, Part, write


class JobKind(StrEnum):
    """What a job does; each has one step, one queue, and a task that wakes for it."""

    SEAL = "seal"
    ROUTE = "route"
    DEPOSIT = "deposit"
    NOTIFY = "notify"
    REMIND = "remind"
    LETTER = "letter"
    HAND_OVER = "hand_over"
    UNPACK = "unpack"
    CHECK = "check"
    ADMIT = "admit"
    RECALL = "recall"
    ARCHIVE = "archive"
    ASK = "ask"
    FINISH = "finish"
    WEBHOOK = "webhook"


class Lane(IntEnum):
    """Who goes first: a clerk who waits for one letter, then the large senders."""

    INTERACTIVE = 0
    BULK = 1


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be put.

    Attributes:
        leg: 0 where the whole delivery (or batch) is meant.
        trace: what ``service.tracing.origin`` gave where it is put.
    """

    kind: JobKind
    organisation_id: uuid.UUID
    subject_id: uuid.UUID
    lane: Lane = Lane.BULK
    leg: int = 0
    due_at: datetime | None = None
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Leased:
    """A job that this worker holds until its lease ends; the fence tells whether it still does.

    Attributes:
        attempts: how often it was taken, this time included.
        failures: how often it failed for a reason of its own or its worker vanished; this time counts until it is
            settled, so that a job which kills its worker is counted too.
    """

    id: uuid.UUID
    kind: JobKind
    organisation_id: uuid.UUID
    subject_id: uuid.UUID
    lane: Lane
    leg: int
    fence: int
    attempts: int
    failures: int
    created_at: datetime
    trace: str | None


PUT: Final = Part(
    "job",
    f"""
    INSERT INTO job (id, kind, organisation_id, lane, subject_id, leg, due_at, wanted_at, trace)
    SELECT id, kind, organisation_id, lane, subject_id, leg, due, due, trace
    FROM (SELECT *, coalesce(due_at, clock_timestamp()) AS due FROM {GIVEN}) AS given
    ON CONFLICT (kind, subject_id, leg) DO NOTHING
    """,  # noqa: S608  no value is ever put into the text
    (
        ("id", "uuid"),
        ("kind", "text"),
        ("organisation_id", "uuid"),
        ("lane", "smallint"),
        ("subject_id", "uuid"),
        ("leg", "smallint"),
        ("due_at", "timestamptz"),
        ("trace", "text"),
    ),
)
"""Jobs that are there already stay as they are."""


def rows(jobs: Collection[NewJob]) -> list[dict[str, Any]]:
    """Jobs as ``PUT`` takes them."""
    return [
        {
            "id": new_id(),
            "kind": job.kind.value,
            "organisation_id": job.organisation_id,
            "lane": int(job.lane),
            "subject_id": job.subject_id,
            "leg": job.leg,
            "due_at": job.due_at,
            "trace": job.trace,
        }
        for job in jobs
    ]


def put(session: Session, jobs: Collection[NewJob]) -> None:
    """Write jobs in the transaction of the state they follow from; one that is there already stays as it is."""
    write(session, (PUT, rows(jobs)))


# The organisations with due rows of a kind and lane, found by jumping along the index: the cost grows with the number
# of organisations that wait, not with the number of rows. One whose rows all wait for later takes nobody's place.
_WAITING = text(
    """
    WITH RECURSIVE waiting AS (
        (SELECT organisation_id FROM job
         WHERE kind = :kind AND lane = :lane AND parked_at IS NULL AND NOT suspect
         ORDER BY organisation_id LIMIT 1)
        UNION ALL
        SELECT (SELECT j.organisation_id FROM job j
                WHERE j.kind = :kind AND j.lane = :lane AND j.parked_at IS NULL AND NOT j.suspect
                  AND j.organisation_id > w.organisation_id
                ORDER BY j.organisation_id LIMIT 1)
        FROM waiting w WHERE w.organisation_id IS NOT NULL
    )
    SELECT organisation_id FROM waiting
    WHERE organisation_id IS NOT NULL
      AND (SELECT j.due_at FROM job j
           WHERE j.kind = :kind AND j.lane = :lane AND j.organisation_id = waiting.organisation_id
             AND j.parked_at IS NULL AND NOT j.suspect ORDER BY j.due_at LIMIT 1) <= clock_timestamp()
      AND NOT EXISTS (SELECT FROM pause p
                      WHERE (p.organisation_id IS NULL OR p.organisation_id = waiting.organisation_id)
                        AND (p.kind IS NULL OR p.kind = :kind))
    ORDER BY random() LIMIT :most
    """
)

_RETURNING = """
    UPDATE job SET lease_until = clock_timestamp() + make_interval(secs => :seconds), fence = job.fence + 1,
                   attempts = job.attempts + 1, failures = job.failures + 1, suspect = true
    FROM taken WHERE job.id = taken.id
    RETURNING job.id, job.kind, job.organisation_id, job.subject_id, job.lane, job.leg, job.fence, job.attempts,
              job.failures, job.created_at, job.trace
"""

_LEASE = text(
    """
    WITH taken AS MATERIALIZED (
        SELECT due.id FROM unnest(CAST(:organisations AS uuid[])) AS o(organisation_id)
        CROSS JOIN LATERAL (
            SELECT j.id FROM job j
            WHERE j.kind = :kind AND j.lane = :lane AND j.organisation_id = o.organisation_id
              AND j.parked_at IS NULL AND NOT j.suspect AND j.due_at <= clock_timestamp()
              AND (j.lease_until IS NULL OR j.lease_until <= clock_timestamp())
            ORDER BY j.due_at LIMIT :each FOR UPDATE SKIP LOCKED
        ) AS due
        LIMIT :room
    )
    """  # noqa: S608  no value is ever put into the text
    + _RETURNING
)

_LEASE_ALONE = text(
    """
    WITH taken AS MATERIALIZED (
        SELECT j.id FROM job j
        WHERE j.kind = :kind AND j.lane = :lane AND j.parked_at IS NULL AND j.suspect AND j.due_at <= clock_timestamp()
          AND (j.lease_until IS NULL OR j.lease_until <= clock_timestamp())
          AND NOT EXISTS (SELECT FROM pause p WHERE (p.organisation_id IS NULL OR p.organisation_id = j.organisation_id)
                                                AND (p.kind IS NULL OR p.kind = :kind))
        ORDER BY j.due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    """  # noqa: S608  no value is ever put into the text
    + _RETURNING
)


def lease(
    session: Session, kind: JobKind, *, most: int, seconds: int, lanes: Sequence[Lane] = tuple(Lane)
) -> list[Leased]:
    """Take up to ``most`` due jobs that nobody holds: the interactive lane first, then organisations in equal parts.

    A job whose last holder vanished, or failed on it for a reason of its own, is not among them: see ``lease_alone``.
    """
    taken: list[Leased] = []
    for lane in lanes:
        # A second round hands the room that small senders leave to whoever has more.
        while (room := most - len(taken)) > 0:
            more = _lease_round(session, kind, lane, room=room, seconds=seconds)
            if not more:
                break
            taken += more
    return taken


def _lease_round(session: Session, kind: JobKind, lane: Lane, *, room: int, seconds: int) -> list[Leased]:
    place = {"kind": kind.value, "lane": int(lane)}
    organisations = list(session.scalars(_WAITING, {**place, "most": room}))
    if not organisations:
        return []
    each = -(-room // len(organisations))
    values = {**place, "organisations": organisations, "each": each, "room": room, "seconds": seconds}
    return [_leased(row) for row in session.execute(_LEASE, values).mappings()]


def lease_alone(session: Session, kind: JobKind, *, seconds: int, lanes: Sequence[Lane] = tuple(Lane)) -> list[Leased]:
    """Take one job that failed before, or whose worker died with it: alone, so that it can only harm itself."""
    for lane in lanes:
        rows = session.execute(_LEASE_ALONE, {"kind": kind.value, "lane": int(lane), "seconds": seconds}).mappings()
        taken = [_leased(row) for row in rows]
        if taken:
            return taken
    return []


_CONFIRM = text(
    """
    SELECT job.id FROM job
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS held(id, fence)
      ON job.id = held.id AND job.fence = held.fence
    WHERE job.parked_at IS NULL AND job.lease_until > clock_timestamp() FOR UPDATE OF job
    """
)


def confirm(session: Session, jobs: Sequence[Leased]) -> set[uuid.UUID]:
    """Lock the jobs that are still this worker's; whoever records results for another's job would do it twice."""
    values = {"ids": [job.id for job in jobs], "fences": [job.fence for job in jobs]}
    return set(session.scalars(_CONFIRM, values))


_RENEW = text(
    """
    UPDATE job SET lease_until = clock_timestamp() + make_interval(secs => :seconds)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS held(id, fence)
    WHERE job.id = held.id AND job.fence = held.fence AND job.parked_at IS NULL AND job.lease_until > clock_timestamp()
    """
)


def renew(session: Session, jobs: Sequence[Leased], *, seconds: int) -> None:
    """Prolong leases that still hold, for work that takes longer."""
    session.execute(
        _RENEW,
        {"ids": [job.id for job in jobs], "fences": [job.fence for job in jobs], "seconds": seconds},
    )


def finish(session: Session, ids: Collection[uuid.UUID]) -> None:
    """Remove jobs that are done."""
    if ids:
        session.execute(text("DELETE FROM job WHERE id = ANY(:ids)"), {"ids": list(ids)})


_POSTPONE = text(
    """
    UPDATE job SET due_at = clock_timestamp() + make_interval(secs => :seconds), lease_until = NULL,
                   suspect = :suspect, failures = failures - CASE WHEN :suspect THEN 0 ELSE 1 END, last_error = :error
    WHERE id = :id AND fence = :fence AND lease_until IS NOT NULL
    """
)


def postpone(session: Session, job: Leased, *, seconds: float, suspect: bool, error: str) -> None:
    """Give a job back to be tried again in ``seconds``; nothing happens where it was settled or taken over.

    Args:
        session: a transaction of the caller's.
        job: the job as it was leased.
        seconds: how long it waits.
        suspect: the job itself may be the cause: it is tried alone, and this failure counts. Otherwise the cause lies
            outside, and the job is as good as before.
        error: the code of what went wrong.
    """
    values = {"id": job.id, "fence": job.fence, "seconds": seconds, "suspect": suspect, "error": error}
    session.execute(_POSTPONE, values)


_PARK = text(
    "UPDATE job SET parked_at = clock_timestamp(), lease_until = NULL, last_error = :error"
    " WHERE id = :id AND fence = :fence AND lease_until IS NOT NULL"
)


def park(session: Session, job: Leased, *, error: str) -> None:
    """Take a job out of the row until an operator has seen to it; nothing happens where it was taken over."""
    session.execute(_PARK, {"id": job.id, "fence": job.fence, "error": error})


# As for a lease: by jumping from one organisation to the next, however many rows each has.
_DUE = text(
    """
    WITH RECURSIVE waiting AS (
        (SELECT kind, lane, organisation_id FROM job WHERE parked_at IS NULL AND NOT suspect
         ORDER BY kind, lane, organisation_id LIMIT 1)
        UNION ALL
        SELECT further.kind, further.lane, further.organisation_id
        FROM waiting w CROSS JOIN LATERAL (
            SELECT j.kind, j.lane, j.organisation_id FROM job j
            WHERE j.parked_at IS NULL AND NOT j.suspect
              AND (j.kind, j.lane, j.organisation_id) > (w.kind, w.lane, w.organisation_id)
            ORDER BY j.kind, j.lane, j.organisation_id LIMIT 1
        ) AS further
    )
    SELECT DISTINCT w.kind FROM waiting w
    WHERE (SELECT j.due_at FROM job j
           WHERE j.kind = w.kind AND j.lane = w.lane AND j.organisation_id = w.organisation_id
             AND j.parked_at IS NULL AND NOT j.suspect ORDER BY j.due_at LIMIT 1) <= clock_timestamp()
      AND NOT EXISTS (SELECT FROM pause p WHERE (p.organisation_id IS NULL OR p.organisation_id = w.organisation_id)
                                            AND (p.kind IS NULL OR p.kind = w.kind))
    UNION
    SELECT kinds.kind
    FROM unnest(CAST(:kinds AS text[])) AS kinds(kind) CROSS JOIN unnest(CAST(:lanes AS smallint[])) AS lanes(lane)
    CROSS JOIN LATERAL (
        SELECT FROM job j
        WHERE j.kind = kinds.kind AND j.lane = lanes.lane AND j.parked_at IS NULL AND j.suspect
          AND j.due_at <= clock_timestamp() AND (j.lease_until IS NULL OR j.lease_until <= clock_timestamp())
          AND NOT EXISTS (SELECT FROM pause p WHERE (p.organisation_id IS NULL OR p.organisation_id = j.organisation_id)
                                                AND (p.kind IS NULL OR p.kind = j.kind))
        ORDER BY j.due_at LIMIT 1
    ) AS suspects
    """
)


def due_kinds(session: Session) -> list[JobKind]:
    """The kinds of which at least one job could be leased now."""
    values = {"kinds": [kind.value for kind in JobKind], "lanes": [int(lane) for lane in Lane]}
    found = set(session.scalars(_DUE, values))
    return [kind for kind in JobKind if kind.value in found]


# Nothing is counted: the first organisation of each kind whose job could be taken ends the search.
_INTERACTIVE = text(
    """
    SELECT kinds.kind FROM unnest(CAST(:kinds AS text[])) AS kinds(kind)
    WHERE EXISTS (
        WITH RECURSIVE waiting AS (
            (SELECT organisation_id FROM job
             WHERE kind = kinds.kind AND lane = 0 AND parked_at IS NULL AND NOT suspect
             ORDER BY organisation_id LIMIT 1)
            UNION ALL
            SELECT (SELECT j.organisation_id FROM job j
                    WHERE j.kind = kinds.kind AND j.lane = 0 AND j.parked_at IS NULL AND NOT j.suspect
                      AND j.organisation_id > w.organisation_id
                    ORDER BY j.organisation_id LIMIT 1)
            FROM waiting w WHERE w.organisation_id IS NOT NULL
        )
        SELECT FROM waiting w
        WHERE (SELECT j.due_at FROM job j
               WHERE j.kind = kinds.kind AND j.lane = 0 AND j.organisation_id = w.organisation_id
                 AND j.parked_at IS NULL AND NOT j.suspect ORDER BY j.due_at LIMIT 1) <= clock_timestamp()
          AND NOT EXISTS (SELECT FROM pause p WHERE (p.organisation_id IS NULL OR p.organisation_id = w.organisation_id)
                                                AND (p.kind IS NULL OR p.kind = kinds.kind))
    )
    """
)


def interactive_kinds(session: Session) -> list[JobKind]:
    """The kinds of which a job of the interactive lane could be leased now, suspects not counted."""
    found = set(session.scalars(_INTERACTIVE, {"kinds": [kind.value for kind in JobKind]}))
    return [kind for kind in JobKind if kind.value in found]


def _leased(row: RowMapping) -> Leased:
    return Leased(
        id=row["id"],
        kind=JobKind(row["kind"]),
        organisation_id=row["organisation_id"],
        subject_id=row["subject_id"],
        lane=Lane(row["lane"]),
        leg=row["leg"],
        fence=row["fence"],
        attempts=row["attempts"],
        failures=row["failures"],
        created_at=row["created_at"],
        trace=row["trace"],
    )
