"""Queries over mailboxes, what is in them, and who asked about them."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from service.db.base import among
from service.db.mailbox_models import Activation, ActivationCode, Lookup, Mailbox, MailboxItem

# Many hashes travel as one value: written out as an array, a thousand take the driver longer than the query takes.
_HASHES = """
    (SELECT array_agg(substr(CAST(:hashes AS bytea), 1 + 32 * n, 32))
     FROM generate_series(0, CAST(:last AS integer)) AS n)
"""
_ACTIVATED = text(f"SELECT zending_activated({_HASHES})")
_ACTIVATED_REGISTERED = text(f"SELECT zending_activated_registered({_HASHES})")
# Two look-ups at once of one organisation wait for one another, so that neither slips under the quota; what the first
# wrote is seen by a statement that begins after the lock is there.
_QUOTA = text(
    "SELECT lookup_quota, lookups_summed, pg_advisory_xact_lock(:lock) FROM organisation WHERE id = :organisation"
)
# Only where its sums lack what was noted before they were kept.
_SUM_UP = text("SELECT zending_sum_lookups(:organisation, :since)")
# One statement for all: a thousand rows one by one take longer than everything else of a look-up.
_NOTE_LOOKUP = text(
    f"""
    WITH used AS (
        SELECT coalesce(sum(recipients), 0) AS number FROM lookup_hour
        WHERE organisation_id = :organisation AND hour >= date_trunc('hour', CAST(:since AS timestamptz), 'UTC')
    ), noted AS (
        INSERT INTO lookup (id, organisation_id, client_id, purpose, recipients, at)
        SELECT :id, :organisation, :client, :purpose, CAST(:recipients AS integer), :at FROM used
        WHERE number + CAST(:recipients AS integer) <= CAST(:quota AS bigint)
        RETURNING id
    )
    INSERT INTO lookup_recipient (recipient_hash, lookup_id, organisation_id)
    SELECT hash, noted.id, :organisation FROM noted, unnest({_HASHES}) AS hash
    """  # noqa: S608  all of it stands here
)


def activated(session: Session, hashes: Collection[bytes], *, registered: bool = False) -> frozenset[bytes]:
    """Which of these recipients' mailboxes take mail now: the one question a sender's transaction may ask."""
    if not hashes:
        return frozenset()
    question = _ACTIVATED_REGISTERED if registered else _ACTIVATED
    return frozenset(bytes(each) for each in session.scalars(question, _as_one(hashes)))


def note_lookup(session: Session, lookup: Lookup, hashes: Collection[bytes], *, since: datetime) -> bool:
    """Keep who asked about whom; False, and nothing kept, when the organisation asked too much since that moment.

    What it asked is summed by the hour (UTC), and the hour in which that moment lies counts in full: in no period of
    this length more is ever asked than the quota allows.
    """
    organisation = lookup.organisation_id
    lock = {"lock": organisation.int % 2**62, "organisation": organisation}
    row = session.execute(_QUOTA, lock).one_or_none()
    quota, summed = (0, True) if row is None else (row.lookup_quota, row.lookups_summed)
    if not summed:
        session.execute(_SUM_UP, {"organisation": organisation, "since": since})
    values = {
        "id": lookup.id,
        "organisation": organisation,
        "client": lookup.client_id,
        "purpose": lookup.purpose,
        "recipients": lookup.recipients,
        "at": lookup.at,
        "since": since,
        "quota": quota,
    }
    noted = session.execute(_NOTE_LOOKUP, values | _as_one(hashes))
    return bool(noted.rowcount)  # type: ignore[attr-defined]


def _as_one(hashes: Collection[bytes]) -> dict[str, Any]:
    return {"hashes": b"".join(sorted(hashes)), "last": len(hashes) - 1}


_DEPOSIT = text(
    """
    INSERT INTO mailbox_item (delivery_id, organisation_id, recipient_hash, leg, deposited_at)
    VALUES (:delivery, :organisation, :recipient, :leg, :now) ON CONFLICT (delivery_id) DO NOTHING
    """
)


def deposit(session: Session, rows: Sequence[tuple[uuid.UUID, uuid.UUID, bytes, int]], *, now: datetime) -> None:
    """Put ``(delivery, organisation, recipient, leg)`` into mailboxes; what is there already stays as it is."""
    if rows:
        session.execute(
            _DEPOSIT,
            [
                {"delivery": delivery, "organisation": organisation, "recipient": recipient, "leg": leg, "now": now}
                for delivery, organisation, recipient, leg in rows
            ],
        )


def items(session: Session, deliveries: Collection[uuid.UUID]) -> dict[uuid.UUID, MailboxItem]:
    """Items by their delivery."""
    query = select(MailboxItem).where(among(MailboxItem.delivery_id, deliveries))
    return {row.delivery_id: row for row in session.scalars(query)}


_WITHDRAW = text(
    """
    INSERT INTO mailbox_item (delivery_id, organisation_id, recipient_hash, leg, withdrawn_at)
    SELECT id, organisation_id, recipient_hash, 1, :now FROM delivery
    WHERE id = :delivery AND recipient_hash IS NOT NULL
    ON CONFLICT (delivery_id) DO UPDATE SET withdrawn_at = coalesce(mailbox_item.withdrawn_at, excluded.withdrawn_at)
        WHERE mailbox_item.opened_at IS NULL
    RETURNING delivery_id
    """
)


def withdraw(session: Session, delivery_id: uuid.UUID, *, now: datetime) -> bool:
    """Take an item back, or see to it that it never comes; False when it was opened before."""
    return session.scalar(_WITHDRAW, {"delivery": delivery_id, "now": now}) is not None


def open_item(session: Session, delivery_id: uuid.UUID, *, now: datetime) -> None:
    """Remember that the recipient opened it."""
    session.execute(
        update(MailboxItem)
        .where(MailboxItem.delivery_id == delivery_id, MailboxItem.opened_at.is_(None))
        .values(opened_at=now)
        .execution_options(synchronize_session=False)
    )


_PAGE = text(
    """
    SELECT item.delivery_id FROM mailbox_item item
    WHERE item.recipient_hash = :recipient AND item.deposited_at IS NOT NULL AND item.withdrawn_at IS NULL
      AND (CAST(:before AS uuid) IS NULL OR item.delivery_id < :before)
      AND (CAST(:senders AS uuid[]) IS NULL OR item.organisation_id = ANY (CAST(:senders AS uuid[])))
    ORDER BY item.delivery_id DESC LIMIT :limit
    """
)


def page(
    session: Session,
    recipients: Collection[bytes],
    *,
    before: uuid.UUID | None,
    limit: int,
    senders: Collection[uuid.UUID] | None = None,
) -> Sequence[uuid.UUID]:
    """The deliveries in a recipient's mailbox, under any of their hashes, newest first; of these senders only."""
    # One by one: each is a walk along the index, and seldom there is more than one.
    values = {"before": before, "limit": limit, "senders": None if senders is None else list(senders)}
    found = [each for own in recipients for each in session.scalars(_PAGE, values | {"recipient": own})]
    return sorted(found, reverse=True)[:limit]


def mailboxes(session: Session, recipients: Collection[bytes]) -> dict[bytes, Mailbox]:
    """Mailboxes of these recipients; the transaction must be theirs."""
    query = select(Mailbox).where(among(Mailbox.recipient_hash, recipients))
    return {row.recipient_hash: row for row in session.scalars(query)}


def own(session: Session, hashes: Sequence[bytes]) -> Mailbox | None:
    """A recipient's mailbox, under the first of their hashes that has one."""
    found = mailboxes(session, hashes)
    return next((found[each] for each in hashes if each in found), None)


def code(session: Session, hashes: Sequence[bytes], *, lock: bool = False) -> ActivationCode | None:
    """The newest code that was sent to a recipient, under any of their hashes, and not used yet."""
    query = select(ActivationCode).where(among(ActivationCode.recipient_hash, hashes))
    query = query.order_by(ActivationCode.sent_at.desc()).limit(1)
    return session.scalars(query.with_for_update() if lock else query).first()


def proofs(session: Session, recipient: bytes) -> Sequence[Activation]:
    """Every consent and revocation of a recipient, newest first."""
    query = select(Activation).where(Activation.recipient_hash == recipient).order_by(Activation.at.desc())
    return session.scalars(query).all()
