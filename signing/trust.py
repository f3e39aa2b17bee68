"""Which certificates are believed: paths to given roots, without asking anyone over the network."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, Store, VerificationError


def load_certificates(file: Path) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM file.

    Raises:
        OSError: the file can't be read.
        ValueError: it holds no certificate.
    """
    return tuple(x509.load_pem_x509_certificates(file.read_bytes()))


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
