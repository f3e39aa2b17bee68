"""What was sent to print houses against what came back of it: per batch and per day, in numbers that must balance."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy.orm import Session

from service.db import post_balance as rows
from service.db import post_reports as reports
from service.db.ids import BATCH, public_id
from service.db.models import PrintBatch
from service.db.post_balance import Counts
from service.db.post_models import PrintBatchReport
from service.db.printing import every_organisation
from service.db.session import widen
from service.domain import calendar
from service.domain.alarms import Sample
from service.usecases import post_batches
from service.usecases.context import Context
from service.usecases.post_statements import name_of
from service.usecases.print_holds import Held, held_of
from service.usecases.products import read_product

WINDOW: Final = timedelta(days=80)
"""How far back batches are looked at; copies and with them the letters' rows are kept for longer."""
ANSWER: Final = timedelta(hours=4)
"""In which a print house acknowledges a file."""
ASKED_FOR: Final = timedelta(days=366)
"""How long after its time a print house is asked whether it deleted a file."""
MISSING_SHOWN: Final = 200

NOT_HANDED_OVER, NOT_ACKNOWLEDGED, DIFFERS = "not_handed_over", "not_acknowledged", "acknowledged_otherwise"
LETTERS_DIFFER, SHEETS_DIFFER, LATE, REJECTED = "letters_differ", "sheets_differ", "letters_late", "letters_rejected"
NOT_DELETED: Final = "not_deleted"


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """A batch, or the batches of a day, in numbers; ``off`` says what does not balance or is late.

    ``envelopes`` are fewer than ``letters`` where letters share one. ``letters`` is the sum of ``posted``, ``pulled``,
    ``rejected``, ``given_up`` and ``missing``; ``delivered`` and ``returned`` are among the posted.
    ``sheets_of_posted`` is our count of the letters whose posting came with one, ``sheets_posted`` the print house's.
    """

    letters: int
    envelopes: int
    sheets: int
    accepted: int
    unanswered: int
    printed: int
    posted: int
    delivered: int
    returned: int
    pulled: int
    rejected: int
    given_up: int
    missing: int
    late: int
    sheets_of_posted: int
    sheets_posted: int
    postage_cents: int
    off: list[str]


class BatchBalance(Balance, frozen=True, kw_only=True):
    """A batch with its balance. From ``fixed_at`` on it is as it is, and can't be held back any more."""

    id: str
    number: int
    printer: str
    product: str
    file_name: str
    state: str
    frozen_at: datetime
    handed_over_at: datetime | None
    deadline: datetime | None
    acknowledged_at: datetime | None
    deleted_at: datetime | None
    fixed_at: datetime | None
    held: Held | None


class DayBalance(Balance, frozen=True, kw_only=True):
    """A day's batches together; ``strangers`` counts what was told that day of what we never sent."""

    day: date
    batches: int
    unacknowledged: int
    strangers: int


@dataclass(frozen=True)
class _Told:
    acknowledged: PrintBatchReport | None
    differs: bool
    deleted: PrintBatchReport | None


def of_day(context: Context, day: date) -> tuple[DayBalance, list[BatchBalance]]:
    """The batches that were handed over on a day, in Brussels, each and together."""
    since = calendar.begins(day)
    until = calendar.begins(day + timedelta(days=1))
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        each = _balances(session, context, rows.handed_over(session, since, until))
        strangers = reports.strangers(session, since, until)
    return _day(day, each, strangers), each


def newest(context: Context, *, limit: int, before: int | None = None) -> list[BatchBalance]:
    """The newest batches."""
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        return _balances(session, context, rows.newest(session, limit=limit, before=before))


def of_batch(context: Context, number: int) -> tuple[BatchBalance, list[str]] | None:
    """A batch by its number, and the letters that are missing (the first of them); None where there is none."""
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        batch = reports.batch_by_number(session, number)
        if batch is None:
            return None
        (balance,) = _balances(session, context, [batch])
        lost = rows.missing(session, batch.id, most=MISSING_SHOWN) if batch.handed_over_at is not None else []
    return balance, [name_of(delivery, leg) for delivery, leg, _ in lost]


def round_(context: Context) -> int:
    """Note the batches of which every letter was posted or has its end: they are not looked at any more; how many."""
    now = context.clock()
    with context.database.transaction() as session:
        widen(session, every_organisation(session))
        open_ = rows.unsettled(session, now - WINDOW)
        counted = rows.counts(session, [batch.id for batch in open_])
        done = [batch for batch in open_ if batch.id in counted and _is_settled(batch, counted[batch.id])]
        for batch in done:
            rows.settle(session, batch, now=now)
    return len(done)


def samples(session: Session, context: Context) -> Iterable[Sample]:
    """What the alarms look at."""
    now = context.clock()
    deleted = now - _deletion(context)
    lags = rows.lags(session, since=now - WINDOW, deleted=deleted, kept=deleted - ASKED_FOR)
    yield Sample("zending_print_exceptions", lags.exceptions)
    for name, since in (
        ("inbound", lags.inbound),
        ("pull", lags.pull),
        ("acknowledgement", lags.acknowledgement),
    ):
        waited = 0.0 if since is None else max(0.0, (now - since).total_seconds())
        yield Sample(f"zending_print_{name}_oldest_seconds", waited)
    yield Sample("zending_print_files_not_deleted", lags.undeleted)
    telling = rows.telling(session)
    open_ = [batch for batch in rows.unsettled(session, now - WINDOW) if batch.provider in telling]
    overdue = [batch for batch in open_ if (until := deadline(context, batch)) is not None and until < now]
    counted = rows.counts(session, [batch.id for batch in overdue])
    yield Sample("zending_print_letters_late", sum(each.missing for each in counted.values()))


def deadline(context: Context, batch: PrintBatch) -> datetime | None:
    """Until when the post has the letters of a batch: the end of so many working days after its hand-over.

    As many as its print house says of the product; where it says none, or is not described any more, the settings do.
    """
    if batch.handed_over_at is None:
        return None
    printer = context.printers.get(batch.provider)
    product = None if printer is None else printer.products.get(read_product(batch.product["key"]).product)
    days = (None if product is None else product.deadline_days) or context.post_promises.deadline_days
    last = calendar.add_working_days(calendar.local_date(batch.handed_over_at), days)
    return calendar.begins(last + timedelta(days=1))


def _deletion(context: Context) -> timedelta:
    """How long a print house may keep our files."""
    return timedelta(days=context.post_promises.deletion_days)


def _is_settled(batch: PrintBatch, counted: Counts) -> bool:
    return counted.letters == batch.letters and counted.missing == 0


def _balances(session: Session, context: Context, batches: Sequence[PrintBatch]) -> list[BatchBalance]:
    ids = [batch.id for batch in batches]
    counted = rows.counts(session, ids)
    told = _told(reports.batch_reports(session, ids))
    now = context.clock()
    return [
        _balance(context, batch, counted.get(batch.id), told.get(batch.id, _Told(None, False, None)), now)
        for batch in batches
    ]


def _told(said: Iterable[PrintBatchReport]) -> Mapping[object, _Told]:
    found: dict[object, _Told] = {}
    for row in said:
        before = found.get(row.batch_id, _Told(None, False, None))
        if row.event == post_batches.ACKNOWLEDGED:
            first = before.acknowledged or (row if row.agrees else None)
            found[row.batch_id] = _Told(first, before.differs or not row.agrees, before.deleted)
        elif row.event == post_batches.DELETED and row.agrees:
            found[row.batch_id] = _Told(before.acknowledged, before.differs, before.deleted or row)
    return found


def _balance(context: Context, batch: PrintBatch, counted: Counts | None, told: _Told, now: datetime) -> BatchBalance:
    known = counted or Counts()
    until = deadline(context, batch)
    is_out = batch.handed_over_at is not None
    is_kept = batch.handed_over_at is not None and batch.handed_over_at < now - _deletion(context)
    missing = known.missing if is_out else 0
    late = missing if until is not None and until < now else 0
    off = [
        code
        for code, holds in (
            (NOT_HANDED_OVER, not is_out),
            (NOT_ACKNOWLEDGED, is_out and told.acknowledged is None),
            (DIFFERS, told.differs),
            (LETTERS_DIFFER, counted is not None and known.letters != batch.letters),
            (SHEETS_DIFFER, _sheets_differ(batch, counted)),
            (REJECTED, known.rejected > 0),
            (LATE, late > 0),
            (NOT_DELETED, is_kept and told.deleted is None),
        )
        if holds
    ]
    return BatchBalance(
        id=public_id(BATCH, batch.id),
        number=batch.number,
        printer=batch.provider,
        product=batch.product["key"],
        file_name=batch.file_name,
        state=batch.state,
        frozen_at=batch.frozen_at,
        handed_over_at=batch.handed_over_at,
        deadline=until,
        acknowledged_at=None if told.acknowledged is None else told.acknowledged.at,
        deleted_at=None if told.deleted is None else told.deleted.at,
        fixed_at=batch.fixed_at,
        held=held_of(batch),
        letters=batch.letters,
        envelopes=known.envelopes,
        sheets=batch.sheets or known.sheets,
        accepted=known.accepted,
        unanswered=known.letters - known.accepted - known.refused if is_out else 0,
        printed=known.printed,
        posted=known.posted,
        delivered=known.delivered,
        returned=known.returned,
        pulled=known.pulled,
        rejected=known.rejected,
        given_up=known.given_up,
        missing=missing,
        late=late,
        sheets_of_posted=known.told_sheets,
        sheets_posted=known.posted_sheets,
        postage_cents=known.postage_cents,
        off=off,
    )


def _sheets_differ(batch: PrintBatch, counted: Counts | None) -> bool:
    if counted is None:
        return False
    return counted.told_sheets != counted.posted_sheets or (batch.sheets or counted.sheets) != counted.sheets


_SUMMED: Final = tuple(name for name in Balance.__struct_fields__ if name != "off")


def _day(day: date, each: Sequence[BatchBalance], strangers: int) -> DayBalance:
    sums = {name: sum(getattr(balance, name) for balance in each) for name in _SUMMED}
    return DayBalance(
        **sums,
        off=sorted({code for balance in each for code in balance.off}),
        day=day,
        batches=len(each),
        unacknowledged=sum(balance.acknowledged_at is None for balance in each),
        strangers=strangers,
    )
