"""The step ``archive`` of signature requests: results and reports get a newer time-stamp before their proof ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from service.db import archive as rows
from service.db import deliveries
from service.db import retention as due
from service.db.jobs import JobKind, Leased
from service.db.retention import Removal
from service.domain.errors import Final
from service.domain.signing_folder import FolderState
from service.engine.steps import Outcome, Step, each
from service.usecases.archive import CHUNK, renewed
from service.usecases.context import Context
from service.usecases.rewriting import renewal_moment
from service.usecases.signatures import documents
from service.usecases.signatures.documents import REPORT, Stored
from service.usecases.signatures.folders import Signing, load
from signing.renewal import good_until

log = structlog.get_logger()

RENEWED = "request-sealed"
"""What the vault knows a renewed document as: the same as before."""


@dataclass(frozen=True)
class Renewed:
    """The documents and the report with newer time-stamps, stored, and until when they are good."""

    documents: list[Stored]
    report: Stored
    until: datetime


def note(session: Session, context: Context, signing: Signing, until: datetime | None, *, now: datetime) -> None:
    """Write down when a request's documents must be renewed; None: nothing that they rest on ends."""
    if until is None:
        rows.REQUESTS.forget(session, [signing.id])
        return
    moment = renewal_moment(context, until, now=now)
    rows.REQUESTS.renew_by(session, {signing.id: (signing.row.organisation_id, moment)})


def good_together_until(contents: Sequence[bytes], *, at: datetime) -> datetime | None:
    """When the first of what several documents rest on ends."""
    moments = [good_until(content, at=at) for content in contents]
    return min((moment for moment in moments if moment is not None), default=None)


def step(context: Context) -> Step[Signing, Renewed]:
    """The step, wired."""

    def read(session: Session, leased: Sequence[Leased]) -> list[tuple[Leased, Signing]]:
        found = load(session, context, {job.subject_id for job in leased})
        kept = [
            (job, found[job.subject_id])
            for job in leased
            if job.subject_id in found and _standing(found[job.subject_id])
        ]
        rows.REQUESTS.forget(session, {job.subject_id for job in leased} - {job.subject_id for job, _ in kept})
        return kept

    def record(session: Session, outcomes: Sequence[Outcome[Signing, Renewed]]) -> None:
        again = load(session, context, {outcome.job.subject_id for outcome in outcomes}, lock=True)
        for outcome in outcomes:
            assert outcome.result is not None
            _record(session, context, again.get(outcome.job.subject_id), outcome.work, outcome.result)

    def fail(session: Session, job: Leased, error: Final) -> None:
        log.error("seal_not_renewed", request=str(job.subject_id), code=error.code)
        rows.REQUESTS.fail(session, job.subject_id, error.code)

    return Step(JobKind.ARCHIVE, CHUNK, read, each(lambda signing: _perform(context, signing)), record, fail)


def _standing(signing: Signing) -> bool:
    """Whether there is something to renew: a delivered result is renewed as the delivery that it became."""
    row = signing.row
    return (
        row.state == FolderState.COMPLETED.value
        and row.content_erased_at is None
        and row.delivery_id is None
        and row.report_path is not None
    )


def _perform(context: Context, signing: Signing) -> Renewed:
    row = signing.row
    assert row.report_path is not None
    report = context.vault.read(row.report_path, row.organisation_id, row.id, REPORT)
    kept = [
        renewed(context, context.signature_renewer, content)
        for content in (*(file.content for file in documents.read_all(context, signing)), report)
    ]
    *contents, last = (each.content for each in kept)
    *stored, report_ = documents.store(context, signing, RENEWED, contents, also=last)
    return Renewed(stored, report_, min(each.until for each in kept))


def _record(session: Session, context: Context, signing: Signing | None, before: Signing, made: Renewed) -> None:
    now = context.clock()
    if signing is None or not _standing(signing) or documents.state(signing) != documents.state(before):
        # Erased, delivered or renewed meanwhile: what was stored stays without an owner and is collected.
        if signing is not None and not _standing(signing):
            rows.REQUESTS.forget(session, [signing.id])
        return
    row = signing.row
    assert row.report_path is not None
    due.remove_later(session, [Removal(row.report_path, row.id, row.organisation_id)], now=now)
    row.report_path, row.report_size = made.report.prepared.path, made.report.size
    documents.name(session, signing, made.documents, now=now)
    deliveries.keep(session, [row.id], [made.report.prepared.path])
    note(session, context, signing, made.until, now=now)
