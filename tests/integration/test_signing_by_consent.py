"""People sign at a remote service by their consent: the way there and back, and a service that lies."""

import base64
import dataclasses
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from service.domain.errors import Conflict, Invalid, Retryable
from service.embedded.fictional import RECIPIENTS
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from service.embedded.status import revoke
from service.portal import languages
from service.portal.mailbox.consent import Kept
from service.portal.wording import Wording
from service.usecases.signatures import consent, signer
from service.usecases.signatures.consent import Away, NotYet, Step
from service.web import sessions
from signing.errors import TimeStampUnavailable
from signing.trust import load_certificates
from signing.validate import Verdict, validate
from tests.appearance_support import page
from tests.card_support import issue
from tests.consent_support import Consents, client, consents
from tests.csc_support import Answer
from tests.pipeline_support import Pipeline, fresh_database, wired
from tests.signatures_support import ask, begin, card_of, document, events, person, seen, who

BACK = "https://zending.invalid/signatures/return"
AT = {"return_uri": BACK, "language": "nl"}


@pytest.fixture(scope="module")
def shared(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    assert stack.urls is not None
    with (
        fresh_database(stack.urls, DATABASE) as database,
        wired(stack, database, tmp_path_factory.mktemp("consent"), quiet_hours=False) as made,
    ):
        yield Pipeline(made, stack.home / "pki")


@pytest.fixture(params=[2, 1], ids=["csc-2.0", "csc-1.0.4"])
def versions(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def remote(shared: Pipeline) -> Iterator[tuple[Pipeline, Consents]]:
    yield from _remote(shared, 2)


@pytest.fixture
def each_remote(shared: Pipeline, versions: int) -> Iterator[tuple[Pipeline, Consents]]:
    yield from _remote(shared, versions)


def _remote(shared: Pipeline, version: int) -> Iterator[tuple[Pipeline, Consents]]:
    before = shared.context
    with consents(version) as (state, url):
        state.card = card_of(shared)
        service = client(url, timeout=3.0)
        shared.context = dataclasses.replace(before, consent=service)
        yield shared, state
        service.close()
    shared.context, shared.skew = before, timedelta()
    shared.work()


def leave(pipeline: Pipeline, request: str, kept: Away | None = None) -> Step:
    return consent.begin(pipeline.context, who(pipeline), request, kept, **AT)


def back(pipeline: Pipeline, step: Step, brought: dict[str, str]) -> Step:
    assert step.away is not None
    return consent.back(pipeline.context, who(pipeline), step.away, brought, **AT)


def go(pipeline: Pipeline, state: Consents, step: Step) -> Step:
    """Agree, and come back."""
    assert step.url is not None
    return back(pipeline, step, state.decide(step.url))


def asked_for(pipeline: Pipeline, **changes: Any) -> tuple[uuid.UUID, str]:
    agency = pipeline.organisation()
    return agency, ask(pipeline, agency, [person(way="csc")], **changes)


def test_a_signer_consents_and_the_result_is_sealed(each_remote: tuple[Pipeline, Consents]) -> None:
    pipeline, state = each_remote
    # A key of somebody else's comes first in the list.
    state.others = [issue(pipeline.pki, number=RECIPIENTS["cem"].number, fresh=True)]
    agency, request = asked_for(pipeline)
    second = go(pipeline, state, leave(pipeline, request))
    assert second.away is not None
    assert second.away.agreed is not None
    done = go(pipeline, state, second)
    assert done == Step()
    # What the person agreed to there is what was prepared here, alone.
    assert [each["scope"] for each in state.asked] == ["service", "credential"]
    agreed = base64.urlsafe_b64encode(second.away.agreed.digests[0]).rstrip(b"=").decode()
    assert (state.asked[1][state.hashes], state.asked[1]["numSignatures"]) == (agreed, "1")
    assert state.asked[0]["state"] != state.asked[1]["state"]
    pipeline.work()
    view = seen(pipeline, agency, request)
    assert (view.state, view.signers[0].way, view.signers[0].level_reached) == ("completed", "csc", "qualified")
    report = validate(
        document(pipeline, agency, request),
        trust_roots=load_certificates(pipeline.application.settings.trust_anchor),
        at=pipeline.now,
    )
    assert [each.verdict for each in report.signatures] == [Verdict.VALID] * 2
    assert events(pipeline, agency, request) == ["SignatureRequested", "Signed", "SignatureRequestCompleted"]


def test_one_consent_signs_all_documents(each_remote: tuple[Pipeline, Consents]) -> None:
    pipeline, state = each_remote
    agency, request = asked_for(pipeline, more=[page(text_to=400), page(text_to=300)])
    first = leave(pipeline, request)
    with pytest.raises(Invalid) as caught:
        go(pipeline, state, first)
    assert caught.value.code == "consent_too_many"
    assert [each["scope"] for each in state.asked] == ["service"], "nobody is asked for what can't be had"
    state.together, state.asked, state.calls = 3, [], []
    second = go(pipeline, state, leave(pipeline, request))
    assert second.away is not None
    assert second.away.agreed is not None
    assert go(pipeline, state, second) == Step()
    agreed = [base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in second.away.agreed.digests]
    assert (state.asked[1][state.hashes].split(","), state.asked[1]["numSignatures"]) == (agreed, "3")
    assert (len(set(agreed)), state.calls.count("signatures/signHash")) == (3, 1)
    pipeline.work()
    assert seen(pipeline, agency, request).state == "completed"
    roots = load_certificates(pipeline.application.settings.trust_anchor)
    for number in (1, 2, 3):
        report = validate(document(pipeline, agency, request, number), trust_roots=roots, at=pipeline.now)
        assert [each.verdict for each in report.signatures] == [Verdict.VALID] * 2


def test_a_service_that_signs_fewer_or_in_another_order_signs_nothing(remote: tuple[Pipeline, Consents]) -> None:
    pipeline, state = remote
    state.together = 2
    agency, request = asked_for(pipeline, more=[page(text_to=400)])
    before = [document(pipeline, agency, request, number) for number in (1, 2)]
    for change in (lambda made: made[:1], lambda made: made[::-1], lambda made: [*made, made[0]]):
        second = go(pipeline, state, leave(pipeline, request))
        state.lie = lambda called, _, honest, change=change: (
            {"signatures": change(honest["signatures"])} if called == "signatures/signHash" else None
        )
        with pytest.raises(Conflict) as caught:
            go(pipeline, state, second)
        assert caught.value.code == "consent_failed"
        assert [document(pipeline, agency, request, number) for number in (1, 2)] == before
        state.lie = None
    assert go(pipeline, state, go(pipeline, state, leave(pipeline, request))) == Step()


def test_who_stops_there_is_told_so_and_may_begin_again(remote: tuple[Pipeline, Consents]) -> None:
    pipeline, state = remote
    _, request = asked_for(pipeline)
    step = leave(pipeline, request)
    assert step.url is not None
    with pytest.raises(Conflict) as caught:
        back(pipeline, step, state.decide(step.url, agree=False))
    assert caught.value.code == "consent_stopped"
    assert go(pipeline, state, go(pipeline, state, leave(pipeline, request))) == Step()


def test_another_state_another_code_and_a_code_twice_sign_nothing(remote: tuple[Pipeline, Consents]) -> None:
    pipeline, state = remote
    _, request = asked_for(pipeline)
    second = go(pipeline, state, leave(pipeline, request))
    assert second.url is not None
    brought = state.decide(second.url)
    for changed, code in (
        ({"state": "other"}, "consent_strange"),
        ({"state": ""}, "consent_strange"),
        ({"state": "\udcff"}, "consent_strange"),
        ({"code": "other"}, "consent_failed"),
        ({"code": ""}, "consent_failed"),
        ({"error": "<b>"}, "consent_failed"),
    ):
        with pytest.raises(Conflict) as caught:
            back(pipeline, second, brought | changed)
        assert caught.value.code == code
    # A code of another leaving: its verifier is another.
    other = leave(pipeline, request)
    assert other.url is not None
    with pytest.raises(Conflict) as caught:
        back(pipeline, second, {**state.decide(other.url), "state": brought["state"]})
    assert caught.value.code == "consent_failed"
    assert signer.get(pipeline.context, who(pipeline), request).turn
    assert back(pipeline, second, brought) == Step()
    with pytest.raises(Exception, match=r"done this already|ended"):
        back(pipeline, second, brought)


LIES: dict[str, tuple[str, Any, str]] = {
    "html with 200": ("", Answer(b"<html>fine</html>", kind="text/html"), "consent_unavailable"),
    "out of order": ("", Answer(b"{}", 503), "consent_unavailable"),
    "no token": ("oauth2/token", {"token_type": "Bearer"}, "consent_unavailable"),
    "token that ends a header": ("oauth2/token", {"access_token": "a\r\nb: c"}, "consent_unavailable"),
    "no signature": ("signatures/signHash", {"signatures": []}, "consent_failed"),
    "two signatures": ("signatures/signHash", {"signatures": ["AAAA", "AAAA"]}, "consent_failed"),
    "no base64": ("signatures/signHash", {"signatures": ["%"]}, "consent_unavailable"),
    "refuses": ("signatures/signHash", Answer(b'{"error":"invalid_request"}', 400), "consent_failed"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_service_that_lies_gets_nothing_signed(remote: tuple[Pipeline, Consents], lie: str) -> None:
    pipeline, state = remote
    _, request = asked_for(pipeline)
    second = go(pipeline, state, leave(pipeline, request))
    method, said, code = LIES[lie]
    state.lie = lambda called, *_: said if called.startswith(method) else None
    with pytest.raises((Conflict, Retryable)) as caught:
        go(pipeline, state, second)
    assert caught.value.code == code
    # Nothing is lost: the same person signs once the service is right again.
    state.lie = None
    assert go(pipeline, state, go(pipeline, state, leave(pipeline, request))) == Step()


def test_a_signature_of_another_hash_or_key_is_not_believed(remote: tuple[Pipeline, Consents]) -> None:
    pipeline, state = remote
    _, request = asked_for(pipeline)
    assert state.card is not None
    stranger = issue(pipeline.pki, fresh=True)
    other = base64.b64encode(bytes(48)).decode()

    def by(card: Any, wanted: str | None) -> Any:
        return lambda called, asked, _: (
            {"signatures": [card.sign(wanted or asked["hashes"][0], "SHA-384")["signature"]]}
            if called == "signatures/signHash"
            else None
        )

    for lie in (by(state.card, other), by(stranger, None)):
        second = go(pipeline, state, leave(pipeline, request))
        state.lie = lie
        with pytest.raises(Conflict) as caught:
            go(pipeline, state, second)
        assert caught.value.code == "consent_failed"
        state.lie = None
    assert signer.get(pipeline.context, who(pipeline), request).turn


def test_consent_to_another_digest_is_worth_nothing(remote: tuple[Pipeline, Consents]) -> None:
    pipeline, state = remote
    _, request = asked_for(pipeline)
    first = go(pipeline, state, leave(pipeline, request))
    # In another window they begin once more, a moment later: what is prepared is another signature now.
    pipeline.skew += timedelta(seconds=2)
    go(pipeline, state, leave(pipeline, request))
    with pytest.raises(Conflict) as caught:
        go(pipeline, state, first)
    assert caught.value.code == "signing_stale"


def test_somebody_elses_key_signs_nothing(remote: tuple[Pipeline, Consents]) -> None:
    pipeline, state = remote
    _, request = asked_for(pipeline)
    state.card = issue(pipeline.pki, number=RECIPIENTS["cem"].number, fresh=True)
    with pytest.raises(Invalid) as caught:
        go(pipeline, state, leave(pipeline, request))
    assert caught.value.code == "consent_signer_differs"
    state.card = issue(pipeline.pki, statements=(), fresh=True)
    with pytest.raises(Invalid) as caught:
        go(pipeline, state, leave(pipeline, request))
    assert caught.value.code == "consent_level_not_reached"
    state.card = issue(pipeline.pki, signs=False, fresh=True)
    with pytest.raises(Invalid) as caught:
        go(pipeline, state, leave(pipeline, request))
    assert caught.value.code == "consent_key_refused"


def test_nobody_who_signs_remotely_is_told_about_a_card(
    remote: tuple[Pipeline, Consents], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, state = remote
    _, request = asked_for(pipeline)
    state.card = card_of(pipeline, fresh=True)
    second = go(pipeline, state, leave(pipeline, request))
    revoke(pipeline.pki, state.card.certificate, since=pipeline.now)
    assert pipeline.context.signers is not None
    assert pipeline.context.signers.revocation is not None
    monkeypatch.setattr(pipeline.context.signers.revocation, "_answers", {})
    with pytest.raises(Invalid) as caught:
        go(pipeline, state, second)
    assert caught.value.code == "consent_key_refused"
    pipeline.context = dataclasses.replace(pipeline.context, signers=None)
    with pytest.raises(Conflict) as off:
        leave(pipeline, request)
    assert off.value.code == "consent_off"
    for code in ("consent_key_refused", "consent_off", "revocation_unavailable"):
        assert "card" not in Wording(languages.words("en")).problem(code, "")


def test_a_service_that_is_slow_or_away_is_said_to_be(remote: tuple[Pipeline, Consents]) -> None:
    pipeline, state = remote
    _, request = asked_for(pipeline)
    second = go(pipeline, state, leave(pipeline, request))
    state.hold = 4.5
    with pytest.raises(Retryable) as caught:
        go(pipeline, state, second)
    assert caught.value.code == "consent_unavailable"
    state.hold = 0.0


def test_what_was_signed_waits_for_the_time_stamp(
    remote: tuple[Pipeline, Consents], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, state = remote
    _, request = asked_for(pipeline)
    second = go(pipeline, state, leave(pipeline, request))

    def away(*_: Any, **__: Any) -> bytes:
        raise TimeStampUnavailable("The time-stamp authority is away.")

    with monkeypatch.context() as patch:
        patch.setattr(type(pipeline.context.tsa), "token", away)
        with pytest.raises(NotYet) as caught:
            go(pipeline, state, second)
    # It outlives the process, where a log-in under way is kept too, and is taken once.
    kept = Kept(bytes(32), caught.value.away)
    cookie = sessions.keep_aside(pipeline.application, sessions.SIGNING, kept)
    cookies = {cookie.key: str(cookie.value)}
    assert sessions.take_aside(pipeline.application, cookies, sessions.SIGNING, Kept) == kept
    assert sessions.take_aside(pipeline.application, cookies, sessions.SIGNING, Kept) is None
    calls = len(state.calls)
    # Nobody is sent to the service again for it.
    assert leave(pipeline, request, caught.value.away) == Step()
    assert len(state.calls) == calls


def test_each_signer_signs_in_the_way_they_were_asked(remote: tuple[Pipeline, Consents]) -> None:
    pipeline, _ = remote
    agency, request = asked_for(pipeline)
    with pytest.raises(Conflict) as caught:
        begin(pipeline, request, card_of(pipeline))
    assert caught.value.code == "way_not_asked"
    by_card = ask(pipeline, agency)
    with pytest.raises(Conflict) as caught:
        leave(pipeline, by_card)
    assert caught.value.code == "way_not_asked"


def test_nobody_is_asked_for_a_way_that_is_not_set_up(shared: Pipeline) -> None:
    with pytest.raises(Invalid) as caught:
        ask(shared, shared.organisation(), [person(way="csc")])
    assert [(each.pointer, each.code) for each in caught.value.errors] == [("/signers/0/way", "way_not_set_up")]
