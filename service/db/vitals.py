"""How the service is, as far as rows tell: ages, lags and signs of life. Each query reads a few rows of an index."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from service.db.operations import Heartbeat, StepTally


@dataclass(frozen=True, slots=True)
class Lags:
    """Seconds that things have waited, by the database's clock; None where nothing waits.

    Attributes:
        pending: the oldest evidence that is not in the ledger yet.
        unsigned: since the ledger grew without a checkpoint.
        unstamped: between the newest time-stamped checkpoint and the newest one, as time passed since the former.
        batch: the oldest print batch that was closed and is not handed over.
        cutoff: since the earliest cut-off that should have been and was not.
        pause: the oldest pause.
    """

    now: datetime
    pending: float | None
    unsigned: float | None
    unstamped: float | None
    batch: float | None
    cutoff: float | None
    pause: float | None


_LAGS = text(
    """
    SELECT clock_timestamp() AS now,
           (SELECT created_at FROM ledger_pending ORDER BY created_at, id LIMIT 1) AS pending,
           (SELECT updated_at FROM ledger_head WHERE size > signed_size) AS unsigned,
           (SELECT CASE WHEN newest.timestamp_token IS NULL THEN coalesce(
                        (SELECT at FROM ledger_checkpoint WHERE timestamp_token IS NOT NULL ORDER BY size DESC LIMIT 1),
                        (SELECT at FROM ledger_checkpoint WHERE size > 0 ORDER BY size LIMIT 1)) END
            FROM (SELECT timestamp_token FROM ledger_checkpoint WHERE size > 0 ORDER BY size DESC LIMIT 1) AS newest)
               AS unstamped,
           (SELECT frozen_at FROM print_batch WHERE state <> 'handed_over' AND emptied_at IS NULL
            AND held_at IS NULL ORDER BY frozen_at LIMIT 1) AS batch,
           (SELECT min(next_at) FROM print_cutoff WHERE next_at < clock_timestamp()) AS cutoff,
           (SELECT min(since) FROM pause) AS pause
    """
)


def lags(session: Session) -> Lags:
    """Everything that can lag."""
    row = session.execute(_LAGS).mappings().one()
    now: datetime = row["now"]
    since = {name: row[name] for name in row if name != "now"}
    return Lags(now, **{name: at and max(0.0, (now - at).total_seconds()) for name, at in since.items()})


_BOUNCED = text(
    """
    SELECT count(*) FROM (
        SELECT FROM delivery_event
        WHERE event IN ('ConsignmentNotificationFailure', 'NotificationForAcceptanceFailure')
          AND at > clock_timestamp() - interval '1 day' LIMIT :cap
    ) AS bounced
    """
)


def bounced(session: Session, *, cap: int = 1000) -> int:
    """How many notices of the last day reached nobody, of the organisations that the transaction sees."""
    return int(session.scalar(_BOUNCED, {"cap": cap}) or 0)


_BEAT = text(
    """
    INSERT INTO heartbeat (role, host, at, since, report)
    VALUES (:role, :host, clock_timestamp(), clock_timestamp(), CAST(:report AS jsonb))
    ON CONFLICT (role, host) DO UPDATE SET at = clock_timestamp(), report = excluded.report,
        since = CASE WHEN heartbeat.at < clock_timestamp() - interval '1 minute' THEN clock_timestamp()
                     ELSE heartbeat.since END
    """
)
_FORGET = text("DELETE FROM heartbeat WHERE at < clock_timestamp() - interval '1 day'")


def beat(session: Session, *, role: str, host: str, report: str) -> None:
    """Give a sign of life, with a report as JSON; hosts that were silent for a day are forgotten."""
    session.execute(_BEAT, {"role": role, "host": host, "report": report})
    session.execute(_FORGET)


def heartbeats(session: Session) -> Sequence[Heartbeat]:
    """The signs of life of the last day."""
    return session.scalars(select(Heartbeat).order_by(Heartbeat.role, Heartbeat.host)).all()


def tallies(session: Session) -> Sequence[Mapping[str, Any]]:
    """What workers did of each kind, all hosts together."""
    names = ("done", "ended", "postponed", "parked", "held", "lost")
    found: dict[str, dict[str, Any]] = {}
    for row in session.scalars(select(StepTally)):
        sums = found.setdefault(row.kind, {"kind": row.kind, "seconds": 0.0, "chunks": [0] * len(row.chunks)})
        sums["seconds"] += row.seconds
        sums["chunks"] = [mine + more for mine, more in zip(sums["chunks"], row.chunks, strict=True)]
        for name in names:
            sums[name] = sums.get(name, 0) + getattr(row, name)
    return [found[kind] for kind in sorted(found)]


def seal_profiles(session: Session) -> list[tuple[uuid.UUID, str]]:
    """The organisations that send, each with the name of its seal."""
    rows = session.execute(text("SELECT id, seal_profile FROM organisation WHERE kind <> 'platform' ORDER BY slug"))
    return [(row[0], row[1]) for row in rows]
