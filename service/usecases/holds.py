"""Legal holds: a delivery that is kept whatever its periods say, because somebody disputes it; audited."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db import deliveries as rows
from service.db.ids import DELIVERY, new_id, parse_id, public_id
from service.db.printing import every_organisation
from service.db.retention import LegalHold
from service.db.session import widen
from service.domain.errors import Conflict, Invalid, NotFound
from service.usecases import audit

LONGEST_REASON = 200
SHORTEST_REASON = 3


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as operators see it; ``content_erased``: the documents had gone before, evidence and names are kept."""

    delivery: str
    reason: str
    begun_by: str
    begun_at: datetime
    content_erased: bool


def begin(session: Session, delivery_id: str, *, reason: str, actor: str, now: datetime) -> Hold:
    """Keep a delivery with all that is left of it until the hold is ended.

    Args:
        session: the running transaction.
        delivery_id: ``dlv_…``.
        reason: the file or case this is about, 3 to 200 characters; it is kept as long as the delivery, so no names.
        actor: who asks, as the audit trail names them.
        now: the moment from which it holds.

    Raises:
        NotFound: there is no such delivery (any more).
        Invalid: ``hold_reason_length``.
        Conflict: ``hold_exists``.
    """
    if not SHORTEST_REASON <= len(reason.strip()) <= LONGEST_REASON:
        raise Invalid("A hold needs a reason of 3 to 200 characters.", code="hold_reason_length")
    widen(session, every_organisation(session))
    row = rows.by_ids(session, [parse_id(DELIVERY, delivery_id)], lock=True).get(parse_id(DELIVERY, delivery_id))
    if row is None:
        raise NotFound
    # The delivery's row is locked: of two that come at once, the second sees the first.
    if _open(session, row.id) is not None:
        raise Conflict("This delivery is held already.", code="hold_exists")
    hold = LegalHold(
        id=new_id(),
        organisation_id=row.organisation_id,
        delivery_id=row.id,
        reason=reason.strip(),
        begun_by=actor,
        begun_at=now,
    )
    session.add(hold)
    session.flush()
    audit.record(session, actor=actor, act="hold.begin", subject=delivery_id)
    return _shown(session, hold)


def end(session: Session, delivery_id: str, *, actor: str, now: datetime) -> None:
    """Let the periods count again; what they find over goes within a day.

    Raises:
        NotFound: the delivery is not held.
    """
    widen(session, every_organisation(session))
    hold = _open(session, parse_id(DELIVERY, delivery_id))
    if hold is None:
        raise NotFound
    hold.ended_by, hold.ended_at = actor, now
    session.flush()
    audit.record(session, actor=actor, act="hold.end", subject=delivery_id)


def listed(session: Session) -> list[Hold]:
    """All holds that are in force, oldest first."""
    widen(session, every_organisation(session))
    query = select(LegalHold).where(LegalHold.ended_at.is_(None)).order_by(LegalHold.begun_at, LegalHold.id)
    return [_shown(session, hold) for hold in session.scalars(query)]


def _open(session: Session, delivery: uuid.UUID) -> LegalHold | None:
    query = select(LegalHold).where(LegalHold.delivery_id == delivery, LegalHold.ended_at.is_(None))
    return session.scalars(query.with_for_update()).first()


def _shown(session: Session, hold: LegalHold) -> Hold:
    documents = rows.documents(session, [hold.delivery_id])[hold.delivery_id]
    erased = any(row.erased_at is not None for row in documents)
    return Hold(public_id(DELIVERY, hold.delivery_id), hold.reason, hold.begun_by, hold.begun_at, erased)
