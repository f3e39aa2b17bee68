"""The committed contract is what the routes say, says everything, and only ever grows."""

import copy
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from service.api import openapi
from service.api.contract_changes import breaking_changes
from service.api.viewer_contract import as_openapi_30

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "api" / "openapi.json"


@lru_cache(maxsize=1)
def _generated() -> str:
    return openapi.text(openapi.document())


def contract() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_generated())
    return found


def operations() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in contract()["paths"].items()
        for method, operation in methods.items()
    ]


# What was released stays as it was: the file of a release is never written again.
RELEASED = sorted((ROOT / "docs" / "api" / "released").glob("*.json"))


def test_there_is_a_released_contract_to_hold_to() -> None:
    assert RELEASED


@pytest.mark.parametrize("promised", [COMMITTED, *RELEASED], ids=lambda path: path.name)
def test_the_contract_only_ever_grows(promised: Path) -> None:
    broken = breaking_changes(json.loads(promised.read_text("utf-8")), contract())
    assert broken == [], "this would break integrators"


def test_the_committed_contract_is_the_one_that_is_served() -> None:
    fresh = "run: python -m service.api.openapi docs/api/openapi.json"
    assert COMMITTED.read_text("utf-8") == _generated(), fresh


def test_it_is_openapi_31() -> None:
    assert contract()["openapi"].startswith("3.1.")


def test_every_call_says_what_it_does_and_how_it_can_fail() -> None:
    for name, operation in operations():
        assert operation["summary"], name
        assert operation["operationId"], name
        assert operation["tags"], name
        assert operation.get("security"), f"{name} does not say who may call"
        for status, answer in operation["responses"].items():
            assert answer["description"], (name, status)
            assert "X-Request-Id" in answer["headers"], (name, status)
            if int(status) >= 400 and not name.endswith(("/oauth/token", "/health/ready")):
                assert set(answer["content"]) == {"application/problem+json"}, (name, status)


def test_every_call_with_a_scope_documents_its_refusals() -> None:
    for name, operation in operations():
        if {} not in operation["security"]:
            assert {"400", "401", "403", "503"} <= set(operation["responses"]), name


def test_scopes_in_the_contract_are_those_that_calls_ask_for() -> None:
    asked = {
        scope
        for _, operation in operations()
        for requirement in operation["security"]
        for scope in requirement.get("oauth2", ())
    }
    flow = contract()["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert asked == set(flow["scopes"])


def test_the_multipart_body_is_described() -> None:
    body = contract()["paths"]["/v1/deliveries"]["post"]["requestBody"]
    parts = body["content"]["multipart/form-data"]["schema"]
    assert body["required"]
    assert parts["required"] == ["delivery", "document"]
    assert set(parts["properties"]) == {"delivery", "document", "attachment"}
    assert "DeliveryRequest" in contract()["components"]["schemas"]


def test_every_reference_leads_somewhere() -> None:
    whole = contract()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(reference := value.get("$ref"), str):
                target: Any = whole
                for part in reference.removeprefix("#/").split("/"):
                    target = target[part]
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)

    walk(whole)


def test_examples_have_the_fields_of_their_schemas() -> None:
    for name, described in contract()["components"]["schemas"].items():
        for example in described.get("examples", ()):
            assert set(described.get("required", ())) <= set(example), name
            assert set(example) <= set(described["properties"]), name


def test_the_viewers_copy_has_no_words_of_the_newer_version() -> None:
    older = as_openapi_30(contract())

    def walk(value: Any, inside: str) -> None:
        if isinstance(value, dict):
            assert not isinstance(value.get("type"), list), inside
            assert value.get("type") != "null", inside
            assert "const" not in value, inside
            for key, each in value.items():
                walk(each, f"{inside}/{key}")
        elif isinstance(value, list):
            for each in value:
                walk(each, inside)

    walk(older, "")
    assert older["openapi"] == "3.0.3"
    assert set(older["paths"]) == set(contract()["paths"])


def changed(change: Any) -> list[str]:
    new = copy.deepcopy(contract())
    change(new)
    return breaking_changes(contract(), new)


DELIVERY = "/v1/deliveries/{delivery_id}"


def schema(contract: dict[str, Any], name: str) -> Any:
    return contract["components"]["schemas"][name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["paths"].pop(DELIVERY), "is gone"),
        (lambda c: c["paths"][DELIVERY]["get"]["responses"].pop("404"), "answer 404 is gone"),
        (lambda c: c["paths"][DELIVERY]["get"].update(security=[{"oauth2": ["seals:write"]}]), "who may call changed"),
        (lambda c: c["paths"][DELIVERY]["get"].update(operationId="other"), "operationId changed"),
        (lambda c: c["paths"]["/v1/deliveries"]["get"]["parameters"].pop(0), "is gone"),
        (lambda c: c["paths"]["/v1/deliveries"]["get"]["parameters"][0].update(required=True), "became required"),
        (lambda c: schema(c, "DeliveryView")["properties"].pop("status"), "field status is gone"),
        (lambda c: schema(c, "DeliveryView")["required"].remove("status"), "may now be missing"),
        (lambda c: schema(c, "DeliveryView")["properties"]["status"].update(type="integer"), "type"),
        (lambda c: schema(c, "DeliveryRequest")["required"].append("deadline"), "became required"),
        (
            lambda c: schema(c, "DeliveryRequest")["properties"]["language"]["enum"].pop(),
            "closed list",
        ),
        (
            lambda c: schema(c, "DeliveryRequest")["properties"]["reference"].update(enum=["a"]),
            "became a closed list",
        ),
    ],
)
def test_what_breaks_integrators_is_recognised(change: Any, said: str) -> None:
    found = changed(change)
    assert found
    assert any(said in sentence for sentence in found)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["paths"].update({"/v1/new": c["paths"][DELIVERY]}),
        lambda c: c["paths"][DELIVERY]["get"]["responses"].update({"410": {"description": "x"}}),
        lambda c: schema(c, "DeliveryView")["properties"].update(cost={"type": "string"}),
        lambda c: schema(c, "DeliveryView")["required"].append("cost"),
        lambda c: schema(c, "DeliveryRequest")["properties"].update(note={"type": "string"}),
        lambda c: schema(c, "DeliveryRequest")["properties"]["language"]["enum"].append("pl"),
        lambda c: c["paths"]["/v1/deliveries"]["get"]["parameters"].append(
            {"in": "query", "name": "q", "schema": {"type": "string"}}
        ),
        lambda c: c["info"].update(description="better words"),
    ],
)
def test_what_only_adds_is_fine(change: Any) -> None:
    assert changed(change) == []


def test_the_writer_refuses_to_break_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "openapi.json"
    assert openapi.main([str(file)]) == 0
    richer = json.loads(file.read_text("utf-8"))
    richer["paths"]["/v1/old"] = richer["paths"][DELIVERY]
    file.write_text(json.dumps(richer), "utf-8")
    assert openapi.main([str(file)]) == 1
    assert "GET /v1/old is gone" in capsys.readouterr().err
    assert "/v1/old" in file.read_text("utf-8")
    assert openapi.main([str(file), "--breaking"]) == 0
    assert file.read_text("utf-8") == _generated()
