"""Asking many addresses, each over a connection that stays open, bounded in time and size."""

import threading
from urllib.parse import urlsplit

from signing.connection import KeptConnection, Reply
from signing.errors import Unavailable

LARGEST_REPLY = 32 * 1024 * 1024
"""Bytes. Lists of revoked certificates of national cards have some millions."""

_OK = 200
_MOST_HOSTS = 32


class Asking:
    """Keeps a connection per host. Safe to share between threads; each host is asked by one at a time."""

    def __init__(
        self,
        *,
        party: str,
        fault: type[Unavailable],
        timeout: float = 10.0,
        largest_reply: int = LARGEST_REPLY,
        proxy: str | None = None,
    ) -> None:
        """Nothing is connected yet.

        Args:
            party: who is asked, as the subject of an error's sentence.
            fault: what is raised when there is no proper answer.
            timeout: seconds for a whole exchange.
            largest_reply: bytes.
            proxy: address of a forward proxy that is asked in place of every http host; https goes directly.
        """
        self._proxy = proxy
        self._party, self._fault = party, fault
        self._timeout, self._largest = timeout, largest_reply
        self._kept: dict[str, tuple[KeptConnection, threading.Lock]] = {}
        self._lock = threading.Lock()

    def get(self, url: str, *, accept: str) -> bytes:
        """What is at ``url``.

        Raises:
            Unavailable: of the kind given.
        """
        connection, lock = self._connection(url)
        with lock:
            reply = connection.get({"Accept": accept}, target=self._target(url))
        return self._body(reply, None)

    def post(self, url: str, body: bytes, *, kind: str, expected: str) -> bytes:
        """The answer to ``body``, which is of content type ``kind``; it must be of type ``expected``.

        Raises:
            Unavailable: of the kind given.
        """
        connection, lock = self._connection(url)
        with lock:
            reply = connection.post(body, {"Content-Type": kind, "Accept": expected}, target=self._target(url))
        return self._body(reply, expected)

    def _connection(self, url: str) -> tuple[KeptConnection, threading.Lock]:
        asked = self._proxy if self._proxy and url.startswith("http://") else url
        parts = urlsplit(asked)
        host = f"{parts.scheme}://{parts.netloc}"
        with self._lock:
            if host not in self._kept:
                if len(self._kept) >= _MOST_HOSTS:
                    self._close_all()
                try:
                    made = KeptConnection(
                        asked,
                        party=self._party,
                        fault=self._fault,
                        timeout=self._timeout,
                        largest_reply=self._largest,
                    )
                except ValueError as error:
                    raise self._fault(f"{self._party} names an address that can't be asked.") from error
                self._kept[host] = made, threading.Lock()
            return self._kept[host]

    def _target(self, url: str) -> str:
        if self._proxy and url.startswith("http://"):
            return url  # the absolute form is how a proxy is asked (RFC 9112, 3.2.2)
        parts = urlsplit(url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def _body(self, reply: Reply, expected: str | None) -> bytes:
        if reply.status != _OK:
            raise self._fault(f"{self._party} did not answer as asked.", context={"fault": f"status_{reply.status}"})
        if expected is not None and reply.content_type != expected:
            raise self._fault(f"{self._party} answered with something else.", context={"fault": "content_type"})
        return reply.body

    def _close_all(self) -> None:
        for connection, _ in self._kept.values():
            connection.close()
        self._kept.clear()

    def close(self) -> None:
        """Close the kept connections; the next question opens them again."""
        with self._lock:
            self._close_all()
