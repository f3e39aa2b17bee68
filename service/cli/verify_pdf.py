"""What ``zending verify`` says of a PDF."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from service.ledger.verify import Check
from signing.report import Changes, Coverage, Kind, Qualification, Report, Revocation, SignatureReport, Verdict, as_json
from signing.trusted_lists import TrustedLists
from signing.validate import validate
from signing.validation.etsi import as_xml
from signing.validation.sentences import LANGUAGES, sentence

FORMS: Final = ("json", "xml")
_CHANGES: Final = {
    Changes.NONE: "nothing was added after it",
    Changes.ALLOWED: "only what it allows was added after it",
    Changes.NOT_ALLOWED: "SOMETHING WAS CHANGED OR ADDED AFTER IT",
}
_REVOCATION: Final = {
    Revocation.GOOD: "the document itself shows that no certificate was revoked",
    Revocation.UNKNOWN: "the document does not show whether a certificate was revoked",
    Revocation.REVOKED: "a certificate was REVOKED",
}
_QUALIFICATION: Final = {
    Qualification.QUALIFIED_SEAL: "a qualified electronic seal",
    Qualification.QUALIFIED_SIGNATURE: "a qualified electronic signature",
    Qualification.QUALIFIED_TIMESTAMP: "a qualified time-stamp",
    Qualification.QUALIFIED_CERTIFICATE: "an advanced signature or seal with a qualified certificate",
    Qualification.NOT_QUALIFIED: "not qualified",
}
_REASONS: Final = {
    "not_listed": "no trusted list names who issued the certificate",
    "list_expired": "the trusted list that may name the issuer is out of date",
    "lists_expired": "the trusted lists are out of date",
    "service_not_granted": "its issuer did not have the status 'granted' then",
    "service_for_something_else": "its issuer is listed for another kind of service",
    "not_granted_at_issue": "its issuer did not have the status 'granted' when the certificate was issued",
    "certificate_not_qualified": "the certificate is not a qualified one",
    "certificate_for_something_else": "the certificate is for something else",
    "certificate_unreadable": "what the certificate says of itself can't be read",
    "no_qualified_device": "its key is not known to lie in a qualified device",
}


@dataclass(frozen=True)
class Judging:
    """How PDFs are judged.

    Attributes:
        roots: certificates that are believed.
        lists: trusted lists, if any.
        at: the moment as of which; None: now, each time.
        require_revocation: what the document doesn't show to be unrevoked is not valid.
        own_seals: fingerprints of seals behind which only time-stamps and validation data are accepted.
        language: of the sentence.
    """

    roots: Sequence[x509.Certificate]
    lists: TrustedLists | None
    clock: Callable[[], datetime]
    require_revocation: bool
    own_seals: frozenset[str]
    language: str

    def judge(self, content: bytes) -> Report:
        """Judge one PDF; pyHanko's own log, which quotes certificates, is kept out of the terminal."""
        with _silence():
            return validate(
                content,
                trust_roots=self.roots,
                at=self.clock(),
                lists=self.lists,
                require_revocation=self.require_revocation,
                own_seals=self.own_seals,
            )

    def checks(self, report: Report) -> list[Check]:
        """What was found, row by row, the conclusion first."""
        whole = Check(f"{report.verdict.value}", _ok(report.verdict), sentence(report, self.language))
        return [whole, _sealed(report), *(_row(entry) for entry in report.signatures)]


@contextmanager
def _silence() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _ok(verdict: Verdict) -> bool | None:
    return {Verdict.VALID: True, Verdict.INDETERMINATE: None}.get(verdict, False)


def _sealed(report: Report) -> Check:
    """The newest signature must be a valid one with a proven time: that is how this service seals."""
    seal = report.seal
    if seal is None:
        return Check("seal", False, "there is no seal in this PDF")
    if seal.verdict is not Verdict.VALID:
        return Check("seal", False, f"not confirmed ({seal.code})")
    if seal.time is None:
        return Check("seal", False, "the newest signature has no proven time, so it is no seal of this service")
    return Check("seal", True, f"existed, as it is, at {seal.time:%Y-%m-%d %H:%M:%S} UTC")


def _row(entry: SignatureReport) -> Check:
    """One signature. One that was there before ours and leads elsewhere is told, and fails nothing by itself."""
    kind = "time-stamp" if entry.kind is Kind.TIMESTAMP else "signature"
    return Check(f"{kind} {entry.field}", _ok(entry.verdict), "; ".join(_told(entry)))


def _told(entry: SignatureReport) -> Iterator[str]:
    if entry.code is not None:
        yield entry.code
    if entry.kind is Kind.SIGNATURE:
        yield f"by {entry.signer}" if entry.signer else "by somebody unknown"
    if entry.issuer is not None:
        yield f"certified by {entry.issuer}"
    if entry.time is not None:
        yield f"existed at {entry.time:%Y-%m-%d %H:%M:%S} UTC"
    elif entry.claimed_time is not None:
        yield f"claims {entry.claimed_time:%Y-%m-%d %H:%M:%S}, not proven"
    if entry.level is not None:
        yield f"PAdES {entry.level.value}"
    if entry.coverage is not Coverage.UNCLEAR and entry.changes is not None:
        yield _CHANGES[entry.changes]
    if entry.revocation is not None:
        yield _REVOCATION[entry.revocation]
    if entry.qualification in _QUALIFICATION:
        because = _REASONS.get(entry.qualification_reason or "")
        yield _QUALIFICATION[entry.qualification] + (f" ({because})" if because else "")


def written(report: Report, form: str) -> str:
    """The whole report as JSON, with the sentences, or in the form of ETSI TS 119 102-2."""
    if form == "xml":
        return as_xml(report)
    whole = as_json(report)
    whole["sentences"] = {language: sentence(report, language) for language in LANGUAGES}
    return json.dumps(whole, ensure_ascii=False, indent=1)
