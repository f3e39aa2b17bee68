"""Calls to others can't be led into our own network."""

import ast
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from service.outgoing import DestinationRefused, Destinations, hosts_of, http_client, is_public
from tests.embedded_support import CHECKOUT

INSIDE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.2.1", "192.88.99.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "feff::1", "ff02::1", "2001:db8::1",
    "3fff::1", "3fff:fff::1", "::ffff:192.88.99.1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "192.88.98.1", "3ffe::1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names resolve to these addresses, one answer after the other; returns what was asked."""
    asked: list[str] = []
    waiting = list(answers)

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found = waiting.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr("service.outgoing.socket.getaddrinfo", resolve)
    return asked


def test_a_name_that_leads_inside_is_refused_even_beside_public_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["8.8.8.8", "10.0.0.5"])
    with pytest.raises(DestinationRefused):
        Destinations().addresses("evil.example", 443)


def test_a_name_that_nobody_knows_is_no_connection() -> None:
    with pytest.raises(httpcore.ConnectError):
        Destinations().addresses("nothing.invalid", 443)


class _Server(BaseHTTPRequestHandler):
    seen: list[str]

    def do_GET(self) -> None:
        type(self).seen.append(self.path)
        self.send_response(302)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def listening() -> Iterator[tuple[int, list[str]]]:
    class Server(_Server):
        seen: list[str] = []  # noqa: RUF012 - of this server only

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port, Server.seen
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "127.1"])
def test_no_spelling_of_our_own_machine_is_called(host: str) -> None:
    with listening() as (port, seen), http_client() as client:
        with pytest.raises(httpx.ConnectError):
            client.get(f"http://{host}:{port}/")
        assert seen == []


def test_a_host_from_settings_is_called_and_a_redirect_is_not_followed() -> None:
    with listening() as (port, seen), http_client(hosts_of([f"http://127.0.0.1:{port}/x"])) as client:
        assert client.get(f"http://127.0.0.1:{port}/").status_code == 302
        assert seen == ["/"]


def test_the_connection_goes_to_the_address_that_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    # The second answer is what a rebinding name would say once it was found harmless.
    asked = names(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    connected: list[str] = []

    def connect(_self: Any, host: str, *_: Any) -> Any:
        connected.append(host)
        raise httpcore.ConnectError("enough")

    monkeypatch.setattr("httpcore.SyncBackend.connect_tcp", connect)
    with http_client() as client, pytest.raises(httpx.ConnectError):
        client.get("https://rebinding.example/")
    assert (asked, connected) == (["rebinding.example"], ["8.8.8.8"])


def test_no_proxy_of_the_environment_connects_in_our_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as (port, seen):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        with http_client() as client, pytest.raises(httpx.ConnectError):
            client.get("http://127.0.0.1:1/")
        assert seen == []


def test_the_certificate_is_checked_for_the_name() -> None:
    with http_client() as client:
        pool = client._transport._pool  # type: ignore[attr-defined]
        assert pool._ssl_context.verify_mode is ssl.CERT_REQUIRED
        assert pool._ssl_context.check_hostname


ALLOWED = {
    "service/outgoing.py": {"socket", "httpx", "httpcore"},
    "service/identity": {"httpx"},
    "service/inspection": {"socket"},
    "service/notifications/smtp.py": {"smtplib"},
    "service/vault/objects": {"obstore"},
    "service/web/limits.py": {"redis"},
    "service/api/readiness.py": {"socket"},
    "signing/connection.py": {"socket", "http"},
    "printing/providers/sftp.py": {"asyncssh"},
    "printing/providers/s3.py": {"obstore"},
    "printing/providers/http.py": {"httpx"},
}
"""Who may speak over networks by which library. Identity and printing name ``httpx`` for the client they are handed."""
_CALLERS = frozenset(
    {"httpx", "httpcore", "requests", "urllib3", "aiohttp", "smtplib", "ftplib", "obstore", "redis", "socket", "http",
     "telnetlib", "websockets", "paramiko", "asyncssh", "imaplib", "poplib", "xmlrpc"}
)  # fmt: skip
_ONLY_NAMES = {"socket": {"gethostname"}, "http": {"HTTPStatus"}}
_NOT_SERVED = ("service/embedded/", "service/cli/", "printing/simulator/")
"""The demonstration's own servers, the simulated print house, and commands that a person runs on their own machine."""


def network_modules() -> Iterator[tuple[str, str]]:
    for top in ("service", "workers", "signing", "printing"):
        for file in sorted((CHECKOUT / top).rglob("*.py")):
            path = file.relative_to(CHECKOUT).as_posix()
            if path.startswith(_NOT_SERVED):
                continue
            tree = ast.parse(file.read_text("utf-8"))
            for name in _imported(tree):
                if name in _CALLERS and not _only_names(tree, name):
                    yield path, name


def _imported(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {"urllib.request" if a.name == "urllib.request" else a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def _only_names(tree: ast.AST, module: str) -> bool:
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module
    }
    taken = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == module
        for alias in node.names
    }
    return (used | taken) <= _ONLY_NAMES.get(module, set())


def test_only_these_modules_speak_over_networks() -> None:
    strangers = [
        (path, name)
        for path, name in network_modules()
        if not any(path.startswith(place) and name in names_ for place, names_ in ALLOWED.items())
    ]
    assert strangers == [], "outgoing HTTP goes through service/outgoing.py"


def test_nobody_else_makes_an_http_client() -> None:
    makers = [
        path.relative_to(CHECKOUT).as_posix()
        for top in ("service", "workers", "signing", "printing")
        for path in sorted((CHECKOUT / top).rglob("*.py"))
        if "httpx.Client(" in path.read_text("utf-8") or "urlopen(" in path.read_text("utf-8")
    ]
    assert [each for each in makers if not each.startswith(_NOT_SERVED)] == ["service/outgoing.py"]


def test_every_exception_of_the_list_is_still_needed() -> None:
    used = list(network_modules())
    for place, libraries in ALLOWED.items():
        for library in libraries:
            assert any(path.startswith(place) and name == library for path, name in used), (place, library)
            assert Path(CHECKOUT / place).exists()
