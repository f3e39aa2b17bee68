"""Documents that are handed in, looked at behind walls; everything in them is scanned for malware."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from service.inspection.codes import CODES
from service.inspection.endings import Ready
from service.inspection.findings import Answer, Findings, MalformedAnswer, decode
from service.inspection.limits import InspectionLimits
from service.inspection.readers import ReaderFailed, Readers
from service.inspection.refusals import refusal
from service.inspection.scanners.base import MalwareScanner, ScanState


@dataclass(frozen=True, slots=True)
class Problem:
    """Something worth telling about an accepted document; ``page`` counts from 1."""

    code: str
    detail: str
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """An accepted document.

    Attributes:
        pages: how many it has.
        size: bytes of what is to be kept: of ``replacement`` where there is one.
        signatures: signatures and document time-stamps it carries already.
        certified: whether its author has certified it (DocMDP) and allows signing.
        pdf_version: "1.7".
        problems: what the sender should know; nothing in it stops the document.
        replacement: the repaired file, to be used instead of what was handed in; never for a signed document.
        scan: whether a malware scanner looked at it.
    """

    pages: int
    size: int
    signatures: int
    certified: bool
    pdf_version: str
    problems: tuple[Problem, ...]
    replacement: bytes | None
    scan: ScanState


class Inspector:
    """Inspects documents behind walls; a context manager, as `Readers` is."""

    def __init__(
        self,
        settings: InspectionLimits,
        scanner: MalwareScanner,
        *,
        program: str = "service.inspection.helper",
    ) -> None:
        self._limits = settings
        self._scanner = scanner
        self._readers = Readers(settings, program)

    def __enter__(self) -> Self:
        self._readers.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._readers.__exit__(kind, error, at)

    @property
    def walls(self) -> Ready:
        """The walls around the children, as the helper found them on this machine."""
        return self._readers.walls

    @property
    def helper_pid(self) -> int:
        """The helper's process id."""
        return self._readers.helper_pid

    def inspect(self, pdf: bytes) -> Inspection:
        """Look at a document and have it, and what is attached inside it, scanned for malware.

        Safe to repeat and to call from several threads at once. Nothing is written to disk.

        Raises:
            DocumentRefused: the document is not accepted; ``code`` is one of `codes.REFUSALS`.
            Retryable: no place became free, the machine held the check up, the helper cannot be started, or the scanner
                cannot be reached.
        """
        if len(pdf) > self._limits.size:
            raise refusal("too_large")
        answer = self._read(pdf)
        findings = answer.findings
        if findings.refusal is not None:
            raise refusal(findings.refusal)
        kept = pdf if answer.replacement is None else answer.replacement
        scan = self._scanner.scan((pdf, *answer.attached))
        if scan.state is ScanState.INFECTED:
            raise refusal("malware", signature=scan.signature or "")
        return _inspection(findings, kept, answer.replacement, scan.state)

    def _read(self, pdf: bytes) -> Answer:
        try:
            return decode(self._readers.read(pdf))
        except ReaderFailed as error:
            raise refusal(f"inspection_{error.reason}", exit=error.ended) from None
        except MalformedAnswer as error:
            raise refusal("inspection_crashed", exit="malformed answer") from error


class LateInspector:
    """Where documents come seldom (workers that take submissions in), a helper is kept from the first one on."""

    def __init__(self, make: Callable[[], Inspector]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Inspector | None = None

    def inspect(self, pdf: bytes) -> Inspection:
        """Judge one document, or refuse it; errors as of the inspector's."""
        with self._lock:
            self._made = self._made or self._make()
        return self._made.inspect(pdf)


def _inspection(findings: Findings, kept: bytes, replacement: bytes | None, scan: ScanState) -> Inspection:
    return Inspection(
        pages=findings.pages,
        size=len(kept),
        signatures=findings.signatures,
        certified=findings.certified,
        pdf_version=findings.pdf_version,
        problems=tuple(Problem(note.code, CODES[note.code], note.page) for note in findings.notes),
        replacement=replacement,
        scan=scan,
    )
