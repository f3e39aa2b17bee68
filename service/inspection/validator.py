"""Signatures judged behind walls: the service's side."""

import hashlib
from datetime import datetime
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog

from service.inspection.limits import InspectionLimits
from service.inspection.readers import ReaderFailed, Readers
from service.inspection.validating import Asked, Believed, question
from signing.report import Report, Verdict

_PROGRAM: Final = "service.inspection.validating"
_LONGEST_REPORT: Final = 4 * 1024 * 1024
_DECODER: Final = msgspec.json.Decoder(Report)

_log = structlog.get_logger(__name__)


class Validator:
    """Judges the signatures of documents that come from anywhere; a context manager, as `Readers` is.

    What is believed is read when a helper starts: other files are believed after a restart only.
    """

    def __init__(self, limits: InspectionLimits, believed: Believed, *, program: str = _PROGRAM) -> None:
        self._limits = limits
        self._readers = Readers(limits, program, [msgspec.json.encode(believed).decode()])

    def __enter__(self) -> Self:
        self._readers.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._readers.__exit__(kind, error, at)

    @property
    def helper_pid(self) -> int:
        """The helper's process id."""
        return self._readers.helper_pid

    def validate(self, pdf: bytes, *, at: datetime, require_revocation: bool = False) -> Report:
        """Judge a document; nothing in it makes this fail.

        What crashes its reader, or takes too much of a processor or of memory, is indeterminate with the code
        ``check_crashed``, ``check_timeout`` or ``check_memory``; what is too large is with ``too_large``.

        Raises:
            Retryable: no place became free, the machine held the check up, or the helper cannot be started.
        """
        sha256 = hashlib.sha256(pdf).hexdigest()
        if len(pdf) > self._limits.size:
            return _unfinished(sha256, "too_large", at)
        try:
            wire = self._readers.read(question(Asked(at, require_revocation), pdf))
        except ReaderFailed as error:
            _log.warning("validation_unfinished", reason=error.reason, ended=error.ended)
            return _unfinished(sha256, f"check_{error.reason}", at)
        report = _understood(wire)
        if report is None or report.sha256 != sha256:
            _log.warning("validation_unfinished", reason="crashed", ended="malformed answer")
            return _unfinished(sha256, "check_crashed", at)
        return report


def _unfinished(sha256: str, code: str, at: datetime) -> Report:
    return Report(sha256, Verdict.INDETERMINATE, code, strict=False, signatures=(), at=at)


def _understood(wire: bytearray) -> Report | None:
    """The report that a reader wrote, or None when it is not one that an honest reader writes."""
    if len(wire) > _LONGEST_REPORT:
        return None
    try:
        report = _DECODER.decode(wire)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    honest = report.valid == (
        bool(report.signatures) and all(entry.verdict is Verdict.VALID for entry in report.signatures)
    )
    return report if honest else None
