"""The step ``recall``: of a submission that was stopped, deliveries are cancelled where that is still possible."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy.orm import Session

from service.db import submissions as rows
from service.db.jobs import JobKind, Leased
from service.domain.submission import RowState, SubmissionState
from service.engine.steps import Outcome, Step, each
from service.usecases import dossiers, submission_flow
from service.usecases.context import Context
from service.usecases.deliveries import take_back
from service.usecases.progress import Progress
from service.usecases.submission_flow import Work

CHUNK: Final = 5
TOO_LATE: Final = {
    "code": "too_late_to_cancel",
    "detail": "It is too late to cancel: this is already with the recipient or the printer.",
}


def step(context: Context) -> Step[Work, None]:
    """The step, wired."""

    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, Work]]:
        found = [
            (job, submission_flow.load(session, job, SubmissionState.STOPPED, [RowState.ADMITTED])) for job in jobs
        ]
        return [(job, work) for job, work in found if work is not None]

    def record(session: Session, outcomes: Sequence[Outcome[Work, None]]) -> None:
        for outcome in sorted(outcomes, key=lambda each: each.job.subject_id):
            _recall(session, context, outcome.work)

    return Step(JobKind.RECALL, CHUNK, read, each(lambda _: None), record)


def _recall(session: Session, context: Context, work: Work) -> None:
    submission = rows.get(session, work.submission.organisation_id, work.submission.id, lock=True)
    assert submission is not None
    numbers = [row.number for row in work.rows]
    found = rows.rows_between(session, work.submission.id, numbers[0], numbers[-1], [RowState.ADMITTED], lock=True)
    ids = [row.delivery_id for row in found if row.delivery_id is not None]
    loaded = dossiers.load(session, context, ids, lock=True)
    progress = Progress(context, now=context.clock())
    for row in found:
        session.expunge(row)
        dossier = loaded.get(row.delivery_id) if row.delivery_id is not None else None
        if dossier is not None and take_back(session, progress, dossier):
            row.state = RowState.CANCELLED.value
        else:
            row.errors = [TOO_LATE]
    rows.save_rows(session, found)
    rows.count(session, submission, [RowState.ADMITTED.value] * len(found), [row.state for row in found])
    progress.write(session)
