"""How a submission moves on: what follows when its list was read, its rows were looked at, its deliveries made.

Everything here happens under the lock on the submission's row, so that of two chunks that end at the same time one sees
that it was the last.
"""

import contextlib
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session

from service import tracing
from service.db import jobs
from service.db import submissions as rows
from service.db.jobs import JobKind, Lane, Leased, NewJob
from service.db.models import Submission
from service.db.submissions import SubmissionRow
from service.domain.errors import FieldError, NotFound, ZendingError
from service.domain.submission import (
    RESUMABLE,
    WAITING_ROWS,
    OnError,
    Release,
    RowState,
    SubmissionEvent,
    SubmissionState,
    advance,
    after_check,
    checks_first,
)
from service.inspection.inspector import Inspection, Problem
from service.inspection.scanners.base import ScanState
from service.usecases import pauses
from service.usecases.context import Context
from service.usecases.personal import open_value, seal_value
from service.usecases.requests import DeliveryRequest
from service.usecases.submission_container import Entry
from service.usecases.submission_files import PartsFile, StoredPart

ROWS_PER_CHUNK: Final = 20
"""Rows that one job takes: a second or two of work, little to repeat when a worker dies."""
SERVICE: Final = "service"


class Looked(msgspec.Struct, frozen=True):
    """What an inspection found about a file that is kept as it came: it need not be inspected again."""

    sha256: str
    pages: int
    size: int
    signatures: int
    certified: bool
    pdf_version: str
    problems: list[Problem]
    scan: ScanState

    @classmethod
    def of(cls, sha256: bytes, found: Inspection) -> "Looked":
        """Keep an inspection."""
        return cls(
            sha256.hex(),
            found.pages,
            found.size,
            found.signatures,
            found.certified,
            found.pdf_version,
            list(found.problems),
            found.scan,
        )

    def inspection(self) -> Inspection:
        """The inspection as it was."""
        return Inspection(
            pages=self.pages,
            size=self.size,
            signatures=self.signatures,
            certified=self.certified,
            pdf_version=self.pdf_version,
            problems=tuple(self.problems),
            replacement=None,
            scan=self.scan,
        )


class ListedFile(msgspec.Struct, frozen=True):
    """A file that a row names: how it is called, and where in the ZIP it is."""

    name: str
    entry: Entry


class RowContent(msgspec.Struct, frozen=True):
    """What a row is about, as long as it waits; encrypted in its column. The first file is the main document."""

    request: DeliveryRequest
    files: list[ListedFile]
    in_csv: bool
    looked: list[Looked] | None = None


@dataclass(frozen=True)
class Work:
    """A submission and a chunk of its rows."""

    submission: Submission
    parts: Sequence[StoredPart]
    rows: Sequence[SubmissionRow]


def seal_content(context: Context, submission: Submission, number: int, content: RowContent) -> bytes:
    """Encrypt what a row is about, for its place."""
    assert submission.retention_year is not None
    return seal_value(
        context,
        content,
        organisation=submission.organisation_id,
        year=submission.retention_year,
        place=_place(submission.id, number),
    )


def open_content(context: Context, row: SubmissionRow) -> RowContent:
    """Decrypt what a row is about."""
    assert row.content is not None
    raw = open_value(
        context, row.content, organisation=row.organisation_id, place=_place(row.submission_id, row.number)
    )
    return msgspec.json.decode(raw, type=RowContent)


def _place(submission: uuid.UUID, number: int) -> str:
    return f"submission_row.content:{submission}/{number}"


def load(session: Session, job: Leased, phase: SubmissionState, states: Collection[RowState]) -> Work | None:
    """What a job has to do in this phase; None when there is nothing left of it."""
    submission = rows.get(session, job.organisation_id, job.subject_id)
    if submission is None or phase_of(submission) is not phase:
        return None
    first = job.leg * ROWS_PER_CHUNK + 1
    found = rows.rows_between(session, submission.id, first, first + ROWS_PER_CHUNK - 1, states) if states else ()
    if states and not found:
        return None
    parts = [StoredPart(each.at, each.size, each.sha256, each.path) for each in rows.parts(session, submission.id)]
    return Work(submission, parts, found)


def open_file(context: Context, work: Work) -> PartsFile:
    """The uploaded file of a work."""
    return PartsFile(context, work.submission.organisation_id, work.submission.id, work.parts)


def phase_of(submission: Submission) -> SubmissionState:
    """Where the work of a submission is; a pause does not change it."""
    return SubmissionState(submission.paused_from or submission.state)


def happen(session: Session, submission: Submission, event: SubmissionEvent, *, now: datetime) -> None:
    """Move a submission that this transaction has locked; while it is paused, what it will be resumed to."""
    target = advance(phase_of(submission), event)
    submission.updated_at = now
    if submission.state == SubmissionState.PAUSED.value and target in RESUMABLE:
        submission.paused_from = target.value
    else:
        end_pause(session, submission, actor=SERVICE)
        submission.state = target.value
    if target in (SubmissionState.DONE, SubmissionState.REFUSED, SubmissionState.STOPPED):
        submission.ended_at = now
    session.flush()


def end_pause(session: Session, submission: Submission, *, actor: str) -> None:
    """Let what a pause of this submission holds go on."""
    if submission.pause_id is not None:
        # An operator may have ended it, which let its jobs go as well.
        with contextlib.suppress(NotFound):
            pauses.end(session, submission.pause_id, actor)
    submission.pause_id = submission.paused_from = None


def refuse(session: Session, submission: Submission, problems: Sequence[dict[str, Any]], *, now: datetime) -> None:
    """End a submission of which nothing was made; its rows end with it."""
    submission.problems = list(problems)
    rows.end_waiting_rows(session, submission)
    happen(session, submission, SubmissionEvent.REFUSED, now=now)


def begin_rows(session: Session, submission: Submission, *, now: datetime) -> None:
    """Begin with the rows of a list that was read to its end."""
    first = checks_first(
        dry_run=submission.dry_run,
        on_error=OnError(submission.on_error),
        release=Release(submission.release),
    )
    if first and rows.any_row(session, submission.id, [RowState.LISTED]):
        put_chunks(session, submission, JobKind.CHECK, [RowState.LISTED])
    else:
        end_of_check(session, submission, now=now)


def end_of_check(session: Session, submission: Submission, *, now: datetime) -> None:
    """Decide how it goes on, once no row is left to be looked at; before that nothing happens."""
    first = checks_first(
        dry_run=submission.dry_run,
        on_error=OnError(submission.on_error),
        release=Release(submission.release),
    )
    if first and rows.any_row(session, submission.id, [RowState.LISTED]):
        return
    counts = submission.counts
    event = after_check(
        bad=counts.get(RowState.BAD.value, 0),
        waiting=sum(counts.get(state.value, 0) for state in WAITING_ROWS),
        dry_run=submission.dry_run,
        on_error=OnError(submission.on_error),
        release=Release(submission.release),
    )
    if event is SubmissionEvent.REFUSED:
        detail = "Rows are wrong, and none was to go on without the others."
        refuse(session, submission, [{"code": "rows_bad", "detail": detail}], now=now)
        return
    happen(session, submission, event, now=now)
    if event is SubmissionEvent.STARTED:
        put_chunks(session, submission, JobKind.ADMIT, WAITING_ROWS)


def end_of_run(session: Session, submission: Submission, *, now: datetime) -> None:
    """Bring a submission to its end once every row is decided; before that nothing happens."""
    if not rows.any_row(session, submission.id, WAITING_ROWS):
        happen(session, submission, SubmissionEvent.FINISHED, now=now)


def put_chunks(session: Session, submission: Submission, kind: JobKind, states: Collection[RowState]) -> None:
    """One job for each chunk that has rows in these states."""
    chunks = rows.chunks(session, submission.id, ROWS_PER_CHUNK, states)
    lane, trace = Lane(submission.lane), tracing.origin(submission.id, many=True)
    jobs.put(
        session,
        [NewJob(kind, submission.organisation_id, submission.id, lane=lane, leg=n, trace=trace) for n in chunks],
    )


def problems_of(error: ZendingError, *, in_csv: bool) -> list[dict[str, Any]]:
    """What is wrong, as a row or a submission keeps it: by column for a CSV, by pointer for JSON."""
    fields = error.errors or (FieldError(None, error.code, error.detail),)
    return [problem_of(each, in_csv=in_csv) for each in fields]


def problem_of(field: FieldError, *, in_csv: bool) -> dict[str, Any]:
    """One thing that is wrong, as it is kept."""
    pointer, column = field.pointer or None, field.column
    if in_csv and pointer is not None and column is None:
        column, pointer = pointer.strip("/").replace("/", "."), None
    found = {"code": field.code, "detail": field.detail, "row": field.row, "column": column, "pointer": pointer}
    return {name: value for name, value in found.items() if value is not None}
