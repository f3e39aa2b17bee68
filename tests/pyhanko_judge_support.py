"""pyHanko's own validation by the letter of ETSI EN 319 102-1, with revocation required and nobody asked."""

import asyncio
import io
from collections.abc import Sequence
from datetime import datetime, timedelta

from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation import async_validate_pdf_signature, async_validate_pdf_timestamp
from pyhanko.sign.validation.ades import ades_lta_validation
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer

from tests.signing_support import pki, roots

_USES = KeyUsageConstraints(key_usage={"non_repudiation", "digital_signature"}, match_all_key_usages=False)


def verdict(
    pdf: bytes,
    *,
    at: datetime,
    trusted: Sequence[x509.Certificate] | None = None,
    known: Sequence[bytes] = (),
    lists: Sequence[bytes] = (),
    number: int = 0,
) -> str:
    """The indication for one signature: ``PASSED``, or why not.

    Args:
        pdf: the document.
        at: moment of judgement (aware).
        trusted: roots; the test PKI's when left out.
        known: OCSP responses that the judge has besides what the document carries.
        lists: likewise, lists of revoked certificates.
        number: which signature, the oldest is 0.
    """
    anchors = [asn1_x509.Certificate.load(root.public_bytes(Encoding.DER)) for root in trusted or roots()]
    responses = [part for der in known for part in OCSPContainer.load_multi(asn1_ocsp.OCSPResponse.load(der))]
    spec = SignatureValidationSpec(
        cert_validation_policy=CertValidationPolicySpec(
            trust_manager=SimpleTrustManager.build(trust_roots=anchors),
            revinfo_policy=CertRevTrustPolicy(REQUIRE_REVINFO),
            time_tolerance=timedelta(minutes=5),
        ),
        revinfo_gathering_policy=RevocationInfoGatheringSpec(RevinfoOnlineFetchingRule.LOCAL_ONLY),
        local_knowledge=LocalKnowledge(
            known_ocsps=responses,
            known_crls=[CRLContainer(asn1_crl.CertificateList.load(der)) for der in lists],
        ),
        key_usage_settings=_USES,
    )
    reader = PdfFileReader(io.BytesIO(pdf))
    result = asyncio.run(
        ades_lta_validation(
            reader.embedded_regular_signatures[number],
            PdfSignatureValidationSpec(spec),
            timing_info=ValidationTimingInfo(validation_time=at, best_signature_time=at, point_in_time_validation=True),
        )
    )
    passed = isinstance(result.ades_subindic, AdESPassed)
    return "PASSED" if passed else f"{result.ades_subindic}: {result.failure_msg}"


def kept_is_enough(pdf: bytes, *, at: datetime, ours: bool = False) -> bool:
    """Whether every signature is good with what the document carries alone, revocation required, nobody asked.

    Args:
        pdf: the document.
        at: moment of judgement (aware).
        ours: of the signatures only the last one, which is our seal; time-stamps all the same.
    """
    # Of others' files one is not by the letter, in what no signature is about.
    reader = PdfFileReader(io.BytesIO(pdf), strict=not ours)
    anchors = [asn1_x509.Certificate.load(root.public_bytes(Encoding.DER)) for root in roots()]
    store = DocumentSecurityStore.read_dss(reader)
    kept = {"trust_roots": anchors, "moment": at, "allow_fetching": False, "revocation_mode": "require"}

    async def judge() -> bool:
        found = [
            await async_validate_pdf_signature(
                signature,
                store.as_validation_context(kept),
                store.as_validation_context(kept),
                key_usage_settings=_USES,
            )
            for signature in reader.embedded_regular_signatures[-1 if ours else 0 :]
        ]
        found += [
            await async_validate_pdf_timestamp(stamp, store.as_validation_context(kept))
            for stamp in reader.embedded_timestamp_signatures
        ]
        return bool(found) and all(status.intact and status.valid and status.trusted for status in found)

    return asyncio.run(judge())


def token_maker_certificates() -> tuple[x509.Certificate, x509.Certificate]:
    """The certificate of the test PKI's time-stamp authority, and its issuer's."""
    files = pki().tsa.certificate, pki().tsa.chain
    authority, issuing = (x509.load_pem_x509_certificate(file.read_bytes()) for file in files)
    return authority, issuing


def ocsp_request(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """The question whether a certificate was revoked."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())
    return builder.build().public_bytes(Encoding.DER)
