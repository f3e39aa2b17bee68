"""Submissions, their uploaded parts and their rows; and the queries over them."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, Row, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base
from service.db.models import Submission
from service.domain.submission import WAITING_ROWS, RowState


class SubmissionPart(Base):
    """A piece of an uploaded file: ``at`` is where it begins, ``sha256`` is of its bytes in the clear."""

    __tablename__ = "submission_part"
    submission_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    at: Mapped[int] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    size: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[bytes]
    path: Mapped[str]


class SubmissionRow(Base):
    """A line of the list; ``content`` is encrypted and goes once the row is a delivery or never can be."""

    __tablename__ = "submission_row"
    submission_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    state: Mapped[str]
    reference: Mapped[str | None]
    errors: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    content: Mapped[bytes | None]
    delivery_id: Mapped[uuid.UUID | None]


def get(
    session: Session, organisation_id: uuid.UUID, submission_id: uuid.UUID, *, lock: bool = False
) -> Submission | None:
    """One submission of the organisation."""
    query = select(Submission).where(Submission.id == submission_id, Submission.organisation_id == organisation_id)
    if lock:
        query = query.with_for_update()
    return session.scalar(query.execution_options(populate_existing=True))


def page(session: Session, organisation_id: uuid.UUID, *, before: uuid.UUID | None, limit: int) -> Sequence[Submission]:
    """Uploaded submissions of an organisation, newest first."""
    query = select(Submission).where(Submission.organisation_id == organisation_id, Submission.container)
    if before is not None:
        query = query.where(Submission.id < before)
    return session.scalars(query.order_by(Submission.id.desc()).limit(limit)).all()


_GROWN = text(
    "UPDATE submission SET received = received + :size, parts = parts + 1, updated_at = :now"
    " WHERE id = :id AND received = :at AND state = 'uploading'"
)


def add_part(session: Session, part: Mapping[str, Any], *, now: datetime) -> bool:
    """Append a stored part; False when the file has grown or ended otherwise meanwhile."""
    place = {"id": part["submission_id"], "at": part["at"], "size": part["size"], "now": now}
    if not session.execute(_GROWN, place).rowcount:  # type: ignore[attr-defined]
        return False
    session.execute(insert(SubmissionPart), [dict(part)])
    return True


def parts(session: Session, submission_id: uuid.UUID) -> Sequence[Row[int, int, bytes, str]]:
    """The parts of a file, in order: where each begins, its size, its SHA-256, its path.

    Plain rows: a file of 10 GB has over a thousand parts, and every chunk of its rows reads them.
    """
    query = select(SubmissionPart.at, SubmissionPart.size, SubmissionPart.sha256, SubmissionPart.path)
    return session.execute(query.where(SubmissionPart.submission_id == submission_id).order_by(SubmissionPart.at)).all()


_ONE_BY_ONE = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")


def same_content(session: Session, submission: Submission, fingerprint: bytes) -> uuid.UUID | None:
    """Another submission of the organisation that was made, or is being made, of exactly the same file.

    Of two that ask at the same time, the second sees the first.
    """
    session.execute(_ONE_BY_ONE, {"key": f"{submission.organisation_id}{fingerprint.hex()}"})
    return session.scalar(
        select(Submission.id)
        .where(
            Submission.organisation_id == submission.organisation_id,
            Submission.fingerprint == fingerprint,
            Submission.id != submission.id,
            Submission.dry_run.is_(False),
            Submission.state.not_in(("refused", "stopped")),
        )
        .order_by(Submission.id)
        .limit(1)
    )


def add_rows(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows of the list."""
    if rows:
        session.execute(insert(SubmissionRow), [dict(row) for row in rows], execution_options={"render_nulls": True})


def rows_between(
    session: Session,
    submission_id: uuid.UUID,
    first: int,
    last: int,
    states: Collection[RowState],
    *,
    lock: bool = False,
) -> Sequence[SubmissionRow]:
    """The rows with these numbers (both included) that are in one of these states, in order."""
    query = (
        select(SubmissionRow)
        .where(
            SubmissionRow.submission_id == submission_id,
            SubmissionRow.number.between(first, last),
            SubmissionRow.state.in_([state.value for state in states]),
        )
        .order_by(SubmissionRow.number)
        .execution_options(populate_existing=True)
    )
    return session.scalars(query.with_for_update() if lock else query).all()


_ROW_CHANGE = (
    update(SubmissionRow.__table__)  # type: ignore[arg-type]
    .where(
        SubmissionRow.__table__.c.submission_id == bindparam("key"),
        SubmissionRow.__table__.c.number == bindparam("key_number"),
    )
    .values({name: bindparam(f"new_{name}") for name in ("state", "errors", "content", "delivery_id")})
)


def save_rows(session: Session, rows: Sequence[SubmissionRow]) -> None:
    """Write what changed of rows that this transaction holds, by the lock on them or on their submission."""
    if rows:
        session.connection().execute(
            _ROW_CHANGE,
            [
                {
                    "key": row.submission_id,
                    "key_number": row.number,
                    "new_state": row.state,
                    "new_errors": row.errors,
                    "new_content": row.content,
                    "new_delivery_id": row.delivery_id,
                }
                for row in rows
            ],
        )


def known_references(session: Session, submission_id: uuid.UUID, references: Collection[str]) -> dict[str, int]:
    """Which of these references rows of the submission have already, with the first such row's number."""
    if not references:
        return {}
    query = (
        select(SubmissionRow.reference, func.min(SubmissionRow.number))
        .where(SubmissionRow.submission_id == submission_id, SubmissionRow.reference.in_(references))
        .group_by(SubmissionRow.reference)
    )
    return {reference: number for reference, number in session.execute(query) if reference is not None}


def count(session: Session, submission: Submission, before: Iterable[str], after: Iterable[str]) -> None:
    """Change a locked submission's counts: rows that were in these states are in those now.

    Written at once: the next chunk of the same transaction reads the row again.
    """
    found = Counter(submission.counts)
    found.update(after)
    found.subtract(before)
    submission.counts = {state: number for state, number in found.items() if number}
    session.flush()


def any_row(session: Session, submission_id: uuid.UUID, states: Collection[RowState]) -> bool:
    """Whether a row is in one of these states: one look at an index, however many rows there are."""
    query = select(SubmissionRow.number).where(
        SubmissionRow.submission_id == submission_id, SubmissionRow.state.in_([state.value for state in states])
    )
    return session.scalar(query.limit(1)) is not None


def row_page(
    session: Session, submission_id: uuid.UUID, state: RowState | None, *, after: int, limit: int
) -> Sequence[SubmissionRow]:
    """One page of a submission's rows, in the order of the list."""
    query = select(SubmissionRow).where(SubmissionRow.submission_id == submission_id, SubmissionRow.number > after)
    if state is not None:
        query = query.where(SubmissionRow.state == state.value)
    return session.scalars(query.order_by(SubmissionRow.number).limit(limit)).all()


_CHUNKS = text(
    "SELECT DISTINCT (number - 1) / :size AS chunk FROM submission_row"
    " WHERE submission_id = :id AND state = ANY(CAST(:states AS text[])) ORDER BY chunk"
)


def chunks(session: Session, submission_id: uuid.UUID, size: int, states: Collection[RowState]) -> list[int]:
    """Which chunks of ``size`` rows have a row in one of these states; chunk 0 begins with row 1."""
    values = {"id": submission_id, "size": size, "states": [state.value for state in states]}
    return list(session.scalars(_CHUNKS, values))


_END_ROWS = text(
    "UPDATE submission_row SET state = :ended, content = NULL WHERE submission_id = :id AND state IN ('listed', 'good')"
)


def end_waiting_rows(session: Session, submission: Submission) -> None:
    """End the rows of a locked submission of which nothing was decided, with their content."""
    session.execute(_END_ROWS, {"id": submission.id, "ended": RowState.STOPPED.value})
    waiting = [state.value for state in WAITING_ROWS for _ in range(submission.counts.get(state.value, 0))]
    count(session, submission, waiting, [RowState.STOPPED.value] * len(waiting))
