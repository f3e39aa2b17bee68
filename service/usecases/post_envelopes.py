"""What is said of an envelope that letters share, said of each letter in it, once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from printing.envelopes import shares
from printing.exchange import LetterEvent
from service.db import post_reports as rows
from service.db.post_reports import SentLetter
from service.db.printing import every_organisation
from service.db.session import widen
from service.usecases.context import Context
from service.usecases.post_statements import OF_SET, OUT, Odd, Statement, named, of_event

UNKNOWN: Final = "SET_UNKNOWN"
PARTLY_KNOWN: Final = "SET_PARTLY_KNOWN"


class SharedEnvelope(msgspec.Struct, frozen=True):
    """An envelope that letters share: the set number in its sheets' codes, its letters in their order, its sheets."""

    set: str
    letters: list[str]
    sheets: int


def of_batch(context: Context, number: int) -> list[SharedEnvelope]:
    """The envelopes of a batch that letters share."""
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        batch = rows.batch_by_number(session, number)
        found = {} if batch is None else rows.shared(session, batch.id)
    return [
        SharedEnvelope(f"{each:012d}", [named(letter)[0] for letter in inside], sum(one.sheets for one in inside))
        for each, inside in found.items()
    ]


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope as far as it is known.

    Attributes:
        number: its set number.
        known: the letters that were put in, in their order, as far as there are rows of them.
        letters: those of them that are inside: all but those that were taken out.
    """

    number: int
    known: tuple[SentLetter, ...]
    letters: tuple[SentLetter, ...]

    def part(self, statement: str, sheets: int | None = None) -> Odd | None:
        """What operators are told where letters of it are not known any more; None where nothing is missing.

        ``sheets`` are those that the codes on them count, of the letters that were taken out too.
        """
        first, known = self.known[0], sum(letter.sheets for letter in self.known)
        headless = first.set_number != self.number
        if first.envelope_set is None or not (headless or (sheets is not None and sheets > known)):
            return None
        told = "" if sheets is None else f", {known} of {sheets} sheets"
        detail = f"Of the envelope {self.number:012d} {len(self.known)} letter(s) are known{told}."
        return Odd(PARTLY_KNOWN, statement, detail, batch=first.batch.number)


def opened(session: Session, numbers: Collection[int]) -> dict[int, Envelope]:
    """The envelopes with these set numbers that are known, or letters that have theirs to themselves."""
    found = rows.of_sets(session, numbers) if numbers else {}
    shared = {letter.delivery_id for letters in found.values() for letter in letters if letter.envelope_set is not None}
    told = rows.reports(session, shared) if shared else {}

    def taken_out(letter: SentLetter) -> bool:
        said = told.get((letter.delivery_id, letter.leg), ())
        return any(row.event in OUT and row.attempt == letter.attempt for row in said)

    made = {}
    for number, known in found.items():
        left = tuple(letter for letter in known if letter.envelope_set is None or not taken_out(letter))
        # Of one that is empty by what was told, something is told all the same: it is of all of them.
        made[number] = Envelope(number, tuple(known), left or tuple(known))
    return made


def inside(session: Session, number: int) -> Sequence[SentLetter]:
    """The letters in the envelope with this set number: all that were put in, but for those that were taken out."""
    found = opened(session, [number]).get(number)
    return () if found is None else found.letters


def said(session: Session, events: Sequence[LetterEvent]) -> tuple[list[Statement], list[Odd]]:
    """What a print house's events say, letter by letter, and what can't be believed of it."""
    statements: list[Statement] = []
    odd: list[Odd] = []
    envelopes = opened(session, {int(event.set) for event in events if event.set is not None})
    for event in events:
        for each in [of_event(event)] if event.set is None else _of_set(envelopes, event, event.set):
            (odd if isinstance(each, Odd) else statements).append(each)  # type: ignore[arg-type]
    return statements, odd


def _of_set(envelopes: Mapping[int, Envelope], event: LetterEvent, number: str) -> Sequence[Statement | Odd]:
    envelope = envelopes.get(int(number))
    if envelope is None:
        return [Odd(UNKNOWN, event.event_id, f"There is no envelope {number}.")]
    letters = envelope.letters
    sheets = [letter.sheets for letter in letters]
    part, told_sheets = envelope.part(event.event_id), event.sheets
    if part is not None and told_sheets is not None:
        # What is more belongs to letters that are not known, and is told by that.
        told_sheets = min(told_sheets, sum(sheets))
    counted = [None] * len(letters) if told_sheets is None else _split(told_sheets, sheets)
    paid = [None] * len(letters) if event.postage_cents is None else shares(event.postage_cents, sheets)
    found: list[Statement | Odd] = []
    for letter, count, cents in zip(letters, counted, paid, strict=True):
        name, attempt = named(letter)
        own = msgspec.structs.replace(
            event, set=None, id=name, attempt=attempt, sheets=count, postage_cents=cents, registered_number=None
        )
        told = of_event(own)
        if isinstance(told, Odd):
            # Once, whoever is inside.
            return [replace(told, letter=None)]
        found.append(replace(told, name=f"{OF_SET}{event.event_id}:{name}"))
    return found if part is None else [*found, part]


def _split(told: int, own: Sequence[int]) -> list[int]:
    """Sheets of an envelope by its letters: their own, and what is more or less stands out at the first or the last."""
    given: list[int] = []
    for sheets in own:
        given.append(min(sheets, told - sum(given)))
    given[0] += told - sum(given)
    return given
