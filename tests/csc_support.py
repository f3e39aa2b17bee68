"""Remote signing services for tests: certomancer's (API 1.0.4), and one that speaks 2.0 as well and lies on demand."""

import asyncio
import http.server
import itertools
import json
import threading
import time
import warnings
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from asn1crypto import algos
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from service.embedded.pki import Algorithm
from signing.algorithms import Mechanism
from signing.keys.csc import CscSealKey
from signing.keys.csc_service import CscAccess
from tests.signing_support import credential, pki, seal_key

CLIENT, SECRET, PIN, CREDENTIAL = "zending-test", "fictional-secret", "84629173", "seal-1"


@dataclass
class Answer:
    """What goes back; ``drip`` seconds between single bytes, ``endless`` without an end."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    drip: float = 0.0
    endless: bool = False


Lie = Callable[[str, dict[str, Any], dict[str, Any]], Answer | dict[str, Any] | None]
"""Gets a method, what was asked and the honest answer; gives what goes back instead, or None."""


@dataclass
class RemoteService:
    """The state of a service: what it gave out, what it was asked, and how it lies."""

    algorithm: Algorithm = "p-256"
    version: int = 2
    multisign: int = 10
    mode: str = "explicit"
    token_seconds: int = 3600
    refreshable: bool = False
    lie: Lie | None = None
    raw: bool = False
    tokens: set[str] = field(default_factory=set)
    granted: dict[str, tuple[tuple[str, ...], float]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)
    connections: int = 0
    numbers: Iterator[int] = field(default_factory=itertools.count)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, headers: Any, body: bytes) -> Answer:
        method = path.partition(f"/csc/v{self.version}/")[2]
        with self.lock:
            self.calls.append(method)
            if method == "oauth2/token":
                asked: dict[str, Any] = {name: values[0] for name, values in parse_qs(body.decode()).items()}
                honest = self._token(asked)
            elif (headers["Authorization"] or "").removeprefix("Bearer ") not in self.tokens:
                asked, honest = {}, _refusal("invalid_token", 401)
            else:
                asked = json.loads(body)
                honest = {
                    "credentials/info": self._info,
                    "credentials/authorize": self._authorize,
                    "signatures/signHash": self._sign,
                }.get(method, lambda _: _refusal("not_found", 404))(asked)
        told = self.lie(method, asked, honest if isinstance(honest, dict) else {}) if self.lie else None
        said = honest if told is None else told
        return said if isinstance(said, Answer) else Answer(json.dumps(said).encode())

    def _token(self, asked: dict[str, str]) -> dict[str, Any] | Answer:
        self.grants.append(asked["grant_type"])
        if (asked["client_id"], asked["client_secret"]) != (CLIENT, SECRET):
            return _refusal("invalid_client", 401)
        if asked["grant_type"] == "refresh_token" and asked["refresh_token"] != "refresh-me":
            return _refusal("invalid_grant", 400)
        token = f"token-{len(self.grants)}"
        self.tokens.add(token)
        refresh = {"refresh_token": "refresh-me"} if self.refreshable else {}
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.token_seconds, **refresh}

    def _info(self, asked: dict[str, Any]) -> dict[str, Any] | Answer:
        if asked["credentialID"] != CREDENTIAL:
            return _refusal("invalid_request", 400)
        key = seal_key(self.algorithm)
        chain = [key.certificate, *key.chain] if asked.get("certificates") == "chain" else [key.certificate]
        elliptic = self.algorithm.startswith("p-")
        names = (
            [f"sha{size}_ecdsa" for size in (256, 384, 512)]
            if elliptic
            else [*(f"sha{size}_rsa" for size in (256, 384, 512)), "rsassa_pss"]
        )
        info: dict[str, Any] = {
            "key": {"status": "enabled", "algo": [algos.SignedDigestAlgorithmId(name).dotted for name in names]},
            "cert": {
                "status": "valid",
                "certificates": [b64encode(each.public_bytes(Encoding.DER)).decode() for each in chain],
            },
            "multisign": self.multisign,
        }
        if self.version == 1:
            return info | {"authMode": self.mode, "SCAL": "2", "PIN": {"presence": "true", "format": "N"}}
        objects = [{"type": "Password", "id": "secret-word", "format": "N", "label": "PIN"}]
        return info | {"SCAL": "2", "auth": {"mode": self.mode, "expression": "secret-word", "objects": objects}}

    def _authorize(self, asked: dict[str, Any]) -> dict[str, Any] | Answer:
        if self.mode == "explicit":
            shown = asked.get("PIN") if self.version == 1 else _of(asked["authData"], "secret-word")
            self.pins.append(str(shown))
            if shown != PIN:
                return _refusal("invalid_pin", 400)
        hashes = tuple(asked["hash" if self.version == 1 else "hashes"])
        if len(hashes) != asked["numSignatures"] or len(hashes) > self.multisign:
            return _refusal("invalid_request", 400)
        if self.version == 2 and "hashAlgorithmOID" not in asked:
            return _refusal("invalid_request", 400)
        activation = f"sad-{next(self.numbers)}"
        self.granted[activation] = (hashes, time.monotonic() + 300)
        return {"SAD": activation, "expiresIn": 300}

    def _sign(self, asked: dict[str, Any]) -> dict[str, Any] | Answer:
        hashes, until = self.granted.pop(asked.get("SAD", ""), ((), 0.0))
        wanted = tuple(asked["hash" if self.version == 1 else "hashes"])
        if not set(wanted) <= set(hashes) or time.monotonic() >= until:
            return _refusal("invalid_request", 400)
        digest_oid = asked["hashAlgo" if self.version == 1 else "hashAlgorithmOID"]
        key = seal_key(self.algorithm, _mechanism(asked, algos.DigestAlgorithmId(digest_oid).native))
        signatures = [key.sign(b64decode(each)) for each in wanted]
        if self.raw:
            signatures = [_side_by_side(each) for each in signatures]
        return {"signatures": [b64encode(each).decode() for each in signatures]}


def _of(objects: list[dict[str, str]], name: str) -> str | None:
    return next((each["value"] for each in objects if each["id"] == name), None)


def _mechanism(asked: dict[str, Any], digest_name: str) -> Mechanism:
    name = algos.SignedDigestAlgorithmId(asked["signAlgo"]).native
    if name == "rsassa_pss":
        said = algos.RSASSAPSSParams.load(b64decode(asked["signAlgoParams"]))
        assert said["hash_algorithm"]["algorithm"].native == digest_name
        return Mechanism(f"rsa-pss-{digest_name}")
    return Mechanism(f"{'ecdsa' if 'ecdsa' in name else 'rsa'}-{digest_name}")


def _side_by_side(signature: bytes) -> bytes:
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))


def _refusal(error: str, status: int) -> Answer:
    return Answer(json.dumps({"error": error, "error_description": "no"}).encode(), status)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5
    disable_nagle_algorithm = True
    service: RemoteService

    def setup(self) -> None:
        self.service.connections += 1
        super().setup()

    def do_POST(self) -> None:
        said = self.service.answer(self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(said.status)
        self.send_header("Content-Type", said.kind)
        if not said.endless:
            self.send_header("Content-Length", str(len(said.body)))
        self.end_headers()
        try:
            self._write(said)
        except OSError:
            self.close_connection = True  # the other side had enough

    def _write(self, said: Answer) -> None:
        if said.drip:
            for number in range(len(said.body)):
                time.sleep(said.drip)
                self.wfile.write(said.body[number : number + 1])
                self.wfile.flush()
        elif said.endless:
            self.close_connection = True
            while True:
                self.wfile.write(b" " * 65536)
        else:
            self.wfile.write(said.body)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def remote_service(**how: Any) -> Iterator[tuple[RemoteService, str]]:
    """A running service and its base address."""
    service = RemoteService(**how)
    handler = type("Handler", (_Handler,), {"service": service})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service, f"http://127.0.0.1:{server.server_port}/csc/v{service.version}"
        finally:
            _close_keys()
            server.shutdown()
            thread.join()


_opened: list[CscSealKey] = []


def _close_keys() -> None:
    while _opened:
        _opened.pop().close()


def access(url: str, **changes: Any) -> CscAccess:
    version = int(url[-1])
    return CscAccess(**{"url": url, "version": version, "client_id": CLIENT, "secret": lambda: SECRET, **changes})


def remote_key(url: str, mechanism: Mechanism | None = None, **changes: Any) -> CscSealKey:
    timeout = changes.pop("timeout", 5.0)
    pin = changes.pop("pin", lambda: PIN)
    key = CscSealKey(access(url, **changes), CREDENTIAL, pin=pin, mechanism=mechanism, timeout=timeout)
    _opened.append(key)
    return key


_CONFIGURATION = """
keysets:
  test:
    path-prefix: .
    keys: {{root: {{path: root.key.pem}}, issuing: {{path: issuing.key.pem}}{keys}}}
pki-architectures:
  test:
    keyset: test
    entities:
      root: {{common-name: Root}}
      issuing: {{common-name: Issuing}}{entities}
    certs:
      root: {{subject: root, subject-key: root, issuer: root, authority-key: root, {validity}, certificate-file: root.cert.pem}}
      issuing: {{subject: issuing, subject-key: issuing, issuer: root, authority-key: root, {validity}, certificate-file: issuing.cert.pem}}{certs}
"""  # noqa: E501 - a document of its own


@cache
def _dummy_configuration() -> Any:
    from certomancer import registry

    kinds: tuple[Algorithm, ...] = ("p-256", "p-384", "rsa-3072")
    validity = 'validity: {valid-from: "2020-01-01T00:00:00+0000", valid-to: "2060-01-01T00:00:00+0000"}'
    names = {kind: credential(kind).key.name.removesuffix(".key.pem") for kind in kinds}
    text = _CONFIGURATION.format(
        validity=validity,
        keys="".join(f", {kind}: {{path: {name}.key.pem}}" for kind, name in names.items()),
        entities="".join(f"\n      {kind}: {{common-name: {kind}}}" for kind in kinds),
        certs="".join(
            f"\n      {kind}: {{subject: {kind}, subject-key: {kind}, issuer: issuing, authority-key: issuing,"
            f" {validity}, certificate-file: {name}.cert.pem}}"
            for kind, name in names.items()
        ),
    )
    file = pki().folder / "certomancer.yml"
    file.write_text(text)
    return registry.CertomancerConfig.from_file(str(file), allow_external_config=True)


@contextmanager
def certomancers_service() -> Iterator[str]:
    """Certomancer's service by its own web application; yields the base address. Credentials are ``test/<kind>``."""
    from aiohttp import web
    from csc_dummy.csc_dummy_server import CSCWithCertomancer

    loop = asyncio.new_event_loop()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how it names its own parts is no matter of ours
        application = CSCWithCertomancer(_dummy_configuration())
    application.register_routes()
    runner = web.AppRunner(application.app, access_log=None)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/csc/v1"
    finally:
        _close_keys()
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def certomancers_key(url: str, algorithm: Algorithm, mechanism: Mechanism | None = None) -> CscSealKey:
    key = CscSealKey(CscAccess(url, 1, None, lambda: "anything"), f"test/{algorithm}", mechanism=mechanism)
    _opened.append(key)
    return key
