"""Whatever the service can say in a code, people read in words."""

import pytest

from service.domain.addresses import AddressCode, ReturnReason
from service.domain.errors import FieldError, NotFound
from service.domain.evidence import REASONS, EvidenceEvent
from service.domain.signing_folder import FolderEvent, FolderState, SignerState
from service.domain.states import Actor, DeliveryState, Event, LegState
from service.inspection.codes import CODES
from service.portal import states, wording
from service.portal.languages import words
from service.portal.wording import Wording
from service.web.problems import STATUS

EN = Wording(words("en"))
NL = Wording(words("nl"))


def test_every_public_status_has_words() -> None:
    assert set(states.STATUS) == {*DeliveryState, *LegState} - {LegState.PENDING}


def test_every_state_of_a_signature_request_has_words() -> None:
    assert set(states.SIGNING) == {*FolderState, *SignerState}
    assert set(states.ASKED) == set(FolderState)
    assert set(states.SIGNERS) == set(SignerState)


def test_every_tone_has_a_look() -> None:
    assert {status.tone for status in states.STATUS.values()} == {"going", "waiting", "done", "stopped"}


def test_every_event_has_words() -> None:
    assert set(wording.EVENTS) == {each.value for kind in (Event, EvidenceEvent, FolderEvent) for each in kind}


def test_every_actor_has_words() -> None:
    assert set(wording.ACTORS) == set(Actor)


def test_every_reason_has_words() -> None:
    given = {*ReturnReason, *(reason for reasons in REASONS.values() for reason in reasons)}
    assert {str(reason) for reason in given} <= set(wording.REASONS)


def test_every_finding_of_the_inspection_has_words() -> None:
    assert {*CODES} <= set(wording.PROBLEMS)


def test_every_problem_of_an_address_has_words() -> None:
    assert set(AddressCode) <= set(wording.PROBLEMS)


def test_every_status_code_of_an_error_has_a_page() -> None:
    for kind in STATUS.values():
        title, text = EN.error_page(kind.status, RuntimeError())
        assert title
        assert text


@pytest.mark.parametrize("language", [EN, NL])
def test_an_unknown_code_is_shown_rather_than_nothing(language: Wording) -> None:
    assert language.status("brand_new").label == "brand_new"
    assert language.event("brand_new") == "brand_new"
    assert language.reason("brand_new") == "brand_new"
    assert language.actor("brand_new") == "brand_new"
    assert language.problem("brand_new") == "brand_new"
    assert language.problem("brand_new", "A sentence.") == "A sentence."


def test_words_are_in_the_readers_language() -> None:
    assert NL.status("opened").label == "Geopend"
    assert NL.field_error(FieldError("/recipient/id", "insz_invalid", "…")).startswith("Dit is geen")


def test_an_error_page_prefers_the_errors_own_words() -> None:
    title, text = EN.error_page(409, NotFound("x", code="not_opened"))
    assert (title, text) == ("This is not possible now", "Open the message first.")
    assert EN.error_page(404, NotFound())[1].startswith("The address may be mistyped")


def test_an_error_page_without_words_of_its_own_uses_those_of_its_hundred() -> None:
    assert EN.error_page(418, RuntimeError())[0] == "This did not work"
    assert EN.error_page(502, RuntimeError())[0] == "Something went wrong on our side"
