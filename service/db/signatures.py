"""Signature requests, their signers and their evidence, as rows; migrations are their definition."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Exists, Integer, Select, SmallInteger, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from service.db.base import Base, among
from service.db.retention import SignatureHold


class SignatureRequestRow(Base):
    """What somebody is asked to sign; ``path`` names the first document as it is now, of ``role`` in the vault."""

    __tablename__ = "signature_request"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    mark: Mapped[str]
    reference: Mapped[str]
    language: Mapped[str]
    sequence: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    personal: Mapped[bytes]
    path: Mapped[str]
    role: Mapped[str]
    sha256: Mapped[bytes]
    submitted_sha256: Mapped[bytes]
    size: Mapped[int]
    pages: Mapped[int] = mapped_column(Integer)
    report_path: Mapped[str | None]
    report_size: Mapped[int | None]
    remind_days: Mapped[int | None] = mapped_column(SmallInteger)
    delivery_id: Mapped[uuid.UUID | None]
    retention_year: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    content_erased_at: Mapped[datetime | None]


class SignatureDocument(Base):
    """A further document of a request; ``beside`` is the path of the first one, with which it changes."""

    __tablename__ = "signature_document"
    request_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    filename: Mapped[bytes]
    path: Mapped[str]
    role: Mapped[str]
    sha256: Mapped[bytes]
    submitted_sha256: Mapped[bytes]
    size: Mapped[int]
    pages: Mapped[int] = mapped_column(Integer)
    beside: Mapped[str]


class SignerRow(Base):
    """Somebody who is asked; ``prepared`` waits for their signature, ``outcome`` says what they did."""

    __tablename__ = "signature_signer"
    request_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    recipient_hash: Mapped[bytes | None]
    way: Mapped[str]
    level: Mapped[str]
    state: Mapped[str]
    personal: Mapped[bytes]
    prepared: Mapped[bytes | None]
    outcome: Mapped[bytes | None]
    asked_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    acted_at: Mapped[datetime | None]
    remind_at: Mapped[datetime | None]


class SignatureEvidence(Base):
    """What happened to a request; appended, never changed."""

    __tablename__ = "signature_evidence"
    request_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    organisation_id: Mapped[uuid.UUID]
    position: Mapped[int] = mapped_column(SmallInteger, default=0)
    event: Mapped[str]
    at: Mapped[datetime]
    record: Mapped[bytes]
    salt: Mapped[bytes]
    leaf_hash: Mapped[bytes]


def requests(
    session: Session, ids: Collection[uuid.UUID], *, lock: bool = False
) -> dict[uuid.UUID, SignatureRequestRow]:
    """Requests by their ids; ``lock`` when their state is about to change in this transaction."""
    query = select(SignatureRequestRow).where(among(SignatureRequestRow.id, ids)).order_by(SignatureRequestRow.id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return {row.id: row for row in session.scalars(query)}


def signers(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[SignerRow]]:
    """The signers of these requests, in their order."""
    query = select(SignerRow).where(among(SignerRow.request_id, ids)).order_by(SignerRow.request_id, SignerRow.position)
    found: dict[uuid.UUID, list[SignerRow]] = {each: [] for each in ids}
    for row in session.scalars(query.execution_options(populate_existing=True)):
        found[row.request_id].append(row)
    return found


def further_documents(session: Session, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, list[SignatureDocument]]:
    """The documents of these requests behind the first, in their order."""
    query = select(SignatureDocument).where(among(SignatureDocument.request_id, ids))
    query = query.order_by(SignatureDocument.request_id, SignatureDocument.position)
    found: dict[uuid.UUID, list[SignatureDocument]] = {each: [] for each in ids}
    for row in session.scalars(query.execution_options(populate_existing=True)):
        found[row.request_id].append(row)
    return found


def page(
    session: Session,
    organisation: uuid.UUID,
    *,
    state: str | None,
    reference: str | None,
    before: uuid.UUID | None,
    limit: int,
) -> Sequence[SignatureRequestRow]:
    """An organisation's requests, newest first."""
    query = select(SignatureRequestRow).where(SignatureRequestRow.organisation_id == organisation)
    if state is not None:
        query = query.where(SignatureRequestRow.state == state)
    if reference is not None:
        query = query.where(SignatureRequestRow.reference == reference)
    if before is not None:
        query = query.where(SignatureRequestRow.id < before)
    return session.scalars(query.order_by(SignatureRequestRow.id.desc()).limit(limit)).all()


def own(session: Session, hashes: Sequence[bytes], *, most: int) -> Sequence[SignerRow]:
    """Where a person is asked, or was, newest first; the transaction must be theirs."""
    query = select(SignerRow).where(among(SignerRow.recipient_hash, hashes), SignerRow.state != "waiting")
    return session.scalars(query.order_by(SignerRow.request_id.desc()).limit(most)).all()


def own_in(session: Session, hashes: Sequence[bytes], request: uuid.UUID) -> SignerRow | None:
    """A person's place among the signers of a request; the transaction must be theirs."""
    query = select(SignerRow).where(SignerRow.request_id == request, among(SignerRow.recipient_hash, hashes))
    return session.scalars(query).first()


def add_evidence(session: Session, rows: Sequence[dict[str, Any]]) -> set[uuid.UUID]:
    """Append evidence; the ids of what was not there yet by request, signer and event."""
    statement = insert(SignatureEvidence).on_conflict_do_nothing(index_elements=["request_id", "position", "event"])
    return {each for row in rows for each in session.scalars(statement.values(**row).returning(SignatureEvidence.id))}


def evidence(session: Session, request: uuid.UUID) -> Sequence[SignatureEvidence]:
    """What happened to a request, oldest first."""
    query = select(SignatureEvidence).where(SignatureEvidence.request_id == request)
    return session.scalars(query.order_by(SignatureEvidence.at, SignatureEvidence.id)).all()


def expired(session: Session, *, now: datetime, limit: int) -> Sequence[uuid.UUID]:
    """Open requests whose time is over."""
    query = select(SignatureRequestRow.id).where(
        SignatureRequestRow.state == "open", SignatureRequestRow.expires_at <= now
    )
    query = query.order_by(SignatureRequestRow.expires_at).limit(limit)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def to_remind(session: Session, *, now: datetime, limit: int) -> Sequence[SignerRow]:
    """Signers who were asked and are to be told again, locked."""
    query = select(SignerRow).where(SignerRow.state == "asked", SignerRow.remind_at <= now)
    return session.scalars(query.order_by(SignerRow.remind_at).limit(limit).with_for_update(skip_locked=True)).all()


CAME_TO_NOTHING: Final = frozenset({"refused", "expired", "cancelled"})
"""States in which a request ended without a result."""


def held(session: Session, requests: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Which of these requests are held."""
    query = select(SignatureHold.request_id).where(among(SignatureHold.request_id, requests))
    return set(session.scalars(query.where(SignatureHold.ended_at.is_(None))))


def content_over(
    session: Session,
    *,
    before: datetime,
    limit: int,
    came_to_nothing: bool = False,
    organisation: uuid.UUID | None = None,
    others_than: Collection[uuid.UUID] = (),
) -> Sequence[SignatureRequestRow]:
    """Requests that ended before that moment, whose documents are still kept and that nobody holds, locked.

    Args:
        session: the running transaction.
        before: that moment.
        limit: most rows.
        came_to_nothing: only those that were refused, cancelled, or ran out of time.
        organisation: only this one's.
        others_than: none of these'.
    """
    query = select(SignatureRequestRow).where(
        SignatureRequestRow.ended_at < before, SignatureRequestRow.content_erased_at.is_(None), ~_held()
    )
    if came_to_nothing:
        query = query.where(SignatureRequestRow.state.in_(CAME_TO_NOTHING))
    if organisation is not None:
        query = query.where(SignatureRequestRow.organisation_id == organisation)
    if others_than:
        query = query.where(SignatureRequestRow.organisation_id.not_in(others_than))
    return _unheld(session, query.order_by(SignatureRequestRow.ended_at).limit(limit))


def erase(session: Session, organisation: uuid.UUID, year: int, *, limit: int) -> int:
    """Remove all rows of requests whose retention year is over, where the database finds that it is; how many."""
    query = select(SignatureRequestRow).where(
        SignatureRequestRow.organisation_id == organisation,
        SignatureRequestRow.retention_year == year,
        # Or those that stay would be looked at again and again, and the others never.
        SignatureRequestRow.ended_at.is_not(None),
        ~_held(),
    )
    found = _unheld(session, query.order_by(SignatureRequestRow.id).limit(limit))
    if not found:
        return 0
    for row in found:
        session.expunge(row)
    gone = text("SELECT zending_erase_signature_requests(CAST(:ids AS uuid[]))")
    return len(session.scalars(gone, {"ids": [row.id for row in found]}).all())


def _held() -> Exists:
    query = select(SignatureHold.id)
    return query.where(SignatureHold.request_id == SignatureRequestRow.id, SignatureHold.ended_at.is_(None)).exists()


def _unheld(session: Session, query: Select[SignatureRequestRow]) -> list[SignatureRequestRow]:
    """What the query finds, locked; asked once more who is held, as a hold may have come before the lock."""
    found = session.scalars(query.with_for_update(skip_locked=True, of=SignatureRequestRow)).all()
    those = held(session, [row.id for row in found])
    return [row for row in found if row.id not in those]


def wait(session: Session, organisation: uuid.UUID, year: int) -> bool:
    """Whether requests of a retention year are still there."""
    query = select(SignatureRequestRow.id).where(
        SignatureRequestRow.organisation_id == organisation, SignatureRequestRow.retention_year == year
    )
    return session.scalar(query.limit(1)) is not None


def next_signers(session: Session, after: tuple[uuid.UUID, int] | None, *, limit: int) -> Sequence[SignerRow]:
    """The next signers with a hash, in the order of their keys: for the exchange of the index key."""
    query = select(SignerRow).where(SignerRow.recipient_hash.is_not(None))
    if after is not None:
        query = query.where(tuple_(SignerRow.request_id, SignerRow.position) > after)
    return session.scalars(query.order_by(SignerRow.request_id, SignerRow.position).limit(limit)).all()


def rehash(session: Session, request: uuid.UUID, position: int, recipient_hash: bytes) -> None:
    """Give a signer this hash."""
    session.execute(
        update(SignerRow)
        .where(SignerRow.request_id == request, SignerRow.position == position)
        .values(recipient_hash=recipient_hash)
        .execution_options(synchronize_session=False)
    )
