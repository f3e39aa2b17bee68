"""A witness over HTTP: one address, ``POST …/add-checkpoint``, below whatever prefix a proxy gives it."""

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import structlog

from service import logs
from service.domain.errors import ZendingError
from service.ledger.add_checkpoint import LARGEST
from service.ledger.witness import Answer, Witness

log = structlog.get_logger()

FOLDER_VARIABLE: Final = "ZENDING_WITNESS_FOLDER"
BODY_SECONDS: Final = 10.0

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def from_environment() -> App:
    """The application over the witness in the folder that the environment names (for the server's processes)."""
    logs.configure()
    return app(Witness(Path(os.environ[FOLDER_VARIABLE])))


def app(witness: Witness, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> App:
    """The ASGI application over ``witness``."""

    async def serve(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        found = await _answer(scope, receive, witness, clock)
        content = found.body.encode()
        headers = [(b"content-type", found.content_type.encode()), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": found.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return serve


async def _answer(scope: Message, receive: Receive, witness: Witness, clock: Callable[[], datetime]) -> Answer:
    if not scope["path"].endswith("/add-checkpoint"):
        return Answer(404, "A witness answers at add-checkpoint.\n")
    if scope["method"] != "POST":
        return Answer(405, "A checkpoint is sent by POST.\n")
    try:
        body = await asyncio.wait_for(_body(receive), BODY_SECONDS)
    except TimeoutError:
        return Answer(408, "The request took too long.\n")
    if len(body) > LARGEST:
        return Answer(413, "The request is too long.\n")
    try:
        return await asyncio.to_thread(witness.answer, body, now=clock())
    except (ZendingError, OSError) as error:
        log.exception("witness_failed", code=getattr(error, "code", type(error).__name__))
        return Answer(500, "The witness can't answer for this log.\n")


async def _body(receive: Receive) -> bytes:
    content, more = b"", True
    while more and len(content) <= LARGEST:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    return content
