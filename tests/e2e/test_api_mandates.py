"""Mandates over HTTP: whoever holds one reads another's mailbox by a header, and not a moment longer than it stands."""

from collections.abc import Iterator

import pytest

from tests import api_e2e_support as callers
from tests.api_e2e_support import Caller
from tests.mandate_support import give_over_http as give
from tests.service_support import RunningService

MANDATES, MESSAGES = "/v1/mailbox/mandates", "/v1/mailbox/messages"


@pytest.fixture(scope="module")
def people(service: RunningService) -> Iterator[tuple[Caller, Caller, Caller]]:
    made = tuple(callers.person(service, login) for login in ("an", "cem", "lena"))
    yield made  # type: ignore[misc]
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def delivery(service: RunningService) -> str:
    handed = service.hand_in("an", subject="Voor An")
    service.until_status(handed["id"], "available")
    identifier: str = handed["id"]
    return identifier


def test_a_mandate_from_its_giving_to_its_end(
    service: RunningService, people: tuple[Caller, Caller, Caller], delivery: str
) -> None:
    an, cem, lena = people
    made = give(an, legal_effect=True, last_day="2099-12-31")
    mandate = made["mandate"]["id"]
    by = {"Zending-Acting-For": mandate}
    assert (made["mandate"]["state"], made["mandate"]["last_day"]) == ("given", "2099-12-31")
    assert made["code"] not in an("GET", f"{MANDATES}/{mandate}").text
    assert cem("GET", MESSAGES, headers=by).status_code == 404
    wrong = cem("POST", f"{MANDATES}/accept", json={"code": "22222-22222"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "mandate_code_wrong")
    assert lena("POST", f"{MANDATES}/accept", json={"code": made["code"]}).status_code == 422
    held = cem("POST", f"{MANDATES}/accept", json={"code": made["code"]})
    assert (held.status_code, held.json()["other"], held.json()["side"]) == (200, "An Peeters", "mandatary")

    assert delivery in {each["id"] for each in cem("GET", MESSAGES, headers=by).json()["items"]}
    assert delivery not in {each["id"] for each in cem("GET", MESSAGES).json()["items"]}
    assert lena("GET", MESSAGES, headers=by).status_code == 404
    assert cem("GET", f"{MESSAGES}/{delivery}/document", headers=by).status_code == 409
    assert cem("POST", f"{MESSAGES}/{delivery}/open").status_code == 404
    assert cem("POST", f"{MESSAGES}/{delivery}/open", headers=by).status_code == 200
    assert cem("GET", f"{MESSAGES}/{delivery}/document", headers=by).content.startswith(b"%PDF")
    proof = service.until_evidence(delivery, "ContentAccessTracking")["ContentAccessTracking"]
    assert proof["record"]["identification"]["acted_for"]["mandate"] == mandate
    acts = an("GET", f"{MANDATES}/{mandate}/acts").json()["items"]
    assert [(each["act"], each["message"]) for each in acts[:2]] == [("document_read", delivery), ("opened", delivery)]

    ended = an("DELETE", f"{MANDATES}/{mandate}")
    assert (ended.status_code, ended.json()["state"]) == (200, "revoked")
    for path in (MESSAGES, f"{MESSAGES}/{delivery}", f"{MESSAGES}/{delivery}/document"):
        refused = cem("GET", path, headers=by)
        assert (refused.status_code, refused.json()["code"]) == (403, "mandate_over")


@pytest.mark.parametrize("said", ["", "mdt_x", "dlv_" + "0" * 32, "mdt_" + "0" * 32, "mdt_" + "é" * 32])
def test_what_is_no_mandate_opens_nothing_and_is_not_passed_over(
    people: tuple[Caller, Caller, Caller], said: str
) -> None:
    answer = people[0]("GET", MESSAGES, headers={"Zending-Acting-For": said.encode("utf-8")})
    assert answer.status_code == 404


def test_what_a_mandate_does_not_reach_is_refused_not_done_for_oneself(people: tuple[Caller, Caller, Caller]) -> None:
    an, cem, _ = people
    made = give(an)
    cem("POST", f"{MANDATES}/accept", json={"code": made["code"]})
    by = {"Zending-Acting-For": made["mandate"]["id"]}
    for method, path in (
        ("DELETE", "/v1/mailbox/activation"),
        ("GET", "/v1/mailbox/activation"),
        ("GET", f"{MANDATES}/given"),
        ("GET", f"{MANDATES}/held"),
        ("DELETE", f"{MANDATES}/{made['mandate']['id']}"),
    ):
        answer = cem(method, path, headers=by)
        assert (answer.status_code, answer.json()["code"]) == (403, "not_by_mandate"), path


def test_what_is_wrong_is_told_with_pointers(people: tuple[Caller, Caller, Caller]) -> None:
    an = people[0]
    own = {"id": "85073003328", "name": "An Peeters"}
    firm = {"type": "enterprise", "id": "1999999943", "name": "Bakkerij Verzonnen bv"}
    found = []
    for body in (
        {"mandator": own, "mandatary": {**own, "type": "citizen"}},
        {"mandator": {**own, "id": "94022722580"}, "mandatary": firm},
        {"mandator": own, "mandatary": {**firm, "id": "1", "name": ""}},
        {"mandator": own, "mandatary": firm, "senders": ["org_x"]},
        {"mandator": own, "mandatary": firm, "last_day": "2020-01-01"},
    ):
        answer = an("POST", MANDATES, json=body)
        assert answer.status_code == 422, answer.text
        found.append([(each["pointer"], each["code"]) for each in answer.json()["errors"]])
        assert "94022722580" not in answer.text
    assert found == [
        [("/mandatary/id", "mandate_to_oneself")],
        [("/mandator/id", "mandator_differs")],
        [("/mandatary/id", "kbo_invalid"), ("/mandatary/name", "empty")],
        [("/senders/0", "sender_unknown")],
        [("/last_day", "last_day_over")],
    ]
