"""What happens on paper, in plain words: where a letter is on its way, what pictures show, what follows a return."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from service.portal.languages import N_, Words

EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "letter_rejected": N_("The print house can't print it as it is; we are looking at it"),
        "reprint_ordered": N_("To be printed once more"),
        "in_transit": N_("On its way"),
        "attempted": N_("The post rang, and nobody was there"),
        "pickup_available": N_("Waits at a post office to be picked up"),
        "proof_received": N_("A proof of the post came in"),
    }
)
"""Events of a letter on its way, for the table of all."""

SCANS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "posting_proof": N_("Proof of posting"),
        "return_receipt": N_("Receipt signed by the recipient"),
        "returned_letter": N_("Picture of the letter that came back"),
    }
)
"""Every picture that a print house sends."""

NEXT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "asked": N_("It waits for your word: another address, or nothing more."),
        "ended": N_("Nothing more is sent."),
        "sent_again": N_("It goes out once more, to another address."),
    }
)
"""What follows a letter that came back."""


class PaperWords:
    """The tables in one language."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def scan(self, code: str) -> str:
        """What a picture shows."""
        return self._words.gettext(SCANS.get(code, code))

    def next(self, code: str) -> str:
        """What follows a letter that came back."""
        return self._words.gettext(NEXT.get(code, code))
