"""Who may call what, about whose things: every call of the contract, by everybody there is."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import api_e2e_support as callers
from tests.api_e2e_support import CLERK, OTHER_READER, OTHER_SENDER, READER, SENDER, Caller, hand_in, pdf
from tests.service_support import RunningService, delivery_for

CONTRACT = Path(__file__).parents[2] / "docs" / "api" / "openapi.json"
OWN = "the sender's program"
OTHER = "another organisation's program"
BARE = "the sender's program without the scope"
STAFF = "the sender's clerk"
OWNER = "the recipient"
STRANGER = "another recipient"
NOBODY = "nobody"
ALL = (OWN, OTHER, BARE, STAFF, OWNER, STRANGER, NOBODY)


@dataclass(frozen=True)
class World:
    """One delivery that the recipient has opened, and everybody who might want to see it."""

    callers: Mapping[str, Caller]
    delivery_id: str
    evidence_id: str


@pytest.fixture(scope="module")
def world(service: RunningService) -> Iterator[World]:
    everyone = {
        OWN: callers.program(service, SENDER),
        OTHER: callers.program(service, OTHER_SENDER),
        BARE: callers.program(service, SENDER, scope="recipients:lookup"),
        STAFF: callers.person(service, CLERK),
        OWNER: callers.person(service, READER),
        STRANGER: callers.person(service, OTHER_READER),
        NOBODY: callers.nobody(service),
    }
    answer = hand_in(everyone[OWN], delivery_for(READER), attachments=[pdf()])
    assert answer.status_code == 202, answer.text
    delivery_id = answer.json()["id"]
    service.until_status(delivery_id, "available")
    assert everyone[OWNER]("POST", f"/v1/mailbox/messages/{delivery_id}/open").status_code == 200
    evidence = service.until_evidence(delivery_id, "SubmissionAcceptance")["SubmissionAcceptance"]
    yield World(everyone, delivery_id, evidence["record"]["evidence_id"])
    for caller in everyone.values():
        caller.close()


def sender(good: int, other: int = 404) -> dict[str, int]:
    """A call about the sender's own things: others of its kind see nothing, everybody else may not even ask."""
    return {OWN: good, STAFF: good, OTHER: other, BARE: 403, OWNER: 403, STRANGER: 403, NOBODY: 401}


def recipient(good: int, stranger: int = 404) -> dict[str, int]:
    """A call about the recipient's own mailbox."""
    return {OWNER: good, STRANGER: stranger, OWN: 403, STAFF: 403, OTHER: 403, BARE: 403, NOBODY: 401}


def everybody(status: int = 200) -> dict[str, int]:
    """A public call."""
    return dict.fromkeys(ALL, status)


DELIVERY, MESSAGE = "/v1/deliveries/{delivery_id}", "/v1/mailbox/messages/{delivery_id}"
ACTIVATION = "/v1/mailbox/activation"
TABLE: Mapping[str, Mapping[str, int]] = {
    "POST /oauth/token": everybody(400),
    "GET /.well-known/jwks.json": everybody(),
    "GET /health/live": everybody(),
    "GET /health/ready": everybody(),
    "GET /ledger/checkpoint": everybody(),
    "GET /ledger/tile/{tile}": everybody(404),
    "POST /v1/deliveries": sender(415, 415),
    "GET /v1/deliveries": sender(200, 200),
    f"GET {DELIVERY}": sender(200),
    f"POST {DELIVERY}/cancel": sender(409),
    f"GET {DELIVERY}/document": sender(200),
    f"GET {DELIVERY}/attachments/{{number}}": sender(200),
    f"GET {DELIVERY}/events": sender(200),
    f"GET {DELIVERY}/evidence": sender(200),
    f"GET {DELIVERY}/evidence/{{evidence_id}}": sender(200),
    "POST /v1/recipients/lookup": sender(400, 400) | {BARE: 400},
    "GET /v1/mailbox/messages": recipient(200, 200),
    f"GET {MESSAGE}": recipient(200),
    f"POST {MESSAGE}/open": recipient(200),
    f"GET {MESSAGE}/document": recipient(200),
    f"GET {MESSAGE}/attachments/{{number}}": recipient(200),
    f"GET {MESSAGE}/evidence": recipient(200),
    f"GET {MESSAGE}/evidence/{{evidence_id}}": recipient(200),
    f"GET {ACTIVATION}": recipient(200, 200),
    f"PUT {ACTIVATION}": recipient(400, 400),
    # Not called by whoever may: it would end a mailbox that other tests use.
    f"DELETE {ACTIVATION}": {OWN: 403, STAFF: 403, OTHER: 403, BARE: 403, NOBODY: 401},
}


def test_the_table_has_every_call_of_the_contract() -> None:
    contract: Mapping[str, Any] = json.loads(CONTRACT.read_text("utf-8"))
    assert set(TABLE) == {
        f"{method.upper()} {path}" for path, methods in contract["paths"].items() for method in methods
    }


@pytest.mark.parametrize("call", sorted(TABLE))
def test_everybody_gets_exactly_what_is_theirs(world: World, call: str) -> None:
    method, path = call.split(" ", 1)
    path = path.format(delivery_id=world.delivery_id, evidence_id=world.evidence_id, number=1, tile="x")
    # A body that no call takes: what is allowed ends at the body, what is not ends before it.
    body: dict[str, Any] = {} if method in ("GET", "DELETE") else {"content": b"{", "headers": _JSON}
    found = {who: world.callers[who](method, path, **body).status_code for who in TABLE[call]}
    assert found == TABLE[call]


_JSON = {"Content-Type": "application/json"}


def test_lists_hold_own_things_only(world: World) -> None:
    for who, expected in ((OWN, True), (STAFF, True), (OTHER, False)):
        items = world.callers[who].get("/v1/deliveries", params={"limit": 200})["items"]
        assert (world.delivery_id in {item["id"] for item in items}) is expected, who
    for who, expected in ((OWNER, True), (STRANGER, False)):
        items = world.callers[who].get("/v1/mailbox/messages", params={"limit": 200})["items"]
        assert (world.delivery_id in {item["id"] for item in items}) is expected, who


def test_another_organisations_things_look_like_things_that_are_not(world: World) -> None:
    missing = "dlv_" + "0" * 32
    for path in ("", "/document", "/events", "/evidence", f"/evidence/{world.evidence_id}"):
        theirs = world.callers[OTHER]("GET", f"/v1/deliveries/{world.delivery_id}{path}").json()
        none = world.callers[OTHER]("GET", f"/v1/deliveries/{missing}{path}").json()
        assert theirs | {"instance": ""} == none | {"instance": ""}


def test_evidence_is_reached_through_its_own_delivery_only(service: RunningService, world: World) -> None:
    other = service.hand_in(READER)["id"]
    found = world.callers[OWN]("GET", f"/v1/deliveries/{other}/evidence/{world.evidence_id}")
    assert found.status_code == 404
