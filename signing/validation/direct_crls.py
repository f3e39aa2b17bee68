"""CRLs by an anchor that another authority certified, as trusted lists name them.

pyHanko finds the issuer of a CRL only among anchors that certified themselves, and would take such a list, and what it
says is revoked, for not there. So the plain case is read here: a whole list, by the very issuer of the certificate.
"""

from datetime import UTC, datetime
from typing import Final

from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from signing.report import Revocation

_UNDERSTOOD: Final = (x509.CRLNumber, x509.AuthorityKeyIdentifier, x509.FreshestCRL)


def direct_answer(
    certificate: asn1_x509.Certificate,
    issuer: asn1_x509.Certificate,
    crls: tuple[asn1_crl.CertificateList, ...],
    moment: datetime,
) -> Revocation:
    """What the issuer's own lists say of a certificate as of ``moment``; lists written later count too."""
    answers = {_answer(certificate, issuer, crl, moment) for crl in crls}
    if Revocation.REVOKED in answers:
        return Revocation.REVOKED
    return Revocation.GOOD if Revocation.GOOD in answers else Revocation.UNKNOWN


def _answer(
    certificate: asn1_x509.Certificate, issuer: asn1_x509.Certificate, crl: asn1_crl.CertificateList, moment: datetime
) -> Revocation:
    try:
        read = x509.load_der_x509_crl(crl.dump())
        authority = x509.load_der_x509_certificate(issuer.dump())
        if not _is_whole_list_of(read, authority):
            return Revocation.UNKNOWN
        entry = read.get_revoked_certificate_by_serial_number(certificate.serial_number)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension):
        return Revocation.UNKNOWN
    if entry is not None and entry.revocation_date_utc < moment.astimezone(UTC):
        return Revocation.REVOKED
    due = read.next_update_utc
    return Revocation.GOOD if due is not None and moment.astimezone(UTC) <= due else Revocation.UNKNOWN


def _is_whole_list_of(read: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    """Whether the list is signed by ``authority`` and says nothing that limits what it is about."""
    if read.issuer != authority.subject or not read.is_signature_valid(authority.public_key()):  # type: ignore[arg-type]
        return False
    return all(isinstance(extension.value, _UNDERSTOOD) for extension in read.extensions)
