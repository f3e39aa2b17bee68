"""What is said of letters, as values: a print house's events and answers, and our own words for them."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from printing.exchange import OUTCOMES, LetterAnswer, LetterEvent, PostalEvent, ScanOf
from service.db.ids import DELIVERY, parse_id, public_id
from service.db.post_models import PrintReport
from service.db.post_reports import SentLetter
from service.domain.addresses import ReturnReason
from service.domain.delivery import Report
from service.domain.errors import Invalid, NotFound
from service.domain.evidence_record import Letter
from service.domain.states import Actor, Event

OURS: Final = "~"
"""Begins the statements that we give a name to; a print house's own never begin so."""

OF_SET: Final = f"{OURS}set:"
"""Begins those that follow, letter by letter, from what a print house says of an envelope."""

ACCEPTED, REJECTED, PULLED, GIVEN_UP = "accepted", "rejected", "pulled", "given_up"
MOVES: Final[Mapping[str, tuple[Event, ReturnReason | None]]] = {
    PostalEvent.PRINTED.value: (Event.PRINTED, None),
    PostalEvent.POSTED.value: (Event.POSTED, None),
    PostalEvent.DELIVERED.value: (Event.DELIVERED, None),
    PostalEvent.RETURNED.value: (Event.RETURNED, None),
    # Given up, and on the way back where the post brings it back.
    PostalEvent.REFUSED.value: (Event.UNDELIVERABLE, ReturnReason.M05),
    PostalEvent.UNCLAIMED.value: (Event.UNDELIVERABLE, None),
    PostalEvent.LOST.value: (Event.UNDELIVERABLE, ReturnReason.F02),
    # Taken out by our wish: nobody brings it any more.
    PULLED: (Event.UNDELIVERABLE, None),
    # By an operator: the print house will not print it, and neither will anybody else.
    GIVEN_UP: (Event.UNDELIVERABLE, None),
}
"""What moves a letter: the report it is, and its cause where none is told."""
SHOWN: Final[Mapping[str, Event]] = {
    PostalEvent.IN_TRANSIT.value: Event.IN_TRANSIT,
    PostalEvent.ATTEMPTED.value: Event.ATTEMPTED,
    PostalEvent.PICKUP_AVAILABLE.value: Event.PICKUP_AVAILABLE,
    REJECTED: Event.LETTER_REJECTED,
}
"""What is shown and moves nothing."""
OUT: Final = frozenset({PULLED, REJECTED})
"""A letter of which this stands is not in its envelope."""
_NEGATIVE: Final = frozenset({Event.UNDELIVERABLE, Event.RETURNED})
_CAUSES: Final = frozenset(reason.value for reason in ReturnReason)


class Effect(StrEnum):
    """What became of a statement."""

    TAKEN = "taken"
    REPEATED = "repeated"
    EARLY = "early"
    """The letter is not handed over yet; it counts from then on."""
    ODD = "odd"
    """Changes nothing; an operator looks at it."""
    AWAY = "away"
    """The sender's key is away: it is tried again later."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Something that is said of a letter; ``letter`` and ``attempt`` as the manifest has them."""

    name: str
    letter: str
    attempt: int
    event: str
    at: datetime
    cause: str | None = None
    code: str | None = None
    sheets: int | None = None
    postage_cents: int | None = None
    registered_number: str | None = None
    actor: Actor = Actor.POST
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that is known of a leg's letter: what was said, its printings, its pictures, the newest attempt."""

    told: Sequence[PrintReport]
    sent: Sequence[SentLetter]
    scans: Mapping[str, str]
    ordered: int = 1

    def gave_way(self, row: PrintReport) -> bool:
        """Whether a statement says nothing of how the letter stands.

        A printing was only taken out because the letter is printed again, which ends nothing; or it is the envelope's
        that the letter was not in any more.
        """
        if row.statement.startswith(OF_SET):
            return any(each.event in OUT and each.attempt == row.attempt for each in self.told)
        return row.event == PULLED and row.attempt < self.ordered


@dataclass(frozen=True, slots=True)
class Odd:
    """Why something changes nothing."""

    code: str
    statement: str
    detail: str
    letter: str | None = None
    batch: int | None = None


def of_event(event: LetterEvent) -> Statement | Odd:
    """What a print house's event says; or why it can't be believed."""
    if event.event_id.startswith(OURS):
        return Odd("STATEMENT_NAME", event.event_id, "Names of statements that begin with ~ are ours.", event.id)
    if event.outcome is not OUTCOMES[event.event]:
        told = f"{event.event.value} with the outcome {event.outcome.value}."
        return Odd("OUTCOME_CONTRADICTS", event.event_id, told, event.id)
    if event.cause is not None and event.cause not in _CAUSES:
        return Odd("CAUSE_UNKNOWN", event.event_id, f"{event.event.value} with an unknown cause.", event.id)
    return Statement(
        event.event_id, event.id, event.attempt, event.event.value, event.at, event.cause, event.code, event.sheets,
        event.postage_cents, event.registered_number,
    )  # fmt: skip


def of_answer(batch: int, answer: LetterAnswer, at: datetime) -> Statement:
    """What a print house's look at a letter says: the same verdict is the same statement."""
    event = ACCEPTED if answer.accepted else REJECTED
    name = f"{OURS}{event}:{answer.id}:{answer.attempt}:{answer.code or ''}"
    return Statement(name, answer.id, answer.attempt, event, at, code=answer.code, batch=batch)


def place(letter: str) -> tuple[uuid.UUID, int] | None:
    """The delivery and leg of a letter's name; None for what is none of ours."""
    head, _, leg = letter.rpartition("-")
    try:
        return (parse_id(DELIVERY, head), int(leg)) if leg.isascii() and leg.isdecimal() else None
    except NotFound:
        return None


def unknown(name: str) -> Invalid:
    """The error about a letter that is not there; what somebody typed is told back only where it is a name."""
    if place(name) is None:
        return Invalid("A letter is named as manifests name it: dlv_…-1.", code="letter_unknown")
    return Invalid(f"There is no letter {name}.", code="letter_unknown")


def named(letter: SentLetter) -> tuple[str, int]:
    """A letter's name and attempt, as manifests have them."""
    return name_of(letter.delivery_id, letter.leg), letter.attempt


def name_of(delivery: uuid.UUID, leg: int) -> str:
    """A letter's name, as manifests have it."""
    return f"{public_id(DELIVERY, delivery)}-{leg}"


def counted(told: Iterable[PrintReport], sent: Sequence[SentLetter]) -> list[Report]:
    """The reports that a leg is settled from.

    What went wrong with a letter that was printed again since says nothing of the one that counts now; what went well
    with it still does.
    """
    newest = max((letter.attempt for letter in sent if letter.batch.handed_over_at is not None), default=1)
    return [
        report_of(row)
        for row in told
        if row.event in MOVES and (row.attempt >= newest or MOVES[row.event][0] not in _NEGATIVE)
    ]


def report_of(row: PrintReport) -> Report:
    """The report that a statement which moves a letter is."""
    event, cause = MOVES[row.event]
    return Report(event, row.at, cause if row.cause is None else ReturnReason(row.cause))


def kind_of(row: PrintReport) -> tuple[str, str | None, int]:
    """What two statements that say the same have in common."""
    return row.event, row.cause, row.attempt


def evidenced(known: Known, attempt: int) -> Letter:
    """A printing of the letter as evidence binds it: copy, batch, the post's number, and the pictures that prove it."""
    found = next((each for each in known.sent if each.attempt == attempt), None)
    batch = None if found is None else found.batch.sha256
    numbers = [each.registered_number for each in known.told if each.registered_number and each.attempt == attempt]
    return Letter(
        print_sha256=None if found is None else found.sha256.hex(),
        batch_sha256=None if batch is None else bytes(batch).hex(),
        registered_number=numbers[0] if numbers else None,
        posting_proof_sha256=known.scans.get(ScanOf.POSTING_PROOF.value),
        receipt_sha256=known.scans.get(ScanOf.RETURN_RECEIPT.value),
    )
