"""The audit of locked libraries: pip-audit itself runs, and asks a service of the test's own for the public one."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.embedded import audit
from tests.processes_support import free_address
from tests.signing_support import tls_context

HOST = "pypi.org"
HOLE = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"], "details": "A hole.", "fixed_in": ["1.2", "2.0"]}
SERVICE = "PyPI's service for known vulnerabilities"
Answer = Callable[[str], tuple[int, Any]]


def known(**vulnerabilities: list[dict[str, Any]]) -> Answer:
    """What a service answers that knows these libraries and no others."""

    def answer(name: str) -> tuple[int, Any]:
        return (200, {"vulnerabilities": vulnerabilities[name]}) if name in vulnerabilities else (404, {})

    return answer


def handler(answer: Answer, context: ssl.SSLContext) -> type[BaseHTTPRequestHandler]:
    """A proxy that answers in the service's place."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            assert self.path == f"{HOST}:443"
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")
            self.close_connection = False

        def do_GET(self) -> None:
            status, content = answer(self.path.split("/")[2])
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def log_message(self, *_: Any) -> None:
            return

    return Handler


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lock of two libraries; what pip-audit is told about them is kept in a place of the test's own."""
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
    file = tmp_path / "lock.txt"
    file.write_text("".join(f"{name}==1.0 --hash=sha256:{'0' * 64}\n" for name in ("one", "two")))
    return str(file)


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], Any]:
    """Lets pip-audit ask a service that answers so, while the block lasts."""

    @contextmanager
    def made(answer: Answer) -> Iterator[None]:
        context = tls_context(tmp_path, HOST)
        with ThreadingHTTPServer(("127.0.0.1", 0), handler(answer, context)) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            through(monkeypatch, f"127.0.0.1:{server.server_port}")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "tls.pem"))
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    return made


def through(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in ("NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://{proxy}")


def test_a_known_vulnerability_fails_the_check_and_says_what_mends_it(
    lock: str, asking: Callable[[Answer], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with asking(known(one=[], two=[HOLE])):
        assert audit.main([lock]) == 1
    assert capsys.readouterr().out.splitlines() == [f"{lock}: two 1.0: PYSEC-2026-1 (mended in 1.2, 2.0)"]


def test_libraries_without_a_known_vulnerability_pass(
    lock: str, asking: Callable[[Answer], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with asking(known(one=[], two=[])):
        assert audit.main([lock]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{lock}: 2 looked up, no known vulnerability."]


def test_a_vulnerability_fails_the_check_also_where_another_library_is_not_known(
    lock: str, asking: Callable[[Answer], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with asking(known(one=[HOLE])):
        assert audit.main([lock]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{lock}: one 1.0: PYSEC-2026-1 (mended in 1.2, 2.0)",
        f"{lock}: WARNING: 1 of 2 not audited: {SERVICE} lacks two.",
    ]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (known(), f"WARNING: not audited: {SERVICE} answered for none of the 2 libraries."),
        (known(two=[]), f"WARNING: 1 of 2 not audited: {SERVICE} lacks one."),
        (lambda _: (503, {}), f"WARNING: not audited: {SERVICE} can't be reached."),
    ],
    ids=["knows nothing", "knows one", "out of order"],
)
def test_what_could_not_be_looked_up_is_said_in_one_line_and_is_neither_passed_nor_failed(
    lock: str, asking: Callable[[Answer], Any], answer: Answer, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with asking(answer):
        assert audit.main([lock]) == audit.UNSEEN
    assert capsys.readouterr().out.splitlines() == [f"{lock}: {line}"]


@pytest.mark.parametrize("first", ["one", "pip-requirements-parser", "xxhash"])
def test_a_service_that_is_not_there_is_said_in_one_line_whatever_was_asked_first(
    lock: str, monkeypatch: pytest.MonkeyPatch, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    through(monkeypatch, free_address("127.0.0.1"))
    Path(lock).write_text(f"{first}==1.0 --hash=sha256:{'0' * 64}\n")
    assert audit.main([lock]) == audit.UNSEEN
    assert capsys.readouterr().out.splitlines() == [f"{lock}: WARNING: not audited: {SERVICE} can't be reached."]


@pytest.mark.parametrize(
    ("content", "why"),
    [("click==8.1.0\n", "does not contain a hash"), ("", "no library"), ("== nonsense\n", "ERROR")],
    ids=["no hash", "empty", "no lock"],
)
def test_a_lock_that_can_not_be_audited_fails_the_check(
    lock: str, content: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(lock).write_text(content)
    assert audit.main([lock]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert why in line
