"""Shapes of requests and answers that no use case has: lists, files of evidence, look-ups, the activation's steps."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from service.usecases.views import EventView, EvidenceEntry

PDF = "application/pdf"
JSON = "application/json"


class Events(msgspec.Struct, frozen=True):
    """A timeline, oldest first."""

    items: list[EventView]
    next_cursor: str | None = None


class EvidenceList(msgspec.Struct, frozen=True):
    """The evidence of a delivery, oldest first."""

    items: list[EvidenceEntry]
    next_cursor: str | None = None


class EvidenceFile(msgspec.Struct, frozen=True):
    """One evidence with what proves it; checked offline by ``zending verify``.

    ``salt`` and ``leaf_hash`` are hex; ``proof`` is a C2SP tlog-proof, ``checkpoint`` a signed note,
    ``timestamp_token`` an RFC 3161 token in base 64. The last four are null until a signed checkpoint covers the
    evidence.
    """

    record: dict[str, object]
    salt: str
    leaf_hash: str
    log_index: int | None
    proof: str | None
    checkpoint: str | None
    timestamp_token: str | None


class Withdrawal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a sender takes a delivery back; the recipient's and everybody's evidence says it."""

    reason: Literal["wrong_recipient", "wrong_document", "sent_twice", "superseded", "no_longer_needed"]


class LookupRecipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody a sender asks about."""

    type: str
    id: Annotated[str, msgspec.Meta(max_length=64)]


class LookupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a sender asks about, and what for; the purpose is kept in the log of look-ups."""

    purpose: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    recipients: Annotated[list[LookupRecipient], msgspec.Meta(min_length=1)]


class LookupResult(msgspec.Struct, frozen=True):
    """How somebody would be reached now: ``digital`` or ``paper``. Who is unknown is ``paper``."""

    type: str
    id: str
    channel: str


class LookupAnswer(msgspec.Struct, frozen=True):
    """In the order of the request."""

    items: list[LookupResult]
    next_cursor: str | None = None


class ActivationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the two steps of an activation.

    First ``email`` and ``language``: a code is sent to that address; ``invitation`` is the personal code of a letter on
    paper, if there is one. Then ``code`` and ``consent_version``, the version
    of the text that the person was shown: the mailbox is active.
    """

    email: Annotated[str, msgspec.Meta(max_length=254)] | None = None
    language: str | None = None
    code: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    consent_version: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    invitation: Annotated[str, msgspec.Meta(max_length=32)] | None = None


class ConsentTexts(msgspec.Struct, frozen=True):
    """What a person consents to, in each language, and the version to send back."""

    version: str
    texts: dict[str, str]


class ActivationAnswer(msgspec.Struct, frozen=True):
    """How an activation stands: ``pending_email`` waits for its code.

    ``unreachable_since``: since when e-mails to ``email`` come back; it ends when an address is confirmed again.

    ``consent`` is to be shown before it is given, in ``pending_language``: that text is what is kept as proof.
    """

    active: bool
    email: str | None
    language: str | None
    since: datetime | None
    pending_email: str | None
    pending_language: str | None
    consent: ConsentTexts
    registered_since: datetime | None
    registered_consent: ConsentTexts
    unreachable_since: datetime | None = None


class RegisteredConsent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Consent to registered mail: ``consent_version`` is that of the text that the person was shown."""

    consent_version: Annotated[str, msgspec.Meta(max_length=32)]


class TokenAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """An access token (RFC 6749, section 5.1; ``issued_token_type`` with token exchange, RFC 8693, section 2.2)."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    issued_token_type: str | None = None


class TokenProblem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why no token is given (RFC 6749, section 5.2)."""

    error: str
    error_description: str


class HealthPart(msgspec.Struct, frozen=True):
    """A part of the service: ``needed`` ones must be ``up`` for it to take requests; others make it ``degraded``."""

    name: str
    state: str
    needed: bool


class Health(msgspec.Struct, frozen=True):
    """``ready``, ``degraded`` or ``unavailable``, and why."""

    status: str
    parts: list[HealthPart]


class Alive(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "live"
