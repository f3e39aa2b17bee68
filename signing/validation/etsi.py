"""The report as XML (ETSI TS 119 102-2), for archives and for programs that know the standard.

Its indications are of EN 319 102-1; what that has no word for stands in the nearest one, and our own code beside it.
"""

from datetime import UTC, datetime
from typing import Final

from pyhanko.generated.etsi import ts_11910202 as ts
from pyhanko.generated.etsi import xades
from pyhanko.generated.w3c import xmldsig_core as dsig
from xsdata.formats.dataclass.serializers import XmlSerializer
from xsdata.formats.dataclass.serializers.config import SerializerConfig
from xsdata.models.datatype import XmlDateTime

from signing.report import Kind, Qualification, Report, SignatureReport, Verdict

_NAMESPACES: Final = {
    "vr": "http://uri.etsi.org/19102/v1.2.1#",
    "XAdES": "http://uri.etsi.org/01903/v1.3.2#",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
}
_DIGESTS: Final = {
    "sha256": "http://www.w3.org/2001/04/xmlenc#sha256",
    "sha384": "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "sha512": "http://www.w3.org/2001/04/xmlenc#sha512",
}
_MAIN: Final = {
    Verdict.VALID: "total-passed",
    Verdict.INVALID: "total-failed",
    Verdict.MODIFIED: "indeterminate",
    Verdict.INDETERMINATE: "indeterminate",
}
_SUB: Final = {
    "not_intact": "HASH_FAILURE",
    "coverage_unclear": "FORMAT_FAILURE",
    "signature_unreadable": "GENERIC",
    "changed_afterwards": "SIG_CONSTRAINTS_FAILURE",
    "signed_by_unknown_afterwards": "SIG_CONSTRAINTS_FAILURE",
    "revoked": "REVOKED",
    "revoked_no_proof": "REVOKED_NO_POE",
    "revocation_unknown": "TRY_LATER",
    "timestamp_expired": "OUT_OF_BOUNDS_NO_POE",
    "timestamp_order": "TIMESTAMP_ORDER_FAILURE",
    "timestamp_certificate_path": "NO_CERTIFICATE_CHAIN_FOUND",
    "timestamp_revoked": "REVOKED_NO_POE",
    "timestamp_revocation_unknown": "TRY_LATER",
    "untrusted": "NO_CERTIFICATE_CHAIN_FOUND",
}
"""Sub-indications by code; what isn't here is an indication already, or generic."""


def as_xml(report: Report) -> str:
    """The report of every signature and document time-stamp.

    Raises:
        ValueError: there is no signature to report on; the standard has no report without one.
    """
    if not report.signatures or report.at is None:
        raise ValueError("a report on no signature")
    document = ts.ValidationReport(
        signature_validation_report=tuple(_one(entry, report.at) for entry in report.signatures),
        signature_validation_objects=ts.ValidationObjectListType(_certificates(report)),
    )
    config = SerializerConfig(indent="  ")
    return XmlSerializer(config=config).render(document, ns_map=dict(_NAMESPACES))


def _one(entry: SignatureReport, at: datetime) -> ts.SignatureValidationReportType:
    certified = entry.certificate_sha256 is not None
    return ts.SignatureValidationReportType(
        signature_identifier=ts.SignatureIdentifierType(
            digest_alg_and_value=_digest("sha256", entry.attributes_sha256),
            hash_only=False,
            doc_hash_only=False,
            daidentifier=entry.field,
        ),
        validation_time_info=ts.ValidationTimeInfoType(
            validation_time=_moment(at),
            best_signature_time=ts.POEType(
                poetime=_moment(entry.time or at), type_of_proof="urn:etsi:019102:poetype:validation"
            ),
        ),
        signers_document=_document(entry),
        signer_information=ts.SignerInformationType(
            signer_certificate=ts.VOReferenceType(voreference=(_name(entry),)), signer=entry.signer
        )
        if certified
        else None,
        signature_quality=_quality(entry),
        signature_validation_process=ts.SignatureValidationProcessType(
            signature_validation_process_id="urn:etsi:019102:validationprocess:LTA"
        ),
        signature_validation_status=ts.ValidationStatusType(
            main_indication=f"urn:etsi:019102:mainindication:{_MAIN[entry.verdict]}",
            sub_indication=_sub_indications(entry),
        ),
    )


def _sub_indications(entry: SignatureReport) -> tuple[str, ...]:
    if entry.code is None:
        return ()
    standard = _SUB.get(entry.code)
    if standard is None:
        prefix, _, rest = entry.code.partition("_")
        standard = rest.upper() if prefix == "untrusted" and rest else "GENERIC"
    return f"urn:etsi:019102:subindication:{standard}", f"urn:zending:validation:{entry.code}"


def _document(entry: SignatureReport) -> ts.SignersDocumentType | None:
    digest = _digest(entry.digest_algorithm or "", entry.digest)
    return ts.SignersDocumentType(digest_alg_and_value=digest) if digest is not None else None


def _quality(entry: SignatureReport) -> ts.SignatureQualityType | None:
    if entry.qualification is Qualification.UNKNOWN:
        return None
    return ts.SignatureQualityType((f"urn:zending:qualification:{entry.qualification.value}",))


def _certificates(report: Report) -> tuple[ts.ValidationObjectType, ...]:
    named = {entry.certificate_sha256: entry for entry in report.signatures if entry.certificate_sha256 is not None}
    return tuple(
        ts.ValidationObjectType(
            id=_name(entry),
            object_type="urn:etsi:019102:validationObject:certificate",
            validation_object_representation=ts.ValidationObjectRepresentationType(
                digest_alg_and_value=_digest("sha256", fingerprint)
            ),
        )
        for fingerprint, entry in named.items()
    )


def _name(entry: SignatureReport) -> str:
    kind = "tsa" if entry.kind is Kind.TIMESTAMP else "signer"
    return f"vo-{kind}-{entry.certificate_sha256}"


def _digest(algorithm: str, value: str | None) -> xades.DigestAlgAndValueType | None:
    if value is None or algorithm not in _DIGESTS:
        return None
    return xades.DigestAlgAndValueType(
        digest_method=dsig.DigestMethod(_DIGESTS[algorithm]), digest_value=dsig.DigestValue(bytes.fromhex(value))
    )


def _moment(moment: datetime) -> XmlDateTime:
    return XmlDateTime.from_datetime(moment.astimezone(UTC).replace(microsecond=0))
