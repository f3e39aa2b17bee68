"""What is wanted in one run, and what is known of it outside of the lives that bring it about."""

import time
from dataclasses import dataclass, field
from typing import Any, Final

from bench import truth
from bench.truth import End
from service.db.jobs import Lane

_SMALL: Final = "notice-nl-ghostscript.pdf"
UNSEALABLE: Final = "form-filled-fr.pdf"


@dataclass(frozen=True)
class Wish:
    """One delivery that somebody wants: whose it is, how it goes, and where it may end."""

    name: str
    recipient: str
    ends: tuple[End, ...]
    lane: Lane = Lane.BULK
    documents: tuple[str, ...] = (_SMALL,)
    registered: bool = False


WISHES: Final = (
    Wish("mailbox", "an", (truth.AVAILABLE,)),
    Wish("portal", "cem", (truth.READ,), lane=Lane.INTERACTIVE),
    Wish("paper", "jan", (truth.HANDED_OVER,), documents=(_SMALL, "receipt-nl-reportlab.pdf")),
    Wish("neighbour", "mia", (truth.HANDED_OVER,), documents=("receipt-nl-reportlab.pdf",)),
    Wish("registered", "tom", (truth.HANDED_OVER,), registered=True),
    Wish("rejected", "jan", (truth.REJECTED,), documents=(UNSEALABLE,)),
    Wish("cancelled", "jan", (truth.CANCELLED, truth.CANCELLED_SEALED, truth.CANCELLED_LATER)),
)


@dataclass
class Run:
    """What is known outside of the lives: what was asked for, what was answered, how long it took.

    Attributes:
        name: unlike that of every other run in the same world; keys and references begin with it.
        began: seconds since 1970.
        acknowledged: ids by wish.
        cancelled: what the sender was told about taking its delivery back; None before an answer.
        read: the recipient has the document; ``got`` is its SHA-256.
        refused: answers that would have made somebody give up.
        waited: seconds by which time was moved on since the fault.
        struck: when the fault happened; None as long as it did not.
        faults: what was wrong at the end; None before it.
        troubles: errors that the parts met, by class, for whoever wants to know why.
    """

    name: str
    began: float = field(default_factory=time.time)
    acknowledged: dict[str, str] = field(default_factory=dict)
    cancelled: bool | None = None
    read: bool = False
    got: str | None = None
    refused: list[str] = field(default_factory=list)
    waited: float = 0.0
    struck: float | None = None
    ended: float | None = None
    faults: list[str] | None = None
    repeated_notices: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    several: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    lives: int = 0

    @property
    def seconds(self) -> float:
        """From the fault to the end of everything, real and moved on."""
        since = self.struck or self.began
        return (self.ended or time.time()) - since + self.waited

    @property
    def first(self) -> str:
        """No delivery of this run has a lower id."""
        return f"dlv_{int(self.began * 1000):012x}"

    def take(self, line: dict[str, Any]) -> None:
        """Take in what a life tells."""
        for name, value in line.items():
            if isinstance(value, dict):
                getattr(self, name).update(value)
            else:
                setattr(self, name, value)
