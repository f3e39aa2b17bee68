"""Activation: a recipient's express, revocable consent to digital delivery, with a confirmed address and proof."""

import hmac
import secrets
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.db import letters, mailboxes
from service.db.ids import new_id
from service.db.mailbox_models import Activation, ActivationCode, Mailbox
from service.domain.errors import Conflict, Forbidden, Invalid, QuotaExceeded, Retryable
from service.domain.identifiers import RecipientKind
from service.notifications.base import About, Language, Notice, NoticeKind, Result, checked_address
from service.notifications.base import ActivationCode as CodeNotice
from service.usecases import acting, invitations
from service.usecases.context import Context
from service.usecases.mailbox import Reader
from service.usecases.notices import MailboxDetails
from service.usecases.personal import PLATFORM, PLATFORM_YEAR, open_value, seal_value
from service.usecases.views import ActivationView

CONSENT_VERSION: Final = "2026-11"
CONSENT_TEXT: Final = {
    "nl": "Ik wil officiële documenten digitaal ontvangen in mijn mailbox in plaats van op papier. "
    "Ik krijg een e-mail als er iets aankomt. Ik kan dit op elk moment weer stopzetten.",
    "fr": "Je souhaite recevoir les documents officiels par voie numérique dans ma boîte plutôt que sur papier. "
    "Je reçois un e-mail à chaque arrivée. Je peux y mettre fin à tout moment.",
    "de": "Ich möchte amtliche Dokumente digital in meinem Postfach statt auf Papier erhalten. "
    "Ich bekomme eine E-Mail, wenn etwas eintrifft. Ich kann das jederzeit beenden.",
    "en": "I want to receive official documents digitally in my mailbox instead of on paper. "
    "I get an e-mail when something arrives. I can stop this at any time.",
}
CODE_MINUTES: Final = 15
CODE_TRIES: Final = 5
RESEND_SECONDS: Final = 60


class CodeWrong(Invalid):
    """The code is not the one that was sent, or its time or tries are over."""

    code = "activation_code_wrong"


class InvitationWrong(Invalid):
    """The code that was typed is none that a letter to this recipient carried, or it was used, or its time is over."""

    code = "invitation_wrong"


class InvitationOver(InvitationWrong):
    """The code is one of a letter to this recipient, and was used or its time is over; a reprint carries it again."""

    code = "invitation_over"


class _CodeDetails(msgspec.Struct, frozen=True):
    email: str
    language: str
    invitation: bytes | None = None


class Proof(msgspec.Struct, frozen=True):
    """What is kept as proof of a consent; ``by_letter``: it was given with the personal code of a letter."""

    act: str
    at: datetime
    consent_version: str | None
    consent_text: str | None
    email: str | None
    assurance: str | None
    by_letter: bool = False


def state(context: Context, reader: Reader) -> ActivationView:
    """Whether the reader's mailbox is activated, and where notices go."""
    acting.own_only(reader.acting_for)
    with context.database.transaction(recipients=reader.hashes) as session:
        row = mailboxes.own(session, reader.hashes)
        waiting = mailboxes.code(session, reader.hashes)
    pending = None
    if waiting is not None and waiting.expires_at > context.clock():
        pending = _code_details(context, waiting)
    active = row is not None and row.activated_at is not None and row.revoked_at is None
    return ActivationView(
        active=active,
        email=_details(context, row).email if row is not None and active else None,
        language=row.language if row is not None and active else None,
        since=row.activated_at if row is not None and active else None,
        registered_since=row.registered_at if row is not None and active else None,
        unreachable_since=row.unreachable_since if row is not None and active else None,
        pending_email=None if pending is None else pending.email,
        pending_language=None if pending is None else pending.language,
    )


def begin(context: Context, reader: Reader, email: str, language: str, *, invitation: str = "") -> None:
    """Send a code to an e-mail address; only who reads it can activate with it.

    Args:
        context: the wired parts.
        reader: who activates.
        email: where notices go.
        language: of them.
        invitation: the personal code of a letter, if there is one. It doesn't stand in for the code that is sent: it
            confirms that the letter reached the recipient, and the proof of the consent says so.

    Raises:
        Invalid: ``email_invalid``, ``language_unknown``, ``invitation_wrong`` or ``invitation_over``.
        QuotaExceeded: a code was sent less than a minute ago.
        Retryable: the mail can't be sent at the moment.
        Conflict: ``email_refused``, the address takes no mail.
    """
    acting.own_only(reader.acting_for)
    address = checked_address(email)
    if language not in CONSENT_TEXT:
        raise Invalid("The language is nl, fr, de or en.", code="language_unknown")
    if reader.kind is RecipientKind.POSTAL:
        raise Forbidden
    now = context.clock()
    digits = f"{secrets.randbelow(10**6):06d}"
    with context.database.transaction(recipients=reader.hashes) as session:
        invited = _invited(session, reader, invitation, now)
        _keep_code(session, context, reader, _CodeDetails(address, language, invited), digits, now)
    act = new_id()
    notice = Notice(
        reference=f"activation/{act}",
        to=address,
        language=Language(language),
        what=CodeNotice(digits, CODE_MINUTES),
        about=About(NoticeKind.CODE, act),
    )
    outcome = context.notifier.send_many([notice], now=now)[0]
    if outcome.result is Result.RETRYABLE:
        _forget(context, reader)
        raise Retryable("The code can't be sent at the moment. Try again in a few minutes.", code="mail_unavailable")
    if outcome.result is Result.REFUSED:
        _forget(context, reader)
        raise Conflict("This e-mail address takes no mail. Check it, or give another.", code="email_refused")


def confirm(context: Context, reader: Reader, code: str, *, consent_version: str) -> ActivationView:
    """Activate the mailbox with the code that was sent, under the consent text that was shown.

    Raises:
        CodeWrong: the code is wrong or too old; after five tries a new one is needed.
        Conflict: ``consent_outdated``, the text has changed since it was shown.
    """
    acting.own_only(reader.acting_for)
    if consent_version != CONSENT_VERSION:
        raise Conflict("The text of the consent has changed. Read it again.", code="consent_outdated")
    now = context.clock()
    with context.database.transaction(recipients=reader.hashes) as session:
        row = mailboxes.code(session, reader.hashes, lock=True)
        good = row is not None and row.expires_at > now and row.attempts_left > 0
        if row is not None and good:
            good = any(hmac.compare_digest(row.code_hash, each) for each in _code_hashes(context, row, code.strip()))
            # A wrong try must count whatever comes after: it is written before the refusal is raised.
            row.attempts_left -= 1
        if row is not None and good:
            _activate(session, context, reader, _code_details(context, row), now)
            session.delete(row)
    if not good:
        raise CodeWrong("This code is not right, or its time is over. Ask for a new one if it keeps failing.")
    return state(context, reader)


def revoke(context: Context, reader: Reader) -> ActivationView:
    """Take the consent back, at once; what is in the mailbox stays readable. Safe to repeat."""
    acting.own_only(reader.acting_for)
    now = context.clock()
    with context.database.transaction(recipients=reader.hashes) as session:
        row = mailboxes.own(session, reader.hashes)
        if row is not None:
            # Of two that come at once, one takes it back and leaves the proof.
            session.refresh(row, with_for_update=True)
        if row is not None and row.revoked_at is None:
            row.revoked_at = now
            # Whoever comes back is asked about registered mail again.
            row.registered_at = None
            prove(session, context, row, Proof("revoked", now, None, None, None, reader.assurance))
    return state(context, reader)


def _invited(session: Session, reader: Reader, typed: str, now: datetime) -> bytes | None:
    if not typed.strip():
        return None
    digest = invitations.read(typed)
    if digest is not None and invitations.is_over(session, reader.hashes, digest, now=now):
        raise InvitationOver("This code of a letter to you was used, or its time is over.")
    if digest is None or not invitations.is_good(session, reader.hashes, digest, now=now):
        raise InvitationWrong("This is not a code of a letter to you, or it was used, or its time is over.")
    return digest


def _keep_code(
    session: Session, context: Context, reader: Reader, details: _CodeDetails, digits: str, now: datetime
) -> None:
    values = {
        "personal": seal_value(
            context,
            details,
            organisation=PLATFORM,
            year=PLATFORM_YEAR,
            place=f"activation_code.personal:{reader.recipient_hash.hex()}",
        ),
        "code_hash": _code_hash(context.index.writing, reader.recipient_hash, digits),
        "attempts_left": CODE_TRIES,
        "expires_at": now + timedelta(minutes=CODE_MINUTES),
        "sent_at": now,
    }
    # One statement: of two that ask at once, one gets a code and the other is told to wait.
    kept = session.scalar(
        insert(ActivationCode)
        .values(recipient_hash=reader.recipient_hash, **values)
        .on_conflict_do_update(
            index_elements=["recipient_hash"],
            set_=values,
            where=ActivationCode.sent_at <= now - timedelta(seconds=RESEND_SECONDS),
        )
        .returning(ActivationCode.recipient_hash)
    )
    if kept is None:
        raise QuotaExceeded(
            "A code was sent a moment ago. Wait a minute before asking for another.",
            retry_after=RESEND_SECONDS,
            code="activation_code_too_soon",
        )


def _activate(session: Session, context: Context, reader: Reader, details: _CodeDetails, now: datetime) -> None:
    row = mailboxes.own(session, reader.hashes)
    if row is None:
        key = context.index.name(context.index.writing)
        row = Mailbox(recipient_hash=reader.recipient_hash, recipient_kind=reader.kind.value, index_key=key)
        session.add(row)
    row.personal = seal_value(
        context,
        MailboxDetails(details.email),
        organisation=PLATFORM,
        year=PLATFORM_YEAR,
        place=f"mailbox.personal:{row.recipient_hash.hex()}",
    )
    row.language = details.language
    row.activated_at = now
    row.revoked_at = None
    row.unreachable_since = None
    session.flush()
    text = CONSENT_TEXT[details.language]
    # Used up by the activation, not by its beginning: whoever mistyped their address begins again with it.
    by_letter = details.invitation is not None and letters.use_invitation(
        session, reader.hashes, details.invitation, now=now
    )
    proof = Proof("activated", now, CONSENT_VERSION, text, details.email, reader.assurance, by_letter)
    prove(session, context, row, proof)


def prove(session: Session, context: Context, mailbox: Mailbox, proof: Proof, *, registered: bool = False) -> None:
    """Keep the proof of a consent or revocation, of registered mail or all mail, for as long as it may be needed."""
    proof_id = new_id()
    sealed = seal_value(context, proof, organisation=PLATFORM, year=PLATFORM_YEAR, place=f"activation.proof:{proof_id}")
    session.add(
        Activation(
            id=proof_id,
            recipient_hash=mailbox.recipient_hash,
            act=proof.act,
            at=proof.at,
            proof=sealed,
            registered=registered,
        )
    )


def _forget(context: Context, reader: Reader) -> None:
    with context.database.transaction(recipients=reader.hashes) as session:
        row = mailboxes.code(session, reader.hashes, lock=True)
        if row is not None:
            session.delete(row)


def _details(context: Context, row: Mailbox) -> MailboxDetails:
    place = f"mailbox.personal:{row.recipient_hash.hex()}"
    return msgspec.json.decode(
        open_value(context, row.personal, organisation=PLATFORM, place=place), type=MailboxDetails
    )


def _code_details(context: Context, row: ActivationCode) -> _CodeDetails:
    place = f"activation_code.personal:{row.recipient_hash.hex()}"
    return msgspec.json.decode(open_value(context, row.personal, organisation=PLATFORM, place=place), type=_CodeDetails)


def _code_hashes(context: Context, row: ActivationCode, digits: str) -> list[bytes]:
    keys = (context.index.writing, *context.index.others)
    return [_code_hash(key, row.recipient_hash, digits) for key in keys]


def _code_hash(key: bytes, recipient_hash: bytes, digits: str) -> bytes:
    # Keyed: a bare hash of six digits would be turned back at once.
    return hmac.digest(key, b"activation code|" + recipient_hash + digits.encode(), "sha256")
