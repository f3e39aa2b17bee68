"""Queries of pauses. A pause is found in one of two ways.

One of an organisation, a kind, or both is seen by leasing itself: nothing of it is leased. One of a submission, a
channel or a provider can't be seen from a job: it stands under the kind ``on_lease``, and whoever leased a job looks
whether it falls under one and then *holds* it: the job names the pause and is due in the year 9999, which keeps it out
of every query for due work. A pause that ends lets its jobs go in the same transaction, as many as that bears; the
scheduler lets go of the rest, and of any that was held a moment too late.
"""

import uuid
from collections.abc import Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from service.db.ids import new_id
from service.db.jobs import JobKind, Leased
from service.db.models import Pause

ON_LEASE: Final = "on_lease"
AT_ONCE: Final = 5_000
"""How many held jobs are let go in one transaction."""
MAIL: Final = "mail"
"""The provider of notices; print houses have the names that the settings give them."""
CHANNELS: Final[dict[str, frozenset[JobKind]]] = {
    "digital": frozenset({JobKind.DEPOSIT, JobKind.NOTIFY, JobKind.REMIND}),
    "paper": frozenset({JobKind.LETTER, JobKind.HAND_OVER}),
}
"""The work that belongs to a channel."""

_BEGIN = text(
    """
    INSERT INTO pause (id, organisation_id, kind, submission_id, channel, provider, since, reason, actor)
    VALUES (:id, :organisation, :kind, :submission, :channel, :provider, clock_timestamp(), :reason, :actor)
    """
)


def begin(
    session: Session,
    *,
    organisation: uuid.UUID | None,
    kind: str | None,
    submission: uuid.UUID | None,
    channel: str | None,
    provider: str | None,
    reason: str,
    actor: str,
) -> uuid.UUID:
    """Write a pause; it holds for what is leased after this transaction."""
    made = new_id()
    lazy = submission is not None or channel is not None or provider is not None
    values = {
        "id": made,
        "organisation": organisation,
        "kind": ON_LEASE if lazy else kind,
        "submission": submission,
        "channel": channel,
        "provider": provider,
        "reason": reason,
        "actor": actor,
    }
    session.execute(_BEGIN, values)
    return made


def lock(session: Session, pause_id: uuid.UUID) -> Pause | None:
    """Read a pause that is about to end; whoever holds jobs under it at this moment is waited for."""
    return session.get(Pause, pause_id, with_for_update=True)


def remove(session: Session, pause_id: uuid.UUID) -> None:
    """Remove a pause; its jobs are let go by ``let_go``."""
    session.execute(text("DELETE FROM pause WHERE id = :id"), {"id": pause_id})


# The year 9999 instead of "infinity", which drivers can't read as a time.
_HOLD = text(
    """
    WITH pauses AS MATERIALIZED (
        SELECT * FROM pause WHERE kind = 'on_lease' FOR KEY SHARE
    ), mine AS (
        SELECT held.id, held.fence, job.kind, job.organisation_id,
               coalesce(delivery.submission_id, job.subject_id) AS submission_id,
               CASE job.kind WHEN 'notify' THEN :mail WHEN 'hand_over' THEN batch.provider END AS provider,
               CASE WHEN job.kind = ANY(CAST(:digital AS text[])) THEN 'digital'
                    WHEN job.kind = ANY(CAST(:paper AS text[])) THEN 'paper' END AS channel
        FROM unnest(CAST(:ids AS uuid[]), CAST(:fences AS bigint[])) AS held(id, fence)
        JOIN job ON job.id = held.id
        LEFT JOIN delivery ON delivery.id = job.subject_id
        LEFT JOIN print_batch batch ON batch.id = job.subject_id
    ), found AS (
        SELECT DISTINCT ON (mine.id) mine.id, mine.fence, pauses.id AS pause_id
        FROM mine JOIN pauses
          ON (pauses.organisation_id IS NULL OR pauses.organisation_id = mine.organisation_id)
         AND (pauses.submission_id IS NULL OR pauses.submission_id = mine.submission_id)
         AND (pauses.channel IS NULL OR pauses.channel = mine.channel)
         AND (pauses.provider IS NULL OR pauses.provider = mine.provider)
        ORDER BY mine.id, pauses.since
    )
    UPDATE job SET held_by = found.pause_id, due_at = '9999-12-31 00:00+00', lease_until = NULL,
                   suspect = job.failures > 1, attempts = job.attempts - 1, failures = job.failures - 1
    FROM found WHERE job.id = found.id AND job.fence = found.fence AND job.lease_until > clock_timestamp()
    RETURNING job.id
    """
)


def hold(session: Session, taken: Sequence[Leased]) -> set[uuid.UUID]:
    """Hold those of a leased chunk that fall under a pause; return their ids. They are as good as before the lease.

    The transaction must see the rows of the jobs' organisations.
    """
    if not session.scalar(text("SELECT EXISTS (SELECT FROM pause WHERE kind = 'on_lease')")):
        return set()
    values = {
        "ids": [job.id for job in taken],
        "fences": [job.fence for job in taken],
        "mail": MAIL,
        "digital": sorted(CHANNELS["digital"]),
        "paper": sorted(CHANNELS["paper"]),
    }
    return set(session.scalars(_HOLD, values))


# In the order in which they were to be done; the time they were held is nobody's delay.
_LET_GO = text(
    """
    WITH freed AS MATERIALIZED (
        SELECT id FROM job WHERE held_by = :pause LIMIT :most FOR UPDATE
    )
    UPDATE job SET held_by = NULL, due_at = least(job.wanted_at, clock_timestamp()), wanted_at = clock_timestamp()
    FROM freed WHERE job.id = freed.id
    RETURNING job.kind
    """
)


def let_go(session: Session, pause_id: uuid.UUID) -> list[JobKind]:
    """Put up to ``AT_ONCE`` jobs that a pause held back into the row; return the kind of each."""
    known = {kind.value for kind in JobKind}
    return [JobKind(kind) for kind in session.scalars(_LET_GO, {"pause": pause_id, "most": AT_ONCE}) if kind in known]


# By jumping from one pause to the next along the index, however many jobs each holds.
_ENDED = text(
    """
    WITH RECURSIVE holder AS (
        (SELECT held_by FROM job WHERE held_by IS NOT NULL ORDER BY held_by LIMIT 1)
        UNION ALL
        SELECT (SELECT j.held_by FROM job j WHERE j.held_by > h.held_by ORDER BY j.held_by LIMIT 1)
        FROM holder h WHERE h.held_by IS NOT NULL
    )
    SELECT held_by FROM holder
    WHERE held_by IS NOT NULL AND NOT EXISTS (SELECT FROM pause WHERE pause.id = holder.held_by)
    """
)


def ended_with_jobs(session: Session) -> list[uuid.UUID]:
    """Pauses that are no more and still hold jobs."""
    return list(session.scalars(_ENDED))
