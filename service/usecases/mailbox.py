"""A recipient's own mailbox: list, open, read, and the proof of it all. Opening is an act, never a look."""

import contextlib
import uuid
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from service.db import deliveries as rows
from service.db import mailboxes
from service.db.ids import DELIVERY, parse_id, public_id
from service.db.models import LegRow, MailboxItem
from service.db.session import enter_delivery
from service.domain.errors import Conflict, NotFound
from service.domain.evidence import AssuranceLevel, EvidenceEvent
from service.domain.evidence_record import ActedFor, ActingBasis, Identification
from service.domain.identifiers import RecipientKind
from service.domain.states import Actor, Event, LegKind, LegState
from service.usecases import dossiers, evidence, periods
from service.usecases.bundle import Bundle, made
from service.usecases.context import Context
from service.usecases.deliveries import read_cursor, sealed_file
from service.usecases.dossiers import Dossier
from service.usecases.evidence_page import sealed_page
from service.usecases.progress import Cause, Progress
from service.usecases.views import (
    EvidenceEntry,
    File,
    MessageDocument,
    MessagePage,
    MessageView,
    evidence_entries,
    file_name,
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
    """

    recipient_hash: bytes = field(repr=False)
    kind: RecipientKind
    assurance: str | None = None
    others: tuple[bytes, ...] = field(default=(), repr=False)
    provider: str | None = None
    person: str = field(default="", repr=False)
    authenticated_at: datetime | None = None

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Under which their rows are looked for."""
        return (self.recipient_hash, *self.others)

    @property
    def identification(self) -> Identification:
        """How the person was identified, as evidence names it; for a firm or an administration a person acts."""
        acted_for = None if self.kind is RecipientKind.CITIZEN else ActedFor(ActingBasis.LOG_IN, self.person)
        return Identification(self.provider, level(self.assurance), self.authenticated_at, acted_for)


def level(assurance: str | None) -> AssuranceLevel:
    """A provider's word for how surely it recognised somebody, as evidence names it."""
    known = {level.value: level for level in AssuranceLevel}
    # What is not known is not claimed.
    return known.get((assurance or "").rsplit("/", 1)[-1].lower(), AssuranceLevel.NONE)


def messages(context: Context, reader: Reader, *, cursor: str | None, limit: int) -> MessagePage:
    """One page of the mailbox, newest first."""
    before = read_cursor(cursor, limit)
    with context.database.transaction(recipients=reader.hashes) as session:
        ids = mailboxes.page(session, reader.hashes, before=before, limit=limit + 1)
        items = []
        for delivery_id in ids[:limit]:
            # One that is not there yet, was taken back a moment ago, or whose key is lost, is no reason to refuse the
            # others.
            with contextlib.suppress(NotFound, KeyLost, KeyDestroyed):
                dossier, leg, item = find(session, context, reader, delivery_id)
                items.append(view(context, dossier, leg, item))
    return MessagePage(items, public_id(DELIVERY, ids[limit - 1]) if len(ids) > limit else None)


def message(context: Context, reader: Reader, delivery_id: str) -> MessageView:
    """One message; looking at it opens nothing.

    Raises:
        NotFound: it is not in this mailbox.
    """
    with context.database.transaction(recipients=reader.hashes) as session:
        dossier, leg, item = own(session, context, reader, delivery_id)
        return view(context, dossier, leg, item)


def open_message(context: Context, reader: Reader, delivery_id: str) -> MessageView:
    """Open a message: from now on its documents can be read, and evidence says so. Safe to repeat.

    Raises:
        NotFound: no such message.
        Conflict: ``not_accepted``, registered mail that is offered is accepted first.
    """
    with context.database.transaction(recipients=reader.hashes) as session:
        dossier, leg, item = own(session, context, reader, delivery_id, lock=True)
        if LegState(leg.state) not in _READ:
            raise _not_accepted()
        if leg.state == LegState.AVAILABLE.value:
            now = context.clock()
            progress = Progress(context, now=now)
            cause = Cause(Actor.RECIPIENT, identification=reader.identification)
            progress.happen(dossier, Event.CONTENT_ACCESS_TRACKING, cause, leg=leg)
            periods.call_off_letters(progress, dossier)
            progress.write(session)
            mailboxes.open_item(session, dossier.id, now=now)
            item.opened_at = item.opened_at or now
        return view(context, dossier, leg, item)


def document(context: Context, reader: Reader, delivery_id: str, position: int) -> File:
    """A document of an opened message; the first time it is handed over is evidenced.

    Raises:
        Conflict: ``not_opened``, open the message first.
        NotFound: no such message or document.
    """
    with context.database.transaction(recipients=reader.hashes) as session:
        dossier = _opened(session, context, reader, delivery_id)
    file = sealed_file(context, dossier, position)
    _hand_over(context, reader, delivery_id)
    return file


def bundle(context: Context, reader: Reader, delivery_id: str) -> Bundle:
    """All that proves an opened message, in one ZIP; its documents are handed over by that.

    Raises:
        Conflict: ``not_opened``, open the message first.
        NotFound: no such message.
    """
    with context.database.transaction(recipients=reader.hashes) as session:
        dossier = _opened(session, context, reader, delivery_id)
        proofs = evidence.every(session, context, dossier.id)
    whole = made(context, dossier, proofs)
    if whole.has_documents:
        _hand_over(context, reader, delivery_id)
    return whole


def _opened(session: Session, context: Context, reader: Reader, delivery_id: str) -> Dossier:
    dossier, leg, _ = own(session, context, reader, delivery_id)
    if LegState(leg.state) not in _READ:
        raise _not_accepted()
    if leg.state != LegState.OPENED.value:
        raise Conflict("Open the message before reading its documents.", code="not_opened")
    return dossier


def _hand_over(context: Context, reader: Reader, delivery_id: str) -> None:
    """Evidence that documents are handed over now, the first time."""
    with context.database.transaction(recipients=reader.hashes) as session:
        dossier, leg, _ = own(session, context, reader, delivery_id, lock=True)
        if leg.state == LegState.OPENED.value and not _handed_over(session, dossier, leg):
            progress = Progress(context, now=context.clock())
            cause = Cause(Actor.RECIPIENT, identification=reader.identification)
            progress.happen(dossier, Event.CONTENT_HANDOVER, cause, leg=leg)
            progress.write(session)


def evidence_list(context: Context, reader: Reader, delivery_id: str) -> list[EvidenceEntry]:
    """The evidence of a message."""
    with context.database.transaction(recipients=reader.hashes) as session:
        dossier, _, _ = own(session, context, reader, delivery_id)
        return evidence_entries(evidence.listed(session, dossier.id))


def evidence_one(context: Context, reader: Reader, delivery_id: str, evidence_id: str) -> dict[str, object]:
    """One evidence of a message, with its proof.

    Raises:
        NotFound: no such message or evidence.
        Conflict: ``not_accepted``, it names a sender who is told only after acceptance.
    """
    with context.database.transaction(recipients=reader.hashes) as session:
        dossier, leg, _ = own(session, context, reader, delivery_id)
        if hides_sender(dossier, leg):
            raise _not_accepted()
        return evidence.whole(session, context, dossier.id, evidence_id)


def evidence_pdf(context: Context, reader: Reader, delivery_id: str, evidence_id: str) -> File:
    """One evidence of a message as a sealed page with the evidence attached, made now.

    Raises:
        NotFound: no such message or evidence.
        Conflict: ``evidence_not_published``, ask again in a moment; ``not_accepted`` as with `evidence_one`.
    """
    with context.database.transaction(recipients=reader.hashes) as session:
        dossier, leg, _ = own(session, context, reader, delivery_id)
        if hides_sender(dossier, leg):
            raise _not_accepted()
        found = evidence.whole(session, context, dossier.id, evidence_id)
    return sealed_page(context, dossier, found)


def own(
    session: Session, context: Context, reader: Reader, delivery_id: str, *, lock: bool = False
) -> tuple[Dossier, LegRow, MailboxItem]:
    """A message in the reader's own mailbox by its public id.

    Raises:
        NotFound: it is not there.
    """
    return find(session, context, reader, parse_id(DELIVERY, delivery_id), lock=lock)


def _not_accepted() -> Conflict:
    return Conflict("This registered mail was not accepted.", code="not_accepted")


def hides_sender(dossier: Dossier, leg: LegRow) -> bool:
    """Whether who sent it is kept back as long as it is not accepted."""
    return dossier.terms.hides_sender and LegState(leg.state) not in _READ


def find(
    session: Session, context: Context, reader: Reader, delivery_id: uuid.UUID, *, lock: bool = False
) -> tuple[Dossier, LegRow, MailboxItem]:
    """Find an item in the reader's own mailbox, and only then let the transaction see its delivery."""
    item = mailboxes.items(session, [delivery_id]).get(delivery_id)
    if item is None or item.recipient_hash not in reader.hashes:
        raise NotFound
    enter_delivery(session, delivery_id)
    dossier = dossiers.load(session, context, [delivery_id], lock=lock)[delivery_id]
    if lock:
        # A withdrawal that comes now waits, and one that came meanwhile is seen: of the two, one wins.
        session.refresh(item, with_for_update=True)
    leg = next((leg for leg in dossier.legs if leg.number == item.leg and leg.kind == LegKind.MAILBOX.value), None)
    if item.deposited_at is None or item.withdrawn_at is not None or leg is None or LegState(leg.state) not in _SEEN:
        raise NotFound
    return dossier, leg, item


def _handed_over(session: Session, dossier: Dossier, leg: LegRow) -> bool:
    return any(
        row.event == EvidenceEvent.CONTENT_HANDOVER.value and row.leg == leg.number
        for row in rows.evidence_of(session, dossier.id)
    )


def view(context: Context, dossier: Dossier, leg: LegRow, item: MailboxItem) -> MessageView:
    """A message for its recipient.

    Of an offer nothing but that it is one, who sent it where that may be told, and until when it can be answered.
    """
    public = f"/v1/mailbox/messages/{public_id(DELIVERY, dossier.id)}"
    state = LegState(leg.state)
    told = state in _READ
    assert item.deposited_at is not None
    return MessageView(
        id=public_id(DELIVERY, dossier.id),
        sender="" if hides_sender(dossier, leg) else dossier.organisation.name,
        subject=dossier.personal.subject if told else "",
        document_type=dossier.delivery.document_type if told else "",
        registered=dossier.delivery.registered,
        received_at=leg.noticed_at or item.deposited_at,
        opened_at=item.opened_at if told else None,
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
        if state is LegState.OPENED
        else [],
        state=state.value,
        answer_until=leg.ends_at if state is LegState.OFFERED else None,
        effective_at=leg.effective_at,
    )
