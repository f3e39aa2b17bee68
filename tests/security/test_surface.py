"""What a stranger can try at the running service's door, and what it shows of itself."""

import csv
import io
import json
import socket
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from service import logs
from service.api import openapi
from service.api.deliveries import STATUSES
from service.usecases import submissions
from service.usecases.admission import safe_name
from tests.service_support import RunningService, delivery_for


def raw(service: RunningService, request: bytes, *, seconds: float = 30.0) -> bytes:
    """What comes back for these bytes, until the server closes or says nothing for a moment."""
    parts = urlsplit(service.base_url)
    answer = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as connection:
        # A server may close on what it refuses before everything was sent; what it said until then counts.
        with suppress(ConnectionError):
            connection.sendall(request)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
TWO_MEANINGS = {
    "length and chunks": HEAD + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
    "a strange coding": HEAD + b"Content-Length: 0\r\nTransfer-Encoding: xchunked\r\n\r\n" + SMUGGLED,
    "a length with a sign": HEAD + b"Content-Length: +0\r\n\r\n" + SMUGGLED,
    "a space before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("kind", sorted(TWO_MEANINGS))
def test_a_request_with_two_meanings_is_never_two_requests(service: RunningService, kind: str) -> None:
    answer = raw(service, TWO_MEANINGS[kind])
    assert answer.count(b"HTTP/1.1 ") <= 1, answer[:400]
    assert b"route_unknown" not in answer, "what stood in the body was answered as a request of its own"


def test_headers_without_end_are_refused(service: RunningService) -> None:
    answer = raw(service, b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"a" * 2_000_000 + b"\r\n\r\n")
    assert not answer.startswith(b"HTTP/1.1 200")
    many = b"".join(b"X-%d: a\r\n" % number for number in range(5000))
    answer = raw(service, b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n")
    assert not answer.startswith(b"HTTP/1.1 200")
    assert httpx.get(f"{service.base_url}/health/live", trust_env=False).status_code == 200


def test_a_false_host_header_changes_no_address(service: RunningService) -> None:
    for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}, {"Forwarded": "host=evil.example"}):
        for path in ("/", "/login", "/mailbox", "/nothing", "/v1/deliveries", "/openapi.json"):
            answer = httpx.get(service.base_url + path, headers=headers, trust_env=False, follow_redirects=False)
            assert "evil.example" not in answer.text, path
            assert "evil.example" not in str(answer.headers), path


def test_no_secret_stands_in_a_list_of_processes(service: RunningService) -> None:
    secrets = {client.secret for client in service.clients.values()}
    for name, value in service.environment.items():
        if "SECRET" in name:
            secrets.add(value)
        if "URL" in name and (password := urlsplit(value).password):
            secrets.add(password)
    assert len(secrets) >= 3
    lines = []
    for process in psutil.process_iter():
        try:
            lines.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    assert any("service.app" in line or "zending" in line for line in lines)
    assert not [secret for secret in secrets for line in lines if len(secret) > 5 and secret in line]


def test_no_secret_stands_in_the_services_logs(service: RunningService) -> None:
    secrets = {client.secret for client in service.clients.values()} | {service.token()}
    service.hand_in("an", subject="Geheim onderwerp 4711")
    written = "".join(file.read_text("utf-8", "replace") for file in (service.home / "logs").glob("*.log"))
    assert written
    assert not [secret for secret in secrets if secret in written]
    assert "Geheim onderwerp 4711" not in written


def test_a_name_with_control_characters_breaks_no_line_of_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    import structlog

    logs.configure(style="json")
    evil = "x\r\n2026 [info] forged\x1b[31m\x00\u2028\u0085"
    structlog.get_logger().info("request_refused", code=evil)
    written = capfd.readouterr().err
    assert written.count("\n") == 1
    assert "\x1b" not in written
    assert json.loads(written)["code"] == evil


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd", "a\r\nSet-Cookie: x=1.pdf", 'a".pdf"; x="', "\x1b[2Jx.pdf", "x" * 5000 + ".pdf",
        "\u202egnp.fdp", "=cmd|' /C calc'!A0.pdf", "C:\\x\\y.pdf", "\x00.pdf", "...", "",
    ],
)  # fmt: skip
def test_a_hostile_file_name_becomes_a_safe_one(name: str) -> None:
    safe = safe_name(name)
    assert safe.isprintable()
    assert safe.endswith(".pdf")
    assert len(safe.encode()) <= 204
    assert not set(safe) & set('/\\"\r\n;:<>|?*\x00')


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_table_that_we_send_is_a_formula(start: str) -> None:
    written = submissions._lines([["1", "bad", f"{start}cmd|' /C calc'!A0", "", "", "", ""]]).decode()
    (row,) = csv.reader(io.StringIO(written, newline=""))
    assert row[2] == f"'{start}cmd|' /C calc'!A0"


def test_the_report_of_a_submission_is_the_only_table_that_we_send() -> None:
    tables = {
        path
        for path, operations in openapi.document()["paths"].items()
        for operation in operations.values()
        for answer in operation["responses"].values()
        if any("csv" in kind or "sheet" in kind or "excel" in kind for kind in answer.get("content", {}))
    }
    # Whoever adds another escapes what spreadsheets take for formulas, and tests that above.
    assert tables == {"/v1/submissions/{submission_id}/rows"}


BOUNDARY = "b7f"


def body(*parts: bytes, end: bytes = b"--b7f--\r\n") -> bytes:
    return b"".join(b"--b7f\r\n" + part + b"\r\n" for part in parts) + end


FIELD = b'Content-Disposition: form-data; name="%s"\r\n\r\n'
HOSTILE = {
    "ten thousand parts": body(*[FIELD % b"attachment" + b"x"] * 10_000),
    "no end": body(FIELD % b"delivery" + b"{}", end=b""),
    "no part": b"--b7f--\r\n",
    "not even a boundary": b"hello",
    "a header without end": b"--b7f\r\nX-A: " + b"a" * 100_000,
    "many headers": body(b"X-A: 1\r\n" * 5000 + FIELD % b"delivery"),
    "an unknown part": body(FIELD % b"surprise" + b"x"),
    "a name that is a path": body(b'Content-Disposition: form-data; name="document"; filename="../../x"\r\n\r\n'),
    "a name that is very long": body(
        b'Content-Disposition: form-data; name="document"; filename="' + b"n" * 100_000 + b'"\r\n\r\nx'
    ),
    "two dispositions": body(b"Content-Disposition: form-data\r\n" + FIELD % b"delivery" + b"{}"),
    "JSON that nests": body(FIELD % b"delivery" + b"[" * 50_000, FIELD % b"document" + b"%PDF-"),
    "bytes that are no text": body(b'Content-Disposition: form-data; name="\xff\xfe"\r\n\r\nx'),
    "a coding that nobody knows": body(b"Content-Transfer-Encoding: x-evil\r\n" + FIELD % b"delivery" + b"{}"),
}


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_hostile_multipart_bodies_are_refused_with_a_code(service: RunningService, kind: str) -> None:
    headers = {
        "Authorization": f"Bearer {service.token()}",
        "Idempotency-Key": f"hostile-{time.monotonic_ns()}",
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
    }
    # A line of its own: after a hostile body the server may close it, and the next request must not meet that.
    with httpx.Client(base_url=service.base_url, trust_env=False, timeout=60) as line:
        answer = line.post("/v1/deliveries", content=HOSTILE[kind], headers=headers)
    assert answer.status_code in {400, 413, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] != "internal_error"


@pytest.mark.parametrize("boundary", ["", "x" * 71, '"', 'a"b'])
def test_strange_boundaries_are_refused_with_a_code(service: RunningService, boundary: str) -> None:
    headers = {
        "Authorization": f"Bearer {service.token()}",
        "Idempotency-Key": f"hostile-{time.monotonic_ns()}",
        "Content-Type": f"multipart/form-data; boundary={boundary}",
    }
    with httpx.Client(base_url=service.base_url, trust_env=False, timeout=60) as line:
        answer = line.post("/v1/deliveries", content=HOSTILE["no end"], headers=headers)
    assert answer.status_code in {400, 415}, answer.text
    assert answer.json()["code"]


def test_what_is_two_kinds_of_file_at_once_is_refused_or_only_ever_a_pdf(service: RunningService) -> None:
    pdf = (Path(__file__).parents[1] / "documents" / "notice-nl-ghostscript.pdf").read_bytes()
    kinds = {
        "page before": b"<html><script>alert(1)</script>" + pdf,
        "program before": b"MZ" + b"\0" * 62 + pdf,
        "archive after": pdf + b"PK\x03\x04" + b"\0" * 26 + b"PK\x05\x06" + b"\0" * 18,
        "page after": pdf + b"<script>alert(1)</script>",
        "picture before": b"GIF89a/*" + pdf,
    }
    headers = {"Authorization": f"Bearer {service.token()}"}
    for kind, content in kinds.items():
        fields = {"delivery": (None, json.dumps(delivery_for("jan")), "application/json")}
        files = fields | {"document": ("x.pdf", content, "application/pdf")}
        key = {"Idempotency-Key": f"polyglot-{time.monotonic_ns()}"}
        answer = service.http.post("/v1/deliveries", files=files, headers=headers | key)
        assert answer.status_code in {202, 422}, (kind, answer.text)
        if answer.status_code == 422:
            assert answer.json()["code"] != "invalid", kind
            continue
        made = answer.json()["id"]
        service.until_status(made, *(set(STATUSES) - {"received"}))
        sealed = service.http.get(f"/v1/deliveries/{made}/document", headers=headers)
        assert sealed.content.startswith(b"%PDF-"), f"{kind}: what is kept begins as something else"
        assert b"<script>" not in sealed.content, kind
        assert (sealed.headers["content-type"], sealed.headers["x-content-type-options"]) == (
            "application/pdf",
            "nosniff",
        )
