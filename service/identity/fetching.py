"""Calls to an identity provider, bounded in time and size."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from service.identity.errors import ProviderUnavailable

MAX_ANSWER = 512 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer: its status and its JSON object."""

    status: int
    body: Mapping[str, object]


def is_safe_address(url: str) -> bool:
    """Tell whether ``url`` may carry secrets: https, or http that never leaves this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def fetch_json(http: httpx.Client, request: httpx.Request, *, seconds: float) -> Answer:
    """Send ``request`` and read a JSON object of at most 512 KiB within ``seconds`` in all.

    Raises:
        ProviderUnavailable: no connection, too slow, too large, a server error, or not a JSON object.
    """
    deadline = time.monotonic() + seconds
    try:
        response = http.send(request, stream=True)
        try:
            body = _read(response, deadline)
        finally:
            response.close()
    except httpx.HTTPError as error:
        raise _unavailable(request, type(error).__name__) from None
    if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise _unavailable(request, f"status {response.status_code}")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise _unavailable(request, f"status {response.status_code}, no JSON") from None
    if not isinstance(value, dict):
        raise _unavailable(request, f"status {response.status_code}, no JSON object")
    return Answer(response.status_code, value)


def _read(response: httpx.Response, deadline: float) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise _unavailable(response.request, "answer too large")
        # The client's own time-outs bound each read; this bounds a provider that sends a byte now and then.
        if time.monotonic() > deadline:
            raise _unavailable(response.request, "answer too slow")
    return bytes(body)


def _unavailable(request: httpx.Request, reason: str) -> ProviderUnavailable:
    # Scheme, host and path only: a query may hold what must not be logged.
    return ProviderUnavailable(
        "The identity provider cannot be reached at the moment.",
        context={"host": request.url.host, "path": request.url.path, "reason": reason},
    )
