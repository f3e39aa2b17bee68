"""A hand-in: checked, inspected, stored, and only then acknowledged.

The order that makes a crash harmless (docs/crash-order.md): claim the key and write down the objects that are about to
be stored; store them; then, in one transaction, the delivery, its documents, its first job and the answer to the key.
"""

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import msgspec
import rfc8785

from service.db import idempotency
from service.db.ids import DELIVERY, new_id, public_id
from service.db.jobs import JobKind, Lane
from service.db.models import Organisation
from service.domain.errors import FieldError, Forbidden, IdempotencyRunning, Invalid
from service.domain.identifiers import RecipientKind
from service.usecases import admission, claims, letter_checks, quotas, requests
from service.usecases.admission import Admission, Candidate, Inspected, Sender, Upload
from service.usecases.context import Context
from service.usecases.personal import Personal, seal_value
from service.usecases.policies import Policies, policies_of
from service.usecases.views import HandedInView, delivery_view

ROUTE = "POST /v1/deliveries"
ACCEPTED = 202
STORED_TOGETHER = 32


@dataclass(frozen=True, slots=True)
class HandedIn:
    """The answer to a hand-in; the same one again for the same request."""

    status: int
    body: bytes = field(repr=False)
    delivery_id: str
    """The first one, where there are several."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A hand-in whose objects are stored: what one transaction is to make true."""

    admissions: tuple[Admission, ...]
    answer: idempotency.Answer


def hand_in(context: Context, sender: Sender, raw: bytes, uploads: Sequence[Upload], *, key: str | None) -> HandedIn:
    """Take in one delivery; opens its own transactions. Once this returns, the delivery is never lost.

    Raises:
        IdempotencyMissing, IdempotencyMismatch, IdempotencyRunning: about the key.
        Invalid: the JSON or the set of files can't be accepted; with every problem.
        DocumentRefused: a file can't be accepted; the code says why.
        PayloadTooLarge: the files are larger together than a delivery may be.
        DeliveryQuota: the organisation has handed in as much as it may on a day.
    """
    key = claims.checked(key)
    asked = idempotency.Request(sender.organisation_id, ROUTE, key, fingerprint(raw, uploads), claims.SECONDS)
    claim, organisation = _claim(context, sender, asked)
    if isinstance(claim, HandedIn):
        return claim
    try:
        return _take_in(context, sender, organisation, raw, uploads, claim)
    except Exception:
        # Nothing was acknowledged: the key is free for the corrected or repeated request.
        claims.release(context, claim)
        raise


def check(raw: bytes, policies: Policies) -> tuple[FieldError, ...]:
    """What is wrong with the JSON of a hand-in, without files: for a form that is being filled in."""
    try:
        asked, many = requests.read_hand_in(raw)
        requests.checked_hand_in(asked, policies, many=many, now=None)
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
    context: Context, sender: Sender, asked: idempotency.Request
) -> tuple[idempotency.Claim | HandedIn, Organisation]:
    organisation = context.desk.organisation(context.database, sender.organisation_id)
    if organisation is None:
        raise Forbidden
    found = None
    while found is None:
        # Asked again only where whoever had the key gave it back at this moment.
        found = context.desk.claims.do(asked, lambda group: _claim_all(context, group))
    if isinstance(found, idempotency.Claim):
        return found, organisation
    first = claims.answered(context, sender.organisation_id, found, asked.fingerprint)
    return HandedIn(first.status, first.body, public_id(DELIVERY, first.subject_id)), organisation


def _take_in(
    context: Context,
    sender: Sender,
    organisation: Organisation,
    raw: bytes,
    uploads: Sequence[Upload],
    claim: idempotency.Claim,
) -> HandedIn:
    # Before the work, and one by one: what is too much for one organisation must not fail another's in its group.
    quotas.admit(context, organisation.id, 1, sum(len(upload.content) for upload in uploads))
    now = context.clock()
    asked, many = requests.read_hand_in(raw)
    personal = requests.checked_hand_in(asked, policies_of(context, organisation), many=many, now=now)
    admission.check_files(context, asked[0], uploads)
    inspected = admission.inspect(context, uploads, go_on=lambda: claims.go_on(context, claim))
    foreseen = _foreseen(context, asked[0], personal, inspected, claim)
    candidates = [
        Candidate(one, each, inspected, foreseen if each.kind is RecipientKind.POSTAL else ())
        for one, each in zip(asked, personal, strict=True)
    ]
    if sender.asks:
        # Not before the documents are found good: what is refused uses up nothing.
        sender = replace(sender, lane=quotas.lane_for(context, organisation.id, len(candidates)))
    admitted = _stored(context, organisation, sender, candidates, now)
    body = _answer(context, admitted, many=many)
    first = admitted[0].dossier
    answer = seal_value(
        context,
        msgspec.Raw(body),
        organisation=organisation.id,
        year=first.delivery.retention_year,
        place=f"idempotency.answer:{first.id}",
    )
    taken = Taken(admitted, idempotency.Answer(claim, ACCEPTED, answer, first.id))
    if not context.desk.records.do(taken, lambda group: _record_all(context, group)):
        raise IdempotencyRunning
    return HandedIn(ACCEPTED, body, public_id(DELIVERY, first.id))


def _foreseen(
    context: Context,
    asked: requests.DeliveryRequest,
    personal: Sequence[Personal],
    inspected: Sequence[Inspected],
    claim: idempotency.Claim,
) -> Sequence[Mapping[str, str | int | None]]:
    """What will keep the documents from being printed, where one of the recipients can get them by post alone.

    Whoever has a number may have a mailbox when the delivery is routed: for them nothing is looked at now.
    """
    if all(each.kind is not RecipientKind.POSTAL for each in personal):
        return ()
    return letter_checks.foreseen(
        context,
        [each.content for each in inspected],
        asked.print,
        registered=asked.registered,
        go_on=lambda: claims.go_on(context, claim),
    )


def _stored(
    context: Context, organisation: Organisation, sender: Sender, candidates: Sequence[Candidate], now: datetime
) -> tuple[Admission, ...]:
    """Prepare and store the deliveries of one submission, a few at a time: each has its own copy of the documents."""
    submission_id = new_id()
    size = sum(len(each.content) for each in candidates[0].inspected)
    step = max(1, context.limits.delivery_bytes // max(1, size))
    admitted: list[Admission] = []
    for start in range(0, len(candidates), min(step, STORED_TOGETHER)):
        part = candidates[start : start + min(step, STORED_TOGETHER)]
        made = admission.prepare(context, organisation, sender, part, submission_id=submission_id, now=now)
        context.desk.objects.do(made, lambda group: _store_all(context, group))
        # What is stored need not stay in memory.
        admitted += [replace(one, objects=tuple(replace(each, ciphertext=b"") for each in one.objects)) for one in made]
    return tuple(admitted)


def _answer(context: Context, admitted: Sequence[Admission], *, many: bool) -> bytes:
    views = [delivery_view(context, each.dossier) for each in admitted]
    first = views[0]
    if many:
        own = {name: getattr(first, name) for name in first.__struct_fields__}
        first = HandedInView(**own, deliveries=views)
    return msgspec.json.encode(first)


def _claim_all(
    context: Context, group: Sequence[idempotency.Request]
) -> list[idempotency.Claim | idempotency.Seen | None]:
    """Claim the keys of a group."""
    with context.database.transaction(organisations={each.organisation_id for each in group}) as session:
        return idempotency.claim_all(session, group)


def _store_all(context: Context, group: Sequence[Sequence[Admission]]) -> list[None]:
    admission.store_group(context, [each for part in group for each in part])
    return [None] * len(group)


def _record_all(context: Context, group: Sequence[Taken]) -> list[bool]:
    """Make the hand-ins true that still have their claims; the others leave nothing but objects to be collected."""
    organisations = {each.answer.claim.organisation_id for each in group}
    with context.database.transaction(organisations=organisations) as session:
        kept = idempotency.complete_all(session, [each.answer for each in group])
        admitted = [each for taken, mine in zip(group, kept, strict=True) if mine for each in taken.admissions]
        uses = ((each.dossier.delivery.organisation_id, 1, _size(each)) for each in admitted)
        quotas.count(session, _together(uses))
        admission.record(session, admitted, with_submissions=True)
    lanes = {admission.dossier.delivery.lane for taken in group for admission in taken.admissions}
    if context.desk.may_wake(at_once=Lane.INTERACTIVE in lanes):
        context.wake([JobKind.SEAL])
    return kept


def _together(uses: Iterable[tuple[uuid.UUID, int, int]]) -> dict[uuid.UUID, tuple[int, int]]:
    """How many deliveries and bytes there are of each organisation."""
    found: dict[uuid.UUID, tuple[int, int]] = {}
    for organisation, count, size in uses:
        counted, bytes_ = found.get(organisation, (0, 0))
        found[organisation] = (counted + count, bytes_ + size)
    return found


def _size(admitted: Admission) -> int:
    return sum(document.size for document in admitted.dossier.documents)
