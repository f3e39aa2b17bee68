"""What both doors show: values with exactly the shapes that integrators were promised (docs/api)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from service.db.ids import DELIVERY, SUBMISSION, public_id
from service.db.jobs import Lane
from service.db.models import DeliveryEvent, DeliveryRow
from service.domain import terms
from service.domain.states import Event
from service.usecases.context import Context
from service.usecases.dossiers import Outline
from service.usecases.personal import open_text


class DocumentView(msgspec.Struct, frozen=True):
    """One PDF of a delivery; ``sha256`` is of the sealed file once there is one, hex like ``submitted_sha256``."""

    role: str
    filename: str
    pages: int
    size: int
    sha256: str
    submitted_sha256: str
    url: str


class ProblemView(msgspec.Struct, frozen=True):
    """Something the sender should know; ``page`` counts from 1.

    ``boxes`` says where on the page of a letter: left, top, right and bottom in mm from its top-left corner; it is left
    out where no place is meant.
    """

    code: str
    detail: str
    page: int | None = None
    boxes: list[tuple[float, float, float, float]] | UnsetType = UNSET


class LinksView(msgspec.Struct, frozen=True):
    """Where the rest of a delivery is."""

    events: str
    evidence: str


class LegalBasisView(msgspec.Struct, frozen=True):
    """The entry of the legal-basis register that a delivery is sent under, and the SHA-256 of its file."""

    id: str
    version: int
    sha256: str


class EffectRuleView(msgspec.Struct, frozen=True):
    """What legal effect is counted from; ``working_days`` is 0 where the moment of the event counts."""

    event: str
    working_days: int


class LegalEffectView(msgspec.Struct, frozen=True):
    """From when on a delivery has legal effect, and by which rule.

    ``event`` is what it is counted from; ``working_days`` is 0 where the moment of the event counts.
    """

    at: datetime
    event: str
    working_days: int


class DeliveryView(msgspec.Struct, frozen=True):
    """A delivery as its sender sees it."""

    id: str
    reference: str
    status: str
    channel: str | None
    registered: bool
    document_type: str
    subject: str
    created_at: datetime
    updated_at: datetime
    effective_at: datetime | None
    documents: list[DocumentView]
    problems: list[ProblemView]
    links: LinksView
    submission_id: str
    send_at: datetime | None = None
    lane: Literal["interactive", "bulk"] = "bulk"
    legal_basis: LegalBasisView | None = None
    legal_effect: LegalEffectView | None = None


class HandedInView(DeliveryView, frozen=True):
    """What was handed in: the delivery; with several recipients the first one's, and a delivery for each in order."""

    deliveries: list[DeliveryView] = []


class DeliveryPage(msgspec.Struct, frozen=True):
    """One page of deliveries."""

    items: list[DeliveryView]
    next_cursor: str | None


class EventView(msgspec.Struct, frozen=True):
    """One line of a timeline."""

    event: str
    at: datetime
    status: str
    channel: str | None
    actor: str
    reason: str | None


class EvidenceEntry(msgspec.Struct, frozen=True):
    """One evidence in a list; ``published`` once a signed checkpoint covers it."""

    id: str
    event: str
    at: datetime
    published: bool


class MessageDocument(msgspec.Struct, frozen=True):
    """A document of a message; its address answers only after the message was opened."""

    role: str
    filename: str
    pages: int
    size: int
    url: str


class OfferView(msgspec.Struct, frozen=True):
    """What an answer to registered mail, or none, leads to.

    ``after_refusal`` and ``after_expiry`` are ``registered_paper``, ``ordinary_paper`` or ``nothing``; ``effects`` are
    the rules by which something has legal effect. ``title`` is the legal basis's in each language; ``example`` says
    that it is fictional.
    """

    after_refusal: str
    after_expiry: str
    effects: list[EffectRuleView]
    legal_basis: LegalBasisView
    title: dict[str, str]
    example: bool


class MessageView(msgspec.Struct, frozen=True):
    """A delivery as its recipient sees it; documents are listed once it is opened.

    Registered mail that is ``offered`` tells neither subject nor document type before it is accepted, nor the sender
    where the terms keep that back; ``answer_until`` is when the time to accept or refuse it ends, and ``offer`` what
    each answer leads to. ``state`` is ``offered``, ``available``, ``opened``, ``refused`` or ``expired``.
    """

    id: str
    sender: str
    subject: str
    document_type: str
    registered: bool
    received_at: datetime
    opened_at: datetime | None
    documents: list[MessageDocument]
    state: str
    answer_until: datetime | None = None
    effective_at: datetime | None = None
    offer: OfferView | None = None
    legal_basis: LegalBasisView | None = None
    legal_effect: LegalEffectView | None = None


class MessagePage(msgspec.Struct, frozen=True):
    """One page of a mailbox."""

    items: list[MessageView]
    next_cursor: str | None


class ActivationView(msgspec.Struct, frozen=True):
    """Whether a mailbox is activated, and where notices go; what is pending waits for its code.

    Notices do not arrive ``unreachable_since`` then: the address takes no mail.

    Consent is given in ``pending_language``: whoever asks for it shows the text of that language and no other.
    """

    active: bool
    email: str | None
    language: str | None
    since: datetime | None
    pending_email: str | None = None
    pending_language: str | None = None
    registered_since: datetime | None = None
    unreachable_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class File:
    """A document to be sent to somebody."""

    filename: str = field(repr=False)
    content: bytes = field(repr=False)


def delivery_view(context: Context, outline: Outline) -> DeliveryView:
    """A delivery for its sender."""
    delivery = outline.delivery
    own = f"/v1/deliveries/{public_id(DELIVERY, delivery.id)}"
    return DeliveryView(
        id=public_id(DELIVERY, delivery.id),
        reference=delivery.reference,
        status=delivery.status,
        channel=delivery.channel,
        registered=delivery.registered,
        document_type=delivery.document_type,
        subject=outline.personal.subject,
        created_at=delivery.created_at,
        updated_at=delivery.updated_at,
        effective_at=delivery.effective_at,
        documents=[
            DocumentView(
                role=row.role,
                filename=file_name(context, outline, row.position),
                pages=row.pages,
                size=row.size,
                sha256=row.sha256.hex(),
                submitted_sha256=row.submitted_sha256.hex(),
                url=own + ("/document" if row.position == 0 else f"/attachments/{row.position}"),
            )
            for row in outline.documents
        ],
        problems=[msgspec.convert(problem, ProblemView) for problem in delivery.problems],
        links=LinksView(events=f"{own}/events", evidence=f"{own}/evidence"),
        submission_id=public_id(SUBMISSION, delivery.submission_id),
        send_at=delivery.send_at,
        lane="interactive" if delivery.lane == Lane.INTERACTIVE else "bulk",
        legal_basis=legal_basis(delivery),
        legal_effect=legal_effect(delivery),
    )


def legal_basis(delivery: DeliveryRow) -> LegalBasisView | None:
    """What a delivery was sent under; None for those from before there was a register."""
    kept = delivery.terms
    return LegalBasisView(kept["basis"], kept["version"], kept["sha256"]) if kept else None


def legal_effect(delivery: DeliveryRow) -> LegalEffectView | None:
    """From when on a delivery has legal effect, and why; None as long as nothing had any."""
    if delivery.effective_at is None or delivery.effect_event is None:
        return None
    rule = terms.from_json(delivery.terms, registered=delivery.registered).rule(Event(delivery.effect_event))
    return LegalEffectView(delivery.effective_at, delivery.effect_event, 0 if rule is None else rule.working_days)


def file_name(context: Context, outline: Outline, position: int) -> str:
    """The name a document was handed in under."""
    row = outline.documents[position]
    return open_text(
        context,
        row.filename,
        organisation=row.organisation_id,
        place=f"document.filename:{row.delivery_id}/{row.position}",
    )


def event_view(row: DeliveryEvent) -> EventView:
    """One line of a timeline."""
    return EventView(
        event=row.event, at=row.at, status=row.status, channel=row.channel, actor=row.actor, reason=row.reason
    )


def evidence_entries(rows: list[dict[str, Any]]) -> list[EvidenceEntry]:
    """Evidence as lists show it."""
    return [msgspec.convert(row, EvidenceEntry) for row in rows]
