"""Which certificates are believed: paths to given roots, without asking anyone over the network."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError


def load_certificates(file: Path) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM file.

    Raises:
        OSError: the file can't be read.
        ValueError: it holds no certificate.
    """
    return tuple(x509.load_pem_x509_certificates(file.read_bytes()))


def read_certificate(der: bytes) -> x509.Certificate:
    """A certificate that came from anywhere, read to the end: key and extensions too, which are read late else.

    Raises:
        ValueError: it is none, or broken inside.
    """
    try:
        if asn1_x509.Certificate.load(der, strict=True).serial_number <= 0:
            # The library would only warn, of what RFC 5280 (4.1.2.2) forbids.
            raise ValueError("a serial number that can't be one")
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.subject, certificate.extensions, certificate.not_valid_after_utc
        certificate.public_key()
    except (
        TypeError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise ValueError("not a certificate") from error
    return certificate


def valid_at(certificate: x509.Certificate, moment: datetime) -> bool:
    """Whether ``moment`` (aware) lies in the certificate's validity."""
    return certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc


def path_to_root(
    certificate: x509.Certificate, others: Iterable[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime
) -> tuple[x509.Certificate, ...] | None:
    """A path from ``certificate`` over ``others`` to one of ``roots``, valid at ``at`` (aware), or None.

    Built by the rules of RFC 5280 (names, signatures, validity, basic constraints, path length, name constraints);
    what the certificate may be used for is the caller's question. Revocation is not looked at.
    """
    if not roots:
        return None
    verifier = (
        PolicyBuilder()
        .store(Store(list(roots)))
        .time(at.astimezone(UTC).replace(tzinfo=None))
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=ExtensionPolicy.permit_all())
        .build_client_verifier()
    )
    try:
        return tuple(verifier.verify(certificate, [other for other in others if other != certificate]).chain)
    except VerificationError:
        return None
