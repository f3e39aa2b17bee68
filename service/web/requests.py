"""The frame around every request: its id, what every answer's headers say, and one line of log."""

import re
import secrets
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from service import tracing
from service.web import metrics
from service.web.draining import is_draining

log = structlog.get_logger()

# An id from outside is kept only in the form of ids, so that nobody writes sentences or personal data into our logs.
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")
_request_id: ContextVar[str] = ContextVar("zending_request_id", default="")
QUIET: Final = frozenset({"/health/live", "/health/ready", "/metrics"})
SERVER_FAILED: Final = 500
"""Asked by machines every few seconds: never logged, never refused for want of room."""

SCOPE_KEY: Final = "zending.headers"
"""Key of a request's scope: headers that its answer gets, whatever the answer is."""

API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy of whatever is no page: nothing in it may do anything."""


def request_id() -> str:
    """The id of the request that is being answered; empty outside of one."""
    return _request_id.get()


def security_headers(*, https: bool) -> dict[str, str]:
    """Headers of every answer that does not set them itself.

    Args:
        https: whether people come by TLS, and shall keep doing so.
    """
    headers = {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": API_POLICY,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        # Most answers belong to one caller; what is public says so itself.
        "Cache-Control": "no-store",
    }
    if https:
        headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    return headers


class RequestFrame:
    """ASGI application around the real one, so that answers of the framework itself are framed too."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        self._headers = _encoded(security_headers(https=https))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything else (start and stop of the server) is passed on."""
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        found = _incoming_id(scope["headers"]) or secrets.token_hex(12)
        _request_id.set(found)
        started, status = time.perf_counter(), 0

        async def framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._completed(message["headers"], found, scope)
            await send(message)

        with tracing.span("request", headers=scope["headers"]) as span:
            try:
                await self.app(scope, receive, framed)
            finally:
                _log(scope, status, time.perf_counter() - started)
                span.tell(
                    f"{_method(scope)} {_route(scope)}",
                    failed=status >= SERVER_FAILED,
                    attributes={"status": status, "request_id": found},
                )

    def _completed(self, given: Any, found: str, scope: Any) -> list[tuple[bytes, bytes]]:
        headers = [(bytes(name), bytes(value)) for name, value in given]
        headers += _encoded(scope.get(SCOPE_KEY, {}))
        present = {name.lower() for name, _ in headers}
        headers += [(name, value) for name, value in self._headers if name not in present]
        headers.append((b"x-request-id", found.encode("ascii")))
        if is_draining():
            headers.append((b"connection", b"close"))
        return headers


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers.items()]


def _incoming_id(headers: Any) -> str | None:
    for name, value in headers:
        if name.lower() == b"x-request-id":
            return value.decode("ascii") if _SANE_ID.fullmatch(value) else None
    return None


def _log(scope: Any, status: int, seconds: float) -> None:
    route, method = _route(scope), _method(scope)
    metrics.count(method, route, status, seconds)
    if route in QUIET:
        return
    log.info(
        "request",
        method=method,
        route=route,
        status=status,
        milliseconds=round(seconds * 1000),
        request_id=request_id(),
    )


def _route(scope: Any) -> str:
    # The route's pattern, never the address: somebody may have typed anything into it.
    return scope.get("path_template") or "none"


def _method(scope: Any) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
