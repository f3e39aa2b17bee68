"""What must be renewed to stay good, and when: the seals of deliveries, the signatures of signature requests."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base
from service.db.writing import GIVEN, Part, write


class Archive(Base):
    """That the seals of a delivery must be renewed before a moment; ``failed`` says why they never will be."""

    __tablename__ = "archive"
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    renew_at: Mapped[datetime]
    failed: Mapped[str | None]


class SignatureRenewal(Base):
    """The same of a signature request and its report."""

    __tablename__ = "signature_renewal"
    request_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    renew_at: Mapped[datetime]
    failed: Mapped[str | None]


@dataclass(frozen=True)
class Renewals:
    """What is renewed of one kind: its table, and the column with its id."""

    table: str
    column: str

    def renew_by(self, session: Session, moments: Mapping[uuid.UUID, tuple[uuid.UUID, datetime]]) -> None:
        """Write down until when these must be renewed: by id the organisation and the moment."""
        rows = [
            {self.column: subject, "organisation_id": organisation, "renew_at": moment}
            for subject, (organisation, moment) in moments.items()
        ]
        if rows:
            write(session, (self._put, rows), keys=set(moments))

    @property
    def _put(self) -> Part:
        return Part(
            self.table,
            f"""
            INSERT INTO {self.table} ({self.column}, organisation_id, renew_at)
            SELECT {self.column}, organisation_id, renew_at FROM {GIVEN}
            ON CONFLICT ({self.column}) DO UPDATE SET renew_at = excluded.renew_at, failed = NULL
            """,  # noqa: S608  names of ours; no value is ever put into the text
            ((self.column, "uuid"), ("organisation_id", "uuid"), ("renew_at", "timestamptz")),
        )

    def due(self, session: Session, *, now: datetime, limit: int) -> Sequence[tuple[uuid.UUID, uuid.UUID]]:
        """Id and organisation of what is to be renewed now, the most urgent first."""
        query = text(
            f"SELECT {self.column} AS subject, organisation_id FROM {self.table}"  # noqa: S608  names of ours
            " WHERE renew_at <= :now AND failed IS NULL ORDER BY renew_at LIMIT :limit"
        )
        return [(row.subject, row.organisation_id) for row in session.execute(query, {"now": now, "limit": limit})]

    def forget(self, session: Session, subjects: Collection[uuid.UUID]) -> None:
        """There is nothing left of these that could be renewed."""
        if subjects:
            query = text(f"DELETE FROM {self.table} WHERE {self.column} = ANY(CAST(:ids AS uuid[]))")  # noqa: S608
            session.execute(query, {"ids": list(subjects)})

    def fail(self, session: Session, subject: uuid.UUID, code: str) -> None:
        """This one can't be renewed; a person must look at it."""
        query = text(f"UPDATE {self.table} SET failed = :code WHERE {self.column} = :id")  # noqa: S608
        session.execute(query, {"code": code, "id": subject})

    def overdue(self, session: Session, *, before: datetime) -> int:
        """How many failed to be renewed, or should have been before that moment; up to 20000."""
        query = text(
            f"SELECT (SELECT count(*) FROM (SELECT FROM {self.table} WHERE failed IS NOT NULL LIMIT 10000) a)"  # noqa: S608
            f" + (SELECT count(*) FROM (SELECT FROM {self.table} WHERE failed IS NULL AND renew_at < :before"
            " LIMIT 10000) b)"
        )
        return int(session.scalar(query, {"before": before}) or 0)


DELIVERIES: Final = Renewals("archive", "delivery_id")
REQUESTS: Final = Renewals("signature_renewal", "request_id")


def overdue(session: Session, *, before: datetime) -> int:
    """How many of all kinds failed to be renewed, or should have been before that moment."""
    return sum(each.overdue(session, before=before) for each in (DELIVERIES, REQUESTS))
