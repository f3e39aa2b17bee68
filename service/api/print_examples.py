"""Examples of the operators' calls on print, of fictional letters."""

from typing import Any, Final

_DELIVERY: Final = "dlv_0199f0c24d6a7c3e8b1f5a2d9e4c7b60"
_LETTER: Final = f"{_DELIVERY}-1"
_FILE: Final = "PRT_0100_ZENDING0_0000000042_261123143000_0PROOF.ZIP"
_HELD: Final = {
    "at": "2026-11-23T09:12:44.102931Z",
    "by": "staff:5f0c2d7be9a14c3386d1f02a6b7c8d9e",
    "reason": "The folding machine is down",
}

OF_SCHEMAS: Final[dict[str, Any]] = {
    "HoldRequest": {"printer": "alpha", "product": "letter", "reason": "The folding machine is down"},
    "ReleaseRequest": {"letters": [_LETTER]},
    "MoveRequest": {"source": "alpha", "target": "beta", "product": "letter"},
    "ReprintRequest": {"letters": [_LETTER], "reason": "misprinted"},
    "PullRequest": {"letters": [_LETTER], "reason": "The annex is the wrong one"},
    "GiveUpRequest": {"letters": [_LETTER]},
    "ReturnedRequest": {"letters": [{"letter": _LETTER, "cause": "M04", "day": "2026-11-30"}]},
    "ProofRequest": {"delivery": _DELIVERY},
    "ProofOrdered": {"delivery": _DELIVERY, "printer": "alpha", "file": _FILE},
    "ChoicesRequest": {"undeliverable": "destroy"},
    "PaperChoices": {
        "organisation": "voorbeeldegem",
        "name": "Gemeente Voorbeeldegem",
        "undeliverable": "destroy",
        "returned_mail": "ask",
        "share_envelopes": "off",
    },
    "Stuck": {
        "why": "held",
        "printer": "alpha",
        "product": "letter",
        "letters": 17,
        "since": "2026-11-23T08:55:01.448210Z",
    },
    "Holds": {
        "products": [{"printer": "alpha", "product": "letter", "held": _HELD}],
        "batches": [],
        "letters": [{"letter": _LETTER, "product": "letter", "held": _HELD}],
        "letters_held": 1,
    },
    "PrintedLetter": {
        "letter": _LETTER,
        "state": "handed_over",
        "product": "letter",
        "attempt": 1,
        "sheets": 2,
        "queued_at": "2026-11-23T08:55:01.448210Z",
        "printer": "alpha",
        "batch": 41,
        "handed_over_at": "2026-11-23T10:20:00.118811Z",
        "reprint": None,
        "pull": None,
        "held": None,
    },
}
