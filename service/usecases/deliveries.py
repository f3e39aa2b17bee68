"""Deliveries as their sender sees them."""

import uuid
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy.orm import Session

from service.db import deliveries as rows
from service.db import mailboxes
from service.db.deliveries import Filters
from service.db.ids import DELIVERY, parse_id, public_id
from service.db.models import DeliveryRow
from service.domain import calendar
from service.domain.errors import Conflict, Erased, FieldError, Invalid, NotFound, TransitionRefused
from service.domain.evidence import WITHDRAWAL_REASONS
from service.domain.evidence_record import Identification
from service.domain.states import Actor, DeliveryState, Event, LegKind, LegState
from service.usecases import dossiers, evidence, post_scans
from service.usecases.bundle import Bundle, made
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.evidence_page import sealed_page
from service.usecases.print_taking_out import out_of_batches
from service.usecases.progress import Cause, Progress, may_cancel, may_happen, withdrawable
from service.usecases.views import (
    DeliveryPage,
    DeliveryView,
    EventView,
    EvidenceEntry,
    File,
    delivery_view,
    event_view,
    evidence_entries,
    file_name,
)

MOST = 200


def get(context: Context, organisation_id: uuid.UUID, delivery_id: str) -> DeliveryView:
    """One delivery of the organisation.

    Raises:
        NotFound: there is none by this id, or it is another organisation's.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = _own_row(session, organisation_id, delivery_id)
        (outline,) = dossiers.outlines(session, context, [row])
        return delivery_view(context, outline)


def list_page(
    context: Context, organisation_id: uuid.UUID, filters: Filters, *, cursor: str | None, limit: int
) -> DeliveryPage:
    """One page of the organisation's deliveries, newest first.

    Raises:
        Invalid: the cursor is none of ours, or the limit is out of bounds.
    """
    before = read_cursor(cursor, limit)
    with context.database.transaction(organisations=[organisation_id]) as session:
        found = rows.page(session, organisation_id, filters, before=before, limit=limit + 1)
        shown = dossiers.outlines(session, context, found[:limit])
    return DeliveryPage(
        items=[delivery_view(context, outline) for outline in shown],
        next_cursor=public_id(DELIVERY, found[limit - 1].id) if len(found) > limit else None,
    )


def read_cursor(cursor: str | None, limit: int) -> uuid.UUID | None:
    """Where a page begins.

    Raises:
        Invalid: the cursor is none of ours, or the limit is out of bounds.
    """
    if not 1 <= limit <= MOST:
        raise Invalid(f"A page has 1 to {MOST} items.", code="limit_out_of_bounds")
    if cursor is None:
        return None
    try:
        return parse_id(DELIVERY, cursor)
    except NotFound:
        raise Invalid("The cursor is not one that this list gave.", code="cursor_invalid") from None


def document(context: Context, organisation_id: uuid.UUID, delivery_id: str, position: int) -> File:
    """A sealed document: 0 is the main one.

    Raises:
        NotFound: no such delivery or document.
        Conflict: ``document_not_sealed``, ask again in a moment; ``document_rejected``, there will be none.
        Erased: its retention period is over.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        dossier = _own(session, context, organisation_id, delivery_id)
    return sealed_file(context, dossier, position)


def sealed_file(context: Context, dossier: Dossier, position: int) -> File:
    """Read a sealed document from the vault, for whoever may see it; errors as of ``document``."""
    if not 0 <= position < len(dossier.documents):
        raise NotFound
    row = dossier.documents[position]
    if row.erased_at is not None:
        raise Erased
    if not row.sealed:
        if dossier.delivery.state == DeliveryState.RECEIVED.value:
            raise Conflict("The document is not sealed yet. Ask again in a moment.", code="document_not_sealed")
        raise Conflict("This delivery ended before its documents were sealed.", code="document_rejected")
    content = context.vault.read(row.path, row.organisation_id, row.delivery_id, f"sealed-{position}")
    return File(file_name(context, dossier, position), content)


def timeline(context: Context, organisation_id: uuid.UUID, delivery_id: str) -> list[EventView]:
    """What happened to a delivery, in order."""
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = _own_row(session, organisation_id, delivery_id)
        return [event_view(each) for each in rows.timeline(session, row.id)]


def evidence_list(context: Context, organisation_id: uuid.UUID, delivery_id: str) -> list[EvidenceEntry]:
    """The evidence of a delivery."""
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = _own_row(session, organisation_id, delivery_id)
        return evidence_entries(evidence.listed(session, row.id))


def evidence_one(context: Context, organisation_id: uuid.UUID, delivery_id: str, evidence_id: str) -> dict[str, object]:
    """One evidence with its proof."""
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = _own_row(session, organisation_id, delivery_id)
        return evidence.whole(session, context, row.id, evidence_id)


def evidence_pdf(context: Context, organisation_id: uuid.UUID, delivery_id: str, evidence_id: str) -> File:
    """One evidence as a sealed page with the evidence attached, made now.

    Raises:
        NotFound: no such delivery or evidence.
        Conflict: ``evidence_not_published``, ask again in a moment.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        dossier = _own(session, context, organisation_id, delivery_id)
        found = evidence.whole(session, context, dossier.id, evidence_id)
    return sealed_page(context, dossier, found)


def bundle(context: Context, organisation_id: uuid.UUID, delivery_id: str) -> Bundle:
    """All that proves a delivery, in one ZIP.

    Raises:
        NotFound: no such delivery.
        Conflict: ``evidence_none``, ask again in a moment.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        dossier = _own(session, context, organisation_id, delivery_id)
        proofs = evidence.every(session, context, dossier.id)
        scans = post_scans.listed(session, dossier.id)
    return made(context, dossier, proofs, [post_scans.named(context, each) for each in scans])


def cancel(context: Context, organisation_id: uuid.UUID, delivery_id: str) -> DeliveryView:
    """Take a delivery back, while nobody has it yet.

    Raises:
        TransitionRefused: it is too late.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        dossier = _own(session, context, organisation_id, delivery_id, lock=True)
        progress = Progress(context, now=context.clock())
        if not take_back(session, progress, dossier):
            raise TransitionRefused("It is too late to cancel: this is already with the recipient or the printer.")
        progress.write(session)
        return delivery_view(context, dossier)


def take_back(session: Session, progress: Progress, dossier: Dossier) -> bool:
    """Cancel a delivery that this transaction has locked, for its sender; False when it is too late."""
    if not may_cancel(dossier) or not out_of_batches(session, dossier, now=progress.now):
        return False
    cause = Cause(Actor.SENDER)
    for leg in dossier.legs:
        # The others ended before and brought nothing.
        if may_happen(dossier, Event.CANCELLED, leg):
            progress.happen(dossier, Event.CANCELLED, cause, leg=leg)
    progress.happen(dossier, Event.CANCELLED, cause)
    return True


def withdraw(
    context: Context, organisation_id: uuid.UUID, delivery_id: str, reason: str, *, by: Identification | None = None
) -> DeliveryView:
    """Take back what is in the mailbox and unopened, or waits for its print batch; evidence says so, why, and by whom.

    Raises:
        Invalid: ``reason_unknown``, not a word of the closed list.
        TransitionRefused: ``too_late_to_withdraw``, somebody has it; ``not_delivered_yet``, cancel it instead.
    """
    if reason not in WITHDRAWAL_REASONS:
        detail = f"A reason is one of {', '.join(sorted(WITHDRAWAL_REASONS))}."
        raise Invalid(detail, code="reason_unknown", errors=[FieldError("/reason", "reason_unknown", detail)])
    with context.database.transaction(organisations=[organisation_id]) as session:
        dossier = _own(session, context, organisation_id, delivery_id, lock=True)
        now = context.clock()
        legs = withdrawable(dossier)
        # The recipient's opening locks the same delivery and then its item: one of the two comes first.
        digital = any(leg.kind == LegKind.MAILBOX.value for leg in legs)
        if digital and not mailboxes.withdraw(session, dossier.id, now=now):
            legs = []
        if legs and not out_of_batches(session, dossier, now=now):
            raise TransitionRefused("It is too late to withdraw: the print house has it.", code="too_late_to_withdraw")
        if not legs:
            raise _not_withdrawn(dossier)
        progress = Progress(context, now=now)
        cause = Cause(Actor.SENDER, reasons=(reason,), identification=by)
        for leg in legs:
            progress.happen(dossier, Event.CONSIGNMENT_WITHDRAWAL, cause, leg=leg)
        progress.write(session)
        return delivery_view(context, dossier)


@dataclass(frozen=True, slots=True)
class Standing:
    """What can still become of a delivery: the sender may withdraw it; the recipient may answer its offer until a day.

    ``answer_until`` is the last day, in Brussels.
    """

    withdrawable: bool
    answer_until: date | None


def standing(context: Context, organisation_id: uuid.UUID, delivery_id: str) -> Standing:
    """Whether a delivery can be withdrawn now, and until when its recipient can answer an offer.

    Raises:
        NotFound: no such delivery.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        dossier = _own(session, context, organisation_id, delivery_id)
        ends = [leg.ends_at for leg in dossier.legs if leg.state == LegState.OFFERED.value and leg.ends_at is not None]
    # A period ends as its last day does: at the next midnight.
    last = calendar.local_date(max(ends)) - timedelta(days=1) if ends else None
    return Standing(bool(withdrawable(dossier)), last)


def _not_withdrawn(dossier: Dossier) -> TransitionRefused:
    if may_cancel(dossier):
        return TransitionRefused("This did not reach anybody yet: cancel it instead.", code="not_delivered_yet")
    return TransitionRefused("It is too late to withdraw: somebody has it.", code="too_late_to_withdraw")


def _own_row(session: Session, organisation_id: uuid.UUID, delivery_id: str) -> DeliveryRow:
    found = rows.by_ids(session, [parse_id(DELIVERY, delivery_id)])
    for row in found.values():
        if row.organisation_id == organisation_id:
            return row
    raise NotFound


def _own(
    session: Session, context: Context, organisation_id: uuid.UUID, delivery_id: str, *, lock: bool = False
) -> Dossier:
    found = dossiers.load(session, context, [parse_id(DELIVERY, delivery_id)], lock=lock)
    for dossier in found.values():
        if dossier.delivery.organisation_id == organisation_id:
            return dossier
    raise NotFound
