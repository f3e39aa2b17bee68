"""The family of errors: codes, sentences, and what never leaves the service."""

import pickle

import pytest

from service.domain import errors
from service.domain.errors import (
    Conflict,
    DocumentRefused,
    FieldError,
    Final,
    Invalid,
    NotFound,
    QuotaExceeded,
    Retryable,
    ZendingError,
)

FAMILY = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ZendingError)]


def test_every_error_has_a_code_of_its_own() -> None:
    assert len({kind.code for kind in FAMILY}) == len(FAMILY)


@pytest.mark.parametrize("kind", FAMILY)
def test_every_error_has_a_sentence_of_its_own_unless_it_is_given_one(kind: type[ZendingError]) -> None:
    assert kind().detail == kind.sentence
    assert "sentence" in vars(kind)
    assert kind("Said by hand.").detail == "Said by hand."


def test_text_is_code_and_detail_and_never_context() -> None:
    error = Conflict("It was opened.", context={"delivery": "dlv_1"})
    assert str(error) == "conflict: It was opened."
    assert "dlv_1" not in repr(error)
    assert error.context == {"delivery": "dlv_1"}


def test_a_code_can_be_given_for_one_error_only() -> None:
    assert DocumentRefused("Encrypted.", code="encrypted").code == "encrypted"
    assert DocumentRefused("Refused.").code == "document_refused"


def test_final_work_says_why() -> None:
    assert Final("No.", reason="seal_failed").reason == "seal_failed"
    assert Final("No.").reason == "final"


def test_a_quota_says_when_to_come_back() -> None:
    assert QuotaExceeded("Wait.", retry_after=30).retry_after == 30
    assert QuotaExceeded().retry_after > 0


def test_an_error_survives_the_way_from_another_process() -> None:
    field = FieldError("/subject", "empty", "This must not be empty.")
    error = Invalid("Not right.", code="delivery_invalid", context={"id": "1"}, errors=[field])
    for sent in (error, QuotaExceeded("Wait.", retry_after=7), Final("No.", reason="malware"), NotFound(), Retryable()):
        came = pickle.loads(pickle.dumps(sent))
        assert type(came) is type(sent)
        assert vars(came) == vars(sent)
        assert str(came) == str(sent)
