"""Activation: a code that reached the address, a consent that was shown, a proof that is kept, and a way back."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from service.domain.errors import Conflict, Forbidden, Invalid, QuotaExceeded, Retryable, ZendingError
from service.domain.identifiers import RecipientKind
from service.notifications.base import Result
from service.usecases import activation
from service.usecases.mailbox import Reader
from service.usecases.personal import PLATFORM, open_value
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import Post, activate, reader, with_post

EMAIL = "an@voorbeeld.test"
VERSION = activation.CONSENT_VERSION


def other(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06d}"


def wrong(pipeline: Pipeline, who: Reader, code: str) -> None:
    with pytest.raises(activation.CodeWrong) as caught:
        activation.confirm(pipeline.context, who, code, consent_version=VERSION)
    assert code not in str(caught.value)


def test_the_right_code_activates_once(pipeline: Pipeline) -> None:
    post, who = with_post(pipeline), reader(pipeline)
    activation.begin(pipeline.context, who, " An@VOORBEELD.test ", "fr")
    before = activation.state(pipeline.context, who)
    assert (before.active, before.email, before.pending_email) == (False, None, "An@voorbeeld.test")
    assert before.pending_language == "fr"
    wrong(pipeline, who, other(post.code))
    done = activation.confirm(pipeline.context, who, f" {post.code} ", consent_version=VERSION)
    assert (done.active, done.email, done.language, done.pending_email) == (True, "An@voorbeeld.test", "fr", None)
    assert done.since is not None
    wrong(pipeline, who, post.code)
    assert not activation.state(pipeline.context, reader(pipeline, "cem")).active


def test_a_code_is_only_for_who_asked_for_it(pipeline: Pipeline) -> None:
    post, an, cem = with_post(pipeline), reader(pipeline), reader(pipeline, "cem")
    activation.begin(pipeline.context, cem, "cem@voorbeeld.test", "nl")
    activation.begin(pipeline.context, an, EMAIL, "nl")
    wrong(pipeline, cem, post.code)
    wrong(pipeline, reader(pipeline, "jan"), post.code)


def test_after_five_tries_the_right_code_is_wrong_too(pipeline: Pipeline) -> None:
    post, who = with_post(pipeline), reader(pipeline)
    activation.begin(pipeline.context, who, EMAIL, "nl")
    for _ in range(activation.CODE_TRIES - 1):
        wrong(pipeline, who, other(post.code))
    assert activation.CODE_TRIES == 5
    wrong(pipeline, who, other(post.code))
    wrong(pipeline, who, post.code)
    pipeline.skew = timedelta(seconds=activation.RESEND_SECONDS)
    activation.begin(pipeline.context, who, EMAIL, "nl")
    assert activation.confirm(pipeline.context, who, post.code, consent_version=VERSION).active


def test_guesses_at_once_are_all_counted(pipeline: Pipeline, database: TestDatabase) -> None:
    post, who = with_post(pipeline), reader(pipeline)
    activation.begin(pipeline.context, who, EMAIL, "nl")
    guess = other(post.code)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: wrong(pipeline, who, guess), range(8)))
    assert execute(database, "SELECT attempts_left FROM activation_code") == [(0,)]
    wrong(pipeline, who, post.code)


def test_a_code_has_its_time(pipeline: Pipeline) -> None:
    post, who = with_post(pipeline), reader(pipeline)
    activation.begin(pipeline.context, who, EMAIL, "nl")
    pipeline.skew = timedelta(minutes=activation.CODE_MINUTES, seconds=1)
    assert activation.state(pipeline.context, who).pending_email is None
    wrong(pipeline, who, post.code)
    pipeline.skew = timedelta(minutes=activation.CODE_MINUTES - 1)
    assert activation.confirm(pipeline.context, who, post.code, consent_version=VERSION).active


def test_a_second_code_is_not_sent_within_a_minute_and_replaces_the_first(pipeline: Pipeline) -> None:
    post, who = with_post(pipeline), reader(pipeline)
    activation.begin(pipeline.context, who, EMAIL, "nl")
    first = post.code
    with pytest.raises(QuotaExceeded) as caught:
        activation.begin(pipeline.context, who, EMAIL, "nl")
    assert (caught.value.code, caught.value.retry_after) == ("activation_code_too_soon", 60)
    assert len(post.sent) == 1
    pipeline.skew = timedelta(seconds=61)
    activation.begin(pipeline.context, who, "nieuw@voorbeeld.test", "nl")
    if first != post.code:
        wrong(pipeline, who, first)
    view = activation.confirm(pipeline.context, who, post.code, consent_version=VERSION)
    assert view.email == "nieuw@voorbeeld.test"


def test_of_two_that_ask_at_once_one_gets_a_code(pipeline: Pipeline) -> None:
    post, who = with_post(pipeline), reader(pipeline)

    def ask(_: int) -> str:
        try:
            activation.begin(pipeline.context, who, EMAIL, "nl")
        except QuotaExceeded as error:
            return error.code
        return "sent"

    with ThreadPoolExecutor(6) as pool:
        answers = sorted(pool.map(ask, range(6)))
    assert answers == ["activation_code_too_soon"] * 5 + ["sent"]
    assert len(post.sent) == 1


@pytest.mark.parametrize(
    ("result", "kind", "code"),
    [(Result.RETRYABLE, Retryable, "mail_unavailable"), (Result.REFUSED, Conflict, "email_refused")],
)
def test_a_code_that_was_not_sent_holds_nobody_up(
    pipeline: Pipeline, database: TestDatabase, result: Result, kind: type[ZendingError], code: str
) -> None:
    post, who = with_post(pipeline), reader(pipeline)
    post.answers[EMAIL] = (result, "try_later")
    with pytest.raises(kind) as caught:
        activation.begin(pipeline.context, who, EMAIL, "nl")
    assert caught.value.code == code
    assert EMAIL not in str(caught.value)
    assert execute(database, "SELECT 1 FROM activation_code") == []
    activation.begin(pipeline.context, who, "beter@voorbeeld.test", "nl")
    assert activation.confirm(pipeline.context, who, post.code, consent_version=VERSION).active


def test_what_can_not_be_is_refused_before_anything_is_sent(pipeline: Pipeline) -> None:
    post, who = with_post(pipeline), reader(pipeline)
    for email, language, code in (("an", "nl", "email_invalid"), (EMAIL, "es", "language_unknown")):
        with pytest.raises(Invalid) as caught:
            activation.begin(pipeline.context, who, email, language)
        assert caught.value.code == code
    with pytest.raises(Forbidden):
        activation.begin(pipeline.context, Reader(bytes(32), RecipientKind.POSTAL), EMAIL, "nl")
    assert post.sent == []


def test_consent_is_to_the_text_that_was_shown(pipeline: Pipeline) -> None:
    post, who = with_post(pipeline), reader(pipeline)
    activation.begin(pipeline.context, who, EMAIL, "nl")
    with pytest.raises(Conflict) as caught:
        activation.confirm(pipeline.context, who, post.code, consent_version="2020-01")
    assert caught.value.code == "consent_outdated"
    assert not activation.state(pipeline.context, who).active
    # It cost no try.
    assert activation.confirm(pipeline.context, who, post.code, consent_version=VERSION).active


def proofs(pipeline: Pipeline, database: TestDatabase) -> list[dict[str, object]]:
    found = []
    for proof_id, act, sealed in execute(database, "SELECT id, act, proof FROM activation ORDER BY at"):
        assert EMAIL.encode() not in bytes(sealed)
        raw = open_value(pipeline.context, bytes(sealed), organisation=PLATFORM, place=f"activation.proof:{proof_id}")
        found.append(json.loads(raw))
        assert found[-1]["act"] == act
    return found


def test_each_consent_and_revocation_leaves_an_encrypted_proof(pipeline: Pipeline, database: TestDatabase) -> None:
    who = activate(pipeline, email=EMAIL, language="de")
    assert not activation.revoke(pipeline.context, who).active
    assert not activation.revoke(pipeline.context, who).active
    given, taken = proofs(pipeline, database)
    assert (given["act"], given["consent_version"], given["email"]) == ("activated", VERSION, EMAIL)
    assert given["consent_text"] == activation.CONSENT_TEXT["de"]
    assert given["assurance"] == "substantial"
    assert (taken["act"], taken["email"], taken["consent_text"]) == ("revoked", None, None)
    pipeline.skew = timedelta(minutes=2)
    activate(pipeline, email=EMAIL)
    assert [proof["act"] for proof in proofs(pipeline, database)] == ["activated", "revoked", "activated"]
    assert activation.state(pipeline.context, who).active


def test_two_revocations_at_once_are_one(pipeline: Pipeline, database: TestDatabase) -> None:
    who = activate(pipeline)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: activation.revoke(pipeline.context, who), range(6)))
    assert execute(database, "SELECT act, count(*) FROM activation GROUP BY 1 ORDER BY 1") == [
        ("activated", 1),
        ("revoked", 1),
    ]


def test_who_never_activated_has_nothing_to_revoke(pipeline: Pipeline, database: TestDatabase) -> None:
    assert not activation.revoke(pipeline.context, reader(pipeline)).active
    assert execute(database, "SELECT 1 FROM activation") == []


def test_addresses_and_codes_are_not_readable_in_the_database(pipeline: Pipeline, database: TestDatabase) -> None:
    post: Post = with_post(pipeline)
    activate(pipeline, email=EMAIL)
    activation.begin(pipeline.context, reader(pipeline, "cem"), EMAIL, "nl")
    for personal, code in execute(database, "SELECT personal, code_hash FROM activation_code"):
        assert EMAIL.encode() not in bytes(personal)
        assert post.code.encode() not in bytes(code)
    ((personal,),) = execute(database, "SELECT personal FROM mailbox")
    assert EMAIL.encode() not in bytes(personal)


def test_every_language_of_a_notice_has_a_consent() -> None:
    assert set(activation.CONSENT_TEXT) == {"nl", "fr", "de", "en"}
