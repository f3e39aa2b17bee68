"""Documents of a delivery that are written anew, sealed or with a newer time-stamp: stored first, then named."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from service.db import archive, deliveries, verification
from service.db.models import DocumentRow
from service.usecases.admission import intents
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.verification import hash_of
from service.vault.vault import Prepared
from signing.archive import Kept


@dataclass(frozen=True)
class Rewritten:
    """A document as it counts from now on, encrypted.

    Attributes:
        until: when its seal must have been renewed.
        code: the verification code that can be seen on it now; None where there is no new one.
    """

    prepared: Prepared
    sha256: bytes
    size: int
    until: datetime
    code: str | None = None


def role_of(row: DocumentRow) -> str:
    """What the vault knows a document as once it is sealed."""
    return f"sealed-{row.position}"


def prepare(context: Context, dossier: Dossier, row: DocumentRow, kept: Kept, *, code: str | None = None) -> Rewritten:
    """Encrypt a document for its place in the vault; nothing is stored yet. A code counts where it can be seen."""
    delivery = dossier.delivery
    prepared = context.vault.prepare(
        delivery.organisation_id, delivery.retention_year, delivery.id, role_of(row), kept.content
    )
    seen = kept.shown is not None and kept.shown.reason is None
    return Rewritten(
        prepared, hashlib.sha256(kept.content).digest(), len(kept.content), kept.until, code if seen else None
    )


def store(context: Context, made: Sequence[tuple[Dossier, Sequence[Rewritten]]]) -> None:
    """Write down all intents of a chunk, then store its objects together."""
    rows = [
        intent
        for dossier, documents in made
        for intent in intents(dossier.delivery.organisation_id, dossier.id, [each.prepared for each in documents])
    ]
    if not rows:
        return
    with context.database.transaction(
        organisations={dossier.delivery.organisation_id for dossier, _ in made}
    ) as session:
        deliveries.intend(session, rows)
    context.vault.write_many([each.prepared for _, documents in made for each in documents])


def name(
    session: Session, context: Context, made: Sequence[tuple[Dossier, Mapping[int, Rewritten]]], *, now: datetime
) -> None:
    """Let the stored objects be what counts, and write down when their seals must be renewed.

    Args:
        session: the running transaction.
        context: the wired parts.
        made: by delivery, its documents by their position.
        now: this moment.
    """
    rows: list[DocumentRow] = []
    moments: dict[uuid.UUID, tuple[uuid.UUID, datetime]] = {}
    for dossier, documents in made:
        for row in dossier.documents:
            if fresh := documents.get(row.position):
                row.path, row.sha256, row.size, row.sealed = fresh.prepared.path, fresh.sha256, fresh.size, True
                rows.append(row)
        until = min(each.until for each in documents.values())
        moments[dossier.id] = dossier.delivery.organisation_id, renewal_moment(context, until, now=now)
    deliveries.replace_documents(session, rows)
    deliveries.keep(session, [dossier.id for dossier, _ in made], [row.path for row in rows])
    archive.DELIVERIES.renew_by(session, moments)
    verification.add(
        session,
        [
            {
                "code_sha256": hash_of(each.code),
                "delivery_id": dossier.id,
                "position": position,
                "organisation_id": dossier.delivery.organisation_id,
                "made_at": now,
            }
            for dossier, documents in made
            for position, each in documents.items()
            if each.code
        ],
    )


def renewal_moment(context: Context, until: datetime, *, now: datetime) -> datetime:
    """When to renew what is good until then: the set time before, or at half of what is left if that is later."""
    return max(until - context.renewal_margin, now + (until - now) / 2)
