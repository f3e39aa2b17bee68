"""A hand-in: checked, inspected, stored, and only then acknowledged.

The order that makes a crash harmless (docs/crash-order.md): claim the key and write down the objects that are about to
be stored; store them; then, in one transaction, the delivery, its documents, its first job and the answer to the key.
"""

import hashlib
import re
import time
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import rfc8785
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from service.db import deliveries, idempotency, jobs
from service.db.ids import DELIVERY, new_id, public_id
from service.db.jobs import JobKind, Lane, NewJob
from service.db.models import DeliveryEvent, DeliveryRow, DocumentRow, Organisation, Submission
from service.domain import calendar, policy
from service.domain.errors import (
    DocumentRefused,
    FieldError,
    Forbidden,
    IdempotencyMismatch,
    IdempotencyMissing,
    IdempotencyRunning,
    Invalid,
    PayloadTooLarge,
)
from service.domain.states import Actor, DeliveryState, Event
from service.inspection.inspector import Inspection
from service.usecases import requests
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.personal import Personal, find_hash, open_value, seal_personal, seal_text, seal_value
from service.usecases.views import delivery_view
from service.vault.vault import Prepared

log = structlog.get_logger()

ROUTE = "POST /v1/deliveries"
ACCEPTED = 202
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
# Longer than the slowest inspection of as many documents: from then on a second request may take over from one whose
# process has died. Should the first one live after all, only one of them can complete the key.
CLAIM_SECONDS = 30
CLAIM_SECONDS_PER_DOCUMENT = 60
# A key whose request failed is given back for certain: a database that restarts is back after a few of these pauses.
_RELEASE_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0)
DEFAULT_NAME = "document.pdf"
NAME_BYTES = 200
# What a file's name can't have somewhere; quotes and semicolons would end it in a header.
_UNSAFE = re.compile(r'[<>:"|?*;]')


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a hand-in; ``role`` is ``document`` or ``attachment``."""

    role: str
    filename: str = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who hands in: the organisation, how soon somebody waits for it, and through what kind of actor."""

    organisation_id: uuid.UUID
    lane: Lane
    actor: Actor = Actor.SENDER


@dataclass(frozen=True, slots=True)
class HandedIn:
    """The answer to a hand-in; the same one again for the same request."""

    status: int
    body: bytes = field(repr=False)
    delivery_id: str


@dataclass(frozen=True)
class _Inspected:
    upload: Upload
    content: bytes
    inspection: Inspection
    submitted_sha256: bytes


def hand_in(context: Context, sender: Sender, raw: bytes, uploads: Sequence[Upload], *, key: str | None) -> HandedIn:
    """Take in one delivery; opens its own transactions. Once this returns, the delivery is never lost.

    Raises:
        IdempotencyMissing, IdempotencyMismatch, IdempotencyRunning: about the key.
        Invalid: the JSON or the set of files can't be accepted; with every problem.
        DocumentRefused: a file can't be accepted; the code says why.
        PayloadTooLarge: the files are larger together than a delivery may be.
    """
    if not key:
        raise IdempotencyMissing
    if not _KEY.fullmatch(key):
        raise Invalid("An Idempotency-Key is 1 to 255 printable ASCII characters.", code="idempotency_key_malformed")
    seconds = CLAIM_SECONDS + CLAIM_SECONDS_PER_DOCUMENT * len(uploads)
    claim, organisation = _claim(context, sender, key, fingerprint(raw, uploads), seconds=seconds)
    if isinstance(claim, HandedIn):
        return claim
    try:
        return _take_in(context, sender, organisation, raw, uploads, claim)
    except Exception:
        # Nothing was acknowledged: the key is free for the corrected or repeated request.
        _release(context, sender, claim)
        raise


def _release(context: Context, sender: Sender, claim: idempotency.Claim) -> None:
    """Give the key back; if the database stays away, the claim's lease ends it."""
    for pause in _RELEASE_PAUSES:
        time.sleep(pause)
        try:
            with context.database.transaction(organisations=[sender.organisation_id]) as session:
                idempotency.release(session, claim)
        except DBAPIError as error:
            log.warning("claim_not_released", error=type(error).__name__)
        else:
            return


def check(raw: bytes) -> tuple[FieldError, ...]:
    """What is wrong with the JSON of a hand-in, without files: for a form that is being filled in."""
    try:
        requests.checked(requests.read(raw))
    except Invalid as error:
        return error.errors or (FieldError("", error.code, error.detail),)
    return ()


def fingerprint(raw: bytes, uploads: Sequence[Upload]) -> bytes:
    """What makes two requests the same: the JSON's canonical form, and role, name and SHA-256 of each file."""
    try:
        value = msgspec.json.decode(raw)
        canonical = rfc8785.dumps(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, rfc8785.CanonicalizationError):
        canonical = raw
    digest = hashlib.sha256(len(canonical).to_bytes(8, "big") + canonical)
    for upload in uploads:
        # A name that is not Unicode is told apart too; it becomes a safe one later.
        name = upload.filename.encode("utf-8", "backslashreplace").decode()
        part = [upload.role, name, hashlib.sha256(upload.content).hexdigest()]
        digest.update(rfc8785.dumps(part))
    return digest.digest()


def _claim(
    context: Context, sender: Sender, key: str, print_: bytes, *, seconds: int
) -> tuple[idempotency.Claim | HandedIn, Organisation]:
    with context.database.transaction(organisations=[sender.organisation_id]) as session:
        organisation = deliveries.organisation(session, sender.organisation_id)
        if organisation is None:
            raise Forbidden
        found = idempotency.claim(session, sender.organisation_id, ROUTE, key, print_, seconds=seconds)
    if isinstance(found, idempotency.Claim):
        return found, organisation
    if found.fingerprint != print_:
        raise IdempotencyMismatch
    if found.status is None or found.answer is None or found.subject_id is None:
        raise IdempotencyRunning
    body = open_value(
        context, found.answer, organisation=sender.organisation_id, place=f"idempotency.answer:{found.subject_id}"
    )
    body = bytes(msgspec.json.decode(body, type=msgspec.Raw))
    return HandedIn(found.status, body, public_id(DELIVERY, found.subject_id)), organisation


def _take_in(
    context: Context,
    sender: Sender,
    organisation: Organisation,
    raw: bytes,
    uploads: Sequence[Upload],
    claim: idempotency.Claim,
) -> HandedIn:
    request = requests.read(raw)
    personal = requests.checked(request)
    _check_files(context, request, uploads)
    # The main document is the first, whatever came first.
    inspected = [_inspect(context, upload) for upload in sorted(uploads, key=lambda each: each.role != "document")]
    now = context.clock()
    delivery_id = new_id()
    year = calendar.retention_year(now) + organisation.retention_years
    prepared = [
        context.vault.prepare(organisation.id, year, delivery_id, f"original-{number}", each.content)
        for number, each in enumerate(inspected)
    ]
    _store(context, organisation.id, delivery_id, prepared)
    dossier = Dossier(
        delivery=_delivery(context, organisation, sender, request, personal, delivery_id, year, now, inspected),
        legs=[],
        documents=[
            _document(context, organisation, delivery_id, year, number, each, prepared[number])
            for number, each in enumerate(inspected)
        ],
        organisation=organisation,
        personal=personal,
    )
    body = msgspec.json.encode(delivery_view(context, dossier))
    with context.database.transaction(organisations=[organisation.id]) as session:
        _record(session, dossier, sender, now)
        deliveries.keep(session, [delivery_id], [each.path for each in prepared])
        answer = seal_value(
            context,
            msgspec.Raw(body),
            organisation=organisation.id,
            year=year,
            place=f"idempotency.answer:{delivery_id}",
        )
        if not idempotency.complete(session, claim, status=ACCEPTED, answer=answer, subject=delivery_id):
            raise IdempotencyRunning
    context.wake([JobKind.SEAL])
    return HandedIn(ACCEPTED, body, public_id(DELIVERY, delivery_id))


def _check_files(context: Context, request: requests.DeliveryRequest, uploads: Sequence[Upload]) -> None:
    main = [upload for upload in uploads if upload.role == "document"]
    if len(main) != 1:
        detail = "A delivery has exactly one main document: send one part named document, with a PDF."
        code = "document_repeated" if main else "document_missing"
        raise Invalid(detail, code=code, errors=[FieldError("/document", code, detail)])
    if len(uploads) > context.limits.documents:
        raise Invalid(f"A delivery has at most {context.limits.documents} documents.", code="too_many_documents")
    if sum(len(upload.content) for upload in uploads) > context.limits.delivery_bytes:
        raise PayloadTooLarge(f"The documents are larger than {context.limits.delivery_bytes} bytes together.")
    expected = request.digests.get("document")
    if expected is not None and hashlib.sha256(main[0].content).hexdigest() != expected:
        detail = "The document's SHA-256 is not the one that was announced: it changed on its way."
        raise Invalid(detail, code="digest_differs", errors=[FieldError("/digests/document", "digest_differs", detail)])


def _inspect(context: Context, upload: Upload) -> _Inspected:
    place = "/document" if upload.role == "document" else "/attachment"
    try:
        inspection = context.inspector.inspect(upload.content)
    except DocumentRefused as error:
        error.errors = error.errors or (FieldError(place, error.code, error.detail),)
        raise
    content = inspection.replacement or upload.content
    return _Inspected(upload, content, inspection, hashlib.sha256(upload.content).digest())


def _store(context: Context, organisation: uuid.UUID, delivery: uuid.UUID, prepared: Sequence[Prepared]) -> None:
    with context.database.transaction(organisations=[organisation]) as session:
        deliveries.intend(session, intents(organisation, delivery, prepared))
    context.vault.write_many(prepared)


def intents(organisation: uuid.UUID, subject: uuid.UUID, prepared: Sequence[Prepared]) -> list[dict[str, Any]]:
    """The rows of intent for objects that are about to be stored."""
    return [
        {
            "subject_id": subject,
            "path": each.path,
            "organisation_id": organisation,
            "role": each.path.split("/")[1],
            "sha256": bytes.fromhex(each.sha256),
            "size": each.size,
        }
        for each in prepared
    ]


def _delivery(
    context: Context,
    organisation: Organisation,
    sender: Sender,
    request: requests.DeliveryRequest,
    personal: Personal,
    delivery_id: uuid.UUID,
    year: int,
    now: datetime,
    inspected: Sequence[_Inspected],
) -> DeliveryRow:
    recipient = personal.recipient
    return DeliveryRow(
        id=delivery_id,
        organisation_id=organisation.id,
        submission_id=delivery_id,
        mark=organisation.mark,
        lane=int(sender.lane),
        reference=request.reference.strip(),
        document_type=request.document_type,
        language=request.language,
        registered=request.registered,
        recipient_kind=personal.kind.value,
        recipient_hash=None if recipient is None else find_hash(context, recipient),
        personal=seal_personal(context, personal, organisation.id, year, delivery_id),
        print_options=requests.options(request),
        policy=policy.VERSION,
        state=DeliveryState.RECEIVED.value,
        status=DeliveryState.RECEIVED.value,
        channel=None,
        reason=None,
        problems=[
            {"code": problem.code, "detail": problem.detail, "page": problem.page}
            for each in inspected
            for problem in each.inspection.problems
        ],
        retention_year=year,
        created_at=now,
        updated_at=now,
        effective_at=None,
    )


def _document(
    context: Context,
    organisation: Organisation,
    delivery_id: uuid.UUID,
    year: int,
    number: int,
    each: _Inspected,
    prepared: Prepared,
) -> DocumentRow:
    name = seal_text(
        context,
        safe_name(each.upload.filename),
        organisation=organisation.id,
        year=year,
        place=f"document.filename:{delivery_id}/{number}",
    )
    return DocumentRow(
        delivery_id=delivery_id,
        position=number,
        organisation_id=organisation.id,
        role="main" if number == 0 else "attachment",
        filename=name,
        pages=each.inspection.pages,
        size=len(each.content),
        sha256=hashlib.sha256(each.content).digest(),
        submitted_sha256=each.submitted_sha256,
        path=prepared.path,
        sealed=False,
    )


def _record(session: Session, dossier: Dossier, sender: Sender, now: datetime) -> None:
    delivery = dossier.delivery
    session.add(
        Submission(
            id=delivery.submission_id,
            organisation_id=delivery.organisation_id,
            mark=delivery.mark,
            lane=delivery.lane,
            created_at=now,
        )
    )
    session.flush()
    session.add(delivery)
    session.flush()
    session.add_all(dossier.documents)
    session.add(
        DeliveryEvent(
            delivery_id=delivery.id,
            id=new_id(),
            organisation_id=delivery.organisation_id,
            event=Event.HANDED_IN.value,
            at=now,
            status=delivery.status,
            channel=None,
            actor=sender.actor.value,
            reason=None,
        )
    )
    session.flush()
    jobs.put(session, [NewJob(JobKind.SEAL, delivery.organisation_id, delivery.id, lane=sender.lane)])


def safe_name(filename: str) -> str:
    """A file name that is safe to show and to offer for saving: no folder, no mark with a meaning, ends in .pdf."""
    name = unicodedata.normalize("NFC", filename.replace("\\", "/").rsplit("/", 1)[-1])
    name = "".join(character for character in name if unicodedata.category(character)[0] != "C").strip(" .")
    name = _UNSAFE.sub("_", name)
    stem = name[:-4] if name.lower().endswith(".pdf") else name
    # In bytes, because that is how file systems count.
    stem = stem.encode()[:NAME_BYTES].decode(errors="ignore").rstrip(" .")
    return f"{stem}.pdf" if stem else DEFAULT_NAME
