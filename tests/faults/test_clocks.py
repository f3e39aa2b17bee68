"""Clocks that are a day wrong, nights in which the hour changes, a scheduler that was away for a day.

The service's clock is the one its context gives; the database's is moved by functions that stand before its own on the
search path, so that every query which asks for the time without naming a schema gets the moved one.
"""

import dataclasses
import uuid
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg import sql

from bench import truth
from bench.rows import quota_faults
from bench.tree import ledger_faults
from bench.truth import AVAILABLE, HANDED_OVER, End
from service.db.jobs import JobKind
from service.embedded.stack import Stack
from service.printers.wired import Printers
from service.usecases import print_runs
from service.usecases.hand_in import HandedIn
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import activate, change
from workers.schedule import loops

BRUSSELS = ZoneInfo("Europe/Brussels")
DAY = timedelta(days=1)
_ASKED = ("clock_timestamp", "now", "statement_timestamp", "transaction_timestamp")


def move_database_clock(pipeline: Pipeline, database: TestDatabase, by: timedelta) -> None:
    """From the next connection on the database's clock is wrong by this much."""
    name = database.owner_url.rsplit("/", 1)[-1]
    with closing(psycopg.connect(database.owner_url.replace("+psycopg", "", 1), autocommit=True)) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS moved")
        connection.execute("GRANT USAGE ON SCHEMA moved TO zending_app")
        for function in _ASKED:
            statement = sql.SQL(
                "CREATE OR REPLACE FUNCTION moved.{0}() RETURNS timestamptz LANGUAGE sql VOLATILE"
                " AS $$ SELECT pg_catalog.{0}() + make_interval(secs => {1}) $$"
            )
            connection.execute(statement.format(sql.Identifier(function), sql.Literal(by.total_seconds())))
        statement = sql.SQL("ALTER DATABASE {} SET search_path = moved, pg_catalog, public")
        connection.execute(statement.format(sql.Identifier(name)))
    pipeline.context.database.dispose()
    with pipeline.context.database.transaction() as session:
        told = session.connection().exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    assert abs(told - (datetime.now(UTC) + by)) < timedelta(minutes=5)


def judge(pipeline: Pipeline, stack: Stack, database: TestDatabase, expected: dict[str, End]) -> list[str]:
    with closing(psycopg.connect(database.owner_url.replace("+psycopg", "", 1), autocommit=True)) as connection:
        ends = {delivery: [end] for delivery, end in expected.items()}
        found = truth.judge_stored(connection, ends, pipeline.application.settings.print_folder, stack.home / "mail")
        assert found.repeated_notices == 0
        return [*found.faults, *quota_faults(connection), *ledger_faults(connection)]


def mails(stack: Stack) -> set[Path]:
    return set((stack.home / "mail").glob("*.eml"))


def seal_today(pipeline: Pipeline) -> None:
    """Seal by the right clock: the fictional organisations' certificates may be younger than the moved one."""
    pipeline.skew, here = timedelta(), pipeline.skew
    pipeline.work(JobKind.SEAL)
    pipeline.skew = here


@pytest.mark.parametrize(
    ("service", "moved"),
    [(DAY, timedelta()), (-DAY, timedelta()), (timedelta(), DAY), (DAY, DAY)],
    ids=["service-ahead", "service-behind", "database-ahead", "both-ahead"],
)
def test_a_clock_that_jumps_a_day_on_the_way_loses_and_doubles_nothing(
    pipeline: Pipeline,
    organisation: Callable[..., uuid.UUID],
    stack: Stack,
    database: TestDatabase,
    service: timedelta,
    moved: timedelta,
) -> None:
    sender = organisation()
    activate(pipeline, "an")
    expected = {
        pipeline.hand_in(sender, "an", key="first").delivery_id: AVAILABLE,
        pipeline.hand_in(sender, "jan").delivery_id: HANDED_OVER,
    }
    reference = pipeline.hand_in(sender, "jan", key="again", reference="once")
    expected[reference.delivery_id] = HANDED_OVER
    pipeline.work(JobKind.SEAL)
    pipeline.sequence()
    pipeline.skew = service
    move_database_clock(pipeline, database, moved)
    assert pipeline.hand_in(sender, "jan", key="again", reference="once") == reference
    expected[pipeline.hand_in(sender, "an").delivery_id] = AVAILABLE
    seal_today(pipeline)
    pipeline.work()
    pipeline.close_batches()
    pipeline.work()
    pipeline.sequence()
    assert judge(pipeline, stack, database, expected) == []


def test_a_database_whose_clock_goes_back_a_day_holds_work_and_goes_on_when_it_is_right_again(
    pipeline: Pipeline, organisation: Callable[..., uuid.UUID], stack: Stack, database: TestDatabase
) -> None:
    delivery = pipeline.hand_in(organisation(), "jan").delivery_id
    move_database_clock(pipeline, database, -DAY)
    pipeline.work()
    assert execute(database, "SELECT kind, parked_at FROM job") == [("seal", None)]
    move_database_clock(pipeline, database, timedelta())
    pipeline.work()
    pipeline.close_batches()
    pipeline.work()
    pipeline.sequence()
    assert judge(pipeline, stack, database, {delivery: HANDED_OVER}) == []


@pytest.mark.parametrize(
    ("night", "hours"),
    [(datetime(2026, 3, 29, tzinfo=BRUSSELS), 6), (datetime(2026, 10, 25, tzinfo=BRUSSELS), 8)],
    ids=["spring", "autumn"],
)
def test_the_night_of_the_changing_hour_is_quiet_and_every_cut_off_comes_once(
    pipeline: Pipeline,
    organisation: Callable[..., uuid.UUID],
    stack: Stack,
    database: TestDatabase,
    night: datetime,
    hours: int,
) -> None:
    (printer,) = pipeline.context.printers.values()
    hourly = {name: dataclasses.replace(each, period=timedelta(hours=1)) for name, each in printer.products.items()}
    change(pipeline, printers=Printers([dataclasses.replace(printer, products=hourly)]))
    sender = organisation()
    activate(pipeline, "an")
    change(pipeline, quiet_hours=True)
    start = night.astimezone(UTC) - datetime.now(UTC)
    move_database_clock(pipeline, database, start)
    digital = pipeline.hand_in(sender, "an")
    letters: list[HandedIn] = [pipeline.hand_in(sender, "jan") for _ in range(hours)]
    pipeline.work(JobKind.SEAL)
    before, closed = mails(stack), []
    pipeline.skew = start
    print_runs.close_due(pipeline.context)
    for hour in range(1, hours + 1):
        pipeline.work(JobKind.ROUTE, JobKind.DEPOSIT, JobKind.NOTIFY, JobKind.LETTER)
        local = pipeline.now.astimezone(BRUSSELS)
        assert mails(stack) == before, f"nobody is written to at {local:%H:%M}"
        pipeline.skew = start + timedelta(hours=hour, seconds=30)
        move_database_clock(pipeline, database, pipeline.skew)
        closed.append(print_runs.close_due(pipeline.context))
        assert print_runs.close_due(pipeline.context) == 0, "one cut-off comes once"
        pipeline.work(JobKind.HAND_OVER)
        if hour < hours:
            letters.append(pipeline.hand_in(sender, "jan"))
            seal_today(pipeline)
    local = pipeline.now.astimezone(BRUSSELS)
    assert (local.hour, local.date()) == (7, night.date())
    assert closed == [1] * hours
    pipeline.work()
    assert len(mails(stack) - before) == 1
    pipeline.sequence()
    expected = {each.delivery_id: HANDED_OVER for each in letters} | {digital.delivery_id: AVAILABLE}
    assert judge(pipeline, stack, database, expected) == []


def test_after_a_day_without_a_scheduler_everything_catches_up(
    pipeline: Pipeline, organisation: Callable[..., uuid.UUID], stack: Stack, database: TestDatabase
) -> None:
    sender = organisation()
    activate(pipeline, "an")
    woken: list[JobKind] = []

    def wake(kinds: Collection[JobKind]) -> int:
        woken.extend(kinds)
        return len(kinds)

    change(pipeline, wake=wake)
    everything = loops(dataclasses.replace(pipeline.application, context=pipeline.context))

    def scheduler() -> None:
        for _, _, once in everything:
            once()

    scheduler()
    expected = {
        pipeline.hand_in(sender, "an").delivery_id: AVAILABLE,
        pipeline.hand_in(sender, "jan").delivery_id: HANDED_OVER,
    }
    pipeline.work()
    # Nobody wakes for this one: its message is lost, and there is no sweep.
    expected[pipeline.hand_in(sender, "jan").delivery_id] = HANDED_OVER
    before = execute(database, "SELECT count(*) FROM evidence WHERE id NOT IN (SELECT evidence_id FROM ledger_leaf)")
    assert before[0][0] > 0
    assert list(pipeline.application.settings.print_folder.iterdir()) == []
    pipeline.skew = DAY + timedelta(minutes=1)
    move_database_clock(pipeline, database, pipeline.skew)
    woken.clear()
    scheduler()
    assert JobKind.SEAL in woken
    pipeline.work()
    pipeline.skew += DAY
    move_database_clock(pipeline, database, pipeline.skew)
    scheduler()
    pipeline.work()
    scheduler()
    assert judge(pipeline, stack, database, expected) == []
