"""What a check of signatures found, as values: for programs first, and honest about what was not looked at."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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

    ``ALLOWED``: validation data, time-stamps, invisible signatures, and what the signature itself expressly allows.
    """

    NONE = "none"
    ALLOWED = "allowed"
    NOT_ALLOWED = "not_allowed"


class Level(StrEnum):
    """PAdES baseline level that was proven (ETSI EN 319 142-1, 6)."""

    B_B = "B-B"
    B_T = "B-T"
    B_LT = "B-LT"
    B_LTA = "B-LTA"


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
        signer: common name in the certificate; for people this is personal data.
        certificate_sha256: fingerprint of the signer's certificate, hexadecimal.
        time: moment proven by a time-stamp (aware, UTC); None without one.
        claimed_time: moment the signer claims.
        level: level proven; None for anything that isn't PAdES.
    """

    field: str
    kind: Kind
    verdict: Verdict
    code: str | None = None
    intact: bool | None = None
    coverage: Coverage | None = None
    changes: Changes | None = None
    trusted: bool | None = None
    signer: str | None = None
    certificate_sha256: str | None = None
    time: datetime | None = None
    claimed_time: datetime | None = None
    level: Level | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All signatures of a document.

    Revocation is not looked at: a certificate counts as unrevoked.

    Attributes:
        sha256: digest of the file, hexadecimal.
        verdict: the worst of the signatures' verdicts; ``INDETERMINATE`` when there is none.
        code: the reason for it; None when valid.
        strict: the file was read by the letter of the standard; False when faults of its producer were overlooked.
        signatures: one entry each, oldest first.
    """

    sha256: str
    verdict: Verdict
    code: str | None
    strict: bool
    signatures: tuple[SignatureReport, ...]

    @property
    def valid(self) -> bool:
        """Whether everything in the document is valid."""
        return self.verdict is Verdict.VALID

    @property
    def last(self) -> SignatureReport | None:
        """The newest signature or time-stamp."""
        return self.signatures[-1] if self.signatures else None
