"""One hand-in is one delivery, tenants never meet, and what happened is told in order."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from service.cli.demo_calls import CallRefused
from tests.inspection_support import document
from tests.service_support import DOCUMENTS, RunningService, batches_with, delivery_for, parts_of, until

LETTER = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()


def refusal(act: Any) -> CallRefused:
    with pytest.raises(CallRefused) as caught:
        act()
    return caught.value


def test_twenty_copies_of_a_hand_in_at_once_make_one_delivery(service: RunningService) -> None:
    delivery, key, token = delivery_for("an"), uuid4().hex, service.token()

    def send(_: int) -> tuple[int, dict[str, Any]]:
        answer = service.http.post(
            "/v1/deliveries",
            files=parts_of(delivery, LETTER),
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key},
        )
        return answer.status_code, answer.json()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))
    assert {status for status, _ in answers} <= {202, 409}
    taken = [body for status, body in answers if status == 202]
    assert taken
    assert all(body == taken[0] for body in taken)
    assert {body["code"] for status, body in answers if status == 409} <= {"idempotency_key_running"}
    assert send(0) == (202, taken[0])
    found = service.agency().ask("GET", "/v1/deliveries", params={"reference": delivery["reference"]}).json()["items"]
    assert [item["id"] for item in found] == [taken[0]["id"]]


def test_a_key_belongs_to_one_request_of_one_organisation(service: RunningService) -> None:
    fields: dict[str, Any] = {"reference": f"ref-{uuid4().hex[:8]}"}
    key = uuid4().hex
    first = service.hand_in("an", key=key, **fields)
    assert service.hand_in("an", key=key, **fields) == first
    other_name = refusal(lambda: service.hand_in("an", key=key, name="andere.pdf", **fields))
    other_file = refusal(lambda: service.hand_in("an", document(), key=key, **fields))
    other_text = refusal(lambda: service.hand_in("an", key=key, subject="Anders", **fields))
    assert {each.status for each in (other_name, other_file, other_text)} == {422}
    assert {each.code for each in (other_name, other_file, other_text)} == {"idempotency_key_mismatch"}
    assert service.hand_in("an", key=key, sender="voorbeeldegem", **fields)["id"] != first["id"]


def test_a_hand_in_without_key_is_refused(service: RunningService) -> None:
    answer = service.http.post(
        "/v1/deliveries",
        files=parts_of(delivery_for("an"), LETTER),
        headers={"Authorization": f"Bearer {service.token()}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")


def test_tenants_never_see_one_another(service: RunningService) -> None:
    handed = service.hand_in("an", sender="tax")
    service.until_status(handed["id"], "available")
    [evidence, *_] = service.agency().evidence(handed["id"])
    other, place = service.agency("voorbeeldegem"), f"/v1/deliveries/{handed['id']}"
    calls = [("GET", place), ("POST", f"{place}/cancel")]
    calls += [("GET", f"{place}/{part}") for part in ("document", "attachments/1", "events", "evidence")]
    calls += [("GET", f"{place}/evidence/{evidence['id']}")]
    for method, path in calls:
        assert refusal(lambda method=method, path=path: other.ask(method, path)).status == 404
    assert other.find(handed["reference"]) is None


def test_a_token_of_a_citizen_is_no_token_of_a_sender(service: RunningService) -> None:
    for path in ("/v1/deliveries", "/v1/deliveries/dlv_0199f0c24d6a7c3e8b1f5a2d9e4c7b60"):
        assert refusal(lambda path=path: service.person("an").ask("GET", path)).status == 403
    assert refusal(lambda: service.agency().ask("GET", "/v1/mailbox/messages")).status == 403
    assert service.http.get("/v1/deliveries").status_code == 401


def test_a_look_up_tells_who_is_reached_digitally_and_treats_the_unknown_like_paper(service: RunningService) -> None:
    asked = [
        {"type": "citizen", "id": service.recipients["an"].number},
        {"type": "citizen", "id": service.recipients["tom"].number},
        {"type": "enterprise", "id": service.recipients["bakery"].number},
    ]
    answer = service.agency().ask("POST", "/v1/recipients/lookup", json={"purpose": "sending", "recipients": asked})
    assert [item["channel"] for item in answer.json()["items"]] == ["digital", "paper", "paper"]


def test_a_delivery_can_be_taken_back_until_the_printer_has_it(service: RunningService) -> None:
    handed = service.hand_in("tom")
    cancelled = service.agency().ask("POST", f"/v1/deliveries/{handed['id']}/cancel").json()
    assert cancelled["status"] == "cancelled"
    late = service.hand_in("tom")
    service.until_status(late["id"], "handed_over")
    refused = refusal(lambda: service.agency().ask("POST", f"/v1/deliveries/{late['id']}/cancel"))
    assert refused.status == 409
    # The later letter left with its batch: the one that was taken back is in none.
    assert batches_with(service, handed["id"]) == []
    assert service.agency().delivery(handed["id"])["status"] == "cancelled"


def test_a_timeline_tells_what_happened_in_order(service: RunningService) -> None:
    handed = service.hand_in("jan")
    service.until_status(handed["id"], "handed_over")
    events = service.agency().ask("GET", f"/v1/deliveries/{handed['id']}/events").json()["items"]
    assert [event["event"] for event in events] == [
        "handed_in",
        "SubmissionAcceptance",
        "routed",
        "letter_composed",
        "batched",
        "RelayToNonERDS",
    ]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)


def test_evidence_is_published_within_moments(service: RunningService) -> None:
    handed = service.hand_in("an")

    def look() -> Any:
        items = service.agency().evidence(handed["id"])
        return items and all(item["published"] for item in items)

    assert until(look, "published evidence", seconds=30.0)
