"""What will come at the next cut-offs, told to operators at any time and to print houses once ahead of each."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from printing.errors import ProviderUnavailable
from printing.exchange import FileName, What
from printing.forecast import Count, Forecast, encode, forecast
from printing.manifest import BatchKey
from printing.providers.base import Parcel, hand_over
from service.db import print_runs as rows
from service.db import printing
from service.db.session import widen
from service.domain.print_envelopes import enveloped
from service.printers.wired import Printer, Product, Schedule
from service.usecases import recovery
from service.usecases.context import Context
from service.usecases.print_runs import keys_of, room
from service.usecases.print_sharing import fits, key_of
from service.usecases.products import read_product

log = structlog.get_logger()


@dataclass(frozen=True)
class Outlook:
    """What waits for one product of a print house.

    Attributes:
        cut_off: the next one.
        waiting: by what letters have in common.
        held: letters that an operator holds back one by one.
        left_letters: what the print house still takes today; None for as much as comes.
        left_sheets: the same.
        oldest: since when the oldest letter waits.
        is_held: the whole product is held back.
    """

    printer: str
    product: str
    cut_off: datetime
    waiting: Forecast
    held: int
    left_letters: int | None
    left_sheets: int | None
    oldest: datetime | None
    is_held: bool


def outlook(context: Context) -> Sequence[Outlook]:
    """What waits, by print house and product."""
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        return [
            _outlook(session, context, schedule, product)
            for schedule in context.printers.schedules()
            for product in schedule.products
        ]


def tell_due(context: Context) -> int:
    """Tell print houses what waits for cut-offs that are near; how many were told. Each is told once."""
    told = 0
    for schedule in context.printers.schedules():
        for product in schedule.products:
            told += bool(product.forecast) and _tell(context, schedule, product)
    return told


def _tell(context: Context, schedule: Schedule, product: Product) -> bool:
    printer, now = schedule.printer, context.clock()
    with context.database.transaction() as session:
        at = rows.cut_off(session, schedule.key)
        if at is None or not at - product.forecast <= now < at or rows.is_told(session, printer.name, product.name, at):
            return False
        widen(session, printing.every_organisation(session))
        # Held while it is brought there, so that two schedulers don't write one file at the same time.
        if not printing.lock_forecasts(session):
            return False
        recovery.guard(context)
        seen = _outlook(session, context, schedule, product).waiting
        place = sorted(printer.products).index(product.name) + 1
        name = FileName(printer.sender, 0, f"{at:%y%m%d%H%M%S}", What.FORECAST, place)
        content = encode(seen)
        parcel = Parcel(str(name), len(content), hashlib.sha256(content).hexdigest())
        try:
            hand_over(printer.provider, parcel, content, uploaded=False, commit_uploaded=lambda: None)
        except ProviderUnavailable:
            log.warning("forecast_not_sent", printer=printer.name, product=product.name)
            return False
        rows.told(
            session,
            {
                "printer": printer.name,
                "product": product.name,
                "cut_off_at": at,
                "told_at": now,
                "letters": seen.letters,
                "sheets": seen.sheets,
                "file_name": parcel.name,
            },
        )
        return True


def _counts(session: Session, keys: Sequence[str], printer: Printer, product: str) -> dict[BatchKey, Count]:
    """What waits by kind, as if it were all cut now: letters that will share an envelope are of its kind."""
    takes = fits(printer, product)
    kin = [] if takes is None else rows.with_kin(session, keys)
    # Those are left out here by their names: letters come and go between both questions.
    alone = rows.counted(session, keys, without=[letter.delivery_id for letter in kin])
    counts = {read_product(key): Count(letters, sheets, letters) for key, (letters, sheets) in alone.items()}
    for envelope in enveloped(kin, takes):
        key = read_product(key_of(envelope) or envelope.letters[0].kind)
        together = Count(len(envelope.letters), sum(letter.sheets for letter in envelope.letters), 1)
        counts[key] = counts.get(key, Count(0, 0, 0)).plus(together)
    return counts


def _outlook(session: Session, context: Context, schedule: Schedule, product: Product) -> Outlook:
    printer: Printer = schedule.printer
    now = context.clock()
    keys = keys_of(session, context, printer.name, product.name)
    cut_off = rows.cut_off(session, schedule.key) or schedule.after(now)
    counts = _counts(session, keys, printer, product.name)
    left = room(session, printer, product.name, now)
    return Outlook(
        printer=printer.name,
        product=product.name,
        cut_off=cut_off,
        waiting=forecast(printer.name, product.name, cut_off=cut_off, at=now, counts=counts),
        held=sum(letters for letters, _ in rows.counted(session, keys, held=True).values()),
        left_letters=left.letters,
        left_sheets=left.sheets,
        oldest=rows.oldest(session, keys),
        is_held=any((hold.printer, hold.product) == (printer.name, product.name) for hold in rows.held(session)),
    )
