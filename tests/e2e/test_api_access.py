"""Who may call what, about whose things: every call of the contract, by everybody there is."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import api_e2e_support as callers
from tests.api_e2e_support import CLERK, OTHER_READER, OTHER_SENDER, READER, SENDER, Caller, hand_in, pdf
from tests.mandate_support import give_over_http as given
from tests.service_support import RunningService, delivery_for
from tests.signatures_support import ask_over_http as ask
from tests.signatures_support import person
from tests.webhook_support import subscribe_over_http as hooked

CONTRACT = Path(__file__).parents[2] / "docs" / "api" / "openapi.json"
OWN = "the sender's program"
OTHER = "another organisation's program"
BARE = "the sender's program without the scope"
STAFF = "the sender's clerk"
OWNER = "the recipient"
STRANGER = "another recipient"
OPERATOR = "the platform's operator"
NOBODY = "nobody"
ALL = (OWN, OTHER, BARE, STAFF, OWNER, STRANGER, OPERATOR, NOBODY)


@dataclass(frozen=True)
class World:
    """One delivery that the recipient has opened, and everybody who might want to see it."""

    callers: Mapping[str, Caller]
    delivery_id: str
    evidence_id: str
    submission_id: str
    request_id: str
    mandate_id: str
    webhook_id: str


@pytest.fixture(scope="module")
def world(service: RunningService) -> Iterator[World]:
    everyone = {
        OWN: callers.program(service, SENDER),
        OTHER: callers.program(service, OTHER_SENDER),
        BARE: callers.program(service, SENDER, scope="recipients:lookup"),
        STAFF: callers.person(service, CLERK),
        OWNER: callers.person(service, READER),
        STRANGER: callers.person(service, OTHER_READER),
        OPERATOR: callers.person(service, "olga"),
        NOBODY: callers.nobody(service),
    }
    answer = hand_in(everyone[OWN], delivery_for(READER), attachments=[pdf()])
    assert answer.status_code == 202, answer.text
    delivery_id, submission_id = answer.json()["id"], answer.json()["submission_id"]
    service.until_status(delivery_id, "available")
    assert everyone[OWNER]("POST", f"/v1/mailbox/messages/{delivery_id}/open").status_code == 200
    evidence = service.until_evidence(delivery_id, "SubmissionAcceptance")["SubmissionAcceptance"]
    request_id = ask(service, person(READER))
    mandate_id = given(everyone[OWNER])["mandate"]["id"]
    webhook_id = hooked(everyone[OWN])
    own = (delivery_id, evidence["record"]["evidence_id"], submission_id, request_id, mandate_id, webhook_id)
    yield World(everyone, *own)
    everyone[OWN]("DELETE", f"/v1/webhooks/{webhook_id}")
    for caller in everyone.values():
        caller.close()


def sender(good: int, other: int = 404) -> dict[str, int]:
    """A call about the sender's own things: others of its kind see nothing, everybody else may not even ask."""
    return (
        {OWN: good, STAFF: good, OTHER: other} | dict.fromkeys((BARE, OWNER, STRANGER, OPERATOR), 403) | {NOBODY: 401}
    )


def programs(good: int, other: int = 404) -> dict[str, int]:
    """A call about the sender's own things that only programs make."""
    return dict.fromkeys(ALL, 403) | {OWN: good, OTHER: other, NOBODY: 401}


def recipient(good: int, stranger: int = 404) -> dict[str, int]:
    """A call about the recipient's own mailbox."""
    refused = dict.fromkeys((OWN, STAFF, OTHER, BARE, OPERATOR), 403)
    return {OWNER: good, STRANGER: stranger} | refused | {NOBODY: 401}


def operator(good: int) -> dict[str, int]:
    """A call about the service itself."""
    return dict.fromkeys(ALL, 403) | {OPERATOR: good, NOBODY: 401}


def everybody(status: int = 200) -> dict[str, int]:
    """A public call."""
    return dict.fromkeys(ALL, status)


DELIVERY, MESSAGE = "/v1/deliveries/{delivery_id}", "/v1/mailbox/messages/{delivery_id}"
ACTIVATION, SUBMISSION = "/v1/mailbox/activation", "/v1/submissions/{submission_id}"
REQUEST, MANDATES = "/v1/signature-requests/{request_id}", "/v1/mailbox/mandates"
WEBHOOK = "/v1/webhooks/{webhook_id}"
TABLE: Mapping[str, Mapping[str, int]] = {
    "POST /oauth/token": everybody(400),
    "GET /.well-known/jwks.json": everybody(),
    "GET /health/live": everybody(),
    "GET /health/ready": everybody(),
    "GET /ledger/checkpoint": everybody(),
    "GET /v1/legal-bases/{entry_id}/{version}": everybody(),
    "GET /v1/schemas/evidence": everybody(),
    "GET /ledger/tile/{tile}": everybody(404),
    "POST /v1/deliveries": sender(415, 415),
    "GET /v1/deliveries": sender(200, 200),
    "POST /v1/deliveries/preview": sender(422, 422),
    f"GET {DELIVERY}": sender(200),
    f"GET {DELIVERY}/bundle": sender(200),
    f"POST {DELIVERY}/cancel": sender(409),
    f"GET {DELIVERY}/document": sender(200),
    f"GET {DELIVERY}/attachments/{{number}}": sender(200),
    f"GET {DELIVERY}/letters": sender(200),
    f"GET {DELIVERY}/scans/{{scan_id}}": sender(404),
    f"POST {DELIVERY}/send-again": sender(400, 400),
    f"POST {DELIVERY}/end-returned": sender(409),
    "GET /v1/print/batches": operator(200),
    "GET /v1/print/batches/{batch_number}": operator(404),
    "POST /v1/print/batches/close": operator(200),
    "GET /v1/print/reconciliation": operator(200),
    "POST /v1/print/returns": operator(400),
    "GET /v1/print/pulls": operator(200),
    "POST /v1/print/pulls": operator(400),
    "GET /v1/print/exceptions": operator(200),
    "POST /v1/print/exceptions/seen": operator(400),
    "POST /v1/print/hold": operator(400),
    "POST /v1/print/release": operator(400),
    "POST /v1/print/move": operator(400),
    "POST /v1/print/reprints": operator(400),
    "POST /v1/print/given-up": operator(400),
    "GET /v1/print/files": operator(200),
    "POST /v1/print/files": operator(400),
    "GET /v1/print/waiting": operator(200),
    "GET /v1/print/forecast": operator(200),
    "GET /v1/print/holds": operator(200),
    "GET /v1/print/letters/{letter}": operator(422),
    "GET /v1/print/proofs": operator(200),
    "POST /v1/print/proofs": operator(400),
    "GET /v1/print/senders": operator(200),
    "POST /v1/print/senders/{organisation}": operator(400),
    "POST /v1/print/callbacks/{printer}": everybody(401),
    f"GET {DELIVERY}/events": sender(200),
    f"GET {DELIVERY}/evidence": sender(200),
    f"GET {DELIVERY}/evidence/{{evidence_id}}": sender(200),
    "POST /v1/recipients/lookup": sender(400, 400) | {BARE: 400},
    "GET /v1/signature-requests": sender(200, 200),
    "POST /v1/signature-requests": sender(415, 415),
    f"GET {REQUEST}": sender(200),
    f"GET {REQUEST}/document": sender(200),
    f"GET {REQUEST}/documents/{{number}}": sender(200),
    f"GET {REQUEST}/report": sender(404),
    f"GET {REQUEST}/evidence": sender(200),
    f"GET {REQUEST}/evidence/{{evidence_id}}": sender(404),
    # The calls go in the order of their addresses: it is cancelled by then.
    f"POST {REQUEST}/remind": sender(409),
    f"POST {REQUEST}/cancel": sender(200),
    # Programs only: clerks check a file on the page for everybody.
    "POST /v1/letters/check": sender(415, 415),
    "POST /v1/validations": dict.fromkeys(ALL, 403) | {OWN: 415, OTHER: 415, NOBODY: 401},
    "GET /v1/submissions": sender(200, 200),
    "POST /v1/submissions": sender(400, 400),
    f"GET {SUBMISSION}": sender(200),
    f"GET {SUBMISSION}/rows": sender(200),
    f"HEAD {SUBMISSION}/content": sender(404),
    f"PATCH {SUBMISSION}/content": sender(415, 415),
    f"POST {SUBMISSION}/complete": sender(404),
    f"POST {SUBMISSION}/release": sender(409),
    # The program does it; the clerk comes second, to find it done.
    f"POST {SUBMISSION}/pause": sender(409) | {OWN: 200},
    f"POST {SUBMISSION}/resume": sender(409) | {OWN: 200},
    f"POST {SUBMISSION}/stop": sender(409),
    # Programs only: clerks see them on their page.
    "POST /v1/webhooks": programs(400, 400),
    "GET /v1/webhooks": programs(200, 200),
    f"GET {WEBHOOK}": programs(200),
    f"POST {WEBHOOK}/disable": programs(200),
    f"POST {WEBHOOK}/enable": programs(200),
    f"GET {WEBHOOK}/messages": programs(200),
    f"POST {WEBHOOK}/messages/{{message_id}}/replay": programs(404),
    f"POST {WEBHOOK}/replay": programs(400, 400),
    f"POST {WEBHOOK}/rotate-secret": programs(200),
    f"POST {WEBHOOK}/test": programs(202),
    # Not called by its owner: the other calls need it.
    f"DELETE {WEBHOOK}": {who: status for who, status in programs(204).items() if who != OWN},
    "GET /v1/ops/status": operator(200),
    "GET /v1/ops/audit": operator(200),
    "GET /v1/ops/parked": operator(200),
    "POST /v1/ops/parked/retry": operator(400),
    "POST /v1/ops/parked/{job_id}/propose-end": operator(400),
    "POST /v1/ops/parked/{job_id}/confirm-end": operator(404),
    "GET /v1/ops/pauses": operator(200),
    "POST /v1/ops/pauses": operator(400),
    "POST /v1/ops/pauses/{pause_id}/end": operator(404),
    f"POST {DELIVERY}/withdraw": sender(400, 400),
    "GET /v1/mailbox/messages": recipient(200, 200),
    f"GET {MESSAGE}": recipient(200),
    f"POST {MESSAGE}/open": recipient(200),
    # It is ordinary mail, which needs no answer.
    f"POST {MESSAGE}/accept": recipient(409),
    f"POST {MESSAGE}/refuse": recipient(409),
    f"GET {MESSAGE}/bundle": recipient(200),
    f"GET {MESSAGE}/document": recipient(200),
    f"GET {MESSAGE}/attachments/{{number}}": recipient(200),
    f"GET {MESSAGE}/evidence": recipient(200),
    f"GET {MESSAGE}/evidence/{{evidence_id}}": recipient(200),
    f"POST {MANDATES}": recipient(400, 400),
    f"POST {MANDATES}/accept": recipient(400, 400),
    f"GET {MANDATES}/given": recipient(200, 200),
    f"GET {MANDATES}/held": recipient(200, 200),
    f"GET {MANDATES}/senders": recipient(200, 200),
    f"GET {MANDATES}/{{mandate_id}}": recipient(200),
    f"GET {MANDATES}/{{mandate_id}}/acts": recipient(200),
    f"DELETE {MANDATES}/{{mandate_id}}": recipient(200),
    f"GET {ACTIVATION}": recipient(200, 200),
    f"PUT {ACTIVATION}": recipient(400, 400),
    f"PUT {ACTIVATION}/registered": recipient(400, 400),
    # Not called by whoever may: it would end a mailbox, or a consent, that other tests use.
    f"DELETE {ACTIVATION}": dict.fromkeys((OWN, STAFF, OTHER, BARE, OPERATOR), 403) | {NOBODY: 401},
    f"DELETE {ACTIVATION}/registered": dict.fromkeys((OWN, STAFF, OTHER, BARE, OPERATOR), 403) | {NOBODY: 401},
}


def test_the_table_has_every_call_of_the_contract() -> None:
    contract: Mapping[str, Any] = json.loads(CONTRACT.read_text("utf-8"))
    assert set(TABLE) == {
        f"{method.upper()} {path}" for path, methods in contract["paths"].items() for method in methods
    }


@pytest.mark.parametrize("call", sorted(TABLE))
def test_everybody_gets_exactly_what_is_theirs(world: World, call: str) -> None:
    method, path = call.split(" ", 1)
    names = {"delivery_id": world.delivery_id, "evidence_id": world.evidence_id, "submission_id": world.submission_id}
    names |= {"request_id": world.request_id, "mandate_id": world.mandate_id, "webhook_id": world.webhook_id}
    path = path.format(
        **names,
        number=1,
        tile="x",
        entry_id="zending-registered",
        version=1,
        job_id="job_" + "0" * 32,
        pause_id="pau_" + "0" * 32,
        scan_id="scn_" + "0" * 32,
        message_id="msg_" + "0" * 32,
        batch_number=10**9,
        printer="nobody",
        letter="x",
        organisation="nobody",
    )
    # A body that no call takes: what is allowed ends at the body, what is not ends before it.
    body: dict[str, Any] = {} if method in ("GET", "DELETE", "HEAD") else {"content": b"{", "headers": _JSON}
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
