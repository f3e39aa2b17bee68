"""Callers of the running service, for end-to-end tests: programs of agencies, people, and nobody."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from tests.service_support import DOCUMENTS, RunningService

SENDER, OTHER_SENDER = "tax", "voorbeeldegem"
READER, OTHER_READER = "an", "cem"
CLERK = "tine"
"""Who acts for ``SENDER`` at a screen."""


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


def nobody(service: RunningService) -> Caller:
    """Somebody without a token."""
    return Caller(service.base_url, None)


def credentials(service: RunningService, slug: str) -> tuple[str, str]:
    """The id and secret of an organisation's program."""
    client = service.clients[slug]
    return client.client_id, client.secret


def program(service: RunningService, slug: str, *, scope: str | None = None) -> Caller:
    """An agency's program, with all its scopes or only those asked for."""
    form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
    answer = service.http.post("/oauth/token", data=form, auth=credentials(service, slug))
    assert answer.status_code == 200, answer.text
    return Caller(service.base_url, answer.json()["access_token"])


def person(service: RunningService, login: str) -> Caller:
    """A person's program: their ID token exchanged for a token of ours."""
    return Caller(service.base_url, service.person_token(login))


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
