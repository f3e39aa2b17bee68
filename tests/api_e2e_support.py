"""Callers of a running service, for end-to-end tests: programs of agencies, people, and nobody.

The fixture ``service`` has the fields of ``demo.json`` as attributes, and ``environment``: the service's settings as
environment variables, by which a fictional person can log in.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import httpx

from service.cli.demo_calls import log_in
from service.identity.grants import ID_TOKEN, TOKEN_EXCHANGE

DOCUMENTS = Path(__file__).parent / "documents"
PATIENCE = 60.0


class Service(Protocol):
    """What the fixture ``service`` offers."""

    @property
    def base_url(self) -> str: ...

    @property
    def clients(self) -> Mapping[str, Mapping[str, str]]: ...

    @property
    def recipients(self) -> Mapping[str, Sequence[Mapping[str, str]]]: ...

    @property
    def people(self) -> Sequence[Mapping[str, Any]]: ...

    @property
    def environment(self) -> Mapping[str, str]: ...


class Caller:
    """Somebody who calls the API; every call has their token."""

    def __init__(self, base_url: str, token: str | None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.http = httpx.Client(base_url=base_url, headers=headers, timeout=60.0, trust_env=False)

    def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Make one call."""
        return self.http.request(method, path, **more)

    def get(self, path: str, **more: Any) -> Any:
        """The JSON that a GET gives; anything but 200 is a failure."""
        answer = self.http.get(path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def close(self) -> None:
        """Close the connections."""
        self.http.close()


def nobody(service: Service) -> Caller:
    """Somebody without a token."""
    return Caller(service.base_url, None)


def program(service: Service, name: str, *, scope: str | None = None) -> Caller:
    """An agency's program, with all its scopes or only those asked for."""
    client = service.clients[name]
    form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
    credentials = (client["client_id"], client["client_secret"])
    answer = httpx.post(f"{service.base_url}/oauth/token", data=form, auth=credentials, trust_env=False)
    assert answer.status_code == 200, answer.text
    return Caller(service.base_url, answer.json()["access_token"])


def person(service: Service, login: str) -> Caller:
    """A person's program: their ID token exchanged for a token of ours."""
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": log_in(service.environment, login),
        "subject_token_type": ID_TOKEN,
    }
    answer = httpx.post(f"{service.base_url}/oauth/token", data=form, trust_env=False)
    assert answer.status_code == 200, answer.text
    return Caller(service.base_url, answer.json()["access_token"])


def login_of(service: Service, recipient: Mapping[str, str]) -> str:
    """The log-in of the person whose mailbox this is."""
    return next(str(each["login"]) for each in service.people if each["recipient_id"] == recipient["id"])


def delivery(recipient: Mapping[str, str], **changes: Any) -> dict[str, Any]:
    """The JSON of a hand-in, with a reference of its own."""
    made: dict[str, Any] = {
        "reference": f"E2E-{uuid.uuid4().hex[:12]}",
        "recipient": {"type": recipient["type"], "id": recipient["id"], "name": recipient["name"]},
        "postal_address": {
            "name": recipient["name"],
            "street": "Voorbeeldstraat",
            "number": "12",
            "postcode": "9000",
            "municipality": "Gent",
        },
        "subject": "Proef van de dienst",
        "language": "nl",
        "document_type": "test-letter",
    }
    return made | changes


def pdf(name: str = "") -> bytes:
    """A small real document."""
    files = sorted(DOCUMENTS.glob("*.pdf"), key=lambda file: file.stat().st_size)
    return next(file for file in files if name in file.name).read_bytes()


def hand_in(
    caller: Caller,
    content: Mapping[str, Any] | bytes,
    *,
    key: str | None = None,
    document: bytes | None = None,
    attachments: Sequence[bytes] = (),
) -> httpx.Response:
    """Hand in; a fresh key unless one is given, none for an empty one."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    files: list[tuple[str, Any]] = [("delivery", (None, raw, "application/json"))]
    files.append(("document", ("brief.pdf", pdf() if document is None else document, "application/pdf")))
    files += [("attachment", (f"bijlage-{n}.pdf", each, "application/pdf")) for n, each in enumerate(attachments, 1)]
    key = uuid.uuid4().hex if key is None else key
    headers = {"Idempotency-Key": key} if key else {}
    return caller("POST", "/v1/deliveries", files=files, headers=headers)


def until(found: Callable[[], Any], *, seconds: float = PATIENCE) -> Any:
    """Ask again until there is something true; that."""
    last = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < last, "it did not come about in time"
        time.sleep(0.2)
    return result


def reaches(caller: Caller, delivery_id: str, *statuses: str) -> dict[str, Any]:
    """Wait until a delivery has one of these statuses."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = caller.get(f"/v1/deliveries/{delivery_id}")
        return found if found["status"] in statuses else None

    result: dict[str, Any] = until(look)
    return result
