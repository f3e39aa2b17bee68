"""Seals are renewed before what their proof rests on ends, as long as there is something to renew."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from service.db.ids import DELIVERY, parse_id
from service.db.jobs import JobKind
from service.usecases import archive, deliveries, housekeeping, operations
from service.usecases.operations import Promises
from signing.archive import Kept
from signing.errors import CertificateRevoked, SigningError, TimeStampUnavailable
from signing.history import revision_digests
from signing.report import Kind
from signing.trust import load_certificates
from signing.validate import validate
from tests.engine_support import execute
from tests.integration.test_retention import rounds
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Sender, at, change, evidence, never_wait, orphans, parked, status, waiting

YEAR = timedelta(days=365)


def renew_at(database: TestDatabase) -> datetime:
    ((moment,),) = execute(database, "SELECT renew_at FROM archive")
    assert isinstance(moment, datetime)
    return moment


@dataclass
class Sealed:
    sender: uuid.UUID
    delivery: str

    def content(self, pipeline: Pipeline) -> bytes:
        return deliveries.document(pipeline.context, self.sender, self.delivery, 0).content


@pytest.fixture
def sealed(pipeline: Pipeline, organisation: Sender) -> Sealed:
    sender = organisation()
    made = Sealed(sender, pipeline.hand_in(sender).delivery_id)
    pipeline.work()
    return made


def test_a_seal_is_renewed_half_a_year_before_its_certificate_ends(
    pipeline: Pipeline, sealed: Sealed, database: TestDatabase
) -> None:
    due, before = renew_at(database), sealed.content(pipeline)
    assert timedelta(days=9.4 * 365) < due - pipeline.now < timedelta(days=9.6 * 365)
    with at(pipeline, due - timedelta(minutes=1)):
        assert archive.put_due(pipeline.context) == 0
    with at(pipeline, due + timedelta(minutes=1)):
        assert archive.put_due(pipeline.context) == 1
        assert JobKind.ARCHIVE in pipeline.woken
        assert archive.put_due(pipeline.context) == 1, "put twice, and there once"
        assert len(waiting(database)) == 1
        pipeline.work(JobKind.ARCHIVE)
        after = sealed.content(pipeline)
        roots = load_certificates(pipeline.application.settings.trust_anchor)
        report = validate(after, trust_roots=roots, at=pipeline.now)
        assert report.valid, report
        assert report.last is not None
        assert report.last.kind is Kind.TIMESTAMP
        assert archive.put_due(pipeline.context) == 0
    assert after.startswith(before)
    assert renew_at(database) > due + YEAR
    seen = deliveries.get(pipeline.context, sealed.sender, sealed.delivery)
    assert seen.documents[0].sha256 == hashlib.sha256(after).hexdigest()
    assert seen.documents[0].size == len(after)
    assert status(pipeline, sealed.sender, sealed.delivery) == "to_print"
    # What was evidenced stays true of the file's beginning, where zending verify finds it.
    assert hashlib.sha256(before).hexdigest() in revision_digests(after)
    assert revision_digests(after)[0] == hashlib.sha256(after).hexdigest()
    record = evidence(pipeline, sealed.sender, sealed.delivery, "SubmissionAcceptance")
    assert record["parts"][0]["sha256"] == hashlib.sha256(after[: len(before)]).hexdigest()


def test_what_was_renewed_is_removed_once_no_restore_can_need_it(
    pipeline: Pipeline, sealed: Sealed, database: TestDatabase
) -> None:
    stored = {found.path for found in pipeline.context.vault.stored()}
    with at(pipeline, renew_at(database) + timedelta(minutes=1)):
        archive.put_due(pipeline.context)
        pipeline.work(JobKind.ARCHIVE)
        window = timedelta(days=7)
        assert housekeeping.collect_removed(pipeline.context, window=window) == 0
        assert stored < {found.path for found in pipeline.context.vault.stored()}
    with at(pipeline, pipeline.now + 10 * YEAR):
        assert housekeeping.collect_removed(pipeline.context, window=window) == 1
    assert len({found.path for found in pipeline.context.vault.stored()}) == len(stored)
    assert sealed.content(pipeline)


class Fails:
    """A renewer that can't."""

    def __init__(self, error: SigningError) -> None:
        self.error = error

    def renew(self, *_: object, **__: object) -> Kept:
        raise self.error


@pytest.mark.parametrize("error", [TimeStampUnavailable("away"), CertificateRevoked("revoked")])
def test_who_is_away_is_waited_for(
    error: SigningError,
    pipeline: Pipeline,
    sealed: Sealed,
    database: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, real, due = sealed.content(pipeline), pipeline.context.renewer, renew_at(database)
    with at(pipeline, due + timedelta(minutes=1)):
        archive.put_due(pipeline.context)
        change(pipeline, renewer=Fails(error))
        pipeline.work(JobKind.ARCHIVE)
        assert waiting(database) == [("archive", error.code)]
        assert parked(database) == []
        assert sealed.content(pipeline) == before
        never_wait(monkeypatch)
        change(pipeline, renewer=real)
        execute(database, "UPDATE job SET due_at = now()")
        pipeline.work(JobKind.ARCHIVE)
    assert sealed.content(pipeline) != before
    assert waiting(database) == []


def late_ones(pipeline: Pipeline) -> float:
    promises = Promises(60, 60, 60, 60, 60)
    samples = operations.measure(pipeline.context, promises)
    return next(each.value for each in samples if each.metric == "zending_seals_not_renewed")


def test_what_is_too_late_is_told_and_the_document_stays(
    pipeline: Pipeline, sealed: Sealed, database: TestDatabase
) -> None:
    before = sealed.content(pipeline)
    assert late_ones(pipeline) == 0
    with at(pipeline, renew_at(database) + timedelta(days=6)):
        assert late_ones(pipeline) == 0
    with at(pipeline, renew_at(database) + timedelta(days=8)):
        assert late_ones(pipeline) == 1
    with at(pipeline, pipeline.now + 20 * YEAR):
        archive.put_due(pipeline.context)
        pipeline.work(JobKind.ARCHIVE)
        assert execute(database, "SELECT failed FROM archive") == [("no_signature",)]
        assert archive.put_due(pipeline.context) == 0, "a person looks at it"
    assert late_ones(pipeline) == 1
    assert sealed.content(pipeline) == before
    assert parked(database) == []
    # Once the documents have gone after their period, nobody has anything left to look at.
    pipeline.close_batches()
    pipeline.work()
    rounds(pipeline, days=401)
    assert late_ones(pipeline) == 0
    pipeline.skew = timedelta()


def test_what_was_erased_is_not_renewed(pipeline: Pipeline, sealed: Sealed, database: TestDatabase) -> None:
    with at(pipeline, renew_at(database) + timedelta(minutes=1)):
        archive.put_due(pipeline.context)
        execute(database, "UPDATE document SET erased_at = now()")
        pipeline.work(JobKind.ARCHIVE)
    assert execute(database, "SELECT count(*) FROM archive") == [(0,)]
    assert waiting(database) == []
    assert orphans(database) == 0


def test_what_is_erased_while_it_is_renewed_counts_for_nothing(
    pipeline: Pipeline, sealed: Sealed, database: TestDatabase
) -> None:
    real = pipeline.context.renewer

    class Slow:
        def renew(self, pdf: bytes, *, at: datetime) -> Kept:
            execute(database, "UPDATE document SET erased_at = now()")
            return real.renew(pdf, at=at)

    change(pipeline, renewer=Slow())
    with at(pipeline, renew_at(database) + timedelta(minutes=1)):
        archive.put_due(pipeline.context)
        pipeline.work(JobKind.ARCHIVE)
    assert execute(database, "SELECT count(*) FROM archive") == [(0,)]
    assert orphans(database) == 1


def test_a_delivery_takes_its_renewal_with_it(pipeline: Pipeline, sealed: Sealed, database: TestDatabase) -> None:
    delivery = parse_id(DELIVERY, sealed.delivery)
    ((rule,),) = execute(
        database,
        "SELECT confdeltype::text FROM pg_constraint WHERE conrelid = 'archive'::regclass AND contype = 'f'"
        " AND conparentid = 0",
    )
    assert rule == "c", "rows go with their delivery"
    assert execute(database, "SELECT delivery_id FROM archive") == [(delivery,)]
