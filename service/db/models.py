"""The tables that travel with a delivery, as the code sees them; migrations are their definition.

``personal`` columns are encrypted JSON (see ``service.vault.crypto``); everything else may be read by an operator.
"""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Integer, SmallInteger, Text, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base


class Organisation(Base):
    """An agency, local administration or institution that sends; or the platform itself (kind ``platform``)."""

    __tablename__ = "organisation"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    slug: Mapped[str]
    name: Mapped[str]
    kind: Mapped[str]
    number: Mapped[str | None]
    mark: Mapped[str]
    seal_profile: Mapped[str]
    return_address: Mapped[list[str]] = mapped_column(default=list)
    contact: Mapped[str] = mapped_column(default="")
    retention_years: Mapped[int] = mapped_column(SmallInteger, default=10)
    lookup_quota: Mapped[int] = mapped_column(default=100000)
    lookups_summed: Mapped[bool] = mapped_column(default=False)
    document_types: Mapped[dict[str, Any]] = mapped_column(default=dict)
    returned_mail: Mapped[str] = mapped_column(default="ask")
    undeliverable: Mapped[str | None]
    logo: Mapped[bytes | None] = mapped_column(deferred=True, deferred_raiseload=True)
    """Only `service.usecases.logos` reads it: it is needed for letters alone."""
    logo_sha256: Mapped[bytes | None]
    share_envelopes: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Client(Base):
    """A program of an organisation that may ask for tokens."""

    __tablename__ = "client"
    client_id: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    name: Mapped[str]
    secret_hash: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    active: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    jwks: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class ClientAssertion(Base):
    """An assertion that a client used, until it would no longer be believed anyway."""

    __tablename__ = "client_assertion"
    id_hash: Mapped[bytes] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime]


class Staff(Base):
    """A person who acts for an organisation, by the identity provider's names."""

    __tablename__ = "staff"
    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    active: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Submission(Base):
    """What is handed in together: one delivery, or a container of many.

    An upload's parts hold ``received`` bytes, ``list_offset`` of its list became rows; ``fingerprint`` is of the ZIP.
    """

    __tablename__ = "submission"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    mark: Mapped[str]
    lane: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(default="done")
    paused_from: Mapped[str | None]
    pause_id: Mapped[uuid.UUID | None]
    name: Mapped[str | None]
    dry_run: Mapped[bool] = mapped_column(default=False)
    on_error: Mapped[str] = mapped_column(default="stop")
    release: Mapped[str] = mapped_column(default="auto")
    send_at: Mapped[datetime | None]
    container: Mapped[bool] = mapped_column(default=False)
    retention_year: Mapped[int | None] = mapped_column(SmallInteger)
    announced_size: Mapped[int | None]
    announced_sha256: Mapped[bytes | None]
    received: Mapped[int] = mapped_column(default=0)
    parts: Mapped[int] = mapped_column(Integer, default=0)
    sha256: Mapped[bytes | None]
    fingerprint: Mapped[bytes | None]
    list_offset: Mapped[int] = mapped_column(default=0)
    rows_read: Mapped[int] = mapped_column(Integer, default=0)
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    problems: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    updated_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    content_erased_at: Mapped[datetime | None]


class DeliveryRow(Base):
    """One set of documents for one recipient."""

    __tablename__ = "delivery"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    submission_id: Mapped[uuid.UUID]
    mark: Mapped[str]
    lane: Mapped[int] = mapped_column(SmallInteger)
    reference: Mapped[str]
    document_type: Mapped[str]
    language: Mapped[str]
    registered: Mapped[bool]
    recipient_kind: Mapped[str]
    recipient_hash: Mapped[bytes | None]
    personal: Mapped[bytes]
    print_options: Mapped[dict[str, Any]]
    policy: Mapped[str]
    state: Mapped[str]
    status: Mapped[str]
    channel: Mapped[str | None]
    reason: Mapped[str | None]
    problems: Mapped[list[dict[str, Any]]]
    retention_year: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    effective_at: Mapped[datetime | None]
    send_at: Mapped[datetime | None]
    terms: Mapped[dict[str, Any]] = mapped_column(default=dict)
    effect_event: Mapped[str | None]


class LegRow(Base):
    """One way of bringing a delivery."""

    __tablename__ = "leg"
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    kind: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    since: Mapped[datetime]
    handed_over_at: Mapped[datetime | None]
    effective_at: Mapped[datetime | None]
    effect_event: Mapped[str | None]
    registered: Mapped[bool | None]
    noticed_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]


class Term(Base):
    """A running period of a leg: when the clock next has something to do."""

    __tablename__ = "term"
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    leg: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    next_at: Mapped[datetime]
    handled_at: Mapped[datetime]


class OutageRow(Base):
    """A time in which the service could not be used, as an operator recorded it."""

    __tablename__ = "outage"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    until: Mapped[datetime]
    reason: Mapped[str]
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())


class DocumentRow(Base):
    """A PDF of a delivery: ``path`` names the stored object that counts now, the sealed one once ``sealed``."""

    __tablename__ = "document"
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    role: Mapped[str]
    filename: Mapped[bytes]
    pages: Mapped[int] = mapped_column(Integer)
    size: Mapped[int]
    sha256: Mapped[bytes]
    submitted_sha256: Mapped[bytes]
    path: Mapped[str]
    sealed: Mapped[bool]
    erased_at: Mapped[datetime | None]


class VaultObject(Base):
    """The intent to write an object; without ``kept_at`` it may be an orphan."""

    __tablename__ = "vault_object"
    subject_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    role: Mapped[str]
    sha256: Mapped[bytes]
    size: Mapped[int]
    intended_at: Mapped[datetime]
    kept_at: Mapped[datetime | None]


class DeliveryEvent(Base):
    """One line of a delivery's timeline."""

    __tablename__ = "delivery_event"
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    event: Mapped[str]
    at: Mapped[datetime]
    status: Mapped[str]
    channel: Mapped[str | None]
    actor: Mapped[str]
    reason: Mapped[str | None]


class EvidenceRow(Base):
    """A record that an event happened; unique by delivery, leg, event and attempt. Record and salt are encrypted."""

    __tablename__ = "evidence"
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    leg: Mapped[int] = mapped_column(SmallInteger)
    event: Mapped[str]
    attempt: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime]
    record: Mapped[bytes]
    salt: Mapped[bytes]
    leaf_hash: Mapped[bytes]


class PrintBatch(Base):
    """Letters that are handed to a print provider in one file."""

    __tablename__ = "print_batch"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[int]
    provider: Mapped[str]
    product: Mapped[dict[str, Any]]
    state: Mapped[str]
    file_name: Mapped[str]
    frozen_at: Mapped[datetime]
    path: Mapped[str | None]
    sha256: Mapped[bytes | None]
    size: Mapped[int | None]
    letters: Mapped[int] = mapped_column(Integer)
    pages: Mapped[int | None] = mapped_column(Integer)
    sheets: Mapped[int | None] = mapped_column(Integer)
    uploaded_at: Mapped[datetime | None]
    place: Mapped[str | None]
    handed_over_at: Mapped[datetime | None]
    deposit_id: Mapped[uuid.UUID | None]
    fixed_at: Mapped[datetime | None]
    held_at: Mapped[datetime | None]
    held_by: Mapped[str | None]
    held_reason: Mapped[str | None]
    emptied_at: Mapped[datetime | None]


class PrintLetter(Base):
    """A composed letter that waits for its batch, or is in it at ``sequence``.

    Letters with the same ``envelope_set`` share an envelope; the migration says what the three columns mean.
    """

    __tablename__ = "print_letter"
    delivery_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    leg: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    attempt: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    product: Mapped[str]
    path: Mapped[str]
    sha256: Mapped[bytes]
    pages: Mapped[int] = mapped_column(Integer)
    sheets: Mapped[int] = mapped_column(Integer)
    grams: Mapped[int] = mapped_column(Integer)
    size: Mapped[int]
    postcode: Mapped[str]
    queued_at: Mapped[datetime]
    batch_id: Mapped[uuid.UUID | None]
    sequence: Mapped[int | None] = mapped_column(Integer)
    set_number: Mapped[int | None]
    deposit_id: Mapped[uuid.UUID | None]
    run_sequence: Mapped[int | None] = mapped_column(Integer)
    presort: Mapped[str | None]
    postage_cents: Mapped[int | None] = mapped_column(Integer)
    held_at: Mapped[datetime | None]
    held_by: Mapped[str | None]
    held_reason: Mapped[str | None]
    reprint_reason: Mapped[str | None]
    address_mode: Mapped[str | None]
    mail_id: Mapped[str | None]
    registered_number: Mapped[str | None]
    share_key: Mapped[bytes | None]
    envelope_set: Mapped[int | None]
    envelope_product: Mapped[str | None]


class PrintCutoff(Base):
    """When the next cut-off of a print house comes, or of one product of it (``printer/product``)."""

    __tablename__ = "print_cutoff"
    provider: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime]


class Job(Base):
    """A step that is to be done for a subject; removed in the transaction that did it."""

    __tablename__ = "job"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    organisation_id: Mapped[uuid.UUID]
    lane: Mapped[int] = mapped_column(SmallInteger)
    subject_id: Mapped[uuid.UUID]
    leg: Mapped[int] = mapped_column(SmallInteger)
    due_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int]
    attempts: Mapped[int] = mapped_column(Integer)
    failures: Mapped[int] = mapped_column(Integer)
    suspect: Mapped[bool]
    last_error: Mapped[str | None]
    parked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    held_by: Mapped[uuid.UUID | None]
    wanted_at: Mapped[datetime]
    trace: Mapped[str | None]


class Pause(Base):
    """Work that must wait; see ``service.db.pauses`` for the two ways in which it is found."""

    __tablename__ = "pause"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID | None]
    kind: Mapped[str | None]
    since: Mapped[datetime]
    reason: Mapped[str]
    submission_id: Mapped[uuid.UUID | None]
    channel: Mapped[str | None]
    provider: Mapped[str | None]
    actor: Mapped[str | None]


class IdempotencyKey(Base):
    """A creating request that was seen before, and its first answer."""

    __tablename__ = "idempotency_key"
    organisation_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int]
    subject_id: Mapped[uuid.UUID | None]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    answer: Mapped[bytes | None]
    created_at: Mapped[datetime]


class WebSession(Base):
    """A person's log-in, by the hash of the secret in their cookie."""

    __tablename__ = "web_session"
    id_hash: Mapped[bytes] = mapped_column(primary_key=True)
    data: Mapped[bytes]
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
