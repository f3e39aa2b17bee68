"""Speaking to a remote signing service: JSON over kept connections, with access tokens (Cloud Signature Consortium)."""

import binascii
import json
import os
import ssl
import threading
import time
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from signing.connection import KeptConnection, Reply
from signing.errors import KeyUnavailable, KeyUnusable

PARTY: Final = "The remote signing service"
LARGEST_REPLY: Final = 512 * 1024
"""Bytes; a batch of a hundred signatures by RSA-4096 has seventy thousand."""

_PASSING: Final = frozenset({408, 421, 425, 429})
_EARLY: Final = 30.0
"""Seconds before its end from which a token is not used any more."""

_LONGEST_CODE: Final = 64


@dataclass(frozen=True, slots=True)
class CscAccess:
    """How a remote signing service is reached.

    Attributes:
        url: base address, up to and with the version (``https://host/csc/v2``).
        version: of the API, 1 (1.0.4) or 2.
        client_id: as registered for OAuth 2; None where ``secret`` is an access token itself.
        secret: the client's secret, or the access token; asked for each time.
        token_url: where access tokens are asked for; None is ``oauth2/token`` below ``url``.
        scope: of the access token: ``service`` (each use of the key is authorised), or ``credential`` (the token does).
    """

    url: str
    version: int
    client_id: str | None
    secret: Callable[[], str]
    token_url: str | None = None
    scope: str = "service"


class Refused(KeyUnusable):
    """The service understood a call and does not do it. ``reason`` is its own word for why."""

    def __init__(self, reason: str, *, status: int) -> None:
        super().__init__(
            f"The remote signing service refuses: {reason}.", context={"status": str(status), "reason": reason}
        )
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; ``kind`` as the service calls it (``bearer``, ``sad``), ``lasts`` in seconds."""

    value: str = field(repr=False)
    kind: str
    lasts: float
    refresh: str | None = field(repr=False)


class Connections:
    """Kept connections to one host, one per thread that is at it."""

    def __init__(self, url: str, *, timeout: float, tls: ssl.SSLContext | None) -> None:
        self._url, self._timeout, self._tls = url, timeout, tls
        self._idle: deque[KeptConnection] = deque()
        self._process = os.getpid()
        self._open().close()  # an address that can't be right is refused here

    def _open(self) -> KeptConnection:
        return KeptConnection(
            self._url,
            party=PARTY,
            fault=KeyUnavailable,
            timeout=self._timeout,
            largest_reply=LARGEST_REPLY,
            tls=self._tls,
        )

    @contextmanager
    def one(self) -> Iterator[KeptConnection]:
        """A connection that nobody else uses meanwhile."""
        if self._process != os.getpid():
            # The parent goes on with the connections: two processes on one would read each other's replies.
            self._idle, self._process = deque(), os.getpid()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """Close all; they open again when needed."""
        while self._idle:
            self._idle.pop().close()


class CscService:
    """One remote signing service. Safe to share between threads; each exchange is bounded in time and size."""

    def __init__(self, access: CscAccess, *, timeout: float, tls: ssl.SSLContext | None = None) -> None:
        """Nothing is connected before the first call.

        Raises:
            ValueError: an address that can't be asked.
        """
        self._access = access
        self._path = urlsplit(access.url).path.rstrip("/")
        self._calls = Connections(access.url, timeout=timeout, tls=tls)
        self._token_url = access.token_url or f"{access.url.rstrip('/')}/oauth2/token"
        self._tokens = Connections(self._token_url, timeout=timeout, tls=tls)
        self._lock = threading.Lock()
        self._token: str | None = None
        self._refresh: str | None = None
        self._until = 0.0

    @property
    def access(self) -> CscAccess:
        """How it is reached."""
        return self._access

    def call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call ``method`` (``credentials/info`` …). A token that is not good any more is renewed, once.

        Raises:
            KeyUnavailable: no proper answer in time, or out of order for now.
            Refused: the service does not do it.
        """
        token = self._bearer(None)
        reply = self._post(method, body, token)
        if reply.status == HTTPStatus.UNAUTHORIZED and self._access.client_id is not None:
            reply = self._post(method, body, self._bearer(token))
        return _answer(reply)

    def _post(self, method: str, body: dict[str, Any], token: str) -> Reply:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Authorization": f"Bearer {token}"}
        with self._calls.one() as connection:
            return connection.post(json.dumps(body).encode(), headers, target=f"{self._path}/{method}")

    def _bearer(self, refused: str | None) -> str:
        """An access token other than the one just ``refused``."""
        if self._access.client_id is None:
            return self._access.secret()
        with self._lock:
            if self._token is None or self._token == refused or time.monotonic() >= self._until:
                self._renew()
            assert self._token is not None
            return self._token

    def _renew(self) -> None:
        self._token = None
        if self._refresh is not None:
            refresh, self._refresh = self._refresh, None
            try:
                return self._ask_token(grant_type="refresh_token", refresh_token=refresh)
            except Refused:
                pass  # refresh tokens end too; the client's own secret still opens
        return self._ask_token(grant_type="client_credentials", scope=self._access.scope)

    def _ask_token(self, **asked: str) -> None:
        form = {**asked, "client_id": self._access.client_id or "", "client_secret": self._access.secret()}
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        with self._tokens.one() as connection:
            token = token_in(connection.post(urlencode(form).encode(), headers))
        self._token, self._refresh = token.value, token.refresh
        self._until = time.monotonic() + max(1.0, token.lasts - _EARLY)

    def close(self) -> None:
        """Close the kept connections; the next call opens them again."""
        self._calls.close()
        self._tokens.close()


def token_in(reply: Reply) -> Token:
    """The access token that a token endpoint answered with.

    Raises:
        KeyUnavailable: no proper answer.
        Refused: it gives none.
    """
    answer = _answer(reply)
    token, lasts = answer.get("access_token"), answer.get("expires_in", 3600)
    # What goes into a header must not be able to end it.
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise _nonsense("no access token")
    if isinstance(lasts, bool) or not isinstance(lasts, (int, float)):
        raise _nonsense("no length of life of a token")
    refresh, kind = answer.get("refresh_token"), answer.get("token_type")
    return Token(
        token,
        kind.lower() if isinstance(kind, str) else "",
        lasts,
        refresh if isinstance(refresh, str) else None,
    )


def _answer(reply: Reply) -> dict[str, Any]:
    if reply.status in _PASSING or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise KeyUnavailable(f"{PARTY} is out of order for now.", context={"status": str(reply.status)})
    try:
        content = json.loads(reply.body) if reply.content_type == "application/json" else None
    except (ValueError, RecursionError):
        content = None
    if reply.status != HTTPStatus.OK:
        raise Refused(_reason(content), status=reply.status)
    if not isinstance(content, dict):
        raise _nonsense("something that is no JSON object")
    return content


def _reason(content: Any) -> str:
    """The service's word for why; nothing that could be more than a word."""
    said = content.get("error", content.get("errorCode")) if isinstance(content, dict) else None
    fine = isinstance(said, str) and len(said) <= _LONGEST_CODE and said.replace("_", "").isalnum() and said.isascii()
    return said if fine and isinstance(said, str) else "without a reason"


def _nonsense(what: str) -> KeyUnavailable:
    return KeyUnavailable(f"{PARTY} answered with {what}.")


def text(answer: Any, *path: str) -> str | None:
    """The string that stands at ``path`` in an answer, or None."""
    for name in path:
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer if isinstance(answer, str) else None


def strings(answer: Any, *path: str) -> list[str]:
    """The strings of the list at ``path`` in an answer.

    Raises:
        KeyUnavailable: there is none, or other things are in it.
    """
    for name in path:
        answer = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(answer, list) or not all(isinstance(each, str) for each in answer):
        raise _nonsense(f"no list '{path[-1]}'")
    return answer


def decoded(value: str, what: str) -> bytes:
    """What a string in base64 says.

    Raises:
        KeyUnavailable: it is none.
    """
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _nonsense(f"{what} that is no base64") from None
