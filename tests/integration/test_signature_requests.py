"""Signature requests: asked for, signed by cards that are never here, sealed, reported, delivered, and evidenced."""

import json
import os
import uuid
from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest

from service.db.deliveries import organisation
from service.db.jobs import JobKind
from service.domain.errors import (
    Conflict,
    DocumentRefused,
    IdempotencyMismatch,
    IdempotencyMissing,
    Invalid,
    NotFound,
    TransitionRefused,
)
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from service.ledger.verify import verify_evidence
from service.notifications.base import SignatureAsked
from service.usecases import deliveries, mailbox
from service.usecases.admission import Upload
from service.usecases.signatures import clock, opening, sender, signer
from signing.trust import load_certificates
from signing.validate import Verdict, validate
from tests.card_support import Card
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase, fresh_database, wired
from tests.service_support import delivery_for
from tests.signatures_support import (
    PDF,
    SEAL,
    ask,
    asked,
    begin,
    by_card,
    card_of,
    document,
    events,
    person,
    seen,
    sign,
    who,
    without_cards,
)
from tests.usecase_support import activate, at, own_messages, with_post


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[TestDatabase]:
    """One database for all of this file: each test has an organisation of its own."""
    assert stack.urls is not None
    with fresh_database(stack.urls, DATABASE) as made:
        yield made


@pytest.fixture(scope="module")
def shared(stack: Stack, database: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    with wired(stack, database, tmp_path_factory.mktemp("signatures"), quiet_hours=False) as made:
        yield Pipeline(made, stack.home / "pki")


@pytest.fixture
def pipeline(shared: Pipeline) -> Iterator[Pipeline]:
    before = shared.context
    yield shared
    shared.context, shared.skew = before, timedelta()
    shared.work()


@pytest.fixture
def agency(pipeline: Pipeline) -> uuid.UUID:
    return pipeline.organisation()


def test_one_signer_from_asking_to_the_sealed_result(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency)
    (mine,) = [each for each in signer.waiting(pipeline.context, who(pipeline)) if each.id == request]
    assert (mine.turn, mine.subject, mine.state) == (True, "Overeenkomst", "asked")
    assert mine.sender.startswith("Organisation ")
    assert signer.document(pipeline.context, who(pipeline), request).content.startswith(b"%PDF")
    assert sign(pipeline, request).state == "signed"
    assert seen(pipeline, agency, request).state == "signed"
    pipeline.work()
    view = seen(pipeline, agency, request)
    assert view.state == "completed"
    assert view.ended_at is not None
    (one,) = view.signers
    assert (one.state, one.level_reached) == ("signed", "qualified")
    assert one.certificate_sha256 is not None
    result = document(pipeline, agency, request)
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    report = validate(result, trust_roots=roots, at=pipeline.now)
    assert [each.verdict for each in report.signatures] == [Verdict.VALID] * 2
    assert (report.signatures[0].signer or "").startswith("An Peeters")
    assert report.signatures[0].certificate_sha256 == one.certificate_sha256
    assert events(pipeline, agency, request) == ["SignatureRequested", "Signed", "SignatureRequestCompleted"]
    assert not execute_jobs(pipeline)


def execute_jobs(pipeline: Pipeline) -> list[object]:
    with pipeline.context.database.session() as session:
        return list(session.connection().exec_driver_sql("SELECT kind, leg, last_error FROM job").fetchall())


def test_the_report_is_sealed_and_tells_who_signed(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency)
    with pytest.raises(NotFound):
        sender.report(pipeline.context, agency, request)
    sign(pipeline, request)
    pipeline.work()
    report = sender.report(pipeline.context, agency, request)
    if folder := os.environ.get("ZENDING_SCREENSHOTS"):
        Path(folder, "report.pdf").write_bytes(report.content)
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    assert validate(report.content, trust_roots=roots, at=pipeline.now).valid
    with pikepdf.open(BytesIO(report.content)) as opened:
        attached = json.loads(opened.attachments["signatures.json"].get_file().read_bytes())
        assert "Peeters" not in str(opened.docinfo)
    told = {each["record"]["event"]: each["record"] for each in attached["evidence"]}
    assert set(told) == {"SignatureRequested", "Signed"}
    assert told["Signed"]["signer"]["id"] == "85073003328"
    assert told["Signed"]["outcome"]["level"] == "qualified"


def test_each_act_is_proven_in_the_log(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency)
    sign(pipeline, request)
    pipeline.work()
    pipeline.sequence()
    keys = pipeline.application.log_signer.vkeys
    for each in sender.evidence_list(pipeline.context, agency, request):
        assert each.published
        whole = sender.evidence_one(pipeline.context, agency, request, each.id)
        checks = verify_evidence(whole, keys)
        assert all(check.ok is not False for check in checks), checks
        changed = json.loads(json.dumps(whole))
        changed["record"]["signature_request"] = "sgr_other"
        assert any(check.ok is False for check in verify_evidence(changed, keys))


def test_signers_in_sequence_come_one_after_the_other(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency, [person("an"), SEAL, person("cem")])
    assert request not in [each.id for each in signer.waiting(pipeline.context, who(pipeline, "cem"))]
    with pytest.raises(NotFound):
        signer.document(pipeline.context, who(pipeline, "cem"), request)
    with pytest.raises(NotFound):
        begin(pipeline, request, card_of(pipeline, "cem"), "cem")
    sign(pipeline, request, "an")
    assert [each.state for each in seen(pipeline, agency, request).signers] == ["signed", "asked", "waiting"]
    pipeline.work()
    assert [each.state for each in seen(pipeline, agency, request).signers] == ["signed", "signed", "asked"]
    sign(pipeline, request, "cem")
    pipeline.work()
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    report = validate(document(pipeline, agency, request), trust_roots=roots, at=pipeline.now)
    assert [each.verdict for each in report.signatures] == [Verdict.VALID] * 4


def test_side_by_side_the_slower_one_begins_again(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency, [person("an"), person("cem")], order="parallel")
    slow = card_of(pipeline, "an")
    prepared = begin(pipeline, request, slow, "an")
    sign(pipeline, request, "cem")
    with pytest.raises(Conflict) as caught:
        signer.sign(pipeline.context, who(pipeline, "an"), request, by_card(slow, prepared))
    assert caught.value.code == "signing_stale"
    sign(pipeline, request, "an", slow)
    pipeline.work()
    assert seen(pipeline, agency, request).state == "completed"


def test_nobody_signs_for_somebody_else(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency)
    with pytest.raises(NotFound):
        begin(pipeline, request, card_of(pipeline, "cem"), "cem")
    with pytest.raises(Invalid) as caught:
        begin(pipeline, request, card_of(pipeline, "cem"), "an")
    assert caught.value.code == "signer_differs"
    with pytest.raises(Invalid) as caught:
        begin(pipeline, request, card_of(pipeline, "an", statements=()))
    assert caught.value.code == "level_not_reached"


def test_where_no_issuers_are_set_nobody_signs(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency)
    with pytest.raises(Conflict) as caught:
        begin(without_cards(pipeline), request, card_of(pipeline))
    assert caught.value.code == "card_signing_off"


def test_a_signature_counts_once(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency, [person("an"), person("cem")])
    card = card_of(pipeline)
    made = by_card(card, begin(pipeline, request, card))
    signer.sign(pipeline.context, who(pipeline), request, made)
    before = document(pipeline, agency, request)
    with pytest.raises(TransitionRefused):
        signer.sign(pipeline.context, who(pipeline), request, made)
    assert document(pipeline, agency, request) == before
    assert events(pipeline, agency, request).count("Signed") == 1


def test_what_was_prepared_for_one_request_is_nothing_in_another(
    pipeline: Pipeline, database: TestDatabase, agency: uuid.UUID
) -> None:
    first, second = ask(pipeline, agency), ask(pipeline, agency)
    card = card_of(pipeline)
    made = by_card(card, begin(pipeline, first, card))
    with pytest.raises(Conflict) as caught:
        signer.sign(pipeline.context, who(pipeline), second, made)
    assert caught.value.code == "signing_stale"
    # Nor when somebody moves the row's bytes: they are bound to their place.
    begin(pipeline, second, card)
    move = "UPDATE signature_signer SET prepared = (SELECT prepared FROM signature_signer WHERE request_id = %s)"
    ids = [uuid.UUID(each.removeprefix("sgr_")) for each in (first, second)]
    execute(database, f"{move} WHERE request_id = %s", *ids)
    with pytest.raises(Exception, match=r"(?i)damaged|changed|decrypt|belongs|integrity"):
        signer.sign(pipeline.context, who(pipeline), second, made)
    assert seen(pipeline, agency, second).state == "open"


def test_too_late_is_too_late(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency)
    card = card_of(pipeline)
    made = by_card(card, begin(pipeline, request, card))
    with at(pipeline, pipeline.now + timedelta(minutes=16)), pytest.raises(Conflict) as caught:
        signer.sign(pipeline.context, who(pipeline), request, made)
    assert caught.value.code == "signing_stale"


def test_another_cards_signature_is_refused(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency)
    other: Card = card_of(pipeline, fresh=True)
    to_sign = begin(pipeline, request, card_of(pipeline))
    with pytest.raises(Invalid) as caught:
        signer.sign(pipeline.context, who(pipeline), request, by_card(other, to_sign))
    assert caught.value.code == "signature_refused"
    assert seen(pipeline, agency, request).signers[0].state == "asked"


def test_a_refusal_ends_it_and_its_reason_reaches_the_sender(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency, [person("an"), person("cem")], order="parallel")
    for empty in ("", "  "):
        with pytest.raises(Invalid):
            signer.refuse(pipeline.context, who(pipeline), request, empty)
    with pytest.raises(Invalid):
        signer.refuse(pipeline.context, who(pipeline), request, "x" * 1001)
    signer.refuse(pipeline.context, who(pipeline), request, "Het bedrag\nklopt niet.")
    view = seen(pipeline, agency, request)
    assert view.state == "refused"
    assert [(each.state, each.reason) for each in view.signers] == [
        ("refused", "Het bedrag klopt niet."),
        ("released", None),
    ]
    with pytest.raises(TransitionRefused):
        begin(pipeline, request, card_of(pipeline, "cem"), "cem")
    assert events(pipeline, agency, request)[-1] == "SignatureRefused"


def test_the_sender_takes_it_back_until_all_have_signed(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency)
    assert sender.cancel(pipeline.context, agency, request).state == "cancelled"
    assert sender.cancel(pipeline.context, agency, request).state == "cancelled"
    with pytest.raises(TransitionRefused):
        begin(pipeline, request, card_of(pipeline))
    with pytest.raises(NotFound):
        signer.document(pipeline.context, who(pipeline), request)
    other = ask(pipeline, agency)
    sign(pipeline, other)
    with pytest.raises(TransitionRefused):
        sender.cancel(pipeline.context, agency, other)


def test_what_nobody_answers_expires_and_reminders_come_before(pipeline: Pipeline, agency: uuid.UUID) -> None:
    activate(pipeline, "lena")
    post = with_post(pipeline)
    request = ask(pipeline, agency, [person("lena")], days=10, remind_after_days=4)
    pipeline.work(JobKind.ASK)
    assert [each.what for each in post.sent] == [SignatureAsked(pipeline_name(pipeline, agency))]
    for days, told, state in ((3, 1, "open"), (5, 2, "open"), (5, 2, "open"), (9, 3, "open"), (11, 3, "expired")):
        with at(pipeline, pipeline.now + timedelta(days=days)):
            clock.round_(pipeline.context)
            # Jobs are due by the database's clock, which does not jump.
            pipeline.work(JobKind.ASK)
        assert len(post.sent) == told, days
        assert seen(pipeline, agency, request).state == state
    assert events(pipeline, agency, request)[-1] == "SignatureRequestExpired"
    assert len({each.reference for each in post.sent}) == 3


def pipeline_name(pipeline: Pipeline, agency: uuid.UUID) -> str:
    with pipeline.context.database.transaction(organisations=[agency]) as session:
        found = organisation(session, agency)
    assert found is not None
    return found.name


def test_whoever_has_no_mailbox_is_not_written_to(pipeline: Pipeline, agency: uuid.UUID) -> None:
    post = with_post(pipeline)
    ask(pipeline, agency)
    pipeline.work(JobKind.ASK)
    assert post.sent == []
    assert not execute_jobs(pipeline)


def test_the_result_is_delivered_where_that_was_asked_for(pipeline: Pipeline, agency: uuid.UUID) -> None:
    activate(pipeline, "cem")
    deliver = delivery_for("cem", document_type="agreement")
    request = ask(pipeline, agency, deliver=deliver)
    sign(pipeline, request)
    pipeline.work()
    view = seen(pipeline, agency, request)
    assert view.delivery_id is not None
    assert view.delivery_id in own_messages(pipeline, who(pipeline, "cem"))
    mailbox.open_message(pipeline.context, who(pipeline, "cem"), view.delivery_id)
    got = mailbox.document(pipeline.context, who(pipeline, "cem"), view.delivery_id, 0)
    assert got.content.startswith(document(pipeline, agency, request))
    assert len(deliveries.get(pipeline.context, agency, view.delivery_id).documents) == 2


def test_the_same_key_asks_once(pipeline: Pipeline, agency: uuid.UUID) -> None:
    body = json.dumps(asked()).encode()
    uploads = [Upload("document", "x.pdf", PDF)]
    first = opening.open_request(pipeline.context, agency, body, uploads, key="k")
    assert opening.open_request(pipeline.context, agency, body, uploads, key="k") == first
    with pytest.raises(IdempotencyMismatch):
        opening.open_request(pipeline.context, agency, json.dumps(asked(subject="x")).encode(), uploads, key="k")
    with pytest.raises(IdempotencyMissing):
        opening.open_request(pipeline.context, agency, body, uploads, key=None)
    assert len(sender.list_page(pipeline.context, agency, state=None, cursor=None, limit=10).items) == 1


def test_a_good_document_is_asked_for_and_nothing_beside(pipeline: Pipeline, agency: uuid.UUID) -> None:
    body = json.dumps(asked()).encode()
    both = [Upload("document", "x.pdf", PDF), Upload("attachment", "y.pdf", PDF)]
    for uploads, code in ((both, "attachment_not_expected"), ([], "document_missing")):
        with pytest.raises(Invalid) as caught:
            opening.open_request(pipeline.context, agency, body, uploads, key="k")
        assert caught.value.code == code
    with pytest.raises(DocumentRefused) as refused:
        ask(pipeline, agency, pdf=b"no pdf", key="k")
    assert [each.pointer for each in refused.value.errors] == ["/document"]
    assert ask(pipeline, agency, key="k")


def test_another_organisations_requests_do_not_exist(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request, other = ask(pipeline, agency), pipeline.organisation()
    for call in (sender.get, sender.cancel, sender.document, sender.report, sender.evidence_list):
        with pytest.raises(NotFound):
            call(pipeline.context, other, request)
    with pytest.raises(NotFound):
        signer.get(pipeline.context, who(pipeline, "cem"), request)


def test_pages_of_requests_follow_one_another(pipeline: Pipeline, agency: uuid.UUID) -> None:
    made = [ask(pipeline, agency) for _ in range(3)]
    first = sender.list_page(pipeline.context, agency, state=None, cursor=None, limit=2)
    assert [each.id for each in first.items] == [made[2], made[1]]
    rest = sender.list_page(pipeline.context, agency, state="open", cursor=first.next_cursor, limit=2)
    assert [each.id for each in rest.items] == [made[0]]
    assert sender.list_page(pipeline.context, agency, state="completed", cursor=None, limit=2).items == []
    for wrong in ({"state": "x"}, {"cursor": "x"}, {"limit": 0}):
        with pytest.raises(Invalid):
            sender.list_page(pipeline.context, agency, **({"state": None, "cursor": None, "limit": 2} | wrong))  # type: ignore[arg-type]
