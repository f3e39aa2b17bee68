"""What the database's rows must agree on, besides each delivery's end: nothing is there twice or left over."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, Final

import psycopg

# A delivery that is taken back says so, and so does its leg.
_TWICE: Final = {"cancelled": 2}


def row_faults(
    connection: "psycopg.Connection[Any]", expected: Collection[uuid.UUID], first: uuid.UUID
) -> Iterator[str]:
    """Check the rows from ``first`` on; ``expected`` were acknowledged, each for a request of its own."""
    yield from _keys(connection, expected, first)
    yield from _submissions(connection, first)
    yield from _timeline(connection, first)
    yield from _objects(connection, first)
    yield from _legs(connection, first)


def quota_faults(connection: "psycopg.Connection[Any]") -> Iterator[str]:
    """Whether what organisations used of their quotas is what they handed in."""
    used = connection.execute(
        "SELECT (SELECT coalesce(sum(deliveries), 0) FROM quota_use), (SELECT count(*) FROM delivery)"
    ).fetchone()
    if used is None or used[0] != used[1]:
        yield f"quotas count {used} deliveries"


def person_faults(connection: "psycopg.Connection[Any]") -> Iterator[str]:
    """Whether anybody had to do something, or has to."""
    for table in ("pause", "end_proposal", "recovery", "gone_out", "vault_removal", "audit_entry"):
        # The names are those above.
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
        if row != (0,):
            yield f"the table {table} has rows: {row}"


def _keys(connection: "psycopg.Connection[Any]", expected: Collection[uuid.UUID], first: uuid.UUID) -> Iterator[str]:
    rows = connection.execute("SELECT key, status, answer IS NOT NULL, subject_id FROM idempotency_key").fetchall()
    yield from (f"the key {key} is claimed, and has no answer" for key, status, _, _ in rows if status is None)
    done = [(key, status, answered, subject) for key, status, answered, subject in rows if subject and subject >= first]
    yield from (
        f"the key {key} was answered with {status}" for key, status, kept, _ in done if status != 202 or not kept
    )
    subjects = Counter(subject for _, _, _, subject in done)
    if subjects != Counter(expected):
        yield f"{len(done)} keys stand for {len(subjects)} of {len(expected)} deliveries"


def _submissions(connection: "psycopg.Connection[Any]", first: uuid.UUID) -> Iterator[str]:
    counts = connection.execute(
        """
        SELECT (SELECT count(*) FROM submission s
                WHERE NOT EXISTS (SELECT FROM delivery d WHERE d.submission_id = s.id)),
               (SELECT count(*) - count(DISTINCT submission_id) FROM delivery WHERE id >= %(first)s),
               (SELECT count(*) - count(DISTINCT reference) FROM delivery WHERE id >= %(first)s)
        """,
        {"first": first},
    ).fetchone()
    if counts != (0, 0, 0):
        yield f"submissions without a delivery, of several, references of several: {counts}"


def _timeline(connection: "psycopg.Connection[Any]", first: uuid.UUID) -> Iterator[str]:
    told: dict[uuid.UUID, Counter[str]] = {}
    for delivery, event in connection.execute(
        "SELECT delivery_id, event FROM delivery_event WHERE delivery_id >= %s", [first]
    ):
        told.setdefault(delivery, Counter())[event] += 1
    for delivery, events in told.items():
        twice = {event: count for event, count in events.items() if count > _TWICE.get(event, 1)}
        if twice or not events["handed_in"]:
            yield f"the timeline of {delivery} says {dict(events)}"
    untold = connection.execute(
        """
        SELECT e.delivery_id, e.event FROM evidence e WHERE e.delivery_id >= %s AND NOT EXISTS (
            SELECT FROM delivery_event t WHERE t.delivery_id = e.delivery_id AND t.event = e.event)
        """,
        [first],
    )
    yield from (f"{delivery} has evidence of {event}, and nothing in its timeline" for delivery, event in untold)


def _objects(connection: "psycopg.Connection[Any]", first: uuid.UUID) -> Iterator[str]:
    """An object that counts is the only one in its role, and is named by the row for which it was made."""
    twice = connection.execute(
        "SELECT subject_id, role, count(*) FROM vault_object WHERE kept_at IS NOT NULL AND subject_id >= %s"
        " GROUP BY subject_id, role HAVING count(*) > 1",
        [first],
    )
    yield from (f"{count} objects count as {role} of {subject}" for subject, role, count in twice)
    unnamed = connection.execute(
        """
        SELECT o.path FROM vault_object o WHERE o.kept_at IS NOT NULL AND o.subject_id >= %s
        AND o.role NOT LIKE 'original-%%'
        AND NOT (o.role LIKE 'print-%%' AND EXISTS (
            SELECT FROM delivery v WHERE v.id = o.subject_id AND v.state = 'cancelled'))
        AND NOT EXISTS (SELECT FROM document d WHERE d.delivery_id = o.subject_id AND d.path = o.path)
        AND NOT EXISTS (SELECT FROM print_letter l WHERE l.delivery_id = o.subject_id AND l.path = o.path)
        AND NOT EXISTS (SELECT FROM print_batch b WHERE b.id = o.subject_id AND b.path = o.path)
        """,
        [first],
    )
    yield from (f"{path} counts, and no row names it" for (path,) in unnamed)


def _legs(connection: "psycopg.Connection[Any]", first: uuid.UUID) -> Iterator[str]:
    """A delivery that ended has no leg under way, and a letter in no batch belongs to nobody who waits."""
    waiting = connection.execute(
        "SELECT delivery_id, kind, state FROM leg WHERE delivery_id >= %s"
        " AND state NOT IN ('available', 'opened', 'handed_over', 'withdrawn', 'undeliverable', 'refused', 'expired')",
        [first],
    )
    yield from (f"{delivery} has a {kind} leg that is {state}" for delivery, kind, state in waiting)
    letters = connection.execute(
        """
        SELECT l.delivery_id, g.state, l.batch_id IS NOT NULL FROM print_letter l
        JOIN leg g ON g.delivery_id = l.delivery_id AND g.number = l.leg
        WHERE l.delivery_id >= %s AND (g.state = 'handed_over') <> (l.batch_id IS NOT NULL)
        """,
        [first],
    )
    yield from (f"the letter of {each} is {state}, in a batch: {inside}" for each, state, inside in letters)
