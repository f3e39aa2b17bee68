"""Notices by e-mail over SMTP (RFC 5321), one kept connection per chunk."""

import hashlib
import re
import smtplib
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import parseaddr
from urllib.parse import parse_qs, unquote, urlsplit

from service.domain.errors import Invalid
from service.notifications.base import Notice, Outcome, Result, checked_address
from service.notifications.envelopes import Envelopes
from service.notifications.texts import compose, one_line

SECONDS_PER_CALL = 10.0
SECONDS_PER_CHUNK = 60.0
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_PERMANENT = 500
_CLOSING = 421
# Replies that speak of us, not of the recipient: the operator repairs them and the notices go out after all.
_OURS = frozenset({530, 534, 535, 538})
_ENHANCED = re.compile(rb"5\.\d{1,3}\.\d{1,3}(?!\d)")


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed over, as a URL says it.

    ``smtp://host:port`` is plain text, ``smtp+starttls://`` must be able to encrypt, ``smtps://`` encrypts at once.
    Name and password stand percent-encoded before the host; ``?ca=FILE`` trusts another authority than the system's.
    """

    host: str
    port: int
    scheme: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    @classmethod
    def parse(cls, url: str) -> "MailServer":
        """Read the URL.

        Raises:
            ValueError: with a sentence that says what to change, and without the password.
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("the mail server must be a URL with smtp://, smtp+starttls:// or smtps:// and a host")
        if (parts.username is None) != (parts.password is None):
            raise ValueError("the mail server's URL needs both a name and a password, or neither")
        if parts.username is not None and parts.scheme == "smtp":
            raise ValueError("a password must not travel in plain text: use smtp+starttls:// or smtps://")
        user = None if parts.username is None else unquote(parts.username)
        password = None if parts.password is None else unquote(parts.password)
        if not ((user or "") + (password or "")).isascii():
            raise ValueError("the mail server's name and password must be plain ASCII")  # all that smtplib can send
        return cls(
            host=parts.hostname,
            port=parts.port or _PORTS[parts.scheme],
            scheme=parts.scheme,
            user=user,
            password=password,
            ca_file=next(iter(parse_qs(parts.query).get("ca", [])), None),
        )


class SmtpNotifier:
    """A :class:`service.notifications.base.Notifier` that speaks SMTP.

    Args:
        url: see :class:`MailServer`.
        sender: ``Name <address>``; the name signs the messages, the address takes bounces where nothing else does.
        envelopes: names each notice in its envelope sender, so that what comes back says which it is about.
        seconds_per_call: how long one answer of the server may take.
        seconds_per_chunk: after this no further notice of a chunk is begun.
    """

    def __init__(
        self,
        url: str,
        sender: str,
        *,
        envelopes: Envelopes | None = None,
        seconds_per_call: float = SECONDS_PER_CALL,
        seconds_per_chunk: float = SECONDS_PER_CHUNK,
    ) -> None:
        self._server = MailServer.parse(url)
        name, address = parseaddr(sender)
        try:
            # What comes after a line break is dropped by some versions of the parser and kept by others.
            self._address = checked_address("" if set(sender) & set("\r\n") else address)
        except Invalid:
            raise ValueError("the sender of notices must be an e-mail address, or a name and <address>") from None
        self._name = one_line(name) or self._address
        self._envelopes = envelopes
        self._seconds_per_call, self._seconds_per_chunk = seconds_per_call, seconds_per_chunk

    def send_many(self, notices: Sequence[Notice], *, now: datetime) -> list[Outcome]:
        """Send a chunk over one connection; a connection lost on the way is made anew once per notice."""
        deadline = time.monotonic() + self._seconds_per_chunk
        connection = _Connection(self._server, self._seconds_per_call)
        outcomes: list[Outcome] = []
        try:
            for notice in notices:
                if time.monotonic() > deadline:
                    outcomes.append(Outcome(notice.reference, Result.RETRYABLE, "out_of_time"))
                else:
                    outcomes.append(self._send(connection, notice, now))
        finally:
            connection.close()
        return outcomes

    def message(self, notice: Notice, to: str, *, now: datetime) -> EmailMessage:
        """Write the message of a notice; the same notice always gets the same Message-ID."""
        text = compose(notice.what, notice.language, service=self._name)
        # A cut-off hash: the reference itself names a delivery, which is nobody's business on the way.
        identity = hashlib.sha256(notice.reference.encode()).hexdigest()[:40]
        local, _, domain = self._address.rpartition("@")
        message = EmailMessage(policy=SMTP_POLICY)
        message["From"] = Address(self._name, local, domain)
        to_local, _, to_domain = to.rpartition("@")
        message["To"] = Address("", to_local, to_domain)
        message["Subject"] = text.subject
        message["Date"] = now
        message["Message-ID"] = f"<{identity}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday answers, please
        message["X-Auto-Response-Suppress"] = "All"
        message.set_content(text.body, charset="utf-8", cte="quoted-printable")
        message["Content-Language"] = notice.language.value  # after the content, which takes such headers away
        return message

    def _send(self, connection: "_Connection", notice: Notice, now: datetime) -> Outcome:
        try:
            to = checked_address(notice.to)
        except Invalid:
            return Outcome(notice.reference, Result.REFUSED, "address_invalid")
        data = self.message(notice, to, now=now).as_bytes()
        sender = self._address
        if self._envelopes is not None and notice.about is not None:
            sender = self._envelopes.sender(notice.about)
        failure = connection.send(sender, to, data)
        if failure is None:
            return Outcome(notice.reference, Result.SENT)
        return Outcome(notice.reference, failure.result, failure.reason, failure.status, failure.enhanced)


@dataclass(frozen=True, slots=True)
class _Failure:
    result: Result
    reason: str
    status: int | None = None
    enhanced: str | None = None


class _Lost(Exception):
    """The connection is gone; another may do."""


class _Connection:
    """One connection to the server, made when needed and made anew when lost."""

    def __init__(self, server: MailServer, seconds: float) -> None:
        self._server, self._seconds = server, seconds
        self._smtp: smtplib.SMTP | None = None
        self._unusable: _Failure | None = None

    def send(self, sender: str, to: str, data: bytes) -> _Failure | None:
        """Send one message; None when the server took it."""
        fresh = self._smtp is None
        try:
            return self._try(sender, to, data)
        except _Lost:
            # A kept connection may have been closed while idle or after so many messages: that says nothing of this
            # message. A fresh one that breaks does.
            if fresh:
                return _Failure(Result.RETRYABLE, "no_connection")
        try:
            return self._try(sender, to, data)
        except _Lost:
            return _Failure(Result.RETRYABLE, "no_connection")

    def close(self) -> None:
        """Say goodbye; a server that no longer listens is left alone."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            try:
                smtp.quit()
            except (OSError, smtplib.SMTPException):
                smtp.close()

    def _try(self, sender: str, to: str, data: bytes) -> _Failure | None:
        if self._smtp is None:
            if self._unusable is None:
                self._unusable = self._open()
            if self._unusable is not None:
                return self._unusable  # every further notice of the chunk would meet the same
        assert self._smtp is not None
        try:
            self._smtp.sendmail(sender, [to], data)
        except smtplib.SMTPRecipientsRefused as refused:
            return self._judge(*refused.recipients[to], "mailbox_refused")
        except smtplib.SMTPSenderRefused as refused:
            if refused.smtp_code == _CLOSING:
                self._drop()
                raise _Lost from None
            return _Failure(Result.RETRYABLE, "sender_refused", refused.smtp_code)
        except smtplib.SMTPDataError as refused:
            return self._judge(refused.smtp_code, refused.smtp_error, "message_refused")
        except (OSError, smtplib.SMTPException):
            self._drop()
            raise _Lost from None
        return None

    def _judge(self, status: int, text: bytes | str, final_reason: str) -> _Failure:
        if status == _CLOSING:
            self._drop()
        if status in _OURS:
            return _Failure(Result.RETRYABLE, "login_refused", status)
        if status >= _PERMANENT:
            said = _ENHANCED.match(text if isinstance(text, bytes) else text.encode())
            return _Failure(Result.REFUSED, final_reason, status, said[0].decode() if said else None)
        return _Failure(Result.RETRYABLE, "try_later", status)

    def _drop(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
            self._smtp = None

    def _open(self) -> _Failure | None:
        """Connect, encrypt and log in as the URL says; on success the connection is kept and None returned."""
        server = self._server
        smtp: smtplib.SMTP | None = None
        try:
            if server.scheme == "smtps":
                smtp = smtplib.SMTP_SSL(server.host, server.port, timeout=self._seconds, context=self._context())
            else:
                smtp = smtplib.SMTP(server.host, server.port, timeout=self._seconds)
            if server.scheme == "smtp+starttls":
                smtp.starttls(context=self._context())
            if server.user is not None and server.password is not None:
                smtp.login(server.user, server.password)
        except (smtplib.SMTPException, OSError) as error:
            if smtp is not None:
                smtp.close()
            return _opening_failure(error)
        self._smtp = smtp
        return None

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._server.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def _opening_failure(error: Exception) -> _Failure:
    """Nothing that happens before the first message speaks of a recipient: it is always retryable."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return _Failure(Result.RETRYABLE, "login_refused", error.smtp_code)
    if isinstance(error, ssl.SSLError | smtplib.SMTPNotSupportedError):
        return _Failure(Result.RETRYABLE, "tls_failed")
    if isinstance(error, smtplib.SMTPResponseException):
        return _Failure(Result.RETRYABLE, "no_connection", error.smtp_code)
    return _Failure(Result.RETRYABLE, "no_connection")
