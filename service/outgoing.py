"""The one way out over HTTP: where calls may go, and what they may take.

An address that somebody else chose (a document of an identity provider, a webhook) must not lead into our own
network. So the name is resolved once, every address it has is judged, and the connection goes to an address that was
judged: a name that answers differently the second time gains nothing. TLS still checks the certificate for the name.

Hosts that whoever runs the service has set by hand may be anywhere: that is what their settings are for.
"""

import contextlib
import functools
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore
import httpx

SECONDS: Final = 5.0
_CONNECTIONS: Final = httpx.Limits(max_connections=20, max_keepalive_connections=5)
# Prefixes by which an IPv6 address carries an IPv4 one that a translator on the way would go to.
_NAT64: Final = int(IPv6Address("64:ff9b::")) >> 32
# No networks that anybody should be called in, whatever Python's tables say: 6to4's relays, which hand packets on to
# wherever they like; an older kind of private addresses; addresses for documents.
_MORE: Final = (ip_network("192.88.99.0/24"), ip_network("fec0::/10"), ip_network("3fff::/20"))
_BODY: Final = 16 * 1024
_LOOKUPS: Final = threading.BoundedSemaphore(32)
"""Names that a process looks up at a time; a look-up can't be told to stop: one that nobody waits for counts too."""
REFUSED: Final = "address_refused"
"""What is wrong with a call to an address inside; for our own eyes, as it says what there is in our network."""
_ENDS: ContextVar[float | None] = ContextVar("ends", default=None)
"""When the exchange that runs in this context must be over, by the monotonic clock."""


class DestinationRefused(httpcore.ConnectError):
    """The host leads to an address that no call of ours may go to."""


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet: not of this machine, a private network, a link or nobody's."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        carried = _carried(found)
        if carried is not None:
            return is_public(str(carried))
    return (
        found.is_global
        and not found.is_multicast
        and not found.is_reserved
        and not any(found.version == each.version and found in each for each in _MORE)
    )


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if int(address) >> 32 == _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class Destinations:
    """Judges where a connection may go.

    Args:
        trusted: hosts, as names or addresses, that whoever runs the service has set; they may be anywhere.
    """

    def __init__(self, trusted: Collection[str] = ()) -> None:
        self._trusted = frozenset(host.lower() for host in trusted)

    def addresses(self, host: str, port: int, *, seconds: float = SECONDS) -> list[str]:
        """The addresses to connect to, all of them judged.

        Raises:
            DestinationRefused: one of them is not public, and the host is not trusted.
            httpcore.ConnectError: the name has none.
            httpcore.ConnectTimeout: that was not known within ``seconds``.
        """
        addresses = _looked_up(host, port, seconds)
        if host.lower() not in self._trusted and not all(is_public(each) for each in addresses):
            raise DestinationRefused("the address is not one that calls may go to")
        return addresses


def _looked_up(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a name; the system's resolver takes its own time, so it is asked by a thread of its own."""
    ends = time.monotonic() + seconds
    answer: Future[list[str]] = Future()
    lookups = _LOOKUPS

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.set_result(list(dict.fromkeys(str(each[4][0]) for each in found)))
        except Exception as error:  # noqa: BLE001  raised again for whoever waits
            answer.set_exception(error)
        finally:
            lookups.release()

    if not lookups.acquire(timeout=seconds):
        raise httpcore.ConnectTimeout("too many names are looked up")
    try:
        # A daemon: no process waits for a resolver to end.
        threading.Thread(target=ask, name="lookup", daemon=True).start()
    except RuntimeError:
        lookups.release()
        raise
    try:
        return answer.result(max(0.0, ends - time.monotonic()))
    except TimeoutError:
        raise httpcore.ConnectTimeout("the name took too long") from None
    except (OSError, UnicodeError):
        raise httpcore.ConnectError("the name can't be resolved") from None


class _GuardedBackend(httpcore.SyncBackend):
    def __init__(self, destinations: Destinations) -> None:
        self._destinations = destinations

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failed: Exception = httpcore.ConnectError("the name has no address")
        left = _left(timeout, httpcore.ConnectTimeout)
        for address in self._destinations.addresses(host, port, seconds=SECONDS if left is None else left):
            try:
                left = _left(timeout, httpcore.ConnectTimeout)
                return _Bounded(super().connect_tcp(address, port, left, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    def connect_unix_socket(self, *_given: Any, **_more: Any) -> httpcore.NetworkStream:
        raise DestinationRefused("calls go over networks only")


class _Bounded(httpcore.NetworkStream):
    """A connection of which no step outlasts the exchange it is for: whoever answers byte by byte gains nothing."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None, late: type[Exception]) -> float | None:
    """The seconds that a step may take: its own, and no more than are left of the exchange."""
    ends = _ENDS.get()
    if ends is None:
        return timeout
    left = ends - time.monotonic()
    if left <= 0:
        raise late("the exchange took too long")
    return left if timeout is None else min(timeout, left)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Bound what goes over the network inside, all steps together."""
    token = _ENDS.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ENDS.reset(token)


class _GuardedTransport(httpx.HTTPTransport):
    def __init__(self, destinations: Destinations, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, limits=_CONNECTIONS, trust_env=False)
        self._pool.close()
        # The only way to give httpx a backend of one's own; a test sees that the guard is asked.
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=_CONNECTIONS.max_connections,
            max_keepalive_connections=_CONNECTIONS.max_keepalive_connections,
            keepalive_expiry=_CONNECTIONS.keepalive_expiry,
            network_backend=_GuardedBackend(destinations),
        )


@functools.cache
def _tls() -> ssl.SSLContext:
    """Whom we believe over TLS: read once, for all clients of the process."""
    return httpx.create_ssl_context()


def http_client(trusted: Collection[str] = (), *, seconds: float = SECONDS) -> httpx.Client:
    """A client for calls to others: guarded, bounded in time, without redirects, cookies of proxies or our version.

    Args:
        trusted: as of ``Destinations``.
        seconds: for each step of an exchange; whoever reads an answer bounds the whole (``fetching.fetch_json``).
    """
    return httpx.Client(
        transport=_GuardedTransport(Destinations(trusted), _tls()),
        timeout=httpx.Timeout(seconds),
        follow_redirects=False,
        # A proxy from the environment would connect in our place, to wherever it can.
        trust_env=False,
        headers={"accept": "application/json", "user-agent": "zending"},
    )


def hosts_of(urls: Iterable[str]) -> frozenset[str]:
    """The hosts of addresses that stand in settings."""
    return frozenset(host for url in urls if (host := urlsplit(url).hostname))


@dataclass(frozen=True, slots=True)
class Reply:
    """How a call ended: a status code, or the class of what went wrong; of the answer itself nothing is kept.

    Attributes:
        status: of the answer; None when there was none.
        error: ``REFUSED``, ``timeout``, ``unreachable`` or ``broken``; None when there was an answer.
        retry_after: the header of that name.
        seconds: how long it took.
    """

    status: int | None
    error: str | None
    retry_after: str | None
    seconds: float


class Poster:
    """Posts to addresses that others chose.

    Args:
        trusted: as of ``Destinations``.
        seconds: for a whole exchange.
    """

    def __init__(self, trusted: Collection[str] = (), *, seconds: float = SECONDS) -> None:
        self.trusted = frozenset(host.lower() for host in trusted)
        self._seconds = seconds

    def refuses(self, url: str) -> bool:
        """Whether nothing would be sent there today: the name is nobody's, or leads to an address inside."""
        parts = urlsplit(url)
        try:
            Destinations(self.trusted).addresses(parts.hostname or "", parts.port or 443, seconds=self._seconds)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            return True
        return False

    @contextlib.contextmanager
    def line(self) -> Iterator["Line"]:
        """For several posts to one receiver, whose connections are kept; safe for several threads."""
        with http_client(self.trusted, seconds=self._seconds) as client:
            yield Line(client, self._seconds)


class Line:
    """Posts one after the other, or side by side."""

    def __init__(self, client: httpx.Client, seconds: float) -> None:
        self._client, self._seconds = client, seconds

    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Reply:
        """Post once; of what is answered only the head is looked at."""
        began = time.monotonic()
        status, error, retry_after = None, None, None
        try:
            with (
                within(self._seconds),
                self._client.stream("POST", url, content=content, headers=dict(headers)) as answer,
            ):
                status, retry_after = answer.status_code, answer.headers.get("retry-after")
                _let_by(answer)
        except httpx.HTTPError as failure:
            error = _class_of(failure)
        except (httpx.InvalidURL, ValueError):
            error = "broken"
        return Reply(status, error, retry_after, time.monotonic() - began)


def _let_by(answer: httpx.Response) -> None:
    """Take a short body off the line, so that the connection serves the next call; a long one ends the connection."""
    taken = 0
    with contextlib.suppress(httpx.HTTPError):
        for part in answer.iter_raw():
            taken += len(part)
            if taken > _BODY:
                return


def _class_of(failure: httpx.HTTPError) -> str:
    causes = list(_causes(failure))
    if any(isinstance(each, DestinationRefused) for each in causes):
        return REFUSED
    if isinstance(failure, httpx.TimeoutException):
        return "timeout"
    if any(isinstance(each, ssl.SSLError) for each in causes):
        # Somebody is there, and it is not whom we may speak to, or speaks no TLS.
        return "broken"
    return "unreachable" if isinstance(failure, httpx.ConnectError) else "broken"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
