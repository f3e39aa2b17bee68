"""Whatever is sent, good or bad, the running service answers as its contract says: no 500, nothing undocumented.

A quick selection runs with the suite; ``ZENDING_CONTRACT_EXAMPLES=500`` makes it a long one.
"""

import os
import warnings
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.api import openapi
from tests.service_support import RunningService

EXAMPLES = int(os.environ.get("ZENDING_CONTRACT_EXAMPLES", "6"))
CONTRACT = openapi.document()
# A piece of an upload is bytes, whatever its kind is called.
schemathesis.serializer.alias(["application/partial-upload", "application/pdf"], "application/octet-stream")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = [(path, method) for path, methods in sorted(CONTRACT["paths"].items()) for method in sorted(methods)]
_READY = ("/health/ready",)
"""Answers by what else runs on the machine; its 503 is documented."""


@pytest.fixture(scope="module")
def schema(service: RunningService) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = schemathesis.openapi.from_dict(CONTRACT)
    made.config.update(base_url=service.base_url)
    return made


def token_for(service: RunningService, operation: dict[str, Any]) -> str | None:
    scopes = [scope for each in operation.get("security", ()) for scope in each.get("oauth2", ())]
    if not scopes:
        return None
    return service.person_token("an") if scopes[0].startswith("mailbox:") else service.token()


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=[f"{method} {path}" for path, method in OPERATIONS])
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["good", "bad"])
@pytest.mark.filterwarnings("ignore")
def test_every_answer_is_as_the_contract_says(
    service: RunningService, schema: Any, path: str, method: str, mode: GenerationMode
) -> None:
    token = token_for(service, CONTRACT["paths"][path][method])
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    @seed(20261124)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[path][method.upper()].as_strategy(generation_mode=mode))
    def answers(case: Any) -> None:
        response = case.call(headers=headers, timeout=30)
        case.validate_response(response, checks=CHECKS)

    try:
        answers()
    except Exception as error:
        if type(error).__name__ in {"Unsatisfiable", "SkipTest"}:
            # Nothing can be wrong about a call that takes nothing.
            assert mode is GenerationMode.NEGATIVE
            assert "requestBody" not in CONTRACT["paths"][path][method]
            return
        raise


def test_the_service_still_lives_after_all_of_it(service: RunningService) -> None:
    assert httpx.get(f"{service.base_url}/health/live", trust_env=False).status_code == 200
    assert service.hand_in("jan")["id"]
