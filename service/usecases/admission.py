"""Taking deliveries in, one or a chunk, for the single hand-in and for submissions.

The order that makes a crash harmless (docs/crash-order.md) is the caller's to keep: ``inspect``, ``prepare``,
``store``, then ``record`` in the transaction that makes the deliveries true, with or after their submission's row.
"""

import hashlib
import re
import unicodedata
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from service import tracing
from service.db import deliveries, jobs, webhooks
from service.db.ids import new_id
from service.db.jobs import JobKind, Lane, NewJob
from service.db.models import DeliveryRow, DocumentRow, Organisation
from service.domain import calendar
from service.domain.errors import DocumentRefused, FieldError, Invalid, PayloadTooLarge
from service.domain.states import Actor, DeliveryState, Event
from service.inspection.inspector import Inspection
from service.usecases import requests
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.personal import Personal, find_hash, seal_personal, seal_text
from service.usecases.policies import policies_of
from service.usecases.webhook_messages import message_of
from service.vault.vault import Prepared

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
    """Who hands in: the organisation, how soon somebody waits for it, and through what kind of actor.

    Attributes:
        asks: the interactive lane is only asked for: it is had within an allowance, else it is the other.
    """

    organisation_id: uuid.UUID
    lane: Lane
    actor: Actor = Actor.SENDER
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Inspected:
    """A file that was looked at and can be accepted.

    Attributes:
        content: what is kept; a repaired file differs from what came.
        sha256: of ``content``.
        submitted_sha256: of what came.
    """

    filename: str = field(repr=False)
    content: bytes = field(repr=False)
    inspection: Inspection
    sha256: bytes
    submitted_sha256: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A delivery that was checked: the request, its personal part in normal form, its files with the main one first.

    ``foreseen`` are problems of the letter that it will be, as `letter_checks.foreseen` has them.
    """

    request: requests.DeliveryRequest
    personal: Personal
    inspected: Sequence[Inspected]
    foreseen: Sequence[Mapping[str, str | int | None]] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """A delivery that is about to be taken in: its rows, and its encrypted objects in the order of its documents.

    Attributes:
        trace: where it comes from, told apart here: others' hand-ins may be recorded with it.
    """

    dossier: Dossier
    objects: tuple[Prepared, ...]
    actor: Actor
    trace: str | None


def check_files(context: Context, request: requests.DeliveryRequest, uploads: Sequence[Upload]) -> None:
    """Hold the set of files against the limits and the announced digest.

    Raises:
        Invalid: not exactly one main document, too many documents, or a file that changed on its way.
        PayloadTooLarge: the files are larger together than a delivery may be.
    """
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


def inspect(
    context: Context, uploads: Sequence[Upload], *, go_on: Callable[[], object] = lambda: None
) -> list[Inspected]:
    """Look at the files of one delivery; the main document is the first, whatever came first.

    Args:
        context: the inspector is taken from it.
        uploads: the files.
        go_on: called between two files, for whoever holds something meanwhile.

    Raises:
        DocumentRefused: one can't be accepted; the code says why, the pointer which.
    """
    inspected: list[Inspected] = []
    for upload in sorted(uploads, key=lambda each: each.role != "document"):
        if inspected:
            go_on()
        inspected.append(_inspect(context, upload))
    return inspected


def _inspect(context: Context, upload: Upload) -> Inspected:
    place = "/document" if upload.role == "document" else "/attachment"
    try:
        inspection = context.inspector.inspect(upload.content)
    except DocumentRefused as error:
        error.errors = error.errors or (FieldError(place, error.code, error.detail),)
        raise
    submitted = hashlib.sha256(upload.content).digest()
    content = inspection.replacement or upload.content
    kept = submitted if content is upload.content else hashlib.sha256(content).digest()
    return Inspected(upload.filename, content, inspection, kept, submitted)


def prepare(
    context: Context,
    organisation: Organisation,
    sender: Sender,
    candidates: Sequence[Candidate],
    *,
    submission_id: uuid.UUID,
    now: datetime,
) -> list[Admission]:
    """Give each delivery its id and rows and encrypt its documents, each for itself; nothing is stored yet.

    Raises:
        KeyRingUnreachable: try again later.
    """
    year = calendar.retention_year(now) + organisation.retention_years
    trace = tracing.origin(submission_id, many=len(candidates) > 1)
    return [_prepare(context, organisation, sender, each, submission_id, year, now, trace) for each in candidates]


def _prepare(
    context: Context,
    organisation: Organisation,
    sender: Sender,
    candidate: Candidate,
    submission_id: uuid.UUID,
    year: int,
    now: datetime,
    trace: str | None,
) -> Admission:
    delivery_id = new_id()
    objects = tuple(
        context.vault.prepare(organisation.id, year, delivery_id, f"original-{number}", each.content)
        for number, each in enumerate(candidate.inspected)
    )
    dossier = Dossier(
        delivery=_delivery(context, organisation, sender, candidate, delivery_id, submission_id, year, now),
        legs=[],
        documents=[
            _document(context, organisation, delivery_id, year, number, each, objects[number])
            for number, each in enumerate(candidate.inspected)
        ],
        organisation=organisation,
        personal=candidate.personal,
    )
    return Admission(dossier, objects, sender.actor, trace)


def store(context: Context, organisation_id: uuid.UUID, admissions: Sequence[Admission]) -> None:
    """Write down which objects are about to be stored, commit, then store them together; durable once this returns.

    Safe to repeat after any error.

    Raises:
        StoreUnreachable: some may be stored; the collector finds them by their intent.
    """
    assert all(each.dossier.delivery.organisation_id == organisation_id for each in admissions)
    store_group(context, admissions)


def store_group(context: Context, admissions: Sequence[Admission]) -> None:
    """``store`` for deliveries of several organisations that are handed in at the same moment."""
    rows = [
        row
        for each in admissions
        for row in intents(each.dossier.delivery.organisation_id, each.dossier.id, each.objects)
    ]
    with context.database.transaction(organisations={row["organisation_id"] for row in rows}) as session:
        deliveries.intend(session, rows)
    context.vault.write_many([prepared for each in admissions for prepared in each.objects])


def record(session: Session, admissions: Sequence[Admission], *, with_submissions: bool = False) -> None:
    """Make the deliveries true: rows, timeline, first jobs, objects kept; one statement for all new rows.

    Args:
        session: a transaction of the caller's.
        admissions: the deliveries.
        with_submissions: what they were handed in with has no row yet.
    """
    rows = [each.dossier.delivery for each in admissions]
    first = [
        NewJob(JobKind.SEAL, row.organisation_id, row.id, lane=Lane(row.lane), trace=each.trace)
        for each, row in zip(admissions, rows, strict=True)
    ]
    paths = [prepared.path for each in admissions for prepared in each.objects]
    events = [_event(each) for each in admissions]
    deliveries.add(
        session,
        rows,
        [document for each in admissions for document in each.dossier.documents],
        (deliveries.EVENTS, events),
        (webhooks.MESSAGES, [message_of(event, row) for event, row in zip(events, rows, strict=True)]),
        (jobs.PUT, jobs.rows(first)),
        with_submissions=with_submissions,
    )
    deliveries.keep(session, [row.id for row in rows], paths)


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


def _event(admission: Admission) -> dict[str, Any]:
    delivery = admission.dossier.delivery
    return {
        "delivery_id": delivery.id,
        "id": new_id(),
        "organisation_id": delivery.organisation_id,
        "event": Event.HANDED_IN.value,
        "at": delivery.created_at,
        "status": delivery.status,
        "channel": None,
        "actor": admission.actor.value,
        "reason": None,
    }


def _delivery(
    context: Context,
    organisation: Organisation,
    sender: Sender,
    candidate: Candidate,
    delivery_id: uuid.UUID,
    submission_id: uuid.UUID,
    year: int,
    now: datetime,
) -> DeliveryRow:
    request, personal = candidate.request, candidate.personal
    recipient = personal.recipient
    sent_under, refused = requests.terms_of(request, policies_of(context, organisation))
    assert not refused, "the request was held against the rules before"
    return DeliveryRow(
        id=delivery_id,
        organisation_id=organisation.id,
        submission_id=submission_id,
        mark=organisation.mark,
        lane=int(sender.lane),
        reference=request.reference.strip(),
        document_type=request.document_type,
        language=request.language,
        registered=request.registered,
        recipient_kind=personal.kind.value,
        recipient_hash=None if recipient is None else find_hash(context, recipient),
        personal=seal_personal(context, personal, organisation.id, year, delivery_id),
        print_options=requests.options(
            request, organisation.undeliverable, share_envelopes=organisation.share_envelopes
        ),
        policy=sent_under.policy_id,
        terms=sent_under.as_json(),
        state=DeliveryState.RECEIVED.value,
        status=DeliveryState.RECEIVED.value,
        channel=None,
        reason=None,
        problems=[
            *(
                {"code": problem.code, "detail": problem.detail, "page": problem.page}
                for each in candidate.inspected
                for problem in each.inspection.problems
            ),
            *candidate.foreseen,
        ],
        retention_year=year,
        created_at=now,
        updated_at=now,
        effective_at=None,
        send_at=request.send_at,
    )


def _document(
    context: Context,
    organisation: Organisation,
    delivery_id: uuid.UUID,
    year: int,
    number: int,
    each: Inspected,
    prepared: Prepared,
) -> DocumentRow:
    name = seal_text(
        context,
        safe_name(each.filename),
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
        sha256=each.sha256,
        submitted_sha256=each.submitted_sha256,
        path=prepared.path,
        sealed=False,
    )


def safe_name(filename: str) -> str:
    """A file name that is safe to show and to offer for saving: no folder, no mark with a meaning, ends in .pdf."""
    name = unicodedata.normalize("NFC", filename.replace("\\", "/").rsplit("/", 1)[-1])
    name = "".join(character for character in name if unicodedata.category(character)[0] != "C").strip(" .")
    name = _UNSAFE.sub("_", name)
    stem = name[:-4] if name.lower().endswith(".pdf") else name
    # In bytes, because that is how file systems count.
    stem = stem.encode()[:NAME_BYTES].decode(errors="ignore").rstrip(" .")
    return f"{stem}.pdf" if stem else DEFAULT_NAME
