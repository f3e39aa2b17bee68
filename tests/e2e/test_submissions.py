"""Submissions over HTTP with real processes: broken and resumed, a worker killed, tenants apart, memory flat."""

import contextlib
import csv
import hashlib
import io
import os
import signal
import socket
import threading
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from service.embedded.program import descendants
from tests.api_e2e_support import OTHER_SENDER, SENDER, Caller, program
from tests.service_support import RunningService, until
from tests.submission_support import PDF, as_csv, line, packed

MEBIBYTE = 1024 * 1024
ROWS = 2000
FINAL = ("done", "refused", "stopped", "checked")


@pytest.fixture
def tax(service: RunningService) -> Iterator[Caller]:
    caller = program(service, SENDER)
    yield caller
    caller.close()


@pytest.fixture
def other(service: RunningService) -> Iterator[Caller]:
    caller = program(service, OTHER_SENDER)
    yield caller
    caller.close()


def begin(caller: Caller, **options: Any) -> dict[str, Any]:
    answer = caller("POST", "/v1/submissions", json=options, headers={"Idempotency-Key": uuid.uuid4().hex})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == f"/v1/submissions/{made['id']}"
    return made


def whole(
    caller: Caller, content: bytes | Iterator[bytes], *, key: str | None = None, **options: Any
) -> httpx.Response:
    headers = {"Content-Type": "application/zip", "Idempotency-Key": key or uuid.uuid4().hex}
    return caller("POST", "/v1/submissions", content=content, params=options, headers=headers)


def patch(caller: Caller, made: dict[str, Any], at: int, content: bytes, *, complete: bool = False) -> httpx.Response:
    headers = {"Content-Type": "application/partial-upload", "Upload-Offset": str(at)}
    headers["Upload-Complete"] = "?1" if complete else "?0"
    return caller("PATCH", made["links"]["upload"], content=content, headers=headers)


def offset(caller: Caller, made: dict[str, Any]) -> int:
    answer = caller("HEAD", f"/v1/submissions/{made['id']}/content")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (204, "no-store")
    return int(answer.headers["Upload-Offset"])


def ended(caller: Caller, public: str, *states: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = caller.get(f"/v1/submissions/{public}")
        return found if found["state"] in (states or FINAL) else None

    return until(look, f"{public} to end", seconds=400)


def break_off(service: RunningService, caller: Caller, made: dict[str, Any], content: bytes, sent: int) -> None:
    """Announce all of it, send a part, and hang up."""
    place = urlsplit(service.base_url)
    head = (
        f"PATCH {made['links']['upload']} HTTP/1.1\r\nHost: {place.netloc}\r\n"
        f"Authorization: {caller.http.headers['Authorization']}\r\nContent-Type: application/partial-upload\r\n"
        f"Upload-Offset: 0\r\nUpload-Complete: ?1\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port or 80)) as line_:
        line_.sendall(head.encode() + content[:sent])


def needs_processes_here(service: RunningService) -> None:
    """Skip what looks at the service's processes, or hurts them, where they are on machines of their own."""
    if "api" not in service.pids():
        pytest.skip("the processes are on other machines: tests/machines hurts those")


def documents_of(number: int) -> str:
    return {0: "missing.pdf", 1: "bad.pdf"}.get(number % 10, "brief.pdf")


def test_two_thousand_rows_survive_a_broken_connection_and_a_killed_worker(
    service: RunningService, tax: Caller
) -> None:
    needs_processes_here(service)
    mark = uuid.uuid4().hex[:8]
    lines = [line("jan", documents_of(n), reference=f"{mark}-{n}") for n in range(ROWS)]
    content = packed(lines, {"brief.pdf": PDF, "bad.pdf": b"%PDF-1.7 no"}, method=0)
    digest = hashlib.sha256(content).hexdigest()
    made = begin(tax, name="Nachtrun", on_error="continue", size=len(content), sha256=digest)
    assert (made["state"], made["received"], offset(tax, made)) == ("uploading", 0, 0)

    break_off(service, tax, made, content, len(content) // 2)
    at = until(lambda: offset(tax, made), "what came before the connection broke to be stored")
    assert at <= len(content) // 2
    assert tax.get(f"/v1/submissions/{made['id']}")["state"] == "uploading"
    wrong = patch(tax, made, at + 1, b"x")
    assert (wrong.status_code, wrong.json()["code"]) == (409, "upload_offset_mismatch")
    assert wrong.headers["Upload-Offset"] == str(at), "whoever is told it is wrong is told what is right"
    done = patch(tax, made, at, content[at:], complete=True)
    assert (done.status_code, done.headers["Upload-Complete"]) == (204, "?1"), done.text

    def some_admitted() -> bool:
        return bool(tax.get(f"/v1/submissions/{made['id']}")["rows"]["admitted"] >= 100)

    until(some_admitted, "the admission to be under way", seconds=400)
    kill_workers(service)
    found = ended(tax, made["id"])
    assert found["state"] == "done"
    rows = found["rows"]
    assert (rows["total"], rows["admitted"], rows["bad"]) == (ROWS, ROWS * 8 // 10, ROWS * 2 // 10)
    assert (found["sha256"], found["progress"]) == (digest, 1.0)

    report = tax("GET", f"/v1/submissions/{made['id']}/rows", headers={"Accept": "text/csv"})
    table = list(csv.DictReader(io.StringIO(report.text)))
    assert [int(each["row"]) for each in table] == list(range(1, ROWS + 1))
    admitted = [each for each in table if each["state"] == "admitted"]
    assert len({each["delivery_id"] for each in admitted}) == ROWS * 8 // 10
    assert {each["code"] for each in table if each["reference"].endswith("0")} == {"file_missing"}
    for each in admitted[:: len(admitted) // 5]:
        (single,) = tax.get("/v1/deliveries", params={"reference": each["reference"]})["items"]
        assert single["id"] == each["delivery_id"], "one delivery for one row"
    # What is not sealed yet is taken back, so that nobody after this test waits for it.
    assert tax("POST", f"/v1/submissions/{made['id']}/stop").json()["state"] == "stopped"


def family(pids: Collection[int]) -> list[int]:
    """Processes and those that they started."""
    return [each for pid in pids for each in (pid, *descendants(pid))]


def kill_workers(service: RunningService) -> None:
    """Kill the worker's processes; whoever watches over them starts new ones."""
    before = until(lambda: workers(service), "workers that run")
    for pid in family(before):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: (now := workers(service)) and now.isdisjoint(before), "new workers")


def workers(service: RunningService) -> set[int]:
    """The worker processes that run now."""
    return {pid for name, pids in service.pids().items() if name.partition("-")[0] == "worker" for pid in pids}


def test_a_whole_file_in_one_request_is_taken_once_per_key(tax: Caller) -> None:
    content, key = packed([line("an", reference=uuid.uuid4().hex)]), uuid.uuid4().hex
    first = whole(tax, content, key=key, name="Eén keer")
    assert first.status_code == 201, first.text
    assert (first.json()["state"], first.json()["size"]) == ("checking", len(content))
    again = whole(tax, content, key=key, name="Eén keer")
    assert (again.status_code, again.content) == (201, first.content)
    changed = whole(tax, content[:-1] + b"x", key=key, name="Eén keer")
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_mismatch")
    found = ended(tax, first.json()["id"])
    assert (found["state"], found["rows"]["admitted"]) == ("done", 1)
    (row,) = tax.get(found["links"]["rows"])["items"]
    assert tax.get(f"/v1/deliveries/{row['delivery_id']}")["id"] == row["delivery_id"]
    assert found["id"] in [each["id"] for each in tax.get("/v1/submissions", params={"limit": 200})["items"]]


def test_a_dry_run_of_a_spreadsheet_tells_row_and_column(tax: Caller) -> None:
    lines = [line("jan", reference=uuid.uuid4().hex), line("jan", reference=uuid.uuid4().hex, language="xx")]
    listed = as_csv(lines, separator=";")
    made = whole(tax, packed(listed, {"brief.pdf": PDF}, name="deliveries.csv"), dry_run="true").json()
    found = ended(tax, made["id"])
    assert (found["state"], found["rows"]["good"], found["rows"]["bad"]) == ("checked", 1, 1)
    (row,) = tax.get(f"/v1/submissions/{made['id']}/rows", params={"state": "bad"})["items"]
    assert (row["row"], [(each["code"], each["column"]) for each in row["errors"]]) == (2, [("malformed", "language")])
    refused = tax("POST", f"/v1/submissions/{made['id']}/release")
    assert (refused.status_code, refused.json()["code"]) == (409, "dry_run")


def test_release_pause_resume_and_stop(tax: Caller) -> None:
    made = whole(tax, packed([line("an", reference=uuid.uuid4().hex)]), release="manual").json()
    assert ended(tax, made["id"])["state"] == "checked"
    place = f"/v1/submissions/{made['id']}"
    assert tax("POST", f"{place}/pause").status_code == 409, "there is nothing to pause"
    assert tax("POST", f"{place}/release").json()["state"] in ("running", "done")
    assert ended(tax, made["id"])["state"] == "done"
    assert tax("POST", f"{place}/pause").json()["state"] == "paused"
    assert tax("POST", f"{place}/resume").json()["state"] == "done"
    assert tax("POST", f"{place}/stop").json()["state"] == "stopped"
    assert tax("POST", f"{place}/resume").status_code == 409


def test_what_is_too_large_is_refused_before_it_is_read(service: RunningService, tax: Caller) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    announced = tax("POST", "/v1/submissions", json={"size": 10 * 1024**3 + 1}, headers=key)
    assert (announced.status_code, announced.json()["code"]) == (413, "payload_too_large")
    place = urlsplit(service.base_url)
    head = (
        f"POST /v1/submissions HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/zip\r\n"
        f"Authorization: {tax.http.headers['Authorization']}\r\nIdempotency-Key: {uuid.uuid4().hex}\r\n"
        f"Content-Length: {11 * 1024**3}\r\n\r\n"
    )
    with socket.create_connection((place.hostname, place.port or 80), timeout=60) as line_:
        line_.sendall(head.encode())
        assert line_.recv(4096).startswith(b"HTTP/1.1 413"), "it answers before the first byte of the body"
    small = begin(tax, size=1000)
    assert patch(tax, small, 0, b"x" * 1001).status_code == 413
    assert patch(tax, small, 0, b"x" * 1000).status_code == 204
    more = patch(tax, small, 1000, b"x")
    assert more.status_code == 413
    assert tax("POST", f"/v1/submissions/{small['id']}/stop").json()["state"] == "stopped"


def test_another_organisations_submission_does_not_exist(tax: Caller, other: Caller) -> None:
    made = begin(tax)
    place = f"/v1/submissions/{made['id']}"
    for method, path in (
        ("GET", place), ("GET", f"{place}/rows"), ("HEAD", f"{place}/content"), ("POST", f"{place}/complete"),
        *(("POST", f"{place}/{act}") for act in ("release", "pause", "resume", "stop")),
    ):  # fmt: skip
        assert other(method, path).status_code == 404, (method, path)
    assert patch(other, made, 0, b"x").status_code == 404
    report = other("GET", f"{place}/rows", headers={"Accept": "text/csv"})
    assert (report.status_code, report.json()["code"]) == (404, "not_found")
    assert offset(tax, made) == 0
    tax("POST", f"{place}/stop")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Content-Type": "text/plain", "Upload-Offset": "0"}, 415, "media_type_unsupported"),
        ({"Content-Type": "application/partial-upload"}, 400, "request_malformed"),
        ({"Content-Type": "application/partial-upload", "Upload-Offset": "-1"}, 400, "request_malformed"),
        (
            {"Content-Type": "application/partial-upload", "Upload-Offset": "0", "Upload-Complete": "yes"},
            400,
            "request_malformed",
        ),
    ],
    ids=["media-type", "no-offset", "negative", "complete"],
)
def test_pieces_that_make_no_sense_are_refused(tax: Caller, headers: dict[str, str], status: int, code: str) -> None:
    made = begin(tax)
    answer = tax("PATCH", made["links"]["upload"], content=b"x", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert offset(tax, made) == 0
    tax("POST", f"/v1/submissions/{made['id']}/stop")


def test_options_that_make_no_sense_are_told_by_field(tax: Caller) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    answer = tax("POST", "/v1/submissions", json={"on_error": "ignore"}, headers=key)
    assert (answer.status_code, [each["pointer"] for each in answer.json()["errors"]]) == (422, ["/on_error"])
    assert tax("POST", "/v1/submissions", json={}).json()["code"] == "idempotency_key_missing"


class Watch(threading.Thread):
    """Looks again and again how much memory processes hold, in bytes."""

    def __init__(self, pids: Collection[int]) -> None:
        super().__init__(daemon=True)
        self._pids = pids
        self._end = threading.Event()
        self.least = self.most = self._now()

    def _now(self) -> int:
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in family(self._pids))
        return pages * os.sysconf("SC_PAGE_SIZE")

    def run(self) -> None:
        while not self._end.wait(0.1):
            self.most = max(self.most, self._now())

    def end(self) -> None:
        self._end.set()
        self.join()


def test_three_hundred_megabytes_go_through_in_little_memory(service: RunningService, tax: Caller) -> None:
    needs_processes_here(service)
    block = os.urandom(MEBIBYTE)

    def body(size: int) -> Iterator[bytes]:
        for number in range(size):
            yield number.to_bytes(8, "big") + block[8:]

    tax.http.timeout = httpx.Timeout(600)
    taken = []
    for size in (100, 300):
        watch = Watch(service.pids()["api"])
        watch.start()
        answer = whole(tax, body(size))
        watch.end()
        assert answer.status_code == 201, answer.text
        assert answer.json()["size"] == size * MEBIBYTE
        taken.append((watch.most - watch.least) / MEBIBYTE)
    # A piece as it comes, as it is, encrypted, in its container: six times 8 MiB at most, whatever the length.
    assert max(taken) < 64, "it holds what comes"
    found = ended(tax, answer.json()["id"])
    assert [each["code"] for each in found["problems"]] == ["zip_malformed"]
