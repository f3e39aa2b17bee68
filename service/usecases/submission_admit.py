"""The steps ``check`` and ``admit``: a chunk of rows has its documents looked at, or becomes deliveries.

A row's delivery is named by the row in the transaction that makes the delivery: however often a chunk is begun anew,
each row becomes one delivery at most.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session

from service.db import deliveries
from service.db import submissions as rows
from service.db.jobs import JobKind, Lane, Leased
from service.db.models import Organisation, Submission
from service.db.submissions import SubmissionRow
from service.domain.errors import FieldError, Invalid, PayloadTooLarge, Retryable
from service.domain.submission import WAITING_ROWS, RowState, SubmissionState
from service.engine.steps import Outcome, Step, attempt
from service.usecases import admission, quotas, requests, submission_flow
from service.usecases.admission import Admission, Candidate, Inspected, Sender, Upload
from service.usecases.context import Context
from service.usecases.policies import policies_of
from service.usecases.quotas import DeliveryQuota
from service.usecases.submission_container import read_entry
from service.usecases.submission_files import PartsFile
from service.usecases.submission_flow import Looked, RowContent, Work, problems_of
from service.usecases.submission_unpack import Hold

CHUNK: Final = 2
GROUP_BYTES: Final = 32 * 1024 * 1024
"""Documents that are held in memory until they are stored together; one delivery more than that at most."""


@dataclass
class Decided:
    """What became of a chunk's rows, by their number."""

    bad: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    good: dict[int, RowContent] = field(default_factory=dict)
    made: dict[int, Admission] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A chunk of rows and whose they are."""

    work: Work
    organisation: Organisation
    quota: DeliveryQuota | None = None


def check_step(context: Context) -> Step[Task, Decided]:
    """The step ``check``, wired."""

    def record(session: Session, outcomes: Sequence[Outcome[Task, Decided]]) -> None:
        _each(session, outcomes, SubmissionState.CHECKING, lambda *each: _record_checked(session, context, *each))

    return _step(context, JobKind.CHECK, SubmissionState.CHECKING, [RowState.LISTED], _check, record)


def admit_step(context: Context) -> Step[Task, Decided]:
    """The step ``admit``, wired."""

    def record(session: Session, outcomes: Sequence[Outcome[Task, Decided]]) -> None:
        _each(session, outcomes, SubmissionState.RUNNING, lambda *each: _record_admitted(session, context, *each))

    return _step(context, JobKind.ADMIT, SubmissionState.RUNNING, list(WAITING_ROWS), _admit, record)


def _step(
    context: Context,
    kind: JobKind,
    phase: SubmissionState,
    states: Sequence[RowState],
    function: Callable[[Context, Leased, Task], Decided],
    record: Callable[[Session, Sequence[Outcome[Task, Decided]]], None],
) -> Step[Task, Decided]:
    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, Task]]:
        organisations = deliveries.organisations(session, {job.organisation_id for job in jobs})
        found = [(job, submission_flow.load(session, job, phase, states)) for job in jobs]
        return [
            (job, Task(work, organisations[job.organisation_id], _quota(session, kind, work)))
            for job, work in found
            if work is not None
        ]

    def perform(works: Sequence[tuple[Leased, Task]]) -> list[Outcome[Task, Decided]]:
        return [attempt(job, task, lambda each, job=job: function(context, job, each)) for job, task in works]  # type: ignore[misc]

    return Step(kind, CHUNK, read, perform, record)


def _quota(session: Session, kind: JobKind, work: Work) -> DeliveryQuota | None:
    """Why these rows can't become deliveries today, looked at before any work is done for them."""
    if kind is JobKind.ADMIT:
        try:
            quotas.room(session, work.submission.organisation_id, len(work.rows))
        except DeliveryQuota as error:
            return error
    return None


def _check(context: Context, job: Leased, task: Task) -> Decided:
    decided, hold = Decided(), Hold(context, job)
    file = submission_flow.open_file(context, task.work)
    for row in task.work.rows:
        content = submission_flow.open_content(context, row)
        try:
            candidate = _candidate(context, task, file, content)
        except (Invalid, PayloadTooLarge) as error:
            decided.bad[row.number] = _problems(error, in_csv=content.in_csv)
        else:
            kept = all(each.inspection.replacement is None for each in candidate.inspected)
            looked = [Looked.of(each.sha256, each.inspection) for each in candidate.inspected] if kept else None
            decided.good[row.number] = msgspec.structs.replace(content, looked=looked)
        hold.go_on()
    return decided


def _admit(context: Context, job: Leased, task: Task) -> Decided:
    if task.quota is not None:
        # Nothing is wrong with the rows: they wait for another day.
        raise Retryable(task.quota.detail, code=task.quota.code)
    decided, hold = Decided(), Hold(context, job)
    file = submission_flow.open_file(context, task.work)
    waiting: dict[int, Candidate] = {}
    for row in task.work.rows:
        content = submission_flow.open_content(context, row)
        try:
            candidate = _candidate(context, task, file, content)
        except (Invalid, PayloadTooLarge) as error:
            decided.bad[row.number] = _problems(error, in_csv=content.in_csv)
        else:
            if _bytes_of([*waiting.values(), candidate]) > GROUP_BYTES:
                decided.made |= _stored(context, task, waiting)
                waiting = {}
            waiting[row.number] = candidate
        hold.go_on()
    decided.made |= _stored(context, task, waiting)
    return decided


def _candidate(context: Context, task: Task, file: PartsFile, content: RowContent) -> Candidate:
    """A row's delivery, its documents read from the ZIP and found right.

    Raises:
        Invalid: something about it is wrong.
        Retryable: it can't be said at the moment.
    """
    uploads = [
        Upload(
            "document" if place == 0 else "attachment",
            each.name,
            read_entry(file, each.entry, most=context.limits.delivery_bytes),
        )
        for place, each in enumerate(content.files)
    ]
    request = content.request
    admission.check_files(context, request, uploads)
    personal = requests.checked(request, policies_of(context, task.organisation))
    if request.send_at is None and task.work.submission.send_at is not None:
        request = msgspec.structs.replace(request, send_at=task.work.submission.send_at)
    return Candidate(request, personal, _looked_at(content, uploads) or admission.inspect(context, uploads))


def _looked_at(content: RowContent, uploads: Sequence[Upload]) -> list[Inspected] | None:
    """The inspections that the row keeps, where they are of exactly these files."""
    if content.looked is None or len(content.looked) != len(uploads):
        return None
    found = []
    for upload, looked in zip(uploads, content.looked, strict=True):
        sha256 = hashlib.sha256(upload.content).digest()
        if sha256.hex() != looked.sha256:
            return None
        found.append(Inspected(upload.filename, upload.content, looked.inspection(), sha256, sha256))
    return found


def _bytes_of(candidates: Sequence[Candidate]) -> int:
    return sum(len(each.content) for one in candidates for each in one.inspected)


def _stored(context: Context, task: Task, candidates: dict[int, Candidate]) -> dict[int, Admission]:
    """Prepare and store a group; what is kept of it is small."""
    if not candidates:
        return {}
    submission = task.work.submission
    made = admission.prepare(
        context,
        task.organisation,
        Sender(submission.organisation_id, Lane(submission.lane)),
        list(candidates.values()),
        submission_id=submission.id,
        now=context.clock(),
    )
    admission.store(context, submission.organisation_id, made)
    light = [replace(one, objects=tuple(replace(each, ciphertext=b"") for each in one.objects)) for one in made]
    return dict(zip(candidates, light, strict=True))


def _problems(error: Invalid | PayloadTooLarge, *, in_csv: bool) -> list[dict[str, Any]]:
    """What is wrong with a row's documents; the pointers are those of a hand-in, which a list calls otherwise."""
    fields = [
        FieldError("/attachments" if each.pointer == "/attachment" else each.pointer, each.code, each.detail)
        for each in error.errors
    ]
    error.errors = tuple(fields) or (FieldError("/document", error.code, error.detail),)
    return problems_of(error, in_csv=in_csv)


def _each(
    session: Session,
    outcomes: Sequence[Outcome[Task, Decided]],
    phase: SubmissionState,
    function: Callable[[Submission, dict[int, SubmissionRow], Decided], None],
) -> None:
    """Write each chunk under the lock on its submission; nothing where that has ended or moved on meanwhile."""
    for outcome in sorted(outcomes, key=lambda each: each.job.subject_id):
        submission = rows.get(session, outcome.job.organisation_id, outcome.job.subject_id, lock=True)
        if submission is None or submission_flow.phase_of(submission) is not phase or outcome.result is None:
            continue
        numbers = [row.number for row in outcome.work.work.rows]
        found = rows.rows_between(session, submission.id, numbers[0], numbers[-1], WAITING_ROWS, lock=True)
        function(submission, {row.number: row for row in found}, outcome.result)


def _record_checked(
    session: Session, context: Context, submission: Submission, found: dict[int, SubmissionRow], decided: Decided
) -> None:
    before = [row.state for row in found.values()]
    for number, row in found.items():
        if number in decided.bad:
            _spoil(row, decided.bad[number])
        elif number in decided.good:
            row.state = RowState.GOOD.value
            row.content = submission_flow.seal_content(context, submission, number, decided.good[number])
    _save(session, submission, found, before, context)
    submission_flow.end_of_check(session, submission, now=context.clock())


def _record_admitted(
    session: Session, context: Context, submission: Submission, found: dict[int, SubmissionRow], decided: Decided
) -> None:
    taken: list[Admission] = []
    before = [row.state for row in found.values()]
    for number, row in found.items():
        if number in decided.bad:
            _spoil(row, decided.bad[number])
        elif number in decided.made:
            taken.append(decided.made[number])
            row.state, row.delivery_id, row.content = RowState.ADMITTED.value, taken[-1].dossier.id, None
    admission.record(session, taken)
    _count(session, submission, taken)
    _save(session, submission, found, before, context)
    submission_flow.end_of_run(session, submission, now=context.clock())


def _count(session: Session, submission: Submission, taken: Sequence[Admission]) -> None:
    size = sum(document.size for each in taken for document in each.dossier.documents)
    try:
        quotas.take(session, submission.organisation_id, len(taken), size)
    except DeliveryQuota as error:
        raise Retryable(error.detail, code=error.code) from None


def _spoil(row: SubmissionRow, problems: list[dict[str, Any]]) -> None:
    row.state, row.errors, row.content = RowState.BAD.value, problems, None


def _save(
    session: Session, submission: Submission, found: dict[int, SubmissionRow], before: list[str], context: Context
) -> None:
    for row in found.values():
        session.expunge(row)
    rows.save_rows(session, list(found.values()))
    submission.updated_at = context.clock()
    rows.count(session, submission, before, [row.state for row in found.values()])
