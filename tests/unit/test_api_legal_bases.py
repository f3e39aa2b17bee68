"""The register as anybody reads it, and what would happen to a delivery: nobody is looked up for that."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from litestar.testing import TestClient

from service.api.examples import HAND_IN
from service.app import make_litestar
from service.bootstrap import Application
from service.domain import calendar, legal_bases
from service.identity.scopes import Scope
from service.usecases import policies
from service.usecases.policies import Policies
from tests.api_support import ORGANISATION_ID, application, bearer, door

TYPES = {"offered": {"registered": "example-consent"}, "third-day": {"registered": "example-third-working-day"}}
REGISTER = legal_bases.load()


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("api")) as found:
        yield found


@pytest.fixture(scope="module")
def client(wired: Application) -> Iterator[TestClient[Any]]:
    with door(wired, make_litestar(wired)) as found:
        yield found


@pytest.fixture
def auth(wired: Application, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A program of an organisation that names the examples; there is no database that could be asked anything."""

    def of_sender(context: Any, organisation: Any) -> Policies:
        assert organisation == ORGANISATION_ID
        return Policies(context.register, date(2026, 11, 24), TYPES)

    monkeypatch.setattr(policies, "of_sender", of_sender)
    return bearer(wired, Scope.DELIVERIES_WRITE)


def test_an_entry_is_read_as_data_and_as_the_file_that_evidence_names(client: TestClient[Any]) -> None:
    for entry in REGISTER.entries():
        path = f"/v1/legal-bases/{entry.id}/{entry.version}"
        shown = client.get(path).json()
        assert shown["title"] == dict(entry.title)
        assert shown["example"] is entry.example
        assert shown["fallback"] == {str(ending): str(way) for ending, way in entry.fallback.items()}
        file = client.get(path, headers={"Accept": "application/toml"})
        assert file.headers["content-type"].startswith("application/toml")
        assert hashlib.sha256(file.content).hexdigest() == shown["sha256"] == entry.sha256
    both = client.get(path, headers={"Accept": "application/toml;q=0.5, application/json"})
    assert both.headers["content-type"].startswith("application/json")
    assert both.headers["vary"] == "Accept"
    assert client.get(path, headers={"Accept": "text/html"}).status_code == 406


@pytest.mark.parametrize("path", ["example-consent/2", "no-such-entry/1"])
def test_an_entry_that_is_not_there_is_not_found(client: TestClient[Any], path: str) -> None:
    answer = client.get(f"/v1/legal-bases/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "legal_basis_unknown")


def preview(client: TestClient[Any], auth: dict[str, str], **changes: Any) -> Any:
    return client.post("/v1/deliveries/preview", headers=auth, json=HAND_IN | changes)


def test_a_preview_says_under_which_entry_and_what_happens_when(client: TestClient[Any], auth: dict[str, str]) -> None:
    policy = {"registered_mode": "consent", "acceptance_days": 20, "fallback": ["refused"]}
    shown = preview(client, auth, document_type="offered", registered=True, policy=policy).json()
    entry = REGISTER.version("example-consent", 1)
    assert entry is not None
    assert shown["legal_basis"] == {"id": "example-consent", "version": 1, "sha256": entry.sha256}
    assert (shown["example"], shown["mode"], shown["acceptance_days"]) == (True, "consent", 20)
    assert shown["problems"] == []
    steps = {(step["step"], step["after"]): step["at"] for step in shown["steps"]}
    assert steps["registered_letter", "refused"] is None, "as was wished: the entry alone says an ordinary letter"
    ends = datetime.fromisoformat(steps["answer_ends", None])
    assert datetime.fromisoformat(steps["registered_letter", "expired"]) == ends
    began = datetime.fromisoformat(steps["offer", None])
    assert timedelta(days=20) < ends - began < timedelta(days=25)
    assert ("effect", "ConsignmentAcceptance") in steps


def test_a_preview_counts_from_the_time_to_send(client: TestClient[Any], auth: dict[str, str]) -> None:
    send_at = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0) + timedelta(days=30)
    shown = preview(client, auth, document_type="third-day", registered=True, send_at=send_at.isoformat()).json()
    effect = next(step for step in shown["steps"] if step["after"] == "ContentConsignment")
    third = calendar.add_working_days(calendar.local_date(send_at), 3)
    assert datetime.fromisoformat(effect["at"]) == calendar.begins(third)
    assert effect["working_days"] == 3


def test_a_preview_lists_what_a_hand_in_would_be_refused_for(client: TestClient[Any], auth: dict[str, str]) -> None:
    shown = preview(
        client, auth, registered=True, subject=" ", postal_address=None, policy={"registered_mode": "consent"}
    ).json()
    assert {(each["pointer"], each["code"]) for each in shown["problems"]} == {
        ("/policy/registered_mode", "registered_mode_not_allowed"),
        ("/postal_address", "address_missing"),
        ("/subject", "empty"),
    }
    assert shown["steps"] == [], "of terms that are not allowed nothing is told"
    answer = preview(client, auth, registered="yes")
    assert (answer.status_code, answer.json()["code"]) == (422, "delivery_malformed")
    assert answer.json()["errors"][0]["pointer"] == "/registered"


def test_a_preview_of_several_recipients_says_which_is_wrong(client: TestClient[Any], auth: dict[str, str]) -> None:
    body = {name: value for name, value in HAND_IN.items() if name not in {"recipient", "postal_address"}}
    person = {**HAND_IN["recipient"], "postal_address": HAND_IN["postal_address"]}
    body["recipients"] = [person, {**person, "type": "postal", "id": None}, {**person, "id": "85073003329"}]
    shown = client.post("/v1/deliveries/preview", headers=auth, json=body).json()
    assert [each["pointer"] for each in shown["problems"]] == ["/recipients/2/id"]
    assert shown["steps"][0]["step"] == "mailbox", "of one of them at least"
    body["recipients"] = [{**person, "type": "postal", "id": None}]
    assert client.post("/v1/deliveries/preview", headers=auth, json=body).json()["steps"][0]["step"] == "letter"


def test_who_may_not_send_sees_no_preview(client: TestClient[Any], wired: Application) -> None:
    answer = preview(client, bearer(wired, Scope.DELIVERIES_READ))
    assert answer.status_code == 403
