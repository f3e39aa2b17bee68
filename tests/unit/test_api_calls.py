"""What each call makes of a request and of its use case's answer; the use cases themselves have their own tests."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.api import deliveries as api_deliveries
from service.api.uploads import UploadMemory
from service.app import make_litestar
from service.bootstrap import Application
from service.db.deliveries import Filters
from service.db.jobs import Lane
from service.domain.errors import IdempotencyMissing
from service.usecases import access, activation, deliveries, mailbox, recipients
from service.usecases.hand_in import HandedIn
from service.usecases.views import ActivationView, DeliveryPage, EvidenceEntry, File
from tests.api_support import (
    DELIVERY_ID,
    ORGANISATION_ID,
    RECIPIENT,
    application,
    bearer,
    door,
    multipart,
    multipart_headers,
)

BODY = multipart(("delivery", None, b"{}"), ("document", "d.pdf", b"%PDF"))
WHEN = datetime(2026, 11, 23, 21, 40, 2, tzinfo=UTC)


class Called:
    """Stands for a use case: keeps what it was given, gives or raises what it was told."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.given: tuple[Any, ...] = ()
        self.named: dict[str, Any] = {}

    def __call__(self, *given: object, **named: object) -> object:
        self.given, self.named = given, named
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("api"), max_delivery_bytes=100_000) as found:
        yield found


@pytest.fixture(scope="module")
def app(wired: Application) -> Litestar:
    return make_litestar(wired)


@pytest.fixture(scope="module")
def client(wired: Application, app: Litestar) -> Iterator[TestClient[Any]]:
    with door(wired, app) as found:
        yield found


@pytest.fixture
def auth(wired: Application) -> dict[str, str]:
    return bearer(wired)


def test_a_hand_in_goes_to_its_use_case_and_its_answer_goes_out_as_it_was_stored(
    client: TestClient[Any], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = b'{"id":"%s", "spaced":  true}' % DELIVERY_ID.encode()
    hand_in = Called(HandedIn(202, stored, DELIVERY_ID))
    monkeypatch.setattr(api_deliveries, "hand_in", hand_in)
    answer = client.post(
        "/v1/deliveries", headers=auth | multipart_headers() | {"Idempotency-Key": "k-1"}, content=BODY
    )
    assert answer.status_code == 202
    assert answer.content == stored
    assert answer.headers["Location"] == f"/v1/deliveries/{DELIVERY_ID}"
    assert answer.headers["Content-Type"] == "application/json"
    _, sender, raw, uploads = hand_in.given
    assert (sender.organisation_id, sender.lane) == (ORGANISATION_ID, Lane.BULK)
    assert raw == b"{}"
    assert [(each.role, each.filename, each.content) for each in uploads] == [("document", "d.pdf", b"%PDF")]
    assert hand_in.named == {"key": "k-1"}


def test_a_hand_in_without_a_key_is_the_use_cases_to_refuse(
    client: TestClient[Any], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in = Called(IdempotencyMissing())
    monkeypatch.setattr(api_deliveries, "hand_in", hand_in)
    answer = client.post("/v1/deliveries", headers=auth | multipart_headers(), content=BODY)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    assert hand_in.named == {"key": None}


def test_a_hand_in_beyond_the_limit_never_reaches_its_use_case(
    client: TestClient[Any], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in = Called(None)
    monkeypatch.setattr(api_deliveries, "hand_in", hand_in)
    large = multipart(("delivery", None, b"{}"), ("document", "d.pdf", b"x" * 400_000))
    answer = client.post("/v1/deliveries", headers=auth | multipart_headers(), content=large)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    assert hand_in.given == ()


def test_room_for_uploads_is_given_back_however_they_end(
    app: Litestar, client: TestClient[Any], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    memory: UploadMemory = app.state.upload_memory
    before = memory.free
    for outcome in (HandedIn(202, b"{}", DELIVERY_ID), IdempotencyMissing(), RuntimeError()):
        monkeypatch.setattr(api_deliveries, "hand_in", Called(outcome))
        client.post("/v1/deliveries", headers=auth | multipart_headers(), content=BODY)
    client.post("/v1/deliveries", headers=auth | multipart_headers(), content=b"broken")
    assert memory.free == before


def test_a_list_takes_its_filters_and_never_more_than_a_page(
    client: TestClient[Any], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Called(DeliveryPage([], None))
    monkeypatch.setattr(deliveries, "list_page", page)
    query = {
        "status": "available",
        "reference": "R 1",
        "from": "2026-11-23T21:40:02Z",
        "cursor": DELIVERY_ID,
        "limit": "7",
    }
    answer = client.get("/v1/deliveries", headers=auth, params=query)
    assert answer.json() == {"items": [], "next_cursor": None}
    assert page.given[1:] == (ORGANISATION_ID, Filters("available", "R 1", WHEN, None))
    assert page.named == {"cursor": DELIVERY_ID, "limit": 7}
    client.get("/v1/deliveries", headers=auth)
    assert page.named == {"cursor": None, "limit": 50}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"limit": "0"}, 400, "request_malformed"),
        ({"limit": "201"}, 400, "request_malformed"),
        ({"limit": "many"}, 400, "request_malformed"),
        ({"from": "yesterday"}, 400, "request_malformed"),
        ({"from": "2026-11-23T21:40:02"}, 422, "time_without_offset"),
        ({"status": "pending"}, 422, "status_unknown"),
        ({"reference": "x" * 101}, 400, "request_malformed"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(
    client: TestClient[Any], auth: dict[str, str], query: dict[str, str], status: int, code: str
) -> None:
    answer = client.get("/v1/deliveries", headers=auth, params=query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["errors"]


@pytest.mark.parametrize(
    ("path", "module", "name", "position"),
    [
        (f"/v1/deliveries/{DELIVERY_ID}/document", deliveries, "document", 0),
        (f"/v1/deliveries/{DELIVERY_ID}/attachments/2", deliveries, "document", 2),
        (f"/v1/mailbox/messages/{DELIVERY_ID}/document", mailbox, "document", 0),
        (f"/v1/mailbox/messages/{DELIVERY_ID}/attachments/1", mailbox, "document", 1),
    ],
)
def test_a_document_is_a_file_to_save_with_its_own_name(
    client: TestClient[Any],
    auth: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    module: Any,
    name: str,
    position: int,
) -> None:
    document = Called(File('Brief "é"\r\nX: y.pdf', b"%PDF-1.7"))
    monkeypatch.setattr(module, name, document)
    answer = client.get(path, headers=auth)
    assert (answer.status_code, answer.content) == (200, b"%PDF-1.7")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"Brief _e___X: y.pdf\"; filename*=UTF-8''Brief%20%22%C3%A9%22%0D%0AX%3A%20y.pdf"
    )
    assert document.given[-2:] == (DELIVERY_ID, position)


@pytest.mark.parametrize("number", ["0", "-1", "x"])
def test_attachments_count_from_one(client: TestClient[Any], auth: dict[str, str], number: str) -> None:
    assert client.get(f"/v1/deliveries/{DELIVERY_ID}/attachments/{number}", headers=auth).status_code == 404


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, application/pdf;q=0.1", "application/json"),
        ("application/pdf, application/json;q=0.1", "application/pdf"),
        ("application/pdf", "application/pdf"),
        ("text/html", "application/problem+json"),
    ],
)
def test_evidence_comes_in_the_form_that_is_asked_for(
    client: TestClient[Any], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch, accept: str | None, form: str
) -> None:
    record = {"record": {"event": "x"}, "salt": "00", "leaf_hash": "11", "log_index": None, "proof": None}
    for module, prefix in ((deliveries, "/v1/deliveries"), (mailbox, "/v1/mailbox/messages")):
        monkeypatch.setattr(module, "evidence_one", Called(record))
        monkeypatch.setattr(module, "evidence_pdf", Called(File("evd_1.pdf", b"%PDF-1.7")))
        headers = auth if accept is None else auth | {"Accept": accept}
        answer = client.get(f"{prefix}/{DELIVERY_ID}/evidence/evd_1", headers=headers)
        assert answer.headers["Content-Type"].split(";")[0] == form
        if form == "application/pdf":
            assert answer.content == b"%PDF-1.7"
            assert 'filename="evd_1.pdf"' in answer.headers["Content-Disposition"]
        elif form == "application/json":
            assert answer.json() == record
        else:
            assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")


def test_times_are_utc_and_end_in_z(
    client: TestClient[Any], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EvidenceEntry("evd_1", "SubmissionAcceptance", WHEN, published=True)
    monkeypatch.setattr(deliveries, "evidence_list", Called([entry]))
    answer = client.get(f"/v1/deliveries/{DELIVERY_ID}/evidence", headers=auth)
    assert answer.json()["items"][0]["at"] == "2026-11-23T21:40:02Z"
    assert answer.json()["next_cursor"] is None


def test_a_look_up_says_who_asked_and_what_for(
    client: TestClient[Any], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = Called([{"type": "citizen", "id": "1", "channel": "paper"}])
    monkeypatch.setattr(recipients, "look_up", look_up)
    asked = {"purpose": "Taxes", "recipients": [{"type": "citizen", "id": "1"}]}
    answer = client.post("/v1/recipients/lookup", headers=auth, json=asked)
    assert answer.json()["items"] == [{"type": "citizen", "id": "1", "channel": "paper"}]
    assert look_up.given[1:] == (ORGANISATION_ID, "program", [("citizen", "1")], "Taxes")


def test_a_thousand_numbers_fit_into_a_look_up(
    client: TestClient[Any], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = Called([])
    monkeypatch.setattr(recipients, "look_up", look_up)
    asked = {"purpose": "p" * 200, "recipients": [{"type": "administration", "id": "OVO 002949   "}] * 1000}
    assert client.post("/v1/recipients/lookup", headers=auth, json=asked).status_code == 200
    assert len(look_up.given[3]) == 1000


@pytest.mark.parametrize(
    ("body", "status", "pointers"),
    [
        (b"{", 400, []),
        (b"[]", 422, [""]),
        (b"{}", 422, [""]),
        (b'{"purpose": 5, "recipients": []}', 422, ["/purpose", "/recipients"]),
        (b'{"purpose": "x", "recipients": [{"type": "citizen", "id": 85073003328}]}', 422, ["/recipients/0/id"]),
        (b'{"purpose": "x", "recipients": [{"type": "citizen", "id": "1"}], "more": 1}', 422, [""]),
    ],
)
def test_a_body_of_the_wrong_shape_is_pointed_to_without_repeating_it(
    client: TestClient[Any], auth: dict[str, str], body: bytes, status: int, pointers: list[str]
) -> None:
    answer = client.post("/v1/recipients/lookup", headers=auth | {"Content-Type": "application/json"}, content=body)
    assert answer.status_code == status
    assert "85073003328" not in answer.text
    found = [field.get("pointer", "") for field in answer.json().get("errors", [])]
    assert found[:1] == pointers[:1]


def test_activation_goes_in_two_steps_and_shows_what_is_consented_to(
    client: TestClient[Any], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = ActivationView(
        active=False, email=None, language=None, since=None, pending_email="an@example.org", pending_language="nl"
    )
    active = ActivationView(active=True, email="an@example.org", language="nl", since=WHEN)
    begin, confirm = Called(None), Called(active)
    monkeypatch.setattr(activation, "begin", begin)
    monkeypatch.setattr(activation, "confirm", confirm)
    monkeypatch.setattr(activation, "state", Called(waiting))
    path = "/v1/mailbox/activation"
    first = client.put(path, headers=auth, json={"email": "an@example.org", "language": "nl"})
    assert (first.status_code, first.json()["active"], first.json()["pending_email"]) == (200, False, "an@example.org")
    assert first.json()["pending_language"] == "nl"
    assert first.json()["consent"]["version"] == activation.CONSENT_VERSION
    assert set(first.json()["consent"]["texts"]) == {"nl", "fr", "de", "en"}
    assert begin.given[2:] == ("an@example.org", "nl")
    second = client.put(path, headers=auth, json={"code": "123456", "consent_version": "v"})
    assert (second.json()["active"], second.json()["since"]) == (True, "2026-11-23T21:40:02Z")
    assert (confirm.given[2:], confirm.named) == (("123456",), {"consent_version": "v"})


@pytest.mark.parametrize(
    "body",
    [{}, {"email": "a@b.c"}, {"code": "1"}, {"email": "a@b.c", "language": "nl", "code": "1", "consent_version": "v"}],
)
def test_half_a_step_of_an_activation_is_refused(
    client: TestClient[Any], auth: dict[str, str], body: dict[str, str]
) -> None:
    answer = client.put("/v1/mailbox/activation", headers=auth, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "activation_step_unclear")


def test_the_mailbox_is_the_tokens_and_nobody_elses(
    client: TestClient[Any], auth: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    revoke = Called(ActivationView(active=False, email=None, language=None, since=None))
    monkeypatch.setattr(activation, "revoke", revoke)
    assert client.delete("/v1/mailbox/activation", headers=auth).json()["active"] is False
    assert access.recipient_reference(revoke.given[1]) == RECIPIENT
