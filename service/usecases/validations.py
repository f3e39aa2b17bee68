"""Signatures of any PDF checked for whoever asks; nothing of the document or of the answer is kept or logged."""

from dataclasses import asdict
from datetime import datetime
from typing import Protocol

import msgspec

from service.domain.errors import Invalid
from signing.report import Report
from signing.validation.etsi import as_xml
from signing.validation.sentences import LANGUAGES, sentence


class Validator(Protocol):
    """Judges a document where it can do no harm; see ``service.inspection.validator``."""

    def validate(self, pdf: bytes, *, at: datetime, require_revocation: bool = False) -> Report:
        """Judge a document; nothing in it makes this fail."""
        ...


class SignatureView(msgspec.Struct, frozen=True):
    """One signature or document time-stamp; see docs/signing.md for the words.

    ``code`` says why it is not valid, ``qualification_reason`` why it is no more than ``qualification``. ``time`` is
    the earliest moment that a time-stamp proves; ``claimed_time`` is only claimed. Digests are hex.
    """

    field: str
    kind: str
    verdict: str
    code: str | None
    intact: bool | None
    coverage: str | None
    changes: str | None
    trusted: bool | None
    revocation: str | None
    signer: str | None
    issuer: str | None
    certificate_sha256: str | None
    time: datetime | None
    claimed_time: datetime | None
    level: str | None
    qualification: str
    qualification_reason: str | None
    digest_algorithm: str | None
    digest: str | None
    attributes_sha256: str | None


class Sentences(msgspec.Struct, frozen=True):
    """The result in one sentence for people, in each language."""

    nl: str
    fr: str
    de: str
    en: str


class ValidationView(msgspec.Struct, frozen=True):
    """What a check found: only ``valid`` may be called valid.

    ``code`` is the reason when it is not; ``strict`` is false when faults of the file's producer were overlooked.
    """

    sha256: str
    verdict: str
    code: str | None
    at: datetime
    strict: bool
    sentences: Sentences
    signatures: list[SignatureView]


def check(validator: Validator, pdf: bytes, *, now: datetime, require_revocation: bool) -> Report:
    """Judge a document as of now.

    Raises:
        Retryable: the machine is too busy.
    """
    return validator.validate(pdf, at=now, require_revocation=require_revocation)


def view(report: Report) -> ValidationView:
    """The answer as JSON."""
    said = Sentences(**{language: sentence(report, language) for language in LANGUAGES})
    signatures = [SignatureView(**asdict(entry)) for entry in report.signatures]
    assert report.at is not None
    return ValidationView(report.sha256, report.verdict.value, report.code, report.at, report.strict, said, signatures)


def standard_report(report: Report) -> str:
    """The answer in the form of ETSI TS 119 102-2.

    Raises:
        Invalid: there is no signature that was judged, so the standard has no report.
    """
    if not report.signatures:
        raise Invalid("There is no signature to report on in this form; ask for JSON.", code="nothing_to_report")
    return as_xml(report)
