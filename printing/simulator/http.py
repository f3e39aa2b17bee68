"""The simulated print house's HTTP server: letters one by one, and what it tells, for who shows its token."""

import hmac
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from printing.providers.base import is_incoming
from printing.simulator.by_letter import Desk, Said

_MOST: Final = 512 * 1024 * 1024
_FORM: Final = "multipart/form-data"
_WAY: Final = re.compile(r"/(batches|responses)(?:/([^/?#]+)(?:/(.+))?)?")


class _Handler(BaseHTTPRequestHandler):
    """One call (docs/printing.md, Print houses)."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    def __init__(self, desk: Desk, told: Path, token: str, *given: Any) -> None:
        self._desk, self._told, self._token = desk, told, token
        super().__init__(*given)

    def log_message(self, *_: object) -> None:
        """Say nothing: the house says what is worth it."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        """The server asks for a method by the call's: all of them are one."""
        if name.startswith("do_"):
            return self._handle
        raise AttributeError(name)

    def _handle(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > _MOST:
            self.close_connection = True
            self._answer(Said(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
            return
        body = self.rfile.read(int(length))
        shown = self.headers.get("Authorization", "")
        if not hmac.compare_digest(shown.encode(), f"Bearer {self._token}".encode()):
            self._answer(Said(HTTPStatus.UNAUTHORIZED))
            return
        found = _WAY.fullmatch(self.path)
        if found is None:
            self._answer(Said(HTTPStatus.NOT_FOUND))
        elif found[1] == "responses":
            self._inbox(unquote(found[2] or ""))
        else:
            self._answer(self._batch(unquote(found[2] or ""), unquote(found[3] or ""), body))

    def _batch(self, parcel: str, part: str, body: bytes) -> Said:
        desk = self._desk
        acts: dict[tuple[str, bool], Callable[[], Said]] = {
            ("GET", False): lambda: desk.told(parcel),
            ("PUT", False): lambda: desk.announce(parcel, body),
            ("DELETE", False): lambda: desk.withdraw(parcel),
            ("PUT", True): lambda: self._part(parcel, part, body),
        }
        if (self.command, part) == ("POST", "complete"):
            return desk.complete(parcel, str(_json(body).get("sha256")))
        act = acts.get((self.command, bool(part)))
        return Said(HTTPStatus.METHOD_NOT_ALLOWED) if act is None else act()

    def _part(self, parcel: str, part: str, body: bytes) -> Said:
        kind = self.headers.get("Content-Type", "")
        if not kind.startswith(_FORM):
            return self._desk.take(parcel, part, body, None)
        fields = _fields(kind, body)
        if {"letter", "document"} - fields.keys():
            return Said(HTTPStatus.BAD_REQUEST, {"code": "FORM_UNREADABLE"})
        return self._desk.take(parcel, part, fields["document"], fields["letter"])

    def _inbox(self, name: str) -> None:
        if not name:
            files = [path for path in sorted(self._told.iterdir()) if is_incoming(path.name)]
            self._send(HTTPStatus.OK, json.dumps([{"name": f.name, "size": f.stat().st_size} for f in files]).encode())
            return
        path = self._told / name
        if not is_incoming(name) or not path.is_file():
            self._send(HTTPStatus.NOT_FOUND, b"{}")
        elif self.command == "DELETE":
            path.unlink(missing_ok=True)
            self._send(HTTPStatus.OK, b"{}")
        else:
            self._send(HTTPStatus.OK, path.read_bytes())

    def _answer(self, said: Said) -> None:
        self._send(said.status, json.dumps(said.body or {}).encode())

    def _send(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _json(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _fields(kind: str, body: bytes) -> dict[str, bytes]:
    """The fields of a form, by their names."""
    form = message_from_bytes(b"Content-Type: " + kind.encode("latin-1") + b"\r\n\r\n" + body)
    parts = form.get_payload()
    found: dict[str, bytes] = {}
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, Message):
            name, data = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
            if isinstance(name, str) and isinstance(data, bytes):
                found[name] = data
    return found


@contextmanager
def serving(desk: Desk, told: Path, *, port: int, token: str, host: str = "127.0.0.1") -> Iterator[int]:
    """Answer in a thread until the block ends; the port.

    Args:
        desk: takes letters in.
        told: the inbox that is read over it.
        port: 0 for any.
        token: the bearer token of who may call.
        host: the address on which it answers.

    Raises:
        OSError: the port is taken.
    """
    server = ThreadingHTTPServer((host, port), partial(_Handler, desk, told, token))
    server.daemon_threads = True
    running = threading.Thread(target=partial(server.serve_forever, poll_interval=0.1), name="http", daemon=True)
    running.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        running.join()
