"""The sums by which the quota of look-ups is kept: equal to what was noted, whoever noted it, whenever they began."""

import threading
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.db import mailboxes
from service.db.ids import new_id
from service.db.mailbox_models import Lookup
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from tests.engine_support import execute, organisations
from tests.pipeline_support import TestDatabase, fresh_database

DAY = timedelta(days=1)
BEGAN = datetime(2026, 3, 28, 22, 17, 3, tzinfo=UTC)
QUOTA = 10
NOTED_BEFORE = "release before"
FORGOTTEN = "step is new"
ACTS = st.tuples(
    st.sampled_from([0, 1, 59, 60, 61, 600, 1380, 1439, 1440, 1441, 1499, 1500]),
    st.integers(1, 6),
    st.sampled_from(["", "", "", NOTED_BEFORE, FORGOTTEN]),
)


@pytest.fixture(scope="module")
def shared(stack: Stack) -> Iterator[TestDatabase]:
    assert stack.urls is not None
    with fresh_database(stack.urls, DATABASE) as made:
        yield made


def sender(database: TestDatabase, quota: int = QUOTA) -> uuid.UUID:
    (made,) = organisations(database, 1)
    execute(database, "UPDATE organisation SET lookup_quota = %s WHERE id = %s", quota, made)
    return made


def note(database: TestDatabase, organisation: uuid.UUID, count: int, now: datetime) -> bool:
    """Look up so many recipients at this moment; whether the quota allowed it."""
    row = Lookup(id=new_id(), organisation_id=organisation, client_id="c", purpose="p", recipients=count, at=now)
    hashes = {uuid.uuid4().bytes * 2 for _ in range(count)}
    with database.database.transaction(organisations=[organisation]) as session:
        return mailboxes.note_lookup(session, row, hashes, since=now - DAY)


def note_as_the_release_before(database: TestDatabase, organisation: uuid.UUID, count: int, now: datetime) -> None:
    with database.database.transaction(organisations=[organisation]) as session:
        session.execute(
            text(
                "INSERT INTO lookup (id, organisation_id, client_id, purpose, recipients, at)"
                " VALUES (:id, :organisation, 'c', 'p', :count, :now)"
            ),
            {"id": new_id(), "organisation": organisation, "count": count, "now": now},
        )


def forget_sums(database: TestDatabase, organisation: uuid.UUID) -> None:
    """As if all that was noted had been noted before there were sums."""
    execute(database, "DELETE FROM lookup_hour WHERE organisation_id = %s", organisation)
    execute(database, "UPDATE organisation SET lookups_summed = false WHERE id = %s", organisation)


def full_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


@settings(max_examples=40, deadline=None)
@given(acts=st.lists(ACTS, min_size=1, max_size=14))
def test_the_quota_is_that_of_the_plain_sum_by_the_hour(
    shared: TestDatabase, acts: Sequence[tuple[int, int, str]]
) -> None:
    organisation, now = sender(shared), BEGAN
    noted: list[tuple[datetime, int]] = []
    allowed: list[tuple[datetime, int]] = []
    for minutes, count, what in acts:
        now += timedelta(minutes=minutes)
        if what == NOTED_BEFORE:
            note_as_the_release_before(shared, organisation, count, now)
            noted.append((now, count))
            continue
        if what == FORGOTTEN:
            forget_sums(shared, organisation)
        used = sum(number for at, number in noted if at >= full_hour(now - DAY))
        fits = used + count <= QUOTA
        assert note(shared, organisation, count, now) is fits
        if fits:
            noted.append((now, count))
            allowed.append((now, count))
            # What the quota is for: no day, wherever it begins, has more than it allows.
            assert sum(number for at, number in noted if at > now - DAY) <= QUOTA
    in_table = execute(shared, "SELECT at, recipients FROM lookup WHERE organisation_id = %s", organisation)
    assert sorted(in_table) == sorted(noted)


def test_sums_are_of_one_organisation_and_can_be_lowered_by_nobody_who_looks_up(shared: TestDatabase) -> None:
    mine, theirs = sender(shared), sender(shared)
    assert note(shared, mine, 4, BEGAN)
    assert note(shared, theirs, QUOTA, BEGAN)
    with shared.database.transaction(organisations=[mine]) as session:
        assert session.execute(text("SELECT hour, recipients FROM lookup_hour")).all() == [(full_hour(BEGAN), 4)]
    for act in ("UPDATE lookup_hour SET recipients = 0", "DELETE FROM lookup_hour"):
        with (
            pytest.raises(Exception, match="permission denied"),
            shared.database.transaction(organisations=[mine]) as session,
        ):
            session.execute(text(act))


def test_nothing_is_kept_of_what_was_refused_or_undone(shared: TestDatabase) -> None:
    organisation = sender(shared)
    assert not note(shared, organisation, QUOTA + 1, BEGAN)
    row = Lookup(id=new_id(), organisation_id=organisation, client_id="c", purpose="p", recipients=3, at=BEGAN)
    with shared.database.transaction(organisations=[organisation]) as session:
        assert mailboxes.note_lookup(session, row, {b"a" * 32}, since=BEGAN - DAY)
        session.rollback()
    assert execute(shared, "SELECT 1 FROM lookup_hour WHERE organisation_id = %s", organisation) == []
    assert note(shared, organisation, QUOTA, BEGAN)


def test_hours_are_kept_for_two_days(shared: TestDatabase) -> None:
    organisation = sender(shared)
    for hours in (0, 1, 30, 49):
        assert note(shared, organisation, 1, BEGAN + timedelta(hours=hours))
    found = execute(shared, "SELECT hour FROM lookup_hour WHERE organisation_id = %s ORDER BY 1", organisation)
    assert [hour for (hour,) in found] == [full_hour(BEGAN) + timedelta(hours=hours) for hours in (1, 30, 49)]


def test_look_ups_at_once_lose_no_count(shared: TestDatabase) -> None:
    organisation = sender(shared, quota=1_000_000)
    note_as_the_release_before(shared, organisation, 5, BEGAN)
    forget_sums(shared, organisation)
    ready = threading.Barrier(8)

    def look_up(number: int) -> None:
        ready.wait()
        for _ in range(10):
            assert note(shared, organisation, 1 + number % 3, BEGAN)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look_up, range(8)))
    query = "SELECT sum(recipients) FROM {} WHERE organisation_id = %s"
    plain, kept = (execute(shared, query.format(table), organisation) for table in ("lookup", "lookup_hour"))
    assert plain == kept
    assert plain[0][0] == 5 + 10 * sum(1 + number % 3 for number in range(8))
