"""Submissions as their sender sees and steers them: list, report, release, pause, resume, stop; and tidying up."""

import csv
import io
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.db import deliveries, retention
from service.db import printing as print_rows
from service.db import submissions as rows
from service.db.ids import SUBMISSION, parse_id, public_id
from service.db.jobs import JobKind
from service.db.models import DeliveryRow, Submission, VaultObject
from service.db.session import widen
from service.db.submissions import SubmissionRow
from service.domain.errors import Conflict, Invalid, NotFound
from service.domain.submission import ENDED, WAITING_ROWS, RowState, SubmissionEvent, SubmissionState, advance
from service.usecases import pauses, submission_flow
from service.usecases.context import Context
from service.usecases.submission_views import (
    SubmissionPage,
    SubmissionRowPage,
    SubmissionRowView,
    SubmissionView,
    row_view,
    submission_view,
)

MOST: Final = 200
REPORT_PAGE: Final = 1000
# What a spreadsheet would take for a formula (CWE-1236).
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_TIDIED: Final = 20
PAUSE_REASON: Final = "Paused by its sender."


def get(context: Context, organisation_id: uuid.UUID, submission_id: str) -> SubmissionView:
    """One submission of the organisation.

    Raises:
        NotFound: there is none by this id, or it is another organisation's.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        return _view(session, _own(session, organisation_id, submission_id))


def list_page(context: Context, organisation_id: uuid.UUID, *, cursor: str | None, limit: int) -> SubmissionPage:
    """One page of the organisation's uploaded submissions, newest first.

    Raises:
        Invalid: the cursor is none of ours, or the limit is out of bounds.
    """
    _check_limit(limit)
    try:
        before = None if cursor is None else parse_id(SUBMISSION, cursor)
    except NotFound:
        raise _cursor_invalid() from None
    with context.database.transaction(organisations=[organisation_id]) as session:
        found = rows.page(session, organisation_id, before=before, limit=limit + 1)
    return SubmissionPage(
        items=[submission_view(row) for row in found[:limit]],
        next_cursor=public_id(SUBMISSION, found[limit - 1].id) if len(found) > limit else None,
    )


def row_page(
    context: Context,
    organisation_id: uuid.UUID,
    submission_id: str,
    *,
    state: str | None,
    cursor: str | None,
    limit: int,
) -> SubmissionRowPage:
    """One page of a submission's rows, in the order of the list.

    Raises:
        NotFound: no such submission.
        Invalid: the state, the cursor or the limit can't be used.
    """
    _check_limit(limit)
    found = _page(context, organisation_id, submission_id, _state(state), _after(cursor), limit + 1)
    return SubmissionRowPage(items=found[:limit], next_cursor=str(found[limit - 1].row) if len(found) > limit else None)


def report(context: Context, organisation_id: uuid.UUID, submission_id: str, *, state: str | None) -> Iterator[bytes]:
    """The whole report as CSV (RFC 4180, UTF-8), piece by piece; a row with several problems has a line for each.

    Errors as of ``row_page``, before the first piece. Whatever a spreadsheet would take for a formula begins with an
    apostrophe.
    """
    wanted = _state(state)
    first = _page(context, organisation_id, submission_id, wanted, 0, REPORT_PAGE)
    return _report(context, organisation_id, submission_id, wanted, first)


def _report(
    context: Context,
    organisation_id: uuid.UUID,
    submission_id: str,
    state: RowState | None,
    found: list[SubmissionRowView],
) -> Iterator[bytes]:
    yield _lines([["row", "state", "reference", "delivery_id", "code", "place", "detail"]])
    while found:
        yield _lines([line for row in found for line in _row_lines(row)])
        if len(found) < REPORT_PAGE:
            return
        found = _page(context, organisation_id, submission_id, state, found[-1].row, REPORT_PAGE)


def _row_lines(row: SubmissionRowView) -> list[list[str]]:
    head = [str(row.row), row.state, row.reference or "", row.delivery_id or ""]
    if not row.errors:
        return [[*head, "", "", ""]]
    return [[*head, each.code, each.column or each.pointer or "", each.detail] for each in row.errors]


def _lines(cells: list[list[str]]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows([[_harmless(cell) for cell in line] for line in cells])
    return written.getvalue().encode()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def release(context: Context, organisation_id: uuid.UUID, submission_id: str) -> SubmissionView:
    """Let the good rows of a checked submission go.

    Raises:
        NotFound: no such submission.
        Conflict: it was a dry run.
        TransitionRefused: it is not checked.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = _own(session, organisation_id, submission_id, lock=True)
        if row.dry_run:
            raise Conflict("This was a dry run: nothing is made of it. Send it again without dry_run.", code="dry_run")
        submission_flow.happen(session, row, SubmissionEvent.RELEASED, now=context.clock())
        submission_flow.put_chunks(session, row, JobKind.ADMIT, WAITING_ROWS)
        submission_flow.end_of_run(session, row, now=context.clock())
        view = _view(session, row)
    context.wake([JobKind.ADMIT])
    return view


def pause(context: Context, organisation_id: uuid.UUID, submission_id: str, *, actor: str) -> SubmissionView:
    """Let a submission and its deliveries wait, wherever they are on our side.

    Raises:
        NotFound: no such submission.
        TransitionRefused: there is nothing to pause in its state.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = _own(session, organisation_id, submission_id, lock=True)
        paused = advance(SubmissionState(row.state), SubmissionEvent.PAUSED)
        row.pause_id = pauses.begin(session, submission=row.id, reason=PAUSE_REASON, actor=actor)
        row.paused_from, row.state, row.updated_at = row.state, paused.value, context.clock()
        session.flush()
        return _view(session, row)


def resume(context: Context, organisation_id: uuid.UUID, submission_id: str, *, actor: str) -> SubmissionView:
    """Let a paused submission go on from where it was.

    Raises:
        NotFound: no such submission.
        TransitionRefused: it is not paused.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = _own(session, organisation_id, submission_id, lock=True)
        was = None if row.paused_from is None else SubmissionState(row.paused_from)
        target = advance(SubmissionState(row.state), SubmissionEvent.RESUMED, paused_from=was)
        submission_flow.end_pause(session, row, actor=actor)
        row.state, row.updated_at = target.value, context.clock()
        session.flush()
        view = _view(session, row)
    context.wake([JobKind.UNPACK, JobKind.CHECK, JobKind.ADMIT, JobKind.SEAL])
    return view


def stop(context: Context, organisation_id: uuid.UUID, submission_id: str, *, actor: str) -> SubmissionView:
    """End a submission: rows that are no deliveries end now, deliveries are cancelled where that is still possible.

    Raises:
        NotFound: no such submission.
        TransitionRefused: it has ended without deliveries.
    """
    now = context.clock()
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = _own(session, organisation_id, submission_id, lock=True)
        if not row.container:
            raise Conflict("A letter that was handed in by itself is cancelled by itself.", code="not_a_container")
        stopped = advance(SubmissionState(row.state), SubmissionEvent.STOPPED)
        submission_flow.end_pause(session, row, actor=actor)
        row.state, row.updated_at, row.ended_at = stopped.value, now, now
        session.flush()
        rows.end_waiting_rows(session, row)
        submission_flow.put_chunks(session, row, JobKind.RECALL, [RowState.ADMITTED])
        view = _view(session, row)
    context.wake([JobKind.RECALL])
    return view


def tidy(context: Context, *, upload_seconds: int, keep_seconds: int) -> int:
    """End uploads that nobody went on with, and let go of files whose submission has ended; returns how many.

    A file is removed once no restore can need it, as everything that is not needed any more.
    """
    now = context.clock()
    done = 0
    with context.database.transaction() as session:
        widen(session, print_rows.every_organisation(session))
        open_ = select(Submission).where(Submission.container, Submission.content_erased_at.is_(None))
        given_up = open_.where(
            Submission.state == SubmissionState.UPLOADING.value,
            Submission.updated_at < now - timedelta(seconds=upload_seconds),
        )
        for row in session.scalars(given_up.limit(_TIDIED).with_for_update(skip_locked=True)).all():
            row.state, row.ended_at, row.updated_at = SubmissionState.STOPPED.value, now, now
            row.problems = [{"code": "upload_given_up", "detail": "The rest of the file did not come in time."}]
            done += 1
        ended = open_.where(
            Submission.state.in_([state.value for state in ENDED])
            | (Submission.dry_run & (Submission.state == SubmissionState.CHECKED.value)),
            Submission.updated_at < now - timedelta(seconds=keep_seconds),
        )
        for row in session.scalars(ended.limit(_TIDIED).with_for_update(skip_locked=True)).all():
            _let_go(session, context, row)
            done += 1
    return done


def _let_go(session: Session, context: Context, row: Submission) -> None:
    now = context.clock()
    kept = session.scalars(select(VaultObject).where(VaultObject.subject_id == row.id)).all()
    removals = [retention.Removal(each.path, each.subject_id, each.organisation_id) for each in kept]
    retention.remove_later(session, removals, now=now)
    session.execute(
        update(SubmissionRow)
        .where(SubmissionRow.submission_id == row.id, SubmissionRow.content.is_not(None))
        .values(content=None)
        .execution_options(synchronize_session=False)
    )
    row.content_erased_at = now


def _page(
    context: Context,
    organisation_id: uuid.UUID,
    submission_id: str,
    state: RowState | None,
    after: int,
    limit: int,
) -> list[SubmissionRowView]:
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = _own(session, organisation_id, submission_id)
        if row.container:
            return [row_view(each) for each in rows.row_page(session, row.id, state, after=after, limit=limit)]
        made = _deliveries(session, row)
    listed = [
        row_view(
            SubmissionRow(
                submission_id=row.id,
                number=number,
                state=RowState.ADMITTED.value,
                reference=each.reference,
                errors=[],
                delivery_id=each.id,
            )
        )
        for number, each in enumerate(made, 1)
    ]
    return [each for each in listed if each.row > after and state in (None, RowState.ADMITTED)][:limit]


def _deliveries(session: Session, row: Submission) -> list[DeliveryRow]:
    """The deliveries of one hand-in: made at the same moment, so that a look around it finds them."""
    query = select(DeliveryRow).where(
        DeliveryRow.organisation_id == row.organisation_id,
        DeliveryRow.submission_id == row.id,
        DeliveryRow.id >= deliveries.lowest_id(row.created_at - timedelta(minutes=1)),
        DeliveryRow.id < deliveries.lowest_id(row.created_at + timedelta(minutes=3)),
    )
    return list(session.scalars(query.order_by(DeliveryRow.id)))


def _view(session: Session, row: Submission) -> SubmissionView:
    if row.container:
        return submission_view(row)
    return submission_view(row, {RowState.ADMITTED.value: len(_deliveries(session, row))})


def _own(session: Session, organisation_id: uuid.UUID, submission_id: str, *, lock: bool = False) -> Submission:
    row = rows.get(session, organisation_id, parse_id(SUBMISSION, submission_id), lock=lock)
    if row is None:
        raise NotFound
    return row


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MOST:
        raise Invalid(f"A page has 1 to {MOST} items.", code="limit_out_of_bounds")


def _state(state: str | None) -> RowState | None:
    if state is None:
        return None
    try:
        return RowState(state)
    except ValueError:
        raise Invalid("There is no such state of a row.", code="state_unknown") from None


def _after(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 9):  # noqa: PLR2004  no list has a billion rows
        raise _cursor_invalid()
    return int(cursor)


def _cursor_invalid() -> Invalid:
    return Invalid("The cursor is not one that this list gave.", code="cursor_invalid")
