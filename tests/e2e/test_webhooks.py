"""Webhooks over HTTP, by the running service: a letter that came back is told once, to its sender alone."""

from collections.abc import Iterator

import pytest

from tests import api_e2e_support as callers
from tests.api_e2e_support import OTHER_SENDER, SENDER, Caller
from tests.service_support import RunningService
from tests.webhook_support import Got, Receiver, made_over_http, receiving

WEBHOOKS = "/v1/webhooks"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture(scope="module")
def own(service: RunningService) -> Iterator[Caller]:
    caller = callers.program(service, SENDER)
    yield caller
    caller.close()


def about(receiver: Receiver, delivery: str) -> list[Got]:
    return [each for each in receiver.got if each.content["data"].get("delivery_id") == delivery]


def test_a_letter_that_came_back_and_was_scanned_twice_is_told_once(
    service: RunningService, own: Caller, receiver: Receiver
) -> None:
    made = made_over_http(own, receiver.url, description="returned mail")
    webhook = f"{WEBHOOKS}/{made['webhook']['id']}"
    delivery = service.hand_in("jan")["id"]
    service.until_status(delivery, "handed_over", "printed", "posted", "delivered")
    operator = callers.person(service, "olga")
    letter = f"{delivery}-1"
    scan = {"letters": [{"letter": letter, "cause": "M02"}]}
    effects = [operator("POST", "/v1/print/returns", json=scan).json() for _ in range(2)]
    operator.close()
    assert [each["letters"][0]["effect"] for each in effects] == ["taken", "repeated"]
    test = own("POST", f"{webhook}/test").json()["id"]
    receiver.until(lambda: {"webhook.test", "delivery.returned"} <= set(receiver.types))
    told = sorted(f"delivery.{each['event']}" for each in own.get(f"/v1/deliveries/{delivery}/events")["items"])
    receiver.until(lambda: sorted(each.content["type"] for each in about(receiver, delivery)) == told)
    back = [each for each in about(receiver, delivery) if each.content["type"] == "delivery.returned"]
    assert len(back) == 1
    data = back[0].verified(made["secret"])["data"]
    assert (data["letter"], data["reason"], data["status"]) == (letter, "M02", "returned")
    assert test in {each.id for each in receiver.got}
    logged = own.get(f"{webhook}/messages", params={"state": "sent", "limit": 200})["items"]
    (entry,) = [each for each in logged if each["id"] == back[0].id]
    assert [each["status"] for each in entry["attempts"]] == [204]
    # The same one again, when it is wanted.
    assert own("POST", f"{webhook}/messages/{back[0].id}/replay").status_code == 202
    receiver.until(lambda: [each.id for each in receiver.got].count(back[0].id) == 2)
    assert own("DELETE", webhook).status_code == 204
    assert own("GET", webhook).status_code == 404


def test_what_is_wrong_is_told_and_what_is_anothers_does_not_exist(
    service: RunningService, own: Caller, receiver: Receiver
) -> None:
    found = []
    for body in (
        {"url": "https://10.0.0.1/hook"},
        {"url": "http://hooks.example.org/"},
        {"url": receiver.url, "types": ["delivery.lost"]},
    ):
        answer = own("POST", WEBHOOKS, json=body, headers={"Idempotency-Key": "wrong"})
        assert answer.status_code == 422, answer.text
        found += [(each["pointer"], each["code"]) for each in answer.json()["errors"]]
    assert found == [("/url", "url_not_public"), ("/url", "url_not_https"), ("/types/0", "type_unknown")]
    assert own("POST", WEBHOOKS, json={"url": receiver.url}).json()["code"] == "idempotency_key_missing"
    made = made_over_http(own, receiver.url, types=["delivery.returned"])["webhook"]
    other = callers.program(service, OTHER_SENDER)
    missing = other("GET", f"{WEBHOOKS}/whk_{'0' * 32}").json()
    assert other("GET", f"{WEBHOOKS}/{made['id']}").json() | {"instance": ""} == missing | {"instance": ""}
    assert made["id"] not in {each["id"] for each in other.get(WEBHOOKS)["items"]}
    other.close()
    assert own("DELETE", f"{WEBHOOKS}/{made['id']}").status_code == 204
