"""A store that lies, in two shapes: a wrapper that is an ``ObjectStore``, and a proxy before a real S3 server."""

from __future__ import annotations

import contextlib
import http.client
import random
import re
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from service.vault.objects import ObjectStore
from service.vault.objects.base import StoredObject, missing, unreachable

READING: Final = ("bit flipped", "cut short", "longer", "empty", "another's", "an older one", "not there", "error")
"""What a store may do wrong when it is asked for an object."""
WRITING: Final = ("error before", "error after", "lost", "part kept")
"""What it may do wrong when it is given one; the last two are acknowledged."""


LISTING: Final = ("all of it old", "nothing there", "every other left out", "each twice", "under other names")
"""What it may do wrong when it is asked what it has."""


def twisted(lie: str, content: bytes, others: Sequence[bytes]) -> bytes | None:
    """What a lying store gives instead of ``content``; None where it gives nothing."""
    middle = len(content) // 2
    match lie:
        case "bit flipped":
            return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :] if content else b"\1"
        case "cut short":
            return content[:middle]
        case "longer":
            return content + b"\0"
        case "empty":
            return b""
        case "another's" | "an older one":
            wanted = [each for each in others if each != content]
            return (wanted[0] if lie == "another's" else wanted[-1]) if wanted else bytes(len(content))
        case _:
            return None


def listed(lie: str, answer: bytes) -> bytes:
    """What a lying S3 server says instead of ``answer`` to ListObjectsV2."""
    number = 0

    def changed(found: re.Match[bytes]) -> bytes:
        nonlocal number
        number += 1
        match lie:
            case "all of it old":
                return re.sub(rb"<LastModified>[^<]*", b"<LastModified>2001-01-01T00:00:00.000Z", found[0])
            case "nothing there":
                return b""
            case "every other left out":
                return found[0] if number % 2 else b""
            case "each twice":
                return found[0] * 2
            case _:
                # The first digits of the id, so that it is another's; or nobody's.
                return re.sub(rb"(<Key>[^<]*/)[0-9a-f]{8}(-[0-9a-f-]{27}/)", rb"\g<1>01234567\2", found[0])

    return re.sub(rb"<Contents>.*?</Contents>", changed, answer, flags=re.DOTALL)


@dataclass
class LyingStore:
    """An ``ObjectStore`` over another one, which lies as told: ``reading`` and ``writing``, or None for the truth."""

    inner: ObjectStore
    reading: str | None = None
    writing: str | None = None
    lies: int = 0

    def put_new(self, path: str, content: bytes) -> None:
        self.put_many([(path, content)])

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        self.lies += self.writing is not None
        match self.writing:
            case "error before":
                raise unreachable("told to")
            case "error after":
                self.inner.put_many(items)
                raise unreachable("told to")
            case "lost":
                return
            case "part kept":
                self.inner.put_many([(path, content[: len(content) // 2]) for path, content in items])
            case _:
                self.inner.put_many(items)

    def get(self, path: str, *, limit: int) -> bytes:
        if self.reading is None:
            return self.inner.get(path, limit=limit)
        self.lies += 1
        if self.reading == "error":
            raise unreachable("told to")
        content = self.inner.get(path, limit=limit)
        others = [self.inner.get(each.path, limit=limit) for each in self.inner.listing() if each.path != path]
        given = twisted(self.reading, content, others)
        if given is None:
            raise missing(path)
        return given

    def delete_many(self, paths: Sequence[str]) -> None:
        self.inner.delete_many(paths)

    def listing(self, prefix: str = "") -> Iterator[StoredObject]:
        return self.inner.listing(prefix)

    def sweep(self, before: datetime) -> int:
        return self.inner.sweep(before)


@dataclass
class LyingProxy:
    """What a running `lying_proxy` does to requests: lies of `READING`, `WRITING` and `LISTING`, or hanging."""

    url: str
    reading: str | None = None
    writing: str | None = None
    listing: str | None = None
    hang: bool = False
    share: float = 1.0
    """Of so many requests, at random."""
    lies: int = 0
    seen: list[bytes] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    released: threading.Event = field(default_factory=threading.Event)

    def tell_the_truth(self) -> None:
        self.reading = self.writing = self.listing = None
        self.hang = False
        self.released.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: LyingProxy
    upstream: str

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name it has in the library
        """Say nothing."""

    def do_GET(self) -> None:
        self._pass(self.state.reading if "list-type" not in self.path else self.state.listing)

    def do_PUT(self) -> None:
        self._pass(self.state.writing)

    def do_POST(self) -> None:
        self._pass(None)

    def do_DELETE(self) -> None:
        self._pass(None)

    def _pass(self, lie: str | None) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        state = self.state
        if lie is not None and state.chance.random() >= state.share:
            lie = None
        state.lies += lie is not None or state.hang
        if state.hang:
            state.released.wait(60)
        if lie in ("error", "error before"):
            self._answer(503, b"<Error><Code>SlowDown</Code></Error>", {})
            return
        if lie == "lost":
            self._answer(200, b"", {"ETag": '"1"'})
            return
        if lie == "part kept":
            # Its signature is right: whoever signs, signs what was sent. Only the store itself could do this.
            self._keep_part(body)
            return
        status, headers, content = self._ask(body)
        if lie == "error after":
            self._answer(500, b"<Error><Code>InternalError</Code></Error>", {})
        elif lie in LISTING:
            self._answer(status, listed(lie, content), headers)
        elif lie is not None and status == 200:
            given = twisted(lie, content, state.seen)
            state.seen = [content, *state.seen[:20]]
            if given is None:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>", {"Content-Type": "application/xml"})
            else:
                self._answer(200, given, headers)
        else:
            self._answer(status, content, headers)

    def _keep_part(self, body: bytes) -> None:
        key = re.sub(r"\?.*", "", self.path).lstrip("/")
        bucket, _, name = key.partition("/")
        self.server.client.put_object(Bucket=bucket, Key=name, Body=body[: len(body) // 2])  # type: ignore[attr-defined]
        self._answer(200, b"", {"ETag": '"1"'})

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        line = http.client.HTTPConnection(self.upstream, timeout=60)
        with contextlib.closing(line):
            # The very headers: the signature is over them.
            line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                line.putheader(name, value)
            line.endheaders(body)
            answer = line.getresponse()
            kept = ("content-type", "etag", "last-modified")
            return answer.status, {k: v for k, v in answer.getheaders() if k.lower() in kept}, answer.read()

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    client: Any
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A caller that stopped waiting is what some tests are about.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def lying_proxy(upstream: str, client: Any) -> Iterator[LyingProxy]:
    """A proxy before an S3 server at ``upstream`` (``http://host:port``); ``client`` is its own way there."""
    handler = type("Handler", (_Handler,), {"upstream": upstream.removeprefix("http://")})
    server = _Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.client = client
    state = LyingProxy(f"http://127.0.0.1:{server.server_port}")
    handler.state = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.tell_the_truth()
        time.sleep(0)
        server.shutdown()
        thread.join()
        server.server_close()
