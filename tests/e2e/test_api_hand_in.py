"""The hand-in over the wire: what is taken once, what is refused, and when."""

import hashlib
import io
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pikepdf
import pytest

from tests.api_e2e_support import OTHER_SENDER, READER, SENDER, Caller, hand_in, pdf, program
from tests.service_support import RunningService, delivery_for


@pytest.fixture(scope="module")
def caller(service: RunningService) -> Iterator[Caller]:
    found = program(service, SENDER)
    yield found
    found.close()


@pytest.fixture(scope="module")
def other(service: RunningService) -> Iterator[Caller]:
    found = program(service, OTHER_SENDER)
    yield found
    found.close()


def known(caller: Caller, reference: str) -> list[Any]:
    return list(caller.get("/v1/deliveries", params={"reference": reference})["items"])


def test_what_is_handed_in_is_acknowledged_kept_sealed_and_given_back(service: RunningService, caller: Caller) -> None:
    document, more = pdf(), pdf("cairo")
    wanted = delivery_for(READER, digests={"document": hashlib.sha256(document).hexdigest()})
    answer = hand_in(caller, wanted, document=document, attachments=[more])
    assert answer.status_code == 202, answer.text
    made = answer.json()
    assert answer.headers["Location"] == f"/v1/deliveries/{made['id']}"
    assert made["id"].startswith("dlv_")
    assert (made["status"], made["reference"]) == ("received", wanted["reference"])
    assert [each["role"] for each in made["documents"]] == ["main", "attachment"]
    assert made["documents"][0]["submitted_sha256"] == hashlib.sha256(document).hexdigest()
    assert made["created_at"].endswith("Z")
    settled = service.until_status(made["id"], "available", "opened")
    for each in settled["documents"]:
        sealed = caller("GET", each["url"])
        assert sealed.headers["Content-Type"] == "application/pdf"
        assert hashlib.sha256(sealed.content).hexdigest() == each["sha256"] != each["submitted_sha256"]
        assert b"/ETSI.CAdES.detached" in sealed.content


def test_the_timeline_and_its_evidence_tell_the_same_story(service: RunningService, caller: Caller) -> None:
    made = hand_in(caller, delivery_for(READER)).json()
    service.until_status(made["id"], "available")
    events = [event["event"] for event in caller.get(made["links"]["events"])["items"]]
    assert events[0] == "handed_in"
    assert {"SubmissionAcceptance", "ContentConsignment"} <= set(events)
    entries = caller.get(made["links"]["evidence"])["items"]
    assert {"SubmissionAcceptance", "ContentConsignment"} <= {entry["event"] for entry in entries}
    whole = service.until_evidence(made["id"], "SubmissionAcceptance")["SubmissionAcceptance"]
    place = f"{made['links']['evidence']}/{whole['record']['evidence_id']}"
    assert set(whole) == {"record", "salt", "leaf_hash", "log_index", "proof", "checkpoint", "timestamp_token"}
    page = caller("GET", place, headers={"Accept": "application/pdf"})
    assert (page.status_code, page.headers["Content-Type"]) == (200, "application/pdf")
    assert caller("GET", place, headers={"Accept": "text/html"}).status_code == 406


def test_twenty_copies_at_once_make_one_delivery_for(service: RunningService, caller: Caller) -> None:
    wanted, key = delivery_for(READER), uuid.uuid4().hex
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: hand_in(caller, wanted, key=key), range(20)))
    taken = [answer for answer in answers if answer.status_code == 202]
    running = [answer for answer in answers if answer.status_code == 409]
    assert len(taken) + len(running) == 20
    assert taken
    assert {answer.content for answer in taken} == {taken[0].content}
    assert all(answer.json()["code"] == "idempotency_key_running" for answer in running)
    assert all("Retry-After" in answer.headers for answer in running)
    assert [item["id"] for item in known(caller, wanted["reference"])] == [taken[0].json()["id"]]
    again = hand_in(caller, wanted, key=key)
    assert (again.status_code, again.content) == (202, taken[0].content)


def test_a_key_means_one_request_whatever_its_boundary_and_spacing(service: RunningService, caller: Caller) -> None:
    wanted, key = delivery_for(READER), uuid.uuid4().hex
    first = hand_in(caller, wanted, key=key)
    spaced = json.dumps(wanted, indent=4, sort_keys=True).encode()
    assert hand_in(caller, spaced, key=key).content == first.content
    different = hand_in(caller, wanted | {"subject": "Iets anders"}, key=key)
    assert (different.status_code, different.json()["code"]) == (422, "idempotency_key_mismatch")
    another_file = hand_in(caller, wanted, key=key, document=pdf("cairo"))
    assert another_file.status_code == 422


def test_a_key_belongs_to_one_organisation(service: RunningService, caller: Caller, other: Caller) -> None:
    wanted, key = delivery_for(READER), uuid.uuid4().hex
    mine, theirs = hand_in(caller, wanted, key=key), hand_in(other, wanted, key=key)
    assert (mine.status_code, theirs.status_code) == (202, 202)
    assert mine.json()["id"] != theirs.json()["id"]


@pytest.mark.parametrize(("key", "status"), [("", 400), ("with space", 422), ("x" * 256, 422)])
def test_a_key_must_be_one(service: RunningService, caller: Caller, key: str, status: int) -> None:
    assert hand_in(caller, delivery_for(READER), key=key).status_code == status


def test_every_wrong_field_is_pointed_to_and_nothing_is_kept(service: RunningService, caller: Caller) -> None:
    someone = READER
    wanted = delivery_for(someone) | {"recipient": {"type": "citizen", "id": "85073003329", "name": ""}, "subject": ""}
    key = uuid.uuid4().hex
    answer = hand_in(caller, wanted, key=key)
    assert answer.status_code == 422
    assert {"/recipient/id", "/subject"} <= {field["pointer"] for field in answer.json()["errors"]}
    assert "85073003329" not in answer.text
    assert known(caller, wanted["reference"]) == []
    # The key is free for the corrected request.
    assert hand_in(caller, delivery_for(someone), key=key).status_code == 202


@pytest.mark.parametrize(
    ("document", "code"),
    [(b"", "not_a_pdf"), (b"MZ" + b"\x00" * 500, "not_a_pdf"), (b"PK\x03\x04" + b"\x00" * 500, "not_a_pdf")],
)
def test_what_is_no_pdf_is_refused_with_a_reason(
    service: RunningService, caller: Caller, document: bytes, code: str
) -> None:
    wanted = delivery_for(READER)
    answer = hand_in(caller, wanted, document=document)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert known(caller, wanted["reference"]) == []


def test_an_encrypted_document_is_refused(service: RunningService, caller: Caller) -> None:
    locked = io.BytesIO()
    with pikepdf.open(io.BytesIO(pdf())) as opened:
        opened.save(locked, encryption=pikepdf.Encryption(owner="o", user="u"))
    answer = hand_in(caller, delivery_for(READER), document=locked.getvalue())
    assert (answer.status_code, answer.json()["code"]) == (422, "encrypted")


def test_a_body_beyond_the_limit_is_refused_before_it_is_sent(service: RunningService, caller: Caller) -> None:
    address = urlsplit(service.base_url)
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=30) as wire:
        head = (
            f"POST /v1/deliveries HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: {caller.http.headers['Authorization']}\r\nIdempotency-Key: {uuid.uuid4().hex}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 10000000000\r\n\r\n"
        )
        wire.sendall(head.encode())
        assert wire.recv(64).startswith(b"HTTP/1.1 413")


def test_a_body_that_grows_beyond_the_limit_is_cut_off(service: RunningService, caller: Caller) -> None:
    address = urlsplit(service.base_url)
    sent, answer = 0, b""
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=30) as wire:
        head = (
            f"POST /v1/deliveries HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Authorization: {caller.http.headers['Authorization']}\r\nIdempotency-Key: {uuid.uuid4().hex}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        wire.sendall(head.encode())
        part = b'--b\r\nContent-Disposition: form-data; name="document"; filename="d.pdf"\r\n\r\n%PDF-1.7\n'
        try:
            wire.sendall(b"%x\r\n%b\r\n" % (len(part), part))
            while sent < 400_000_000:
                wire.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                sent += 0x10000
        except OSError:
            answer = wire.recv(64)
    assert answer.startswith(b"HTTP/1.1 413")
    assert sent < 100_000_000


def test_pages_of_a_list_show_everything_once(service: RunningService, caller: Caller) -> None:
    reference = f"PAGES-{uuid.uuid4().hex[:8]}"
    made = [hand_in(caller, delivery_for(READER, reference=reference)).json()["id"] for _ in range(5)]
    found: list[str] = []
    query: dict[str, Any] = {"reference": reference, "limit": 2}
    while True:
        page = caller.get("/v1/deliveries", params=query)
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == made[::-1]
    first = caller.get(f"/v1/deliveries/{made[0]}")
    window = {"reference": reference, "to": first["created_at"]}
    assert caller.get("/v1/deliveries", params=window)["items"] == []
    window = {"reference": reference, "from": first["created_at"]}
    assert len(caller.get("/v1/deliveries", params=window)["items"]) == 5
    assert caller("GET", "/v1/deliveries", params={"cursor": "dlv_x"}).json()["code"] == "cursor_invalid"


def test_many_small_letters_at_once_are_all_taken(service: RunningService, caller: Caller) -> None:
    someone = "jan"
    start = threading.Barrier(8)

    def send(_: int) -> int:
        start.wait()
        return hand_in(caller, delivery_for(someone)).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(send, range(8))) == [202] * 8
