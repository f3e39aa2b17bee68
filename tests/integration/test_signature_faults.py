"""Signatures when something breaks or several come at once: one counts, nothing is lost, and what never can ends."""

import dataclasses
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.db.jobs import JobKind
from service.domain.errors import Conflict, Invalid, TransitionRefused
from service.embedded.status import revoke
from service.engine.steps import run_chunk
from service.usecases import repair
from service.usecases.signatures import signer
from service.usecases.steps import all_steps
from signing.errors import ChangesForbidden, TimeStampUnavailable
from signing.trust import load_certificates
from signing.validate import validate
from tests.pipeline_support import Pipeline
from tests.signatures_support import ask, begin, by_card, card_of, document, events, person, seen, sign, who


@pytest.fixture
def agency(pipeline: Pipeline) -> uuid.UUID:
    return pipeline.organisation()


def test_of_two_who_give_the_same_signature_at_once_one_counts(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency, [person("an"), person("cem")])
    card = card_of(pipeline)
    made = by_card(card, begin(pipeline, request, card))

    def give(_: int) -> str:
        try:
            return signer.sign(pipeline.context, who(pipeline), request, made).state
        except (Conflict, TransitionRefused) as error:
            return error.code

    with ThreadPoolExecutor(6) as several:
        answers = list(several.map(give, range(6)))
    assert answers.count("signed") == 1, answers
    assert set(answers) <= {"signed", "signing_stale", "not_your_turn"}
    assert events(pipeline, agency, request).count("Signed") == 1
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    assert len(validate(document(pipeline, agency, request), trust_roots=roots, at=pipeline.now).signatures) == 1


def test_a_signer_who_is_cut_off_before_it_counts_signs_again(
    pipeline: Pipeline, agency: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(pipeline, agency)
    before = document(pipeline, agency, request)
    card = card_of(pipeline)
    made = by_card(card, begin(pipeline, request, card))
    with monkeypatch.context() as hurt:
        hurt.setattr("service.usecases.signatures.signer.happen", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            signer.sign(pipeline.context, who(pipeline), request, made)
    assert seen(pipeline, agency, request).signers[0].state == "asked"
    assert document(pipeline, agency, request) == before
    assert signer.sign(pipeline.context, who(pipeline), request, made).state == "signed"


def test_a_seal_that_is_away_is_waited_for_and_one_that_never_comes_ends_it(
    pipeline: Pipeline, agency: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(pipeline, agency)
    sign(pipeline, request)
    away = TimeStampUnavailable("away")
    never = ChangesForbidden("forbidden")
    monkeypatch.setattr("service.engine.steps.wait", lambda _: 0.0)
    for error, state in ((away, "signed"), (never, "failed")):

        class Broken:
            def seal(self, *_: object, error: Exception = error, **__: object) -> bytes:
                raise error

        pipeline.context = dataclasses.replace(pipeline.context, sealer=lambda _: Broken())  # type: ignore[arg-type]
        run_chunk(pipeline.context.database, all_steps(pipeline.context)[JobKind.FINISH], lease_seconds=60)
        view = seen(pipeline, agency, request)
        assert view.state == state
    assert view.reason == "pdf_certified_no_changes"
    assert events(pipeline, agency, request)[-1] == "SignatureRequestFailed"


def test_an_operator_sees_which_request_waits_and_cannot_end_it(
    pipeline: Pipeline, agency: uuid.UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, operator = ask(pipeline, agency), "staff:" + "0" * 32
    sign(pipeline, request)
    with monkeypatch.context() as hurt:
        hurt.setattr("service.engine.steps.wait", lambda _: 0.0)
        hurt.setattr("service.usecases.signatures.finishing.sealed_report", lambda *_, **__: 1 / 0)
        pipeline.work()
    (found,), _ = repair.parked(pipeline.context)
    assert (found.kind, found.subject, found.reasons) == ("finish", request, ())
    with pytest.raises((Invalid, Conflict)) as caught:
        repair.propose_end(pipeline.context, found.id, reason="gave_up", actor=operator, valid_seconds=60)
    assert "signature request" in caught.value.detail
    repair.retry(pipeline.context, [found.id], operator)
    pipeline.work()
    assert seen(pipeline, agency, request).state == "completed"


def test_a_revoked_card_signs_nothing(pipeline: Pipeline, agency: uuid.UUID) -> None:
    request = ask(pipeline, agency)
    card = card_of(pipeline)
    revoke(pipeline.pki, card.certificate, since=pipeline.now)
    with pytest.raises(Invalid) as caught:
        begin(pipeline, request, card)
    assert caught.value.code == "certificate_revoked"
    assert seen(pipeline, agency, request).signers[0].state == "asked"
