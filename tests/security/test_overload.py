"""What happens when it is too much at once: requests, bodies that do not come, memory."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.api.uploads import UploadMemory
from service.app import make_litestar
from service.web.errors import Busy, UploadTooSlow
from service.web.overload import Overload
from tests.api_support import application as wired_application


def scope(path: str = "/v1/deliveries") -> Any:
    return {"type": "http", "path": path, "method": "GET", "headers": []}


async def silent() -> Any:
    await asyncio.Event().wait()


def test_one_request_too_many_is_told_to_come_back_and_health_still_answers() -> None:
    async def run() -> None:
        go_on, seen = asyncio.Event(), []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["path"])
            if scope["path"] != "/health/live":
                await go_on.wait()

        bounded, sent = Overload(app, most=1), []

        async def send(message: Any) -> None:
            sent.append(message)

        first = asyncio.create_task(bounded(scope(), silent, send))
        await asyncio.sleep(0)
        await bounded(scope(), silent, send)
        assert sent[0]["status"] == 503
        assert (b"retry-after", b"5") in sent[0]["headers"]
        assert b'"code":"overloaded"' in sent[1]["body"]
        await bounded(scope("/health/live"), silent, send)
        go_on.set()
        await first
        await bounded(scope(), silent, send)
        assert seen == ["/v1/deliveries", "/health/live", "/v1/deliveries"]

    asyncio.run(run())


@pytest.mark.parametrize("bounds", [{"chunk_seconds": 0.01}, {"body_seconds": 0.01}])
def test_a_body_that_does_not_come_is_given_up(bounds: dict[str, float]) -> None:
    async def run() -> None:
        async def app(_scope: Any, receive: Any, _send: Any) -> None:
            with pytest.raises(UploadTooSlow):
                await receive()

        await Overload(app, most=9, **bounds)(scope(), silent, silent)  # type: ignore[arg-type]

    asyncio.run(run())


def test_waiting_for_the_answer_is_not_a_slow_body() -> None:
    async def run() -> None:
        messages = [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await asyncio.sleep(0.05)
            return {"type": "http.disconnect"}

        async def app(_scope: Any, receive: Any, _send: Any) -> None:
            await receive()
            assert (await receive())["type"] == "http.disconnect"

        await Overload(app, most=9, chunk_seconds=0.01)(scope(), receive, silent)  # type: ignore[arg-type]

    asyncio.run(run())


def test_one_organisation_leaves_memory_for_anothers_upload() -> None:
    async def run() -> None:
        memory = UploadMemory(100, most_each=60, wait=0.01)
        async with memory.reserved(60, "big"):
            with pytest.raises(Busy):
                async with memory.reserved(1, "big"):
                    pytest.fail("it has its share")
            async with memory.reserved(40, "small"):
                assert memory.free == 0
        async with memory.reserved(60, "big"):
            assert memory.free == 40
        assert not memory._held

    asyncio.run(run())


def test_a_token_request_whose_body_never_ends_is_answered(tmp_path: Path) -> None:
    pieces: list[Any] = [{"type": "http.request", "body": b"grant_type=", "more_body": True}]
    sent: list[Any] = []
    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"host", b"127.0.0.1:8000")]
    asked: Any = scope("/oauth/token") | {
        "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http", "query_string": b"",
        "raw_path": b"/oauth/token", "root_path": "", "headers": headers, "client": ("127.0.0.1", 1), "state": {},
        "server": ("127.0.0.1", 8000),
    }  # fmt: skip

    async def receive() -> Any:
        return pieces.pop() if pieces else await silent()

    async def send(message: Any) -> None:
        sent.append(message)

    with wired_application(tmp_path) as wired:
        asyncio.run(Overload(make_litestar(wired), most=9, chunk_seconds=0.05)(asked, receive, send))
    assert sent[0]["status"] == 408
    assert b"upload_too_slow" in sent[1]["body"]
