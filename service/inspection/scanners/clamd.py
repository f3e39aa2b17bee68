"""ClamAV's daemon, spoken to with INSTREAM (clamd(8), "COMMANDS") over a Unix socket or TCP.

For the daemon's settings: ``StreamMaxLength`` at least as large as the largest document (it refuses what is larger),
``MaxFileSize`` and ``MaxScanSize`` too, and ``AlertExceedsMax yes``: without it the daemon calls "OK" what it only
read in part.
"""

import re
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.domain.errors import Retryable
from service.inspection.scanners.base import ScanResult, ScanState

_CHUNK: Final = 1 << 16
_LENGTH: Final = struct.Struct(">I")
_LONGEST_REPLY: Final = 4096
_FOUND: Final = re.compile(r"stream: (?P<signature>[^\x00-\x1f]{1,200}) FOUND")
_UNAVAILABLE: Final = "The malware scanner cannot be reached at the moment. Try again in a few minutes."


@dataclass(frozen=True, slots=True)
class ClamdScanner:
    """A scanner at ``address``: the path of a Unix socket, or host and port.

    ``connect_seconds`` bounds the connection, ``scan_seconds`` each part from then to the answer.
    """

    address: Path | tuple[str, int]
    connect_seconds: float = 5.0
    scan_seconds: float = 60.0

    def scan(self, parts: Sequence[bytes]) -> ScanResult:
        """Stream each part to the daemon, in order, until one is infected.

        Raises:
            Retryable: the daemon cannot be reached, does not answer in time, or answers anything but OK or FOUND.
        """
        for part in parts:
            reply = self._ask(b"INSTREAM", part)
            found = _FOUND.fullmatch(reply)
            if found is not None:
                return ScanResult(ScanState.INFECTED, found["signature"])
            if reply != "stream: OK":
                reason = "size_limit" if "size limit" in reply else "unexpected_reply"
                raise Retryable(_UNAVAILABLE, context={"scanner": "clamd", "reason": reason})
        return ScanResult(ScanState.CLEAN)

    def ready(self) -> bool:
        """Whether the daemon answers a ping."""
        try:
            return self._ask(b"PING", None) == "PONG"
        except Retryable:
            return False

    def _ask(self, command: bytes, part: bytes | None) -> str:
        try:
            with self._connected() as connection:
                deadline = time.monotonic() + self.scan_seconds
                connection.settimeout(self.scan_seconds)
                connection.sendall(b"z" + command + b"\0")
                if part is not None:
                    _stream(connection, part, deadline)
                return _reply(connection, deadline)
        except OSError as error:
            context = {"scanner": "clamd", "reason": type(error).__name__}
            raise Retryable(_UNAVAILABLE, context=context) from error

    def _connected(self) -> socket.socket:
        if isinstance(self.address, tuple):
            return socket.create_connection(self.address, timeout=self.connect_seconds)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.connect_seconds)
            connection.connect(str(self.address))
        except OSError:
            connection.close()
            raise
        return connection


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _stream(connection: socket.socket, part: bytes, deadline: float) -> None:
    view = memoryview(part)
    try:
        for at in range(0, len(view), _CHUNK):
            piece = view[at : at + _CHUNK]
            connection.settimeout(_remaining(deadline))
            connection.sendall(_LENGTH.pack(len(piece)))
            connection.sendall(piece)
        connection.sendall(_LENGTH.pack(0))
    except (BrokenPipeError, ConnectionResetError):
        # Over its limit the daemon answers and hangs up; the answer, where one came, says more than the broken pipe.
        return


def _reply(connection: socket.socket, deadline: float) -> str:
    reply = b""
    while not reply.endswith(b"\0"):
        if len(reply) > _LONGEST_REPLY:
            raise ConnectionError("the scanner's answer does not end")
        connection.settimeout(_remaining(deadline))
        piece = connection.recv(_LONGEST_REPLY)
        if not piece:
            break
        reply += piece
    return reply.rstrip(b"\0").decode("utf-8", "replace").strip()
