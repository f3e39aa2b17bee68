"""Too much at once, and bodies that never end: both are answered before they take what others need."""

import asyncio
from typing import Any, Final

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseBodyEvent, HTTPResponseStartEvent, Receive, Scope, Send

from service.web.errors import UploadTooSlow
from service.web.problems import MEDIA_TYPE, RETRY_SECONDS, Problem
from service.web.requests import QUIET, request_id

log = structlog.get_logger()

CHUNK_SECONDS: Final = 30.0
BODY_SECONDS: Final = 330.0


class Overload:
    """ASGI application around the real one: bounds how many requests it works on, and how slowly they may come.

    Args:
        app: the real one.
        most: requests at the same time; one more is told to come back. Health checks always pass.
        chunk_seconds: how long one piece of a body may take to come.
        body_seconds: how long a whole body may take; calls with tighter bounds of their own keep those.
    """

    def __init__(
        self, app: ASGIApp, *, most: int, chunk_seconds: float = CHUNK_SECONDS, body_seconds: float = BODY_SECONDS
    ) -> None:
        self.app, self._most, self._running = app, most, 0
        self._chunk_seconds, self._body_seconds = chunk_seconds, body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything else (start and stop of the server) is passed on."""
        if scope["type"] != ScopeType.HTTP or scope["path"] in QUIET:
            await self.app(scope, receive, send)
            return
        if self._running >= self._most:
            log.warning("overloaded", requests=self._running, request_id=request_id())
            await _come_back(send)
            return
        self._running += 1
        try:
            await self.app(scope, self._patient(receive), send)
        finally:
            self._running -= 1

    def _patient(self, receive: Receive) -> Receive:
        clock = asyncio.get_running_loop().time
        ends, complete = clock() + self._body_seconds, False

        async def receive_in_time() -> Any:
            nonlocal complete
            if complete:
                # What comes now is the caller hanging up, which may take as long as the answer.
                return await receive()
            try:
                async with asyncio.timeout(min(self._chunk_seconds, max(0.0, ends - clock()))):
                    message = await receive()
            except TimeoutError:
                raise UploadTooSlow from None
            complete = not message.get("more_body", False)
            return message

        return receive_in_time


async def _come_back(send: Send) -> None:
    problem = Problem(
        type="urn:zending:problem:overloaded",
        title="Try again later",
        status=503,
        code="overloaded",
        instance=f"urn:zending:request:{request_id()}",
        detail="The service has more to do than it can do at once. Send the same request again in a moment.",
    )
    headers = {"content-type": MEDIA_TYPE, "retry-after": str(RETRY_SECONDS), "connection": "close"}
    start: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": problem.status,
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    body: HTTPResponseBodyEvent = {
        "type": "http.response.body",
        "body": msgspec.json.encode(problem),
        "more_body": False,
    }
    await send(start)
    await send(body)
