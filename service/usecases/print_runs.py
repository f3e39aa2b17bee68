"""Runs of print houses: at a cut-off, or when an operator says so, what waits is shared, sorted and cut into batches.

A run is planned in one transaction, which also moves its cut-off on: every letter then has its place in it. Batches are
frozen afterwards, a transaction each, by whichever scheduler comes by; see docs/crash-order.md.
"""

import dataclasses
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy.orm import Session

from printing.manifest import file_name
from printing.profiles import Limits
from service.db import jobs
from service.db import print_runs as rows
from service.db import printing as print_rows
from service.db import retention as due
from service.db.ids import new_id
from service.db.jobs import JobKind, Lane, NewJob
from service.db.models import PrintBatch, PrintLetter
from service.db.print_models import PrintDeposit
from service.db.session import widen
from service.domain import calendar
from service.domain.errors import Conflict, NotFound
from service.domain.print_envelopes import enveloped
from service.domain.print_runs import Room, Waiting, cut, share
from service.domain.states import Actor, Event, LegState
from service.printers.wired import Printer, Product, Schedule
from service.usecases import audit, dossiers, recovery
from service.usecases.adoption import adopt
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.personal import PLATFORM
from service.usecases.print_sharing import envelopes_of, fits, key_of, sets_of
from service.usecases.products import read_product
from service.usecases.progress import Cause, Progress

log = structlog.get_logger()

PATIENCE: Final = 10.0
"""Seconds for which an operator's run waits for one that is being planned or cut."""


def close_due(context: Context) -> int:
    """Begin the runs whose cut-off has come, once each, and cut what is planned; the number of batches."""
    now = context.clock()
    begun = False
    for schedule in context.printers.schedules():
        begun = _begin_due(context, schedule, now) or begun
    # A run that somebody left half cut is cut to its end too.
    return cut_all(context) if begun or _is_open(context) else 0


def close(context: Context, *, actor: str, printer: str | None = None, product: str | None = None) -> int:
    """Begin runs of everything that waits now, whatever the hour, and cut them; the number of batches.

    Args:
        context: the wired parts.
        actor: who wants it, an operator.
        printer: only letters that go there first.
        product: only these.

    Raises:
        NotFound: there is no such print house, or nobody offers such a product.
        Conflict: ``run_under_way``: another is being planned for long; try again.
    """
    recovery.guard(context)
    only = None if printer is None else context.printers.named(printer).name
    if product is not None and all(product not in each.products for each in context.printers.values()):
        raise NotFound("No print house has such a product.")
    with context.database.transaction() as session:
        widen(session, print_rows.every_organisation(session))
        if not print_rows.lock_freezing(session, seconds=PATIENCE):
            raise Conflict("A run is being planned; try again.", code="run_under_way")
        for schedule in context.printers.schedules():
            for each in schedule.products:
                if only in {None, schedule.printer.name} and product in {None, each.name}:
                    _plan(session, context, schedule.printer, each, Actor.OPERATOR, cut_off=None)
        audit.record(session, actor=actor, act="print.close", subject=f"{printer or '*'}:{product or '*'}")
    return cut_all(context)


def _is_open(context: Context) -> bool:
    with context.database.transaction() as session:
        return rows.open_deposit(session) is not None


def _begin_due(context: Context, schedule: Schedule, now: datetime) -> bool:
    with context.database.transaction() as session:
        at = rows.cut_off(session, schedule.key)
        if at is None:
            # The first cut-off of a new print house is the next one.
            print_rows.take_cutoff(session, schedule.key, now=now, next_at=schedule.after(now))
    if at is None or at > now:
        return False
    recovery.guard(context)
    with context.database.transaction() as session:
        widen(session, print_rows.every_organisation(session))
        # Several cut-offs that were missed are made up by one run.
        if not print_rows.lock_freezing(session) or not print_rows.take_cutoff(
            session, schedule.key, now=now, next_at=schedule.after(now)
        ):
            return False
        for product in schedule.products:
            _plan(session, context, schedule.printer, product, Actor.CLOCK, cut_off=at)
    return True


# ---------------------------------------------------------------- planning
def keys_of(session: Session, context: Context, printer: str, product: str) -> list[str]:
    """The kinds (batch keys) of waiting letters that go to this print house first, as this product."""
    if context.printers.of(product).name != printer:
        return []
    return [text for text in rows.products(session) if read_product(text).product == product]


def room(session: Session, printer: Printer, product: str, now: datetime) -> Room:
    """What a print house still takes today."""
    offered = printer.products[product]
    used = rows.used(session, printer.name, product, calendar.local_date(now))
    return Room(offered.daily_letters, offered.daily_sheets).less(*used)


def _plan(
    session: Session, context: Context, printer: Printer, product: Product, actor: Actor, *, cut_off: datetime | None
) -> None:
    """Give every letter that goes now its place; the transaction has the lock and sees all senders."""
    now = context.clock()
    if any((hold.printer, hold.product) == (printer.name, product.name) for hold in rows.held(session)):
        log.warning("print_run_held", printer=printer.name, product=product.name)
        return
    keys = keys_of(session, context, printer.name, product.name)
    if not keys:
        return
    second = None if product.second is None else context.printers.named(product.second)
    rooms = [room(session, each, product.name, now) for each in (printer, second) if each is not None]
    held_second = second is not None and any(
        (hold.printer, hold.product) == (second.name, product.name) for hold in rows.held(session)
    )
    if held_second:
        rooms[1] = Room(0, 0)
    waiting = rows.waiting(session, keys, limit=most_of(rooms))
    shares = share(waiting, rooms[0], rooms[1] if second is not None else None)
    left = sum(count for count, _ in rows.counted(session, keys).values()) - len(shares.first) - len(shares.second)
    if left:
        log.warning("print_run_full", printer=printer.name, product=product.name, letters_left=left)
    due_at = now if cut_off is None else now + product.hand_over
    told: dict[str, Any] = {"cut_off_at": cut_off, "planned_at": now, "due_at": due_at, "actor": actor.value}
    counts = {"second": len(shares.second), "waiting": left}
    if shares.first or left:
        write_run(session, printer, product.name, shares.first, told | counts)
    if second is not None and shares.second:
        write_run(session, second, product.name, shares.second, told | {"second": 0, "waiting": 0})


def most_of(rooms: Sequence[Room]) -> int | None:
    """How many letters can go at most; no more are read."""
    counts = [each.letters if each.letters is not None else each.sheets for each in rooms]
    return None if any(each is None for each in counts) else sum(each for each in counts if each is not None)


def write_run(
    session: Session, printer: Printer, product: str, letters: Sequence[Waiting], told: dict[str, Any]
) -> None:
    """Give letters their places in a run of a print house; the transaction has the lock and sees all senders."""
    sorted_by = [dataclasses.replace(letter, presort=printer.presort.code(letter.postcode)) for letter in letters]
    envelopes = enveloped(sorted_by, fits(printer, product))
    deposit = PrintDeposit(
        id=new_id(),
        printer=printer.name,
        product=product,
        planned_on=calendar.local_date(told["planned_at"]),
        letters=len(letters),
        sheets=sum(letter.sheets for letter in letters),
        closed_at=None,
        **told,
    )
    rows.plan(session, deposit, envelopes, [key_of(each) for each in envelopes])


# ---------------------------------------------------------------- cutting
def cut_all(context: Context) -> int:
    """Cut every run that is planned into batches; their number."""
    recovery.guard(context)
    closed = 0
    while (done := _cut_once(context)) is not None:
        closed += done
    if closed:
        context.wake([JobKind.HAND_OVER])
    return closed


def _cut_once(context: Context) -> int | None:
    """Freeze one batch, or end a run that has no more; None where nothing is open, or somebody else is at it."""
    with context.database.transaction() as session:
        widen(session, print_rows.every_organisation(session))
        if not print_rows.lock_freezing(session):
            # Somebody else is at it, and ends what they began.
            return None
        deposit = rows.open_deposit(session)
        if deposit is None:
            return None
        printer = context.printers.get(deposit.printer)
        if printer is None:
            # It was taken out of the configuration in between: its letters are planned anew, for who prints them now.
            rows.release(session, [letter.delivery_id for letter in _rest(session, deposit)])
            deposit.closed_at = context.clock()
            return 0
        while letters := _next(session, printer, deposit):
            if _freeze(session, context, printer, deposit, letters):
                return 1
        deposit.closed_at = context.clock()
        return 0


def _rest(session: Session, deposit: PrintDeposit) -> Iterator[PrintLetter]:
    while letters := rows.next_letters(session, deposit.id, limit=1000):
        rows.release(session, [letter.delivery_id for letter in letters])
        yield from letters


def _next(session: Session, printer: Printer, deposit: PrintDeposit) -> list[PrintLetter]:
    """The letters of the next batch: of one kind, and as many as its files hold."""
    limits = printer.profile.limits
    # So many more that the last envelope which may still fit is read whole: each letter has a sheet.
    most = limits.batch_letters * printer.files_per_batch + printer.profile.envelopes[-1].most_sheets
    letters = rows.next_letters(session, deposit.id, limit=most)
    files = files_of(letters, limits)[: printer.files_per_batch]
    return [letter for file in files for letter in file]


def files_of(letters: Sequence[PrintLetter], limits: Limits) -> list[list[PrintLetter]]:
    """A batch's letters by the PDF they stand in: always the same for the same letters."""
    envelopes = envelopes_of(letters)
    return list(cut(envelopes, lambda each: each.size, most=limits.batch_letters, most_bytes=limits.batch_bytes))


def _freeze(
    session: Session, context: Context, printer: Printer, deposit: PrintDeposit, waiting: Sequence[PrintLetter]
) -> bool:
    """Write a batch of those of these letters that can go; the others leave the run."""
    found = dossiers.load_readable(session, context, [letter.delivery_id for letter in waiting], lock=True)
    # Without its key a letter can't be printed; it waits for the key, and nobody waits for it.
    rows.release(session, {letter.delivery_id for letter in waiting} - found.keys())
    letters = [letter for letter in waiting if letter.delivery_id in found]
    gone = {letter.delivery_id for letter in letters if not _printable(found, letter)}
    # Cancelled while it waited: it leaves the queue here, before anything is frozen.
    print_rows.withdraw(session, gone)
    letters = [letter for letter in letters if letter.delivery_id not in gone]
    letters = adopt(session, context, letters, found)
    if not letters:
        return False
    now = context.clock()
    # The file's name tells whole seconds.
    frozen_at = now.replace(microsecond=0)
    number = print_rows.next_number(session)
    name = file_name(printer.sender, number, frozen_at)
    sets_of(letters)
    key = dataclasses.replace(read_product(letters[0].envelope_product or letters[0].product), provider=printer.name)
    batch = PrintBatch(
        id=new_id(),
        number=number,
        provider=printer.name,
        product={"key": msgspec.json.encode(key).decode()},
        state="frozen",
        file_name=printer.called(name),
        frozen_at=frozen_at,
        letters=len(letters),
        deposit_id=deposit.id,
    )
    print_rows.freeze(session, batch, letters)
    due.span_year(session, PLATFORM, calendar.retention_year(batch.frozen_at), [batch.id])
    progress = Progress(context, now=now)
    for letter in letters:
        dossier = found[letter.delivery_id]
        leg = dossier.leg(letter.leg)
        # One that is printed again is where the post's reports left it.
        if letter.attempt == 0:
            progress.happen(dossier, Event.BATCHED, Cause(Actor(deposit.actor)), leg=leg)
    progress.write(session)
    later = deposit.due_at if deposit.due_at > now else None
    jobs.put(session, [NewJob(JobKind.HAND_OVER, PLATFORM, batch.id, lane=Lane.BULK, due_at=later)])
    return True


def _printable(found: dict[uuid.UUID, Dossier], letter: PrintLetter) -> bool:
    state = found[letter.delivery_id].leg(letter.leg).state
    if letter.attempt:
        # Ordered again, and in the meantime it was delivered or came back.
        return state not in {LegState.DELIVERED.value, LegState.RETURNED.value}
    return state == LegState.TO_PRINT.value
