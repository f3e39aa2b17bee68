"""Signatures of all documents of a request in one act, by a key that is never here: prepared, kept, completed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import msgspec

from service.domain.errors import Conflict, Invalid, Retryable
from service.domain.errors import Final as Never
from service.engine.patience import OutOfPatience, patience
from service.usecases.context import Context
from service.usecases.signatures import looks
from service.usecases.signatures.documents import read_all
from service.usecases.signatures.folders import Signing, purpose
from signing import webeid
from signing.algorithms import Mechanism
from signing.errors import PreparationStale, SignatureRefused, SignerUnacceptable, SigningError, Unsealable
from signing.prepared import Prepared, complete, prepare
from signing.signers import SignatureLevel, Signer, must_be
from signing.webeid import Algorithm

LASTS: Final = timedelta(minutes=15)
"""How long a signature may take, from the certificate to its PIN."""
MEMORY: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class CardSignature:
    """What a card made: base 64, and how it says it was made."""

    value: str = field(repr=False)
    algorithm: Algorithm


def believed(context: Context, signing: Signing, position: int, der: bytes, now: datetime) -> Signer:
    """Whoever is to sign, by a certificate that is believed now and says their number.

    Raises:
        Invalid: the certificate is not acceptable; the code says why.
        Conflict: ``card_signing_off``, no issuers are configured that would be believed.
        Retryable: nobody says at the moment whether it was revoked.
    """
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


def certificate_in(text: str) -> bytes:
    """The certificate that the browser's extension sends.

    Raises:
        Invalid: it is none.
    """
    try:
        return webeid.certificate(text)
    except SignerUnacceptable as error:
        raise Invalid(error.detail, code=error.code) from None


def chosen(signer: Signer, algorithms: Sequence[Algorithm]) -> Mechanism:
    """How a card is to sign.

    Raises:
        Invalid: it knows nothing that is accepted.
    """
    try:
        return webeid.choose(signer.certificate, algorithms)
    except SignerUnacceptable as error:
        raise Invalid(error.detail, code=error.code) from None


def prepare_all(
    context: Context, signing: Signing, position: int, signer: Signer, mechanism: Mechanism, now: datetime
) -> list[Prepared]:
    """Prepare the signature of each document.

    Raises:
        Final: one of them can never be signed.
    """
    name = looks.shown_name(signer.name)
    writer = looks.writer(signing.row.language, name)
    made = []
    try:
        for number, file in enumerate(read_all(context, signing), 1):
            with patience(memory=MEMORY):
                one = prepare(
                    file.content,
                    signer.certificate,
                    mechanism,
                    purpose=purpose(signing, position, number),
                    at=now,
                    lasts=LASTS,
                    chain=signer.chain,
                    writer=writer,
                    name=name,
                    field=looks.field(signing.id, position),
                )
            made.append(one)
    except (Unsealable, OutOfPatience) as error:
        code = error.code if isinstance(error, Unsealable) else "too_complex"
        raise Never("The document can't be signed.", code=code) from None
    return made


def complete_all(
    context: Context,
    signing: Signing,
    position: int,
    made: Sequence[Prepared],
    signer: Signer,
    signatures: Sequence[CardSignature | bytes],
    now: datetime,
) -> list[bytes]:
    """All documents with the signatures in them; none unless each is good.

    Raises:
        Conflict: ``signing_stale``, something else was prepared.
        Invalid: ``signature_refused``: one is not a signature of its document by this card.
        Retryable: no time-stamp; the same signatures can be given again.
    """
    files = read_all(context, signing)
    if not len(files) == len(made) == len(signatures):
        raise stale()
    signed = []
    for number, (file, one, signature) in enumerate(zip(files, made, signatures, strict=True), 1):
        try:
            value = (
                signature
                if isinstance(signature, bytes)
                else webeid.signature(signature.value, signature.algorithm, one.mechanism, signer.certificate)
            )
            whole = complete(
                file.content,
                one,
                value,
                purpose=purpose(signing, position, number),
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
        signed.append(whole)
    return signed


def to_keep(made: Sequence[Prepared]) -> bytes:
    """As it is kept: of one document as the library writes it, of several a list of that."""
    each = [one.to_bytes() for one in made]
    return each[0] if len(each) == 1 else msgspec.json.encode([msgspec.Raw(one) for one in each])


def kept(raw: bytes) -> list[Prepared]:
    """What ``to_keep`` wrote.

    Raises:
        Conflict: ``signing_stale``, it is of another release.
    """
    try:
        each = msgspec.json.decode(raw, type=list[msgspec.Raw]) if raw.startswith(b"[") else [msgspec.Raw(raw)]
        return [Prepared.from_bytes(bytes(one)) for one in each]
    except (msgspec.DecodeError, PreparationStale):
        raise stale() from None


def stale() -> Conflict:
    """What was prepared is worth nothing any more."""
    return Conflict("This took too long, or somebody signed meanwhile. Begin again.", code="signing_stale")


def _passing(error: SigningError) -> Exception:
    if error.retryable:
        return Retryable("This is not possible at the moment. Try again in a few minutes.", code=error.code)
    return error
