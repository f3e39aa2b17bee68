"""The CMS of a seal (PAdES baseline, ETSI EN 319 142-1; CAdES, EN 319 122-1): made once per certificate, then filled.

Only the message digest, the signature and the time-stamp token differ between two seals with one certificate. All else
is encoded when the key is taken into use; a seal joins the pieces. Building the whole structure as objects costs more
than the signature itself.
"""

from dataclasses import dataclass

from asn1crypto import algos, cms, core, tsp, x509
from cryptography import x509 as pyca_x509
from cryptography.hazmat.primitives.serialization import Encoding

from signing.algorithms import Mechanism, digest
from signing.der import CONTEXT, OCTET_STRING, SEQUENCE, SET, integer, set_of, tlv

_SIGNED_DATA = core.ObjectIdentifier("1.2.840.113549.1.7.2").dump()
_MESSAGE_DIGEST = core.ObjectIdentifier("1.2.840.113549.1.9.4").dump()
_SIGNATURE_TIME_STAMP = core.ObjectIdentifier("1.2.840.113549.1.9.16.2.14").dump()
_LARGEST_ECDSA = 8
"""Bytes that DER puts around two numbers of a curve: three headers of two bytes, and a zero before each number."""


@dataclass(frozen=True, slots=True)
class SignedAttributes:
    """The attributes a signature is made over, and the digest of them that the key signs."""

    encoded: bytes
    digest: bytes


class SealTemplate:
    """The constant pieces of every CMS made with one certificate."""

    def __init__(
        self, certificate: pyca_x509.Certificate, chain: tuple[pyca_x509.Certificate, ...], mechanism: Mechanism
    ) -> None:
        self._digest_name = mechanism.digest
        own = certificate.public_bytes(Encoding.DER)
        parsed = x509.Certificate.load(own)
        digest_algorithm = algos.DigestAlgorithm({"algorithm": mechanism.digest}).dump()
        signature_algorithm = algos.SignedDigestAlgorithm.load(mechanism.encoded)
        # Roots stay out: who believes one has it already.
        others = [c.public_bytes(Encoding.DER) for c in chain if c.issuer != c.subject]
        self._before = integer(1) + tlv(SET, digest_algorithm) + tlv(SEQUENCE, core.ObjectIdentifier(_DATA).dump())
        self._certificates = tlv(CONTEXT, *sorted({own, *others}))
        self._signer_before = (
            integer(1)
            + cms.IssuerAndSerialNumber({"issuer": parsed.issuer, "serial_number": parsed.serial_number}).dump()
        )
        self._signer_before += digest_algorithm
        self._signature_algorithm = mechanism.encoded
        self._attributes = _constant_attributes(own, mechanism, signature_algorithm)
        number = (getattr(certificate.public_key(), "key_size", 0) + 7) // 8
        self._signature_size = 2 * number + _LARGEST_ECDSA if mechanism.elliptic else number

    def attributes(self, message_digest: bytes) -> SignedAttributes:
        """The signed attributes for a document whose byte range hashes to ``message_digest``."""
        own = tlv(SEQUENCE, _MESSAGE_DIGEST, tlv(SET, tlv(OCTET_STRING, message_digest)))
        encoded = set_of([own, *self._attributes])
        return SignedAttributes(encoded, digest(self._digest_name, encoded))

    def fill(self, attributes: SignedAttributes, signature: bytes, token: bytes | None) -> bytes:
        """The finished CMS (DER ContentInfo); ``token`` goes in as signature time-stamp (level B-T)."""
        unsigned = b""
        if token is not None:
            unsigned = tlv(CONTEXT + 1, tlv(SEQUENCE, _SIGNATURE_TIME_STAMP, tlv(SET, token)))
        signer = tlv(
            SEQUENCE,
            self._signer_before,
            bytes((CONTEXT,)) + attributes.encoded[1:],
            self._signature_algorithm,
            tlv(OCTET_STRING, signature),
            unsigned,
        )
        signed = tlv(SEQUENCE, self._before, self._certificates, tlv(SET, signer))
        return tlv(SEQUENCE, _SIGNED_DATA, tlv(CONTEXT, signed))

    def largest(self, token_size: int) -> int:
        """Upper bound of the CMS's size in bytes when the token has at most ``token_size`` (0: none)."""
        token = bytes(token_size) if token_size else None
        return len(self.fill(self.attributes(digest(self._digest_name)), bytes(self._signature_size), token))


_DATA = "1.2.840.113549.1.7.1"


def _constant_attributes(
    certificate: bytes, mechanism: Mechanism, signature_algorithm: algos.SignedDigestAlgorithm
) -> tuple[bytes, ...]:
    """Content type, reference to the certificate (RFC 5035) and algorithm protection (RFC 6211).

    No signing time: PAdES puts the claimed time in the signature dictionary (EN 319 142-1, 6.3).
    """
    reference = tsp.ESSCertIDv2({"cert_hash": digest(mechanism.digest, certificate)})
    if mechanism.digest != "sha256":  # DER leaves the default out (RFC 5035, 4)
        reference["hash_algorithm"] = {"algorithm": mechanism.digest}
    protection = cms.CMSAlgorithmProtection(
        {
            "digest_algorithm": algos.DigestAlgorithm({"algorithm": mechanism.digest}),
            "signature_algorithm": signature_algorithm,
        }
    )
    values = {
        "content_type": cms.ContentType("data"),
        "signing_certificate_v2": tsp.SigningCertificateV2({"certs": [reference]}),
        "cms_algorithm_protection": protection,
    }
    return tuple(
        cms.CMSAttribute({"type": cms.CMSAttributeType(name), "values": (value,)}).dump()
        for name, value in values.items()
    )
