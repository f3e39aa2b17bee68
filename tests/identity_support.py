"""Identity providers for tests: one in memory whose every answer can be spoilt, and the real embedded one."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ISSUER = "https://login.example.test"
CLIENT_ID = "zending"
REDIRECT = "http://127.0.0.1:8000/back"
PEOPLE: list[dict[str, object]] = [
    {
        "login": "an",
        "name": "An Peeters",
        "about": "citizen",
        "claims": {"rrn": "85073003328", "locale": "nl", "acr": "urn:be:vlaanderen:authmech:eid"},
    },
    {"login": "bea", "name": "Bea Claes", "claims": {"vo_orgcode": "OVO000123", "roles": ["send", "follow"]}},
    {"login": "cem", "name": "Cem Aydin", "claims": {"rrn": "17073003384", "vo_orgcode": "0403019261", "locale": "fr"}},
]


@cache
def rsa_key(number: int = 0) -> RSAKey:
    """A kept RSA key; different numbers are different keys."""
    return RSAKey.generate_key(2048, parameters={"kid": f"rsa-{number}"})


@cache
def ec_key() -> ECKey:
    return ECKey.generate_key("P-256", parameters={"kid": "ec-0"})


def claims(now: datetime = NOW, **changes: object) -> dict[str, object]:
    """Claims that are believed as they are; a change to None leaves the claim out."""
    issued = int(now.timestamp())
    good: dict[str, object] = {
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "sub": "an",
        "iat": issued,
        "exp": issued + 300,
        "name": "An Peeters",
        "rrn": "85073003328",
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def id_token(
    payload: Mapping[str, object], key: RSAKey | ECKey | OKPKey | None = None, *, alg: str = "RS256", **header: object
) -> str:
    """Sign ``payload`` as a provider does."""
    key = key or rsa_key()
    head = {"alg": alg, "kid": key.kid} | header
    head = {name: value for name, value in head.items() if value is not None}
    return jws.serialize_compact(head, json.dumps(payload).encode("ascii"), key, algorithms=[alg])


@dataclass
class MemoryProvider:
    """A provider behind ``httpx.MockTransport``; ``spoil`` replaces the answer of a path."""

    keys: list[RSAKey | ECKey | OKPKey] = field(default_factory=lambda: [rsa_key()])
    document: dict[str, object] = field(default_factory=dict)
    spoil: dict[str, httpx.Response | Exception] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    tokens: dict[str, object] = field(default_factory=dict)
    userinfo: dict[str, object] = field(default_factory=dict)

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def metadata(self) -> dict[str, object]:
        return {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize?tenant=1",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/jwks",
            "userinfo_endpoint": f"{ISSUER}/userinfo",
            "end_session_endpoint": f"{ISSUER}/logout",
        } | self.document

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.calls.append(path)
        self.requests.append(request)
        spoilt = self.spoil.get(path)
        if isinstance(spoilt, Exception):
            raise spoilt
        if spoilt is not None:
            return spoilt
        bodies: dict[str, dict[str, object]] = {
            "/.well-known/openid-configuration": self.metadata(),
            "/jwks": {"keys": [key.as_dict(private=False) for key in self.keys]},
            "/token": self.tokens,
            "/userinfo": self.userinfo,
        }
        return httpx.Response(200, json=bodies[path])


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class RunningProvider:
    """The embedded provider in a process of its own."""

    port: int
    key_file: Path
    process: subprocess.Popen[bytes]

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def key(self) -> RSAKey:
        return RSAKey.import_key(self.key_file.read_bytes())


@contextmanager
def running_provider(folder: Path, *arguments: str, port: int | None = None) -> Iterator[RunningProvider]:
    """Start the embedded provider with the people above and end it afterwards."""
    people = folder / "people.json"
    people.write_text(json.dumps(PEOPLE), "utf-8")
    port = port or free_port()
    command = [sys.executable, "-m", "service.embedded.oidc", "--port", str(port), "--people", str(people), *arguments]
    process = subprocess.Popen(command)
    try:
        wait_for_port(port, process)
        yield RunningProvider(port, people.with_suffix(".key.pem"), process)
    finally:
        process.terminate()
        assert process.wait(20) == 0


def wait_for_port(port: int, process: subprocess.Popen[bytes], patience: timedelta = timedelta(seconds=60)) -> None:
    """Return when something listens on ``port``."""
    deadline = time.monotonic() + patience.total_seconds()
    while time.monotonic() < deadline:
        assert process.poll() is None, "the process ended instead of listening"
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("nothing listens")


def browser_answer(url: str, **form: str) -> dict[str, str]:
    """Act as the browser: open the log-in page, press a button, and read what the redirect carries back."""
    with httpx.Client() as browser:
        page = browser.get(url)
        assert page.status_code == 200, page.text
        back = browser.post(url, data=form)
    assert back.status_code == 302, back.text
    assert back.headers["location"].startswith(REDIRECT)
    return dict(parse_qsl(urlsplit(back.headers["location"]).query))
