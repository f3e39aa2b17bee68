"""Tables of those who look after the service: the trail of their acts, ends they propose, signs of life, tallies."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Double
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base


class AuditEntry(Base):
    """One act of a person or program, appended and never changed; ``subject`` is an id, never a name or number."""

    __tablename__ = "audit_entry"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    act: Mapped[str]
    subject: Mapped[str]
    details: Mapped[dict[str, Any]]


class EndProposal(Base):
    """The end of a parked job, proposed by one person and confirmed, in time, by another.

    ``parked_at`` is the job's: a proposal is about this parking and no later one.
    """

    __tablename__ = "end_proposal"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    job_id: Mapped[uuid.UUID]
    parked_at: Mapped[datetime]
    reason: Mapped[str]
    proposed_by: Mapped[str]
    proposed_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    confirmed_by: Mapped[str | None]
    confirmed_at: Mapped[datetime | None]


class Heartbeat(Base):
    """The last sign of life of the processes of a role on a host, with what they see there."""

    __tablename__ = "heartbeat"
    role: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    since: Mapped[datetime]
    report: Mapped[dict[str, Any]]


class StepTally(Base):
    """What workers of a host did of a kind: jobs by what became of them, chunks by their duration; it only grows."""

    __tablename__ = "step_tally"
    host: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    done: Mapped[int]
    ended: Mapped[int]
    postponed: Mapped[int]
    parked: Mapped[int]
    held: Mapped[int]
    lost: Mapped[int]
    seconds: Mapped[float] = mapped_column(Double)
    chunks: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
