from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar.testing import TestClient
from structlog.testing import capture_logs

from service.bootstrap import Application
from service.usecases import deliveries
from tests.api_support import application, bearer, door


@pytest.fixture(scope="module")
def wired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    with application(tmp_path_factory.mktemp("api")) as found:
        yield found


@pytest.fixture(scope="module")
def client(wired: Application) -> Iterator[TestClient[Any]]:
    with door(wired) as found:
        yield found


@pytest.mark.parametrize("path", ["/health/live", "/v1/deliveries", "/nothing", "/docs", "/openapi.json"])
def test_every_answer_has_a_request_id_and_the_security_headers(client: TestClient[Any], path: str) -> None:
    answer = client.get(path)
    assert len(answer.headers["X-Request-Id"]) >= 16
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers.get_list("Content-Security-Policy") == [answer.headers["Content-Security-Policy"]]


def test_a_sane_request_id_is_kept_and_named_in_the_problem(client: TestClient[Any]) -> None:
    answer = client.get("/nothing", headers={"X-Request-Id": "trace-0199f0c2"})
    assert answer.headers["X-Request-Id"] == "trace-0199f0c2"
    assert answer.json()["instance"] == "urn:zending:request:trace-0199f0c2"


@pytest.mark.parametrize("given", ["short", "with space 1234", "x" * 65, "<script>alert</script>", "é" * 12])
def test_a_request_id_that_is_none_is_replaced(client: TestClient[Any], given: str) -> None:
    answer = client.get("/nothing", headers={b"X-Request-Id": given.encode()})
    assert answer.headers["X-Request-Id"] != given


def test_personal_answers_are_never_kept_by_anybody(client: TestClient[Any]) -> None:
    assert client.get("/v1/deliveries").headers["Cache-Control"] == "no-store"


def test_browsers_are_held_to_tls_where_there_is_tls(tmp_path: Path) -> None:
    with application(tmp_path, base_url="https://zending.example") as wired, door(wired) as client:
        assert "max-age=31536000" in client.get("/health/live").headers["Strict-Transport-Security"]


def test_no_promise_of_tls_where_there_is_none(client: TestClient[Any]) -> None:
    assert "Strict-Transport-Security" not in client.get("/health/live").headers


def test_the_log_has_the_route_and_never_the_address(client: TestClient[Any]) -> None:
    with capture_logs() as lines:
        client.get("/v1/deliveries/85073003328?reference=An+Peeters")
        client.get("/85073003328")
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["route"] for line in requests] == ["/v1/deliveries/{delivery_id}", "none"]
    assert [line["status"] for line in requests] == [401, 404]
    assert "85073003328" not in str(lines)
    assert "Peeters" not in str(lines)


def test_health_checks_do_not_fill_the_log(client: TestClient[Any]) -> None:
    with capture_logs() as lines:
        client.get("/health/live")
    assert lines == []


def test_a_failure_in_a_use_case_is_a_problem_without_detail(
    wired: Application, client: TestClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("An Peeters, Kerkstraat 12")

    monkeypatch.setattr(deliveries, "get", fail)
    with capture_logs() as lines:
        answer = client.get("/v1/deliveries/dlv_1", headers=bearer(wired))
    assert answer.status_code == 500
    assert "detail" not in answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "Peeters" not in answer.text + str(lines)


def test_a_database_that_is_away_is_a_pause(wired: Application, client: TestClient[Any]) -> None:
    answer = client.get("/v1/deliveries", headers=bearer(wired))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_method_that_an_address_does_not_have_names_those_it_has(client: TestClient[Any], method: str) -> None:
    answer = client.request(method, "/v1/deliveries")
    assert answer.status_code == 405
    assert {"GET", "POST"} <= {each.strip() for each in answer.headers["Allow"].split(",")}


def test_a_body_beyond_the_bound_of_a_call_is_refused(wired: Application, client: TestClient[Any]) -> None:
    answer = client.put("/v1/mailbox/activation", headers=bearer(wired), content=b" " * 70_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
