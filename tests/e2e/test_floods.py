"""Floods of the same requests against the real processes: each key makes one delivery (all of it: bench/floods.py)."""

import json
import uuid

import httpx

from bench.floods import Flood, click, flood
from bench.running import Request
from tests.service_support import DOCUMENTS, RunningService, delivery_for

KEYS, PARALLEL, CLICKS = 4, 20, 100
PDF = (DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes()


def request(service: RunningService) -> Request:
    reference = f"flood-{uuid.uuid4().hex[:12]}"
    fields = {"delivery": (None, json.dumps(delivery_for("jan", reference=reference)), "application/json")}
    files = {**fields, "document": ("brief.pdf", PDF, "application/pdf")}
    built = httpx.Request("POST", service.base_url, files=files)
    return Request(
        key=uuid.uuid4().hex,
        reference=reference,
        digital=False,
        registered=False,
        content_type=built.headers["content-type"],
        body=built.read(),
    )


def made(service: RunningService, wanted: Request) -> list[str]:
    answer = service.http.get(
        "/v1/deliveries",
        params={"reference": wanted.reference},
        headers={"Authorization": f"Bearer {service.token()}"},
    )
    return [each["id"] for each in answer.json()["items"]]


def answered(found: Flood, place: int) -> str:
    found.check()
    (body,) = found.answers[place]
    return str(json.loads(body)["id"])


def test_each_key_that_twenty_show_at_once_makes_one_delivery(service: RunningService) -> None:
    wanted = [request(service) for _ in range(KEYS)]
    found = flood(service.base_url, service.token(), wanted, parallel=PARALLEL)
    assert found.posts >= KEYS * PARALLEL
    for place, each in enumerate(wanted):
        assert made(service, each) == [answered(found, place)]


def test_whoever_clicks_and_clicks_sends_one_letter(service: RunningService) -> None:
    wanted = request(service)
    found = click(service.base_url, service.token(), wanted, times=CLICKS, parallel=PARALLEL)
    assert found.posts >= CLICKS
    assert made(service, wanted) == [answered(found, 0)]
