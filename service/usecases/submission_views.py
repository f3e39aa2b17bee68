"""Submissions and their rows with exactly the shapes that integrators were promised."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from service.db.ids import DELIVERY, SUBMISSION, public_id
from service.db.models import Submission
from service.db.submissions import SubmissionRow
from service.domain.submission import RowState, SubmissionState


class SubmissionProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with a file or a row; ``pointer`` leads into a JSON line, ``column`` names one of a CSV."""

    code: str
    detail: str
    row: int | None = None
    column: str | None = None
    pointer: str | None = None


class RowCounts(msgspec.Struct, frozen=True):
    """How many rows are in which state; ``total`` is final once the list was read."""

    total: int
    listed: int
    good: int
    bad: int
    admitted: int
    cancelled: int
    stopped: int


class SubmissionLinks(msgspec.Struct, frozen=True):
    """Where the rest of a submission is; ``upload`` while its file is waited for."""

    rows: str
    upload: str | None = None


class SubmissionView(msgspec.Struct, frozen=True):
    """A submission as its sender sees it; ``progress`` is the decided share of its rows, from 0 to 1."""

    id: str
    name: str | None
    state: str
    dry_run: bool
    on_error: str
    release: str
    send_at: datetime | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    ended_at: datetime | None
    size: int | None
    received: int
    sha256: str | None
    rows: RowCounts
    progress: float
    problems: list[SubmissionProblem]
    links: SubmissionLinks


class SubmissionPage(msgspec.Struct, frozen=True):
    """One page of submissions."""

    items: list[SubmissionView]
    next_cursor: str | None


class SubmissionRowView(msgspec.Struct, frozen=True):
    """A row of the list: what became of it and why."""

    row: int
    state: str
    reference: str | None
    delivery_id: str | None
    errors: list[SubmissionProblem]


class SubmissionRowPage(msgspec.Struct, frozen=True):
    """One page of rows."""

    items: list[SubmissionRowView]
    next_cursor: str | None


def submission_view(row: Submission, counts: Mapping[str, int] | None = None) -> SubmissionView:
    """A submission as its sender sees it; with other ``counts`` of rows than its own where they are given."""
    counts = row.counts if counts is None else counts
    public = public_id(SUBMISSION, row.id)
    found = {state.value: counts.get(state.value, 0) for state in RowState}
    total = sum(found.values())
    waiting = found[RowState.LISTED.value] + (0 if row.dry_run else found[RowState.GOOD.value])
    return SubmissionView(
        id=public,
        name=row.name,
        state=row.state,
        dry_run=row.dry_run,
        on_error=row.on_error,
        release=row.release,
        send_at=row.send_at,
        created_at=row.created_at,
        updated_at=row.updated_at or row.created_at,
        completed_at=row.completed_at,
        ended_at=row.ended_at,
        size=row.announced_size if row.completed_at is None else row.received,
        received=row.received,
        sha256=None if row.sha256 is None else row.sha256.hex(),
        rows=RowCounts(total=total, **found),
        progress=round((total - waiting) / total, 4) if total else 0.0,
        problems=problems(row.problems),
        links=SubmissionLinks(
            rows=f"/v1/submissions/{public}/rows",
            upload=f"/v1/submissions/{public}/content" if row.state == SubmissionState.UPLOADING.value else None,
        ),
    )


def row_view(row: SubmissionRow) -> SubmissionRowView:
    """A row as its sender sees it."""
    return SubmissionRowView(
        row=row.number,
        state=row.state,
        reference=row.reference,
        delivery_id=None if row.delivery_id is None else public_id(DELIVERY, row.delivery_id),
        errors=problems(row.errors),
    )


def problems(found: Sequence[Mapping[str, object]]) -> list[SubmissionProblem]:
    """Problems as they are kept, in the shape in which they are shown."""
    return [msgspec.convert(each, SubmissionProblem) for each in found]
