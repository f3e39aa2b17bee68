"""The upload of a submission's file: begun, taken in part by part, resumed after a broken connection, completed.

A part is encrypted, intended, stored and only then counted, in this order (docs/crash-order.md): what ``received`` says
is stored for good, and whatever machine the sender reaches next goes on from there.
"""

import hashlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
import rfc8785
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service import tracing
from service.db import deliveries, idempotency, jobs
from service.db import submissions as rows
from service.db.ids import SUBMISSION, new_id, parse_id, public_id
from service.db.jobs import JobKind, Lane, NewJob
from service.db.models import Organisation, Submission
from service.domain import calendar
from service.domain.errors import (
    Conflict,
    FieldError,
    Forbidden,
    IdempotencyMismatch,
    IdempotencyMissing,
    Invalid,
    NotFound,
    PayloadTooLarge,
    QuotaExceeded,
)
from service.domain.submission import SubmissionEvent, SubmissionState, advance
from service.usecases.admission import intents
from service.usecases.context import Context
from service.usecases.submission_files import PART_BYTES, part_role
from service.usecases.submission_views import SubmissionView, submission_view

ROUTE: Final = "POST /v1/submissions"
CREATED: Final = 201
NAME_LENGTH: Final = 100
OPEN_UPLOADS: Final = 50
"""How many files an organisation may have on their way at the same time."""
SHORT_PARTS: Final = 2000
"""How many parts may be shorter than a full one: each broken connection leaves one."""
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class SubmissionOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the sender wants of a submission; ``size`` and ``sha256`` are of the ZIP and checked if given."""

    name: str | None = None
    dry_run: bool = False
    on_error: Literal["stop", "continue"] = "stop"
    release: Literal["auto", "manual"] = "auto"
    send_at: datetime | None = None
    size: int | None = None
    sha256: str | None = None


class OffsetDiffers(Conflict):
    """The sender goes on from another place than where the stored bytes end; ``expected`` is that place."""

    code = "upload_offset_mismatch"

    def __init__(self, expected: int) -> None:
        super().__init__(f"Bytes up to {expected} are stored: go on from there.")
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Begun:
    """A submission whose file may come; ``body`` is the first answer, the same one for a repeated request."""

    id: uuid.UUID
    body: bytes = field(repr=False)
    again: bool


@dataclass(frozen=True, slots=True)
class Upload:
    """How far an upload is.

    Attributes:
        received: bytes that are stored.
        announced: bytes that the sender said the file has, if it did.
        parts: size and SHA-256 of each stored part, in order; only where they were asked for.
    """

    organisation_id: uuid.UUID
    id: uuid.UUID
    year: int
    state: SubmissionState
    received: int
    announced: int | None
    most: int
    parts: Sequence[tuple[int, bytes]] = ()


def begin(
    context: Context, organisation_id: uuid.UUID, options: SubmissionOptions, *, key: str | None, kind: str
) -> Begun:
    """Make a submission that waits for its file.

    Args:
        context: the wired parts.
        organisation_id: the sender's.
        options: what is wanted.
        key: the request's Idempotency-Key.
        kind: ``empty`` or ``whole``: whether the file comes with this very request; both can't share a key.

    Raises:
        IdempotencyMissing, IdempotencyMismatch: about the key.
        Invalid: an option can't be used.
        PayloadTooLarge: the file is larger than is taken.
        QuotaExceeded: too many files are on their way.
    """
    if not key:
        raise IdempotencyMissing
    if not _KEY.fullmatch(key):
        raise Invalid("An Idempotency-Key is 1 to 255 printable ASCII characters.", code="idempotency_key_malformed")
    now = context.clock()
    print_ = hashlib.sha256(kind.encode() + rfc8785.dumps(msgspec.to_builtins(options))).digest()
    with context.database.transaction(organisations=[organisation_id]) as session:
        organisation = deliveries.organisation(session, organisation_id)
        if organisation is None:
            raise Forbidden
        claim = idempotency.claim(session, organisation_id, ROUTE, key, print_, seconds=60)
        if isinstance(claim, idempotency.Seen):
            return _again(session, claim, organisation_id, print_)
        _check(context, options, now)
        _check_room(session, organisation_id)
        row = _new(organisation, options, now)
        session.add(row)
        session.flush()
        body = first_answer(row)
        if not idempotency.complete(session, claim, status=CREATED, answer=b"", subject=row.id):
            raise Conflict
    return Begun(row.id, body, again=False)


def _again(session: Session, seen: idempotency.Seen, organisation_id: uuid.UUID, print_: bytes) -> Begun:
    if seen.fingerprint != print_ or seen.subject_id is None:
        raise IdempotencyMismatch
    row = rows.get(session, organisation_id, seen.subject_id)
    if row is None:
        raise NotFound
    return Begun(row.id, first_answer(row), again=True)


def first_answer(row: Submission) -> bytes:
    """A submission as it looked when it was made, which is what a repeated request is answered."""
    state = {"state": SubmissionState.UPLOADING.value, "received": 0, "updated_at": row.created_at}
    return _as_it_was(row, state | {"completed_at": None})


def completed_answer(context: Context, organisation_id: uuid.UUID, submission_id: uuid.UUID) -> bytes:
    """A submission as it looked when its file was whole: the answer to whoever sent all of it at once."""
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = rows.get(session, organisation_id, submission_id)
        if row is None:
            raise NotFound
        return _as_it_was(row, {"state": SubmissionState.CHECKING.value, "updated_at": row.completed_at})


def _as_it_was(row: Submission, then: dict[str, Any]) -> bytes:
    values = {column.key: getattr(row, column.key) for column in Submission.__table__.columns}
    nothing: dict[str, Any] = {"sha256": None, "problems": [], "ended_at": None}
    return msgspec.json.encode(submission_view(Submission(**(values | nothing | then)), {}))


def _check(context: Context, options: SubmissionOptions, now: datetime) -> None:
    found: list[FieldError] = []
    name = options.name
    if name is not None and not (0 < len(name.strip()) <= NAME_LENGTH and name.isprintable()):
        found.append(FieldError("/name", "malformed", f"A name is 1 to {NAME_LENGTH} printable characters."))
    if options.sha256 is not None and not _SHA256.fullmatch(options.sha256):
        found.append(FieldError("/sha256", "malformed", "A digest is a SHA-256 in lower-case hex."))
    if options.size is not None and options.size < 1:
        found.append(FieldError("/size", "malformed", "A size is a number of bytes, at least 1."))
    if options.send_at is not None and (options.send_at.tzinfo is None or options.send_at <= now):
        found.append(FieldError("/send_at", "malformed", "This is a moment to come, with its offset from UTC."))
    if found:
        raise Invalid("The submission has options that can't be accepted.", code="submission_invalid", errors=found)
    if options.size is not None and options.size > context.limits.submission_bytes:
        raise _too_large(context.limits.submission_bytes)


def _check_room(session: Session, organisation_id: uuid.UUID) -> None:
    query = select(func.count()).select_from(Submission)
    mine = query.where(Submission.organisation_id == organisation_id, Submission.container)
    if (session.scalar(mine.where(Submission.state == SubmissionState.UPLOADING.value)) or 0) >= OPEN_UPLOADS:
        detail = f"{OPEN_UPLOADS} submissions wait for their files: complete or stop some of them."
        raise QuotaExceeded(detail, code="uploads_open", retry_after=60)


def _new(organisation: Organisation, options: SubmissionOptions, now: datetime) -> Submission:
    return Submission(
        id=new_id(),
        organisation_id=organisation.id,
        mark=organisation.mark,
        lane=int(Lane.BULK),
        created_at=now,
        updated_at=now,
        state=SubmissionState.UPLOADING.value,
        container=True,
        name=None if options.name is None else options.name.strip(),
        dry_run=options.dry_run,
        on_error=options.on_error,
        release=options.release,
        send_at=options.send_at,
        announced_size=options.size,
        announced_sha256=None if options.sha256 is None else bytes.fromhex(options.sha256),
        retention_year=calendar.retention_year(now) + organisation.retention_years,
        received=0, parts=0, list_offset=0, rows_read=0, counts={}, problems=[],
    )  # fmt: skip


def find(context: Context, organisation_id: uuid.UUID, submission_id: str, *, with_parts: bool = False) -> Upload:
    """How far an upload is.

    Raises:
        NotFound: there is none by this id, or it is another organisation's, or it never had a file.
    """
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = rows.get(session, organisation_id, parse_id(SUBMISSION, submission_id))
        if row is None or not row.container or row.retention_year is None:
            raise NotFound
        parts = [(part.size, part.sha256) for part in rows.parts(session, row.id)] if with_parts else []
    return Upload(
        organisation_id,
        row.id,
        row.retention_year,
        SubmissionState(row.state),
        row.received,
        row.announced_size,
        row.announced_size or context.limits.submission_bytes,
        parts,
    )


def check_offset(upload: Upload, offset: int) -> None:
    """See to it that bytes from this place may come.

    Raises:
        OffsetDiffers: the stored bytes end elsewhere.
        Conflict: no bytes are waited for any more.
    """
    if upload.state is not SubmissionState.UPLOADING:
        raise Conflict("This submission waits for no more bytes.", code="upload_closed")
    if offset != upload.received:
        raise OffsetDiffers(upload.received)


def append(context: Context, upload: Upload, at: int, content: bytes) -> int:
    """Store the next piece, at most ``PART_BYTES``; durable once this returns. Returns where the file ends now.

    Raises:
        OffsetDiffers: another connection has added to the file meanwhile.
        PayloadTooLarge: more than was announced, or than is taken at all.
        Conflict: the submission was completed or stopped meanwhile, or came in too many small pieces.
        StoreUnreachable: nothing was counted; go on from the same place later.
    """
    if at + len(content) > upload.most:
        raise _too_large(upload.most)
    prepared = context.vault.prepare(upload.organisation_id, upload.year, upload.id, part_role(at), content)
    with context.database.transaction(organisations=[upload.organisation_id]) as session:
        row = rows.get(session, upload.organisation_id, upload.id)
        if row is None or row.state != SubmissionState.UPLOADING.value:
            raise Conflict("This submission waits for no more bytes.", code="upload_closed")
        if row.received != at:
            raise OffsetDiffers(row.received)
        if row.parts - row.received // PART_BYTES > SHORT_PARTS:
            raise Conflict("This file came in too many small pieces: begin again.", code="upload_in_crumbs")
        deliveries.intend(session, intents(upload.organisation_id, upload.id, [prepared]))
    context.vault.write(prepared)
    part = {
        "submission_id": upload.id,
        "at": at,
        "organisation_id": upload.organisation_id,
        "size": len(content),
        "sha256": hashlib.sha256(content).digest(),
        "path": prepared.path,
    }
    with context.database.transaction(organisations=[upload.organisation_id]) as session:
        if not rows.add_part(session, part, now=context.clock()):
            # What was stored for nothing is collected by its intent.
            row = rows.get(session, upload.organisation_id, upload.id)
            raise OffsetDiffers(0 if row is None else row.received)
        deliveries.keep(session, [upload.id], [prepared.path])
    return at + len(content)


def complete(context: Context, organisation_id: uuid.UUID, submission_id: str) -> SubmissionView:
    """Say that the file is whole; from here on the service goes on by itself. Safe to repeat.

    Raises:
        NotFound: no such upload.
        Conflict: bytes are missing (``upload_incomplete``), or the submission has ended.
    """
    now = context.clock()
    with context.database.transaction(organisations=[organisation_id]) as session:
        row = rows.get(session, organisation_id, parse_id(SUBMISSION, submission_id), lock=True)
        if row is None or not row.container:
            raise NotFound
        if row.completed_at is None:
            if row.state == SubmissionState.UPLOADING.value and row.received != (row.announced_size or row.received):
                detail = f"{row.received} bytes are stored, {row.announced_size} were announced."
                raise Conflict(detail, code="upload_incomplete")
            if row.state == SubmissionState.UPLOADING.value and not row.received:
                raise Conflict("Nothing was uploaded yet.", code="upload_incomplete")
            row.state = advance(SubmissionState(row.state), SubmissionEvent.COMPLETED).value
            row.completed_at = row.updated_at = now
            session.flush()
            trace = tracing.origin(row.id, many=True)
            jobs.put(session, [NewJob(JobKind.UNPACK, organisation_id, row.id, lane=Lane.BULK, trace=trace)])
        view = submission_view(row)
    context.wake([JobKind.UNPACK])
    return view


class Comparison:
    """A file that comes again, held against what is stored of it; what lies beyond is handed on.

    Args:
        parts: size and SHA-256 of each stored part, in order.
        closed: the file was whole; nothing can lie beyond.
    """

    def __init__(self, parts: Sequence[tuple[int, bytes]], *, closed: bool = False) -> None:
        self.closed = closed
        self._parts = list(parts)
        self._left = self._parts[0][0] if parts else 0
        self._hash: Any = hashlib.sha256()

    def feed(self, piece: bytes) -> bytes:
        """The end of ``piece`` that is not stored yet.

        Raises:
            IdempotencyMismatch: the file is another one.
        """
        while piece and self._parts:
            mine, piece = piece[: self._left], piece[self._left :]
            self._hash.update(mine)
            self._left -= len(mine)
            if not self._left:
                if self._hash.digest() != self._parts.pop(0)[1]:
                    raise IdempotencyMismatch
                self._hash = hashlib.sha256()
                self._left = self._parts[0][0] if self._parts else 0
        return piece

    @property
    def whole(self) -> bool:
        """Whether all that is stored has come again."""
        return not self._parts


def _too_large(most: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The file is larger than {most} bytes.")


def public(upload: Upload) -> str:
    """The submission's public id."""
    return public_id(SUBMISSION, upload.id)
