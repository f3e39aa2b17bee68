"""A mail sink for demonstrations and tests: takes every message by SMTP and keeps it as a file; sends nothing on.

``python -m service.embedded.mail --port N --folder DIR`` listens on 127.0.0.1 until it is told to end. Each accepted
message is one ``.eml`` file, readable for its owner only and durable before the sender gets its 250, named by time and
a random part; its envelope stands above it as ``Return-Path`` and ``Delivered-To``.

Faults for tests, by the start of the recipient's address: ``bounce`` is refused for good (550), ``later`` for now
(451), ``spam`` after the data (554), ``hangup`` ends the connection without an answer. What comes back later, and
where to: `service.embedded.bouncing`.
"""

import argparse
import asyncio
import os
import secrets
import signal
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from pathlib import Path
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from service.embedded import bouncing

HOST = "127.0.0.1"
MAX_MESSAGE = 1024 * 1024
_REFUSED = "550 5.1.1 No such mailbox"
_LATER = "451 4.3.0 Try again later"
_UNWANTED = "554 5.6.0 Message refused"


@dataclass(frozen=True, slots=True)
class Tls:
    """How the sink encrypts: at once (as ``smtps`` does), or when the sender says STARTTLS, which is then required."""

    certificate: Path
    key: Path
    at_once: bool

    def context(self) -> ssl.SSLContext:
        """Make the server's side of TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        return context


def keep(folder: Path, content: bytes, *, now: datetime) -> Path:
    """Write one message so that it survives a crash once this returns.

    The file appears under its final name only when it is whole: readers of the folder see no half message.
    """
    name = f"{now:%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(8)}"
    fresh, final = folder / f".{name}.tmp", folder / f"{name}.eml"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(final)
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return final


class Sink:
    """The handler that aiosmtpd calls for each recipient and each message.

    Args:
        folder: where messages go.
        port: where this server listens, for what it sends back.
        returns: the address of bounces, and the Maildir for its mail; None: nothing comes back.
    """

    def __init__(self, folder: Path, port: int, returns: tuple[str, Path] | None) -> None:
        self._folder, self._port = folder, port
        self._address = None if returns is None else returns[0]
        self._maildir = None if returns is None else returns[1]
        self._returning: set[asyncio.Task[None]] = set()

    async def handle_RCPT(  # noqa: N802  the library's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Take the recipient, or refuse it as its address asks for."""
        if address.startswith("bounce") and not bouncing.is_for(self._address, address):
            return _REFUSED
        if address.startswith("later"):
            return _LATER
        if address.startswith("hangup"):
            cast("asyncio.Transport", server.transport).abort()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  likewise
        """Keep the message; only then say that it was taken."""
        if any(address.startswith("spam") for address in envelope.rcpt_tos):
            return _UNWANTED
        head = [f"Return-Path: <{envelope.mail_from}>", *(f"Delivered-To: {to}" for to in envelope.rcpt_tos)]
        body = envelope.original_content or b""
        content = "".join(f"{line}\r\n" for line in head).encode() + body
        if self._maildir is not None and all(bouncing.is_for(self._address, to) for to in envelope.rcpt_tos):
            await asyncio.to_thread(bouncing.deliver, self._maildir, content)
            return "250 OK"
        await asyncio.to_thread(keep, self._folder, content, now=datetime.now(UTC))
        if self._maildir is not None:
            for to in envelope.rcpt_tos:
                self._answer(envelope.mail_from or "", to, body)
        return "250 OK"

    def _answer(self, sender: str, recipient: str, body: bytes) -> None:
        message = bouncing.answer(sender, recipient, body, now=datetime.now(UTC))
        if message is not None:
            task = asyncio.create_task(asyncio.to_thread(bouncing.send_back, self._port, message))
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)


def _authenticator(login: str) -> Any:
    name, _, password = login.partition(":")

    def check(_server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: object) -> AuthResult:
        known = (
            mechanism in {"LOGIN", "PLAIN"}
            and isinstance(data, LoginPassword)
            and compare_digest(data.login, name.encode())
            and compare_digest(data.password, password.encode())
        )
        return AuthResult(success=known, handled=False)

    return check


async def serve(
    folder: Path,
    port: int,
    *,
    also: str | None = None,
    tls: Tls | None = None,
    login: str | None = None,
    returns: tuple[str, Path] | None = None,
) -> None:
    """Take mail until SIGTERM or SIGINT.

    Args:
        folder: an existing one, where the messages go.
        port: on 127.0.0.1.
        also: a further address on which to listen.
        tls: how to encrypt; None for plain text.
        login: ``name:password`` that senders must give, or None for everybody; asks for ``tls``.
        returns: as of :class:`Sink`; not together with ``tls``.
    """
    context = tls.context() if tls else None
    implicit = tls is not None and tls.at_once
    loop = asyncio.get_running_loop()
    sink = Sink(folder, port, returns)

    def session() -> SMTP:
        return SMTP(
            sink,
            data_size_limit=MAX_MESSAGE,
            hostname="mail.zending.test",
            ident="Zending mail sink",
            enable_SMTPUTF8=True,
            loop=loop,
            tls_context=None if implicit else context,
            require_starttls=context is not None and not implicit,
            authenticator=_authenticator(login) if login else None,
            auth_required=login is not None,
            auth_require_tls=not implicit,
        )

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(
        session, [HOST] if also is None else [HOST, also], port, ssl=context if implicit else None
    )
    async with server:
        await stopped.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mail sink from the command line."""
    parser = argparse.ArgumentParser(prog="python -m service.embedded.mail", description=main.__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, help="PEM file; turns STARTTLS on")
    parser.add_argument("--key", type=Path, help="PEM file of the certificate's key")
    parser.add_argument("--tls-at-once", action="store_true", help="TLS from the first byte, as smtps does")
    parser.add_argument("--login", help="name:password that senders must give")
    parser.add_argument("--also", help="an address of this machine besides 127.0.0.1 on which to listen")
    parser.add_argument("--bounces", help="the address to which mail comes back that could not be delivered")
    parser.add_argument("--maildir", type=Path, help="where mail for that address goes")
    given = parser.parse_args(arguments)
    given.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tls = Tls(given.certificate, given.key, given.tls_at_once) if given.certificate and given.key else None
    returns = (given.bounces, given.maildir) if given.bounces and given.maildir else None
    asyncio.run(serve(given.folder, given.port, also=given.also, tls=tls, login=given.login, returns=returns))
    return 0


if __name__ == "__main__":
    sys.exit(main())
