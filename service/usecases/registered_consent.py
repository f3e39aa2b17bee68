"""Consent to registered mail in the mailbox: apart from ordinary mail, revocable at once, with proof."""

from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from service.db import mailboxes
from service.db.mailbox_models import Mailbox
from service.domain.errors import Conflict
from service.usecases import acting, activation
from service.usecases.activation import Proof, prove
from service.usecases.context import Context
from service.usecases.mailbox import Reader
from service.usecases.views import ActivationView

VERSION: Final = "2026-11-registered"
TEXT: Final = {
    "nl": "Ik wil ook aangetekende zendingen digitaal ontvangen in mijn mailbox in plaats van per aangetekende brief. "
    "Ik weet dat er termijnen kunnen lopen vanaf het bericht dat ze er zijn. Ik kan dit op elk moment weer stopzetten.",
    "fr": "Je souhaite recevoir aussi les envois recommandés par voie numérique dans ma boîte plutôt que sur "
    "papier. Je sais que des délais peuvent courir dès l'avis de leur arrivée. "
    "Je peux y mettre fin à tout moment.",
    "de": "Ich möchte auch Einschreiben digital in meinem Postfach statt auf Papier erhalten. "
    "Ich weiß, dass ab der Nachricht über ihren Eingang Fristen laufen können. Ich kann das jederzeit beenden.",
    "en": "I want to receive registered mail digitally in my mailbox too, instead of by registered letter. "
    "I know that terms may run from the notice that it is there. I can stop this at any time.",
}


def agree(context: Context, reader: Reader, *, consent_version: str) -> ActivationView:
    """Let registered mail come into the mailbox. Safe to repeat.

    Raises:
        Conflict: ``consent_outdated``, the text has changed since it was shown; ``not_activated``, there is no active
            mailbox.
    """
    acting.own_only(reader.acting_for)
    if consent_version != VERSION:
        raise Conflict("The text of the consent has changed. Read it again.", code="consent_outdated")
    now = context.clock()
    with context.database.transaction(recipients=reader.hashes) as session:
        row = _locked(session, reader)
        if row is None or row.activated_at is None or row.revoked_at is not None:
            raise Conflict("Activate the mailbox first.", code="not_activated")
        if row.registered_at is None:
            row.registered_at = now
            _prove(session, context, row, reader, "activated", now, TEXT[row.language])
    return activation.state(context, reader)


def revoke(context: Context, reader: Reader) -> ActivationView:
    """Stop it, at once; what is in the mailbox stays there. Safe to repeat."""
    acting.own_only(reader.acting_for)
    now = context.clock()
    with context.database.transaction(recipients=reader.hashes) as session:
        row = _locked(session, reader)
        if row is not None and row.registered_at is not None:
            row.registered_at = None
            _prove(session, context, row, reader, "revoked", now, None)
    return activation.state(context, reader)


def _locked(session: Session, reader: Reader) -> Mailbox | None:
    row = mailboxes.own(session, reader.hashes)
    if row is not None:
        session.refresh(row, with_for_update=True)
    return row


def _prove(
    session: Session, context: Context, row: Mailbox, reader: Reader, act: str, now: datetime, text: str | None
) -> None:
    proof = Proof(act, now, VERSION if text else None, text, None, reader.assurance)
    prove(session, context, row, proof, registered=True)
