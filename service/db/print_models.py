"""Tables of print runs: what goes to a print house at one cut-off, what it was told ahead, what is held back."""

import uuid
from datetime import date, datetime

from sqlalchemy import Integer
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base


class PrintDeposit(Base):
    """A run: the letters of a print house and product that go at one cut-off, sorted together.

    ``second`` of those that waited went to the second print house in a run of its own; ``waiting`` are left.
    """

    __tablename__ = "print_deposit"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    printer: Mapped[str]
    product: Mapped[str]
    cut_off_at: Mapped[datetime | None]
    planned_at: Mapped[datetime]
    planned_on: Mapped[date]
    due_at: Mapped[datetime]
    letters: Mapped[int] = mapped_column(Integer)
    sheets: Mapped[int] = mapped_column(Integer)
    second: Mapped[int] = mapped_column(Integer)
    waiting: Mapped[int] = mapped_column(Integer)
    closed_at: Mapped[datetime | None]
    actor: Mapped[str]


class PrintForecast(Base):
    """What a print house was told ahead of a cut-off, once for each."""

    __tablename__ = "print_forecast"
    printer: Mapped[str] = mapped_column(primary_key=True)
    product: Mapped[str] = mapped_column(primary_key=True)
    cut_off_at: Mapped[datetime] = mapped_column(primary_key=True)
    told_at: Mapped[datetime]
    letters: Mapped[int] = mapped_column(Integer)
    sheets: Mapped[int] = mapped_column(Integer)
    file_name: Mapped[str]


class PrintHold(Base):
    """A product that an operator holds back: its letters go on waiting at cut-offs."""

    __tablename__ = "print_hold"
    printer: Mapped[str] = mapped_column(primary_key=True)
    product: Mapped[str] = mapped_column(primary_key=True)
    held_at: Mapped[datetime]
    held_by: Mapped[str]
    reason: Mapped[str]
