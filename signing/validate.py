"""Checking the signatures of a PDF, offline: nothing is fetched, nobody is asked.

Whatever can't be judged is ``indeterminate`` with a code, never valid and never an exception: the documents come from
anywhere. Callers run it where a hostile file can do no harm.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from itertools import chain
from typing import Any

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DiffResult, ModificationLevel
from pyhanko.sign.fields import enumerate_sig_fields
from pyhanko.sign.validation import EmbeddedPdfSignature, SignatureCoverageLevel, async_validate_pdf_signature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator import ValidationContext

from signing.algorithms import digest
from signing.changes import policy_for
from signing.errors import TimeStampInvalid
from signing.report import Changes, Coverage, Kind, Level, Report, SignatureReport, Verdict
from signing.tokens import TokenVerifier, imprint_algorithm

__all__ = ["Changes", "Coverage", "Kind", "Level", "Report", "SignatureReport", "Verdict", "validate"]

_WORST_LAST = (Verdict.VALID, Verdict.INDETERMINATE, Verdict.MODIFIED, Verdict.INVALID)
_COVERAGE = {
    SignatureCoverageLevel.ENTIRE_FILE: Coverage.WHOLE_FILE,
    SignatureCoverageLevel.ENTIRE_REVISION: Coverage.WHOLE_REVISION,
}
_END = re.compile(rb"startxref\s+(\d{1,12})\s+%%EOF\s*\Z")
_EITHER_USE = KeyUsageConstraints(key_usage={"non_repudiation", "digital_signature"}, match_all_key_usages=False)
"""Seals are made with certificates for non-repudiation, for digital signatures, or both."""


def validate(pdf: bytes, *, trust_roots: Sequence[x509.Certificate], at: datetime) -> Report:
    """Judge every signature and document time-stamp of ``pdf``.

    A signature with a time-stamp that holds is judged as of that moment, another one as of ``at``.

    Args:
        pdf: the document.
        trust_roots: the only roots that are believed, for signers and time-stamps alike.
        at: moment of judgement (aware).
    """
    sha256 = digest("sha256", pdf).hex()
    try:
        reader, strict = _open(pdf)
        fields = list(enumerate_sig_fields(reader, filled_status=True))
    except Exception:  # noqa: BLE001 - a file can make the reader raise anything; none of it may pass for valid
        return Report(sha256, Verdict.INDETERMINATE, "pdf_unreadable", strict=False, signatures=())
    if not fields:
        return Report(sha256, Verdict.INDETERMINATE, "no_signature", strict=strict, signatures=())
    judge = _Judge(pdf, reader, trust_roots, at)
    entries = sorted((judge.entry(str(name), field) for name, _, field in fields), key=lambda entry: entry[0])
    found = tuple(entry for _, entry in entries)
    worst = max(found, key=lambda entry: _WORST_LAST.index(entry.verdict))
    return Report(sha256, worst.verdict, worst.code, strict=strict, signatures=found)


def _open(pdf: bytes) -> tuple[PdfFileReader, bool]:
    """A reader that goes by the letter if the file allows it (hybrid cross-references do not)."""
    try:
        reader = PdfFileReader(BytesIO(pdf), strict=True)
        if not reader.xrefs.hybrid_xrefs_present:
            return reader, True
    except PdfError:
        pass
    return PdfFileReader(BytesIO(pdf), strict=False), False


class _Judge:
    """Judges the signatures of one document."""

    def __init__(self, pdf: bytes, reader: PdfFileReader, roots: Sequence[x509.Certificate], at: datetime) -> None:
        self._pdf = pdf
        self._reader = reader
        self._at = at
        self._roots = [asn1_x509.Certificate.load(root.public_bytes(Encoding.DER)) for root in roots]
        self._tokens = TokenVerifier(roots)

    def entry(self, name: str, field: Any) -> tuple[int, SignatureReport]:
        """The entry for one field, and how much of the file it covers, for the order."""
        empty = SignatureReport(name, Kind.SIGNATURE, Verdict.INDETERMINATE, "signature_unreadable")
        try:
            embedded = EmbeddedPdfSignature(self._reader, field, name)
            extent = int(embedded.byte_range[2]) + int(embedded.byte_range[3])
            empty = replace(empty, kind=_kind(embedded))
            return extent, self._judge(embedded, empty)
        except Exception:  # noqa: BLE001 - as above: what can't be judged is indeterminate
            return len(self._pdf), empty

    def _judge(self, embedded: EmbeddedPdfSignature, entry: SignatureReport) -> SignatureReport:
        embedded.compute_integrity_info(diff_policy=policy_for(embedded.docmdp_level))
        entry = replace(entry, coverage=self._coverage(embedded), changes=self._changes(embedded))
        if entry.kind is Kind.TIMESTAMP:
            return self._judge_timestamp(embedded, entry)
        certificate = embedded.signer_cert
        entry = replace(
            entry,
            signer=certificate.subject.native.get("common_name"),
            certificate_sha256=certificate.sha256.hex(),
            claimed_time=embedded.self_reported_timestamp,
        )
        proven, token_fault = self._stamped(embedded)
        status = asyncio.run(
            async_validate_pdf_signature(
                embedded, self._context(proven or self._at), skip_diff=True, key_usage_settings=_EITHER_USE
            )
        )
        entry = replace(
            entry,
            intact=bool(status.intact and status.valid),
            trusted=bool(status.trusted),
            time=proven,
            level=_level(embedded, proven),
        )
        return _conclude(entry, _trust_fault(status) or token_fault)

    def _judge_timestamp(self, embedded: EmbeddedPdfSignature, entry: SignatureReport) -> SignatureReport:
        entry = replace(entry, certificate_sha256=embedded.signer_cert.sha256.hex())
        token = _der_in(embedded.pkcs7_content)
        try:
            checked = self._tokens.check(
                token, algorithm=embedded.external_md_algorithm, imprint=embedded.compute_digest()
            )
        except TimeStampInvalid as error:
            broken = error.reason in {"imprint", "digest", "signature"}
            return _conclude(replace(entry, intact=not broken), f"timestamp_{error.reason}")
        return _conclude(replace(entry, intact=True, trusted=True, time=checked.gen_time), None)

    def _coverage(self, embedded: EmbeddedPdfSignature) -> Coverage:
        """Coverage by pyHanko, and beyond it: the one gap is this signature's own container and holds nothing else."""
        start, size, resume, _ = (int(number) for number in embedded.byte_range)
        gap = self._pdf[size:resume]
        container = embedded.pkcs7_content
        if start != 0 or gap[:1] + gap[-1:] != b"<>" or gap[1:-1].lower() != container.hex().encode():
            return Coverage.UNCLEAR
        if any(container[len(_der_in(container)) :]):
            return Coverage.UNCLEAR
        found: SignatureCoverageLevel | None = embedded.coverage
        return _COVERAGE.get(found, Coverage.UNCLEAR) if found is not None else Coverage.UNCLEAR

    def _changes(self, embedded: EmbeddedPdfSignature) -> Changes:
        result: Any = embedded.diff_result
        behind = self._pdf[int(embedded.byte_range[2]) + int(embedded.byte_range[3]) :].strip()
        if not isinstance(result, DiffResult) or (behind and not self._is_revision(embedded)):
            return Changes.NOT_ALLOWED
        if result.modification_level is ModificationLevel.NONE:
            return Changes.NONE
        allowed = embedded.summarise_integrity_info()["docmdp_ok"]
        return Changes.ALLOWED if allowed else Changes.NOT_ALLOWED

    def _is_revision(self, embedded: EmbeddedPdfSignature) -> bool:
        """Whether what stands behind a signature are revisions and nothing else: readers differ in what they ignore."""
        end = _END.search(self._pdf, max(0, len(self._pdf) - 1024))
        return (
            embedded.signed_revision < self._reader.xrefs.total_revisions - 1
            and end is not None
            and int(end[1]) == self._reader.last_startxref
            and self._pdf.count(b"startxref", self._reader.last_startxref) == 1
        )

    def _context(self, moment: datetime) -> ValidationContext:
        return ValidationContext(
            trust_roots=self._roots, moment=moment.astimezone(UTC), allow_fetching=False, revocation_mode="soft-fail"
        )

    def _stamped(self, embedded: EmbeddedPdfSignature) -> tuple[datetime | None, str | None]:
        """The moment the signature time-stamp proves, or what is wrong with it; both None without one."""
        tokens = list(_signature_tokens(embedded))
        if not tokens:
            return None, None
        try:
            signature = embedded.signer_info["signature"].native
            algorithm = imprint_algorithm(tokens[0])
            checked = self._tokens.check(tokens[0], algorithm=algorithm, imprint=digest(algorithm, signature))
        except TimeStampInvalid as error:
            return None, f"timestamp_{error.reason}"
        return checked.gen_time, None


def _kind(embedded: EmbeddedPdfSignature) -> Kind:
    return Kind.TIMESTAMP if embedded.sig_object_type == "/DocTimeStamp" else Kind.SIGNATURE


def _signature_tokens(embedded: EmbeddedPdfSignature) -> Iterator[bytes]:
    attributes = embedded.signer_info["unsigned_attrs"]
    named = (a for a in attributes if a["type"].native == "signature_time_stamp_token")
    for value in chain.from_iterable(attribute["values"] for attribute in named):
        yield value.dump()


def _der_in(container: bytes) -> bytes:
    """The one DER element a container begins with; the rest of it is padding."""
    octets = container[1] & 0x7F  # a CMS is never so small that its length would stand in one octet
    return container[: 2 + octets + int.from_bytes(container[2 : 2 + octets], "big")]


def _level(embedded: EmbeddedPdfSignature, proven: datetime | None) -> Level | None:
    names = {attribute["type"].native for attribute in embedded.signer_info["signed_attrs"]}
    pades = embedded.sig_object.get("/SubFilter") == "/ETSI.CAdES.detached"
    if not pades or not names & {"signing_certificate_v2", "signing_certificate"}:
        return None
    return Level.B_T if proven else Level.B_B


def _trust_fault(status: Any) -> str | None:
    if status.trusted:
        return None
    indication = status.trust_problem_indic
    return f"untrusted_{indication.name.lower()}" if indication is not None else "untrusted"


def _conclude(entry: SignatureReport, fault: str | None) -> SignatureReport:
    """Put the findings together: the worst one decides."""
    if not entry.intact:
        return replace(entry, verdict=Verdict.INVALID, code="not_intact")
    if entry.coverage is Coverage.UNCLEAR:
        return replace(entry, verdict=Verdict.INVALID, code="coverage_unclear")
    if entry.changes is Changes.NOT_ALLOWED:
        return replace(entry, verdict=Verdict.MODIFIED, code="changed_afterwards")
    if fault is not None:
        return replace(entry, verdict=Verdict.INDETERMINATE, code=fault)
    return replace(entry, verdict=Verdict.VALID, code=None)
