"""What a signer does: find what waits for them, read it, sign it with a card that is never here, or refuse.

Whoever is logged in is found by the keyed hash of their number, in a transaction of theirs; only then the request is
read for its organisation. The certificate must say the same number once more.
"""

import hashlib
import hmac
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives import hashes
from sqlalchemy.orm import Session

from service.db import deliveries
from service.db import retention as due
from service.db import signatures as rows
from service.db.ids import SIGNATURE_REQUEST, parse_id
from service.db.retention import Removal
from service.db.signatures import SignerRow
from service.domain.errors import Conflict, Invalid, NotFound, Retryable, TransitionRefused
from service.domain.errors import Final as Never
from service.domain.signing_folder import REASON_LENGTH, FolderEvent, FolderState, SignerState, Way
from service.engine.patience import OutOfPatience, patience
from service.usecases.admission import intents
from service.usecases.context import Context
from service.usecases.mailbox import Reader
from service.usecases.personal import open_value, seal_bytes
from service.usecases.signatures import looks
from service.usecases.signatures.folders import Done, Signing, happen, load, purpose, signer_place
from service.usecases.signatures.sender import current
from service.usecases.signatures.views import ToSign, ToSignView, to_sign_view
from service.usecases.views import File
from signing import webeid
from signing.algorithms import Mechanism
from signing.errors import PreparationStale, SignatureRefused, SignerUnacceptable, SigningError, Unsealable
from signing.prepared import Prepared, complete, prepare
from signing.signers import SignatureLevel, Signer, must_be
from signing.webeid import Algorithm

LASTS: Final = timedelta(minutes=15)
"""How long a signature may take, from the certificate to its PIN."""
SHOWN: Final = 100
MEMORY: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class CardSignature:
    """What a card made: base 64, and how it says it was made."""

    value: str = field(repr=False)
    algorithm: Algorithm


def waiting(context: Context, reader: Reader) -> list[ToSignView]:
    """What this person is asked to sign, or was, newest first."""
    with context.database.transaction(recipients=reader.hashes) as session:
        found = {
            row.request_id: (row.organisation_id, row.position) for row in rows.own(session, reader.hashes, most=SHOWN)
        }
    with context.database.transaction(organisations={each for each, _ in found.values()}) as session:
        loaded = load(session, context, found)
        return [to_sign_view(loaded[each], position) for each, (_, position) in found.items() if each in loaded]


def get(context: Context, reader: Reader, request_id: str) -> ToSignView:
    """One request that this person is asked to sign, or was; looking at it is remembered.

    Raises:
        NotFound: they are not asked, or it is not their turn yet.
    """
    own = _own(context, reader, request_id)
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        signing = _loaded(session, context, own, lock=True)
        row = signing.signers[own.position - 1]
        row.opened_at = row.opened_at or context.clock()
        session.flush()
        return to_sign_view(signing, own.position)


def document(context: Context, reader: Reader, request_id: str) -> File:
    """The document as it is now, for one of its signers.

    Raises:
        NotFound: they are not asked, or it is not their turn yet, or the request ended without them.
        Erased: its period is over.
    """
    own = _own(context, reader, request_id)
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        signing = _loaded(session, context, own)
    if signing.signers[own.position - 1].state == SignerState.RELEASED.value:
        raise NotFound
    return current(context, signing)


def begin(
    context: Context, reader: Reader, request_id: str, certificate: str, algorithms: Sequence[Algorithm]
) -> ToSign:
    """Prepare the signature for a card, and say what the card is to sign.

    Args:
        context: the wired parts.
        reader: who is logged in.
        request_id: what they sign.
        certificate: of the card, base 64.
        algorithms: that the card knows.

    Raises:
        NotFound: they are not asked.
        TransitionRefused: it is not their turn, or the request has ended.
        Invalid: the certificate is not acceptable; the code says why.
        Conflict: ``card_signing_off``, no issuers are configured whose cards would be accepted.
        Retryable: nobody says at the moment whether the certificate was revoked.
        Final: the document can never be signed.
    """
    made = prepare_for(context, reader, request_id, Way.WEB_EID, _read_certificate(certificate), algorithms)
    return ToSign(webeid.encoded(made.to_sign), webeid.hash_function(made.mechanism))


def may(context: Context, reader: Reader, request_id: str, way: Way) -> None:
    """Hold a person against what is asked of them now.

    Raises:
        NotFound: they are not asked.
        TransitionRefused: it is not their turn, or the request has ended.
        Conflict: ``way_not_asked``, they are to sign in another way.
    """
    own = _own(context, reader, request_id)
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        _may_sign(_loaded(session, context, own), own.position, context.clock(), way)


def prepare_for(
    context: Context,
    reader: Reader,
    request_id: str,
    way: Way,
    der: bytes,
    algorithms: Sequence[Algorithm] | Mechanism,
) -> Prepared:
    """Prepare the signature and keep it with the signer; in place of what was prepared before.

    Args:
        context: the wired parts.
        reader: who is logged in.
        request_id: what they sign.
        way: how they sign.
        der: the certificate they sign with.
        algorithms: that the card knows, or the one mechanism.

    Raises:
        NotFound, TransitionRefused, Invalid, Conflict, Retryable, Final: as ``begin``.
    """
    own = _own(context, reader, request_id)
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        signing = _loaded(session, context, own)
    now = context.clock()
    _may_sign(signing, own.position, now, way)
    signer = _believed(context, signing, own.position, der, now)
    mechanism = algorithms if isinstance(algorithms, Mechanism) else _chosen(signer, algorithms)
    pdf = current(context, signing).content
    name = looks.shown_name(signer.name)
    try:
        with patience(memory=MEMORY):
            made = prepare(
                pdf,
                signer.certificate,
                mechanism,
                purpose=purpose(signing, own.position),
                at=now,
                lasts=LASTS,
                chain=signer.chain,
                writer=looks.writer(signing.row.language, name),
                name=name,
                field=looks.field(own.request_id, own.position),
            )
    except (Unsealable, OutOfPatience) as error:
        code = error.code if isinstance(error, Unsealable) else "too_complex"
        raise Never("The document can't be signed.", code=code) from None
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        again = _loaded(session, context, own, lock=True)
        _may_sign(again, own.position, now, way)
        if again.row.sha256 != made.document_sha256:
            raise stale()
        again.signers[own.position - 1].prepared = seal_bytes(
            context,
            made.to_bytes(),
            organisation=own.organisation_id,
            year=again.row.retention_year,
            place=signer_place("prepared", own.request_id, own.position),
        )
        session.flush()
    return made


def prepared_for(context: Context, reader: Reader, request_id: str) -> Prepared:
    """What waits for this person's signature.

    Raises:
        NotFound: they are not asked.
        Conflict: ``signing_stale``, nothing does.
    """
    own = _own(context, reader, request_id)
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        kept = _loaded(session, context, own).signers[own.position - 1].prepared
    if kept is None:
        raise stale()
    return _read(context, own, kept)


def sign(context: Context, reader: Reader, request_id: str, signature: CardSignature | bytes) -> ToSignView:
    """Take a signature, of a card or as a CMS holds it: checked, time-stamped, stored, evidenced.

    A failure that passes leaves what was prepared, so that the same signature can be given again.

    Raises:
        NotFound: they are not asked.
        TransitionRefused: it is not their turn, or the request has ended.
        Conflict: ``signing_stale``: nothing is prepared, too late, or somebody else signed meanwhile; begin again.
        Invalid: ``signature_refused``: not a signature of this document by this card.
        Retryable: no time-stamp, or nobody says whether the certificate was revoked; give it again later.
    """
    own = _own(context, reader, request_id)
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        signing = _loaded(session, context, own)
    now = context.clock()
    _may_sign(signing, own.position, now)
    kept = signing.signers[own.position - 1].prepared
    if kept is None:
        raise stale()
    made = _read(context, own, kept)
    pdf = current(context, signing).content
    # Once more: it may have been revoked meanwhile, and others believed.
    signer = _believed(context, signing, own.position, made.certificate, now)
    signed = _completed(context, signing, own.position, made, signer, pdf, signature, now)
    role = f"request-signed-{own.position}"
    prepared = context.vault.prepare(own.organisation_id, signing.row.retention_year, own.request_id, role, signed)
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        deliveries.intend(session, intents(own.organisation_id, own.request_id, [prepared]))
    context.vault.write(prepared)
    outcome = Done(
        certificate_name=signer.name,
        certificate_sha256=signer.certificate.fingerprint(hashes.SHA256()).hex(),
        certificate_issuer=signer.certificate.issuer.rfc4514_string(),
        level=signer.level.value,
    )
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        again = _loaded(session, context, own, lock=True)
        _may_sign(again, own.position, now)
        waits = again.signers[own.position - 1].prepared
        # Once only: whoever comes second with the same signature finds nothing that waits for it.
        if waits is None or not hmac.compare_digest(waits, kept) or again.row.sha256 != made.document_sha256:
            raise stale()
        before = again.row.path
        again.row.path, again.row.role = prepared.path, role
        again.row.sha256, again.row.size = hashlib.sha256(signed).digest(), len(signed)
        woken = happen(session, context, again, FolderEvent.SIGNED, now=now, signer=own.position, outcome=outcome)
        deliveries.keep(session, [own.request_id], [prepared.path])
        # What was signed begins with what was there before, byte for byte.
        due.remove_later(session, [Removal(before, own.request_id, own.organisation_id)], now=now)
        view = to_sign_view(again, own.position)
    context.wake(woken)
    return view


def refuse(context: Context, reader: Reader, request_id: str, reason: str) -> ToSignView:
    """Refuse to sign, with a reason that the sender reads. The request ends.

    Raises:
        NotFound: they are not asked.
        TransitionRefused: it is not their turn, or the request has ended.
        Invalid: ``reason_missing`` or ``reason_too_long``.
    """
    text = unicodedata.normalize("NFC", " ".join(reason.split()))
    if not text:
        raise Invalid("Say why you don't sign.", code="reason_missing")
    if len(text) > REASON_LENGTH or any(unicodedata.category(each) in ("Cc", "Cs") for each in text):
        raise Invalid(f"A reason has at most {REASON_LENGTH} characters.", code="reason_too_long")
    own = _own(context, reader, request_id)
    now = context.clock()
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        signing = _loaded(session, context, own, lock=True)
        _may_sign(signing, own.position, now)
        happen(session, context, signing, FolderEvent.REFUSED, now=now, signer=own.position, outcome=Done(reason=text))
        return to_sign_view(signing, own.position)


@dataclass(frozen=True, slots=True)
class _Own:
    """Where a person stands among the signers of a request."""

    request_id: uuid.UUID
    organisation_id: uuid.UUID
    position: int


def _own(context: Context, reader: Reader, request_id: str) -> _Own:
    wanted = parse_id(SIGNATURE_REQUEST, request_id)
    with context.database.transaction(recipients=reader.hashes) as session:
        row: SignerRow | None = rows.own_in(session, reader.hashes, wanted)
        if row is None or row.state == SignerState.WAITING.value:
            raise NotFound
        return _Own(row.request_id, row.organisation_id, row.position)


def _loaded(session: Session, context: Context, own: _Own, *, lock: bool = False) -> Signing:
    return load(session, context, [own.request_id], lock=lock)[own.request_id]


def _may_sign(signing: Signing, position: int, now: datetime, way: Way | None = None) -> None:
    if signing.row.state != FolderState.OPEN.value or signing.row.expires_at <= now:
        raise TransitionRefused("This request has ended.", code="request_ended")
    if signing.signers[position - 1].state != SignerState.ASKED.value:
        raise TransitionRefused("You have done this already.", code="not_your_turn")
    if way is not None and signing.signers[position - 1].way != way.value:
        raise Conflict("You are asked to sign in another way.", code="way_not_asked")


def _believed(context: Context, signing: Signing, position: int, der: bytes, now: datetime) -> Signer:
    """Whoever is to sign, by a certificate that is believed now and says their number."""
    number = signing.people[position - 1].number
    if context.signers is None or number is None:
        raise Conflict("Signing with a card is not set up here.", code="card_signing_off")
    try:
        signer = context.signers.check(der, at=now)
        must_be(signer, number=number, level=SignatureLevel(signing.signers[position - 1].level))
    except SignerUnacceptable as error:
        raise Invalid(error.detail, code=error.code) from None
    except SigningError as error:
        raise _passing(error) from None
    return signer


def _read_certificate(text: str) -> bytes:
    try:
        return webeid.certificate(text)
    except SignerUnacceptable as error:
        raise Invalid(error.detail, code=error.code) from None


def _chosen(signer: Signer, algorithms: Sequence[Algorithm]) -> Mechanism:
    try:
        return webeid.choose(signer.certificate, algorithms)
    except SignerUnacceptable as error:
        raise Invalid(error.detail, code=error.code) from None


def _completed(
    context: Context,
    signing: Signing,
    position: int,
    made: Prepared,
    signer: Signer,
    pdf: bytes,
    signature: CardSignature | bytes,
    now: datetime,
) -> bytes:
    try:
        value = (
            signature
            if isinstance(signature, bytes)
            else webeid.signature(signature.value, signature.algorithm, made.mechanism, signer.certificate)
        )
        return complete(
            pdf,
            made,
            value,
            purpose=purpose(signing, position),
            at=now,
            tsa=context.tsa,
            revocation=None if context.signers is None else context.signers.revocation,
        )
    except PreparationStale:
        raise stale() from None
    except SignatureRefused as error:
        raise Invalid(error.detail, code=error.code) from None
    except SigningError as error:
        raise _passing(error) from None


def _passing(error: SigningError) -> Exception:
    if error.retryable:
        return Retryable("This is not possible at the moment. Try again in a few minutes.", code=error.code)
    return error


def stale() -> Conflict:
    """What was prepared is worth nothing any more."""
    return Conflict("This took too long, or somebody signed meanwhile. Begin again.", code="signing_stale")


def _read(context: Context, own: _Own, kept: bytes) -> Prepared:
    place = signer_place("prepared", own.request_id, own.position)
    return Prepared.from_bytes(open_value(context, kept, organisation=own.organisation_id, place=place))
