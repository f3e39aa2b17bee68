"""What the token call makes of a request and of its use case's answer; and what anybody may fetch."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from service.app import make_litestar
from service.bootstrap import Application
from service.identity.errors import ClientRefused, IdTokenInvalid, ProviderUnavailable
from service.identity.grants import ID_TOKEN, TOKEN_EXCHANGE
from service.identity.oidc import OpenIdProvider
from service.identity.scopes import Scope
from service.usecases import access
from tests.api_support import (
    application,
    door,
)


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


def granted(wired: Application) -> access.Granted:
    token = wired.tokens.issue(now=datetime.now(UTC), subject="s", client_id="c", scopes=[Scope.DELIVERIES_READ])
    return access.Granted(token, frozenset({Scope.DELIVERIES_READ, Scope.DELIVERIES_WRITE}))


def test_a_program_gets_a_token_for_its_credentials(
    wired: Application, client: TestClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    client_token = Called(granted(wired))
    monkeypatch.setattr(access, "client_token", client_token)
    answer = client.post("/oauth/token", auth=("tax", "s%3Acret"), data={"grant_type": "client_credentials"})
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == 600
    assert answer.json()["scope"] == "deliveries:read deliveries:write"
    assert "issued_token_type" not in answer.json()
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert (client_token.given[2].client_id, client_token.given[2].secret) == ("tax", "s:cret")


def test_a_person_gets_a_token_for_an_id_token(
    wired: Application, client: TestClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange, judge = Called(granted(wired)), Called("a person")
    monkeypatch.setattr(access, "exchange", exchange)
    monkeypatch.setattr(OpenIdProvider, "validate_id_token", judge)
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token": "x.y.z", "subject_token_type": ID_TOKEN}
    answer = client.post("/oauth/token", data=form)
    assert answer.json()["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert judge.given == ("x.y.z",)
    assert exchange.given[2] == "a person"


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [(IdTokenInvalid("x"), 400, "invalid_grant"), (ProviderUnavailable("x"), 503, "temporarily_unavailable")],
)
def test_an_exchange_that_fails_says_why_in_the_words_of_its_standard(
    client: TestClient[Any], monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, word: str
) -> None:
    monkeypatch.setattr(OpenIdProvider, "validate_id_token", Called(error))
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token": "x.y.z", "subject_token_type": ID_TOKEN}
    answer = client.post("/oauth/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (status, word)
    assert "WWW-Authenticate" not in answer.headers
    assert (answer.headers.get("Retry-After") is not None) == (status == 503)


@pytest.mark.parametrize(
    ("form", "status", "word"),
    [
        (b"", 400, "invalid_request"),
        (b"grant_type", 400, "invalid_request"),
        (b"grant_type=password", 400, "unsupported_grant_type"),
        (b"grant_type=client_credentials&grant_type=client_credentials", 400, "invalid_request"),
        (b"grant_type=client_credentials", 401, "invalid_client"),
        (b"grant_type=client_credentials&client_id=a&client_secret=b", 401, "invalid_client"),
        (b"grant_type=\xff", 400, "invalid_request"),
        (b"a=1&" * 30, 400, "invalid_request"),
    ],
)
def test_a_token_request_is_refused_in_the_words_of_its_standard(
    client: TestClient[Any], form: bytes, status: int, word: str
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.post("/oauth/token", content=form, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, word)
    assert set(answer.json()) == {"error", "error_description"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert ("Basic" in answer.headers.get("WWW-Authenticate", "")) == (status == 401)


def test_wrong_credentials_are_one_answer(client: TestClient[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "client_token", Called(ClientRefused("The client is not known by these credentials.")))
    answer = client.post("/oauth/token", auth=("tax", "wrong"), data={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_the_keys_are_public_and_hold_nothing_private(client: TestClient[Any]) -> None:
    answer = client.get("/.well-known/jwks.json")
    (key,) = answer.json()["keys"]
    assert key["alg"] == "ES256"
    assert "d" not in key
    assert "public" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("path", ["0/x/y", "x", "0/000.p/256", "0/0", "%2e%2e/checkpoint", "0/000/%2e%2e/001"])
def test_what_is_no_tile_is_not_found(client: TestClient[Any], path: str) -> None:
    answer = client.get(f"/ledger/tile/{path}")
    assert answer.status_code == 404


def test_the_viewer_loads_nothing_from_elsewhere(client: TestClient[Any]) -> None:
    page = client.get("/docs")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert "http" not in page.text.replace("https://", "http")
    for name in ("viewer.js", "swagger-ui.css", "swagger-ui-bundle.js", "contract.json"):
        assert f"/docs/{name}" in page.text + client.get("/docs/viewer.js").text
        assert client.get(f"/docs/{name}").status_code == 200
    assert client.get("/docs/index.html").status_code == 404
    contract = msgspec.json.decode(client.get("/docs/contract.json").content)
    assert contract["openapi"] == "3.0.3"
    assert '"null"' not in client.get("/docs/contract.json").text
