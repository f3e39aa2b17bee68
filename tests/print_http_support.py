"""A print house that is called letter by letter: a real HTTP server of this machine, which breaks when told to."""

import base64
import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from email import message_from_bytes
from email.message import Message
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import unquote
from zipfile import ZipFile

import httpx

from printing.encryption import MEDIA_TYPE, open_with
from printing.manifest import read_manifest
from printing.providers import http
from printing.providers.base import Parcel, PrintProvider
from printing.providers.http import HttpProvider
from printing.providers.parts import WHOLE
from tests.print_way_support import NAME, PARCEL

TOKEN = "voorbeeld-teken"


@dataclass
class Batch:
    sha256: str
    announced: dict[str, str]
    about: dict[str, Any] | None = None
    parts: dict[str, bytes] = field(default_factory=dict)
    letters: dict[str, dict[str, Any]] = field(default_factory=dict)
    opened: dict[str, bytes] = field(default_factory=dict)
    complete: bool = False

    def digests(self) -> dict[str, str]:
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.parts.items()}


@dataclass
class House:
    """What the print house holds and does.

    Attributes:
        cut_before, cut_after: number of the part (from 1) at which the connection is cut, unread or kept; each once.
        lose_complete: the batch is completed, and the connection cut before the answer; once.
        answers: status, body and headers to give instead, by method and the end of the path.
        conflicts: a part that is there already is answered with 409 and its digest.
        identity: its secret key of age: with it sealed letters are opened as they come, and kept in ``Batch.opened``.
    """

    batches: dict[str, Batch] = field(default_factory=dict)
    inbox: dict[str, bytes] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    cut_before: int | None = None
    cut_after: int | None = None
    lose_complete: bool = False
    conflicts: bool = False
    answers: dict[tuple[str, str], tuple[int, bytes, dict[str, str]]] = field(default_factory=dict)
    received: int = 0
    identity: str | None = None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, house: House, *given: Any) -> None:
        self.house = house
        super().__init__(*given)

    def log_message(self, *_: object) -> None:  # type: ignore[override]
        pass

    def _answer(self, status: int, body: object = None, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (OSError, ValueError):
            self.close_connection = True  # the caller has gone, or we cut it off

    def do_GET(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def _handle(self) -> None:
        house, method = self.house, self.command
        way = [unquote(each) for each in self.path.strip("/").split("/")][1:]
        house.calls.append((method, "/".join(way)))
        if method == "PUT" and len(way) > 2 and house.cut_before == house.received + 1:
            house.cut_before = None
            self._cut()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        for (wanted, end), told in house.answers.items():
            if method == wanted and "/".join(way).endswith(end):
                self._answer(*told)
                return
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401)
        elif way[0] == "responses":
            self._responses(way[1:])
        elif method == "GET":
            self._tell(house.batches.get(way[1]))
        elif method == "DELETE":
            self._withdrawn(way[1])
        elif method == "PUT" and len(way) == 2:
            self._announced(way[1], json.loads(body))
        elif method == "PUT":
            self._part(house.batches[way[1]], "/".join(way[2:]), body)
        else:
            self._complete(way[1], json.loads(body))

    def _responses(self, way: list[str]) -> None:
        inbox = self.house.inbox
        if not way:
            self._answer(200, [{"name": name, "size": len(data)} for name, data in inbox.items()])
        elif way[0] not in inbox:
            self._answer(404)
        elif self.command == "DELETE":
            del inbox[way[0]]
            self._answer(200)
        else:
            self._answer(200, inbox[way[0]])

    def _tell(self, batch: Batch | None) -> None:
        if batch is None:
            self._answer(200, {"state": "absent"})
            return
        told = {"sha256": batch.sha256, "announced": batch.announced, "parts": batch.digests()}
        self._answer(200, {"state": "complete" if batch.complete else "open", **told})

    def _withdrawn(self, name: str) -> None:
        batch = self.house.batches.get(name)
        if batch is not None and batch.complete:
            self._answer(409)
            return
        self.house.batches.pop(name, None)
        self._answer(200)

    def _announced(self, name: str, told: dict[str, Any]) -> None:
        batch = self.house.batches.setdefault(name, Batch("", {}))
        if batch.complete or batch.sha256 not in {"", told["sha256"]}:
            self._answer(409)
            return
        batch.sha256, batch.announced, batch.about = told["sha256"], told["parts"], told["manifest"]
        self._answer(200)

    def _part(self, batch: Batch, name: str, body: bytes) -> None:
        house = self.house
        house.keys.append(self.headers["Idempotency-Key"])
        data, letter = body, None
        if self.headers["Content-Type"] == MEDIA_TYPE:
            if name != WHOLE:
                letter = _opened(house, batch, name, body)
            want = base64.b64encode(hashlib.sha256(body).digest()).decode()
            assert self.headers["Content-Digest"] == f"sha-256=:{want}:"
        elif name != WHOLE:
            form = message_from_bytes(f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + body)
            fields = {each.get_param("name", header="content-disposition"): _content(each) for each in _parts(form)}
            data, letter = fields["document"], json.loads(fields["letter"])
        digest = hashlib.sha256(data).hexdigest()
        if batch.complete or (house.conflicts and name in batch.parts):
            self._answer(409, {"sha256": batch.digests().get(name)})
            return
        if batch.announced.get(name) != digest:
            self._answer(422, {"code": "DIGEST_DIFFERS"})
            return
        batch.parts[name] = data
        if letter is not None:
            batch.letters[name] = letter
        house.received += 1
        if house.cut_after == house.received:
            house.cut_after = None
            self._cut()
            return
        self._answer(201)

    def _complete(self, name: str, told: dict[str, Any]) -> None:
        house, batch = self.house, self.house.batches.get(name)
        if batch is None:
            self._answer(404)
            return
        if batch.sha256 != told["sha256"] or batch.digests() != batch.announced:
            self._answer(409)
            return
        if not batch.complete:
            batch.complete = True
            house.printed += batch.letters
        if house.lose_complete:
            house.lose_complete = False
            self._cut()
            return
        self._answer(200)


def _opened(house: House, batch: Batch, name: str, body: bytes) -> dict[str, Any]:
    """A sealed letter's entry of the manifest; its PDF is kept."""
    assert house.identity is not None
    package = BytesIO(open_with(house.identity, body))
    (letter,) = read_manifest(package).letters
    with ZipFile(package) as archive:
        batch.opened[name] = archive.read(letter.file)
    return asdict(letter)


def _parts(form: Message) -> list[Message]:
    found = form.get_payload()
    assert isinstance(found, list)
    return [each for each in found if isinstance(each, Message)]


def _content(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data


@cache
def _tls() -> ssl.SSLContext:
    """One for all: it takes a while to make, and nothing here is encrypted."""
    return httpx.create_ssl_context()


def _client() -> httpx.Client:
    return httpx.Client(verify=_tls(), timeout=10, trust_env=False)


class HttpRemote:
    """The contract's parcel goes whole; that letters are sent one by one is shown by tests of their own."""

    bounded: tuple[object, ...] = (http,)
    parcel = Parcel(NAME.replace("0RQ.ZIP", "4PL_7.JSON"), PARCEL.size, PARCEL.sha256)

    def __init__(self, house: House, server: ThreadingHTTPServer) -> None:
        self.house, self._server = house, server
        self.url = f"http://127.0.0.1:{server.server_port}/zending"

    def provider(self) -> PrintProvider:
        return HttpProvider(self.url, TOKEN, _client, seconds=10)

    def _named(self, name: str) -> str:
        """The batch that a ``.TMP`` name means."""
        known = [self.parcel.name, *self.house.batches]
        return next((each for each in known if Parcel(each, 0, "").temporary == name), name)

    def names(self) -> set[str]:
        return {name if batch.complete else Parcel(name, 0, "").temporary for name, batch in self.house.batches.items()}

    def read(self, name: str) -> bytes:
        return self.house.batches[self._named(name)].parts[WHOLE]

    def put(self, name: str, data: bytes) -> None:
        own = self._named(name)
        if own in self.house.batches:
            return  # complete already: there is one resource, where other ways have two names
        self.house.batches[own] = Batch(
            self.parcel.sha256, {WHOLE: self.parcel.sha256}, parts={WHOLE: data}, complete=own == name
        )

    def take_away(self, name: str) -> bytes:
        data = self.read(name)
        del self.house.batches[name]
        return data

    def tell(self, name: str, data: bytes) -> None:
        self.house.inbox[name] = data

    def told(self) -> set[str]:
        return set(self.house.inbox)

    def lose(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def http_house() -> Iterator[HttpRemote]:
    house = House()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, house))
    server.daemon_threads = True
    running = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
    running.start()
    try:
        yield HttpRemote(house, server)
    finally:
        server.shutdown()
        server.server_close()
        running.join()
