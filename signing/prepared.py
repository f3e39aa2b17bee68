"""Signatures in two phases, for keys that are never here: a card in somebody's hand, a service with their consent.

``prepare`` adds the empty signature and says what is to be signed; ``complete`` takes the signature that was made
elsewhere. What is kept in between (``Prepared``) holds no document: only the bytes that come behind it. So it is small,
survives a restart, and can be joined to no other document than the one it was made from.
"""

import base64
import contextlib
import hmac
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as column
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any, Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.algorithms import Mechanism, digest, signature_holds
from signing.cms import SealTemplate, SignedAttributes
from signing.errors import KeyUnusable, PreparationStale, RevocationUnavailable, SignatureRefused
from signing.filling import Check, fill
from signing.revision import Hole, SignatureWriter, append_validation_data
from signing.revocation import RevocationSource
from signing.timestamps import LARGEST_STAMP, TimeStampAuthority
from signing.tokens import certificates_of
from signing.trust import read_certificate, valid_at

LARGEST_UPDATE: Final = 4 * 1024 * 1024
"""Bytes that a signature may add to a document, with all that can be seen of it."""
CLOCKS_DIFFER: Final = timedelta(minutes=1)
"""Machines that share the work: the one that completes may be behind the one that prepared by this much."""
_VERSION: Final = 1

Writer = Callable[[Mechanism, int], SignatureWriter]
"""Makes what adds the field, from the mechanism and the bytes to keep free; whoever wants something to be seen of the
signature gives one whose writer draws it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A signature that lacks only its value. Whoever keeps it must keep it from being read or changed.

    Attributes:
        purpose: what it is for, in the words of whoever asked; ``complete`` must be told the same.
        document_sha256: of the document that is signed.
        certificate: the signer's, DER.
        chain: its issuers, DER.
        mechanism: how it must be signed.
        to_sign: the digest that the key signs, under ``mechanism.digest``.
        update: what comes behind the document, the hole still empty.
        start: offset of the hole in the whole file.
        end: offset behind it.
        prepared_at: claimed time of signing.
        expires_at: from here on it is worth nothing.
    """

    purpose: str
    document_sha256: bytes
    certificate: bytes = column(repr=False)
    chain: tuple[bytes, ...] = column(repr=False)
    mechanism: Mechanism
    to_sign: bytes
    update: bytes = column(repr=False)
    start: int
    end: int
    prepared_at: datetime
    expires_at: datetime

    def to_bytes(self) -> bytes:
        """As it is kept. It holds the signer's certificate, which is personal data."""
        value = {
            "version": _VERSION,
            "purpose": self.purpose,
            "document": _text(self.document_sha256),
            "certificate": _text(self.certificate),
            "chain": [_text(each) for each in self.chain],
            "mechanism": self.mechanism.value,
            "to_sign": _text(self.to_sign),
            # Nearly all of it is the zeros of the hole.
            "update": _text(zlib.compress(self.update)),
            "start": self.start,
            "end": self.end,
            "prepared_at": self.prepared_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
        }
        return json.dumps(value).encode("ascii")

    @classmethod
    def from_bytes(cls, kept: bytes) -> Self:
        """Read what ``to_bytes`` wrote.

        Raises:
            PreparationStale: it is nothing of the kind, or of another release.
        """
        try:
            value = json.loads(kept)
            if value["version"] != _VERSION:
                raise PreparationStale("malformed")
            return cls(
                purpose=_string(value["purpose"]),
                document_sha256=_bytes(value["document"]),
                certificate=_bytes(value["certificate"]),
                chain=tuple(_bytes(each) for each in value["chain"]),
                mechanism=Mechanism(value["mechanism"]),
                to_sign=_bytes(value["to_sign"]),
                update=_inflated(_bytes(value["update"])),
                start=int(value["start"]),
                end=int(value["end"]),
                prepared_at=_moment(value["prepared_at"]),
                expires_at=_moment(value["expires_at"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, zlib.error):
            raise PreparationStale("malformed") from None


def invisible(mechanism: Mechanism, reserved: int) -> SignatureWriter:
    """The writer of signatures of which nothing can be seen."""
    return SignatureWriter(mechanism, reserved=reserved, field_prefix="Signature")


def check_signable(pdf: bytes, *, at: datetime) -> None:
    """Whether ``prepare`` would take a document, for whoever wants to know before there is a certificate.

    Raises:
        Unsealable: it never would.
    """
    invisible(Mechanism.ECDSA_SHA256, LARGEST_STAMP).prepare(BytesIO(pdf), at=at)


def prepare(
    pdf: bytes,
    certificate: x509.Certificate,
    mechanism: Mechanism,
    *,
    purpose: str,
    at: datetime,
    lasts: timedelta,
    chain: Sequence[x509.Certificate] = (),
    writer: Writer = invisible,
    name: str | None = None,
    field: str | None = None,
    stamp_size: int = LARGEST_STAMP,
) -> Prepared:
    """Add an empty signature to ``pdf`` and find out what is to be signed.

    Args:
        pdf: the document; signatures in it stay valid.
        certificate: the signer's, looked at before (``signing.signers``).
        mechanism: how the key will sign.
        purpose: what the signature is for: whose, in which request. Kept with it, in nobody's sight.
        at: our time (aware); written as the claimed time of signing.
        lasts: how long the signer may take.
        chain: issuers of the certificate that go into the signature.
        writer: adds the field.
        name: who signs, for a writer that draws.
        field: the empty field that was kept for this signature, for a writer that draws.
        stamp_size: bytes kept free for a time-stamp.

    Raises:
        Unsealable: the document can't be signed as it is.
        KeyUnusable: the certificate isn't valid now.
    """
    if not valid_at(certificate, at):
        raise KeyUnusable("The signer's certificate is not valid now.")
    template = SealTemplate(certificate, tuple(chain), mechanism)
    stream = BytesIO(pdf)
    hole = writer(mechanism, template.largest(stamp_size)).prepare(stream, at=at, name=name, field=field)
    return Prepared(
        purpose=purpose,
        document_sha256=digest("sha256", pdf),
        certificate=certificate.public_bytes(Encoding.DER),
        chain=tuple(each.public_bytes(Encoding.DER) for each in chain),
        mechanism=mechanism,
        to_sign=template.attributes(hole.digest).digest,
        update=stream.getvalue()[len(pdf) :],
        start=hole.start,
        end=hole.end,
        prepared_at=at,
        expires_at=at + lasts,
    )


def complete(
    pdf: bytes,
    prepared: Prepared,
    signature: bytes,
    *,
    purpose: str,
    at: datetime,
    tsa: TimeStampAuthority | None = None,
    revocation: RevocationSource | None = None,
) -> bytes:
    """The document with the signature in it, after everything about it was checked.

    Nothing that was kept is believed: the digest that was signed is made anew from the document itself. The same call
    gives the same signature again; that it counts once is the caller's to see to, and a document that was signed
    meanwhile is another document.

    Args:
        pdf: the document that was given to ``prepare``.
        prepared: what that gave.
        signature: as it stands in a CMS (ECDSA: DER of r and s).
        purpose: what the signature is for now.
        at: our time (aware).
        tsa: makes the signature time-stamp (level B-T); None leaves it out (B-B).
        revocation: with ``tsa``: proves that the signer's certificate is good; with the proof for the time-stamp's,
            where that can be had, the document is B-LT.

    Raises:
        PreparationStale: too late, too early, another purpose, another document, or something that was never prepared.
        SignatureRefused: not a signature of this document by this certificate's key.
        KeyUnusable: the certificate isn't valid at ``at``.
        CertificateRevoked, RevocationUnavailable: a certificate is no longer good, or nobody says that it is.
        TimeStampUnavailable, TimeStampInvalid, TimeStampRefused: no token.
    """
    _stands(prepared, pdf, purpose, at)
    certificate = _certificate(prepared.certificate)
    chain = tuple(_certificate(each) for each in prepared.chain)
    mechanism = prepared.mechanism
    stream = BytesIO(pdf + prepared.update)
    hole = _hole(stream, prepared, len(pdf))
    template = SealTemplate(certificate, chain, mechanism)
    attributes = template.attributes(hole.digest)
    if not hmac.compare_digest(attributes.digest, prepared.to_sign):
        raise PreparationStale("document")
    _holds(certificate, mechanism, signature, attributes)
    if not valid_at(certificate, at):
        raise KeyUnusable("The signer's certificate is not valid now.")
    data = None if tsa is None or revocation is None else revocation.data(certificate, chain, at=at)
    token = None if tsa is None else tsa.token(digest("sha256", signature))
    fill(hole, template.fill(attributes, signature, token))
    check = Check.of_bytes(pdf)
    check.last(hole, mechanism.digest)
    if data is not None and revocation is not None and token is not None:
        with contextlib.suppress(RevocationUnavailable, KeyUnusable):
            # A person has signed: what the authority's issuer doesn't say now can be added later.
            signer, others = certificates_of(token)
            append_validation_data(stream, data.with_(revocation.data(signer, others, at=at)))
            check.kept(hole, mechanism.digest)
    return stream.getvalue()


def _stands(prepared: Prepared, pdf: bytes, purpose: str, at: datetime) -> None:
    if at >= prepared.expires_at:
        raise PreparationStale("expired")
    if at < prepared.prepared_at - CLOCKS_DIFFER:
        raise PreparationStale("clock")
    if not hmac.compare_digest(prepared.purpose.encode(), purpose.encode()):
        raise PreparationStale("purpose")
    if not hmac.compare_digest(prepared.document_sha256, digest("sha256", pdf)):
        raise PreparationStale("document")


def _hole(stream: BytesIO, prepared: Prepared, size: int) -> Hole:
    """The hole where it is said to be, empty, with the digest of everything around it as it is now."""
    whole = memoryview(stream.getvalue())
    start, end = prepared.start, prepared.end
    if not size < start < end <= len(whole) or whole[start] != ord("<") or whole[end - 1] != ord(">"):
        raise PreparationStale("malformed")
    if bytes(whole[start + 1 : end - 1]).strip(b"0"):
        raise PreparationStale("malformed")
    return Hole(stream, start, end, digest(prepared.mechanism.digest, whole[:start], whole[end:]))


def _holds(certificate: x509.Certificate, mechanism: Mechanism, signature: bytes, attributes: SignedAttributes) -> None:
    key = certificate.public_key()
    if not signature_holds(key, mechanism.encoded, mechanism.digest, signature, attributes.digest):
        raise SignatureRefused("This is not a signature of this document by the signer's key.")


def _certificate(der: bytes) -> x509.Certificate:
    try:
        return read_certificate(der)
    except ValueError:
        raise PreparationStale("malformed") from None


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(value: Any) -> bytes:
    return base64.b64decode(_string(value), validate=True)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _inflated(value: bytes) -> bytes:
    state = zlib.decompressobj()
    update = state.decompress(value, LARGEST_UPDATE)
    if not state.eof or state.unused_data:
        raise ValueError
    return update


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(_string(value))
    if moment.tzinfo is None:
        raise ValueError
    return moment.astimezone(UTC)
