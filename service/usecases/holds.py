"""Legal holds: what is kept whatever its periods say, because somebody disputes it; audited.

A delivery (``dlv_…``) or a signature request (``sgr_…``) can be held.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from service.db import deliveries, signatures
from service.db.ids import DELIVERY, SIGNATURE_REQUEST, new_id, parse_id, public_id
from service.db.printing import every_organisation
from service.db.retention import LegalHold, SignatureHold
from service.db.session import widen
from service.domain.errors import Conflict, Invalid, NotFound
from service.usecases import audit

LONGEST_REASON = 200
SHORTEST_REASON = 3


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as operators see it; ``content_erased``: the documents had gone before, evidence and names are kept."""

    subject: str
    reason: str
    begun_by: str
    begun_at: datetime
    content_erased: bool


@dataclass(frozen=True)
class _Kind:
    """Something that can be held.

    Attributes:
        prefix: of its public ids.
        model: the rows of its holds.
        column: what they name it by.
        organisation: locks it, and says whose it is; None where there is none.
        erased: whether its documents are gone.
    """

    prefix: str
    model: type[LegalHold | SignatureHold]
    column: InstrumentedAttribute[uuid.UUID]
    organisation: Callable[[Session, uuid.UUID], uuid.UUID | None]
    erased: Callable[[Session, uuid.UUID], bool]


def _delivery(session: Session, subject: uuid.UUID) -> uuid.UUID | None:
    row = deliveries.by_ids(session, [subject], lock=True).get(subject)
    return None if row is None else row.organisation_id


def _delivery_erased(session: Session, subject: uuid.UUID) -> bool:
    return any(row.erased_at is not None for row in deliveries.documents(session, [subject])[subject])


def _request(session: Session, subject: uuid.UUID) -> uuid.UUID | None:
    row = signatures.requests(session, [subject], lock=True).get(subject)
    return None if row is None else row.organisation_id


def _request_erased(session: Session, subject: uuid.UUID) -> bool:
    return signatures.requests(session, [subject])[subject].content_erased_at is not None


_KINDS: Final = (
    _Kind(DELIVERY, LegalHold, LegalHold.delivery_id, _delivery, _delivery_erased),
    _Kind(SIGNATURE_REQUEST, SignatureHold, SignatureHold.request_id, _request, _request_erased),
)


def begin(session: Session, subject_id: str, *, reason: str, actor: str, now: datetime) -> Hold:
    """Keep a delivery or signature request with all that is left of it until the hold is ended.

    Args:
        session: the running transaction.
        subject_id: ``dlv_…`` or ``sgr_…``.
        reason: the file or case this is about, 3 to 200 characters; it is kept as long as its subject, so no names.
        actor: who asks, as the audit trail names them.
        now: the moment from which it holds.

    Raises:
        NotFound: there is nothing by this id (any more).
        Invalid: ``hold_reason_length``.
        Conflict: ``hold_exists``.
    """
    if not SHORTEST_REASON <= len(reason.strip()) <= LONGEST_REASON:
        raise Invalid("A hold needs a reason of 3 to 200 characters.", code="hold_reason_length")
    widen(session, every_organisation(session))
    kind, subject = _parsed(subject_id)
    organisation = kind.organisation(session, subject)
    if organisation is None:
        raise NotFound
    # The subject's row is locked: of two that come at once, the second sees the first.
    if _open(session, kind, subject) is not None:
        raise Conflict("This is held already.", code="hold_exists")
    values: dict[str, Any] = {kind.column.key: subject, "organisation_id": organisation}
    hold = kind.model(id=new_id(), reason=reason.strip(), begun_by=actor, begun_at=now, **values)
    session.add(hold)
    session.flush()
    audit.record(session, actor=actor, act="hold.begin", subject=subject_id)
    return _shown(session, kind, hold)


def end(session: Session, subject_id: str, *, actor: str, now: datetime) -> None:
    """Let the periods count again; what they find over goes within a day.

    Raises:
        NotFound: it is not held.
    """
    widen(session, every_organisation(session))
    hold = _open(session, *_parsed(subject_id))
    if hold is None:
        raise NotFound
    hold.ended_by, hold.ended_at = actor, now
    session.flush()
    audit.record(session, actor=actor, act="hold.end", subject=subject_id)


def listed(session: Session) -> list[Hold]:
    """All holds that are in force, oldest first."""
    widen(session, every_organisation(session))
    found = [_shown(session, kind, hold) for kind in _KINDS for hold in session.scalars(_in_force(kind))]
    return sorted(found, key=lambda each: (each.begun_at, each.subject))


def _parsed(subject_id: str) -> tuple[_Kind, uuid.UUID]:
    kind = next((each for each in _KINDS if subject_id.startswith(f"{each.prefix}_")), _KINDS[0])
    return kind, parse_id(kind.prefix, subject_id)


def _open(session: Session, kind: _Kind, subject: uuid.UUID) -> LegalHold | SignatureHold | None:
    return session.scalars(_in_force(kind).where(kind.column == subject).with_for_update()).first()


def _in_force(kind: _Kind) -> Select[LegalHold | SignatureHold]:
    model: Any = kind.model
    return select(model).where(model.ended_at.is_(None))


def _shown(session: Session, kind: _Kind, hold: LegalHold | SignatureHold) -> Hold:
    subject: uuid.UUID = getattr(hold, kind.column.key)
    erased = kind.erased(session, subject)
    return Hold(public_id(kind.prefix, subject), hold.reason, hold.begun_by, hold.begun_at, erased)
