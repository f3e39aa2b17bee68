"""Queries about mails that came back: what is known of a notice already, and whose mailbox it went to."""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from service.db.base import among
from service.db.mailbox_models import Mailbox
from service.db.models import DeliveryEvent, EvidenceRow
from service.domain.states import Event

_FAILURES: Final = (Event.CONSIGNMENT_NOTIFICATION_FAILURE.value, Event.NOTIFICATION_FOR_ACCEPTANCE_FAILURE.value)


def failed(session: Session, deliveries: Collection[uuid.UUID]) -> set[tuple[uuid.UUID, int]]:
    """The legs of these deliveries whose first notice is evidenced as failed."""
    query = select(EvidenceRow.delivery_id, EvidenceRow.leg).where(
        among(EvidenceRow.delivery_id, deliveries), EvidenceRow.event.in_(_FAILURES), EvidenceRow.attempt == 1
    )
    return {(delivery, leg) for delivery, leg in session.execute(query)}


def shown(session: Session, deliveries: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """The deliveries whose timeline shows already that an e-mail came back."""
    query = select(DeliveryEvent.delivery_id).where(
        among(DeliveryEvent.delivery_id, deliveries), DeliveryEvent.event == Event.NOTICE_BOUNCED.value
    )
    return set(session.scalars(query))


_SIGNER: Final = text(
    "SELECT recipient_hash, asked_at FROM signature_signer WHERE request_id = :request AND position = :position"
    " AND recipient_hash IS NOT NULL AND asked_at IS NOT NULL"
)


def signer(session: Session, request: uuid.UUID, position: int) -> tuple[bytes, datetime] | None:
    """Who was asked to sign, and since when."""
    row = session.execute(_SIGNER, {"request": request, "position": position}).one_or_none()
    return None if row is None else (bytes(row.recipient_hash), row.asked_at)


def mark_unreachable(session: Session, recipients: Collection[bytes], *, known_at: datetime, now: datetime) -> None:
    """Remember that notices do not reach a mailbox whose address is as it was at ``known_at``."""
    session.execute(
        update(Mailbox)
        .where(
            among(Mailbox.recipient_hash, recipients),
            Mailbox.activated_at <= known_at,
            Mailbox.revoked_at.is_(None),
            Mailbox.unreachable_since.is_(None),
        )
        .values(unreachable_since=now)
        .execution_options(synchronize_session=False)
    )
