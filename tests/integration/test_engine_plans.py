"""What a query reads does not grow with the rows there are: pages of memory are counted, not seconds."""

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from service.db import deliveries, jobs, mailboxes, webhooks
from service.db.ids import new_id
from service.db.jobs import JobKind
from service.domain.webhooks import MessageState
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from tests.engine_support import LEASE, execute, organisations
from tests.pipeline_support import TestDatabase, fresh_database

JOBS = 200_000
DELIVERIES_A_MONTH = 3_000
MESSAGES = 60_000
RECIPIENT = b"r" * 32

# One sender's night: all of one kind and lane, a tenth of it for later.
_JOBS = """
    INSERT INTO job (id, kind, organisation_id, lane, subject_id, due_at)
    SELECT gen_random_uuid(), 'seal', %s, 1, gen_random_uuid(),
           now() - interval '1 hour' + make_interval(secs => number * 0.02)
    FROM generate_series(1, %s) AS number
"""
_DELIVERIES = """
    WITH made AS (
        SELECT (substr(floor.id::text, 1, 13) || '-7' || substr(md5(number::text || month::text), 1, 3)
                || '-8' || substr(md5(month::text || number::text), 1, 3) || '-' || lpad(to_hex(number), 12, '0'))::uuid
                   AS id, number, month
        FROM generate_series(-1, 12) AS month,
             LATERAL (SELECT zending_month_floor((date_trunc('month', now()) + make_interval(months => month))::date)
                      AS id) AS floor,
             generate_series(1, %s) AS number
    )
    INSERT INTO delivery (id, organisation_id, submission_id, mark, lane, reference, document_type, language,
                          registered, recipient_kind, recipient_hash, personal, policy, state, status, retention_year,
                          created_at, updated_at)
    SELECT id, CASE WHEN number %% 2 = 0 THEN %s ELSE %s END, id, 'live', 1, 'R' || number || '/' || month, 'letter',
           'nl', false, 'citizen', %s, 'x', '1', 'sealed',
           CASE WHEN number %% 500 = 0 THEN 'rejected' ELSE 'handed_over' END, 2036, now(), now()
    FROM made
"""
_ITEMS = """
    INSERT INTO mailbox_item (delivery_id, organisation_id, recipient_hash, leg, deposited_at)
    SELECT id, organisation_id, recipient_hash, 1, now() FROM delivery
"""
_WEBHOOK = """
    INSERT INTO webhook (id, organisation_id, url, secrets, state, state_since, created_at)
    VALUES (%s, %s, 'https://a.example/', '', 'active', now(), now())
"""
# What a receiver that was down for a day has: tried once or twice, and all of it for later.
_MESSAGES = """
    INSERT INTO webhook_message (webhook_id, id, organisation_id, type, at, data, state, tries, next_at)
    SELECT %s, gen_random_uuid(), %s, 'webhook.test', now(), '{}', 'waiting', 2,
           now() + interval '1 hour' + make_interval(secs => number)
    FROM generate_series(1, %s) AS number
"""
# And what one has that does well: one message in thousands waits for a later try, one was given up.
_SENT = """
    INSERT INTO webhook_message (webhook_id, id, organisation_id, type, at, data, state, tries, next_at)
    SELECT %s, gen_random_uuid(), %s, 'webhook.test', now(), '{}',
           CASE number %% 10000 WHEN 1 THEN 'waiting' WHEN 2 THEN 'failed' ELSE 'sent' END, 2,
           CASE number %% 10000 WHEN 1 THEN now() + interval '1 hour' END
    FROM generate_series(1, %s) AS number
"""


@pytest.fixture(scope="module")
def crowded(stack: Stack) -> Iterator[tuple[TestDatabase, list[uuid.UUID]]]:
    """A database with many rows of one sender, and two senders' deliveries in fourteen months."""
    assert stack.urls is not None
    with fresh_database(stack.urls, DATABASE) as made:
        senders = organisations(made, 2)
        execute(made, _JOBS, senders[0], JOBS)
        url = stack.urls.superuser.replace("+psycopg", "", 1).rpartition("/")[0]
        name = made.owner_url.rpartition("/")[2]
        with psycopg.connect(f"{url}/{name}", autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(_DELIVERIES, (DELIVERIES_A_MONTH, *senders, RECIPIENT))
            connection.execute(_ITEMS)
        # As autovacuum does it: month by month, never the whole that the months belong to.
        for (month,) in execute(made, "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"):
            execute(made, f"ANALYZE {month}")
        yield made, senders


@pytest.fixture(params=["never analysed", "analysed"], scope="module")
def known(
    request: pytest.FixtureRequest, crowded: tuple[TestDatabase, list[uuid.UUID]]
) -> tuple[TestDatabase, list[uuid.UUID]]:
    """The same before and after PostgreSQL has looked at the jobs, which change faster than it looks."""
    if request.param == "analysed":
        execute(crowded[0], "ANALYZE job")
    return crowded


def pages_read(
    database: TestDatabase, call: Callable[[Session], object], *, plan: str = "auto", **scope: Any
) -> dict[str, int]:
    """How many pages (8 KiB) each statement of ``call`` touches; nothing it writes stays."""
    seen: list[tuple[str, Any]] = []

    def remember(_c: object, _cursor: object, statement: str, values: Any, _x: object, _many: object) -> None:
        seen.append((statement, values))

    with database.database.transaction(**scope) as session:
        event.listen(database.database.engine, "before_cursor_execute", remember)
        try:
            call(session)
        finally:
            event.remove(database.database.engine, "before_cursor_execute", remember)
            session.rollback()
    pages: dict[str, int] = {}
    with database.database.transaction(**scope) as session:
        session.execute(text(f"SET LOCAL plan_cache_mode = {plan}"))
        connection = session.connection().connection.driver_connection
        assert isinstance(connection, psycopg.Connection)
        for statement, values in seen:
            explain = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {statement}".encode()
            lines = [line for (line,) in connection.execute(explain, values, prepare=True).fetchall()]
            counted = next((line for line in lines if "Buffers: shared" in line), "")
            name = next(iter(re.findall(r"UPDATE job|FROM \w+", statement)), statement)
            pages[name] = max(
                pages.get(name, 0), sum(int(number) for number in re.findall(r"(?:hit|read)=(\d+)", counted))
            )
        session.rollback()
    assert pages, "nothing was asked"
    return pages


Crowd = tuple[TestDatabase, list[uuid.UUID]]


@pytest.mark.parametrize("plan", ["auto", "force_generic_plan"])
def test_a_lease_reads_as_little_from_a_sender_of_thousands(known: Crowd, plan: str) -> None:
    database, _ = known
    pages = pages_read(database, lambda session: jobs.lease(session, JobKind.SEAL, most=20, seconds=LEASE), plan=plan)
    assert sum(pages.values()) < 700, pages


def test_a_kind_without_jobs_costs_nothing(known: Crowd) -> None:
    database, _ = known
    pages = pages_read(database, lambda session: jobs.lease(session, JobKind.ROUTE, most=20, seconds=LEASE))
    pages |= pages_read(database, lambda session: jobs.lease_alone(session, JobKind.ROUTE, seconds=LEASE))
    assert sum(pages.values()) < 50, pages


def test_the_sweep_reads_little_however_many_rows_wait_for_later(known: Crowd) -> None:
    database, _ = known
    assert sum(pages_read(database, jobs.due_kinds).values()) < 150
    execute(database, "UPDATE job SET due_at = due_at + interval '1 day'")
    execute(database, "VACUUM job")
    pages = pages_read(database, jobs.due_kinds)
    execute(database, "UPDATE job SET due_at = due_at - interval '1 day'")
    execute(database, "VACUUM job")
    assert sum(pages.values()) < 150, pages


def test_a_suspect_is_found_at_once_among_thousands(known: Crowd) -> None:
    database, _ = known
    execute(database, "UPDATE job SET suspect = true")
    execute(database, "VACUUM job")
    pages = pages_read(database, lambda session: jobs.lease_alone(session, JobKind.SEAL, seconds=LEASE))
    execute(database, "UPDATE job SET suspect = false")
    execute(database, "VACUUM job")
    assert sum(pages.values()) < 100, pages


FILTERS = {
    "all": deliveries.Filters(),
    "a common status": deliveries.Filters(status="handed_over"),
    "a rare status": deliveries.Filters(status="rejected"),
    "no such status": deliveries.Filters(status="cancelled"),
    "a reference": deliveries.Filters(reference="R2/3"),
    "since": deliveries.Filters(since=datetime.now(UTC) - timedelta(days=3)),
    "until": deliveries.Filters(to=datetime.now(UTC) + timedelta(days=1)),
}


@pytest.mark.parametrize("filters", FILTERS.values(), ids=FILTERS)
def test_a_page_of_the_list_reads_little_however_many_deliveries_there_are(
    crowded: Crowd, filters: deliveries.Filters
) -> None:
    database, senders = crowded
    for before in (None, new_id()):
        ask = partial(deliveries.page, organisation_id=senders[0], filters=filters, before=before, limit=25)
        pages = pages_read(database, ask, organisations=[senders[0]])
        # Fourteen months, each with its own index, and the rows of one page.
        assert sum(pages.values()) < 400, pages


def test_a_page_of_a_mailbox_reads_little_however_full_it_is(crowded: Crowd) -> None:
    database, _ = crowded
    pages = pages_read(
        database,
        lambda session: mailboxes.page(session, [RECIPIENT], before=None, limit=25),
        recipients=[RECIPIENT],
    )
    assert sum(pages.values()) < 400, pages


def test_one_delivery_is_looked_up_in_its_month_only(crowded: Crowd) -> None:
    database, senders = crowded
    ((found,),) = execute(database, "SELECT id FROM delivery WHERE organisation_id = %s LIMIT 1", senders[0])
    pages = pages_read(database, lambda session: deliveries.by_ids(session, [found]), organisations=[senders[0]])
    pages |= {"legs": sum(pages_read(database, lambda s: deliveries.legs(s, [found]), organisations=senders).values())}
    assert sum(pages.values()) < 120, pages


def test_the_look_for_webhooks_to_send_and_their_log_read_little_however_many_there_are(
    crowded: Crowd,
) -> None:
    database, senders = crowded
    hooks = [new_id() for _ in senders]
    for webhook, sender, filled in zip(hooks, senders, (_MESSAGES, _SENT), strict=True):
        execute(database, _WEBHOOK, webhook, sender)
        execute(database, filled, webhook, sender, MESSAGES)
    execute(database, "VACUUM ANALYZE webhook_message")
    for plan in ("auto", "force_generic_plan"):
        pages = pages_read(database, webhooks.put_due, organisations=senders, plan=plan)
        pages |= pages_read(database, lambda s: webhooks.due(s, hooks[0], limit=256), organisations=senders, plan=plan)
        assert sum(pages.values()) < 60, (plan, pages)
    for state in (None, *MessageState):
        page = partial(webhooks.page, webhook=hooks[1], state=state, before=None, limit=50)
        pages = pages_read(database, page, organisations=senders)
        assert sum(pages.values()) < 200, (state, pages)
