"""The public API as an agency's program or a person's reading program calls it: over HTTP, and with patience."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import httpx

from service.identity.grants import ID_TOKEN, TOKEN_EXCHANGE
from service.identity.oidc import OidcSettings, OpenIdProvider
from service.outgoing import http_client

CALLBACK: Final = "/login/callback"
"""Where below the base URL a log-in comes back to."""

PATIENCE: Final = 60.0
_PAUSE: Final = 0.5
_EARLY: Final = 30
_OK, _BUSY, _CONFLICT, _TOO_SOON = 200, 500, 409, 429
_RUNNING: Final = "idempotency_key_running"


class CallRefused(Exception):
    """The service said no. ``code`` and ``detail`` are those of its problem document."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{detail} ({code})")
        self.status, self.code, self.detail = status, code, detail


class ServiceAway(Exception):
    """The service did not answer for a long while."""


@dataclass(frozen=True, slots=True)
class Paper:
    """A file to hand in."""

    name: str
    content: bytes = field(repr=False)


@dataclass
class _Token:
    value: str = field(repr=False)
    until: float


class Calls:
    """One caller: a client of an organisation, or a person by token exchange. Close it when it is done."""

    def __init__(self, base_url: str, get_token: Callable[[httpx.Client], httpx.Response]) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=60.0, trust_env=False)
        self._get_token = get_token
        self._token: _Token | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def token(self) -> str:
        """An access token that is good for a while yet."""
        if self._token is None or self._token.until < time.monotonic():
            answer = _patiently(lambda: self._get_token(self._http)).json()
            self._token = _Token(answer["access_token"], time.monotonic() + answer["expires_in"] - _EARLY)
        return self._token.value

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Make one call, again and again while the service is busy or away; safe for calls that may be repeated.

        Raises:
            CallRefused: the service says no.
            ServiceAway: it did not answer for a minute.
        """
        headers = dict(more.pop("headers", {}))
        return _patiently(
            lambda: self._http.request(
                method, path, headers=headers | {"Authorization": f"Bearer {self.token()}"}, **more
            )
        )

    def hand_in(
        self, delivery: Mapping[str, Any], document: Paper, attachments: Sequence[Paper] = (), *, key: str
    ) -> dict[str, Any]:
        """Hand in a delivery; the same key never makes a second one."""
        files = [("delivery", (None, json.dumps(delivery).encode(), "application/json"))]
        parts = [("document", document), *(("attachment", each) for each in attachments)]
        upload = files + [(role, (paper.name, paper.content, "application/pdf")) for role, paper in parts]
        answer = self.ask("POST", "/v1/deliveries", files=upload, headers={"Idempotency-Key": key})
        return dict(answer.json())

    def find(self, reference: str) -> dict[str, Any] | None:
        """The newest delivery with this reference."""
        items = self.ask("GET", "/v1/deliveries", params={"reference": reference, "limit": 1}).json()["items"]
        return dict(items[0]) if items else None

    def delivery(self, delivery_id: str) -> dict[str, Any]:
        """A delivery as it stands."""
        return dict(self.ask("GET", f"/v1/deliveries/{delivery_id}").json())

    def evidence(self, delivery_id: str) -> list[dict[str, Any]]:
        """Which evidence there is."""
        return list(self.ask("GET", f"/v1/deliveries/{delivery_id}/evidence").json()["items"])

    def one_evidence(self, delivery_id: str, evidence_id: str) -> dict[str, Any]:
        """One evidence with its proof."""
        return dict(self.ask("GET", f"/v1/deliveries/{delivery_id}/evidence/{evidence_id}").json())

    def sealed(self, delivery_id: str) -> bytes:
        """The sealed main document."""
        return self.ask("GET", f"/v1/deliveries/{delivery_id}/document").content


def agency(base_url: str, client_id: str, secret: str) -> Calls:
    """An agency's program, by its client secret."""

    def get_token(http: httpx.Client) -> httpx.Response:
        return http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=(client_id, secret))

    return Calls(base_url, get_token)


def person(base_url: str, environment: Mapping[str, str], login: str) -> Calls:
    """A person's program: the person logs in at the identity provider, and their ID token is exchanged (RFC 8693)."""

    def get_token(http: httpx.Client) -> httpx.Response:
        form = {"grant_type": TOKEN_EXCHANGE, "subject_token": log_in(environment, login)}
        return http.post("/oauth/token", data=form | {"subject_token_type": ID_TOKEN})

    return Calls(base_url, get_token)


def log_in(environment: Mapping[str, str], login: str) -> str:
    """Log a fictional person in at the embedded identity provider, with code and PKCE as a browser does; an ID token.

    Args:
        environment: the service's.
        login: which person.
    """
    settings = OidcSettings(
        environment["ZENDING_OIDC_ISSUER"],
        environment["ZENDING_OIDC_CLIENT_ID"],
        environment["ZENDING_OIDC_CLIENT_SECRET"],
    )
    back = environment["ZENDING_BASE_URL"] + CALLBACK
    with http_client({"127.0.0.1"}, seconds=20.0) as http:
        provider = OpenIdProvider(settings, http=http)
        start = provider.start(now=datetime.now(UTC), redirect_uri=back)
        answer = http.post(start.url, data={"sub": login})
        parameters = dict(httpx.URL(answer.headers["location"]).params)
        found = provider.finish(now=datetime.now(UTC), redirect_uri=back, pending=start.pending, parameters=parameters)
    return found.id_token


def read(file: Path) -> Paper:
    """A file of this machine, to be handed in."""
    return Paper(file.name, file.read_bytes())


def _patiently(call: Callable[[], httpx.Response]) -> httpx.Response:
    last = time.monotonic() + PATIENCE
    while True:
        try:
            answer = call()
        except httpx.TransportError as error:
            if time.monotonic() > last:
                raise ServiceAway(f"The service does not answer ({type(error).__name__}).") from error
        else:
            if answer.status_code < _OK + 100:
                return answer
            refusal = _refusal(answer)
            if not _passes(refusal) or time.monotonic() > last:
                raise refusal
        time.sleep(_PAUSE)


def _passes(refusal: CallRefused) -> bool:
    return refusal.status >= _BUSY or (refusal.status == _CONFLICT and refusal.code == _RUNNING)


def _refusal(answer: httpx.Response) -> CallRefused:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    code = problem.get("code") or problem.get("error") or f"http_{answer.status_code}"
    detail = problem.get("detail") or problem.get("error_description") or f"The service answered {answer.status_code}."
    return CallRefused(answer.status_code, code, detail)
