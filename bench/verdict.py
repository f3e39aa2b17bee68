"""The judgement of one run, and of a whole world at its end: everything that is checked, put together."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from bench import truth
from bench.contents import Handed, content_faults
from bench.rows import person_faults, quota_faults
from bench.running import DOCUMENTS
from bench.tree import ledger_faults
from bench.truth import End
from bench.wishes import WISHES, Run, Wish
from bench.world import World
from service.bootstrap import Application, build, retention_periods
from service.embedded.fictional import RECIPIENTS
from service.settings import read_settings
from service.usecases import housekeeping
from service.usecases.log_head import StoredHead

_MAILBOXES: Final = 2
"""Deliveries of a run whose recipients are told of them."""


def verdict(world: World, known: Run, connection: "psycopg.Connection[Any]", application: Application) -> truth.Found:
    """What is wrong at this moment with the deliveries of a run; nothing once all of them are at their end."""
    lost = [f"{wish.name} was never acknowledged" for wish in WISHES if wish.name not in known.acknowledged]
    if known.cancelled is None or not known.read:
        lost.append("somebody still has no answer")
    lost += [f"somebody was told: {answer}" for answer in known.refused]
    lost += [f"{path.name} lies in the print folder" for path in world.printed.iterdir()]
    acknowledged = [(wish, known.acknowledged[wish.name]) for wish in WISHES if wish.name in known.acknowledged]
    expected = {delivery: _ends(known, wish) for wish, delivery in acknowledged}
    since = datetime.fromtimestamp(known.began, UTC).strftime("%Y%m%dT%H%M%S.%f")
    printed = world.fetched(known.name)
    found = truth.judge_stored(connection, expected, printed, world.mail, since=since, first=known.first)
    # One fault: at most those who were being written to at that moment are written to once more.
    if found.repeated_notices > (_MAILBOXES if known.struck else 0):
        lost.append(f"{found.repeated_notices} notices were sent again")
    lost += found.faults
    lost += truth.object_faults(connection, application.store, known.first)
    lost += quota_faults(connection)
    lost += person_faults(connection)
    if not lost:
        handed = {delivery: _handed(known, wish) for wish, delivery in acknowledged}
        lost += content_faults(connection, application.context, handed, printed)
    return truth.Found(lost, found.repeated_notices)


def world_faults(world: World) -> Iterator[str]:
    """What is wrong with a world in which nothing is left to do."""
    application = build(read_settings(**world.settings))
    try:
        with closing(psycopg.connect(world.owner_url, autocommit=True)) as connection:
            yield from ledger_faults(connection)
            yield from _head(connection, application)
            yield from _receipts(connection, application)
            yield from _nothing_left(connection, application)
    finally:
        application.close()


def _ends(known: Run, wish: Wish) -> tuple[End, ...]:
    if wish.name != "cancelled" or known.cancelled is not False:
        return wish.ends
    # It was told that it is too late: true, unless an earlier try came through unheard.
    return (*wish.ends, truth.HANDED_OVER)


def _handed(known: Run, wish: Wish) -> Handed:
    files = tuple((DOCUMENTS / name).read_bytes() for name in wish.documents)
    return Handed(RECIPIENTS[wish.recipient], files, known.got if truth.READ in wish.ends else None)


def _head(connection: "psycopg.Connection[Any]", application: Application) -> Iterator[str]:
    """The head outside of the database, which keeps a restored one from signing another log, is the newest."""
    row = connection.execute("SELECT note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    stored = StoredHead(application.store, application.settings.ledger_origin).read()
    if row is None or stored != row[0].encode():
        yield "the head that is kept in the store is not the newest one"


def _receipts(connection: "psycopg.Connection[Any]", application: Application) -> Iterator[str]:
    """A restore would find of everything that went out that it did."""
    receipts = application.context.receipts
    batches = {
        (batch.id, batch.sha256, *(sorted((str(each.delivery), each.sequence) for each in batch.letters)))
        for batch in receipts.batches()
    }
    rows = connection.execute(
        """
        SELECT b.id, encode(b.sha256, 'hex'), array_agg(l.delivery_id::text ORDER BY l.delivery_id::text),
               array_agg(l.sequence ORDER BY l.delivery_id::text)
        FROM print_batch b JOIN print_letter l ON l.batch_id = b.id WHERE b.state = 'handed_over' GROUP BY b.id
        """
    )
    if batches != {(each, digest, *zip(ids, places, strict=True)) for each, digest, ids, places in rows}:
        yield "the receipts of batches are not about what was handed over"
    told = connection.execute(
        "SELECT delivery_id, leg FROM evidence WHERE event = 'ConsignmentNotification'"
    ).fetchall()
    if {pair for receipt in receipts.notices() for pair in receipt.notices} != set(told):
        yield "the receipts of notices are not about what was sent"


def _nothing_left(connection: "psycopg.Connection[Any]", application: Application) -> Iterator[str]:
    """Once the recovery window is over, the store holds exactly what counts."""
    window = retention_periods(application.settings).window
    connection.execute("UPDATE vault_object SET intended_at = now() - %s WHERE kept_at IS NULL", [window * 2])
    while housekeeping.collect_orphans(application.context, window=window):
        pass
    counted = {row[0] for row in connection.execute("SELECT path FROM vault_object")}
    stored = {found.path for found in application.store.listing() if housekeeping.subject_of(found.path)}
    if stored != counted:
        yield f"the store holds {len(stored - counted)} objects too many and {len(counted - stored)} too few"
