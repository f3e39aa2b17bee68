"""Time-stamp tokens (RFC 3161, ETSI EN 319 422): read strictly, believed only after every check."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NoReturn

from asn1crypto.core import GeneralizedTime, ObjectIdentifier
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID

from signing import der
from signing.algorithms import digest, named_digest, signature_holds
from signing.der import Element, content_of, inside, number_in, only
from signing.errors import TimeStampInvalid
from signing.trust import path_to_root

LARGEST_TOKEN = 64 * 1024
"""Bytes; real tokens with a whole chain stay under ten thousand."""

_REMEMBERED = 64


def _oid(dotted: str) -> bytes:
    content: bytes = ObjectIdentifier(dotted).contents
    return content


_SIGNED_DATA = _oid("1.2.840.113549.1.7.2")
_TST_INFO = _oid("1.2.840.113549.1.9.16.1.4")
_CONTENT_TYPE = _oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = _oid("1.2.840.113549.1.9.4")
_CERTIFICATE_V1 = _oid("1.2.840.113549.1.9.16.2.12")
_CERTIFICATE_V2 = _oid("1.2.840.113549.1.9.16.2.47")


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says. Nothing here is to be believed before :meth:`TokenVerifier.check` returned it."""

    gen_time: datetime
    imprint_algorithm: str
    imprint: bytes
    policy: str
    serial: int
    nonce: int | None


@dataclass(frozen=True, slots=True)
class Proof:
    """A token that was checked, and what it hangs on.

    Attributes:
        token: what it says.
        certificate: the authority's certificate.
        others: further certificates that the token brought.
        holds_until: end of the validity of the first certificate to end on its path to a root: from then on nobody
            answers for the authority's key, and what the token proves must have been renewed.
    """

    token: Token
    certificate: x509.Certificate
    others: tuple[x509.Certificate, ...]
    holds_until: datetime


@dataclass(frozen=True, slots=True)
class _Envelope:
    """The parts of a token's CMS that are looked at, as they were encoded."""

    content: bytes
    certificates: tuple[bytes, ...]
    signer_name: bytes
    signer_serial: int
    digest_name: str
    attributes: Element
    signature_algorithm: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class _Signer:
    """A time-stamping certificate that was traced to a root, and the moments for which that holds."""

    certificate: x509.Certificate
    public_key: PublicKeyTypes
    holds_from: datetime
    holds_until: datetime
    fingerprints: dict[str, bytes]


def _refuse(reason: str, detail: str) -> NoReturn:
    raise TimeStampInvalid(reason, detail)


class TokenVerifier:
    """Checks tokens against given roots; remembers signers' certificates it has already traced.

    Safe to share between threads.
    """

    def __init__(self, trust_roots: Sequence[x509.Certificate], *, policy: str | None = None) -> None:
        self._roots = tuple(trust_roots)
        self._policy = policy
        self._signers: dict[bytes, _Signer] = {}

    def check(self, token_der: bytes, *, algorithm: str, imprint: bytes, nonce: int | None = None) -> Token:
        """Check everything about a token and return what it says.

        Args:
            token_der: the token, a DER ContentInfo.
            algorithm: digest algorithm the imprint must name.
            imprint: digest that must have been stamped.
            nonce: number that must come back; None when none was sent.

        Raises:
            TimeStampInvalid: anything is wrong; ``reason`` names it.
        """
        return self.prove(token_der, algorithm=algorithm, imprint=imprint, nonce=nonce).token

    def prove(self, token_der: bytes, *, algorithm: str, imprint: bytes, nonce: int | None = None) -> Proof:
        """The same check, for those who keep what was stamped: with what the token hangs on."""
        envelope, token = _read(token_der)
        if token.imprint_algorithm != algorithm or token.imprint != imprint:
            _refuse("imprint", "The time-stamp is for something else.")
        if nonce is not None and token.nonce != nonce:
            _refuse("nonce", "The time-stamp answers another request.")
        if self._policy is not None and token.policy != self._policy:
            _refuse("policy", "The time-stamp was made under another policy.")
        try:
            signer = self._check_signature(envelope, token)
            others = tuple(x509.load_der_x509_certificate(each) for each in envelope.certificates)
        except (ValueError, TypeError) as error:
            raise TimeStampInvalid("malformed", "The time-stamp's signature is not well formed.") from error
        return Proof(token, signer.certificate, others, signer.holds_until)

    def _check_signature(self, envelope: _Envelope, token: Token) -> _Signer:
        signer = self._signer(envelope, token.gen_time)
        attributes = _attributes(envelope.attributes)
        if content_of(only(attributes[_CONTENT_TYPE]), der.OBJECT_IDENTIFIER) != _TST_INFO:
            _refuse("attributes", "The time-stamp's signature is over another kind of content.")
        expected = digest(envelope.digest_name, envelope.content)
        if content_of(only(attributes[_MESSAGE_DIGEST]), der.OCTET_STRING) != expected:
            _refuse("digest", "The time-stamp's content was changed.")
        _check_certificate_reference(attributes, signer)
        # The signature is over the attributes under their universal tag SET OF (RFC 5652, 5.4).
        signed = digest(envelope.digest_name, bytes((der.SET,)), envelope.attributes.whole[1:])
        algorithm = envelope.signature_algorithm
        if not signature_holds(signer.public_key, algorithm, envelope.digest_name, envelope.signature, signed):
            _refuse("signature", "The time-stamp's signature is wrong.")
        return signer

    def _signer(self, envelope: _Envelope, at: datetime) -> _Signer:
        # A chain seen before costs one look-up; other issuers sent along make another entry, and are traced anew.
        key = b"".join((envelope.signer_name, envelope.signer_serial.to_bytes(32, "big"), *envelope.certificates))
        signer = self._signers.get(key)
        if signer is None or not signer.holds_from <= at <= signer.holds_until:
            signer = self._trace(envelope, at)
            if len(self._signers) >= _REMEMBERED:
                self._signers.clear()
            self._signers[key] = signer
        return signer

    def _trace(self, envelope: _Envelope, at: datetime) -> _Signer:
        certificate, sent = _sent(envelope)
        if not _is_for_time_stamps(certificate):
            _refuse("certificate_use", "The time-stamp's certificate is not one for time-stamping alone.")
        path = path_to_root(certificate, sent, self._roots, at)
        if path is None:
            _refuse("certificate_path", "The time-stamp's certificate was not valid then or is not trusted here.")
        return _Signer(
            certificate=certificate,
            public_key=certificate.public_key(),
            holds_from=max(link.not_valid_before_utc for link in path),
            holds_until=min(link.not_valid_after_utc for link in path),
            fingerprints={
                "sha1": certificate.fingerprint(hashes.SHA1()),  # noqa: S303 - what RFC 3161's first attribute names
                "sha256": certificate.fingerprint(hashes.SHA256()),
                "sha384": certificate.fingerprint(hashes.SHA384()),
                "sha512": certificate.fingerprint(hashes.SHA512()),
            },
        )


def verify_token(
    token_der: bytes, imprint_data: bytes, trust_roots: Sequence[x509.Certificate], *, policy: str | None = None
) -> datetime:
    """Check a token over ``imprint_data`` and return the moment it proves (aware, UTC).

    The token's certificate must have been valid at that moment; whether it is still believed today (revocation,
    algorithms grown weak) is for whoever keeps the data to renew in time.

    Raises:
        TimeStampInvalid: the token is not for this data, or anything about it is wrong.
    """
    algorithm = imprint_algorithm(token_der)
    verifier = TokenVerifier(trust_roots, policy=policy)
    return verifier.check(token_der, algorithm=algorithm, imprint=digest(algorithm, imprint_data)).gen_time


def imprint_algorithm(token_der: bytes) -> str:
    """The digest algorithm a token's imprint names.

    Raises:
        TimeStampInvalid: not a token, or an algorithm that is not accepted.
    """
    return _read(token_der)[1].imprint_algorithm


def certificates_of(token_der: bytes) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """The certificate a token was signed with, and the others it brings; none of them is believed by that.

    Raises:
        TimeStampInvalid: not a token, or one that doesn't bring its signer's certificate.
    """
    envelope, _ = _read(token_der)
    try:
        return _sent(envelope)
    except (ValueError, TypeError) as error:
        raise TimeStampInvalid("malformed", "The time-stamp's certificates are not well formed.") from error


def life_of(token_der: bytes) -> tuple[datetime, frozenset[str]]:
    """Until when (aware) all certificates of a token live, roots apart, and the digests that it rests on.

    Raises:
        TimeStampInvalid: as :func:`certificates_of`.
    """
    envelope, token = _read(token_der)
    digests = frozenset({envelope.digest_name, token.imprint_algorithm})
    return _life(envelope.certificates), digests


@lru_cache(maxsize=_REMEMBERED)
def _life(certificates: tuple[bytes, ...]) -> datetime:
    sent = [x509.load_der_x509_certificate(certificate) for certificate in certificates]
    # Roots live on in who believes them; an issuer whose certificate has ended proves nothing any more.
    moments = [each.not_valid_after_utc for each in sent if each.issuer != each.subject]
    if not moments:
        _refuse("certificate", "The time-stamp doesn't bring its signer's certificate.")
    return min(moments)


def _sent(envelope: _Envelope) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    sent = tuple(x509.load_der_x509_certificate(certificate) for certificate in envelope.certificates)
    for certificate in sent:
        named = certificate.issuer.public_bytes() == envelope.signer_name
        if named and certificate.serial_number == envelope.signer_serial:
            return certificate, sent
    _refuse("certificate", "The time-stamp doesn't bring its signer's certificate.")


def claimed_time(token_der: bytes) -> datetime:
    """The moment a token claims, before anything of it was checked.

    Raises:
        TimeStampInvalid: not a token.
    """
    return _read(token_der)[1].gen_time


def _read(token_der: bytes) -> tuple[_Envelope, Token]:
    if len(token_der) > LARGEST_TOKEN:
        _refuse("size", "The time-stamp is too large.")
    try:
        envelope = _envelope(token_der)
        return envelope, _content(envelope.content)
    except (ValueError, TypeError) as error:
        raise TimeStampInvalid("malformed", "The time-stamp is not a well-formed token.") from error


def _envelope(token_der: bytes) -> _Envelope:
    """Take the CMS apart (RFC 5652, 5.1 and 5.3; one signer, named by issuer and serial number)."""
    kind, explicit = inside(only(token_der), der.SEQUENCE)
    if kind.content != _SIGNED_DATA:
        raise ValueError("not signed data")
    _, _, encapsulated, *sets, signers = inside(only(content_of(explicit, der.CONTEXT)), der.SEQUENCE)
    content_type, content = inside(encapsulated, der.SEQUENCE)
    if content_type.content != _TST_INFO:
        raise ValueError("another kind of content")
    certificates = [e.whole for part in sets if part.tag == der.CONTEXT for e in inside(part, der.CONTEXT)]
    (signer,) = inside(signers, der.SET)
    _, identifier, algorithm, attributes, signature_algorithm, signature, *_ = inside(signer, der.SEQUENCE)
    name, serial = inside(identifier, der.SEQUENCE)
    content_of(attributes, der.CONTEXT)
    return _Envelope(
        content=content_of(only(content_of(content, der.CONTEXT)), der.OCTET_STRING),
        certificates=tuple(certificates),
        signer_name=name.whole,
        signer_serial=number_in(serial),
        digest_name=named_digest(content_of(algorithm, der.SEQUENCE)),
        attributes=attributes,
        signature_algorithm=signature_algorithm.whole,
        signature=content_of(signature, der.OCTET_STRING),
    )


def _content(content: bytes) -> Token:
    """Read the TSTInfo (RFC 3161, 2.4.2)."""
    version, policy, imprint, serial, gen_time, *rest = inside(only(content), der.SEQUENCE)
    if number_in(version) != 1:
        raise ValueError("another version")
    algorithm, hashed = inside(imprint, der.SEQUENCE)
    content_of(gen_time, der.GENERALIZED_TIME)
    moment: datetime = GeneralizedTime.load(gen_time.whole).native
    nonces = [number_in(part) for part in rest if part.tag == der.INTEGER]
    return Token(
        gen_time=moment.astimezone(UTC),
        imprint_algorithm=named_digest(content_of(algorithm, der.SEQUENCE)),
        imprint=content_of(hashed, der.OCTET_STRING),
        policy=ObjectIdentifier(contents=content_of(policy, der.OBJECT_IDENTIFIER)).dotted,
        serial=number_in(serial),
        nonce=nonces[0] if nonces else None,
    )


def _attributes(attributes: Element) -> dict[bytes, bytes]:
    """The one value of each attribute, by the content of its identifier."""
    found: dict[bytes, bytes] = {}
    for attribute in inside(attributes, der.CONTEXT):
        kind, values = inside(attribute, der.SEQUENCE)
        (value,) = inside(values, der.SET)
        if kind.content in found:
            raise ValueError("an attribute stands twice")
        found[kind.content] = value.whole
    if not {_CONTENT_TYPE, _MESSAGE_DIGEST} <= found.keys():
        _refuse("attributes", "The time-stamp's signature lacks an attribute.")
    return found


def _check_certificate_reference(attributes: dict[bytes, bytes], signer: _Signer) -> None:
    """The signed reference to the signer's certificate (RFC 5035, RFC 5816) must be there and be right."""
    name = "sha256"
    if second := attributes.get(_CERTIFICATE_V2):
        first_part, *rest = _first_reference(second)
        if first_part.tag == der.SEQUENCE:
            name = named_digest(first_part.content)
            first_part = rest[0] if rest else first_part
    elif first := attributes.get(_CERTIFICATE_V1):
        name, first_part = "sha1", _first_reference(first)[0]
    else:
        _refuse("attributes", "The time-stamp's signature doesn't name its certificate.")
    if signer.fingerprints[name] != content_of(first_part, der.OCTET_STRING):
        _refuse("certificate", "The time-stamp's signature names another certificate.")


def _first_reference(value: bytes) -> list[Element]:
    references, *_ = inside(only(value), der.SEQUENCE)
    first, *_ = inside(references, der.SEQUENCE)
    return inside(first, der.SEQUENCE)


def _is_for_time_stamps(certificate: x509.Certificate) -> bool:
    """Extended key usage: critical, and time-stamping alone (RFC 3161, 2.3)."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound:
        return False
    return usage.critical and list(usage.value) == [ExtendedKeyUsageOID.TIME_STAMPING]
