"""What an operator holds back from print, with a reason: letters, batches, products; and lets go again."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy.orm import Session

from service.db import jobs, print_runs, printing
from service.db.ids import BATCH, public_id
from service.db.jobs import JobKind, Lane, NewJob
from service.db.models import PrintBatch, PrintLetter
from service.db.session import widen
from service.domain.errors import Conflict, Invalid, NotFound
from service.usecases import audit
from service.usecases.context import Context
from service.usecases.personal import PLATFORM
from service.usecases.post_statements import place as place_of
from service.usecases.post_statements import unknown
from service.usecases.print_sharing import leave_run
from service.usecases.reasons import checked


class Held(msgspec.Struct, frozen=True):
    """Since when something is held back, by whom, and why."""

    at: datetime
    by: str
    reason: str


def held_of(row: PrintLetter | PrintBatch) -> Held | None:
    """What holds a letter or batch back."""
    return None if row.held_at is None else Held(row.held_at, row.held_by or "", row.held_reason or "")


def hold_letters(context: Context, names: Sequence[str], *, reason: str, actor: str) -> int:
    """Keep letters that wait from going into a batch; how many were not held before.

    Args:
        context: the wired parts.
        names: as manifests have them.
        reason: why, for whoever sees them waiting.
        actor: who wants it.

    Raises:
        Invalid: ``reason_missing``; ``letter_unknown`` or ``letter_not_waiting``: nothing was held.
    """
    reason = checked(reason)
    held = 0
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        for name in names:
            letter = _waiting(session, name)
            if letter.held_at is None:
                letter.held_at, letter.held_by, letter.held_reason = context.clock(), actor, reason
                leave_run(letter)
                held += 1
                audit.record(session, actor=actor, act="print_letter.hold", subject=name)
    return held


def release_letters(context: Context, names: Sequence[str], *, actor: str) -> int:
    """Let held letters go with the next run; how many were held.

    Raises:
        Invalid: ``letter_unknown`` or ``letter_not_waiting``: nothing was released.
    """
    released = 0
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        for name in names:
            letter = _waiting(session, name)
            if letter.held_at is not None:
                letter.held_at = letter.held_by = letter.held_reason = None
                released += 1
                audit.record(session, actor=actor, act="print_letter.release", subject=name)
    return released


def hold_batch(context: Context, number: int, *, reason: str, actor: str) -> None:
    """Keep a batch from being handed over.

    Raises:
        NotFound: there is no such batch.
        Invalid: ``reason_missing``.
        Conflict: ``batch_fixed``, it is with the print house or on its way; ``held_already``.
    """
    reason = checked(reason)
    with context.database.transaction() as session:
        batch = _batch(session, number)
        if batch.state != "frozen" or batch.fixed_at is not None:
            raise Conflict("The batch is with the print house, or on its way there.", code="batch_fixed")
        if batch.held_at is not None:
            raise Conflict("The batch is held already.", code="held_already")
        batch.held_at, batch.held_by, batch.held_reason = context.clock(), actor, reason
        audit.record(session, actor=actor, act="print_batch.hold", subject=public_id(BATCH, batch.id))


def release_batch(context: Context, number: int, *, actor: str) -> None:
    """Have a held batch handed over.

    Raises:
        NotFound: there is no such batch.
        Conflict: ``not_held``.
    """
    with context.database.transaction() as session:
        batch = _batch(session, number)
        if batch.held_at is None:
            raise Conflict("The batch is not held.", code="not_held")
        batch.held_at = batch.held_by = batch.held_reason = None
        jobs.put(session, [NewJob(JobKind.HAND_OVER, PLATFORM, batch.id, lane=Lane.BULK)])
        audit.record(session, actor=actor, act="print_batch.release", subject=public_id(BATCH, batch.id))
    context.wake([JobKind.HAND_OVER])


def hold_product(context: Context, printer: str, product: str, *, reason: str, actor: str) -> None:
    """Keep a product's letters from going at cut-offs; they wait, and are counted as waiting.

    Raises:
        NotFound: there is no such print house, or it has no such product.
        Invalid: ``reason_missing``.
        Conflict: ``held_already``.
    """
    reason = checked(reason)
    offered = context.printers.named(printer).products
    if product not in offered:
        raise NotFound(f"The print house has no such product; it offers: {', '.join(offered)}.")
    with context.database.transaction() as session:
        row = {"printer": printer, "product": product, "held_at": context.clock(), "held_by": actor, "reason": reason}
        if not print_runs.hold(session, row):
            raise Conflict("The product is held already.", code="held_already")
        audit.record(session, actor=actor, act="print_product.hold", subject=f"{printer}:{product}")


def release_product(context: Context, printer: str, product: str, *, actor: str) -> None:
    """Let a product's letters go with the next run again.

    Raises:
        Conflict: ``not_held``.
    """
    with context.database.transaction() as session:
        if not print_runs.let_go(session, printer, product):
            raise Conflict("The product is not held.", code="not_held")
        audit.record(session, actor=actor, act="print_product.release", subject=f"{printer}:{product}")


def _waiting(session: Session, name: str) -> PrintLetter:
    place = place_of(name)
    letter = None if place is None else printing.newest(session, *place)
    if letter is None:
        raise unknown(name)
    if letter.batch_id is not None:
        raise Invalid(f"The letter {name} does not wait: it is in a batch.", code="letter_not_waiting")
    return letter


def _batch(session: Session, number: int) -> PrintBatch:
    batch = printing.numbered(session, number)
    if batch is None:
        raise NotFound(f"There is no batch {number}.")
    return batch
