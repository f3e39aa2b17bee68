"""Checking the signatures of a PDF, offline: nothing is fetched, nobody is asked.

Whatever can't be judged is ``indeterminate`` with a code, never valid and never an exception: the documents come from
anywhere. Callers run it where a hostile file can do no harm.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.validation import EmbeddedPdfSignature

from signing.algorithms import digest
from signing.changes import allows_more, policy_for
from signing.report import (
    Changes,
    Coverage,
    Kind,
    Level,
    Qualification,
    Report,
    Revocation,
    SignatureReport,
    Verdict,
)
from signing.trusted_lists import TrustedLists
from signing.validation.anchors import Anchors
from signing.validation.evidence import Evidence
from signing.validation.qualification import qualify_signature, qualify_stamp
from signing.validation.reading import Extent, end_of, open_strictly
from signing.validation.signer import SignerJudge
from signing.validation.times import DocumentStamps, Stamp, Stamps

__all__ = [
    "Changes",
    "Coverage",
    "Kind",
    "Level",
    "Qualification",
    "Report",
    "Revocation",
    "SignatureReport",
    "Verdict",
    "validate",
]

_WORST_LAST = (Verdict.VALID, Verdict.INDETERMINATE, Verdict.MODIFIED, Verdict.INVALID)


def validate(
    pdf: bytes,
    *,
    trust_roots: Sequence[x509.Certificate],
    at: datetime,
    lists: TrustedLists | None = None,
    require_revocation: bool = False,
    own_seals: Collection[str] = (),
) -> Report:
    """Judge every signature and document time-stamp of ``pdf``.

    A signature is judged as of the earliest moment that a time-stamp proves which holds itself, without one as of
    ``at``. Revocations are looked for in what the file brings.

    Args:
        pdf: the document.
        trust_roots: roots that are believed, for signers and time-stamps alike.
        at: moment of judgement (aware).
        lists: trusted lists whose services are believed too, and which alone make anything "qualified".
        require_revocation: what the file doesn't show to be unrevoked is not valid; the newest time-stamp, over which
            nothing can stand yet, excepted.
        own_seals: fingerprints (SHA-256, hexadecimal) of seals behind which nothing is accepted but validation data and
            time-stamps; others also bear invisible signatures by others.
    """
    sha256 = digest("sha256", pdf).hex()
    try:
        reader, strict = open_strictly(pdf)
        fields = list(enumerate_sig_fields(reader, filled_status=True))
    except Exception:  # noqa: BLE001 - a file can make the reader raise anything; none of it may pass for valid
        return Report(sha256, Verdict.INDETERMINATE, "pdf_unreadable", strict=False, signatures=(), at=at)
    if not fields:
        return Report(sha256, Verdict.INDETERMINATE, "no_signature", strict=strict, signatures=(), at=at)
    relied_on = lists.at(at) if lists is not None else None
    judge = _Judge(pdf, reader, Anchors(trust_roots, relied_on), at.astimezone(UTC), relied_on)
    found = judge.entries(fields, frozenset(own_seals), require_revocation=require_revocation)
    worst = max(found, key=lambda entry: _WORST_LAST.index(entry.verdict))
    return Report(sha256, worst.verdict, worst.code, strict=strict, signatures=found, at=at)


@dataclass(slots=True)
class _Found:
    """A filled signature field, and what is known of it so far."""

    entry: SignatureReport
    extent: int
    revision: int
    embedded: EmbeddedPdfSignature | None = None
    bears_others: bool = True
    others_welcome: bool = False


class _Judge:
    """Judges the signatures of one document."""

    def __init__(
        self, pdf: bytes, reader: PdfFileReader, anchors: Anchors, at: datetime, lists: TrustedLists | None
    ) -> None:
        self._pdf = pdf
        self._reader = reader
        self._anchors = anchors
        self._at = at
        self._lists = lists
        self._extent = Extent(pdf, reader)

    def entries(
        self, fields: Sequence[Any], own: frozenset[str], *, require_revocation: bool
    ) -> tuple[SignatureReport, ...]:
        """An entry for each field, oldest first."""
        found = sorted((self._read(str(name), field, own) for name, _, field in fields), key=lambda each: each.extent)
        stamps = Stamps(self._anchors, required=require_revocation)
        over = DocumentStamps(stamps, self._reader, [e for each in found if (e := _usable_stamp(each))], self._at)
        stored = Evidence.in_store(self._reader)
        signers = SignerJudge(self._anchors, stamps, over, self._at, stored, required=require_revocation)
        for each in found:
            each.entry = self._concluded(each, over, signers)
        for place, each in enumerate(found):
            each.entry = _with_company(each, found[:place] + found[place + 1 :])
        return tuple(each.entry for each in found)

    def _read(self, name: str, field: Any, own: frozenset[str]) -> _Found:
        """Open one signature, and compare what it covers with the file."""
        found = _Found(
            SignatureReport(name, Kind.SIGNATURE, Verdict.INDETERMINATE, "signature_unreadable"),
            extent=len(self._pdf),
            revision=_revision_of(self._reader, field),
        )
        try:
            embedded = EmbeddedPdfSignature(self._reader, field, name)
            found.revision = embedded.signed_revision
            found.extent = end_of(embedded)
            kind = Kind.TIMESTAMP if embedded.sig_object_type == "/DocTimeStamp" else Kind.SIGNATURE
            found.entry = replace(found.entry, kind=kind)
            sealed = embedded.signer_cert.sha256.hex() in own
            embedded.compute_integrity_info(diff_policy=policy_for(embedded.docmdp_level, own_seal=sealed))
            coverage, changes = self._extent.coverage(embedded), self._extent.changes(embedded)
            found.entry = replace(
                found.entry,
                coverage=coverage,
                changes=changes,
                digest_algorithm=embedded.external_md_algorithm,
                digest=embedded.compute_digest().hex(),
                # Signed under their universal tag SET OF (RFC 5652, 5.4).
                attributes_sha256=digest("sha256", embedded.signer_info["signed_attrs"].untag().dump()).hex(),
            )
            found.others_welcome = allows_more(embedded.docmdp_level)
            found.embedded = embedded
        except Exception:  # noqa: BLE001 - as above: what can't be judged is indeterminate
            return found
        return found

    def _concluded(self, found: _Found, over: DocumentStamps, signers: SignerJudge) -> SignatureReport:
        if found.embedded is None:
            return found.entry
        try:
            if found.entry.kind is Kind.TIMESTAMP:
                return self._conclude_stamp(found.embedded, found.entry, over.judged.get(found.embedded))
            signer = signers.judge(found.embedded, found.entry)
            entry = _conclude(signer.entry, signer.fault)
            return qualify_signature(entry, signer.path, signer.moment, self._lists)
        except Exception:  # noqa: BLE001 - as above
            return replace(found.entry, verdict=Verdict.INDETERMINATE, code="signature_unreadable")

    def _conclude_stamp(
        self, embedded: EmbeddedPdfSignature, entry: SignatureReport, stamp: Stamp | None
    ) -> SignatureReport:
        entry = replace(entry, certificate_sha256=embedded.signer_cert.sha256.hex())
        if stamp is None:  # its coverage is unclear: the token was not looked at
            return _conclude(replace(entry, intact=None), None)
        entry = replace(
            entry,
            intact=not stamp.broken,
            trusted=stamp.moment is not None,
            revocation=stamp.chain.revocation if stamp.chain is not None else None,
            time=stamp.moment,
        )
        return qualify_stamp(_conclude(entry, stamp.fault), stamp, self._lists)


def _usable_stamp(found: _Found) -> EmbeddedPdfSignature | None:
    usable = found.entry.kind is Kind.TIMESTAMP and found.entry.coverage not in {None, Coverage.UNCLEAR}
    return found.embedded if usable else None


def _revision_of(reader: PdfFileReader, field: Any) -> int:
    """The revision that put a value into a field; the newest one where that can't be said."""
    try:
        return int(reader.xrefs.get_last_change(field.get_object().raw_get("/V").reference))
    except Exception:  # noqa: BLE001 - as above; what can't be placed counts as put there last
        return int(reader.xrefs.total_revisions) - 1


def _with_company(found: _Found, others: Sequence[_Found]) -> SignatureReport:
    """A signature bears later ones by others only if they hold: one by nobody known is a change like any other."""
    if found.entry.changes is not Changes.ALLOWED or found.others_welcome:
        return found.entry
    later = [each.entry for each in others if each.revision > found.revision and each.entry.kind is Kind.SIGNATURE]
    if found.entry.verdict in {Verdict.VALID, Verdict.INDETERMINATE} and any(not _holds(entry) for entry in later):
        return replace(
            found.entry,
            verdict=Verdict.MODIFIED,
            code="signed_by_unknown_afterwards",
            changes=Changes.NOT_ALLOWED,
        )
    return found.entry


def _holds(entry: SignatureReport) -> bool:
    """Whether a signature is by somebody known, whatever came after it."""
    return bool(entry.intact and entry.trusted and entry.coverage not in {None, Coverage.UNCLEAR})


def _conclude(entry: SignatureReport, fault: str | None) -> SignatureReport:
    """Put the findings together: the worst one decides."""
    if entry.coverage is Coverage.UNCLEAR:
        return replace(
            entry, verdict=Verdict.INVALID, code="coverage_unclear" if entry.intact is not False else "not_intact"
        )
    if not entry.intact:
        return replace(entry, verdict=Verdict.INVALID, code="not_intact")
    if entry.changes is Changes.NOT_ALLOWED:
        return replace(entry, verdict=Verdict.MODIFIED, code="changed_afterwards")
    if fault == "revoked":
        return replace(entry, verdict=Verdict.INVALID, code=fault)
    if fault is not None:
        return replace(entry, verdict=Verdict.INDETERMINATE, code=fault)
    return replace(entry, verdict=Verdict.VALID, code=None)
