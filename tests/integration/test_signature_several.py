"""Several documents in one signature request: each signer signs all of them in one act, or none."""

import json
import uuid
from io import BytesIO
from typing import Any

import pikepdf
import psycopg
import pytest

from service.db.ids import SIGNATURE_REQUEST, parse_id
from service.domain.errors import Conflict, DocumentRefused, IdempotencyRunning, Invalid, NotFound, Retryable
from service.inspection.inspector import Inspection
from service.usecases import claims, deliveries
from service.usecases.signatures import report, sender, signer
from signing.errors import TimeStampUnavailable
from signing.trust import load_certificates
from signing.validate import Verdict, validate
from tests.appearance_support import page
from tests.engine_support import execute
from tests.inspection_support import document as of_pages
from tests.pipeline_support import Pipeline, TestDatabase
from tests.service_support import delivery_for
from tests.signatures_support import (
    PDF,
    SEAL,
    all_by_card,
    ask,
    begin,
    card_of,
    document,
    events,
    person,
    seen,
    sign,
    who,
)
from tests.usecase_support import change

MORE = (page(text_to=400), page(text_to=300))
ALL = (1, 2, 3)


@pytest.fixture
def agency(pipeline: Pipeline) -> uuid.UUID:
    return pipeline.organisation()


def contents(pipeline: Pipeline, agency: uuid.UUID, request: str) -> list[bytes]:
    return [document(pipeline, agency, request, number) for number in ALL]


def stored(pipeline: Pipeline, request: str) -> set[str]:
    found = pipeline.context.vault.stored(parse_id(SIGNATURE_REQUEST, request))
    return {each.path.split("/")[1] for each in found}


def test_everybody_signs_all_documents_and_one_report_names_them(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency, [person("an"), SEAL, person("cem")], more=MORE)
    before = contents(pipeline, agency, request)
    assert [each.filename for each in signer.get(pipeline.context, who(pipeline), request).documents] == [
        "overeenkomst.pdf",
        "bijlage-2.pdf",
        "bijlage-3.pdf",
    ]
    assert len(set(begin(pipeline, request, card_of(pipeline)).hashes)) == len(ALL)
    sign(pipeline, request)
    pipeline.work()
    assert [each.state for each in seen(pipeline, agency, request).signers] == ["signed", "signed", "asked"]
    sign(pipeline, request, "cem")
    pipeline.work()
    view = seen(pipeline, agency, request)
    assert view.state == "completed"
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    results = contents(pipeline, agency, request)
    for given, result in zip(before, results, strict=True):
        assert result.startswith(given)
        judged = validate(result, trust_roots=roots, at=pipeline.now)
        assert [each.verdict for each in judged.signatures] == [Verdict.VALID] * 4
    assert [(each.number, each.link.rpartition("/")[2]) for each in view.documents] == [(1, "1"), (2, "2"), (3, "3")]
    assert (view.filename, view.sha256) == (view.documents[0].filename, view.documents[0].sha256)
    assert len({each.sha256 for each in view.documents}) == len(ALL)
    made = sender.report(pipeline.context, agency, request).content
    assert validate(made, trust_roots=roots, at=pipeline.now).valid
    with pikepdf.open(BytesIO(made)) as opened:
        attached = json.loads(opened.attachments["signatures.json"].get_file().read_bytes())
    signed = [each["record"] for each in attached["evidence"] if each["record"]["event"] == "Signed"]
    assert [len(each["documents"]) for each in signed] == [len(ALL)] * 3
    assert [each["submitted_sha256"] for each in signed[-1]["documents"]] == [
        each.submitted_sha256 for each in view.documents
    ]
    for number in (0, 4):
        with pytest.raises(NotFound):
            sender.document(pipeline.context, agency, request, number)
        with pytest.raises(NotFound):
            signer.document(pipeline.context, who(pipeline), request, number)


def test_the_report_names_all_and_only_where_there_are_several(
    pipeline: Pipeline, agency: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    real = report.contents

    def contents_(*given: Any, **named: Any) -> Any:
        told.append(real(*given, **named))
        return told[-1]

    monkeypatch.setattr(report, "contents", contents_)
    for more in ((), MORE):
        request = ask(pipeline, agency, more=more)
        sign(pipeline, request)
        pipeline.work()
    one, several = told
    assert [fact.text for fact in one.summary if "pdf" in fact.text] == []
    names = [fact.text for fact in several.summary if "pdf" in fact.text]
    assert names == ["overeenkomst.pdf", "bijlage-2.pdf", "bijlage-3.pdf"]
    digests = {fact.text for fact in several.summary if fact.code}
    view = seen(pipeline, agency, request)
    assert digests == {each.sha256 for each in view.documents} | {each.submitted_sha256 for each in view.documents}
    assert "deze 3 documenten" in several.sentence


def test_a_signature_that_is_missing_wrong_or_in_anothers_place_leaves_all_unsigned(
    pipeline: Pipeline, agency: uuid.UUID
) -> None:
    request = ask(pipeline, agency, more=MORE)
    before = contents(pipeline, agency, request)
    card = card_of(pipeline)
    first, second, third = all_by_card(card, begin(pipeline, request, card))
    other = card_of(pipeline, fresh=True)
    (strange, *_) = all_by_card(other, begin(pipeline, ask(pipeline, agency), other))
    for given, error, code in (
        ((first, second), Conflict, "signing_stale"),
        ((), Conflict, "signing_stale"),
        ((first, second, third, third), Conflict, "signing_stale"),
        ((first, third, second), Invalid, "signature_refused"),
        ((first, second, strange), Invalid, "signature_refused"),
    ):
        with pytest.raises(error) as caught:
            signer.sign(pipeline.context, who(pipeline), request, *given)
        assert caught.value.code == code
        assert contents(pipeline, agency, request) == before
    assert seen(pipeline, agency, request).signers[0].state == "asked"
    assert stored(pipeline, request) == {"request-original", "request-original-d2", "request-original-d3"}
    # The card need not be shown again.
    assert signer.sign(pipeline.context, who(pipeline), request, first, second, third).state == "signed"


def test_a_time_stamp_that_lacks_for_the_last_one_is_waited_for(
    pipeline: Pipeline, agency: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(pipeline, agency, more=MORE)
    before, card = contents(pipeline, agency, request), card_of(pipeline)
    made = all_by_card(card, begin(pipeline, request, card))
    authority = pipeline.context.tsa
    assert authority is not None
    real, asked = authority.token, []

    def token(digest: bytes) -> bytes:
        asked.append(digest)
        if len(asked) == len(ALL):
            raise TimeStampUnavailable("away")
        return real(digest)

    with monkeypatch.context() as patch:
        patch.setattr(authority, "token", token)
        with pytest.raises(Retryable) as caught:
            signer.sign(pipeline.context, who(pipeline), request, *made)
    assert caught.value.code == "timestamp_unavailable"
    assert contents(pipeline, agency, request) == before
    # It outlives the process: nothing of it is kept elsewhere than in the database.
    assert signer.sign(pipeline.context, who(pipeline), request, *made).state == "signed"
    assert events(pipeline, agency, request) == ["SignatureRequested", "Signed"]


def test_cut_off_before_it_counts_nothing_counts(
    pipeline: Pipeline, agency: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(pipeline, agency, more=MORE)
    before, card = contents(pipeline, agency, request), card_of(pipeline)
    made = all_by_card(card, begin(pipeline, request, card))
    with monkeypatch.context() as hurt:
        hurt.setattr("service.usecases.signatures.signer.happen", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            signer.sign(pipeline.context, who(pipeline), request, *made)
    assert contents(pipeline, agency, request) == before
    assert signer.sign(pipeline.context, who(pipeline), request, *made).state == "signed"
    for given, now in zip(before, contents(pipeline, agency, request), strict=True):
        assert now.startswith(given)
        assert len(now) > len(given)


def test_the_release_before_can_not_sign_the_first_document_alone(
    pipeline: Pipeline, agency: uuid.UUID, database: TestDatabase
) -> None:
    several, one = ask(pipeline, agency, more=MORE), ask(pipeline, agency)
    alone = "UPDATE signature_request SET path = path || 'x', role = 'request-signed-1' WHERE id = %s"
    with pytest.raises(psycopg.errors.CheckViolation, match="change together"):
        execute(database, alone, parse_id(SIGNATURE_REQUEST, several))
    execute(database, alone, parse_id(SIGNATURE_REQUEST, one))


def test_the_first_is_delivered_with_the_others_and_the_report_beside_it(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency, more=MORE, deliver=delivery_for("jan", document_type="agreement"))
    sign(pipeline, request)
    pipeline.work()
    view = seen(pipeline, agency, request)
    assert view.delivery_id is not None
    found = deliveries.get(pipeline.context, agency, view.delivery_id)
    assert [each.filename for each in found.documents] == [
        *(each.filename for each in view.documents),
        f"{request}.pdf",
    ]
    for number, signed in enumerate(contents(pipeline, agency, request)):
        got = deliveries.document(pipeline.context, agency, view.delivery_id, number)
        assert got.content.startswith(signed)


def test_the_limits_are_of_all_documents_together(pipeline: Pipeline, agency: uuid.UUID) -> None:
    many = [of_pages(pages=number) for number in range(1, 11)]
    for more, changes, code, pointer in (
        (many, {}, "too_many_documents", "/document"),
        (many[:9], {"deliver": delivery_for("jan")}, "too_many_documents", "/deliver"),
        ([PDF], {}, "document_twice", "/document/1"),
        ([of_pages(pages=150), of_pages(pages=151)], {}, "too_many_pages", "/document"),
    ):
        with pytest.raises(Invalid) as caught:
            ask(pipeline, agency, more=more, **changes)  # type: ignore[arg-type]
        assert caught.value.code == code
        assert [each.pointer for each in caught.value.errors] == [pointer]
    with pytest.raises(DocumentRefused) as refused:
        ask(pipeline, agency, more=[MORE[0], b"no pdf"])
    assert [each.pointer for each in refused.value.errors] == ["/document/2"]
    assert len(seen(pipeline, agency, ask(pipeline, agency, more=many[:9])).documents) == 10


def test_the_key_is_held_for_as_long_as_the_documents_take(
    pipeline: Pipeline, agency: uuid.UUID, database: TestDatabase
) -> None:
    real, looked, part = pipeline.context.inspector, [], 0.7 * claims.SECONDS

    class Slow:
        def inspect(self, pdf: bytes) -> Inspection:
            looked.append(pdf)
            # As if each took the better part of what a claim is given.
            execute(database, "UPDATE idempotency_key SET lease_until = lease_until - make_interval(secs => %s)", part)
            if len(looked) == len(ALL):
                # The claim of the first moment would be over: another request could take over, and ask everybody twice.
                with pytest.raises(IdempotencyRunning):
                    ask(pipeline, agency, more=MORE, key="k")
            return real.inspect(pdf)

    change(pipeline, inspector=Slow())
    assert ask(pipeline, agency, more=MORE, key="k")
    assert len(looked) == len(ALL)


def test_somebody_else_in_between_is_noticed_by_any_document(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency, [person("an"), person("cem")], order="parallel", more=MORE)
    card = card_of(pipeline)
    made = all_by_card(card, begin(pipeline, request, card))
    sign(pipeline, request, "cem")
    with pytest.raises(Conflict) as caught:
        signer.sign(pipeline.context, who(pipeline), request, *made)
    assert caught.value.code == "signing_stale"
    sign(pipeline, request, card=card)
    pipeline.work()
    assert seen(pipeline, agency, request).state == "completed"
