"""The step ``unpack``: the ZIP is looked through and its list becomes rows, ten thousand at a time.

Each job reads on from where the last one ended and puts the next, in the transaction that writes its rows: a worker may
die anywhere, and no row is written twice.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session

from service import tracing
from service.db import jobs as job_rows
from service.db import submissions as rows
from service.db.ids import SUBMISSION, public_id
from service.db.jobs import JobKind, Lane, Leased, NewJob
from service.db.models import Submission
from service.domain.errors import FieldError, Invalid, PayloadTooLarge
from service.domain.submission import RowState, SubmissionState
from service.engine.steps import Outcome, Step, attempt
from service.usecases import requests, submission_flow
from service.usecases.context import Context
from service.usecases.policies import Policies, of_sender
from service.usecases.submission_container import Container, open_container, stream_entry
from service.usecases.submission_files import PartsFile
from service.usecases.submission_flow import ListedFile, RowContent, Work, problem_of, problems_of
from service.usecases.submission_lists import ListedRow, read_list

SLICE: Final = 10_000
"""Rows that one job reads: some seconds of work, and few enough that they fit into memory. Each job looks through the
table of contents again, which for a hundred thousand entries takes a second."""
LEASE_SECONDS: Final = 60
UNPACKED_TIMES: Final = 3
"""What all entries may become together, as a multiple of the largest upload: PDFs hardly shrink."""
_DIGEST_STEP: Final = 1024 * 1024
_RENEW_EVERY: Final = 10.0


class Hold:
    """Renews the lease of one job while it is worked on."""

    def __init__(self, context: Context, job: Leased) -> None:
        self._context, self._job = context, job
        self._last = time.monotonic()

    def go_on(self) -> None:
        """Renew the lease when it is time to."""
        if time.monotonic() - self._last > _RENEW_EVERY:
            with self._context.database.transaction() as session:
                job_rows.renew(session, [self._job], seconds=LEASE_SECONDS)
            self._last = time.monotonic()


@dataclass
class Slice:
    """What one job read: rows as they will be written, or why the file can't be used."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    ends: int = 0
    more: bool = False
    sha256: bytes | None = None
    fingerprint: bytes | None = None
    refused: list[dict[str, Any]] | None = None


def step(context: Context) -> Step[Work, Slice]:
    """The step, wired."""

    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, Work]]:
        found = [(job, submission_flow.load(session, job, SubmissionState.CHECKING, ())) for job in jobs]
        return [(job, work) for job, work in found if work is not None]

    def perform(works: Sequence[tuple[Leased, Work]]) -> list[Outcome[Work, Slice]]:
        return [attempt(job, work, lambda each, job=job: _unpack(context, job, each)) for job, work in works]  # type: ignore[misc]

    def record(session: Session, outcomes: Sequence[Outcome[Work, Slice]]) -> None:
        for outcome in sorted(outcomes, key=lambda each: each.job.subject_id):
            assert outcome.result is not None
            _record(session, context, outcome.job, outcome.result)

    return Step(JobKind.UNPACK, 1, read, perform, record)


def _unpack(context: Context, job: Leased, work: Work) -> Slice:
    submission = work.submission
    file, hold = submission_flow.open_file(context, work), Hold(context, job)
    made = Slice(ends=submission.list_offset)
    try:
        if submission.announced_sha256 is not None and submission.sha256 is None:
            made.sha256 = _digest(file, hold)
            if made.sha256 != submission.announced_sha256:
                detail = "The file's SHA-256 is not the one that was announced: it changed on its way."
                raise Invalid(detail, code="digest_differs")  # noqa: TRY301  refused like everything else about it
        container = open_container(file, most_bytes=UNPACKED_TIMES * context.limits.submission_bytes)
        made.fingerprint = container.fingerprint
        _read_rows(context, submission, file, container, made, hold)
    except Invalid as error:
        made.refused = problems_of(error, in_csv=True)
    return made


def _digest(file: PartsFile, hold: Hold) -> bytes:
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(_DIGEST_STEP):
        digest.update(piece)
        hold.go_on()
    return digest.digest()


def _read_rows(
    context: Context, submission: Submission, file: PartsFile, container: Container, made: Slice, hold: Hold
) -> None:
    pieces = stream_entry(file, container.list_entry)
    listed = read_list(container.list_name, pieces, after=submission.rows_read, at=submission.list_offset)
    in_csv = container.list_name.endswith(".csv")
    policies = of_sender(context, submission.organisation_id)
    for row in islice(listed, SLICE):
        if row.number > context.limits.submission_rows:
            detail = f"The list has more than {context.limits.submission_rows} rows."
            raise Invalid(detail, code="too_many_rows")
        made.rows.append(_row(context, submission, policies, container, row, in_csv=in_csv))
        made.ends = row.ends
        hold.go_on()
    made.more = len(made.rows) == SLICE
    if not made.more and submission.rows_read + len(made.rows) == 0:
        raise Invalid("The list has no rows.", code="list_empty")


def _row(
    context: Context, submission: Submission, policies: Policies, container: Container, row: ListedRow, *, in_csv: bool
) -> dict[str, Any]:
    """The row as it will be written: ``listed`` with its content, or ``bad`` with its codes."""
    made: dict[str, Any] = {
        "submission_id": submission.id,
        "number": row.number,
        "organisation_id": submission.organisation_id,
        "state": RowState.BAD.value,
        "reference": _reference(row),
        "errors": [problem_of(each, in_csv=in_csv) for each in row.errors],
        "content": None,
        "delivery_id": None,
    }
    if row.value is None:
        return made
    try:
        request = requests.read(msgspec.json.encode(row.value))
        requests.checked(request, policies)
    except Invalid as error:
        made["errors"] = problems_of(error, in_csv=in_csv)
        return made
    files, wrong = _files(context, container, row, in_csv=in_csv)
    if wrong:
        made["errors"] = wrong
        return made
    made["content"] = submission_flow.seal_content(context, submission, row.number, RowContent(request, files, in_csv))
    made["state"] = RowState.LISTED.value
    return made


def _reference(row: ListedRow) -> str | None:
    """The row's reference, also where the row is bad: it is how the sender finds it again."""
    found = (row.value or {}).get("reference")
    if isinstance(found, str) and 0 < len(found.strip()) <= requests.REFERENCE_LENGTH and found.isprintable():
        return found.strip()
    return None


def _files(
    context: Context, container: Container, row: ListedRow, *, in_csv: bool
) -> tuple[list[ListedFile], list[dict[str, Any]]]:
    """The files that a row names, and what is wrong with them."""
    found: list[ListedFile] = []
    wrong: list[FieldError] = []
    for place, name in enumerate([row.document or "", *row.attachments]):
        entry = container.find(name)
        pointer = "/document" if place == 0 else "/attachments"
        if entry is None:
            wrong.append(FieldError(pointer, "file_missing", "The ZIP has no file of this name."))
        else:
            found.append(ListedFile(name, entry))
    if len(row.attachments) + 1 > context.limits.documents:
        detail = f"A delivery has at most {context.limits.documents} documents."
        wrong.append(FieldError("/attachments", "too_many_documents", detail))
    if sum(each.entry.size for each in found) > context.limits.delivery_bytes:
        detail = f"The documents are larger than {context.limits.delivery_bytes} bytes together."
        wrong.append(FieldError("/document", PayloadTooLarge.code, detail))
    return found, [problem_of(each, in_csv=in_csv) for each in wrong]


def _record(session: Session, context: Context, job: Leased, made: Slice) -> None:
    submission = rows.get(session, job.organisation_id, job.subject_id, lock=True)
    if submission is None or submission_flow.phase_of(submission) is not SubmissionState.CHECKING:
        return
    now = context.clock()
    submission.sha256 = made.sha256 or submission.sha256
    if made.refused is None and made.fingerprint is not None and submission.fingerprint is None:
        made.refused = _seen_before(session, submission, made.fingerprint)
    if made.refused is not None:
        submission_flow.refuse(session, submission, made.refused, now=now)
        return
    submission.fingerprint = made.fingerprint
    _tell_repeated(session, submission, made.rows)
    rows.add_rows(session, made.rows)
    rows.count(session, submission, (), [row["state"] for row in made.rows])
    submission.rows_read += len(made.rows)
    submission.list_offset = made.ends
    submission.updated_at = now
    session.flush()
    if made.more:
        next_ = NewJob(
            JobKind.UNPACK,
            job.organisation_id,
            submission.id,
            lane=Lane(submission.lane),
            leg=job.leg + 1,
            trace=tracing.origin(submission.id, many=True),
        )
        job_rows.put(session, [next_])
    else:
        submission_flow.begin_rows(session, submission, now=now)


def _seen_before(session: Session, submission: Submission, fingerprint: bytes) -> list[dict[str, Any]] | None:
    if submission.dry_run:
        return None
    other = rows.same_content(session, submission, fingerprint)
    if other is None:
        return None
    detail = f"{public_id(SUBMISSION, other)} was made of exactly this file. To send it once more, pack it anew."
    return [{"code": "submission_repeated", "detail": detail}]


def _tell_repeated(session: Session, submission: Submission, made: Sequence[dict[str, Any]]) -> None:
    """Mark rows whose reference an earlier row of the submission has: one letter is never sent twice by a slip."""
    named = [row for row in made if row["reference"] is not None]
    known = rows.known_references(session, submission.id, {row["reference"] for row in named})
    for row in named:
        first = known.setdefault(row["reference"], row["number"])
        if first != row["number"]:
            detail = f"Row {first} has this reference already."
            row["errors"] = [*row["errors"], {"code": "reference_repeated", "detail": detail, "column": "reference"}]
            row["state"], row["content"] = RowState.BAD.value, None
