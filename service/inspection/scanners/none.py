"""No scanner: says so, and never that something is clean."""

from collections.abc import Sequence

from service.inspection.scanners.base import ScanResult, ScanState


class NoScanner:
    """For installations without a scanner; production refuses to start with it unless told so."""

    def scan(self, parts: Sequence[bytes]) -> ScanResult:
        """Answer ``NOT_SCANNED``, whatever is asked."""
        _ = parts
        return ScanResult(ScanState.NOT_SCANNED)
