"""Evidence of signature requests: written in the transaction that makes it true, hashed into the same ledger.

The record is of the same kind as a delivery's (version, key, time, who vouches), with the acts of this field; they have
no name in ETSI EN 319 522, which knows deliveries only.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy.orm import Session

from service.db import signatures as rows
from service.db.ids import EVIDENCE, SIGNATURE_REQUEST, new_id, parse_id, public_id
from service.domain.errors import NotFound
from service.domain.evidence import rfc3339
from service.domain.signing_folder import ACTORS, FolderEvent
from service.ledger import sequencer
from service.usecases import sealed_evidence
from service.usecases.context import Context
from service.usecases.views import EvidenceEntry, evidence_entries

if TYPE_CHECKING:
    from service.usecases.signatures.folders import Document, Done, Signing

RECORD_VERSION: Final = "zending-signature-1"


@dataclass(frozen=True)
class Act:
    """Something that happened to a request; ``signer`` by position from 1."""

    signing: Signing
    event: FolderEvent
    at: datetime
    signer: int | None = None
    outcome: Done | None = None
    reason: str | None = None


def write(session: Session, context: Context, acts: Sequence[Act]) -> None:
    """Write evidence rows and queue their leaves for the ledger; what is there already is left as it is."""
    made = [_row(context, act) for act in acts]
    added = rows.add_evidence(session, made)
    sequencer.append(session, [(row["id"], row["leaf_hash"]) for row in made if row["id"] in added])


def listed(session: Session, request: uuid.UUID) -> list[EvidenceEntry]:
    """The evidence of a request, oldest first."""
    return evidence_entries(sealed_evidence.listed(session, rows.evidence(session, request)))


def records(session: Session, context: Context, request: uuid.UUID) -> list[dict[str, object]]:
    """All records of a request, oldest first, each with its salt and leaf hash, and its proof where there is one."""
    return [sealed_evidence.whole(session, context, row) for row in rows.evidence(session, request)]


def whole(session: Session, context: Context, request: uuid.UUID, evidence_id: str) -> dict[str, object]:
    """One evidence with its proof.

    Raises:
        NotFound: the request has no such evidence.
    """
    wanted = parse_id(EVIDENCE, evidence_id)
    for row in rows.evidence(session, request):
        if row.id == wanted:
            return sealed_evidence.whole(session, context, row)
    raise NotFound


def _row(context: Context, act: Act) -> dict[str, Any]:
    request = act.signing.row
    evidence_id = new_id()
    statement = _record(context, act, evidence_id)
    return {
        "request_id": request.id,
        "id": evidence_id,
        "organisation_id": request.organisation_id,
        "position": act.signer or 0,
        "event": act.event.value,
        "at": act.at,
        **sealed_evidence.columns(context, "signature_evidence", statement, request, evidence_id),
    }


def _record(context: Context, act: Act, evidence_id: uuid.UUID) -> dict[str, object]:
    signing, request = act.signing, act.signing.row
    public = public_id(SIGNATURE_REQUEST, request.id)
    organisation = signing.organisation
    own = None if act.signer is None else (signing.signers[act.signer - 1], signing.people[act.signer - 1])
    return {
        "version": RECORD_VERSION,
        "evidence_id": public_id(EVIDENCE, evidence_id),
        "event_key": f"{public}/{act.signer or 0}/{act.event.value}/1",
        "event": act.event.value,
        "event_time": rfc3339(act.at),
        "issuer": context.issuer_name,
        "actor": ACTORS[act.event],
        "sender": {
            "kind": "organisation",
            "id": organisation.number or organisation.slug,
            "name": organisation.name,
        },
        "signature_request": public,
        "reference": request.reference,
        "requested_at": rfc3339(request.created_at),
        "expires_at": rfc3339(request.expires_at),
        "document": _digests(signing.documents[0]),
        # Of the first alone where there is no other: records of one document stay as they were.
        **({"documents": [_digests(each) for each in signing.documents]} if len(signing.documents) > 1 else {}),
        "signer": None
        if own is None
        else {
            "position": own[0].position,
            "way": own[0].way,
            "level_wanted": own[0].level,
            "id": own[1].number,
            "name": own[1].name,
        },
        "outcome": None if act.outcome is None else msgspec.to_builtins(act.outcome),
        "reason": act.reason,
    }


def _digests(document: Document) -> dict[str, str]:
    return {"sha256": document.row.sha256.hex(), "submitted_sha256": document.row.submitted_sha256.hex()}
