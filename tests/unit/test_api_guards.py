import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.testing import TestClient

from service.app import make_litestar
from service.bootstrap import Application
from service.identity.scopes import Scope
from service.web.guards import Access, Public, Scoped
from tests.api_support import application, bearer, door, token


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("api")) as found:
        yield found


@pytest.fixture(scope="module")
def client(wired: Application) -> Iterator[TestClient[Any]]:
    with door(wired) as found:
        yield found


def handlers(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler]]:
    for route in app.routes:
        assert isinstance(route, HTTPRoute), f"{route.path} is no HTTP route"
        for method, (handler, _) in route.route_handler_map.items():
            if method != "OPTIONS":
                yield method, route.path_format, handler


def guards(handler: HTTPRouteHandler) -> list[Access]:
    return [guard for guard in handler.resolve_guards() if isinstance(guard, Access)]


def test_every_route_declares_exactly_who_may_call(wired: Application) -> None:
    for method, path, handler in handlers(make_litestar(wired)):
        assert len(guards(handler)) == 1, f"{method} {path} needs exactly one guard that says who may call"


def test_only_these_calls_of_programs_are_public(wired: Application) -> None:
    prefixes = ("/v1/", "/oauth/", "/.well-known/", "/ledger/", "/health/", "/openapi.json", "/docs")
    public = {
        f"{method} {path}"
        for method, path, handler in handlers(make_litestar(wired))
        if path.startswith(prefixes) and isinstance(guards(handler)[0], Public)
    }
    assert public == {
        "POST /oauth/token",
        "GET /.well-known/jwks.json",
        "GET /v1/legal-bases/{entry_id}/{version}",
        "GET /ledger/checkpoint",
        "GET /ledger/tile/{tile}",
        "GET /v1/schemas/evidence",
        # Guarded by its signature.
        "POST /v1/print/callbacks/{printer}",
        "GET /health/live",
        "GET /health/ready",
        "GET /openapi.json",
        "GET /docs",
        "GET /docs/contract.json",
        "GET /docs/{name}",
    }


def scoped_calls(wired: Application) -> list[tuple[str, str, Scope]]:
    found = []
    for method, path, handler in handlers(make_litestar(wired)):
        guard = guards(handler)[0]
        if isinstance(guard, Scoped):
            found.append((method, re.sub(r"{(batch_)?number}", "1", path), guard.scope))
    return found


def test_a_call_with_a_scope_refuses_everybody_without_it_before_it_does_anything(
    wired: Application, client: TestClient[Any]
) -> None:
    calls = scoped_calls(wired)
    assert len(calls) >= 19
    for method, path, scope in calls:
        nobody = client.request(method, path)
        assert nobody.status_code == 401, (method, path)
        assert nobody.headers["WWW-Authenticate"] == "Bearer"
        others = tuple(each for each in Scope if each is not scope)
        other = client.request(method, path, headers=bearer(wired, *others))
        assert other.status_code == 403, (method, path)
        assert method == "HEAD" or other.json()["code"] == "scope_missing"
        assert f'scope="{scope.value}"' in other.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x.y.z", "Bearer " + "x" * 9000, "token"],
)
def test_what_is_no_access_token_of_ours_is_nobody(client: TestClient[Any], header: str) -> None:
    assert client.get("/v1/deliveries", headers={"Authorization": header}).status_code == 401


def test_a_token_in_the_address_counts_for_nothing(wired: Application, client: TestClient[Any]) -> None:
    answer = client.get("/v1/deliveries", params={"access_token": token(wired)})
    assert answer.status_code == 401


def test_an_old_token_is_refused_as_such(wired: Application, client: TestClient[Any]) -> None:
    old = datetime.now(UTC) - timedelta(hours=2)
    answer = client.get("/v1/deliveries", headers=bearer(wired, now=old))
    assert (answer.status_code, answer.json()["code"]) == (401, "token_expired")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_a_token_of_another_installation_is_refused(
    wired: Application, client: TestClient[Any], tmp_path: Path
) -> None:
    with application(tmp_path) as other:
        answer = client.get("/v1/deliveries", headers=bearer(other))
    assert answer.status_code == 401


def test_a_person_without_an_organisation_has_no_deliveries(wired: Application, client: TestClient[Any]) -> None:
    answer = client.get("/v1/deliveries", headers=bearer(wired, organisation=None))
    assert answer.status_code == 403


def test_a_program_has_no_mailbox(wired: Application, client: TestClient[Any]) -> None:
    answer = client.get("/v1/mailbox/messages", headers=bearer(wired, recipient=None))
    assert answer.status_code == 403
