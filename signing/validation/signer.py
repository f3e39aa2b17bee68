"""Judges one signature: its bytes, its signer, its time, and what is known of revocations."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from asn1crypto import x509 as asn1_x509
from pyhanko.sign.validation import EmbeddedPdfSignature, async_validate_pdf_signature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator.path import ValidationPath

from signing.report import Revocation, SignatureReport
from signing.validation.anchors import Anchors
from signing.validation.chains import Chain, revocation_on, unhurried_context
from signing.validation.evidence import Evidence
from signing.validation.levels import level_of
from signing.validation.loop import run
from signing.validation.times import DocumentStamps, Stamp, Stamps

_EITHER_USE: Final = KeyUsageConstraints(key_usage={"non_repudiation", "digital_signature"}, match_all_key_usages=False)
"""Seals are made with certificates for non-repudiation, for digital signatures, or both."""


@dataclass(frozen=True, slots=True)
class Signer:
    """What came of judging a signature: its entry so far, what else is wrong, and the way to an anchor."""

    entry: SignatureReport
    fault: str | None
    path: ValidationPath | None
    moment: datetime


@dataclass(frozen=True, slots=True)
class _Standing:
    """Revocation of a signer's chain, and whether a document time-stamp covers what shows it."""

    revocation: Revocation
    archived: bool = False


class SignerJudge:
    """Judges the signatures of one file."""

    def __init__(
        self, anchors: Anchors, stamps: Stamps, over: DocumentStamps, at: datetime, stored: Evidence, *, required: bool
    ) -> None:
        """Set up.

        Args:
            anchors: what is believed.
            stamps: judges time-stamps.
            over: the document time-stamps of the file.
            at: the moment of judgement.
            stored: what the file's newest revision brings.
            required: unknown revocation is a fault.
        """
        self._anchors = anchors
        self._stamps = stamps
        self._over = over
        self._at = at
        self._stored = stored
        self._required = required

    def judge(self, embedded: EmbeddedPdfSignature, entry: SignatureReport) -> Signer:
        """Judge one; ``entry`` knows coverage and changes already."""
        own = Evidence.in_signature(embedded)
        horizon = self._over.horizon(embedded.signed_revision)
        stamp = self._stamps.on_signature(embedded, horizon.at, self._stored)
        proven = _earliest(stamp, horizon.at if horizon.proven else None)
        moment = proven or self._at
        brought = self._stored + own
        context = unhurried_context(self._anchors.for_signers(moment), moment, brought)
        status = run(
            async_validate_pdf_signature(
                embedded,
                context,
                # Time-stamps are judged in `times`, strictly; here nothing hangs on them.
                unhurried_context(self._anchors.for_stamps(moment), moment, brought),
                skip_diff=True,
                key_usage_settings=_EITHER_USE,
            )
        )
        path = status.validation_path if status.trusted else None
        standing = self._standing(embedded, path, moment, own) if path is not None else None
        complete = standing is not None and standing.revocation is Revocation.GOOD and self._stamp_complete(stamp)
        entry = replace(
            entry,
            **_names(embedded.signer_cert),
            claimed_time=embedded.self_reported_timestamp,
            intact=bool(status.intact and status.valid),
            trusted=bool(status.trusted),
            revocation=standing.revocation if standing is not None else None,
            time=proven,
            level=level_of(
                embedded,
                stamped=proven is not None,
                complete=complete,
                archived=standing is not None and standing.archived,
            ),
        )
        fault = _trust_fault(status) or self._revocation_fault(standing, proven) or (stamp.fault if stamp else None)
        return Signer(entry, fault, path, moment)

    def _standing(
        self, embedded: EmbeddedPdfSignature, path: ValidationPath, moment: datetime, own: Evidence
    ) -> _Standing:
        """Look for revocations, and for the oldest archive time-stamp that already covers the answers.

        Answers count as long as the authorities that gave them are within their validity, or were when a time-stamp
        was put over the answers: from then on anybody who has got hold of an old key could write them.
        """
        anchors = self._anchors.for_signers(moment)
        now = revocation_on(path, anchors, moment, self._stored + own)
        if now is Revocation.REVOKED:
            return _Standing(now)
        for stamp, stamped in self._over.over(embedded.signed_revision):
            chain = Chain(path, revocation_on(path, anchors, moment, self._over.evidence_under(stamp) + own))
            if chain.revocation is Revocation.GOOD and chain.holds_at(stamped):
                return _Standing(Revocation.GOOD, archived=True)
        if now is Revocation.GOOD and not Chain(path, now).holds_at(self._at):
            return _Standing(Revocation.UNKNOWN)
        return _Standing(now)

    @staticmethod
    def _stamp_complete(stamp: Stamp | None) -> bool:
        """Whether the file shows the authority of the signature time-stamp unrevoked; none there needs none."""
        return stamp is None or (stamp.chain is not None and stamp.chain.revocation is Revocation.GOOD)

    def _revocation_fault(self, standing: _Standing | None, proven: datetime | None) -> str | None:
        if standing is None or standing.revocation is Revocation.GOOD:
            return None
        if standing.revocation is Revocation.REVOKED:
            return "revoked" if proven is not None else "revoked_no_proof"
        return "revocation_unknown" if self._required else None


def _earliest(stamp: Stamp | None, archived: datetime | None) -> datetime | None:
    moments = [moment for moment in (stamp.moment if stamp is not None else None, archived) if moment is not None]
    return min(moments) if moments else None


def _names(certificate: asn1_x509.Certificate) -> dict[str, Any]:
    return {
        "signer": _common_name(certificate.subject),
        "issuer": _common_name(certificate.issuer),
        "certificate_sha256": certificate.sha256.hex(),
    }


def _common_name(name: asn1_x509.Name) -> str | None:
    found = name.native.get("common_name")
    # A name may be there twice; asn1crypto then gives a list.
    return found if isinstance(found, str) else None


def _trust_fault(status: Any) -> str | None:
    if status.trusted:
        return None
    indication = status.trust_problem_indic
    return f"untrusted_{indication.name.lower()}" if indication is not None else "untrusted"
