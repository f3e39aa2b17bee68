"""What print houses and the post report, as rows; migrations are their definition."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base


class PrintInbound(Base):
    """A file or call that came from a print house, once; ``effects`` counts what became of what it says."""

    __tablename__ = "print_inbound"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    printer: Mapped[str]
    name: Mapped[str]
    sha256: Mapped[bytes]
    size: Mapped[int]
    received_at: Mapped[datetime]
    path: Mapped[str | None]
    state: Mapped[str]
    kind: Mapped[str | None]
    batch: Mapped[int | None]
    code: Mapped[str | None]
    effects: Mapped[dict[str, Any]] = mapped_column(default=dict)
    tries: Mapped[int] = mapped_column(SmallInteger, default=0)
    next_at: Mapped[datetime | None]
    taken_at: Mapped[datetime | None]


class PrintReport(Base):
    """What is said of a letter; ``attempt`` counts from 1, as manifests do."""

    __tablename__ = "print_report"
    printer: Mapped[str] = mapped_column(primary_key=True)
    statement: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    delivery_id: Mapped[uuid.UUID]
    leg: Mapped[int] = mapped_column(SmallInteger)
    attempt: Mapped[int] = mapped_column(SmallInteger)
    event: Mapped[str]
    at: Mapped[datetime]
    received_at: Mapped[datetime]
    inbound_id: Mapped[uuid.UUID | None]
    cause: Mapped[str | None]
    code: Mapped[str | None]
    sheets: Mapped[int | None] = mapped_column(Integer)
    postage_cents: Mapped[int | None] = mapped_column(Integer)
    registered_number: Mapped[str | None]


class PrintBatchReport(Base):
    """What a print house said of a batch's file: that it arrived, or that nothing is left of it."""

    __tablename__ = "print_batch_report"
    batch_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(primary_key=True)
    file: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    received_at: Mapped[datetime]
    inbound_id: Mapped[uuid.UUID | None]
    sha256: Mapped[str | None]
    letters: Mapped[int | None] = mapped_column(Integer)
    sheets: Mapped[int | None] = mapped_column(Integer)
    agrees: Mapped[bool]


class PrintException(Base):
    """What does not fit and changes nothing, until an operator has seen it."""

    __tablename__ = "print_exception"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    printer: Mapped[str]
    statement: Mapped[str]
    code: Mapped[str]
    letter: Mapped[str | None]
    batch: Mapped[int | None]
    detail: Mapped[str]
    at: Mapped[datetime]
    inbound_id: Mapped[uuid.UUID | None]
    seen_by: Mapped[str | None]
    seen_at: Mapped[datetime | None]


class PrintScan(Base):
    """A picture of a posting proof, a receipt or a returned letter."""

    __tablename__ = "print_scan"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    delivery_id: Mapped[uuid.UUID]
    leg: Mapped[int] = mapped_column(SmallInteger)
    attempt: Mapped[int] = mapped_column(SmallInteger)
    what: Mapped[str]
    media_type: Mapped[str]
    path: Mapped[str]
    sha256: Mapped[bytes]
    size: Mapped[int]
    at: Mapped[datetime]
    received_at: Mapped[datetime]


class PrintReturn(Base):
    """A letter that came back, and what was decided on it."""

    __tablename__ = "print_return"
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    leg: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    cause: Mapped[str | None]
    returned_at: Mapped[datetime]
    decision: Mapped[str]
    decided_by: Mapped[str]
    decided_at: Mapped[datetime]
    next_leg: Mapped[int | None] = mapped_column(SmallInteger)


class PrintPull(Base):
    """A list of letters of a batch that must not go out any more."""

    __tablename__ = "print_pull"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    batch_id: Mapped[uuid.UUID]
    number: Mapped[int] = mapped_column(Integer)
    printer: Mapped[str]
    reason: Mapped[str]
    ordered_by: Mapped[str]
    ordered_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]


class PrintPullLetter(Base):
    """A letter on a pull list; ``pulled`` is the print house's answer."""

    __tablename__ = "print_pull_letter"
    pull_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    leg: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    attempt: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    pulled: Mapped[bool | None]
    code: Mapped[str | None]
