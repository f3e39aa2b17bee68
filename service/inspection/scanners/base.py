"""What a malware scanner must do for Zending."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ScanState(StrEnum):
    """The outcome of a scan."""

    CLEAN = "clean"
    """A scanner looked at every part and knows nothing bad about any."""
    INFECTED = "infected"
    """A scanner recognised something in at least one part."""
    NOT_SCANNED = "not_scanned"
    """No scanner is configured: nothing was looked at."""


@dataclass(frozen=True, slots=True)
class ScanResult:
    """An outcome; ``signature`` is the scanner's name for what it found, for logs and operators."""

    state: ScanState
    signature: str | None = None


class MalwareScanner(Protocol):
    """Looks for malware in a document and, apart from it, in everything attached inside it.

    What every driver must hold:

    * ``CLEAN`` means that every part was looked at in full. What cannot be looked at (scanner out of reach, too slow,
      part too large for its settings, an answer that makes no sense) is never ``CLEAN``.
    * One infected part makes the whole ``INFECTED``.
    * It is safe to repeat, may be called from several threads at once, keeps nothing, and ends in bounded time.
    """

    def scan(self, parts: Sequence[bytes]) -> ScanResult:
        """Look at the parts.

        Raises:
            Retryable: they could not be looked at now; later they can.
        """
        ...
