"""Time-stamp authorities: what each must do, and the client for those that speak RFC 3161 over HTTP."""

import secrets
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Final, Protocol, Self

from asn1crypto import tsp
from asn1crypto.core import ObjectIdentifier
from cryptography import x509

from signing.connection import KeptConnection, Reply
from signing.der import OCTET_STRING, SEQUENCE, inside, integer, number_in, only, tlv
from signing.errors import TimeStampInvalid, TimeStampRefused, TimeStampUnavailable
from signing.tokens import LARGEST_TOKEN, TokenVerifier, verify_token

__all__ = ["LARGEST_STAMP", "HttpTimeStampAuthority", "TimeStampAuthority", "verify_token"]

LARGEST_STAMP: Final = 12 * 1024
"""Bytes kept free for a token. Tokens of qualified authorities with their chain have five to nine thousand."""

_SHA256 = bytes.fromhex("300d06096086480165030402010500")
"""AlgorithmIdentifier of SHA-256 with NULL parameters, as authorities expect it."""

_TRUE = b"\x01\x01\xff"
_GRANTED = frozenset({0, 1})
"""PKIStatus granted and grantedWithMods; the token is checked against what was asked either way."""

_RETRY_STATUS = frozenset({408, 421, 425, 429})
_PASSING_FAILURES = frozenset({"time_not_available", "system_failure"})
_SHA256_SIZE = 32


class TimeStampAuthority(Protocol):
    """Someone who proves that a digest existed at a moment.

    What must hold for every implementation:

    * A returned token was checked: right imprint and nonce, right signature, by a certificate for time-stamping that
      was valid then and leads to a trusted root, at a time near ours.
    * Asking twice is harmless: it gives two tokens.
    * Each call is bounded in time and size and may come from several threads at once.
    """

    def token(self, digest: bytes) -> bytes:
        """A token (DER ContentInfo) over ``digest``, the SHA-256 of anything.

        Raises:
            TimeStampUnavailable: not now; try again later.
            TimeStampInvalid: what came back is not acceptable; try again later or elsewhere.
            TimeStampRefused: the authority won't serve this request, ever.
        """
        ...


class HttpTimeStampAuthority:
    """RFC 3161 over HTTP with connections that stay open (a new one per token costs forty times as much)."""

    def __init__(
        self,
        url: str,
        trust_roots: Sequence[x509.Certificate],
        *,
        timeout: float = 10.0,
        policy: str | None = None,
        skew: timedelta = timedelta(minutes=5),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is connected before the first token.

        Args:
            url: where requests are posted.
            trust_roots: roots the authority's certificate must lead to.
            timeout: seconds for a whole exchange.
            policy: object identifier the tokens must carry; None accepts the authority's own.
            skew: largest difference between a token's time and ``clock``.
            clock: our time, aware.
            headers: further request headers, such as an authorisation.
            tls: context for https addresses; None uses the system's.
        """
        self._open: Callable[[], KeptConnection] = partial(
            KeptConnection,
            url,
            party="The time-stamp authority",
            fault=TimeStampUnavailable,
            timeout=timeout,
            largest_reply=LARGEST_TOKEN,
            tls=tls,
        )
        self._open().close()  # an address that can't be right is refused here, not at the first document
        self._verifier = TokenVerifier(trust_roots, policy=policy)
        self._policy = ObjectIdentifier(policy).dump() if policy else b""
        self._skew = skew
        self._clock = clock
        self._headers = {
            **(headers or {}),
            "Content-Type": "application/timestamp-query",
            "Accept": "application/timestamp-reply",
        }
        self._idle: deque[KeptConnection] = deque()
        self._lock = threading.Lock()
        self._closed = False

    def token(self, digest: bytes) -> bytes:
        """A checked token over ``digest``; see :meth:`TimeStampAuthority.token`."""
        if len(digest) != _SHA256_SIZE:
            raise TimeStampRefused("Time-stamps are made over SHA-256 digests.")
        nonce = secrets.randbits(63) | 1 << 62
        with self._connection() as connection:
            reply = connection.post(self._request(digest, nonce), self._headers)
        token = _granted(reply)
        checked = self._verifier.check(token, algorithm="sha256", imprint=digest, nonce=nonce)
        if abs(checked.gen_time - self._clock()) > self._skew:
            raise TimeStampInvalid("clock", "The time-stamp's time is too far from ours.")
        return token

    def _request(self, digest: bytes, nonce: int) -> bytes:
        imprint = tlv(SEQUENCE, _SHA256, tlv(OCTET_STRING, digest))
        return tlv(SEQUENCE, integer(1), imprint, self._policy, integer(nonce), _TRUE)

    @contextmanager
    def _connection(self) -> Iterator[KeptConnection]:
        with self._lock:
            connection = self._idle.pop() if self._idle else self._open()
        try:
            yield connection
        finally:
            with self._lock:
                keep = not self._closed
                if keep:
                    self._idle.append(connection)
            if not keep:
                connection.close()

    def close(self) -> None:
        """Close the kept connections."""
        with self._lock:
            self._closed = True
            idle = list(self._idle)
            self._idle.clear()
        for connection in idle:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _granted(reply: Reply) -> bytes:
    """The token of a reply that grants one.

    Raises:
        TimeStampUnavailable, TimeStampRefused, TimeStampInvalid: it does not.
    """
    if reply.status in _RETRY_STATUS or reply.status >= 500:  # noqa: PLR2004 - HTTP's class of server errors
        raise TimeStampUnavailable(
            "The time-stamp authority is out of order for now.", context={"status": str(reply.status)}
        )
    if reply.status != 200:  # noqa: PLR2004 - HTTP's OK
        raise TimeStampRefused(
            "The time-stamp authority doesn't serve this request.", context={"status": str(reply.status)}
        )
    if reply.content_type not in {"application/timestamp-reply", "application/timestamp-response"}:
        raise TimeStampInvalid("content_type", "The time-stamp authority answered with something else.")
    try:
        status, *token = inside(only(reply.body), SEQUENCE)
        code = number_in(inside(status, SEQUENCE)[0])
        if code in _GRANTED:
            return token[0].whole
        failures = tsp.PKIStatusInfo.load(status.whole)["fail_info"].native or set()
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise TimeStampInvalid("malformed", "The time-stamp authority's reply is not well formed.") from error
    context = {"status": str(code), "failures": ",".join(sorted(failures))}
    if failures <= _PASSING_FAILURES:
        raise TimeStampUnavailable("The time-stamp authority makes no tokens for now.", context=context)
    raise TimeStampRefused("The time-stamp authority doesn't serve this request.", context=context)
