"""What a channel to e-mailboxes must do, and the values that pass through it.

A channel is a place where recipients have mailboxes: our own, or another service's e-box. The rules of delivery (which
channel, when to remind, when to fall back to paper) are the domain's; a channel only knows its mailboxes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from service.domain.identifiers import RecipientId


@dataclass(frozen=True, slots=True)
class Consent:
    """What a recipient must have agreed to for a delivery to go into their mailbox.

    Attributes:
        organisation: id of the sender; recipients may consent per sender.
        registered: registered mail, which is consented to apart from ordinary mail.
    """

    organisation: str
    registered: bool


@dataclass(frozen=True, slots=True)
class DepositedDocument:
    """A sealed document by reference; its bytes stay in the vault until the recipient asks for them.

    Attributes:
        role: ``main`` or ``attachment``.
        file_name: as the recipient sees it.
        sha256: of the sealed file, lower-case hex.
        size: of the sealed file in bytes.
        vault_key: where the vault keeps it.
    """

    role: str
    file_name: str = field(repr=False)
    sha256: str
    size: int
    vault_key: str


@dataclass(frozen=True, slots=True)
class Deposit:
    """One delivery to be put into one mailbox.

    Attributes:
        reference: names this deposit for ever (the delivery and its leg); the key under which it is safe to repeat.
        subject: shown to the recipient only; None while registered mail in consent mode keeps it back.
        offered: the recipient must accept before the documents can be read.
    """

    reference: str
    recipient: RecipientId
    organisation: str
    registered: bool
    offered: bool
    subject: str | None = field(repr=False)
    language: str
    document_type: str
    documents: tuple[DepositedDocument, ...]


class DepositResult(StrEnum):
    """How a deposit ended."""

    TAKEN = "taken"
    """It is in the mailbox and stays there; also the answer to a repeated deposit."""
    NO_MAILBOX = "no_mailbox"
    """The recipient has no activated mailbox (any more): final, the policy's fallback goes on."""
    REFUSED = "refused"
    """The channel will never take this one; ``reason`` says why."""
    RETRYABLE = "retryable"
    """Not now; the same deposit may be given again later."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a channel answers to one deposit.

    Attributes:
        reference: the deposit's.
        taken_at: when the mailbox first took it, by the channel's clock; the same on every repetition.
        channel_id: the channel's own id of it, for later calls and for the evidence.
        reason: a word of the channel's closed list when it was not taken; never personal data.
    """

    reference: str
    result: DepositResult
    taken_at: datetime | None = None
    channel_id: str | None = None
    reason: str | None = None


class WithdrawResult(StrEnum):
    """How taking back a deposit ended."""

    WITHDRAWN = "withdrawn"
    """The recipient can no longer open it; also the answer to a repeated withdrawal, and to one of a deposit that the
    channel never got."""
    TOO_LATE = "too_late"
    """The recipient has opened, accepted or refused it: it stays."""
    RETRYABLE = "retryable"
    """Not now; ask again later."""


class MailboxChannel(Protocol):
    """A place where recipients have mailboxes.

    What must hold for every implementation:

    - ``activated`` answers for the whole set at once, at a cost that does not depend on who is known, and returns only
      recipients it was asked about. Somebody unknown, somebody who revoked, and somebody who consented to other senders
      only are alike: absent. An outage raises ``Retryable``; it is never answered with an empty set, because that would
      send everybody's mail to paper.
    - ``deposit`` is safe to repeat: the same reference is never two messages in a mailbox and gets the receipt of the
      first time. ``TAKEN`` is durable once returned. Consent is checked again at that moment, not believed from an
      earlier ``activated``. One receipt per deposit, in the order given; one that fails leaves the others alone.
    - ``withdraw`` and an opening by the recipient exclude one another: exactly one of them wins, and the answer says
      which. A deposit that arrives after its own withdrawal is not taken.
    - What is not yet accepted shows no document; what is withdrawn shows nothing.
    - No number, name or subject appears in logs, errors or ``reason``.
    """

    @property
    def name(self) -> str:
        """Short stable name, as it stands in rows, evidence and statistics."""
        ...

    def activated(self, recipients: Collection[RecipientId], consent: Consent) -> frozenset[RecipientId]:
        """Return those of ``recipients`` whose mailbox takes deliveries under ``consent`` now."""
        ...

    def deposit(self, deposits: Sequence[Deposit], *, now: datetime) -> list[Receipt]:
        """Put deliveries into mailboxes."""
        ...

    def withdraw(self, reference: str, *, now: datetime) -> WithdrawResult:
        """Take a deposit back as long as the recipient has not acted on it."""
        ...
