"""What operators see of the jobs: how many wait and since when, what is parked, what fails.

Nothing counts a whole table: every query either jumps along an index (from one organisation, error or kind to
the next) or stops counting at a cap.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from service.db.jobs import JobKind, Lane
from service.db.models import Job

CAP: Final = 10_000
"""Queues are counted up to here; a count that reaches it means "this many or more"."""


@dataclass(frozen=True, slots=True)
class Queue:
    """The jobs of one kind and lane; numbers stop at ``CAP``.

    Attributes:
        waiting: jobs that are neither parked nor held by a pause; the leased ones too.
        oldest: when the oldest that nothing pauses was first to be done; None when there is none. In the future for
            one that is to wait until then.
    """

    kind: JobKind
    lane: Lane
    waiting: int
    oldest: datetime | None


# The oldest is the minimum over the organisations that are not paused, each looked up in the index.
_QUEUES = text(
    """
    SELECT kinds.kind, lanes.lane,
           (SELECT count(*) FROM (SELECT FROM job j WHERE j.kind = kinds.kind AND j.lane = lanes.lane
                                  AND j.parked_at IS NULL AND j.held_by IS NULL LIMIT :cap) AS counted) AS waiting,
           (WITH RECURSIVE sender AS (
                (SELECT organisation_id FROM job
                 WHERE kind = kinds.kind AND lane = lanes.lane AND parked_at IS NULL AND held_by IS NULL
                 ORDER BY organisation_id LIMIT 1)
                UNION ALL
                SELECT (SELECT j.organisation_id FROM job j
                        WHERE j.kind = kinds.kind AND j.lane = lanes.lane AND j.parked_at IS NULL
                          AND j.held_by IS NULL AND j.organisation_id > s.organisation_id
                        ORDER BY j.organisation_id LIMIT 1)
                FROM sender s WHERE s.organisation_id IS NOT NULL
            )
            SELECT min((SELECT j.wanted_at FROM job j
                        WHERE j.kind = kinds.kind AND j.lane = lanes.lane AND j.organisation_id = s.organisation_id
                          AND j.parked_at IS NULL AND j.held_by IS NULL ORDER BY j.wanted_at LIMIT 1))
            FROM sender s
            WHERE NOT EXISTS (SELECT FROM pause p
                              WHERE (p.organisation_id IS NULL OR p.organisation_id = s.organisation_id)
                                AND (p.kind IS NULL OR p.kind = kinds.kind))) AS oldest
    FROM unnest(CAST(:kinds AS text[])) AS kinds(kind) CROSS JOIN unnest(CAST(:lanes AS smallint[])) AS lanes(lane)
    """
)


def queues(session: Session) -> list[Queue]:
    """Every kind and lane, in the order of the steps."""
    values = {"kinds": [kind.value for kind in JobKind], "lanes": [int(lane) for lane in Lane], "cap": CAP}
    rows = session.execute(_QUEUES, values)
    found = [Queue(JobKind(kind), Lane(lane), waiting, oldest) for kind, lane, waiting, oldest in rows]
    order = list(JobKind)
    return sorted(found, key=lambda each: (order.index(each.kind), each.lane))


_PARKED = text(
    "SELECT kind, count(*) FROM (SELECT kind FROM job WHERE parked_at IS NOT NULL LIMIT :cap) AS counted GROUP BY kind"
)
_HELD = text(
    "SELECT held_by, count(*) FROM (SELECT held_by FROM job WHERE held_by IS NOT NULL LIMIT :cap) AS counted"
    " GROUP BY held_by"
)


def parked_counts(session: Session) -> dict[JobKind, int]:
    """How many jobs of each kind are parked, up to ``CAP`` together."""
    known = {kind.value for kind in JobKind}
    return {JobKind(kind): count for kind, count in session.execute(_PARKED, {"cap": CAP}) if kind in known}


def held_counts(session: Session) -> dict[uuid.UUID, int]:
    """How many jobs each pause holds, up to ``CAP`` together."""
    return {row[0]: row[1] for row in session.execute(_HELD, {"cap": CAP})}


# By jumping from one code to the next; of each, at most the cap is counted.
_TROUBLES = text(
    """
    WITH RECURSIVE code AS (
        (SELECT last_error FROM job WHERE last_error IS NOT NULL AND parked_at IS NULL ORDER BY last_error LIMIT 1)
        UNION ALL
        SELECT (SELECT j.last_error FROM job j
                WHERE j.last_error > c.last_error AND j.last_error IS NOT NULL AND j.parked_at IS NULL
                ORDER BY j.last_error LIMIT 1)
        FROM code c WHERE c.last_error IS NOT NULL
    )
    SELECT last_error, (SELECT count(*) FROM (SELECT FROM job j WHERE j.last_error = code.last_error
                                              AND j.parked_at IS NULL LIMIT :cap) AS counted)
    FROM code WHERE last_error IS NOT NULL LIMIT 100
    """
)


def troubles(session: Session) -> dict[str, int]:
    """What went wrong with jobs that wait to be tried again: how many for each code, up to ``CAP`` each."""
    return {row[0]: row[1] for row in session.execute(_TROUBLES, {"cap": CAP})}


def parked(
    session: Session, *, after: tuple[datetime, uuid.UUID] | None = None, limit: int = 100, kind: JobKind | None = None
) -> Sequence[Job]:
    """The parked jobs, longest parked first; ``after`` is the place of the last one that was read."""
    query = select(Job).where(Job.parked_at.is_not(None)).order_by(Job.parked_at, Job.id).limit(limit)
    if after is not None:
        query = query.where(Job.parked_at >= after[0]).where((Job.parked_at > after[0]) | (Job.id > after[1]))
    if kind is not None:
        query = query.where(Job.kind == kind.value)
    return session.scalars(query).all()


def drop_parked(session: Session, kind: JobKind, subject: uuid.UUID) -> None:
    """Remove the parked job of a kind about a subject, if there is one; only where it is put again by itself."""
    session.execute(delete(Job).where(Job.kind == kind.value, Job.subject_id == subject, Job.parked_at.is_not(None)))


def lock_parked(session: Session, job_id: uuid.UUID) -> Job | None:
    """A parked job, locked; None when it is not parked (any more)."""
    return session.scalar(select(Job).where(Job.id == job_id, Job.parked_at.is_not(None)).with_for_update())


_RETRY = text(
    """
    UPDATE job SET parked_at = NULL, lease_until = NULL, attempts = 0, failures = 0, suspect = true,
                   due_at = clock_timestamp()
    WHERE parked_at IS NOT NULL AND id IN (SELECT id FROM job WHERE parked_at IS NOT NULL
                                           AND (:every OR id = ANY(CAST(:ids AS uuid[])))
                                           ORDER BY parked_at LIMIT :most FOR UPDATE)
    RETURNING id, kind
    """
)


def retry(session: Session, ids: Collection[uuid.UUID] | None, *, most: int = CAP) -> dict[uuid.UUID, JobKind]:
    """Put parked jobs (the longest parked when ``ids`` is None) back into the row, with their attempts forgiven.

    Each is tried alone first. Returns the kind of each that was parked.
    """
    rows = session.execute(_RETRY, {"every": ids is None, "ids": list(ids or ()), "most": most})
    return {job: JobKind(kind) for job, kind in rows}
