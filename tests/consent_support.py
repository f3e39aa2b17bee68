"""A remote signing service that asks people for their consent: pages of its own, and lies on demand."""

import base64
import hashlib
import html
import http.server
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from asn1crypto import algos
from cryptography.hazmat.primitives.serialization import Encoding

from signing.keys.consent import ConsentService
from signing.keys.csc_service import CscAccess
from tests.card_support import Card
from tests.csc_support import Answer, Lie

CLIENT, SECRET = "zending-people", "fictional-people-secret"
_NAMES = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


@dataclass
class Consents:
    """The state of the service; ``card`` is the key of whoever comes, ``others`` are shown before it.

    ``together``: how many signatures one consent may cover.
    """

    version: int = 2
    card: Card | None = None
    others: list[Card] = field(default_factory=list)
    together: int = 1
    lie: Lie | None = None
    hold: float = 0.0
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def hashes(self) -> str:
        return "hashes" if self.version == 2 else "hash"

    @property
    def digest(self) -> str:
        return "hashAlgorithmOID" if self.version == 2 else "hashAlgo"

    def decide(self, url: str, *, agree: bool = True) -> dict[str, str]:
        """What somebody who goes to ``url`` and decides there brings back."""
        query = dict(parse_qsl(urlsplit(url).query))
        self.asked.append(query)
        if query["client_id"] != CLIENT or query["response_type"] != "code" or query["code_challenge_method"] != "S256":
            return {"error": "invalid_request", "state": query["state"]}
        if not agree:
            return {"error": "access_denied", "state": query["state"]}
        code = secrets.token_urlsafe(8)
        self.codes[code] = query
        return {"code": code, "state": query["state"]}

    def answer(self, path: str, headers: Any, body: bytes) -> Answer:
        method = path.partition(f"/csc/v{self.version}/")[2]
        with self.lock:
            self.calls.append(method)
            if method == "oauth2/token":
                asked: dict[str, Any] = dict(parse_qsl(body.decode()))
                honest = self._token(asked)
            else:
                asked = json.loads(body)
                bearer = self.tokens.get((headers["Authorization"] or "").removeprefix("Bearer "))
                honest = _no("invalid_token", 401) if bearer is None else self._call(method, asked, bearer)
        told = self.lie(method, asked, honest if isinstance(honest, dict) else {}) if self.lie else None
        said = honest if told is None else told
        time.sleep(self.hold)
        return said if isinstance(said, Answer) else Answer(json.dumps(said).encode())

    def _token(self, asked: dict[str, str]) -> dict[str, Any] | Answer:
        given = self.codes.pop(asked["code"], None)
        verifier = hashlib.sha256(asked["code_verifier"].encode()).digest()
        if (
            given is None
            or (asked["client_id"], asked["client_secret"]) != (CLIENT, SECRET)
            or asked["redirect_uri"] != given["redirect_uri"]
            or base64.urlsafe_b64encode(verifier).rstrip(b"=").decode() != given["code_challenge"]
        ):
            return _no("invalid_grant", 400)
        token = secrets.token_urlsafe(8)
        self.tokens[token] = given
        kind = "SAD" if given["scope"] == "credential" and self.version == 1 else "Bearer"
        return {"access_token": token, "token_type": kind, "expires_in": 300}

    def _call(self, method: str, asked: dict[str, Any], bearer: dict[str, str]) -> dict[str, Any] | Answer:
        if method == "credentials/list" and bearer["scope"] == "service":
            return {"credentialIDs": [f"key-{number}" for number, _ in enumerate(self._cards())]}
        if method == "credentials/info" and bearer["scope"] == "service":
            return self._info(self._cards()[int(asked["credentialID"][4:])])
        if method == "signatures/signHash":
            return self._sign(asked, bearer)
        return _no("not_allowed", 400)

    def _cards(self) -> list[Card]:
        assert self.card is not None
        return [*self.others, self.card]

    def _info(self, card: Card) -> dict[str, Any]:
        names = [f"sha{size}_ecdsa" for size in (256, 384, 512)]
        info: dict[str, Any] = {
            "key": {"status": "enabled", "algo": [algos.SignedDigestAlgorithmId(name).dotted for name in names]},
            "cert": {
                "status": "valid",
                "certificates": [base64.b64encode(card.certificate.public_bytes(Encoding.DER)).decode()],
            },
            "SCAL": "2",
            "multisign": self.together,
        }
        return info | ({"authMode": "oauth2code"} if self.version == 1 else {"auth": {"mode": "oauth2code"}})

    def _sign(self, asked: dict[str, Any], bearer: dict[str, str]) -> dict[str, Any] | Answer:
        consent = self.tokens.pop(asked.get("SAD", ""), None) if "SAD" in asked else bearer
        wanted = [base64.b64decode(each) for each in asked[self.hashes]]
        if (
            consent is None
            or consent["scope"] != "credential"
            or consent["credentialID"] != asked["credentialID"]
            or [_decoded(each) for each in consent[self.hashes].split(",")] != wanted
            or consent[self.digest] != asked[self.digest]
            or int(consent["numSignatures"]) != len(wanted)
        ):
            return _no("invalid_request", 400)
        card = self._cards()[int(asked["credentialID"][4:])]
        name = _NAMES[algos.DigestAlgorithmId(asked[self.digest]).native]
        return {"signatures": [card.sign(base64.b64encode(each).decode(), name)["signature"] for each in wanted]}


def _decoded(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))


def _no(error: str, status: int) -> Answer:
    return Answer(json.dumps({"error": error}).encode(), status)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5
    service: Consents

    def do_GET(self) -> None:
        """The page on which somebody decides."""
        hidden = html.escape(self.path)
        page = (
            '<!doctype html><html lang="en"><title>Fictional signing</title><main><h1>Do you agree?</h1>'
            f'<form method="post" action="/decide"><input type="hidden" name="url" value="{hidden}">'
            '<button name="agree" value="yes">I agree</button> '
            '<button name="agree" value="no">No</button></form></main>'
        )
        self._send(Answer(page.encode(), kind="text/html"))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/decide":
            self._send(self.service.answer(self.path, self.headers, body))
            return
        form = dict(parse_qsl(body.decode()))
        brought = self.service.decide(form["url"], agree=form["agree"] == "yes")
        back = dict(parse_qsl(urlsplit(form["url"]).query))["redirect_uri"]
        self.send_response(303)
        self.send_header("Location", f"{back}?{urlencode(brought)}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, said: Answer) -> None:
        self.send_response(said.status)
        self.send_header("Content-Type", said.kind)
        self.send_header("Content-Length", str(len(said.body)))
        self.end_headers()
        try:
            self.wfile.write(said.body)
        except OSError:
            self.close_connection = True  # the other side had enough

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def consents(version: int = 2) -> Iterator[tuple[Consents, str]]:
    """A running service and its base address."""
    state = Consents(version)
    handler = type("Handler", (_Handler,), {"service": state})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state, f"http://127.0.0.1:{server.server_port}/csc/v{version}"
        finally:
            server.shutdown()
            thread.join()


def client(url: str, *, timeout: float = 5.0) -> ConsentService:
    return ConsentService(CscAccess(url, int(url[-1]), CLIENT, lambda: SECRET), name="Fictional", timeout=timeout)


def settings_for(url: str) -> dict[str, str]:
    """The environment of a service whose signers go there."""
    return {
        "ZENDING_REMOTE_SIGNING_URL": url,
        "ZENDING_REMOTE_SIGNING_CLIENT_ID": CLIENT,
        "ZENDING_REMOTE_SIGNING_CLIENT_SECRET": SECRET,
        "ZENDING_REMOTE_SIGNING_NAME": "Fictional",
    }
