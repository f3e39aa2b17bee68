"""What trusted lists make of a signature (Regulation (EU) 910/2014, 3 and 32; ETSI TS 119 615).

"Qualified" is said only where a list says so: of the certificate when it was issued and when it signed, of its kind,
and of the device that holds the key.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Final

from asn1crypto import x509 as asn1_x509
from pyhanko.sign.validation.qualified.assess import QualificationAssessor
from pyhanko.sign.validation.qualified.q_status import QualifiedStatus
from pyhanko.sign.validation.qualified.tsp import QTST_URI, QcCertType
from pyhanko_certvalidator.authority import AuthorityWithCert
from pyhanko_certvalidator.path import ValidationPath

from signing.report import Qualification, SignatureReport, Verdict
from signing.trusted_lists import TrustedLists
from signing.validation.times import Stamp

_QUALIFIED: Final = {
    QcCertType.QC_ESIGN: Qualification.QUALIFIED_SIGNATURE,
    QcCertType.QC_ESEAL: Qualification.QUALIFIED_SEAL,
}


def qualify_signature(
    entry: SignatureReport, path: ValidationPath | None, moment: datetime, lists: TrustedLists | None
) -> SignatureReport:
    """Add to the entry of a signature what the lists make of it; ``moment`` is when it was made, as far as known."""
    if (refused := _without(entry, lists)) is not None:
        return refused
    assert lists is not None
    assert path is not None
    status, reason = _certificate(path, moment, lists)
    if status is None:
        return _said(entry, Qualification.NOT_QUALIFIED, reason)
    if status.qc_type not in _QUALIFIED:
        return _said(entry, Qualification.NOT_QUALIFIED, "certificate_for_something_else")
    if not status.qc_key_security.is_qscd:
        return _said(entry, Qualification.QUALIFIED_CERTIFICATE, "no_qualified_device")
    return _said(entry, _QUALIFIED[status.qc_type], None)


def qualify_stamp(entry: SignatureReport, stamp: Stamp, lists: TrustedLists | None) -> SignatureReport:
    """Add to the entry of a document time-stamp what the lists make of it."""
    if (refused := _without(entry, lists)) is not None:
        return refused
    assert lists is not None
    assert stamp.chain is not None
    assert stamp.moment is not None
    # Lists name authorities of time by their own certificate as often as by their issuer's.
    authorities = [*stamp.chain.path.iter_authorities(), AuthorityWithCert(stamp.chain.path.last)]
    for one in lists.lists:
        services = chain.from_iterable(
            one.registry.applicable_service_definitions(authority, stamp.moment) for authority in authorities
        )
        if any(service.base_info.service_type == QTST_URI for service in services):
            return _said(entry, Qualification.QUALIFIED_TIMESTAMP, None)
    return _said(entry, Qualification.NOT_QUALIFIED, _why_unlisted(stamp.chain.path, stamp.moment, lists))


def _without(entry: SignatureReport, lists: TrustedLists | None) -> SignatureReport | None:
    """What can be said without looking into a list, or None."""
    if lists is None:
        return _said(entry, Qualification.UNKNOWN, "no_lists")
    if entry.verdict is not Verdict.VALID:
        return _said(entry, Qualification.UNKNOWN, "not_valid")
    if not lists.lists:
        return _said(entry, Qualification.UNKNOWN, "lists_expired")
    return None


def _said(entry: SignatureReport, qualification: Qualification, reason: str | None) -> SignatureReport:
    return replace(entry, qualification=qualification, qualification_reason=reason)


def _certificate(
    path: ValidationPath, moment: datetime, lists: TrustedLists
) -> tuple[QualifiedStatus | None, str | None]:
    """What the certificate was when it signed, if it was the same when it was issued; else why it is nothing."""
    issued = path.last.not_valid_before
    for one in lists.lists:
        assessor = QualificationAssessor(one.registry)
        try:
            then, first = (assessor.check_entity_cert_qualified(path, at) for at in (moment, issued))
        # NotImplementedError is how pyHanko says that a list or a certificate uses a form that it does not know.
        except (NotImplementedError, ValueError, TypeError, KeyError):
            return None, "certificate_unreadable"
        if then.service_definition is None:
            continue
        if not then.status.qualified:
            return None, "certificate_not_qualified"
        if (
            first.service_definition is None
            or not first.status.qualified
            or first.status.qc_type != then.status.qc_type
        ):
            return None, "not_granted_at_issue"
        return then.status, None
    return None, _why_unlisted(path, moment, lists)


def _why_unlisted(path: ValidationPath, moment: datetime, lists: TrustedLists) -> str:
    known: list[asn1_x509.Certificate] = [
        authority.certificate for authority in path.iter_authorities() if isinstance(authority, AuthorityWithCert)
    ]
    statuses = [granted for certificate in (*known, path.last) for granted in lists.statuses(certificate, moment)]
    if statuses:
        return "service_not_granted" if not any(statuses) else "service_for_something_else"
    return "list_expired" if lists.expired else "not_listed"
