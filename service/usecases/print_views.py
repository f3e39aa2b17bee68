"""What operators look at before they act: where letters are, and what is held back, by whom and why."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from printing.forecast import Part
from service.db import deliveries, post_pulls, printing
from service.db import post_reports as reports
from service.db import print_runs as rows
from service.db.models import PrintBatch, PrintLetter
from service.db.post_models import PrintPullLetter
from service.db.session import widen
from service.domain.errors import Invalid
from service.usecases import audit, print_forecasts
from service.usecases.audit import Entry
from service.usecases.context import Context
from service.usecases.personal import PLATFORM
from service.usecases.post_statements import name_of, unknown
from service.usecases.post_statements import place as place_of
from service.usecases.print_holds import Held, held_of
from service.usecases.products import read_product
from service.usecases.proofs import ACT as PROOFED

MOST: Final = 1000
"""Letters of one look, or act."""
PROOFS_SHOWN: Final = timedelta(days=90)
"""For how long proofs are shown: no copy of a letter is kept for print for longer."""


class HeldProduct(msgspec.Struct, frozen=True):
    """A product of a print house whose letters all wait."""

    printer: str
    product: str
    held: Held


class HeldBatch(msgspec.Struct, frozen=True):
    """A batch that is not handed over."""

    batch: int
    printer: str
    letters: int
    held: Held


class HeldLetter(msgspec.Struct, frozen=True):
    """A letter that is kept out of runs."""

    letter: str
    product: str
    held: Held


class Holds(msgspec.Struct, frozen=True):
    """All that is held back; of letters the first so many that were held, ``letters_held`` counts them all."""

    products: list[HeldProduct]
    batches: list[HeldBatch]
    letters: list[HeldLetter]
    letters_held: int


class PrintedLetter(msgspec.Struct, frozen=True):
    """Where a letter is: its newest printing.

    ``state`` is its leg's: ``to_print``, ``batched``, ``handed_over``, ``printed``, ``posted``, ``delivered``,
    ``returned``, ``undeliverable`` … ``printer`` and ``batch`` are null while it waits for a run. ``pull`` says of a
    letter that is to be taken out: ``ordered``, ``taken_out``, ``too_late``.
    """

    letter: str
    state: str
    product: str
    attempt: int
    sheets: int
    queued_at: datetime
    printer: str | None
    batch: int | None
    handed_over_at: datetime | None
    reprint: str | None
    pull: str | None
    held: Held | None


class Coming(msgspec.Struct, frozen=True):
    """What waits for a product's next cut-off; ``left_…`` is what its print house still takes today, null for all.

    ``held`` are further letters that are held one by one; where ``is_held`` nothing of the product goes.
    """

    printer: str
    product: str
    cut_off: datetime
    letters: int
    sheets: int
    held: int
    is_held: bool
    oldest: datetime | None
    left_letters: int | None
    left_sheets: int | None
    parts: list[Part]


class ProofView(msgspec.Struct, frozen=True):
    """A proof that was ordered; ``acknowledged_at`` is when the print house's word of its arrival came in."""

    delivery: str
    printer: str
    file: str
    ordered_at: datetime
    ordered_by: str
    acknowledged_at: datetime | None
    deleted_at: datetime | None


def coming(context: Context) -> list[Coming]:
    """What comes at the next cut-offs."""
    return [
        Coming(
            printer=each.printer,
            product=each.product,
            cut_off=each.cut_off,
            letters=each.waiting.letters,
            sheets=each.waiting.sheets,
            held=each.held,
            is_held=each.is_held,
            oldest=each.oldest,
            left_letters=each.left_letters,
            left_sheets=each.left_sheets,
            parts=list(each.waiting.parts),
        )
        for each in print_forecasts.outlook(context)
    ]


def holds(context: Context, *, limit: int) -> Holds:
    """What is held back now."""
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        letters, count = rows.held_letters(session, limit=limit)
        return Holds(
            [
                HeldProduct(each.printer, each.product, Held(each.held_at, each.held_by, each.reason))
                for each in rows.held(session)
            ],
            [
                HeldBatch(each.number, each.provider, each.letters, held)
                for each in rows.held_batches(session)
                if (held := held_of(each)) is not None
            ],
            [
                HeldLetter(name_of(each.delivery_id, each.leg), read_product(each.product).product, held)
                for each in letters
                if (held := held_of(each)) is not None
            ],
            count,
        )


def look(context: Context, names: Sequence[str]) -> list[PrintedLetter]:
    """Where letters are, in the order of their names.

    Raises:
        Invalid: ``letter_unknown``, ``list_too_long``.
    """
    if len(names) > MOST:
        raise Invalid(f"At most {MOST} letters at once.", code="list_too_long")
    places = {name: place_of(name) for name in names}
    ids = {place[0] for place in places.values() if place is not None}
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        newest = printing.newest_of(session, ids)
        legs = deliveries.legs(session, ids)
        states = {(delivery, leg.number): leg.state for delivery, each in legs.items() for leg in each}
        pulls = {(each.delivery_id, each.leg, each.attempt): each for each in post_pulls.asked(session, ids)}
        found = []
        for name, place in places.items():
            if place is None or place not in newest:
                raise unknown(name)
            letter, batch = newest[place]
            found.append(_view(name, letter, batch, states[place], pulls.get((*place, letter.attempt + 1))))
    return found


def proofs(context: Context, *, limit: int) -> list[ProofView]:
    """The newest proofs, and what the print houses said of them."""
    with context.database.transaction(organisations=[PLATFORM]) as session:
        entries = audit.acts(session, PROOFED, since=context.clock() - PROOFS_SHOWN, limit=limit)
        told: dict[tuple[str, int], dict[str | None, datetime]] = {}
        numbers = [entry.details["number"] for entry in entries if "number" in entry.details]
        for row in reports.inbounds_about(session, numbers):
            assert row.batch is not None
            told.setdefault((row.printer, row.batch), {}).setdefault(row.kind, row.received_at)
    return [_proof(entry, told) for entry in entries]


def _proof(entry: Entry, told: Mapping[tuple[str, int], Mapping[str | None, datetime]]) -> ProofView:
    printer, file = str(entry.details["printer"]), str(entry.details["file"])
    said = told.get((printer, entry.details.get("number", 0)), {})
    return ProofView(
        entry.subject, printer, file, entry.at, entry.actor, said.get("acknowledgement"), said.get("deleted")
    )


def _view(
    name: str, letter: PrintLetter, batch: PrintBatch | None, state: str, pull: PrintPullLetter | None
) -> PrintedLetter:
    return PrintedLetter(
        letter=name,
        state=state,
        product=read_product(letter.product).product,
        attempt=letter.attempt + 1,
        sheets=letter.sheets,
        queued_at=letter.queued_at,
        printer=None if batch is None else batch.provider,
        batch=None if batch is None else batch.number,
        handed_over_at=None if batch is None else batch.handed_over_at,
        reprint=letter.reprint_reason,
        pull=None if pull is None else {None: "ordered", True: "taken_out", False: "too_late"}[pull.pulled],
        held=held_of(letter),
    )
