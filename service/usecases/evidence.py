"""Evidence: written in the transaction that makes it true, read back with its proof."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from service.db import deliveries
from service.db.ids import DELIVERY, EVIDENCE, new_id, parse_id, public_id
from service.domain.errors import NotFound
from service.domain.evidence import AssuranceLevel, EvidenceEvent, External, Part, Party
from service.domain.evidence_record import ActingBasis, Identification, LegalBasis, Letter, record
from service.domain.states import Actor
from service.ledger import sequencer
from service.usecases import sealed_evidence
from service.usecases.context import Context
from service.usecases.dossiers import Dossier


@dataclass(frozen=True)
class Draft:
    """An event that leaves evidence; ``identification`` is of the person who made it happen."""

    dossier: Dossier
    event: EvidenceEvent
    at: datetime
    actor: Actor
    leg: int | None = None
    attempt: int = 1
    reasons: tuple[str, ...] = ()
    external: External | None = None
    identification: Identification | None = None
    letter: Letter | None = None

    @property
    def recipient_assurance(self) -> AssuranceLevel:
        """How the recipient's identity was established for this event."""
        if self.actor is not Actor.RECIPIENT or self.identification is None:
            return AssuranceLevel.NONE
        acted_for = self.identification.acted_for
        if acted_for is not None and acted_for.basis is ActingBasis.MANDATE:
            # Somebody else was recognised.
            return AssuranceLevel.NONE
        return self.identification.level


def write(session: Session, context: Context, drafts: Sequence[Draft]) -> None:
    """Write evidence rows and queue their leaves for the ledger; what is there already is left as it is."""
    rows = [_row(context, draft) for draft in drafts]
    added = deliveries.add_evidence(session, rows)
    sequencer.append(session, [(row["id"], row["leaf_hash"]) for row in rows if row["id"] in added])


def listed(session: Session, delivery_id: uuid.UUID) -> list[dict[str, Any]]:
    """The evidence of a delivery as lists show it."""
    return sealed_evidence.listed(session, deliveries.evidence_of(session, delivery_id))


def whole(session: Session, context: Context, delivery_id: uuid.UUID, evidence_id: str) -> dict[str, object]:
    """One evidence with its proof, as it leaves the service (see api.md's shape and ``service.ledger.verify``).

    Raises:
        NotFound: the delivery has no such evidence.
    """
    row = deliveries.evidence(session, delivery_id, parse_id(EVIDENCE, evidence_id))
    if row is None:
        raise NotFound
    return sealed_evidence.whole(session, context, row)


def every(session: Session, context: Context, delivery_id: uuid.UUID) -> list[dict[str, object]]:
    """All evidence of a delivery, oldest first, each as of ``whole``."""
    return [sealed_evidence.whole(session, context, row) for row in deliveries.evidence_of(session, delivery_id)]


def _row(context: Context, draft: Draft) -> dict[str, Any]:
    delivery = draft.dossier.delivery
    evidence_id = new_id()
    statement = _record(context, draft, evidence_id)
    return {
        "delivery_id": delivery.id,
        "id": evidence_id,
        "organisation_id": delivery.organisation_id,
        "leg": draft.leg or 0,
        "event": draft.event.value,
        "attempt": draft.attempt,
        "at": draft.at,
        **sealed_evidence.columns(context, "evidence", statement, delivery, evidence_id),
    }


def _record(context: Context, draft: Draft, evidence_id: uuid.UUID) -> dict[str, object]:
    dossier = draft.dossier
    personal, organisation, terms = dossier.personal, dossier.organisation, dossier.terms
    return record(
        evidence_id=public_id(EVIDENCE, evidence_id),
        event=draft.event,
        event_time=draft.at,
        issuer=context.issuer_name,
        sender=Party(
            "organisation", organisation.number or organisation.slug, AssuranceLevel.SUBSTANTIAL, organisation.name
        ),
        recipients=[Party(personal.kind.value, personal.number or "", draft.recipient_assurance, personal.name)],
        message_id=public_id(DELIVERY, dossier.id),
        submission_time=dossier.delivery.created_at,
        parts=[
            Part(document.role, document.sha256.hex(), document.submitted_sha256.hex())
            for document in dossier.documents
        ],
        policy_id=dossier.delivery.policy,
        leg=draft.leg,
        attempt=draft.attempt,
        reasons=draft.reasons,
        external=draft.external,
        actor=draft.actor,
        identification=draft.identification,
        legal_basis=LegalBasis(terms.basis, str(terms.version), terms.sha256) if terms.basis else None,
        letter=draft.letter,
    )
