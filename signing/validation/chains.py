"""Follows certificates to what is believed, and looks for revocations in what the file brings."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.errors import (
    CRLValidationError,
    OCSPValidationError,
    PathBuildingError,
    PathValidationError,
    RevokedError,
)
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import CertRevTrustPolicy, RevocationCheckingPolicy, RevocationCheckingRule
from pyhanko_certvalidator.revinfo.validate_crl import verify_crl
from pyhanko_certvalidator.revinfo.validate_ocsp import verify_ocsp_response
from pyhanko_certvalidator.validate import async_validate_path

from signing.report import Revocation
from signing.validation.direct_crls import direct_answer
from signing.validation.evidence import Evidence
from signing.validation.loop import run

_LOOK: Final = RevocationCheckingRule.CRL_OR_OCSP_REQUIRED
_LEAVE: Final = RevocationCheckingRule.NO_CHECK
_MOST_PATHS: Final = 16
_MOST_ANSWERS: Final = 64
"""More answers than this are looked at together only: honest files bring two or three for each signature."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A way from a certificate to an anchor."""

    path: ValidationPath
    revocation: Revocation

    def holds_at(self, moment: datetime) -> bool:
        """Whether every certificate above the first is inside its validity at ``moment``."""
        above = list(self.path)[:-1]
        return all(certificate.not_valid_before <= moment <= certificate.not_valid_after for certificate in above)


def as_asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    """The same certificate for pyHanko."""
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


def unhurried_context(anchors: Sequence[asn1_x509.Certificate], moment: datetime, evidence: Evidence) -> Any:
    """A context that builds and checks paths as of ``moment``, and leaves revocation to `revocation_on`."""
    return _context(anchors, moment, evidence, _LEAVE)


def chain_of(
    certificate: asn1_x509.Certificate,
    anchors: Sequence[asn1_x509.Certificate],
    moment: datetime,
    evidence: Evidence,
) -> Chain | None:
    """A chain that holds at ``moment``, or None; what the certificate is for is the caller's question."""
    context = unhurried_context(anchors, moment, evidence)
    try:
        path = run(_first_path(context, certificate))
    except (PathBuildingError, PathValidationError):
        return None
    return Chain(path, revocation_on(path, anchors, moment, evidence))


async def _first_path(context: Any, certificate: asn1_x509.Certificate) -> ValidationPath:
    paths = context.path_builder.async_build_paths_lazy(certificate)
    tried = 0
    try:
        path: ValidationPath
        async for path in paths:
            try:
                await async_validate_path(context, path)
            except PathValidationError:
                tried += 1
                if tried == _MOST_PATHS:
                    break
            else:
                return path
    finally:
        await paths.cancel()
    raise PathBuildingError("no path that holds")


def revocation_on(
    path: ValidationPath, anchors: Sequence[asn1_x509.Certificate], moment: datetime, evidence: Evidence
) -> Revocation:
    """What the evidence says of every certificate below the anchor, as of ``moment``.

    Answers given later than ``moment`` count too: they say when something was revoked. One answer that says "revoked"
    outweighs all others.
    """
    whole = list(path)
    outcomes = []
    for length in range(1, len(whole)):
        part = ValidationPath(path.trust_anchor, whole[1:length], whole[length])
        outcomes.append(_outcome(part, anchors, moment, evidence))
    if Revocation.REVOKED in outcomes:
        return Revocation.REVOKED
    return Revocation.UNKNOWN if Revocation.UNKNOWN in outcomes else Revocation.GOOD


def _outcome(
    part: ValidationPath, anchors: Sequence[asn1_x509.Certificate], moment: datetime, evidence: Evidence
) -> Revocation:
    answers = [
        _ask(part, anchors, moment, replace(evidence, crls=())),
        _ask(part, anchors, moment, replace(evidence, ocsps=())),
    ]
    above = list(part)[-2]
    if above == part.first and above.self_signed == "no":
        answers.append(direct_answer(part.last, above, evidence.crls, moment))
    if Revocation.REVOKED not in answers and 1 < evidence.answers <= _MOST_ANSWERS:
        # pyHanko stops at the first answer that says "good"; another one may know better.
        alone = (_ask(part, anchors, moment, one) for one in _one_by_one(evidence))
        answers += [answer for answer in alone if answer is Revocation.REVOKED]
    if Revocation.REVOKED in answers:
        return Revocation.REVOKED
    return Revocation.GOOD if Revocation.GOOD in answers else Revocation.UNKNOWN


def _one_by_one(evidence: Evidence) -> Iterator[Evidence]:
    for ocsp in evidence.ocsps:
        yield replace(evidence, ocsps=(ocsp,), crls=())
    for crl in evidence.crls:
        yield replace(evidence, ocsps=(), crls=(crl,))


def _ask(
    part: ValidationPath, anchors: Sequence[asn1_x509.Certificate], moment: datetime, evidence: Evidence
) -> Revocation:
    """Ask the answers of one kind about the last certificate of ``part``.

    They are asked directly: as a part of validating a path, pyHanko leaves out OCSP answers for certificates that name
    no responder. A responder must itself be exempt from the question; an authority's own is asked for it by itself.
    """
    if not evidence.answers:
        return Revocation.UNKNOWN
    certificate = part.last
    try:
        if evidence.ocsps:
            run(verify_ocsp_response(certificate, part, _context(anchors, moment, evidence, _LOOK)))
        else:
            run(verify_crl(certificate, part, _context(anchors, moment, evidence, _LEAVE)))
    except RevokedError:
        return Revocation.REVOKED
    except (OCSPValidationError, CRLValidationError, PathValidationError):
        return Revocation.UNKNOWN
    return Revocation.GOOD


def _context(
    anchors: Sequence[asn1_x509.Certificate], moment: datetime, evidence: Evidence, rule: RevocationCheckingRule
) -> ValidationContext:
    policy = RevocationCheckingPolicy(ee_certificate_rule=rule, intermediate_ca_cert_rule=_LEAVE)
    return ValidationContext(
        trust_roots=list(anchors),
        other_certs=evidence.certificates,
        ocsps=evidence.ocsps,
        crls=evidence.crls,
        moment=moment.astimezone(UTC),
        allow_fetching=False,
        revinfo_policy=CertRevTrustPolicy(policy, retroactive_revinfo=True),
    )
