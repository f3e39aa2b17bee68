"""The step ``finish``: what the organisation does itself: its seal as a signer, the seals over the result, the report.

The leg says which: 0 closes a request that all have signed, 1 to 20 is a seal among the signers by its position, 100
hands the result in for delivery.
"""

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy.orm import Session

from service.db import deliveries
from service.db.ids import DELIVERY, SIGNATURE_REQUEST, parse_id, public_id
from service.db.jobs import JobKind, Lane, Leased
from service.domain.errors import Final, IdempotencyRunning, Invalid, QuotaExceeded, Retryable
from service.domain.signing_folder import FolderEvent, FolderState, SignerState, Way
from service.domain.states import Actor
from service.engine.patience import OutOfPatience, patience
from service.engine.steps import Outcome, Step, each
from service.usecases.admission import Sender, Upload
from service.usecases.context import Context
from service.usecases.hand_in import hand_in
from service.usecases.signatures import documents, evidence, renewing
from service.usecases.signatures.documents import REPORT, Stored
from service.usecases.signatures.folders import CLOSING, DELIVERING, Done, Signing, happen, load
from service.usecases.signatures.report import sealed_report
from signing.errors import SigningError, Unsealable
from signing.signers import SignatureLevel

CHUNK = 8
MEMORY = 1 << 30


@dataclass(frozen=True)
class Work:
    """A request with the leg that is to be done; ``records`` are its evidence, for the report."""

    signing: Signing
    leg: int
    records: list[dict[str, object]] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class Made:
    """What came of it: the sealed documents (and report), encrypted and stored; or the delivery."""

    documents: list[Stored] = field(default_factory=list)
    report: Stored | None = None
    until: datetime | None = None
    delivery: uuid.UUID | None = None


def step(context: Context) -> Step[Work, Made]:
    """The step, wired."""

    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, Work]]:
        found = load(session, context, {job.subject_id for job in jobs})
        works = []
        for job in jobs:
            signing = found.get(job.subject_id)
            if signing is None or not _is_due(signing, job.leg):
                continue
            records = evidence.records(session, context, signing.id) if job.leg == CLOSING else []
            works.append((job, Work(signing, job.leg, records)))
        return works

    def record(session: Session, outcomes: Sequence[Outcome[Work, Made]]) -> None:
        again = load(session, context, {outcome.work.signing.id for outcome in outcomes}, lock=True)
        for outcome in outcomes:
            assert outcome.result is not None
            _record(session, context, again[outcome.work.signing.id], outcome.work, outcome.result)

    def fail(session: Session, job: Leased, error: Final) -> None:
        signing = load(session, context, [job.subject_id], lock=True).get(job.subject_id)
        if signing is None or not _is_due(signing, job.leg):
            return
        if job.leg == DELIVERING:
            signing.row.reason = error.code
            session.flush()
        else:
            happen(session, context, signing, FolderEvent.FAILED, now=context.clock(), reason=error.code)

    return Step(JobKind.FINISH, CHUNK, read, each(lambda work: _perform(context, work)), record, fail)


def _is_due(signing: Signing, leg: int) -> bool:
    if leg == DELIVERING:
        return signing.row.state == FolderState.COMPLETED.value and signing.row.delivery_id is None
    if leg == CLOSING:
        return signing.row.state == FolderState.SIGNED.value
    if signing.row.state != FolderState.OPEN.value or not 1 <= leg <= len(signing.signers):
        return False
    own = signing.signers[leg - 1]
    return own.way == Way.SEAL.value and own.state == SignerState.ASKED.value


def _perform(context: Context, work: Work) -> Made:
    if work.leg == DELIVERING:
        return Made(delivery=_deliver(context, work.signing))
    signing = work.signing
    sealed = [_sealed(context, signing, file.content) for file in documents.read_all(context, signing)]
    if work.leg != CLOSING:
        return Made(documents.store(context, signing, f"request-signed-{work.leg}", sealed))
    digests = [hashlib.sha256(each).hexdigest() for each in sealed]
    report = sealed_report(context, signing, work.records, sealed_sha256=digests)
    *stored, last = documents.store(context, signing, "request-sealed", sealed, also=report)
    return Made(stored, last, renewing.good_together_until([*sealed, report], at=context.clock()))


def _sealed(context: Context, signing: Signing, content: bytes) -> bytes:
    try:
        with patience(memory=MEMORY):
            return context.sealer(signing.organisation).seal(content, at=context.clock(), among_others=True)
    except Unsealable as error:
        raise Final("The document can't be sealed.", reason="seal_failed", code=error.code) from None
    except OutOfPatience:
        raise Final("The document takes too long to seal.", reason="seal_failed", code="too_complex") from None
    except SigningError as error:
        if error.retryable:
            raise Retryable("The seal could not be made at the moment.", code=error.code) from None
        raise


def _deliver(context: Context, signing: Signing) -> uuid.UUID:
    """Hand the result in, by the same use case as its sender would; the key makes it once."""
    row, public = signing.row, public_id(SIGNATURE_REQUEST, signing.id)
    assert row.report_path is not None
    report = context.vault.read(row.report_path, row.organisation_id, row.id, REPORT)
    first, *others = documents.read_all(context, signing)
    uploads = [
        Upload("document", first.filename, first.content),
        *(Upload("attachment", each.filename, each.content) for each in others),
        Upload("attachment", f"{public}.pdf", report),
    ]
    sender = Sender(row.organisation_id, Lane.BULK, Actor.SERVICE)
    try:
        done = hand_in(
            context, sender, msgspec.json.encode(signing.personal.deliver), uploads, key=f"signature-request/{public}"
        )
    except (QuotaExceeded, IdempotencyRunning) as error:
        raise Retryable(error.detail, code=error.code) from None
    except Invalid as error:
        # The request stays completed and says why; its sender can hand the result in as anything else.
        raise Final("The result can't be handed in.", reason="seal_failed", code=error.code) from None
    return parse_id(DELIVERY, done.delivery_id)


def _record(session: Session, context: Context, signing: Signing, work: Work, made: Made) -> None:
    row, now = signing.row, context.clock()
    if not _is_due(signing, work.leg):
        # Taken back meanwhile: what was stored is nobody's and collected.
        return
    if made.delivery is not None:
        row.delivery_id, row.updated_at = made.delivery, now
        session.flush()
        # From here on it is renewed as what it became.
        renewing.note(session, context, signing, None, now=now)
        return
    if documents.state(signing) != documents.state(work.signing):
        # Signed by somebody else meanwhile.
        raise Retryable("The documents changed meanwhile.", code="signing_stale")
    documents.name(session, signing, made.documents, now=now)
    if made.report is not None:
        row.report_path, row.report_size = made.report.prepared.path, made.report.size
        deliveries.keep(session, [row.id], [made.report.prepared.path])
        renewing.note(session, context, signing, made.until, now=now)
        happen(session, context, signing, FolderEvent.COMPLETED, now=now)
    else:
        outcome = _by_seal(context, signing)
        happen(session, context, signing, FolderEvent.SIGNED, now=now, signer=work.leg, outcome=outcome)


def _by_seal(context: Context, signing: Signing) -> Done:
    certificate = context.sealer(signing.organisation).certificate
    return Done(
        certificate_name=signing.organisation.name,
        certificate_sha256=hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        certificate_issuer=certificate.issuer.rfc4514_string(),
        level=SignatureLevel.ADVANCED.value,
    )
