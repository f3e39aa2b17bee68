"""Evidence pages of real deliveries: sealed for sender and recipient, judged by programs that know nothing of ours."""

import json
import subprocess
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from service.db.ids import ORGANISATION, public_id
from service.db.jobs import JobKind
from service.domain.errors import Conflict, NotFound
from service.domain.identifiers import RecipientId, RecipientKind
from service.identity.scopes import Scope
from service.ledger.verify import verify_evidence
from service.notifications.base import ActivationCode, Notice, Outcome, Result
from service.usecases import activation, deliveries, mailbox, organisations
from service.usecases.mailbox import Reader
from service.usecases.personal import find_hash
from signing.report import Level
from signing.trust import load_certificates
from signing.validate import validate
from tests.api_support import bearer, door
from tests.evidence_page_support import attached, text_of
from tests.pipeline_support import Pipeline
from tests.tools_support import program

CEM = RecipientId.parse(RecipientKind.CITIZEN, "94022722580")


class _CodeReader:
    """Reads the code in the e-mail instead of the person."""

    code = ""

    def send_many(self, notices: Sequence[Notice], *, now: datetime) -> list[Outcome]:
        assert now.tzinfo is not None
        for notice in notices:
            assert isinstance(notice.what, ActivationCode)
            self.code = notice.what.code
        return [Outcome(notice.reference, Result.SENT) for notice in notices]


def _activated(pipeline: Pipeline) -> Reader:
    post = _CodeReader()
    context = replace(pipeline.context, notifier=post)
    reader = Reader(find_hash(context, CEM), RecipientKind.CITIZEN, "high")
    activation.begin(context, reader, "cem@example.be", "fr")
    activation.confirm(context, reader, post.code, consent_version=activation.CONSENT_VERSION)
    return reader


def _sealed(pipeline: Pipeline, organisation: Callable[..., uuid.UUID]) -> tuple[uuid.UUID, str, str]:
    sender = organisation()
    handed = pipeline.hand_in(sender, "jan", language="de")
    pipeline.work(JobKind.SEAL)
    (entry,) = deliveries.evidence_list(pipeline.context, sender, handed.delivery_id)
    return sender, handed.delivery_id, entry.id


def _assert_holds(pipeline: Pipeline, pdf: bytes) -> None:
    report = validate(pdf, trust_roots=load_certificates(pipeline.application.settings.trust_anchor), at=pipeline.now)
    assert report.valid
    assert report.last is not None
    assert report.last.level is Level.B_T
    checks = verify_evidence(attached(pdf), pipeline.application.log_signer.vkeys)
    assert [check for check in checks if check.ok is False] == []


def test_a_sender_gets_a_sealed_page_in_the_deliverys_language(
    pipeline: Pipeline, organisation: Callable[..., uuid.UUID]
) -> None:
    sender, delivery_id, evidence_id = _sealed(pipeline, organisation)
    pipeline.sequence()
    page = deliveries.evidence_pdf(pipeline.context, sender, delivery_id, evidence_id)
    assert page.filename == f"{evidence_id}.pdf"
    _assert_holds(pipeline, page.content)
    assert attached(page.content) == deliveries.evidence_one(pipeline.context, sender, delivery_id, evidence_id)
    text = text_of(page.content)
    assert "Nachweis: Sendung angenommen" in text
    assert "für Jan Claes angenommen" in text
    sha256 = deliveries.get(pipeline.context, sender, delivery_id).documents[0].sha256
    assert sha256 in text


def test_a_recipient_gets_the_page_of_an_own_message_only(
    pipeline: Pipeline, organisation: Callable[..., uuid.UUID]
) -> None:
    reader = _activated(pipeline)
    handed = pipeline.hand_in(organisation(), "cem", language="fr")
    pipeline.work()
    mailbox.open_message(pipeline.context, reader, handed.delivery_id)
    pipeline.sequence()
    ids = {entry.event: entry.id for entry in mailbox.evidence_list(pipeline.context, reader, handed.delivery_id)}
    page = mailbox.evidence_pdf(pipeline.context, reader, handed.delivery_id, ids["ContentAccessTracking"])
    _assert_holds(pipeline, page.content)
    text = text_of(page.content)
    assert "Cem Aydin a ouvert un envoi de Organisation" in text
    assert "niveau de garantie élevé" in text

    stranger = replace(reader, recipient_hash=bytes(32))
    with pytest.raises(NotFound):
        mailbox.evidence_pdf(pipeline.context, stranger, handed.delivery_id, ids["ContentAccessTracking"])


def test_another_organisation_gets_no_page(pipeline: Pipeline, organisation: Callable[..., uuid.UUID]) -> None:
    _, delivery_id, evidence_id = _sealed(pipeline, organisation)
    pipeline.sequence()
    with pytest.raises(NotFound):
        deliveries.evidence_pdf(pipeline.context, organisation(), delivery_id, evidence_id)


def test_there_is_no_page_before_the_evidence_is_published(
    pipeline: Pipeline, organisation: Callable[..., uuid.UUID]
) -> None:
    sender, delivery_id, evidence_id = _sealed(pipeline, organisation)
    with pytest.raises(Conflict) as caught:
        deliveries.evidence_pdf(pipeline.context, sender, delivery_id, evidence_id)
    assert caught.value.code == "evidence_not_published"


def test_a_program_asks_for_the_page_by_its_media_type(
    pipeline: Pipeline, organisation: Callable[..., uuid.UUID]
) -> None:
    sender, delivery_id, evidence_id = _sealed(pipeline, organisation)
    address = f"/v1/deliveries/{delivery_id}/evidence/{evidence_id}"
    wired = pipeline.application
    with wired.context.database.transaction() as session:
        organisations.ensure_client(session, sender, organisations.NewClient("program", "Program", "s" * 40, {*Scope}))
    asking = bearer(wired, organisation=public_id(ORGANISATION, sender)) | {"Accept": "application/pdf"}
    with door(wired) as client:
        early = client.get(address, headers=asking)
        assert (early.status_code, early.json()["code"]) == (409, "evidence_not_published")
        pipeline.sequence()
        answer = client.get(address, headers=asking)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/pdf"
    assert f'filename="{evidence_id}.pdf"' in answer.headers["Content-Disposition"]
    _assert_holds(pipeline, answer.content)


def test_programs_of_others_agree(pipeline: Pipeline, organisation: Callable[..., uuid.UUID], tmp_path: Path) -> None:
    sender, delivery_id, evidence_id = _sealed(pipeline, organisation)
    pipeline.sequence()
    page = deliveries.evidence_pdf(pipeline.context, sender, delivery_id, evidence_id)
    file = tmp_path / page.filename
    file.write_bytes(page.content)
    poppler = Path(program("pdfsig")).parent

    def said(*command: str | Path) -> str:
        return subprocess.run([*map(str, command)], capture_output=True, text=True, check=True, timeout=60).stdout

    assert "Signature is Valid." in said(poppler / "pdfsig", "-nocert", file)
    assert "Total document signed" in said(poppler / "pdfsig", "-nocert", file)
    assert "No syntax or stream encoding errors" in said(program("qpdf"), "--check", file)
    assert "Tagged:          yes" in said(poppler / "pdfinfo", file)
    assert "1: evidence.json" in said(poppler / "pdfdetach", "-list", file)
    saved = tmp_path / "evidence.json"
    said(poppler / "pdfdetach", "-savefile", "evidence.json", "-o", saved, file)
    assert json.loads(saved.read_bytes())["record"]["evidence_id"] == evidence_id
