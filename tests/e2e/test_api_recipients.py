"""Look-ups, mailboxes, the public log and health, over the wire."""

import base64
from collections.abc import Iterator

import httpx
import pytest

from tests.api_e2e_support import (
    Caller,
    Service,
    delivery,
    hand_in,
    login_of,
    nobody,
    person,
    program,
    reaches,
    until,
)


@pytest.fixture(scope="module")
def sender(service: Service) -> Iterator[Caller]:
    found = program(service, min(service.clients))
    yield found
    found.close()


@pytest.fixture(scope="module")
def reader(service: Service) -> Iterator[Caller]:
    found = person(service, login_of(service, service.recipients["activated"][0]))
    yield found
    found.close()


@pytest.fixture
def public(service: Service) -> Iterator[Caller]:
    found = nobody(service)
    yield found
    found.close()


def test_a_look_up_tells_digital_from_paper_and_looks_the_same_for_all(service: Service, sender: Caller) -> None:
    active, inactive = service.recipients["activated"][0], service.recipients["not_activated"][0]
    asked = [{"type": each["type"], "id": each["id"]} for each in (active, inactive)]
    asked.append({"type": "citizen", "id": "85073003328" if active["id"] != "85073003328" else "40000095579"})
    answer = sender("POST", "/v1/recipients/lookup", json={"purpose": "Proef", "recipients": asked[:2]})
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert [item["channel"] for item in items] == ["digital", "paper"]
    assert [{"type": item["type"], "id": item["id"]} for item in items] == asked[:2]
    assert {frozenset(item) for item in items} == {frozenset({"type", "id", "channel"})}


def test_a_look_up_needs_a_purpose_and_right_numbers(sender: Caller) -> None:
    wrong = {"purpose": " ", "recipients": [{"type": "citizen", "id": "85073003329"}, {"type": "postal", "id": "x"}]}
    answer = sender("POST", "/v1/recipients/lookup", json=wrong)
    assert answer.status_code == 422
    pointers = {field["pointer"] for field in answer.json()["errors"]}
    assert {"/purpose", "/recipients/0/id", "/recipients/1/id"} <= pointers
    assert "85073003329" not in answer.text


def test_opening_is_an_act_and_reading_comes_after_it(service: Service, sender: Caller, reader: Caller) -> None:
    made = hand_in(sender, delivery(service.recipients["activated"][0])).json()["id"]
    reaches(sender, made, "available")
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
    reaches(sender, made, "opened")


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


def test_the_public_log_serves_its_checkpoint_and_tiles(sender: Caller, public: Caller, service: Service) -> None:
    hand_in(sender, delivery(service.recipients["activated"][0]))
    answer = until(lambda: (found := public("GET", "/ledger/checkpoint")).status_code == 200 and found)
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


def test_a_client_with_a_wrong_secret_is_told_nothing_more(service: Service) -> None:
    client = next(iter(service.clients.values()))
    form = {"grant_type": "client_credentials"}
    place = f"{service.base_url}/oauth/token"
    wrong = httpx.post(place, data=form, auth=(client["client_id"], "zs_wrong"), trust_env=False)
    unknown = httpx.post(place, data=form, auth=("nobody", "zs_wrong"), trust_env=False)
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.json()["error"] == "invalid_client"


def test_a_scope_that_was_not_given_is_refused(service: Service) -> None:
    client = next(iter(service.clients.values()))
    form = {"grant_type": "client_credentials", "scope": "mailbox:read"}
    credentials = (client["client_id"], client["client_secret"])
    answer = httpx.post(f"{service.base_url}/oauth/token", data=form, auth=credentials, trust_env=False)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
