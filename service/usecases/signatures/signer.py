"""What a signer does: find what waits for them, read it, sign it with a card that is never here, or refuse.

Whoever is logged in is found by the keyed hash of their number, in a transaction of theirs; only then the request is
read for its organisation. The certificate must say the same number once more.
"""

import hmac
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives import hashes
from sqlalchemy.orm import Session

from service.db import signatures as rows
from service.db.ids import SIGNATURE_REQUEST, parse_id
from service.db.signatures import SignerRow
from service.domain.errors import Conflict, Invalid, NotFound, TransitionRefused
from service.domain.signing_folder import REASON_LENGTH, FolderEvent, FolderState, SignerState, Way
from service.usecases.context import Context
from service.usecases.mailbox import Reader
from service.usecases.personal import open_value, seal_bytes
from service.usecases.signatures import documents
from service.usecases.signatures.folders import Done, Signing, happen, load, signer_place
from service.usecases.signatures.preparing import (
    CardSignature,
    believed,
    certificate_in,
    chosen,
    complete_all,
    kept,
    prepare_all,
    stale,
    to_keep,
)
from service.usecases.signatures.views import ToSign, ToSignView, to_sign_view
from service.usecases.views import File
from signing import webeid
from signing.algorithms import Mechanism
from signing.prepared import Prepared
from signing.webeid import Algorithm

SHOWN: Final = 100


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


def document(context: Context, reader: Reader, request_id: str, number: int = 1) -> File:
    """A document as it is now, counted from 1, for one of its signers.

    Raises:
        NotFound: they are not asked, or it is not their turn yet, or the request ended without them; no such document.
        Erased: its period is over.
    """
    own = _own(context, reader, request_id)
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        signing = _loaded(session, context, own)
    if signing.signers[own.position - 1].state == SignerState.RELEASED.value:
        raise NotFound
    return documents.read(context, signing, number)


def begin(
    context: Context, reader: Reader, request_id: str, certificate: str, algorithms: Sequence[Algorithm]
) -> ToSign:
    """Prepare the signatures for a card, and say what the card is to sign: a hash for each document.

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
        Final: a document can never be signed.
    """
    made = prepare_for(context, reader, request_id, Way.WEB_EID, certificate_in(certificate), algorithms)
    return ToSign([webeid.encoded(each.to_sign) for each in made], webeid.hash_function(made[0].mechanism))


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
) -> list[Prepared]:
    """Prepare the signature of each document and keep them with the signer; in place of what was prepared before.

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
    signer = believed(context, signing, own.position, der, now)
    mechanism = algorithms if isinstance(algorithms, Mechanism) else chosen(signer, algorithms)
    made = prepare_all(context, signing, own.position, signer, mechanism, now)
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        again = _loaded(session, context, own, lock=True)
        _may_sign(again, own.position, now, way)
        if documents.state(again) != [each.document_sha256 for each in made]:
            raise stale()
        again.signers[own.position - 1].prepared = seal_bytes(
            context,
            to_keep(made),
            organisation=own.organisation_id,
            year=again.row.retention_year,
            place=signer_place("prepared", own.request_id, own.position),
        )
        session.flush()
    return made


def prepared_for(context: Context, reader: Reader, request_id: str) -> list[Prepared]:
    """What waits for this person's signature, document by document.

    Raises:
        NotFound: they are not asked.
        Conflict: ``signing_stale``, nothing does.
    """
    own = _own(context, reader, request_id)
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        blob = _loaded(session, context, own).signers[own.position - 1].prepared
    if blob is None:
        raise stale()
    return _read(context, own, blob)


def sign(context: Context, reader: Reader, request_id: str, *signatures: CardSignature | bytes) -> ToSignView:
    """Take the signatures of all documents, of a card or as a CMS holds them: checked, time-stamped, stored, evidenced.

    All count or none does. A failure that passes leaves what was prepared, so that the same can be given again.

    Args:
        context: the wired parts.
        reader: who is logged in.
        request_id: what they sign.
        signatures: one for each document, in their order.

    Raises:
        NotFound: they are not asked.
        TransitionRefused: it is not their turn, or the request has ended.
        Conflict: ``signing_stale``: nothing is prepared, too late, too few, or somebody else signed meanwhile.
        Invalid: ``signature_refused``: not a signature of its document by this card.
        Retryable: no time-stamp, or nobody says whether the certificate was revoked; give them again later.
    """
    own = _own(context, reader, request_id)
    with context.database.transaction(organisations=[own.organisation_id]) as session:
        signing = _loaded(session, context, own)
    now = context.clock()
    _may_sign(signing, own.position, now)
    blob = signing.signers[own.position - 1].prepared
    if blob is None:
        raise stale()
    made = _read(context, own, blob)
    # Once more: it may have been revoked meanwhile, and others believed.
    signer = believed(context, signing, own.position, made[0].certificate, now)
    signed = complete_all(context, signing, own.position, made, signer, signatures, now)
    stored = documents.store(context, signing, f"request-signed-{own.position}", signed)
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
        # Once only: whoever comes second with the same signatures finds nothing that waits for them.
        fits = documents.state(again) == [each.document_sha256 for each in made]
        if waits is None or not hmac.compare_digest(waits, blob) or not fits:
            raise stale()
        documents.name(session, again, stored, now=now)
        woken = happen(session, context, again, FolderEvent.SIGNED, now=now, signer=own.position, outcome=outcome)
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


def _read(context: Context, own: _Own, blob: bytes) -> list[Prepared]:
    place = signer_place("prepared", own.request_id, own.position)
    return kept(open_value(context, blob, organisation=own.organisation_id, place=place))
