"""A mailbox: list, open, read, and the proof of it all. Opening is an act, never a look.

It is the reader's own, or that of somebody who gave them a mandate (``Reader.acting_for``); see ``acting``.
"""

import contextlib
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from service.db import deliveries as rows
from service.db import mailboxes, mandates
from service.db.ids import DELIVERY, MANDATE, parse_id, public_id
from service.db.mailbox_models import MailboxItem
from service.db.models import LegRow
from service.db.session import enter_delivery
from service.domain.errors import Conflict, NotFound
from service.domain.evidence import MANDATE_WITHOUT_EFFECT, AssuranceLevel, EvidenceEvent
from service.domain.evidence_record import ActedFor, ActingBasis, Identification
from service.domain.identifiers import RecipientKind
from service.domain.mandates import Act, Side
from service.domain.states import Actor, Event, LegKind, LegState
from service.domain.transitions import BY_EVENT, Scope
from service.usecases import acting, dossiers, evidence, periods
from service.usecases.acting import Box
from service.usecases.bundle import Bundle, made
from service.usecases.context import Context
from service.usecases.deliveries import read_cursor, sealed_file
from service.usecases.dossiers import Dossier
from service.usecases.evidence_page import sealed_page
from service.usecases.offers import offer_view
from service.usecases.progress import Cause, Progress
from service.usecases.views import (
    EvidenceEntry,
    File,
    MessageDocument,
    MessagePage,
    MessageView,
    evidence_entries,
    file_name,
    legal_basis,
    legal_effect,
)
from service.vault.errors import KeyDestroyed, KeyLost

# What a recipient can see: before, it is not theirs yet; after a withdrawal it is nobody's.
_READ = frozenset({LegState.AVAILABLE, LegState.OPENED})
_ANSWERED = frozenset({LegState.REFUSED, LegState.EXPIRED})
_SEEN = _READ | _ANSWERED | {LegState.OFFERED}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: the keyed hash of their number, what kind of number it is, and how the person was identified.

    Attributes:
        recipient_hash: what is written with.
        assurance: how surely the person was recognised, as the provider writes it.
        others: under which their rows may stand too, while the index key is exchanged.
        provider: who identified the person.
        person: the provider's own id of them.
        authenticated_at: when they logged in there.
        acting_for: the mandate by which they act for somebody else; what it allows is asked at each act.
    """

    recipient_hash: bytes = field(repr=False)
    kind: RecipientKind
    assurance: str | None = None
    others: tuple[bytes, ...] = field(default=(), repr=False)
    provider: str | None = None
    person: str = field(default="", repr=False)
    authenticated_at: datetime | None = None
    acting_for: uuid.UUID | None = None

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Under which their rows are looked for."""
        return (self.recipient_hash, *self.others)

    @property
    def identification(self) -> Identification:
        """How the person was identified, as evidence names it; for a firm or an administration a person acts."""
        acted_for = None if self.kind is RecipientKind.CITIZEN else ActedFor(ActingBasis.LOG_IN, self.person)
        if self.acting_for is not None:
            acted_for = ActedFor(ActingBasis.MANDATE, self.person, public_id(MANDATE, self.acting_for))
        return Identification(self.provider, level(self.assurance), self.authenticated_at, acted_for)


def level(assurance: str | None) -> AssuranceLevel:
    """A provider's word for how surely it recognised somebody, as evidence names it."""
    known = {level.value: level for level in AssuranceLevel}
    # What is not known is not claimed.
    return known.get((assurance or "").rsplit("/", 1)[-1].lower(), AssuranceLevel.NONE)


def messages(context: Context, reader: Reader, *, cursor: str | None, limit: int) -> MessagePage:
    """One page of the mailbox, newest first."""
    before = read_cursor(cursor, limit)
    with entered(context, reader) as (session, box):
        ids = mailboxes.page(session, box.hashes, before=before, limit=limit + 1, senders=box.senders)
        items = _seen(session, context, box, ids[:limit])
    return MessagePage(list(items.values()), public_id(DELIVERY, ids[limit - 1]) if len(ids) > limit else None)


def known(context: Context, reader: Reader, deliveries: Collection[uuid.UUID]) -> dict[uuid.UUID, MessageView]:
    """Those of these deliveries that are in the mailbox."""
    with entered(context, reader) as (session, box):
        return _seen(session, context, box, deliveries)


def message(context: Context, reader: Reader, delivery_id: str) -> MessageView:
    """One message; looking at it opens nothing.

    Raises:
        NotFound: it is not in this mailbox.
    """
    with entered(context, reader) as (session, box):
        dossier, leg, item = own(session, context, box, delivery_id)
        return view(context, dossier, leg, item, _read_before(session, box, [dossier.id]).get(dossier.id))


def open_message(context: Context, reader: Reader, delivery_id: str) -> MessageView:
    """Open a message: from now on its documents can be read, and evidence says so. Safe to repeat.

    By a mandate without legal effect it is opened for its holder only: evidence says who read it, and it stays unopened
    for whom it is for.

    Raises:
        NotFound: no such message.
        Conflict: ``not_accepted``, registered mail that is offered is accepted first.
    """
    with entered(context, reader, act=True) as (session, box):
        dossier, leg, item = own(session, context, box, delivery_id, lock=True)
        if LegState(leg.state) not in _READ:
            raise _not_accepted()
        read = _read_before(session, box, [dossier.id]).get(dossier.id)
        now = context.clock()
        if leg.state == LegState.AVAILABLE.value and (box.with_effect or read is None):
            event = Event.CONTENT_ACCESS_TRACKING if box.with_effect else Event.READ_BY_MANDATARY
            _happen(session, context, reader, box, (dossier, leg), event, now=now)
        if leg.state == LegState.OPENED.value and item.opened_at is None:
            mailboxes.open_item(session, dossier.id, now=now)
            item.opened_at = now
        if box.mandate is not None and read is None:
            read = note(session, context, reader, box, Act.OPENED, dossier, now=now)
        return view(context, dossier, leg, item, None if box.with_effect else read)


def document(context: Context, reader: Reader, delivery_id: str, position: int) -> File:
    """A document of an opened message; the first time it is handed over is evidenced.

    Raises:
        Conflict: ``not_opened``, open the message first.
        NotFound: no such message or document.
    """
    with entered(context, reader) as (session, box):
        dossier = _opened(session, context, box, delivery_id)
    file = sealed_file(context, dossier, position)
    _hand_over(context, reader, delivery_id)
    return file


def bundle(context: Context, reader: Reader, delivery_id: str) -> Bundle:
    """All that proves an opened message, in one ZIP; its documents are handed over by that.

    Raises:
        Conflict: ``not_opened``, open the message first.
        NotFound: no such message.
    """
    with entered(context, reader) as (session, box):
        dossier = _opened(session, context, box, delivery_id)
        proofs = evidence.every(session, context, dossier.id)
    whole = made(context, dossier, proofs)
    if whole.has_documents:
        _hand_over(context, reader, delivery_id)
    return whole


def _opened(session: Session, context: Context, box: Box, delivery_id: str) -> Dossier:
    dossier, leg, _ = own(session, context, box, delivery_id)
    if LegState(leg.state) not in _READ:
        raise _not_accepted()
    read = not box.with_effect and dossier.id in _read_before(session, box, [dossier.id])
    if leg.state != LegState.OPENED.value and not read:
        raise Conflict("Open the message before reading its documents.", code="not_opened")
    return dossier


def _hand_over(context: Context, reader: Reader, delivery_id: str) -> None:
    """Evidence that documents are handed over now, the first time."""
    with entered(context, reader, act=True) as (session, box):
        dossier, leg, _ = own(session, context, box, delivery_id, lock=True)
        now = context.clock()
        # Whoever reads without effect takes over nothing in the recipient's place.
        if leg.state == LegState.OPENED.value and box.with_effect and not _handed_over(session, dossier, leg):
            _happen(session, context, reader, box, (dossier, leg), Event.CONTENT_HANDOVER, now=now)
        if box.mandate is not None:
            note(session, context, reader, box, Act.READ, dossier, now=now)


def evidence_list(context: Context, reader: Reader, delivery_id: str) -> list[EvidenceEntry]:
    """The evidence of a message."""
    with entered(context, reader) as (session, box):
        dossier, _, _ = own(session, context, box, delivery_id)
        return evidence_entries(evidence.listed(session, dossier.id))


def evidence_one(context: Context, reader: Reader, delivery_id: str, evidence_id: str) -> dict[str, object]:
    """One evidence of a message, with its proof.

    Raises:
        NotFound: no such message or evidence.
        Conflict: ``not_accepted``, it names a sender who is told only after acceptance.
    """
    with entered(context, reader) as (session, box):
        dossier, leg, _ = own(session, context, box, delivery_id)
        if hides_sender(dossier, leg):
            raise _not_accepted()
        return evidence.whole(session, context, dossier.id, evidence_id)


def evidence_pdf(context: Context, reader: Reader, delivery_id: str, evidence_id: str) -> File:
    """One evidence of a message as a sealed page with the evidence attached, made now.

    Raises:
        NotFound: no such message or evidence.
        Conflict: ``evidence_not_published``, ask again in a moment; ``not_accepted`` as with `evidence_one`.
    """
    with entered(context, reader) as (session, box):
        dossier, leg, _ = own(session, context, box, delivery_id)
        if hides_sender(dossier, leg):
            raise _not_accepted()
        found = evidence.whole(session, context, dossier.id, evidence_id)
    return sealed_page(context, dossier, found)


@contextlib.contextmanager
def entered(context: Context, reader: Reader, *, act: bool = False) -> Iterator[tuple[Session, Box]]:
    """A transaction about the mailbox that the reader means, and no other; ``act`` where something is done in it.

    Raises:
        NotFound: the reader holds no such mandate.
        Forbidden: ``mandate_over``.
    """
    with context.database.transaction(recipients=reader.hashes) as session:
        yield session, acting.enter(session, context, reader.hashes, reader.acting_for, act=act)


def own(
    session: Session, context: Context, box: Box, delivery_id: str, *, lock: bool = False
) -> tuple[Dossier, LegRow, MailboxItem]:
    """A message in this mailbox by its public id.

    Raises:
        NotFound: it is not there.
    """
    return find(session, context, box, parse_id(DELIVERY, delivery_id), lock=lock)


def _not_accepted() -> Conflict:
    return Conflict("This registered mail was not accepted.", code="not_accepted")


def hides_sender(dossier: Dossier, leg: LegRow) -> bool:
    """Whether who sent it is kept back as long as it is not accepted."""
    return dossier.terms.hides_sender and LegState(leg.state) not in _READ


def find(
    session: Session, context: Context, box: Box, delivery_id: uuid.UUID, *, lock: bool = False
) -> tuple[Dossier, LegRow, MailboxItem]:
    """Find an item in this mailbox, and only then let the transaction see its delivery.

    Raises:
        NotFound: it is not there, or beyond the mandate by which the mailbox is read.
    """
    item = mailboxes.items(session, [delivery_id]).get(delivery_id)
    if item is None or item.recipient_hash not in box.hashes:
        raise NotFound
    enter_delivery(session, delivery_id)
    dossier = dossiers.load(session, context, [delivery_id], lock=lock)[delivery_id]
    if not box.covers(dossier.delivery.organisation_id, registered=dossier.delivery.registered):
        raise NotFound
    if lock:
        # A withdrawal that comes now waits, and one that came meanwhile is seen: of the two, one wins.
        session.refresh(item, with_for_update=True)
    leg = next((leg for leg in dossier.legs if leg.number == item.leg and leg.kind == LegKind.MAILBOX.value), None)
    if item.deposited_at is None or item.withdrawn_at is not None or leg is None or LegState(leg.state) not in _SEEN:
        raise NotFound
    return dossier, leg, item


def _seen(
    session: Session, context: Context, box: Box, deliveries: Collection[uuid.UUID]
) -> dict[uuid.UUID, MessageView]:
    read = _read_before(session, box, deliveries)
    items = {}
    for delivery_id in deliveries:
        # One that is not there yet, was taken back a moment ago, is beyond a mandate, or whose key is lost, is no
        # reason to refuse the others.
        with contextlib.suppress(NotFound, KeyLost, KeyDestroyed):
            dossier, leg, item = find(session, context, box, delivery_id)
            items[delivery_id] = view(context, dossier, leg, item, read.get(delivery_id))
    return items


def _read_before(session: Session, box: Box, deliveries: Collection[uuid.UUID]) -> dict[uuid.UUID, datetime]:
    """When these were opened under the mandate by which this mailbox is read."""
    if box.mandate is None:
        return {}
    return mandates.done(session, box.mandate, deliveries, Act.OPENED.value)


def _happen(
    session: Session,
    context: Context,
    reader: Reader,
    box: Box,
    found: tuple[Dossier, LegRow],
    event: Event,
    *,
    now: datetime,
) -> None:
    dossier, leg = found
    named = {row.value for row in BY_EVENT[Scope.MAILBOX, LegState(leg.state), event].evidence}
    # Read under a mandate without effect before, and opened now: the same event by its name, twice.
    reasons = () if box.with_effect else (MANDATE_WITHOUT_EFFECT,)
    attempts = [
        row.attempt for row in rows.evidence_of(session, dossier.id) if row.leg == leg.number and row.event in named
    ]
    progress = Progress(context, now=now)
    cause = Cause(
        Actor.RECIPIENT, identification=reader.identification, reasons=reasons, attempt=1 + max(attempts, default=0)
    )
    progress.happen(dossier, event, cause, leg=leg)
    if event is Event.CONTENT_ACCESS_TRACKING:
        periods.call_off_letters(progress, dossier)
    progress.write(session)


def note(
    session: Session, context: Context, reader: Reader, box: Box, act: Act, dossier: Dossier, *, now: datetime
) -> datetime:
    """Write down what was done under the mandate by which a mailbox is read; when."""
    assert box.mandate is not None
    how = reader.identification
    acting.note(session, context, box.mandate, act, Side.MANDATARY, how, at=now, delivery=dossier.id)
    return now


def _handed_over(session: Session, dossier: Dossier, leg: LegRow) -> bool:
    return any(
        row.event == EvidenceEvent.CONTENT_HANDOVER.value and row.leg == leg.number
        for row in rows.evidence_of(session, dossier.id)
    )


def view(
    context: Context, dossier: Dossier, leg: LegRow, item: MailboxItem, read_at: datetime | None = None
) -> MessageView:
    """A message for its recipient, or for who read it in their place at ``read_at``.

    Of an offer nothing but that it is one, who sent it where that may be told, and until when it can be answered.
    """
    public = f"/v1/mailbox/messages/{public_id(DELIVERY, dossier.id)}"
    state = LegState(leg.state)
    told = state in _READ
    opened_at = item.opened_at or read_at
    assert item.deposited_at is not None
    return MessageView(
        id=public_id(DELIVERY, dossier.id),
        sender="" if hides_sender(dossier, leg) else dossier.organisation.name,
        subject=dossier.personal.subject if told else "",
        document_type=dossier.delivery.document_type if told else "",
        registered=dossier.delivery.registered,
        received_at=leg.noticed_at or item.deposited_at,
        opened_at=opened_at if told else None,
        documents=[
            MessageDocument(
                role=row.role,
                filename=file_name(context, dossier, row.position),
                pages=row.pages,
                size=row.size,
                url=public + ("/document" if row.position == 0 else f"/attachments/{row.position}"),
            )
            for row in dossier.documents
        ]
        if state is LegState.OPENED or (told and read_at is not None)
        else [],
        state=state.value,
        answer_until=leg.ends_at if state is LegState.OFFERED else None,
        effective_at=leg.effective_at,
        offer=None if told else offer_view(context, dossier),
        legal_basis=legal_basis(dossier.delivery),
        legal_effect=legal_effect(dossier.delivery),
    )
