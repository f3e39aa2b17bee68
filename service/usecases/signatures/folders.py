"""A signature request with all that belongs to it, and the only place that moves it."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy.orm import Session

from service.db import deliveries, jobs
from service.db import signatures as rows
from service.db.ids import SIGNATURE_REQUEST, public_id
from service.db.jobs import JobKind, Lane, NewJob
from service.db.models import Organisation
from service.db.signatures import SignatureDocument, SignatureRequestRow, SignerRow
from service.domain.signing_folder import (
    FINAL,
    Folder,
    FolderEvent,
    FolderState,
    Order,
    SignerState,
    Way,
    advance,
    newly_asked,
)
from service.usecases.context import Context
from service.usecases.personal import open_text, open_value, seal_value
from service.usecases.signatures import evidence
from service.usecases.signatures.evidence import Act

CLOSING = 0
"""The leg of the job that seals the result; a seal that is a signer has its position."""
DELIVERING = 100
"""The leg of the job that hands the result in for delivery."""


class Personal(msgspec.Struct, frozen=True):
    """The personal part of a request."""

    subject: str
    filename: str
    deliver: dict[str, Any] | None = None


class Person(msgspec.Struct, frozen=True):
    """The personal part of a signer; the organisation by its seal has no number."""

    name: str
    number: str | None = None
    email: str | None = None


class Done(msgspec.Struct, frozen=True):
    """What a signer did: by which certificate, or why not."""

    certificate_name: str | None = None
    certificate_sha256: str | None = None
    certificate_issuer: str | None = None
    level: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Document:
    """One document of a request: the first stands with the request, others have rows of their own."""

    number: int
    row: SignatureRequestRow | SignatureDocument
    filename: str = field(repr=False)


@dataclass(kw_only=True)
class Signing:
    """One request: its row, its documents and signers, its sender, and what is personal in the clear."""

    row: SignatureRequestRow
    documents: list[Document]
    signers: list[SignerRow]
    organisation: Organisation
    personal: Personal = field(repr=False)
    people: list[Person] = field(repr=False)

    @property
    def id(self) -> uuid.UUID:
        """The request's id."""
        return self.row.id

    @property
    def folder(self) -> Folder:
        """As the rules see it."""
        return Folder(
            FolderState(self.row.state),
            Order(self.row.sequence),
            tuple(SignerState(each.state) for each in self.signers),
        )


def load(
    session: Session, context: Context, ids: Collection[uuid.UUID], *, lock: bool = False
) -> dict[uuid.UUID, Signing]:
    """Read requests by their ids; ``lock`` when their state is about to change in this transaction.

    Raises:
        KeyLost: the key of one of them is lost; KeyDestroyed likewise.
    """
    found = rows.requests(session, ids, lock=lock)
    signers = rows.signers(session, found)
    further = rows.further_documents(session, found)
    senders = deliveries.organisations(session, {row.organisation_id for row in found.values()})
    loaded = {}
    for row in found.values():
        raw = open_value(context, row.personal, organisation=row.organisation_id, place=personal_place(row.id))
        personal = msgspec.json.decode(raw, type=Personal)
        loaded[row.id] = Signing(
            row=row,
            documents=[
                Document(1, row, personal.filename),
                *(Document(each.position, each, _filename(context, each)) for each in further[row.id]),
            ],
            signers=signers[row.id],
            organisation=senders[row.organisation_id],
            personal=personal,
            people=[person(context, each) for each in signers[row.id]],
        )
    return loaded


def _filename(context: Context, row: SignatureDocument) -> str:
    place = document_place(row.request_id, row.position)
    return open_text(context, row.filename, organisation=row.organisation_id, place=place)


def person(context: Context, row: SignerRow) -> Person:
    """Who a signer is."""
    place = signer_place("personal", row.request_id, row.position)
    return msgspec.json.decode(
        open_value(context, row.personal, organisation=row.organisation_id, place=place), type=Person
    )


def done(context: Context, row: SignerRow) -> Done | None:
    """What a signer did; None while they did nothing."""
    if row.outcome is None:
        return None
    place = signer_place("outcome", row.request_id, row.position)
    return msgspec.json.decode(
        open_value(context, row.outcome, organisation=row.organisation_id, place=place), type=Done
    )


def personal_place(request: uuid.UUID) -> str:
    """Where a request's personal part stands."""
    return f"signature_request.personal:{request}"


def document_place(request: uuid.UUID, position: int) -> str:
    """Where the file name of a further document stands."""
    return f"signature_document.filename:{request}/{position}"


def signer_place(column: str, request: uuid.UUID, position: int) -> str:
    """Where something of a signer stands."""
    return f"signature_signer.{column}:{request}/{position}"


def happen(
    session: Session,
    context: Context,
    signing: Signing,
    event: FolderEvent,
    *,
    now: datetime,
    signer: int | None = None,
    outcome: Done | None = None,
    reason: str | None = None,
) -> list[JobKind]:
    """Let something happen to a request that this transaction has locked: state, evidence and follow-up jobs.

    Args:
        session: the transaction.
        context: the wired parts.
        signing: the request; its rows are changed.
        event: what happens.
        now: when.
        signer: whose act it is, by position from 1; for signatures and refusals.
        outcome: what they did.
        reason: a word of ours why it failed.

    Returns:
        Kinds of jobs that were put: whom to wake once the transaction has ended.

    Raises:
        TransitionRefused: it has no place in the present state; nothing was changed.
    """
    before = signing.folder
    after = advance(before, event, None if signer is None else signer - 1)
    row = signing.row
    row.state, row.updated_at = after.state.value, now
    if reason is not None:
        row.reason = reason
    if after.state in FINAL:
        row.ended_at = now
    for each, state in zip(signing.signers, after.signers, strict=True):
        if each.state != state.value:
            each.state = state.value
            if state is not SignerState.ASKED:
                each.prepared, each.remind_at = None, None
    if signer is not None:
        own = signing.signers[signer - 1]
        own.acted_at = now
        if outcome is not None:
            own.outcome = seal_value(
                context,
                outcome,
                organisation=row.organisation_id,
                year=row.retention_year,
                place=signer_place("outcome", row.id, own.position),
            )
    put = ask(signing, newly_asked(before, after), now=now)
    if after.state is FolderState.SIGNED:
        put.append(job(signing, JobKind.FINISH, CLOSING))
    if after.state is FolderState.COMPLETED and signing.personal.deliver is not None:
        put.append(job(signing, JobKind.FINISH, DELIVERING))
    jobs.put(session, put)
    session.flush()
    evidence.write(session, context, [Act(signing, event, now, signer, outcome, reason)])
    return sorted({each.kind for each in put})


def ask(signing: Signing, places: Sequence[int], *, now: datetime) -> list[NewJob]:
    """Note that these signers' turn has come (counted from 0); the jobs that follow from it."""
    put = []
    for place in places:
        row = signing.signers[place]
        row.asked_at = now
        if row.way == Way.SEAL.value:
            put.append(job(signing, JobKind.FINISH, row.position))
            continue
        if signing.row.remind_days is not None:
            row.remind_at = now + timedelta(days=signing.row.remind_days)
        put.append(job(signing, JobKind.ASK, row.position))
    return put


def job(signing: Signing, kind: JobKind, leg: int) -> NewJob:
    """A job about a request. Somebody waits for it."""
    return NewJob(kind, signing.row.organisation_id, signing.id, lane=Lane.INTERACTIVE, leg=leg)


def purpose(signing: Signing, position: int, document: int) -> str:
    """What a prepared signature is for: this request, this signer, and which of its documents."""
    own = f"{public_id(SIGNATURE_REQUEST, signing.id)}/{position}"
    return own if document == 1 else f"{own}/{document}"
