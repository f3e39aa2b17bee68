"""Encrypted columns of use cases: personal data as one JSON value, bound to the row it stands in."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import msgspec

from service.domain.addresses import PostalAddress
from service.domain.identifiers import RecipientId, RecipientKind
from service.usecases.context import Context
from service.vault import crypto

# Mailboxes belong to recipients, not to an organisation; their columns stand under the platform's key.
PLATFORM = uuid.UUID(int=0)
PLATFORM_YEAR = 2999


@dataclass(frozen=True, slots=True)
class Payment:
    """What the recipient is asked to pay: an amount as decimal text, and where it goes."""

    amount: str
    currency: str
    iban: str = field(repr=False)
    reference: str | None = field(default=None, repr=False)
    due_date: str | None = None


@dataclass(frozen=True, slots=True)
class Personal:
    """The personal part of a delivery."""

    kind: RecipientKind
    number: str | None = field(repr=False)
    name: str = field(repr=False)
    subject: str = field(repr=False)
    address: PostalAddress | None = field(default=None, repr=False)
    attention_of: str | None = field(default=None, repr=False)
    payment: Payment | None = field(default=None, repr=False)
    deadline: str | None = None

    @property
    def recipient(self) -> RecipientId | None:
        """The recipient's number, or None for somebody who has none here."""
        return RecipientId(self.kind, self.number) if self.number else None


def seal_value(context: Context, value: Any, *, organisation: uuid.UUID, year: int, place: str) -> bytes:
    """Encrypt a value for one place: table, column and row, such as ``delivery.personal:<id>``."""
    return seal_bytes(context, msgspec.json.encode(value), organisation=organisation, year=year, place=place)


def seal_bytes(context: Context, raw: bytes, *, organisation: uuid.UUID, year: int, place: str) -> bytes:
    """Encrypt for a place what ``open_value`` gave of another."""
    kek = context.keyring.wrap_key(organisation, year)
    return crypto.encrypt(kek, raw, _associated(organisation, place))


def open_value(context: Context, blob: bytes, *, organisation: uuid.UUID, place: str) -> bytes:
    """Decrypt what ``seal_value`` made for the same place; JSON bytes."""
    return crypto.decrypt(context.keyring, blob, _associated(organisation, place))


def seal_personal(
    context: Context, personal: Personal, organisation: uuid.UUID, year: int, delivery: uuid.UUID
) -> bytes:
    """Encrypt a delivery's personal part for its row."""
    return seal_value(context, personal, organisation=organisation, year=year, place=f"delivery.personal:{delivery}")


def open_personal(context: Context, blob: bytes, organisation: uuid.UUID, delivery: uuid.UUID) -> Personal:
    """Decrypt a delivery's personal part."""
    raw = open_value(context, blob, organisation=organisation, place=f"delivery.personal:{delivery}")
    return msgspec.json.decode(raw, type=Personal)


def seal_text(context: Context, text: str, *, organisation: uuid.UUID, year: int, place: str) -> bytes:
    """Encrypt one text for its place."""
    return seal_value(context, text, organisation=organisation, year=year, place=place)


def open_text(context: Context, blob: bytes, *, organisation: uuid.UUID, place: str) -> str:
    """Decrypt one text."""
    return msgspec.json.decode(open_value(context, blob, organisation=organisation, place=place), type=str)


def find_hash(context: Context, recipient: RecipientId) -> bytes:
    """The keyed hash with which a recipient's rows are written."""
    return find_hashes(context, recipient)[0]


def find_hashes(context: Context, recipient: RecipientId) -> tuple[bytes, ...]:
    """The keyed hashes by which a recipient's rows are found, the one to write with first; one for each index key."""
    return crypto.recipient_hashes(context.index, recipient.kind.value, recipient.value)


def _associated(organisation: uuid.UUID, place: str) -> bytes:
    return f"{organisation}|{place}".encode()
