"""What is said of an envelope that letters share, said of each letter in it, once."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
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


def said(session: Session, events: Iterable[LetterEvent]) -> tuple[list[Statement], list[Odd]]:
    """What a print house's events say, letter by letter, and what can't be believed of it."""
    statements: list[Statement] = []
    odd: list[Odd] = []
    for event in events:
        for each in [of_event(event)] if event.set is None else _of_set(session, event, event.set):
            (odd if isinstance(each, Odd) else statements).append(each)  # type: ignore[arg-type]
    return statements, odd


def inside(session: Session, number: int) -> list[SentLetter]:
    """The letters in the envelope with this set number: all that were put in, but for those that were taken out."""
    letters = rows.of_set(session, number)
    if len(letters) < 2:  # noqa: PLR2004 - one has its envelope to itself
        return letters
    told = rows.reports(session, {letter.delivery_id for letter in letters})
    left = [
        letter
        for letter in letters
        if not any(
            row.event in OUT and row.attempt == letter.attempt for row in told.get((letter.delivery_id, letter.leg), ())
        )
    ]
    # Of one that is empty by what was told, something is told all the same: it is of all of them.
    return left or letters


def _of_set(session: Session, event: LetterEvent, number: str) -> Sequence[Statement | Odd]:
    letters = inside(session, int(number))
    if not letters:
        return [Odd(UNKNOWN, event.event_id, f"There is no envelope {number}.")]
    sheets = [letter.sheets for letter in letters]
    counted = [None] * len(letters) if event.sheets is None else _split(event.sheets, sheets)
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
    return found


def _split(told: int, own: Sequence[int]) -> list[int]:
    """Sheets of an envelope by its letters: their own, and what is more or less stands out at the first or the last."""
    given: list[int] = []
    for sheets in own:
        given.append(min(sheets, told - sum(given)))
    given[0] += told - sum(given)
    return given
