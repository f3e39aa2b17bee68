"""What a notifier must do, and the notices it is given.

A notice says that something arrived, or carries a code the person just asked for. It never holds a document's subject
or content, a number of a person, or a link: whoever is used to our links can be lured by somebody else's.
"""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import Protocol

from service.domain.errors import FieldError, Invalid

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_CODE = re.compile(r"\d{6}", re.ASCII)
_MAX_LOCAL, _MAX_DOMAIN = 64, 253


class Language(StrEnum):
    """The languages that every notice is written in."""

    NL = "nl"
    FR = "fr"
    DE = "de"
    EN = "en"


@dataclass(frozen=True, slots=True)
class MailArrived:
    """An official document waits in the mailbox.

    Attributes:
        sender: name of the organisation it comes from; None where the law or the policy keeps that back until the
            addressee has accepted (registered mail in consent mode).
        registered: the document is registered mail, which has terms.
        offered: the addressee is asked to accept it before it can be read.
        reminder: they were told before.
        last_day: of the period that runs, where one does.
    """

    sender: str | None
    registered: bool = False
    offered: bool = False
    reminder: bool = False
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class SignatureAsked:
    """A document waits for the person's signature; told again while they have not signed.

    Attributes:
        sender: name of the organisation that asks.
    """

    sender: str


@dataclass(frozen=True, slots=True)
class ActivationCode:
    """The six digits with which somebody confirms that an e-mail address is theirs.

    Raises:
        ValueError: not six digits.
    """

    code: str = field(repr=False)
    minutes: int = 15

    def __post_init__(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise ValueError("an activation code has six digits")


What = MailArrived | SignatureAsked | ActivationCode
"""What can be told."""


class NoticeKind(IntEnum):
    """What a notice is about; the numbers stand in addresses that are on their way."""

    ARRIVED = 1
    """A delivery lies in the mailbox."""
    OFFERED = 2
    """Registered mail waits to be accepted."""
    REMINDER = 3
    """One of these, told again."""
    SIGNATURE = 4
    """A document waits for a signature."""
    CODE = 5
    """A code for whoever asked for it a moment ago."""


@dataclass(frozen=True, slots=True)
class About:
    """What a notice is about.

    Attributes:
        subject: the delivery, the signature request; of a code any id.
        number: of the delivery's leg, of the request's signer.
    """

    kind: NoticeKind
    subject: uuid.UUID
    number: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one person.

    Attributes:
        reference: names this notice for ever; repeating it repeats the same message.
        to: e-mail address.
        what: what happened.
        about: what a mail that comes back is about; with the same reference always the same.
    """

    reference: str
    to: str = field(repr=False)
    language: Language
    what: What
    about: About | None = None


class Result(StrEnum):
    """How sending a notice ended."""

    SENT = "sent"
    """The other side took responsibility for it."""
    RETRYABLE = "retryable"
    """Not now; the same notice may be given again later."""
    REFUSED = "refused"
    """Never: this address takes no mail. For registered mail this is a failed notice, which starts no period."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one notice.

    Attributes:
        reference: the notice's.
        reason: a word of a closed list when not sent: ``address_invalid``, ``mailbox_refused``, ``message_refused``,
            ``try_later``, ``sender_refused``, ``login_refused``, ``tls_failed``, ``no_connection``, ``out_of_time``.
        status: the reply code of the other side, where there was one; never its text, which may quote the address.
        enhanced: its enhanced status code (RFC 3463), where it gave one.
    """

    reference: str
    result: Result
    reason: str | None = None
    status: int | None = None
    enhanced: str | None = None


class Notifier(Protocol):
    """Brings notices to people.

    What must hold for every implementation:

    - One outcome per notice, in the order given; no exception for anything that lies outside.
    - ``SENT`` only once the other side has taken responsibility.
    - Safe to repeat: a notice given again with the same reference is recognisable as the same message (for e-mail the
      same Message-ID), so a crash between sending and recording does no harm beyond a duplicate.
    - What is said holds neither content nor subject nor a link, and nothing a value could smuggle in: values with line
      breaks or control characters make no headers and no further recipients.
    - One recipient never sees another's address.
    - A chunk ends within the configured time; what was not reached is ``RETRYABLE``.
    """

    def send_many(self, notices: Sequence[Notice], *, now: datetime) -> list[Outcome]:
        """Send a chunk of notices, dated ``now``."""
        ...


def checked_address(text: str) -> str:
    """Return an e-mail address as it is to be stored: trimmed, its domain in lower-case ASCII (IDNA).

    Narrower than RFC 5321 on purpose: no quoted local parts, no address literals, no domain without a dot.

    Raises:
        Invalid: code ``email_invalid``.
    """
    local, _, domain = text.strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        domain = ""
    labels = domain.split(".")
    if (
        len(local) > _MAX_LOCAL
        or len(domain) > _MAX_DOMAIN
        or len(labels) < 2  # noqa: PLR2004  a host and a top-level domain
        or not _LOCAL.fullmatch(local)
        or not all(_LABEL.fullmatch(label) for label in labels)
    ):
        error = FieldError(pointer="/email", code="email_invalid", detail="This is not an e-mail address.")
        raise Invalid(error.detail, code=error.code, errors=[error])
    return f"{local}@{domain}"
