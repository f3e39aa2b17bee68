"""The database itself lets nobody but its two sides see a mandate, and nobody change what was given."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from service.db.ids import MANDATE, new_id, parse_id
from tests.engine_support import execute
from tests.mandate_support import accepted
from tests.pipeline_support import Pipeline, TestDatabase
from tests.usecase_support import reader

FORBIDDEN = "42501"
TABLES = ("mandate", "mandate_act")


def count(pipeline: Pipeline, table: str, **scope: Any) -> int:
    with pipeline.context.database.transaction(**scope) as session:
        return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def refused(pipeline: Pipeline, statement: str, values: dict[str, Any], **scope: Any) -> str:
    with pytest.raises(DBAPIError) as caught, pipeline.context.database.transaction(**scope) as session:
        session.execute(text(statement), values)
    return str(caught.value.orig.sqlstate)  # type: ignore[union-attr]


@pytest.mark.parametrize("table", TABLES)
def test_its_two_sides_see_it_and_nobody_else(pipeline: Pipeline, organisation: Any, table: str) -> None:
    accepted(pipeline, "an", "cem")
    accepted(pipeline, "lena", "jan")
    each = 1 if table == "mandate" else 2
    for side in ("an", "cem", "lena", "jan"):
        assert count(pipeline, table, recipients=reader(pipeline, side).hashes) == each
    everybody = [own for side in ("an", "cem", "lena", "jan") for own in reader(pipeline, side).hashes]
    assert count(pipeline, table, recipients=everybody) == 2 * each
    assert count(pipeline, table) == 0
    assert count(pipeline, table, recipients=[b"c" * 32]) == 0
    assert count(pipeline, table, organisations=[organisation()]) == 0


def test_nobody_gives_a_mandate_for_another_or_writes_into_one(pipeline: Pipeline, database: TestDatabase) -> None:
    mandate = parse_id(MANDATE, accepted(pipeline, "an", "cem"))
    # The same mandate once more, as whoever holds it might wish.
    catalogue = "SELECT attname FROM pg_attribute WHERE attrelid = 'mandate'::regclass AND attnum > 0"
    names = ", ".join(name for (name,) in execute(database, catalogue) if name != "id")
    copy = f"INSERT INTO mandate (id, {names}) SELECT :id, {names} FROM mandate"
    assert refused(pipeline, copy, {"id": new_id()}, recipients=reader(pipeline, "cem").hashes) == FORBIDDEN
    act = (
        "INSERT INTO mandate_act (id, mandate_id, act, by_side, at, personal)"
        " VALUES (:id, :mandate, 'opened', 'mandatary', now(), '')"
    )
    values = {"id": new_id(), "mandate": mandate}
    assert refused(pipeline, act, values, recipients=reader(pipeline, "lena").hashes) == FORBIDDEN


@pytest.mark.parametrize("column", ["senders", "registered", "legal_effect", "last_day", "ends_at", "mandatary_hash"])
def test_what_was_given_is_never_changed(pipeline: Pipeline, column: str) -> None:
    accepted(pipeline)
    for side in ("an", "cem"):
        statement = f"UPDATE mandate SET {column} = {column}"
        assert refused(pipeline, statement, {}, recipients=reader(pipeline, side).hashes) == FORBIDDEN


def test_nobody_ends_another_ones_mandate(pipeline: Pipeline) -> None:
    mandate = parse_id(MANDATE, accepted(pipeline))
    statement = text("UPDATE mandate SET revoked_at = now(), revoked_by = 'mandator' WHERE id = :id")
    with pipeline.context.database.transaction(recipients=reader(pipeline, "lena").hashes) as session:
        assert session.execute(statement, {"id": mandate}).rowcount == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM zending_mandates_to_move('k', NULL, 10)",
        "SELECT zending_move_mandate(gen_random_uuid(), '', '', 'k')",
    ],
)
def test_all_mandates_are_walked_only_while_the_index_key_is_exchanged(pipeline: Pipeline, statement: str) -> None:
    assert refused(pipeline, statement, {}) == "P0001"
