"""What may go when its period is over, goes: originals, print copies, documents, evidence and names, last the key.

Each round does a bounded amount of work, a chunk per transaction. Nothing outside is called here: a transaction stops
naming an object and writes down that it is to be removed, and the collector (``housekeeping``) removes it a recovery
window later. So a crash between any two steps is harmless, and so are two schedulers at once. See docs/retention.md.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import structlog
from sqlalchemy.orm import Session

from service.db import archive, mandates, post_reports, printing, signatures, webhooks
from service.db import deliveries as rows
from service.db import retention as due
from service.db.models import DeliveryRow, LegRow, VaultObject
from service.db.retention import Removal, RetentionLater, RetentionRule, RetentionWalk, RetentionYear
from service.db.session import widen
from service.domain import calendar
from service.domain.errors import Invalid
from service.domain.states import DeliveryState, LegKind, LegState
from service.domain.webhooks import QUIET
from service.usecases.context import Context
from service.usecases.kept_answers import erased_name, forget_file_names
from service.usecases.personal import PLATFORM, seal_text
from service.usecases.signatures import ending

log = structlog.get_logger()

CHUNK: Final = 200
SUBMISSIONS: Final = 10
"""Each may have a hundred thousand rows."""
AGAIN: Final = timedelta(hours=1)
"""A walk that has come to its end looks again after this long."""
LATER: Final = timedelta(days=1)
"""What was held or unfinished is looked at again after this long."""
MARGIN: Final = timedelta(hours=1)
"""Ids are made before their rows are committed, on machines whose clocks differ: a walk stays this far behind."""


class Stage(StrEnum):
    """What goes, in this order."""

    ORIGINAL = "original"
    """What was handed in, once the sealed document stands in its place."""
    PRINT = "print"
    """Copies made for print."""
    CONTENT = "content"
    """The documents, and the names of their files."""
    EVIDENCE = "evidence"
    """The delivery with all its rows: evidence, salts, names, numbers, addresses."""


@dataclass(frozen=True, slots=True)
class Periods:
    """How long what is kept, in days from the hand-in where nothing else is said; evidence: per retention year.

    Attributes:
        window: how far back a restore may go; objects and keys outlive their rows by this.
        print_days: copies of letters; files of batches, from their hand-over.
        content_days: documents, in mailboxes and for senders; of signature requests, from their end.
        ended_days: documents of deliveries that were cancelled or rejected; mandates that nobody accepted.
        mailbox_days: a mailbox that was given up and the proofs of its consents, from the revocation; mandates too.
        lookup_days: look-ups, and the access log that citizens see.
        webhook_days: messages to webhooks and how each attempt went, from the event.
    """

    window: timedelta
    print_days: int = 90
    content_days: int = 1095
    ended_days: int = 30
    mailbox_days: int = 3653
    lookup_days: int = 730
    webhook_days: int = 30


def run(context: Context, periods: Periods, *, chunks: int = 50) -> int:
    """One round: at most so many chunks of each kind; returns how many chunks had something due."""
    work: Sequence[Callable[[Session, Context, Periods, datetime], bool]] = (
        _walk, _come_back, _end_years, _end_batches, _end_inbound, ending.end, _end_others, _destroy_key,
    )  # fmt: skip
    done = 0
    with context.database.transaction() as session:
        _widened(session)
        due.begin_walks(session, now=context.clock())
    for one in work:
        for _ in range(chunks):
            with context.database.transaction() as session:
                _widened(session)
                if not one(session, context, periods, context.clock()):
                    break
            done += 1
    return done


def set_periods(
    session: Session,
    organisation: uuid.UUID,
    *,
    document_type: str = "",
    print_days: int | None,
    content_days: int | None,
    signature_days: int | None = None,
    now: datetime,
) -> None:
    """Give an organisation, or one of its document types, periods of its own; None takes the next wider one's.

    What a shorter period finds over goes within the hour; what a longer one would have kept and is gone stays gone.

    Raises:
        Invalid: ``period_not_of_type``, signature requests have no document type.
    """
    if document_type and signature_days is not None:
        raise Invalid("Signature requests have no document type.", code="period_not_of_type")
    _widened(session)
    values = {
        "print_days": print_days,
        "content_days": content_days,
        "signature_days": signature_days,
        "changed_at": now,
    }
    session.merge(RetentionRule(organisation_id=organisation, document_type=document_type, **values))
    session.flush()
    due.begin_walks(session, now=now)
    due.walk_again(session, organisation, now=now)


def _widened(session: Session) -> None:
    widen(session, printing.every_organisation(session))


def _walk(session: Session, context: Context, periods: Periods, now: datetime) -> bool:
    walk = due.next_walk(session, now=now)
    if walk is None:
        return False
    rules = due.rules_of(session, walk.organisation_id)
    until = rows.lowest_id(now - MARGIN - _period(periods, rules, walk))
    found = due.along(session, walk.organisation_id, walk.position, until, limit=CHUNK)
    mine = [row for row in found if (row.document_type if row.document_type in rules else "") == walk.document_type]
    stage = Stage(walk.stage)
    if stage is Stage.ORIGINAL:
        # Every delivery passes here soon after its hand-in, whatever its type.
        mine = list(found)
        due.span_years(session, found)
    _deal_with(session, context, periods, stage, mine, now)
    if found:
        walk.position = found[-1].id
    if len(found) < CHUNK:
        walk.next_at = now + AGAIN
    session.flush()
    return True


def _period(periods: Periods, rules: Mapping[str, RetentionRule], walk: RetentionWalk) -> timedelta:
    """How long after a hand-in this walk comes by."""
    own, wide = rules.get(walk.document_type), rules.get("")
    if walk.stage == Stage.PRINT:
        days = (own and own.print_days) or (wide and wide.print_days) or periods.print_days
    elif walk.stage == Stage.CONTENT:
        days = content_days(periods, rules, walk.document_type)
    else:
        days = 0
    return timedelta(days=days)


def content_days(periods: Periods, rules: Mapping[str, RetentionRule], document_type: str) -> int:
    """Days for which an organisation's documents of a type are kept, by its rules and the settings."""
    own, wide = rules.get(document_type), rules.get("")
    return (own and own.content_days) or (wide and wide.content_days) or periods.content_days


def _come_back(session: Session, context: Context, periods: Periods, now: datetime) -> bool:
    waiting = due.due_later(session, now=now, limit=CHUNK)
    for stage in Stage:
        wanted = [each for each in waiting if each.stage == stage]
        if wanted:
            _again(session, context, periods, stage, wanted, now)
    return bool(waiting)


def _again(
    session: Session,
    context: Context,
    periods: Periods,
    stage: Stage,
    waiting: Sequence[RetentionLater],
    now: datetime,
) -> None:
    ids = [each.delivery_id for each in waiting]
    found = rows.by_ids(session, ids, lock=True)
    for each in waiting:
        session.expunge(each)
        if each.delivery_id not in found:
            due.done_later(session, each.delivery_id, stage)
    if stage is Stage.EVIDENCE:
        _end(session, list(found.values()), now)
    else:
        _deal_with(session, context, periods, stage, list(found.values()), now)


def _deal_with(
    session: Session,
    context: Context,
    periods: Periods,
    stage: Stage,
    chunk: Sequence[DeliveryRow],
    now: datetime,
) -> None:
    """Let go of what a stage lets go of, for deliveries that are locked; the others are come back to."""
    ready = _ready(session, stage, chunk, now)
    if stage is Stage.ORIGINAL:
        for row in ready:
            if row.state != DeliveryState.SEALED:
                due.put_off(
                    session, row, Stage.CONTENT, "ended", until=row.created_at + timedelta(days=periods.ended_days)
                )
    _LETTING_GO[stage](session, context, ready, now)
    for row in ready:
        due.done_later(session, row.id, stage)


def _ready(session: Session, stage: Stage, chunk: Sequence[DeliveryRow], now: datetime) -> list[DeliveryRow]:
    """Those that are at their end as far as the stage is concerned, and that nobody holds."""
    ids = [row.id for row in chunk]
    held, legs = due.held(session, ids), rows.legs(session, ids)
    ready = []
    for row in chunk:
        if row.id in held:
            due.put_off(session, row, stage, "held", until=now + LATER)
        elif not finished(stage, row, legs[row.id]):
            due.put_off(session, row, stage, "unfinished", until=now + LATER)
        else:
            ready.append(row)
    return ready


_ON_ITS_WAY: Final = frozenset({LegState.PENDING, LegState.OFFERED, LegState.TO_PRINT, LegState.BATCHED})


def finished(stage: Stage, row: DeliveryRow, legs: Collection[LegRow]) -> bool:
    """Whether nothing that is still to happen to a delivery needs what this stage lets go of."""
    if row.state == DeliveryState.RECEIVED:
        return False
    if stage is Stage.ORIGINAL or row.state != DeliveryState.SEALED:
        return True
    if stage is Stage.PRINT:
        return not any(leg.kind == LegKind.PAPER and leg.state in _ON_ITS_WAY for leg in legs)
    # Sealed and without a leg: not routed yet.
    return bool(legs) and not any(leg.state in _ON_ITS_WAY for leg in legs)


def _originals(session: Session, _context: Context, chunk: Sequence[DeliveryRow], now: datetime) -> None:
    sealed = {row.id for row in chunk if row.state == DeliveryState.SEALED}
    named = {row.path for row in due.documents(session, sealed)}
    _let_go(session, sealed, now, lambda role, path: role.startswith("original-") and path not in named)


def _copies(session: Session, _context: Context, chunk: Sequence[DeliveryRow], now: datetime) -> None:
    ids = {row.id for row in chunk}
    _let_go(session, ids, now, lambda role, _: role.startswith("print-"))
    printing.forget(session, ids)


def _contents(session: Session, context: Context, chunk: Sequence[DeliveryRow], now: datetime) -> None:
    years = {row.id: row.retention_year for row in chunk}
    # Pictures prove what evidence says: they go with it.
    _let_go(session, years.keys(), now, lambda role, _: not role.startswith("scan-"))
    printing.forget(session, years.keys())
    archive.DELIVERIES.forget(session, years.keys())
    for row in due.documents(session, years.keys()):
        if row.erased_at is None:
            row.erased_at = now
            # What a sender called a file may tell as much as the file.
            row.filename = seal_text(
                context,
                erased_name(row.position),
                organisation=row.organisation_id,
                year=years[row.delivery_id],
                place=f"document.filename:{row.delivery_id}/{row.position}",
            )
    session.flush()
    forget_file_names(session, context, years)


_LETTING_GO: Final = {Stage.ORIGINAL: _originals, Stage.PRINT: _copies, Stage.CONTENT: _contents}


def _let_go(session: Session, ids: Collection[uuid.UUID], now: datetime, which: Callable[[str, str], bool]) -> None:
    found = due.kept_objects(session, ids)
    due.remove_later(session, _removals(each for each in found if which(each.role, each.path)), now=now)


def _removals(objects: Iterable[VaultObject]) -> list[Removal]:
    return [Removal(each.path, each.subject_id, each.organisation_id) for each in objects]


def _end_years(session: Session, _context: Context, _periods: Periods, now: datetime) -> bool:
    """Remove the deliveries of retention years that are over, a chunk of one year at a time."""
    for year in due.years_over(session, year=calendar.local_date(now).year, limit=CHUNK):
        if year.rows_gone_at is not None:
            continue
        until = uuid.UUID(int=year.last_id.int + 1)
        found = due.along(session, year.organisation_id, year.position, until, limit=CHUNK)
        _end(session, [row for row in found if row.retention_year == year.year], now)
        if found:
            year.position = found[-1].id
        elif signatures.erase(session, year.organisation_id, year.year, limit=CHUNK):
            pass
        elif not _waits(session, year, now):
            year.rows_gone_at = now
            log.info("retention_year_over", organisation=str(year.organisation_id), year=year.year)
        else:
            continue
        session.flush()
        return True
    return False


def _waits(session: Session, year: RetentionYear, now: datetime) -> bool:
    """Whether something of a year is still held, unfinished, or kept for another period that is not over."""
    if year.organisation_id == PLATFORM:
        # Another machine's clock may still freeze a batch in the old year.
        return calendar.local_date(now - MARGIN).year <= year.year or due.batches_wait(session, year.year)
    return due.year_waits(session, year.organisation_id, year.year) or signatures.wait(
        session, year.organisation_id, year.year
    )


def _end(session: Session, chunk: Sequence[DeliveryRow], now: datetime) -> None:
    ready = _ready(session, Stage.EVIDENCE, chunk, now)
    gone = due.erase_deliveries(session, [row.id for row in ready])
    for row in ready:
        session.expunge(row)
        if row.id not in gone:
            # The database's calendar is behind ours, or somebody held it just now.
            due.put_off(session, row, Stage.EVIDENCE, "unfinished", until=now + LATER)


def _end_batches(session: Session, _context: Context, periods: Periods, now: datetime) -> bool:
    over = due.batches_over(session, before=now - timedelta(days=periods.print_days), limit=CHUNK)
    due.remove_later(session, [Removal(each.path, each.id, PLATFORM) for each in over if each.path], now=now)
    for batch in over:
        batch.path = None
    session.flush()
    return bool(over)


def _end_inbound(session: Session, _context: Context, periods: Periods, now: datetime) -> bool:
    """Let go of the files of print houses; what they said stands in rows of its own."""
    over = post_reports.inbound_over(session, before=now - timedelta(days=periods.print_days), limit=CHUNK)
    due.remove_later(session, [Removal(each.path, each.id, PLATFORM) for each in over if each.path], now=now)
    for inbound in over:
        inbound.path = None
    session.flush()
    return bool(over)


def _end_others(session: Session, _context: Context, periods: Periods, now: datetime) -> bool:
    counts = (
        due.erase_codes(session, before=now, limit=CHUNK),
        due.erase_mailboxes(session, before=now - timedelta(days=periods.mailbox_days), limit=CHUNK),
        due.erase_lookups(session, before=now - timedelta(days=periods.lookup_days), limit=CHUNK),
        mandates.erase(
            session,
            before=now - timedelta(days=periods.mailbox_days),
            unused=now - timedelta(days=periods.ended_days),
            limit=CHUNK,
        ),
        webhooks.forget(session, before=now - timedelta(days=periods.webhook_days), limit=CHUNK),
        webhooks.empty(session, limit=CHUNK),
    )
    webhooks.calm(session, before=now - QUIET)
    due.forget_keys(session, webhooks.end(session, before=now - LATER))
    emptied = due.end_submissions(session, year=calendar.local_date(now).year, limit=SUBMISSIONS, now=now)
    return max(counts) == CHUNK or emptied == SUBMISSIONS


def _destroy_key(session: Session, context: Context, periods: Periods, now: datetime) -> bool:
    """Destroy the key of a year whose rows are gone, once no restore can bring rows back that need it."""
    for year in due.years_over(session, year=calendar.local_date(now).year, limit=CHUNK):
        if year.rows_gone_at is not None and year.rows_gone_at + periods.window < now:
            # Before the row says so: destroying twice does no harm, and a key that only seems destroyed would.
            context.keyring.destroy_year(year.organisation_id, year.year)
            year.key_destroyed_at = now
            session.flush()
            log.info("retention_key_destroyed", organisation=str(year.organisation_id), year=year.year)
            return True
    return False
