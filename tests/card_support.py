"""A software identity card, as the browser's extension shows one: fictional people, keys of the kinds cards have."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID, ObjectIdentifier

from service.embedded.pki import STATUS_URL

AN = "85073003328"
STATEMENTS = ObjectIdentifier("1.3.6.1.5.5.7.1.3")
QUALIFIED = ("0.4.0.1862.1.1", "0.4.0.1862.1.4")
_ASKED = x509.AuthorityInformationAccess(
    [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(f"{STATUS_URL}/ocsp"))]
)
_HASHES = {"SHA-256": hashes.SHA256(), "SHA-384": hashes.SHA384(), "SHA-512": hashes.SHA512()}


class _Statement(core.Sequence):  # type: ignore[misc]
    _fields = [("id", core.ObjectIdentifier), ("info", core.Any, {"optional": True})]  # noqa: RUF012


class _Types(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.ObjectIdentifier


class _Statements(core.SequenceOf):  # type: ignore[misc]
    _child_spec = _Statement


@dataclass(frozen=True)
class Card:
    """A card in its reader, with the extension before it."""

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    certificate: x509.Certificate
    scheme: str = "PKCS1.5"
    """How it pads if it is one of RSA."""

    def _padding(self, algorithm: hashes.HashAlgorithm) -> padding.PKCS1v15 | padding.PSS:
        if self.scheme == "PKCS1.5":
            return padding.PKCS1v15()
        return padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    def signing_certificate(self) -> dict[str, Any]:
        """What ``web-eid:get-signing-certificate-success`` carries."""
        elliptic = isinstance(self.key, ec.EllipticCurvePrivateKey)
        return {
            "certificate": base64.b64encode(self.der).decode(),
            "supportedSignatureAlgorithms": [
                {
                    "cryptoAlgorithm": "ECC" if elliptic else "RSA",
                    "hashFunction": name,
                    "paddingScheme": "NONE" if elliptic else self.scheme,
                }
                for name in ("SHA-224", *_HASHES, "SHA3-256")
            ],
        }

    def sign(self, hash_base64: str, hash_function: str) -> dict[str, Any]:
        """What ``web-eid:sign-success`` carries."""
        digest, algorithm = base64.b64decode(hash_base64), _HASHES[hash_function]
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            half = (self.key.curve.key_size + 7) // 8
            r, s = decode_dss_signature(self.key.sign(digest, ec.ECDSA(Prehashed(algorithm))))
            raw, kind, scheme = r.to_bytes(half, "big") + s.to_bytes(half, "big"), "ECC", "NONE"
        else:
            raw, kind, scheme = (
                self.key.sign(digest, self._padding(algorithm), Prehashed(algorithm)),
                "RSA",
                self.scheme,
            )
        return {
            "signature": base64.b64encode(raw).decode(),
            "signatureAlgorithm": {"cryptoAlgorithm": kind, "hashFunction": hash_function, "paddingScheme": scheme},
        }


@cache
def _key(kind: str) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    if kind.startswith("rsa-"):
        return rsa.generate_private_key(65537, int(kind[4:]))
    curves: dict[str, ec.EllipticCurve] = {"p-192": ec.SECP192R1(), "p-256": ec.SECP256R1(), "p-384": ec.SECP384R1()}
    return ec.generate_private_key(curves[kind])


def issue(
    pki: Path,
    number: str | None = AN,
    *,
    kind: str = "p-384",
    fresh: bool = False,
    starts: timedelta = timedelta(hours=-1),
    ends: timedelta = timedelta(days=3650),
    signs: bool | None = True,
    authority: bool = False,
    statements: tuple[str, ...] = QUALIFIED,
    type_of_certificate: str | None = None,
) -> Card:
    """A card by the test PKI in ``pki``, with a certificate for signing like a Belgian card's.

    Args:
        pki: folder of the infrastructure.
        number: national number in the certificate; None leaves it out.
        kind: of key.
        fresh: a key that no other card has.
        starts: beginning of the validity, from now.
        ends: its end, from now.
        signs: whether key usage names non-repudiation; None leaves key usage out.
        authority: say that it is one.
        statements: the qualified statements in it.
        type_of_certificate: what the statement on its type says, if it has one.
    """
    key = _key.__wrapped__(kind) if fresh else _key(kind)
    issuer = x509.load_pem_x509_certificate((pki / "issuing.cert.pem").read_bytes())
    issuer_key = load_pem_private_key((pki / "issuing.key.pem").read_bytes(), None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    names = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "BE"),
        x509.NameAttribute(NameOID.COMMON_NAME, "An Peeters (Signature)"),
        x509.NameAttribute(NameOID.SURNAME, "Peeters"),
        x509.NameAttribute(NameOID.GIVEN_NAME, "An"),
    ]
    if number is not None:
        names.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, number))
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_ASKED, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if signs is not None:
        usage = dict.fromkeys(
            ("digital_signature", "key_cert_sign", "crl_sign", "key_encipherment", "data_encipherment",
             "key_agreement", "encipher_only", "decipher_only"), False,
        )  # fmt: skip
        usage["digital_signature"] = not signs
        builder = builder.add_extension(x509.KeyUsage(content_commitment=signs, **usage), critical=True)
    if statements:
        said: list[dict[str, Any]] = [{"id": each} for each in statements]
        if type_of_certificate is not None:
            said.append({"id": "0.4.0.1862.1.6", "info": _Types([type_of_certificate])})
        value = _Statements(said).dump()
        builder = builder.add_extension(x509.UnrecognizedExtension(STATEMENTS, value), critical=False)
    return Card(key, builder.sign(issuer_key, hashes.SHA256()))
