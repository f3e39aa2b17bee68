"""Asking for signatures: checked, inspected, stored, and only then acknowledged, in the order of a hand-in."""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import msgspec
import structlog

from service.db import deliveries, idempotency, jobs
from service.db import retention as due
from service.db.ids import SIGNATURE_REQUEST, new_id, public_id
from service.db.models import Organisation
from service.db.signatures import SignatureDocument, SignatureRequestRow, SignerRow
from service.domain import calendar
from service.domain.errors import (
    FieldError,
    Forbidden,
    IdempotencyRunning,
    Invalid,
)
from service.domain.identifiers import RecipientId, RecipientKind
from service.domain.signing_folder import FolderEvent, FolderState, Order, Way, begin
from service.usecases import claims, hand_in, quotas
from service.usecases.admission import Upload, intents
from service.usecases.context import Context
from service.usecases.personal import find_hash, seal_text, seal_value
from service.usecases.policies import policies_of
from service.usecases.signatures import evidence, folders, taking
from service.usecases.signatures.documents import ORIGINAL, role_of
from service.usecases.signatures.evidence import Act
from service.usecases.signatures.folders import (
    Document,
    Personal,
    Signing,
    document_place,
    personal_place,
    signer_place,
)
from service.usecases.signatures.requests import SignatureRequest, check, plain, read
from service.usecases.signatures.taking import Taken
from service.usecases.signatures.views import request_view
from service.vault.vault import Prepared

log = structlog.get_logger()

ROUTE: Final = "POST /v1/signature-requests"
ACCEPTED: Final = 202


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer to a request; the same one again for the same request."""

    status: int
    body: bytes = field(repr=False)
    request_id: str


def open_request(
    context: Context, organisation_id: uuid.UUID, raw: bytes, uploads: Sequence[Upload], *, key: str | None
) -> Opened:
    """Ask for signatures; opens its own transactions. Once this returns, the request is never lost.

    Raises:
        IdempotencyMissing, IdempotencyMismatch, IdempotencyRunning: about the key.
        Invalid: the JSON or the set of files can't be accepted; with every problem.
        DocumentRefused: a document can't be accepted; the code says why.
        PayloadTooLarge: together they are larger than a delivery may be.
        DeliveryQuota: the organisation has handed in as much as it may on a day.
    """
    key = claims.checked(key)
    organisation = context.desk.organisation(context.database, organisation_id)
    if organisation is None:
        raise Forbidden
    print_ = hand_in.fingerprint(raw, uploads)
    with context.database.transaction(organisations=[organisation_id]) as session:
        claim = idempotency.claim(session, organisation_id, ROUTE, key, print_, seconds=claims.SECONDS)
    if isinstance(claim, idempotency.Seen):
        first = claims.answered(context, organisation_id, claim, print_)
        return Opened(first.status, first.body, public_id(SIGNATURE_REQUEST, first.subject_id))
    try:
        return _open(context, organisation, raw, uploads, claim)
    except Exception:
        claims.release(context, claim)
        raise


def _open(
    context: Context, organisation: Organisation, raw: bytes, uploads: Sequence[Upload], claim: idempotency.Claim
) -> Opened:
    quotas.admit(context, organisation.id, 1, sum(len(upload.content) for upload in uploads))
    now = context.clock()
    asked = read(raw)
    check(asked, policies_of(context, organisation), now=now)
    _check_ways(context, asked)
    taking.check_files(context, asked, uploads)
    request_id = new_id()
    taken = taking.take(
        context, organisation, asked, uploads, request_id, now=now, go_on=lambda: claims.go_on(context, claim)
    )
    year = calendar.retention_year(now) + organisation.retention_years
    prepared = [
        context.vault.prepare(organisation.id, year, request_id, role_of(ORIGINAL, number), each.content)
        for number, each in enumerate(taken, 1)
    ]
    with context.database.transaction(organisations=[organisation.id]) as session:
        deliveries.intend(session, intents(organisation.id, request_id, prepared))
    context.vault.write_many(prepared)
    signing = _signing(context, organisation, asked, taken, prepared, request_id, year)
    first = begin(Order(asked.order), len(asked.signers))
    with context.database.transaction(organisations=[organisation.id]) as session:
        for signer, state in zip(signing.signers, first.signers, strict=True):
            signer.state = state.value
        put = folders.ask(
            signing, [place for place, state in enumerate(first.signers) if state.value == "asked"], now=now
        )
        body = msgspec.json.encode(request_view(context, signing))
        answer = seal_value(
            context,
            msgspec.Raw(body),
            organisation=organisation.id,
            year=year,
            place=f"idempotency.answer:{request_id}",
        )
        if not idempotency.complete(session, claim, status=ACCEPTED, answer=answer, subject=request_id):
            raise IdempotencyRunning
        quotas.count(session, {organisation.id: (1, sum(each.row.size for each in signing.documents))})
        session.add(signing.row)
        session.flush()
        session.add_all([*(each.row for each in signing.documents[1:]), *signing.signers])
        session.flush()
        deliveries.keep(session, [request_id], [each.path for each in prepared])
        due.span_year(session, organisation.id, year, [request_id])
        evidence.write(session, context, [Act(signing, FolderEvent.REQUESTED, now)])
        jobs.put(session, put)
    context.wake(sorted({each.kind for each in put}))
    return Opened(ACCEPTED, body, public_id(SIGNATURE_REQUEST, request_id))


def _check_ways(context: Context, asked: SignatureRequest) -> None:
    if context.consent is not None and context.signers is not None:
        return
    detail = "No remote signing service is set up here."
    wrong = [
        FieldError(f"/signers/{place}/way", "way_not_set_up", detail)
        for place, each in enumerate(asked.signers)
        if each.way == Way.CSC.value
    ]
    if wrong:
        raise Invalid(code="signature_request_invalid", errors=wrong)


def _signing(
    context: Context,
    organisation: Organisation,
    asked: SignatureRequest,
    taken: Sequence[Taken],
    prepared: Sequence[Prepared],
    request_id: uuid.UUID,
    year: int,
) -> Signing:
    now = context.clock()
    personal = Personal(
        plain(asked.subject),
        taken[0].filename,
        None if asked.deliver is None else msgspec.to_builtins(asked.deliver),
    )
    sealed = {"organisation": organisation.id, "year": year}
    row = SignatureRequestRow(
        id=request_id,
        organisation_id=organisation.id,
        mark=organisation.mark,
        reference=asked.reference.strip(),
        language=asked.language,
        sequence=asked.order,
        state=FolderState.OPEN.value,
        reason=None,
        personal=seal_value(context, personal, place=personal_place(request_id), **sealed),  # type: ignore[arg-type]
        remind_days=asked.remind_after_days,
        retention_year=year,
        created_at=now,
        updated_at=now,
        expires_at=now + timedelta(days=asked.days),
        **_columns(1, taken[0], prepared[0]),
    )
    documents = [Document(1, row, personal.filename)]
    for position, (each, stored) in enumerate(zip(taken[1:], prepared[1:], strict=True), 2):
        place = document_place(request_id, position)
        further = SignatureDocument(
            request_id=request_id,
            position=position,
            organisation_id=organisation.id,
            filename=seal_text(context, each.filename, place=place, **sealed),  # type: ignore[arg-type]
            beside=prepared[0].path,
            **_columns(position, each, stored),
        )
        documents.append(Document(position, further, each.filename))
    people, signers = [], []
    for position, part in enumerate(asked.signers, 1):
        who = taking.person(organisation, part)
        people.append(who)
        number = None if who.number is None else RecipientId(RecipientKind.CITIZEN, who.number)
        signers.append(
            SignerRow(
                request_id=request_id,
                position=position,
                organisation_id=organisation.id,
                recipient_hash=None if number is None else find_hash(context, number),
                way=part.way,
                level=part.wanted.value,
                state="waiting",
                personal=seal_value(context, who, place=signer_place("personal", request_id, position), **sealed),  # type: ignore[arg-type]
            )
        )
    return Signing(
        row=row, documents=documents, signers=signers, organisation=organisation, personal=personal, people=people
    )


def _columns(number: int, taken: Taken, prepared: Prepared) -> dict[str, Any]:
    return {
        "path": prepared.path,
        "role": role_of(ORIGINAL, number),
        "sha256": hashlib.sha256(taken.content).digest(),
        "submitted_sha256": taken.submitted_sha256,
        "size": len(taken.content),
        "pages": taken.pages,
    }
