"""The words of a delivery's life: states, events, actors and follow-up work. What leads where: `transitions`."""

from enum import StrEnum


class DeliveryState(StrEnum):
    """Where a delivery as a whole stands; once sealed, its legs tell the rest."""

    RECEIVED = "received"
    """Acknowledged to the sender and kept; not sealed yet."""
    SEALED = "sealed"
    """The documents carry the seal; legs bring them to the recipient."""
    REJECTED = "rejected"
    """Could never be sealed; ended with evidence and a reason."""
    CANCELLED = "cancelled"
    """Taken back by the sender in time."""


class LegKind(StrEnum):
    """A way of bringing a delivery."""

    MAILBOX = "mailbox"
    PAPER = "paper"


class LegState(StrEnum):
    """Where one leg stands."""

    PENDING = "pending"
    """Decided on, nothing done yet; not a public status."""
    AVAILABLE = "available"
    """In the mailbox; the recipient can open it."""
    OPENED = "opened"
    """The recipient has opened it."""
    OFFERED = "offered"
    """Registered mail in consent mode: the recipient was asked to accept it."""
    REFUSED = "refused"
    """The recipient did not accept it."""
    EXPIRED = "expired"
    """The recipient let the period pass."""
    WITHDRAWN = "withdrawn"
    """Taken back, by the sender or because another leg took over."""
    TO_PRINT = "to_print"
    """The letter is composed and waits for a print batch."""
    BATCHED = "batched"
    """In a print batch that is closed and being handed over."""
    HANDED_OVER = "handed_over"
    """The print provider has it."""
    PRINTED = "printed"
    """The provider reports it printed."""
    POSTED = "posted"
    """The provider or the post reports that the post has it."""
    DELIVERED = "delivered"
    """The post reports it delivered."""
    RETURNED = "returned"
    """The letter came back, with a cause."""
    UNDELIVERABLE = "undeliverable"
    """This leg cannot bring it; the reason says why."""


class Event(StrEnum):
    """What can happen to a delivery or leg; by its ETSI EN 319 522 name where it has one."""

    HANDED_IN = "handed_in"
    SUBMISSION_ACCEPTANCE = "SubmissionAcceptance"
    SUBMISSION_REJECTION = "SubmissionRejection"
    CANCELLED = "cancelled"
    ROUTED = "routed"
    OFFER_PLACED = "offer_placed"
    """Registered mail in consent mode lies ready; the recipient is to be told that something waits."""
    CONTENT_CONSIGNMENT = "ContentConsignment"
    CONTENT_CONSIGNMENT_FAILURE = "ContentConsignmentFailure"
    CONSIGNMENT_NOTIFICATION = "ConsignmentNotification"
    CONSIGNMENT_NOTIFICATION_FAILURE = "ConsignmentNotificationFailure"
    NOTIFICATION_FOR_ACCEPTANCE = "NotificationForAcceptance"
    NOTIFICATION_FOR_ACCEPTANCE_FAILURE = "NotificationForAcceptanceFailure"
    NOTICE_BOUNCED = "notice_bounced"
    CONSIGNMENT_ACCEPTANCE = "ConsignmentAcceptance"
    CONSIGNMENT_REJECTION = "ConsignmentRejection"
    ACCEPTANCE_REJECTION_EXPIRY = "AcceptanceRejectionExpiry"
    CONTENT_ACCESS_TRACKING = "ContentAccessTracking"
    READ_BY_MANDATARY = "read_by_mandatary"
    CONTENT_HANDOVER = "ContentHandover"
    CONTENT_HANDOVER_FAILURE = "ContentHandoverFailure"
    PERIOD_EXTENSION = "PeriodExtension"
    """A running period became longer, because the service could not be used."""
    CONSIGNMENT_WITHDRAWAL = "ConsignmentWithdrawal"
    WITHDRAWN = "withdrawn"
    LETTER_COMPOSED = "letter_composed"
    BATCHED = "batched"
    RELAY_TO_NON_ERDS = "RelayToNonERDS"
    RELAY_TO_NON_ERDS_FAILURE = "RelayToNonERDSFailure"
    REPRINT_ORDERED = "reprint_ordered"
    """An operator has a letter printed again that the print house had already."""
    PRINTED = "printed"
    POSTED = "posted"
    DELIVERED = "delivered"
    RETURNED = "returned"
    UNDELIVERABLE = "undeliverable"
    LETTER_REJECTED = "letter_rejected"
    """The print house will not print the letter as it is; an operator looks at it."""
    IN_TRANSIT = "in_transit"
    ATTEMPTED = "attempted"
    PICKUP_AVAILABLE = "pickup_available"
    PROOF_RECEIVED = "proof_received"
    """The post's proof that it took the letter, or the receipt that the addressee signed, came in."""


class Actor(StrEnum):
    """Who makes an event happen."""

    SERVICE = "service"
    """A worker of this service."""
    SENDER = "sender"
    """The organisation, through the API or a clerk."""
    RECIPIENT = "recipient"
    """The addressee or who acts for them."""
    OPERATOR = "operator"
    """Who runs the service and its printing."""
    POST = "post"
    """The print provider or the post, by report."""
    CLOCK = "clock"
    """A period or cut-off that ended."""


class FollowUp(StrEnum):
    """The kind of job that is put in the transaction of an event."""

    SEAL = "seal"
    ROUTE = "route"
    DEPOSIT = "deposit"
    NOTIFY = "notify"
    LETTER = "letter"
    HAND_OVER = "hand_over"
