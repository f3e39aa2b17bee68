"""A hand-in: checked, inspected, stored, and only then acknowledged.

The order that makes a crash harmless (docs/crash-order.md): claim the key and write down the objects that are about to
be stored; store them; then, in one transaction, the delivery, its documents, its first job and the answer to the key.
"""

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import rfc8785
import structlog
from sqlalchemy.exc import DBAPIError

from service.db import deliveries, idempotency
from service.db.ids import DELIVERY, new_id, public_id
from service.db.jobs import JobKind
from service.db.models import Organisation
from service.domain.errors import (
    FieldError,
    Forbidden,
    IdempotencyMismatch,
    IdempotencyMissing,
    IdempotencyRunning,
    Invalid,
)
from service.usecases import admission, requests
from service.usecases.admission import Candidate, Sender, Upload
from service.usecases.context import Context
from service.usecases.personal import open_value, seal_value
from service.usecases.views import delivery_view

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


@dataclass(frozen=True, slots=True)
class HandedIn:
    """The answer to a hand-in; the same one again for the same request."""

    status: int
    body: bytes = field(repr=False)
    delivery_id: str


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
    admission.check_files(context, request, uploads)
    candidate = Candidate(request, personal, admission.inspect(context, uploads))
    now = context.clock()
    submission_id = new_id()
    taken = admission.prepare(context, organisation, sender, [candidate], submission_id=submission_id, now=now)
    admission.store(context, organisation.id, taken)
    dossier = taken[0].dossier
    body = msgspec.json.encode(delivery_view(context, dossier))
    answer = seal_value(
        context,
        msgspec.Raw(body),
        organisation=organisation.id,
        year=dossier.delivery.retention_year,
        place=f"idempotency.answer:{dossier.id}",
    )
    with context.database.transaction(organisations=[organisation.id]) as session:
        deliveries.add_submission(
            session, submission_id, organisation.id, mark=organisation.mark, lane=int(sender.lane), at=now
        )
        admission.record(session, taken)
        if not idempotency.complete(session, claim, status=ACCEPTED, answer=answer, subject=dossier.id):
            raise IdempotencyRunning
    context.wake([JobKind.SEAL])
    return HandedIn(ACCEPTED, body, public_id(DELIVERY, dossier.id))
