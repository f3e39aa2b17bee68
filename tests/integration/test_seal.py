"""The step ``seal``: the organisation's own seal, an evidenced end for what can't be sealed, patience for all else."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from io import BytesIO

import pytest
from cryptography import x509
from pyhanko.pdf_utils.reader import PdfFileReader

from service.db import deliveries as rows
from service.db.jobs import JobKind
from service.domain.errors import Conflict, NotFound
from service.embedded.fictional import Organisation as Fictional
from service.embedded.seeding import place_seal
from service.engine.patience import patience
from service.usecases import deliveries, organisations
from service.usecases import seal as seal_step
from service.usecases.admission import Upload
from service.usecases.steps import all_steps
from signing.archive import Kept
from signing.errors import PdfUnreadable
from signing.keys import FileSealKey
from signing.seal import Sealer
from signing.timestamps import HttpTimeStampAuthority
from signing.trust import load_certificates
from signing.validate import validate
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.service_support import DOCUMENTS
from tests.usecase_support import (
    Sender,
    change,
    events,
    evidence,
    never_wait,
    orphans,
    parked,
    problems,
    put_again,
    snapshot,
    status,
    waiting,
)


def signer(pdf: bytes) -> int:
    """The serial number of the certificate of the last signature."""
    return int(PdfFileReader(BytesIO(pdf)).embedded_signatures[-1].signer_cert.serial_number)


class Sealing:
    """A sealer whose ``seal`` is a test's."""

    def __init__(self, seal: Callable[[bytes, datetime], bytes]) -> None:
        self._seal = seal

    shows, together = False, 1

    def seal_to_keep(self, pdf: bytes, *, at: datetime, code: str | None = None) -> Kept:
        assert code is None
        return Kept(self._seal(pdf, at), at + timedelta(days=3650))


def test_each_document_gets_the_seal_of_its_own_organisation(pipeline: Pipeline, organisation: Sender) -> None:
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    for slug in ("een", "twee"):
        sender = organisation(slug)
        uploads = [
            Upload("document", "a.pdf", (DOCUMENTS / "signed-nl.pdf").read_bytes()),
            Upload("attachment", "b.pdf", (DOCUMENTS / "receipt-nl-reportlab.pdf").read_bytes()),
        ]
        delivery = pipeline.hand_in(sender, uploads=uploads).delivery_id
        with pytest.raises(Conflict) as caught:
            deliveries.document(pipeline.context, sender, delivery, 0)
        assert caught.value.code == "document_not_sealed"
        pipeline.work(JobKind.SEAL)
        seen = deliveries.get(pipeline.context, sender, delivery)
        folder = pipeline.application.settings.keys_folder / "seals"
        own = x509.load_pem_x509_certificate((folder / f"{slug}.cert.pem").read_bytes())
        for position, given in enumerate(uploads):
            sealed = deliveries.document(pipeline.context, sender, delivery, position)
            assert sealed.content.startswith(given.content)
            assert hashlib.sha256(sealed.content).hexdigest() == seen.documents[position].sha256
            assert len(sealed.content) == seen.documents[position].size
            report = validate(sealed.content, trust_roots=roots, at=pipeline.now)
            assert report.last is not None
            assert report.last.verdict.value == "valid"
            assert signer(sealed.content) == own.serial_number
        record = evidence(pipeline, sender, delivery, "SubmissionAcceptance")
        assert [part["sha256"] for part in record["parts"]] == [each.sha256 for each in seen.documents]
        for wrong in (2, -1):
            with pytest.raises(NotFound):
                deliveries.document(pipeline.context, sender, delivery, wrong)


def test_sealing_twice_changes_nothing(pipeline: Pipeline, organisation: Sender, database: TestDatabase) -> None:
    sender = organisation()
    delivery = pipeline.hand_in(sender).delivery_id
    pipeline.work()
    before = snapshot(database)
    put_again(pipeline, JobKind.SEAL, sender, delivery)
    pipeline.work()
    assert snapshot(database) == before


def test_what_was_cancelled_while_it_was_sealed_stays_cancelled(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    delivery = pipeline.hand_in(sender).delivery_id
    real = pipeline.context.sealer

    def seal(pdf: bytes, at: datetime) -> bytes:
        deliveries.cancel(pipeline.context, sender, delivery)
        with pipeline.context.database.transaction(organisations=[sender]) as session:
            row = rows.organisation(session, sender)
        assert row is not None
        return real(row).seal(pdf, at=at)

    change(pipeline, sealer=lambda _: Sealing(seal))
    pipeline.work()
    assert status(pipeline, sender, delivery) == "cancelled"
    assert events(pipeline, sender, delivery) == []
    assert waiting(database) == []
    # The sealed object counts for nothing, and is collected.
    assert orphans(database) == 1
    with pytest.raises(Conflict) as caught:
        deliveries.document(pipeline.context, sender, delivery, 0)
    assert caught.value.code == "document_rejected"


def test_what_can_never_be_sealed_is_rejected_with_evidence(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    sender = organisation()
    good, bad = (pipeline.hand_in(sender, reference=name).delivery_id for name in ("good", "bad"))
    real = pipeline.context.sealer
    calls: list[bytes] = []

    def sealer(row: object) -> Sealing:
        def seal(pdf: bytes, at: datetime) -> bytes:
            calls.append(pdf)
            if len(calls) == 2:
                raise PdfUnreadable("The document cannot be read.")
            return real(row).seal(pdf, at=at)  # type: ignore[arg-type]

        return Sealing(seal)

    change(pipeline, sealer=sealer)
    pipeline.work(JobKind.SEAL)
    ended = {delivery: status(pipeline, sender, delivery) for delivery in (good, bad)}
    assert sorted(ended.values()) == ["rejected", "sealed"]
    (rejected,) = [delivery for delivery, state in ended.items() if state == "rejected"]
    record = evidence(pipeline, sender, rejected, "SubmissionRejection")
    assert record["reasons"] == ["seal_failed"]
    assert problems(pipeline, sender, rejected)[-1] == PdfUnreadable.code
    assert deliveries.timeline(pipeline.context, sender, rejected)[-1].reason == "seal_failed"
    before = snapshot(database)
    put_again(pipeline, JobKind.SEAL, sender, rejected)
    pipeline.work(JobKind.SEAL)
    assert snapshot(database) == before


def test_a_document_that_sealing_goes_in_circles_over_is_rejected_and_holds_nobody_up(
    pipeline: Pipeline, organisation: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal_step, "patience", partial(patience, 0.3))
    sender = organisation()
    endless, good = (pipeline.hand_in(sender, reference=name).delivery_id for name in ("endless", "good"))
    real = pipeline.context.sealer
    calls: list[bytes] = []

    def sealer(row: object) -> Sealing:
        def seal(pdf: bytes, at: datetime) -> bytes:
            calls.append(pdf)
            while len(calls) == 1:
                continue
            return real(row).seal(pdf, at=at)  # type: ignore[arg-type]

        return Sealing(seal)

    change(pipeline, sealer=sealer)
    pipeline.work(JobKind.SEAL)
    ended = {status(pipeline, sender, delivery): delivery for delivery in (endless, good)}
    assert set(ended) == {"rejected", "sealed"}
    assert evidence(pipeline, sender, ended["rejected"], "SubmissionRejection")["reasons"] == ["seal_failed"]
    assert problems(pipeline, sender, ended["rejected"])[-1] == "too_complex"


def test_a_rejection_that_comes_after_a_cancellation_changes_nothing(pipeline: Pipeline, organisation: Sender) -> None:
    sender = organisation()
    delivery = pipeline.hand_in(sender).delivery_id

    def seal(_pdf: bytes, _at: datetime) -> bytes:
        deliveries.cancel(pipeline.context, sender, delivery)
        raise PdfUnreadable("The document cannot be read.")

    change(pipeline, sealer=lambda _: Sealing(seal))
    pipeline.work()
    assert status(pipeline, sender, delivery) == "cancelled"
    assert events(pipeline, sender, delivery) == []


def test_without_time_stamps_nothing_is_rejected_and_all_recovers(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation("klok")
    delivery = pipeline.hand_in(sender).delivery_id
    folder = pipeline.application.settings.keys_folder / "seals"
    key = FileSealKey.from_pem(*(folder / f"klok.{part}.pem" for part in ("key", "cert", "chain")))
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    nobody, real = HttpTimeStampAuthority("http://127.0.0.1:1/", roots), pipeline.context.sealer
    change(pipeline, sealer=lambda _: Sealer(key, nobody))
    pipeline.work(JobKind.SEAL)
    nobody.close()
    assert status(pipeline, sender, delivery) == "received"
    assert events(pipeline, sender, delivery) == []
    assert [kind for kind, _ in waiting(database)] == ["seal"]
    assert waiting(database)[0][1]
    assert parked(database) == []
    never_wait(monkeypatch)
    change(pipeline, sealer=real)
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work()
    assert status(pipeline, sender, delivery) == "to_print"


def test_a_key_that_is_missing_rejects_nothing_and_is_waited_for(
    pipeline: Pipeline, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = organisations.NewOrganisation("later", "Later", "administration", "OVO999999", "later", ["A", "1000 B"], "x")
    with pipeline.context.database.transaction() as session:
        sender = organisations.ensure(session, new)
    delivery = pipeline.hand_in(sender).delivery_id
    never_wait(monkeypatch)
    steps = 0
    while waiting(database) and steps < 8:
        pipeline._chunk(all_steps(pipeline.context)[JobKind.SEAL])
        steps += 1
    assert status(pipeline, sender, delivery) == "received"
    assert events(pipeline, sender, delivery) == []
    known = Fictional("later", "Later", "OVO999999", ("A", "1000 B"), "x@test.test")
    place_seal(pipeline.pki, pipeline.application.settings.keys_folder / "seals", known)
    execute(database, "UPDATE job SET parked_at = NULL, due_at = now()")
    pipeline.work(JobKind.SEAL)
    assert status(pipeline, sender, delivery) == "sealed"


def test_a_store_that_is_away_is_waited_for(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender = organisation()
    delivery = pipeline.hand_in(sender).delivery_id
    vault = pipeline.context.vault

    def away(_: object) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(vault, "write_many", away)
        pipeline.work(JobKind.SEAL)
    assert status(pipeline, sender, delivery) == "received"
    execute(database, "UPDATE job SET due_at = now()")
    pipeline.work(JobKind.SEAL)
    assert status(pipeline, sender, delivery) == "sealed"
