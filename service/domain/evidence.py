"""The words of evidence: events by their ETSI EN 319 522 names, closed lists of reasons, parties and documents."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from service.domain.addresses import ReturnReason
from service.domain.errors import Invalid

_EVENT_URI: Final = "http://uri.etsi.org/19522/Event/"
_OWN_URI: Final = "urn:x-zending:event:"


class RecordRefused(Invalid):
    """An evidence record that would say too little, or something outside the closed lists."""

    code = "evidence_record_refused"


class EvidenceEvent(StrEnum):
    """Events that leave evidence (ETSI EN 319 522-1, clause 6; this service keys on the name)."""

    SUBMISSION_ACCEPTANCE = "SubmissionAcceptance"
    SUBMISSION_REJECTION = "SubmissionRejection"
    NOTIFICATION_FOR_ACCEPTANCE = "NotificationForAcceptance"
    NOTIFICATION_FOR_ACCEPTANCE_FAILURE = "NotificationForAcceptanceFailure"
    CONSIGNMENT_ACCEPTANCE = "ConsignmentAcceptance"
    CONSIGNMENT_REJECTION = "ConsignmentRejection"
    ACCEPTANCE_REJECTION_EXPIRY = "AcceptanceRejectionExpiry"
    CONTENT_CONSIGNMENT = "ContentConsignment"
    CONTENT_CONSIGNMENT_FAILURE = "ContentConsignmentFailure"
    CONSIGNMENT_NOTIFICATION = "ConsignmentNotification"
    CONSIGNMENT_NOTIFICATION_FAILURE = "ConsignmentNotificationFailure"
    CONTENT_ACCESS_TRACKING = "ContentAccessTracking"
    CONTENT_HANDOVER = "ContentHandover"
    CONTENT_HANDOVER_FAILURE = "ContentHandoverFailure"
    RELAY_TO_NON_ERDS = "RelayToNonERDS"
    RELAY_TO_NON_ERDS_FAILURE = "RelayToNonERDSFailure"
    RECEIVED_FROM_NON_ERDS = "ReceivedFromNonERDS"
    CONSIGNMENT_WITHDRAWAL = "ConsignmentWithdrawal"
    """A name of this service's: ETSI knows no sender who takes back what is consigned and unopened."""
    PERIOD_EXTENSION = "PeriodExtension"
    """A name of this service's: ETSI knows no period that unavailability makes longer."""

    @property
    def uri(self) -> str:
        """The event's URI: as ETSI writes it, or one of this service's for what ETSI has no name for."""
        return (_OWN_URI if self in _OWN else _EVENT_URI) + self.value


_OWN: Final = frozenset({EvidenceEvent.CONSIGNMENT_WITHDRAWAL, EvidenceEvent.PERIOD_EXTENSION})


WITHDRAWAL_REASONS: Final = frozenset(
    {"wrong_recipient", "wrong_document", "sent_twice", "superseded", "no_longer_needed"}
)
"""Why a sender may take back what is in the mailbox, unopened, or waits for its print batch."""
_NOTICE_REASONS: Final = frozenset({"no_address", "address_refused", "bounced", "gave_up"})

REASONS: Final[Mapping[EvidenceEvent, frozenset[str]]] = MappingProxyType(
    {
        EvidenceEvent.SUBMISSION_REJECTION: frozenset({"malware", "seal_failed", "document_unreadable"}),
        EvidenceEvent.NOTIFICATION_FOR_ACCEPTANCE_FAILURE: _NOTICE_REASONS,
        EvidenceEvent.CONSIGNMENT_NOTIFICATION_FAILURE: _NOTICE_REASONS,
        EvidenceEvent.CONTENT_CONSIGNMENT_FAILURE: frozenset(
            {"no_mailbox", "refused_by_mailbox", "document_unreadable", "gave_up"}
        ),
        EvidenceEvent.CONTENT_HANDOVER_FAILURE: frozenset({"interrupted", "document_unreadable", "document_erased"}),
        EvidenceEvent.RELAY_TO_NON_ERDS_FAILURE: frozenset(
            {
                "address_missing",
                "address_refused",
                "letter_refused",
                "document_unreadable",
                "refused_by_provider",
                "gave_up",
            }
        ),
        EvidenceEvent.CONSIGNMENT_WITHDRAWAL: WITHDRAWAL_REASONS,
        EvidenceEvent.PERIOD_EXTENSION: frozenset({"service_unavailable"}),
    }
)
"""Why something failed or was taken back, as a closed list per event; every record of such an event names at least one.
"""

MANDATE_WITHOUT_EFFECT: Final = "mandate_without_effect"
"""Read by somebody whose mandate is for reading only: the addressee has opened nothing."""

OPTIONAL_REASONS: Final[Mapping[EvidenceEvent, frozenset[str]]] = MappingProxyType(
    {
        EvidenceEvent.CONTENT_ACCESS_TRACKING: frozenset({MANDATE_WITHOUT_EFFECT}),
        EvidenceEvent.CONSIGNMENT_REJECTION: frozenset({"refused_by_recipient", "refused_by_mandatary"}),
        EvidenceEvent.RECEIVED_FROM_NON_ERDS: frozenset(reason.value for reason in ReturnReason),
    }
)
"""Reasons of what is no failure of this service: welcome, not required."""

RELAYS: Final = frozenset(
    {
        EvidenceEvent.RELAY_TO_NON_ERDS,
        EvidenceEvent.RELAY_TO_NON_ERDS_FAILURE,
        EvidenceEvent.RECEIVED_FROM_NON_ERDS,
    }
)
"""Events that name an outside service."""


class AssuranceLevel(StrEnum):
    """How sure it is who somebody is: levels of Regulation (EU) 910/2014, article 8, or none."""

    NONE = "none"
    LOW = "low"
    SUBSTANTIAL = "substantial"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Party:
    """Sender or recipient as the evidence names them.

    Attributes:
        kind: ``organisation`` for a sender, a `RecipientKind` for a recipient.
        id: the number the party is known by; empty for a postal recipient.
        assurance: how the identity was established for this event.
        name: as stated by the sender, where the number alone says nothing.
    """

    kind: str
    id: str = field(repr=False)
    assurance: AssuranceLevel
    name: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One document of the delivery.

    Attributes:
        role: ``main`` or ``attachment``.
        sha256: of the sealed file (of the submitted one while there is no sealed one), lower-case hex.
        submitted_sha256: of the file as it was handed in, lower-case hex.
    """

    role: str
    sha256: str
    submitted_sha256: str


@dataclass(frozen=True, slots=True)
class External:
    """The outside service of a relay: a print provider, the post, another e-box.

    Attributes:
        name: stable name of the provider.
        reference: its or our reference of what was relayed, such as the print batch; never personal data.
        report: what it reported, for what was received from it.
    """

    name: str
    reference: str
    report: str | None = None


def event_key(message_id: str, leg: int | None, event: EvidenceEvent, attempt: int = 1) -> str:
    """The deterministic key of an event: the same event has the same key however often it is recorded.

    Args:
        message_id: public id of the delivery.
        leg: number of the leg; None for an event of the delivery as a whole.
        event: what happened.
        attempt: tells apart events of one name that may rightly happen more than once on a leg, counted from 1.
    """
    return f"{message_id}/{leg or 0}/{event.value}/{attempt}"


def rfc3339(moment: datetime) -> str:
    """An instant in UTC with microseconds and ``Z``, so that equal instants have equal text.

    Raises:
        RecordRefused: the moment has no time zone.
    """
    if moment.tzinfo is None:
        raise RecordRefused("A moment in an evidence record needs a time zone.")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
