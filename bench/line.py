"""One kept connection to the service, for programs that hand in."""

import re
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_SECONDS = 30.0


class Line:
    """A connection that stays for many requests, and is made anew when it breaks; for one thread at a time.

    It stands for a program on somebody else's machine and takes its share of this one's processors, so it does no more
    than HTTP/1.1 asks for: one message out, an answer of a stated length in.
    """

    def __init__(self, base_url: str, path: str, headers: Mapping[str, str]) -> None:
        """Nothing is connected before the first request; ``headers`` go with each."""
        parts = urlsplit(base_url)
        self._address = (str(parts.hostname), parts.port or 80)
        self._head = f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{_written(headers)}"
        self._socket: socket.socket | None = None

    def close(self) -> None:
        """Close; a later request connects again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Send once; the answer's status and content.

        Raises:
            OSError: the connection broke; it may have arrived or not.
        """
        try:
            return self._exchange(headers, body)
        except OSError:
            self.close()
            raise

    def _exchange(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        line = self._socket = self._socket or socket.create_connection(self._address, timeout=_SECONDS)
        line.sendall(f"{self._head}{_written(headers)}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        found = _more(line)
        while (end := found.find(b"\r\n\r\n")) < 0:
            found += _more(line)
        head, content = found[:end], found[end + 4 :]
        length = _LENGTH.search(head)
        if length is None:
            raise ConnectionError("an answer that does not say its length")
        while len(content) < int(length[1]):
            content += _more(line)
        if _CLOSES.search(head):
            self.close()
        return int(head.split(b" ", 2)[1]), content


def _written(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _more(line: socket.socket) -> bytes:
    piece = line.recv(65536)
    if not piece:
        raise ConnectionResetError
    return piece
