"""The one way out over HTTP: where calls may go, and what they may take.

An address that somebody else chose (a document of an identity provider, later a webhook) must not lead into our own
network. So the name is resolved once, every address it has is judged, and the connection goes to an address that was
judged: a name that answers differently the second time gains nothing. TLS still checks the certificate for the name.

Hosts that whoever runs the service has set by hand may be anywhere: that is what their settings are for.
"""

import functools
import socket
import ssl
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore
import httpx

SECONDS: Final = 5.0
_CONNECTIONS: Final = httpx.Limits(max_connections=20, max_keepalive_connections=5)
# Prefixes by which an IPv6 address carries an IPv4 one that a translator on the way would go to.
_NAT64: Final = int(IPv6Address("64:ff9b::")) >> 32


class DestinationRefused(httpcore.ConnectError):
    """The host leads to an address that no call of ours may go to."""


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet: not of this machine, a private network, a link or nobody's."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        carried = _carried(found)
        if carried is not None:
            return is_public(str(carried))
    return found.is_global and not found.is_multicast and not found.is_reserved


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

    def addresses(self, host: str, port: int) -> list[str]:
        """The addresses to connect to, all of them judged.

        Raises:
            DestinationRefused: one of them is not public, and the host is not trusted.
            httpcore.ConnectError: the name has none.
        """
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("the name can't be resolved") from None
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        if host.lower() not in self._trusted and not all(is_public(each) for each in addresses):
            raise DestinationRefused("the address is not one that calls may go to")
        return addresses


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
        for address in self._destinations.addresses(host, port):
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed

    def connect_unix_socket(self, *_given: Any, **_more: Any) -> httpcore.NetworkStream:
        raise DestinationRefused("calls go over networks only")


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
