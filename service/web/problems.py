"""Errors as RFC 9457 problem documents: the one table of HTTP status codes, and what goes on the wire.

A problem never holds a stack trace, a path, a driver's text or a value that was sent. What nobody foresaw is a 500
without a detail; the log learns its type and place.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from service.domain import errors
from service.domain.errors import FieldError, ZendingError
from service.identity.errors import ScopeMissing
from service.usecases.submission_uploads import OffsetDiffers
from service.vault.errors import KeyDestroyed, KeyLost
from service.web.errors import MediaTypeUnsupported, NotAcceptable, RequestMalformed, UploadTooSlow
from service.web.requests import request_id

log = structlog.get_logger()

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """How errors of a class look outside: the status code and the title that never changes."""

    status: int
    title: str


STATUS: Final[Mapping[type[ZendingError], Kind]] = MappingProxyType(
    {
        RequestMalformed: Kind(400, "The request can't be read"),
        errors.IdempotencyMissing: Kind(400, "Idempotency-Key missing"),
        errors.Unauthenticated: Kind(401, "Not recognised"),
        errors.Forbidden: Kind(403, "Not allowed"),
        errors.NotFound: Kind(404, "Not found"),
        NotAcceptable: Kind(406, "Not offered in this form"),
        UploadTooSlow: Kind(408, "Too slow"),
        errors.Conflict: Kind(409, "Not possible in this state"),
        errors.IdempotencyRunning: Kind(409, "The first request is still running"),
        errors.Erased: Kind(410, "Erased"),
        KeyDestroyed: Kind(410, "Erased"),
        errors.PayloadTooLarge: Kind(413, "Too large"),
        MediaTypeUnsupported: Kind(415, "Media type not taken"),
        errors.Invalid: Kind(422, "Not right"),
        errors.DocumentRefused: Kind(422, "Document refused"),
        errors.IdempotencyMismatch: Kind(422, "Idempotency-Key used for something else"),
        errors.Final: Kind(422, "Can never succeed"),
        errors.QuotaExceeded: Kind(429, "Too many"),
        KeyLost: Kind(503, "Can't be read now"),
        errors.Retryable: Kind(503, "Try again later"),
        ZendingError: Kind(500, "Internal error"),
    }
)
"""The one table of HTTP status codes; an error that is not in it is judged by the nearest class it descends from."""

UNFORESEEN: Final = STATUS[ZendingError]

_FRAMEWORK: Final[Mapping[int, tuple[str, str, str | None]]] = MappingProxyType(
    {
        400: ("request_malformed", "The request can't be read", RequestMalformed.sentence),
        404: ("route_unknown", "Not found", "There is nothing at this address."),
        405: ("method_not_allowed", "Method not allowed", "This address does not answer to this method."),
        413: ("payload_too_large", "Too large", "The request's body is larger than this call takes."),
        415: ("media_type_unsupported", "Media type not taken", MediaTypeUnsupported.sentence),
    }
)
"""What the framework itself refuses: code, title and detail. Its own texts would repeat what was sent."""


class ProblemField(msgspec.Struct, omit_defaults=True):
    """What is wrong with one field: where (JSON pointer, or row and column of a table), which rule, in words."""

    code: str
    detail: str
    pointer: str | None = None
    row: int | None = None
    column: str | None = None


class Problem(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A problem document (RFC 9457); ``code`` is stable and what programs should look at."""

    type: str
    title: str
    status: int
    code: str
    instance: str
    detail: str | None = None
    errors: list[ProblemField] = []


def kind_of(error: ZendingError | type[ZendingError]) -> Kind:
    """The table's entry for an error: its own class's, or the nearest ancestor's."""
    kind = error if isinstance(error, type) else type(error)
    return next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)


def answer(_request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """The answer to a request that ended in ``error``, whatever it is. Made for Litestar's ``exception_handlers``."""
    if isinstance(error, ZendingError):
        return _stated(error)
    if _is_database_away(error):
        log.warning("database_unavailable", error=type(error).__name__, request_id=request_id())
        away = errors.Retryable("The service can't be reached fully. Try again in a moment.", code="temporarily_down")
        return _response(_problem(kind_of(away), away.code, away.detail), {"Retry-After": str(RETRY_SECONDS)})
    if isinstance(error, HTTPException) and error.status_code in _FRAMEWORK:
        return _framework(error)
    log.error("request_failed", error=type(error).__name__, at=_place(error), request_id=request_id())
    return _response(_problem(UNFORESEEN, "internal_error", None), {})


def _stated(error: ZendingError) -> Response[Problem]:
    kind = kind_of(error)
    if kind is UNFORESEEN:
        # A fact for the operator, such as damaged storage: the caller can do nothing with it.
        log.error("request_failed", error=type(error).__name__, code=error.code, request_id=request_id())
        return _response(_problem(kind, "internal_error", None), {})
    log.info("request_refused", code=error.code, status=kind.status, request_id=request_id(), **error.context)
    fields = [ProblemField(each.code, each.detail, each.pointer, each.row, each.column) for each in error.errors]
    return _response(_problem(kind, error.code, error.detail, fields), headers_of(error))


def headers_of(error: ZendingError) -> dict[str, str]:
    """The headers that belong to an error: when to come back, or how to show who one is."""
    if isinstance(error, errors.Unauthenticated | ScopeMissing):
        return {"WWW-Authenticate": _challenge(error)}
    if isinstance(error, errors.PayloadTooLarge | UploadTooSlow):
        # The rest of the body is not read: nothing else can come over this connection.
        return {"Connection": "close"}
    if isinstance(error, OffsetDiffers):
        return {"Upload-Offset": str(error.expected), "Connection": "close"}
    if isinstance(error, errors.QuotaExceeded):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, errors.Retryable):
        return {"Retry-After": str(RETRY_SECONDS)}
    return {"Retry-After": "1"} if isinstance(error, errors.IdempotencyRunning) else {}


def _challenge(error: ZendingError) -> str:
    """The challenge of RFC 6750, section 3: without an error code for somebody who showed no token at all."""
    if isinstance(error, ScopeMissing):
        return f'Bearer error="insufficient_scope", scope="{error.context.get("scope", "")}"'
    return "Bearer" if error.code == errors.Unauthenticated.code else 'Bearer error="invalid_token"'


def _framework(error: HTTPException) -> Response[Problem]:
    if isinstance(error, ValidationException):
        return _misshapen(error)
    code, title, detail = _FRAMEWORK[error.status_code]
    headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return _response(_problem(Kind(error.status_code, title), code, detail), headers)


def _misshapen(error: ValidationException) -> Response[Problem]:
    """Where parameters or a body broke their declared shape; values that the framework quotes are left out."""
    entries = [entry for entry in error.extra or () if isinstance(entry, dict)]
    in_parameters = [_parameter(entry) for entry in entries if entry.get("source") != _BODY]
    if in_parameters or not entries:
        return _stated(RequestMalformed(errors=in_parameters))
    in_body = [_body_field(entry) for entry in entries]
    return _stated(errors.Invalid("The body has fields that can't be accepted.", code="body_invalid", errors=in_body))


def _parameter(entry: Mapping[str, Any]) -> FieldError:
    detail = f"{entry.get('key', 'a parameter')}: {_without_values(entry)}"
    return FieldError(pointer=None, code="parameter_invalid", detail=detail)


def _body_field(entry: Mapping[str, Any]) -> FieldError:
    key = str(entry.get("key", ""))
    path = "" if key == "data" else key.replace("[", ".").replace("]", "")
    pointer = "".join(f"/{part}" for part in path.split(".") if part)
    return FieldError(pointer=pointer, code="malformed", detail=_without_values(entry))


def _without_values(entry: Mapping[str, Any]) -> str:
    return _QUOTED.sub("", str(entry.get("message", ""))).strip()


_QUOTED: Final = re.compile(r"\s*'[^']*'")
_BODY: Final = "body"


def _problem(kind: Kind, code: str, detail: str | None, fields: list[ProblemField] | None = None) -> Problem:
    return Problem(
        type=f"urn:zending:problem:{code}",
        title=kind.title,
        status=kind.status,
        code=code,
        instance=f"urn:zending:request:{request_id()}",
        detail=detail,
        errors=fields or [],
    )


def _response(problem: Problem, headers: Mapping[str, str]) -> Response[Problem]:
    return Response(
        problem, status_code=problem.status, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store", **headers}
    )


def _is_database_away(error: Exception) -> bool:
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _place(error: BaseException) -> str:
    """Module and line where it was raised: enough to find it, and nothing of what was worked on."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_globals.get('__name__', '?')}:{trace.tb_lineno}"
