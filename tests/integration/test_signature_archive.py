"""Results of signature requests are renewed before anything that people's signatures or ours rest on ends."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from service.db.jobs import JobKind
from service.usecases import archive, repair
from service.usecases.signatures import sender
from signing.errors import CertificateUntrusted, SigningError, TimeStampUnavailable
from signing.renewal import NothingToKeep, good_until
from signing.report import Kind
from signing.trust import load_certificates
from signing.validate import validate
from tests.appearance_support import page
from tests.engine_support import execute
from tests.integration.test_archive import Fails, late_ones
from tests.integration.test_retention import rounds
from tests.pipeline_support import Pipeline, TestDatabase
from tests.service_support import delivery_for
from tests.signatures_support import PDF, ask, card_of, document, seen, sign
from tests.usecase_support import at, change, never_wait, parked, waiting

YEAR = timedelta(days=365)
MARGIN = timedelta(days=180)
MORE = (page(text_to=400),)


@pytest.fixture
def agency(pipeline: Pipeline) -> uuid.UUID:
    return pipeline.organisation()


def renewals(database: TestDatabase) -> dict[str, datetime]:
    found = execute(database, "SELECT request_id, renew_at FROM signature_renewal")
    return {f"sgr_{subject.hex}": moment for subject, moment in found}


def completed(pipeline: Pipeline, agency: uuid.UUID, *, ends: timedelta = 10 * YEAR, **changes: object) -> str:
    request = ask(pipeline, agency, more=MORE, **changes)  # type: ignore[arg-type]
    sign(pipeline, request, card=card_of(pipeline, ends=ends))
    pipeline.work()
    assert seen(pipeline, agency, request).state == "completed"
    return request


def everything(pipeline: Pipeline, agency: uuid.UUID, request: str) -> list[bytes]:
    both = [document(pipeline, agency, request, number) for number in (1, 2)]
    return [*both, sender.report(pipeline.context, agency, request).content]


def renew_at(database: TestDatabase) -> datetime:
    (moment,) = renewals(database).values()
    return moment


def test_documents_and_report_are_renewed_in_time_again_and_again(
    pipeline: Pipeline, agency: uuid.UUID, database: TestDatabase
) -> None:
    request = completed(pipeline, agency)
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    kept = everything(pipeline, agency, request)
    for _ in range(2):
        due = renew_at(database)
        assert due > pipeline.now + YEAR
        with at(pipeline, due - timedelta(minutes=1)):
            assert archive.put_due(pipeline.context) == 0
        pipeline.skew += due - pipeline.now + timedelta(minutes=1)
        assert archive.put_due(pipeline.context) == 1
        pipeline.work(JobKind.ARCHIVE)
        assert waiting(database) == []
        after = everything(pipeline, agency, request)
        for before, content in zip(kept, after, strict=True):
            assert content.startswith(before)
            assert len(content) > len(before)
            report = validate(content, trust_roots=roots, at=pipeline.now)
            assert report.valid, report
            assert report.last is not None
            assert report.last.kind is Kind.TIMESTAMP
        kept = after
    view = seen(pipeline, agency, request)
    assert [each.size for each in view.documents] == [len(each) for each in kept[:2]]


def test_the_earliest_end_counts_whoever_it_belongs_to(
    pipeline: Pipeline, agency: uuid.UUID, database: TestDatabase
) -> None:
    lasting, ending = completed(pipeline, agency), completed(pipeline, agency, ends=2 * YEAR)
    found = renewals(database)
    ours = found[lasting] - pipeline.now
    assert 9 * YEAR < ours < 10 * YEAR
    theirs = found[ending] - pipeline.now
    assert abs(theirs - (2 * YEAR - MARGIN)) < timedelta(days=1)
    # Once an archive time-stamp covers the signature, its certificate's end matters no more.
    with at(pipeline, found[ending] + timedelta(minutes=1)):
        assert archive.put_due(pipeline.context) == 1
        pipeline.work(JobKind.ARCHIVE)
        assert renewals(database)[ending] > pipeline.now + 5 * YEAR
    assert renewals(database)[lasting] == found[lasting]


def test_what_became_a_delivery_is_renewed_as_that(
    pipeline: Pipeline, agency: uuid.UUID, database: TestDatabase
) -> None:
    request = completed(pipeline, agency, deliver=delivery_for("jan"))
    assert seen(pipeline, agency, request).delivery_id is not None
    assert renewals(database) == {}
    ((due,),) = execute(database, "SELECT renew_at FROM archive")
    other = completed(pipeline, agency)
    # Both kinds in one round of the same step.
    with at(pipeline, max(due, renewals(database)[other]) + timedelta(minutes=1)):
        assert archive.put_due(pipeline.context) == 2
        pipeline.work(JobKind.ARCHIVE)
        assert waiting(database) == []
        assert archive.put_due(pipeline.context) == 0


@pytest.mark.parametrize("error", [TimeStampUnavailable("away"), CertificateUntrusted("not yet")])
def test_who_is_away_is_waited_for(
    pipeline: Pipeline,
    agency: uuid.UUID,
    database: TestDatabase,
    monkeypatch: pytest.MonkeyPatch,
    error: SigningError,
) -> None:
    request = completed(pipeline, agency)
    before, real = everything(pipeline, agency, request), pipeline.context.signature_renewer
    with at(pipeline, renew_at(database) + timedelta(minutes=1)):
        archive.put_due(pipeline.context)
        change(pipeline, signature_renewer=Fails(error))
        pipeline.work(JobKind.ARCHIVE)
        assert waiting(database) == [("archive", error.code)]
        assert everything(pipeline, agency, request) == before
        never_wait(monkeypatch)
        change(pipeline, signature_renewer=real)
        execute(database, "UPDATE job SET due_at = now()")
        pipeline.work(JobKind.ARCHIVE)
    assert [new != old for new, old in zip(everything(pipeline, agency, request), before, strict=True)] == [True] * 3


def test_one_document_that_fails_leaves_all_as_they_were_and_is_told(
    pipeline: Pipeline, agency: uuid.UUID, database: TestDatabase
) -> None:
    request = completed(pipeline, agency)
    before, real = everything(pipeline, agency, request), pipeline.context.signature_renewer

    class Second:
        seen: Sequence[bytes] = ()

        def renew(self, pdf: bytes, *, at: datetime) -> object:
            self.seen = [*self.seen, pdf]
            if len(self.seen) == 2:
                raise NothingToKeep("no signature")
            return real.renew(pdf, at=at)

    assert late_ones(pipeline) == 0
    with at(pipeline, renew_at(database) + timedelta(minutes=1)):
        archive.put_due(pipeline.context)
        change(pipeline, signature_renewer=Second())
        pipeline.work(JobKind.ARCHIVE)
        assert archive.put_due(pipeline.context) == 0, "a person looks at it"
    assert execute(database, "SELECT failed FROM signature_renewal") == [("no_signature",)]
    assert everything(pipeline, agency, request) == before
    assert (late_ones(pipeline), parked(database)) == (1, [])
    # Once the documents have gone after their period, nobody has anything left to look at.
    rounds(pipeline, days=401)
    assert late_ones(pipeline) == 0
    pipeline.skew = timedelta()


def test_what_was_erased_is_not_renewed(pipeline: Pipeline, agency: uuid.UUID, database: TestDatabase) -> None:
    completed(pipeline, agency)
    with at(pipeline, renew_at(database) + timedelta(minutes=1)):
        archive.put_due(pipeline.context)
        execute(database, "UPDATE signature_request SET content_erased_at = now()")
        pipeline.work(JobKind.ARCHIVE)
    assert (renewals(database), waiting(database)) == ({}, [])


def test_an_operator_sees_which_request_it_is_about(
    pipeline: Pipeline, agency: uuid.UUID, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = completed(pipeline, agency)
    never_wait(monkeypatch)
    monkeypatch.setattr("service.usecases.signatures.renewing.renewed", lambda *_: 1 / 0)
    with at(pipeline, renew_at(database) + timedelta(minutes=1)):
        archive.put_due(pipeline.context)
        pipeline.work(JobKind.ARCHIVE)
        (found,), _ = repair.parked(pipeline.context)
    assert (found.kind, found.subject) == ("archive", request)


def test_a_document_without_signatures_rests_on_nothing(pipeline: Pipeline) -> None:
    assert good_until(PDF, at=pipeline.now) is None
