"""A person's request to be erased (GDPR, article 17): what may go goes at once, and what must stay is told.

What a sender is bound by law to keep (article 17, paragraph 3, b and e: the delivery, its evidence, the document until
its period ends) stays, and so does the proof of a consent under which something was delivered. See docs/retention.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy.orm import Session

from service.db import deliveries as rows
from service.db import letters, mailboxes, signatures
from service.db import retention as due
from service.db.ids import DELIVERY, SIGNATURE_REQUEST, new_id, public_id
from service.db.printing import every_organisation
from service.db.session import widen
from service.domain import calendar
from service.domain.identifiers import RecipientId
from service.usecases import activation, audit, mandates
from service.usecases.context import Context
from service.usecases.mailbox import Reader
from service.usecases.notices import MailboxDetails
from service.usecases.personal import PLATFORM, PLATFORM_YEAR, find_hashes, seal_value
from service.usecases.retention import Periods, content_days
from service.usecases.signatures.ending import days_kept

MOST = 1000


@dataclass(frozen=True, slots=True)
class Kept:
    """A delivery or signature request that stays; ``documents_until`` is None when its documents are gone already."""

    subject: str
    documents_until: date | None
    evidence_until: date
    held: bool


@dataclass(frozen=True, slots=True)
class Erasure:
    """What a request came to.

    Attributes:
        request: its id in the audit trail, which names nobody.
        mailbox: there was one; it is revoked now and its address erased.
        mandates: that they gave or held, and that were ended by this.
        proofs_until: the day on which the proofs of its consents go; None where there are none.
        kept: the newest deliveries in their mailbox, and the newest requests in which their turn to sign came, at most
            `MOST` of each. What went on paper only is not looked for: its sender knows it by its own reference.
    """

    request: str
    mailbox: bool
    proofs_until: date | None
    kept: Sequence[Kept]
    mandates: int = 0


def erase(context: Context, recipient: RecipientId, periods: Periods, *, actor: str) -> Erasure:
    """Erase what may go of a person: their mailbox's address, codes, and the consent for all that is to come.

    Safe to repeat. Opens its own transactions.

    Args:
        context: the wired parts.
        recipient: who asked; their identity was checked by whoever calls this.
        periods: as they are set.
        actor: who did it, as the audit trail names them.
    """
    written, *others = find_hashes(context, recipient)
    who = Reader(written, recipient.kind, others=tuple(others))
    activation.revoke(context, who)
    ended = mandates.revoke_all(context, who)
    with context.database.transaction(recipients=who.hashes) as session:
        request = public_id("ers", new_id())
        until = _empty_mailbox(session, context, who, periods)
        kept = [*_kept(session, who, periods), *_kept_requests(session, context, who, periods)]
        audit.record(session, actor=actor, act="person.erase", subject=request, details={"kept": len(kept)})
    return Erasure(request, until is not None, until, kept, ended)


def _empty_mailbox(session: Session, context: Context, who: Reader, periods: Periods) -> date | None:
    code = mailboxes.code(session, who.hashes, lock=True)
    if code is not None:
        session.delete(code)
    letters.uninvite(session, who.hashes)
    row = mailboxes.own(session, who.hashes)
    if row is None or row.revoked_at is None:
        return None
    row.personal = seal_value(
        context,
        MailboxDetails(""),
        organisation=PLATFORM,
        year=PLATFORM_YEAR,
        place=f"mailbox.personal:{row.recipient_hash.hex()}",
    )
    session.flush()
    return calendar.local_date(row.revoked_at + timedelta(days=periods.mailbox_days))


def _kept(session: Session, who: Reader, periods: Periods) -> list[Kept]:
    widen(session, every_organisation(session))
    ids = mailboxes.page(session, who.hashes, before=None, limit=MOST)
    found = sorted(rows.by_ids(session, ids).values(), key=lambda row: row.id, reverse=True)
    held, documents = due.held(session, ids), rows.documents(session, ids)
    rules = {each: due.rules_of(session, each) for each in {row.organisation_id for row in found}}
    kept = []
    for row in found:
        days = content_days(periods, rules[row.organisation_id], row.document_type)
        gone = any(document.erased_at is not None for document in documents[row.id])
        until = calendar.local_date(row.created_at + timedelta(days=days))
        evidence = date(row.retention_year, 12, 31)
        kept.append(Kept(public_id(DELIVERY, row.id), None if gone else until, evidence, row.id in held))
    return kept


def _kept_requests(session: Session, context: Context, who: Reader, periods: Periods) -> list[Kept]:
    ids = [row.request_id for row in signatures.own(session, who.hashes, most=MOST)]
    widen(session, every_organisation(session))
    found = signatures.requests(session, ids)
    held, own = signatures.held(session, ids), due.signature_days(session)
    kept = []
    for row in sorted(found.values(), key=lambda each: each.id, reverse=True):
        # What is still open ends at its time at the latest.
        ends = row.ended_at or max(row.expires_at, context.clock())
        until = calendar.local_date(ends + timedelta(days=days_kept(periods, own, row)))
        evidence = date(row.retention_year, 12, 31)
        gone = row.content_erased_at is not None
        kept.append(Kept(public_id(SIGNATURE_REQUEST, row.id), None if gone else until, evidence, row.id in held))
    return kept
