"""Registered mail that is offered first: the addressee accepts or refuses it, and exactly one answer counts.

Accepting, refusing, the end of the period and a withdrawal by the sender all lock the delivery first: whichever comes
first has its effect and its evidence, and the others are told what happened.
"""

from typing import Final

from sqlalchemy.orm import Session

from service.db import mailboxes
from service.db.ids import DELIVERY, parse_id
from service.db.jobs import JobKind
from service.domain.errors import Conflict, NotFound
from service.domain.legal_basis import Mode
from service.domain.states import Actor, Event, LegState
from service.usecases import periods
from service.usecases.context import Context
from service.usecases.mailbox import Reader, own, view
from service.usecases.progress import Cause, Progress
from service.usecases.views import MessageView

_REFUSED_BY_RECIPIENT: Final = "refused_by_recipient"
_LOST: Final = {
    LegState.AVAILABLE: ("already_accepted", "This registered mail was accepted already."),
    LegState.OPENED: ("already_accepted", "This registered mail was accepted already."),
    LegState.REFUSED: ("already_refused", "This registered mail was refused already."),
    LegState.EXPIRED: ("offer_expired", "The time to answer is over."),
}


def accept(context: Context, reader: Reader, delivery_id: str) -> MessageView:
    """Accept registered mail: from now on it can be opened, and evidence says so. Safe to repeat.

    Raises:
        NotFound: no such message.
        Conflict: ``already_refused``, ``offer_expired``, ``offer_withdrawn``: something else came first; or
            ``no_offer``: this mail needs no answer.
    """
    return _answer(context, reader, delivery_id, Event.CONSIGNMENT_ACCEPTANCE, {LegState.AVAILABLE, LegState.OPENED})


def refuse(context: Context, reader: Reader, delivery_id: str) -> MessageView:
    """Refuse registered mail; what follows is the policy's. Safe to repeat.

    Raises:
        NotFound: no such message.
        Conflict: ``already_accepted``, ``offer_expired``, ``offer_withdrawn``: something else came first; or
            ``no_offer``: this mail needs no answer.
    """
    return _answer(context, reader, delivery_id, Event.CONSIGNMENT_REJECTION, {LegState.REFUSED})


def _answer(context: Context, reader: Reader, delivery_id: str, event: Event, done: set[LegState]) -> MessageView:
    with context.database.transaction(recipients=reader.hashes) as session:
        _withdrawn(session, reader, delivery_id)
        try:
            dossier, leg, item = own(session, context, reader, delivery_id, lock=True)
        except NotFound:
            # A withdrawal may have come while this one waited for the rows.
            _withdrawn(session, reader, delivery_id)
            raise
        state = LegState(leg.state)
        if dossier.terms.mode is not Mode.CONSENT:
            raise Conflict("This mail needs no answer: open it.", code="no_offer")
        if state in done:
            return view(context, dossier, leg, item)
        if state is not LegState.OFFERED:
            code, sentence = _LOST[state]
            raise Conflict(sentence, code=code)
        now = context.clock()
        running = periods.period_of(dossier, leg, periods.known_outages(session, now=now))
        if running is None or now >= running.ends_at:
            # The clock has not come by yet; its word counts all the same.
            code, sentence = _LOST[LegState.EXPIRED]
            raise Conflict(sentence, code=code)
        progress = Progress(context, now=now)
        reasons = (_REFUSED_BY_RECIPIENT,) if event is Event.CONSIGNMENT_REJECTION else ()
        progress.happen(
            dossier, event, Cause(Actor.RECIPIENT, reasons=reasons, identification=reader.identification), leg=leg
        )
        progress.write(session)
        answered = view(context, dossier, leg, item)
    context.wake([JobKind.ROUTE])
    return answered


def _withdrawn(session: Session, reader: Reader, delivery_id: str) -> None:
    """Tell the addressee of an offer that its sender took it back."""
    found = parse_id(DELIVERY, delivery_id)
    session.expire_all()
    item = mailboxes.items(session, [found]).get(found)
    if item is not None and item.recipient_hash in reader.hashes and item.deposited_at and item.withdrawn_at:
        raise Conflict("The sender took this registered mail back.", code="offer_withdrawn")
