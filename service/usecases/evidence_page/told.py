"""What a page is made from: the record and its proof, read back."""

from datetime import datetime

import msgspec

from service.domain.evidence import EvidenceEvent
from service.domain.evidence_record import ActingBasis
from service.domain.states import Actor


class Party(msgspec.Struct, frozen=True):
    """Sender or recipient, as the record has them."""

    kind: str
    id: str
    name: str | None
    assurance_level: str


class Part(msgspec.Struct, frozen=True):
    """One document, as the record has it."""

    role: str
    sha256: str
    submitted_sha256: str


class External(msgspec.Struct, frozen=True):
    """An outside service, as the record has it."""

    name: str
    reference: str
    report: str | None


class ActedFor(msgspec.Struct, frozen=True):
    """In whose place somebody acted, as the record has it."""

    kind: str
    id: str
    basis: ActingBasis
    person: str
    mandate: str | None


class Identification(msgspec.Struct, frozen=True):
    """How somebody was identified, as the record has it."""

    provider: str | None
    level: str
    authenticated_at: datetime | None
    acted_for: ActedFor | None


class LegalBasis(msgspec.Struct, frozen=True):
    """The legal basis, as the record has it."""

    id: str
    version: str
    sha256: str


class Letter(msgspec.Struct, frozen=True):
    """The paper of a leg, as the record has it."""

    print_sha256: str | None
    batch_sha256: str | None
    registered_number: str | None
    posting_proof_sha256: str | None
    receipt_sha256: str | None


class Record(msgspec.Struct, frozen=True):
    """The evidence record (see ``service.domain.evidence_record``); version 1 has nothing of the last four."""

    evidence_id: str
    event: EvidenceEvent
    event_uri: str
    event_time: datetime
    issuer: str
    sender: Party
    recipients: list[Party]
    message_id: str
    leg: int | None
    attempt: int
    submission_time: datetime
    parts: list[Part]
    policy_id: str
    external: External | None
    reasons: list[str]
    actor: Actor | None = None
    identification: Identification | None = None
    legal_basis: LegalBasis | None = None
    letter: Letter | None = None


class Evidence(msgspec.Struct, frozen=True):
    """A record with what proves it, once published."""

    record: Record
    log_index: int
    checkpoint: str
    timestamp_token: str | None
