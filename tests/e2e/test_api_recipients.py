"""Look-ups, mailboxes, the public log and health, over the wire."""

import base64
from collections.abc import Iterator

import httpx
import pytest

from service.embedded.fictional import RECIPIENTS
from tests.api_e2e_support import READER, SENDER, Caller, credentials, hand_in, nobody, person, program
from tests.service_support import RunningService, delivery_for, until


@pytest.fixture(scope="module")
def sender(service: RunningService) -> Iterator[Caller]:
    found = program(service, SENDER)
    yield found
    found.close()


@pytest.fixture(scope="module")
def reader(service: RunningService) -> Iterator[Caller]:
    found = person(service, READER)
    yield found
    found.close()


@pytest.fixture
def public(service: RunningService) -> Iterator[Caller]:
    found = nobody(service)
    yield found
    found.close()


def test_a_look_up_tells_digital_from_paper_and_looks_the_same_for_all(service: RunningService, sender: Caller) -> None:
    asked = [{"type": "citizen", "id": RECIPIENTS[key].number} for key in (READER, "mia")]
    answer = sender("POST", "/v1/recipients/lookup", json={"purpose": "Proef", "recipients": asked})
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [item["channel"] for item in items] == ["digital", "paper"]
    assert [{"type": item["type"], "id": item["id"]} for item in items] == asked
    assert {frozenset(item) for item in items} == {frozenset({"type", "id", "channel"})}


def test_a_look_up_needs_a_purpose_and_right_numbers(sender: Caller) -> None:
    wrong = {"purpose": " ", "recipients": [{"type": "citizen", "id": "85073003329"}, {"type": "postal", "id": "x"}]}
    answer = sender("POST", "/v1/recipients/lookup", json=wrong)
    assert answer.status_code == 422
    pointers = {field["pointer"] for field in answer.json()["errors"]}
    assert {"/purpose", "/recipients/0/id", "/recipients/1/id"} <= pointers
    assert "85073003329" not in answer.text


def test_opening_is_an_act_and_reading_comes_after_it(service: RunningService, sender: Caller, reader: Caller) -> None:
    made = hand_in(sender, delivery_for(READER)).json()["id"]
    service.until_status(made, "available")
    place = f"/v1/mailbox/messages/{made}"
    closed = reader.get(place)
    assert (closed["opened_at"], closed["documents"]) == (None, [])
    early = reader("GET", f"{place}/document")
    assert (early.status_code, early.json()["code"]) == (409, "not_opened")
    opened = reader("POST", f"{place}/open")
    assert opened.status_code == 200
    assert opened.json()["opened_at"].endswith("Z")
    assert reader("POST", f"{place}/open").json()["opened_at"] == opened.json()["opened_at"]
    (document,) = opened.json()["documents"]
    theirs = reader("GET", document["url"])
    assert theirs.headers["Content-Type"] == "application/pdf"
    assert theirs.headers["Content-Disposition"].startswith("attachment;")
    assert theirs.content == sender("GET", f"/v1/deliveries/{made}/document").content
    reader("GET", document["url"])
    events = [entry["event"] for entry in reader.get(f"{place}/evidence")["items"]]
    assert events.count("ContentAccessTracking") == 1
    assert events.count("ContentHandover") == 1
    service.until_status(made, "opened")


def test_an_activation_says_what_is_consented_to(reader: Caller) -> None:
    state = reader.get("/v1/mailbox/activation")
    assert state["active"] is True
    assert state["since"].endswith("Z")
    assert set(state["consent"]["texts"]) == {"nl", "fr", "de", "en"}
    wrong = {"code": "000000", "consent_version": state["consent"]["version"]}
    answer = reader("PUT", "/v1/mailbox/activation", json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "activation_code_wrong")
    old = reader("PUT", "/v1/mailbox/activation", json={"code": "000000", "consent_version": "1999"})
    assert (old.status_code, old.json()["code"]) == (409, "consent_outdated")


def test_the_public_log_serves_its_checkpoint_and_tiles(
    sender: Caller, public: Caller, service: RunningService
) -> None:
    hand_in(sender, delivery_for(READER))
    answer = until(lambda: _good(public("GET", "/ledger/checkpoint")), "a checkpoint")
    assert answer.headers["Content-Type"].startswith("text/plain")
    origin, size, root = answer.text.split("\n")[:3]
    assert origin
    assert len(base64.b64decode(root)) == 32
    width = min(int(size), 256)
    path = "/ledger/tile/0/000" if width == 256 else f"/ledger/tile/0/000.p/{width}"
    tile = public("GET", path)
    assert tile.status_code == 200
    assert len(tile.content) == 32 * width
    assert "public" in tile.headers["Cache-Control"]
    assert ("immutable" in tile.headers["Cache-Control"]) is (width == 256)
    assert public("GET", "/ledger/tile/0/x999/999").status_code == 404


def test_readiness_names_every_part(public: Caller) -> None:
    health = public.get("/health/ready")
    assert health["status"] in {"ready", "degraded"}
    parts = {part["name"]: part["state"] for part in health["parts"]}
    assert {"database", "store", "broker", "time-stamp authority", "scanner", "identity provider"} <= set(parts)
    assert (parts["database"], parts["store"]) == ("up", "up")


def test_a_client_with_a_wrong_secret_is_told_nothing_more(service: RunningService) -> None:
    form, known = {"grant_type": "client_credentials"}, service.clients[SENDER].client_id
    wrong = service.http.post("/oauth/token", data=form, auth=(known, "zs_wrong"))
    unknown = service.http.post("/oauth/token", data=form, auth=("nobody", "zs_wrong"))
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.json()["error"] == "invalid_client"


def test_a_scope_that_was_not_given_is_refused(service: RunningService) -> None:
    form = {"grant_type": "client_credentials", "scope": "mailbox:read"}
    answer = service.http.post("/oauth/token", data=form, auth=credentials(service, SENDER))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


def _good(answer: httpx.Response) -> httpx.Response | None:
    return answer if answer.status_code == 200 else None
