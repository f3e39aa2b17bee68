import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, cast

import pytest
from litestar import Request
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from sqlalchemy.exc import IntegrityError, OperationalError
from structlog.testing import capture_logs

import service
from service.domain import errors
from service.domain.errors import FieldError, ZendingError
from service.identity.errors import ScopeMissing, TokenExpired
from service.web import problems
from service.web.errors import Busy, RequestMalformed

NOBODY = cast("Request[Any, Any, Any]", None)


def all_errors() -> Iterator[type[ZendingError]]:
    for module in pkgutil.walk_packages(service.__path__, "service."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting: list[type[ZendingError]] = [ZendingError]
    while waiting:
        kind = waiting.pop()
        yield kind
        waiting.extend(kind.__subclasses__())


def body(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    answer = problems.answer(NOBODY, error)
    fields = {name: getattr(answer.content, name) for name in ("code", "detail", "title", "status", "errors", "type")}
    return answer.status_code or 0, fields, dict(answer.headers)


def test_every_error_of_the_service_has_a_problem() -> None:
    for kind in all_errors():
        assert problems.kind_of(kind).status >= 400


def test_only_errors_that_a_caller_can_do_nothing_with_are_internal_errors() -> None:
    internal = {kind.__name__ for kind in all_errors() if problems.kind_of(kind) is problems.UNFORESEEN}
    expected = {"ZendingError", "VaultIntegrityError", "KeyUnknown", "KeyRingUnusable", "ObjectMissing", "ObjectExists"}
    expected |= {"StoreMisconfigured", "LedgerStopped", "LedgerForked", "LedgerNotOpened", "LedgerKeysRefused"}
    expected |= {"EvidencePageFailed", "EntryRefused", "LedgerDiffers", "WitnessContradicts", "WitnessUnusable"}
    assert internal <= expected, f"decide on a status for {internal - expected}"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Invalid("x"), 422),
        (errors.DocumentRefused("x", code="encrypted"), 422),
        (errors.NotFound("x"), 404),
        (errors.Conflict("x"), 409),
        (errors.TransitionRefused("x"), 409),
        (errors.Forbidden("x"), 403),
        (errors.Unauthenticated("x"), 401),
        (errors.PayloadTooLarge("x"), 413),
        (errors.QuotaExceeded("x"), 429),
        (errors.IdempotencyMissing("x"), 400),
        (errors.IdempotencyMismatch("x"), 422),
        (errors.IdempotencyRunning("x"), 409),
        (errors.Retryable("x"), 503),
        (RequestMalformed("x"), 400),
    ],
)
def test_an_error_keeps_its_code_and_gets_the_status_of_its_class(error: ZendingError, status: int) -> None:
    found, fields, _ = body(error)
    assert found == status == fields["status"]
    assert fields["code"] == error.code
    assert fields["type"] == f"urn:zending:problem:{error.code}"
    assert fields["detail"] == "x"


def test_fields_that_are_to_blame_are_pointed_at() -> None:
    error = errors.Invalid("x", errors=[FieldError(pointer="/recipient/id", code="insz_invalid", detail="Wrong.")])
    (field,) = body(error)[1]["errors"]
    assert (field.pointer, field.code, field.detail) == ("/recipient/id", "insz_invalid", "Wrong.")


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (errors.QuotaExceeded("x", retry_after=77), "Retry-After", "77"),
        (errors.Retryable("x"), "Retry-After", "5"),
        (Busy(), "Retry-After", "5"),
        (errors.IdempotencyRunning("x"), "Retry-After", "1"),
        (errors.Unauthenticated("x"), "WWW-Authenticate", "Bearer"),
        (TokenExpired("x"), "WWW-Authenticate", 'Bearer error="invalid_token"'),
        (
            ScopeMissing("x", context={"scope": "deliveries:read"}),
            "WWW-Authenticate",
            'Bearer error="insufficient_scope", scope="deliveries:read"',
        ),
        (errors.PayloadTooLarge("x"), "Connection", "close"),
        (MethodNotAllowedException(headers={"allow": "GET"}), "allow", "GET"),
    ],
)
def test_an_answer_says_when_or_how_to_come_back(error: Exception, name: str, value: str) -> None:
    assert body(error)[2][name] == value


def test_what_nobody_foresaw_shows_and_logs_nothing_but_its_type_and_place() -> None:
    secret = "85073003328x"
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int(secret)
    with capture_logs() as lines:
        status, fields, _ = body(caught.value)
    assert status == 500
    assert fields["code"] == "internal_error"
    assert fields["detail"] is None
    assert secret not in str(lines)
    (line,) = lines
    assert (line["event"], line["error"]) == ("request_failed", "ValueError")
    assert "test_api_problems:" in line["at"]


def test_a_fact_for_the_operator_is_not_told_to_the_caller() -> None:
    with capture_logs() as lines:
        status, fields, _ = body(ZendingError("Tile 7 is damaged.", code="vault_integrity"))
    assert (status, fields["code"], fields["detail"]) == (500, "internal_error", None)
    assert lines[0]["code"] == "vault_integrity"


def test_a_database_that_is_away_is_a_pause_and_a_broken_rule_in_it_is_our_fault() -> None:
    status, fields, headers = body(OperationalError("SELECT 1", {}, Exception("password=hunter2")))
    assert (status, fields["code"], headers["Retry-After"]) == (503, "temporarily_down", "5")
    assert "hunter2" not in str(fields)
    status, fields, _ = body(IntegrityError("INSERT", {}, Exception("key (85073003328) exists")))
    assert (status, fields["detail"]) == (500, None)


def test_words_of_the_framework_are_never_repeated() -> None:
    for error in (NotFoundException("no /v1/85073003328"), HTTPException("hunter2", status_code=400)):
        assert "hunter2" not in str(body(error)[1])
        assert "85073003328" not in str(body(error)[1])
    assert body(HTTPException("odd", status_code=418))[0] == 500
