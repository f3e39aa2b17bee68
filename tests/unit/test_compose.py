"""docker/compose.yaml against the Compose Specification's schema, and against itself and our settings.

The schema (tests/compose-spec.schema.json, Apache-2.0) is the one that the specification's authors publish. It says how
things are written; that what is named is also there, an engine would say, and none runs here.
"""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker" / "compose.yaml"
OURS = {"api", "worker", "scheduler", "migrate", "keys"}


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load(FILE.read_text("utf-8"))


def faults(document: Any) -> list[str]:
    schema = json.loads((ROOT / "tests" / "compose-spec.schema.json").read_text("utf-8"))
    return [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(document)]


def test_it_is_written_as_the_specification_says(compose: Any) -> None:
    assert faults(compose) == []


@pytest.mark.parametrize(
    "broken", [{"services": {"api": {"restarts": "no"}}}, {"services": {"api": {"cap_drop": "ALL"}}}, {"service": {}}]
)
def test_the_schema_sees_what_is_wrong(broken: Any) -> None:
    assert faults(broken) != []


@pytest.mark.parametrize("kind", ["secrets", "networks", "volumes"])
def test_what_services_name_is_there_and_nothing_is_there_for_nobody(compose: Any, kind: str) -> None:
    used = {
        str(each).partition(":")[0]
        for service in compose["services"].values()
        for each in service.get(kind, ())
        if not str(each).startswith(".")
    }
    assert used == set(compose[kind])


def test_whom_a_service_waits_for_is_there_and_can_be_waited_for(compose: Any) -> None:
    services = compose["services"]
    for name, service in services.items():
        for other, wait in service.get("depends_on", {}).items():
            assert other in services, name
            if wait["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"], f"{name} waits for a health that {other} never tells"


def test_files_of_secrets_are_named_in_the_documentation(compose: Any) -> None:
    told = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    for name, secret in compose["secrets"].items():
        assert f"`{Path(secret['file']).name}`" in told, name


def test_our_services_are_given_settings_that_exist_and_no_rights(compose: Any) -> None:
    known = {name.upper() for name in Settings.model_fields} | {
        f"ZENDING_{name.upper()}" for name in Settings.model_fields
    }
    for name in OURS:
        service = compose["services"][name]
        given = {variable.removesuffix("_FILE") for variable in service["environment"]}
        assert given <= known | {"DATABASE_OWNER_URL"}, f"{name}: {given - known}"
        assert (service["user"], service["read_only"], service["cap_drop"]) == ("10001:10001", True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in service
        assert "cap_add" not in service


def test_no_secret_stands_in_it() -> None:
    text = FILE.read_text("utf-8")
    for line in text.splitlines():
        name, _, value = line.strip().partition(": ")
        if re.search(r"PASSWORD|SECRET|_KEY\b|_KEY_|DATABASE_URL|BROKER_URL|SMTP_URL", name):
            assert name.endswith("_FILE"), line
            assert value.startswith("/run/secrets/"), line
