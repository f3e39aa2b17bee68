"""Letters that wait for more than their next cut-off: how many, why, and since when."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from service.db import print_runs as rows
from service.db.printing import every_organisation
from service.db.session import widen
from service.domain.alarms import Sample
from service.usecases.context import Context
from service.usecases.products import read_product

UNPRINTED: Final = "unprinted"
"""No print house offers their product (any more)."""
HELD: Final = "held"
"""An operator holds them back: one by one, or their whole product."""
LEFT: Final = "left"
"""Their cut-off came, and no print house had room for them."""
REASONS: Final = (UNPRINTED, HELD, LEFT)


class Stuck(msgspec.Struct, frozen=True):
    """Letters of a product that wait for the same reason, a word of ``REASONS``; ``printer`` is null for nobody."""

    why: str
    printer: str | None
    product: str
    letters: int
    since: datetime


def stuck(context: Context) -> Sequence[Stuck]:
    """What waits for more than a cut-off, by reason, print house and product."""
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        return _stuck(session, context)


def samples(session: Session, context: Context) -> Iterable[Sample]:
    """What the alarms look at; the transaction sees all senders."""
    now = context.clock()
    found = _stuck(session, context)
    for why in REASONS:
        these = [each for each in found if each.why == why]
        yield Sample(f"zending_print_letters_{why}", sum(each.letters for each in these))
        waited = max(((now - each.since).total_seconds() for each in these), default=0.0)
        yield Sample(f"zending_print_letters_{why}_oldest_seconds", max(0.0, waited))


def _stuck(session: Session, context: Context) -> list[Stuck]:
    offered = {product for printer in context.printers.values() for product in printer.products}
    merged: dict[tuple[str, str | None, str], Stuck] = {}

    def add(why: str, printer: str | None, product: str, letters: int, since: datetime) -> None:
        before = merged.get((why, printer, product))
        if before is not None:
            letters, since = letters + before.letters, min(since, before.since)
        merged[why, printer, product] = Stuck(why, printer, product, letters, since)

    held = {(hold.printer, hold.product) for hold in rows.held(session)}
    for key, is_held, letters, since in rows.waits(session):
        product = read_product(key).product
        if product not in offered:
            add(UNPRINTED, None, product, letters, since)
            continue
        printer = context.printers.of(product).name
        if is_held or (printer, product) in held:
            add(HELD, printer, product, letters, since)
        elif (planned_at := rows.full_at(session, printer, product)) is not None:
            left, oldest = rows.left_behind(session, key, before=planned_at)
            if oldest is not None:
                add(LEFT, printer, product, left, oldest)
    return [merged[place] for place in sorted(merged, key=str)]
