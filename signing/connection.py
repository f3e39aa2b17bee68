"""One kept HTTP connection whose every exchange is bounded in time and size."""

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from signing.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status, content type without parameters, body."""

    status: int
    content_type: str
    body: bytes


class _Deadlined(io.RawIOBase):
    """Reads a socket until a moment; a peer that drips bytes can't stretch the wait (a plain time-out restarts)."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._sock = sock
        # The socket's own file keeps it open when http.client lets go of it ("Connection: close") before the body.
        self._file = sock.makefile("rb", buffering=0)
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any buffer, as io calls it
        remaining = self._until - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        self._sock.settimeout(remaining)
        return self._file.readinto(buffer) or 0

    def close(self) -> None:
        self._file.close()
        super().close()

    def makefile(self, _mode: str) -> io.BufferedReader:
        """What http.client asks its socket for."""
        return io.BufferedReader(self)


class KeptConnection:
    """An HTTP/1.1 connection that stays open between requests. Not for use by two threads at once."""

    def __init__(
        self,
        url: str,
        *,
        party: str,
        fault: type[Unavailable],
        timeout: float,
        largest_reply: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is connected before the first exchange.

        Args:
            url: scheme, host and port count; its path is where :meth:`post` goes by default.
            party: who is there, as the subject of an error's sentence ("The time-stamp authority").
            fault: what is raised when there is no proper answer in time.
            timeout: seconds for a whole exchange.
            largest_reply: bytes.
            tls: context for https; None uses the system's.

        Raises:
            ValueError: not an address that can be asked.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("an address that is asked starts with http:// or https://")
        self._party, self._fault = party, fault
        self._timeout = timeout
        self._largest = largest_reply
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if parts.scheme == "https":
            context = tls or ssl.create_default_context()
            self._http: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout, context=context
            )
        else:
            self._http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def post(self, body: bytes, headers: Mapping[str, str], *, target: str | None = None) -> Reply:
        """Send ``body`` (to ``target`` on this host, when given) and read the reply; see :meth:`_ask`."""
        return self._ask("POST", target or self._target, body, headers)

    def get(self, headers: Mapping[str, str], *, target: str | None = None) -> Reply:
        """Fetch what is at the address, or at ``target`` on this host; see :meth:`_ask`."""
        return self._ask("GET", target or self._target, None, headers)

    def _ask(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        """One exchange. A kept connection that the other side has closed meanwhile is opened again, once.

        Raises:
            Unavailable: of the kind given: no connection, no complete reply in time, or one that is too large.
        """
        kept = self._http.sock is not None
        try:
            try:
                return self._exchange(method, target, body, headers)
            except (http.client.RemoteDisconnected, ConnectionError):
                if not kept:
                    raise
                self.close()
                return self._exchange(method, target, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise self._fault(
                f"{self._party} could not be reached or did not answer properly in time.",
                context={"fault": type(error).__name__},
            ) from error
        except Unavailable:
            self.close()
            raise

    def _exchange(self, method: str, target: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        until = time.monotonic() + self._timeout
        if self._http.sock is not None:
            self._http.sock.settimeout(self._timeout)
        self._http.response_class = lambda sock, *args, **named: http.client.HTTPResponse(  # type: ignore[assignment]
            _Deadlined(sock, until),  # type: ignore[arg-type] # only makefile() is used of it
            *args,
            **named,
        )
        self._http.request(method, target, body, dict(headers))
        with self._http.getresponse() as response:
            content = response.read(self._largest + 1)
            if len(content) > self._largest:
                raise self._fault(f"The reply of {self._party[0].lower()}{self._party[1:]} is too large.")
            if response.length:
                raise http.client.IncompleteRead(content, response.length)
            kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
            return Reply(response.status, kind, content)

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        self._http.close()
