"""Key rings, stores and a small S3 server for the vault's tests."""

from __future__ import annotations

import base64
import hashlib
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID
from xml.sax.saxutils import escape

from service.vault.errors import KeyUnknown
from service.vault.keyring.base import IndexKeys, KeyEncryptionKey

ORGANISATION = UUID("01936d4e-0000-7000-8000-00000000000a")
OTHER_ORGANISATION = UUID("01936d4e-0000-7000-8000-00000000000b")
DELIVERY = UUID("01936d4e-0000-7000-8000-000000000001")
OTHER_DELIVERY = UUID("01936d4e-0000-7000-8000-000000000002")


class Clock:
    """A monotonic clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class OneKey:
    """The part of a key ring that opening needs: one key. Whatever else is asked of it is a fault of what is tested."""

    def __init__(self, key: KeyEncryptionKey) -> None:
        self.only = key

    def wrap_key(self, organisation: UUID, year: int) -> KeyEncryptionKey:
        assert isinstance(organisation, UUID)
        assert year
        return self.only

    def rotate(self, organisation: UUID, year: int) -> KeyEncryptionKey:
        raise NotImplementedError  # nothing that is tested with one key asks for another

    def key(self, key_id: str) -> KeyEncryptionKey:
        if key_id != self.only.id:
            raise KeyUnknown("not this one")
        return self.only

    def destroy(self, key_id: str) -> None:
        raise NotImplementedError  # no test with one key lets it be destroyed

    def destroy_year(self, organisation: UUID, year: int) -> None:
        raise NotImplementedError

    def index_keys(self) -> IndexKeys:
        raise NotImplementedError

    def begin_index(self) -> None:
        raise NotImplementedError

    def promote_index(self) -> None:
        raise NotImplementedError

    def retire_index(self) -> None:
        raise NotImplementedError


@dataclass
class S3Server:
    """What a running `small_s3` holds, and the faults it is told to have."""

    url: str
    objects: dict[str, bytes] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    answer_after: threading.Event = field(default_factory=threading.Event)
    refuse_with: int | None = None
    lost_bucket: bool = False
    cut_bodies: bool = False
    forget_answers: int = 0
    """So many PUTs take effect and are then answered with an error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: S3Server

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.state.cut_bodies and body:
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code></Error>".encode(), {"Content-Type": "application/xml"})

    def _begin(self) -> tuple[str, dict[str, list[str]], bytes] | None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.state.answer_after.wait(20)
        if self.state.refuse_with is not None:
            self._error(self.state.refuse_with, "Refused")
            return None
        if self.state.lost_bucket:
            self._error(404, "NoSuchBucket")
            return None
        parts = urlsplit(self.path)
        return unquote(parts.path).removeprefix("/bucket").lstrip("/"), parse_qs(parts.query, True), body

    def do_PUT(self) -> None:
        if (request := self._begin()) is None:
            return
        key, _, body = request
        sent = self.headers.get("x-amz-checksum-sha256")
        if sent is not None and sent != base64.b64encode(hashlib.sha256(body).digest()).decode():
            self._error(400, "BadDigest")
            return
        with self.state.lock:
            if self.headers.get("If-None-Match") == "*" and key in self.state.objects:
                self._error(412, "PreconditionFailed")
                return
            self.state.objects[key] = body
            if self.state.forget_answers:
                self.state.forget_answers -= 1
                self._error(500, "InternalError")
                return
        self._answer(200, headers={"ETag": '"1"'})

    def do_GET(self) -> None:
        if (request := self._begin()) is None:
            return
        key, query, _ = request
        if not key:
            self._list(query.get("prefix", [""])[0])
            return
        content = self.state.objects.get(key)
        if content is None:
            self._error(404, "NoSuchKey")
            return
        self._answer(200, content, {"ETag": '"1"', "Last-Modified": formatdate(usegmt=True)})

    def _list(self, prefix: str) -> None:
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
            f"<ETag>1</ETag><Size>{len(content)}</Size></Contents>"
            for key, content in sorted(self.state.objects.items())
            if key.startswith(prefix)
        )
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>"
        self._answer(200, body.encode(), {"Content-Type": "application/xml"})

    def do_POST(self) -> None:
        if (request := self._begin()) is None:
            return
        keys = [element.text or "" for element in ET.fromstring(request[2]).iter() if element.tag.endswith("Key")]
        for key in keys:
            self.state.objects.pop(key, None)
        gone = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode(), {"Content-Type": "application/xml"})

    def do_DELETE(self) -> None:
        if (request := self._begin()) is None:
            return
        self.state.objects.pop(request[0], None)
        self._answer(204)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that stopped waiting is what some tests are about.
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def small_s3() -> Iterator[S3Server]:
    """An S3 server as small as the vault needs, on a free port; it can lie, refuse and dawdle."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    state = S3Server(
        f"s3://bucket/vault?endpoint=http://127.0.0.1:{server.server_port}&allow_http=yes&region=eu-west-1&retries=0"
    )
    state.answer_after.set()
    handler.state = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.answer_after.set()
        server.shutdown()
        thread.join()
        server.server_close()
