"""Thousands of letters whose reports come twice, in the wrong order, or about nothing of ours: no wrong state."""

import random
import uuid
from collections import Counter
from datetime import datetime, timedelta
from typing import Final

import psycopg

from printing.exchange import LetterEvent, PostalEvent
from service.db.ids import DELIVERY, new_id, parse_id, public_id
from service.usecases.personal import open_personal, seal_personal
from tests.engine_support import execute
from tests.pipeline_support import Pipeline, TestDatabase
from tests.post_support import events_file, handed_over, said, take
from tests.usecase_support import Sender

LETTERS: Final = 5_000
PER_FILE: Final = 2_000
LIVES: Final = (
    (PostalEvent.PRINTED, PostalEvent.POSTED, PostalEvent.DELIVERED),
    (PostalEvent.PRINTED, PostalEvent.POSTED),
    (PostalEvent.POSTED, PostalEvent.ATTEMPTED, PostalEvent.RETURNED),
    (PostalEvent.PRINTED,),
    (PostalEvent.POSTED, PostalEvent.LOST, PostalEvent.DELIVERED),
    (PostalEvent.LOST,),
    (),
)
"""What happens to letters, in order; how each ends stands below."""
ENDS: Final = ("delivered", "posted", "returned", "printed", "delivered", "undeliverable", "handed_over")
_COPY: Final = """
    INSERT INTO {table} SELECT copied.* FROM {table} old,
        unnest(%(ids)s::uuid[], %(personal)s::text[], %(numbers)s::integer[]) AS new (id, personal, number),
        jsonb_populate_record(NULL::{table}, to_jsonb(old) || {change}) AS copied
    WHERE old.{key} = %(old)s
"""


def copies(pipeline: Pipeline, database: TestDatabase, old: str, count: int) -> list[str]:
    """Letters like one that the print house has, as rows: to seal thousands would take minutes."""
    row_id = parse_id(DELIVERY, old)
    ((blob, organisation, year),) = execute(
        database, f"SELECT personal, organisation_id, retention_year FROM delivery WHERE id = '{row_id}'"
    )
    personal = open_personal(pipeline.context, bytes(blob), organisation, row_id)
    ids = [new_id() for _ in range(count)]
    sealed = ["\\x" + seal_personal(pipeline.context, personal, organisation, year, each).hex() for each in ids]
    given = {"ids": ids, "personal": sealed, "numbers": list(range(2, count + 2)), "old": row_id}
    own = "jsonb_build_object('delivery_id', new.id)"
    with psycopg.connect(database.owner_url.replace("+psycopg", "", 1)) as connection:
        for table, key, change in (
            ("delivery", "id", "jsonb_build_object('id', new.id, 'personal', new.personal)"),
            ("leg", "delivery_id", own),
            ("document", "delivery_id", own),
            ("print_letter", "delivery_id", "jsonb_build_object('delivery_id', new.id, 'sequence', new.number)"),
        ):
            connection.execute(_COPY.format(table=table, key=key, change=change).encode(), given)
    return [public_id(DELIVERY, each) for each in ids]


def stream(chance: random.Random, ids: list[str], start: datetime) -> list[LetterEvent]:
    """All that is told of the letters: a fifth in the wrong order, three in ten again, one in twenty about nothing."""
    told = [
        said(delivery, event, start + timedelta(seconds=place), event_id=f"{number}-{place}")
        for number, delivery in enumerate(ids)
        for place, event in enumerate(LIVES[number % len(LIVES)])
    ]
    for _ in range(len(told) // 5):
        first, second = chance.randrange(len(told)), chance.randrange(len(told))
        told[first], told[second] = told[second], told[first]
    again = chance.sample(told, len(told) * 3 // 10)
    strange = [
        said(f"dlv_{uuid.UUID(int=chance.getrandbits(128)).hex}", PostalEvent.RETURNED, start, event_id=f"odd-{number}")
        for number in range(len(told) // 20)
    ]
    for each in again + strange:
        told.insert(chance.randrange(len(told)), each)
    return told


def test_five_thousand_letters_of_which_much_is_told_twice_late_or_wrongly(
    pipeline: Pipeline, organisation: Sender, database: TestDatabase
) -> None:
    (first,) = handed_over(pipeline, organisation())
    ids = [first, *copies(pipeline, database, first, LETTERS - 1)]
    told = stream(random.Random(20261128), ids, pipeline.now)
    files = [
        events_file(told[place : place + PER_FILE], pipeline.now + timedelta(seconds=place))
        for place in range(0, len(told), PER_FILE)
    ]
    effects: Counter[str] = Counter()
    for file in files:
        effects.update(take(pipeline, file).effects)
    true = sum(len(LIVES[number % len(LIVES)]) for number in range(LETTERS))
    assert effects == {"taken": true, "repeated": true * 3 // 10, "odd": true // 20}
    states = {public_id(DELIVERY, row): state for row, state in execute(database, "SELECT id, status FROM delivery")}
    wrong = {number for number, delivery in enumerate(ids) if states[delivery] != ENDS[number % len(ENDS)]}
    assert wrong == set()
    # Each statement is evidence once, and what is only shown is none.
    ((evidenced,),) = execute(database, "SELECT count(*) FROM evidence WHERE event = 'ReceivedFromNonERDS'")
    assert evidenced == true - sum(PostalEvent.ATTEMPTED in LIVES[number % len(LIVES)] for number in range(LETTERS))
    assert execute(database, "SELECT count(*) FROM print_return") == [(states_of("returned"),)]
    assert execute(database, "SELECT code, count(*)::integer FROM print_exception GROUP BY code") == [
        ("LETTER_UNKNOWN", true // 20)
    ]


def states_of(state: str) -> int:
    """How many letters end so."""
    return sum(ENDS[number % len(ENDS)] == state for number in range(LETTERS))
