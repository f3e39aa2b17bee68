"""Mailboxes, consent to them, what lies in them, and who asked about them, as rows; migrations are their definition."""

import uuid
from datetime import datetime

from sqlalchemy import Integer, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base


class Mailbox(Base):
    """A recipient's mailbox: activated or not, and where notices go."""

    __tablename__ = "mailbox"
    recipient_hash: Mapped[bytes] = mapped_column(primary_key=True)
    recipient_kind: Mapped[str]
    personal: Mapped[bytes]
    language: Mapped[str]
    activated_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    index_key: Mapped[str | None]
    registered_at: Mapped[datetime | None]
    unreachable_since: Mapped[datetime | None]


class Activation(Base):
    """The proof of one consent or revocation."""

    __tablename__ = "activation"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    recipient_hash: Mapped[bytes]
    act: Mapped[str]
    at: Mapped[datetime]
    proof: Mapped[bytes]
    registered: Mapped[bool] = mapped_column(default=False)


class ActivationCode(Base):
    """A code sent to an e-mail address that is not confirmed yet."""

    __tablename__ = "activation_code"
    recipient_hash: Mapped[bytes] = mapped_column(primary_key=True)
    personal: Mapped[bytes]
    code_hash: Mapped[bytes]
    attempts_left: Mapped[int] = mapped_column(SmallInteger)
    expires_at: Mapped[datetime]
    sent_at: Mapped[datetime]


class MailboxItem(Base):
    """A delivery in a recipient's mailbox."""

    __tablename__ = "mailbox_item"
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    recipient_hash: Mapped[bytes]
    leg: Mapped[int] = mapped_column(SmallInteger)
    deposited_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]


class Lookup(Base):
    """One look-up of a sender: how many were asked, and what for."""

    __tablename__ = "lookup"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    client_id: Mapped[str]
    purpose: Mapped[str]
    recipients: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime]


class LookupRecipient(Base):
    """Whom a look-up asked about, so that the recipient can see it."""

    __tablename__ = "lookup_recipient"
    recipient_hash: Mapped[bytes] = mapped_column(primary_key=True)
    lookup_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
