"""Registered mail that is offered first: the addressee accepts or refuses it, and exactly one answer counts.

Accepting, refusing, the end of the period and a withdrawal by the sender all lock the delivery first: whichever comes
first has its effect and its evidence, and the others are told what happened. Somebody may answer by a mandate that has
legal effect.
"""

from typing import Final

from sqlalchemy.orm import Session

from service.db import mailboxes
from service.db.ids import DELIVERY, parse_id
from service.db.jobs import JobKind
from service.domain.errors import Conflict, NotFound
from service.domain.legal_basis import Mode
from service.domain.mandates import Act
from service.domain.states import Actor, Event, LegState
from service.usecases import periods
from service.usecases.acting import Box
from service.usecases.context import Context
from service.usecases.mailbox import Reader, entered, note, own, view
from service.usecases.progress import Cause, Progress
from service.usecases.views import MessageView

_REFUSED_BY_RECIPIENT: Final = "refused_by_recipient"
_REFUSED_BY_MANDATARY: Final = "refused_by_mandatary"
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
        Forbidden: ``mandate_without_effect``, whoever acts for another may only read.
        Conflict: ``already_refused``, ``offer_expired``, ``offer_withdrawn``: something else came first; or
            ``no_offer``: this mail needs no answer.
    """
    return _answer(context, reader, delivery_id, Event.CONSIGNMENT_ACCEPTANCE, {LegState.AVAILABLE, LegState.OPENED})


def refuse(context: Context, reader: Reader, delivery_id: str) -> MessageView:
    """Refuse registered mail; what follows is the policy's. Safe to repeat.

    Raises:
        NotFound: no such message.
        Forbidden: as of `accept`.
        Conflict: ``already_accepted``, ``offer_expired``, ``offer_withdrawn``: something else came first; or
            ``no_offer``: this mail needs no answer.
    """
    return _answer(context, reader, delivery_id, Event.CONSIGNMENT_REJECTION, {LegState.REFUSED})


def _answer(context: Context, reader: Reader, delivery_id: str, event: Event, done: set[LegState]) -> MessageView:
    with entered(context, reader, act=True) as (session, box):
        _withdrawn(session, box, delivery_id)
        try:
            dossier, leg, item = own(session, context, box, delivery_id, lock=True)
        except NotFound:
            # A withdrawal may have come while this one waited for the rows.
            _withdrawn(session, box, delivery_id)
            raise
        box.require_effect()
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
        by = _REFUSED_BY_RECIPIENT if box.mandate is None else _REFUSED_BY_MANDATARY
        reasons = (by,) if event is Event.CONSIGNMENT_REJECTION else ()
        cause = Cause(Actor.RECIPIENT, reasons=reasons, identification=reader.identification)
        progress.happen(dossier, event, cause, leg=leg)
        progress.write(session)
        if box.mandate is not None:
            act = Act.REFUSED_MAIL if event is Event.CONSIGNMENT_REJECTION else Act.ACCEPTED_MAIL
            note(session, context, reader, box, act, dossier, now=now)
        answered = view(context, dossier, leg, item)
    context.wake([JobKind.ROUTE])
    return answered


def _withdrawn(session: Session, box: Box, delivery_id: str) -> None:
    """Tell the addressee of an offer that its sender took it back."""
    found = parse_id(DELIVERY, delivery_id)
    session.expire_all()
    item = mailboxes.items(session, [found]).get(found)
    if item is None or item.recipient_hash not in box.hashes or not box.covers(item.organisation_id, registered=True):
        return
    if item.deposited_at and item.withdrawn_at:
        raise Conflict("The sender took this registered mail back.", code="offer_withdrawn")
