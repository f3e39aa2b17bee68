"""What a check of signatures found, as values: for programs first, and honest about what was not looked at."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """The conclusion, from good to bad; only ``VALID`` may be called valid anywhere."""

    VALID = "valid"
    INDETERMINATE = "indeterminate"
    MODIFIED = "modified"
    INVALID = "invalid"


class Kind(StrEnum):
    """What stands in a signature field."""

    SIGNATURE = "signature"
    TIMESTAMP = "timestamp"


class Coverage(StrEnum):
    """How much of the file a signature covers."""

    WHOLE_FILE = "whole_file"
    WHOLE_REVISION = "whole_revision"
    UNCLEAR = "unclear"


class Changes(StrEnum):
    """What was added after a signature.

    ``ALLOWED``: validation data, time-stamps, what the signature itself expressly allows, and (but for a seal of the
    checker's own) invisible signatures by others that hold themselves.
    """

    NONE = "none"
    ALLOWED = "allowed"
    NOT_ALLOWED = "not_allowed"


class Level(StrEnum):
    """PAdES baseline level that was proven (ETSI EN 319 142-1, 6), whatever the file claims."""

    B_B = "B-B"
    B_T = "B-T"
    B_LT = "B-LT"
    B_LTA = "B-LTA"


class Revocation(StrEnum):
    """What is known of the revocation of a signer's certificate and of those above it, from the file itself.

    ``GOOD``: there is an answer for each of them, and none was revoked at the moment that counts. ``UNKNOWN``: for one
    of them there is none.
    """

    GOOD = "good"
    UNKNOWN = "unknown"
    REVOKED = "revoked"


class Qualification(StrEnum):
    """What a signature is by the trusted lists that were given (Regulation (EU) 910/2014).

    ``QUALIFIED_CERTIFICATE``: an advanced signature or seal with a qualified certificate whose key is not known to lie
    in a qualified device. ``UNKNOWN``: no list that could say so was given.
    """

    QUALIFIED_SIGNATURE = "qualified_signature"
    QUALIFIED_SEAL = "qualified_seal"
    QUALIFIED_TIMESTAMP = "qualified_timestamp"
    QUALIFIED_CERTIFICATE = "qualified_certificate"
    NOT_QUALIFIED = "not_qualified"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """One signature or document time-stamp.

    Attributes:
        field: name of its form field.
        kind: signature or document time-stamp.
        verdict: the conclusion.
        code: why it isn't ``VALID``; None when it is.
        intact: signed bytes and signature fit; None when that could not be found out.
        coverage: how much it covers; None when that could not be found out.
        changes: what came after it; None when that could not be found out.
        trusted: its certificate leads to a given root; None when that was not reached.
        revocation: what is known of revocations; None when that was not reached.
        signer: common name in the certificate; for people this is personal data.
        issuer: common name of who issued the certificate.
        certificate_sha256: fingerprint of the signer's certificate, hexadecimal.
        time: earliest moment proven by a time-stamp (aware, UTC); None without one that still holds.
        claimed_time: moment the signer claims.
        level: level proven; None for anything that isn't PAdES, and for time-stamps.
        qualification: what the trusted lists make of it.
        qualification_reason: why it is not more; None for what is qualified.
        digest_algorithm: name of the algorithm by which the covered bytes were digested, "sha256".
        digest: digest of the covered bytes, hexadecimal.
        attributes_sha256: SHA-256 of the signed attributes, hexadecimal: what identifies the signature.
    """

    field: str
    kind: Kind
    verdict: Verdict
    code: str | None = None
    intact: bool | None = None
    coverage: Coverage | None = None
    changes: Changes | None = None
    trusted: bool | None = None
    revocation: Revocation | None = None
    signer: str | None = None
    issuer: str | None = None
    certificate_sha256: str | None = None
    time: datetime | None = None
    claimed_time: datetime | None = None
    level: Level | None = None
    qualification: Qualification = Qualification.UNKNOWN
    qualification_reason: str | None = None
    digest_algorithm: str | None = None
    digest: str | None = None
    attributes_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All signatures of a document.

    Attributes:
        sha256: digest of the file, hexadecimal.
        verdict: the worst of the signatures' verdicts; ``INDETERMINATE`` when there is none.
        code: the reason for it; None when valid.
        strict: the file was read by the letter of the standard; False when faults of its producer were overlooked.
        signatures: one entry each, oldest first.
        at: the moment of judgement (aware); None where judging was not begun.
    """

    sha256: str
    verdict: Verdict
    code: str | None
    strict: bool
    signatures: tuple[SignatureReport, ...]
    at: datetime | None = None

    @property
    def valid(self) -> bool:
        """Whether everything in the document is valid."""
        return self.verdict is Verdict.VALID

    @property
    def last(self) -> SignatureReport | None:
        """The newest signature or time-stamp."""
        return self.signatures[-1] if self.signatures else None

    @property
    def seal(self) -> SignatureReport | None:
        """The newest signature, whatever time-stamps came after it."""
        return next((each for each in reversed(self.signatures) if each.kind is Kind.SIGNATURE), None)


def as_json(report: Report) -> dict[str, Any]:
    """The report for machines: what JSON can hold, moments as RFC 3339 in UTC."""
    return {name: _plain(value) for name, value in asdict(report).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
