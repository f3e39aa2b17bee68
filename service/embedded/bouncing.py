"""The mail sink's returned mail: what it took for a mailbox that is not there comes back by SMTP, as servers do it.

A message for an address that begins with ``gone`` is accepted, and then a delivery report (RFC 3464) goes to its
envelope sender; for ``slow`` the report says that it is delayed, for ``away`` somebody's holiday message answers
(RFC 3834). Mail for the address of bounces is delivered into a Maildir, as an operator's mail server would.
"""

import os
import secrets
import smtplib
from datetime import UTC, datetime
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from pathlib import Path
from typing import Final

HOST: Final = "mail.zending.test"
_SECONDS: Final = 10.0
_REPORTS: Final = {"gone": ("failed", "5.1.1"), "slow": ("delayed", "4.4.1")}


def answer(sender: str, recipient: str, content: bytes, *, now: datetime) -> Message | None:
    """What comes back for a message, to be sent by nobody to its envelope sender; None where nothing does."""
    start = next((start for start in (*_REPORTS, "away") if recipient.startswith(start)), None)
    if start is None or not sender:
        return None
    if start == "away":
        message: Message = MIMEText("I am away until Monday. 550 5.1.1 is what I would say if I were gone.\n")
        message["From"] = recipient
        message["Subject"] = "Auto: away"
    else:
        message = _report(recipient, content, *_REPORTS[start])
    message["To"] = sender
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{secrets.token_hex(16)}@{HOST}>"
    message["Auto-Submitted"] = "auto-replied"
    return message


def _report(recipient: str, content: bytes, action: str, status: str) -> Message:
    message = MIMEMultipart("report")
    message.set_param("report-type", "delivery-status")
    message["From"] = f"MAILER-DAEMON@{HOST}"
    message["Subject"] = "Delivery report"
    of_server, of_recipient, report = Message(), Message(), Message()
    of_server["Reporting-MTA"] = f"dns; {HOST}"
    of_recipient["Final-Recipient"] = f"rfc822; {recipient}"
    of_recipient["Action"] = action
    of_recipient["Status"] = status
    report.set_type("message/delivery-status")
    report.set_payload([of_server, of_recipient])
    head = content.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("ascii", "replace")
    message.attach(MIMEText(f"This is the mail system at {HOST}. Your message to one recipient: {action}.\n"))
    message.attach(report)
    message.attach(MIMEText(head + "\n", "rfc822-headers"))
    return message


def send_back(port: int, message: Message) -> None:
    """Hand what comes back to this very server, from nobody (RFC 5321, 4.5.5)."""
    with smtplib.SMTP("127.0.0.1", port, timeout=_SECONDS) as server:
        server.sendmail("", [str(message["To"])], message.as_bytes(policy=SMTP_POLICY))


def deliver(maildir: Path, content: bytes) -> Path:
    """Put one message into a Maildir: it is there when it is whole."""
    for folder in ("tmp", "new", "cur"):
        (maildir / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{datetime.now(UTC).timestamp():.6f}.{secrets.token_hex(8)}.{HOST}"
    draft, final = maildir / "tmp" / name, maildir / "new" / name
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(final)
    return final


def is_for(bounces: str | None, recipient: str) -> bool:
    """Whether a message's recipient is the address of bounces, with whatever stands after its plus sign."""
    if bounces is None:
        return False
    local, _, domain = bounces.rpartition("@")
    to_local, _, to_domain = recipient.rpartition("@")
    return domain.lower() == to_domain.lower() and to_local.partition("+")[0].lower() == local.lower()
