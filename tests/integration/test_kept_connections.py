"""Kept connections: one that died is replaced before anything was asked of it; a scope ends with its transaction."""

from contextlib import ExitStack

import psycopg
from sqlalchemy import text

from service.db.ids import new_id
from tests.pipeline_support import TestDatabase

_OWN = text("SELECT pg_backend_pid()")
_SCOPE = text("SELECT current_setting('zending.organisations', true)")


def end(database: TestDatabase, process: int) -> None:
    """End a server process as a restart does, and wait until it is gone."""
    with psycopg.connect(database.app_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        assert connection.execute("SELECT pg_terminate_backend(%s, 60000)", [process]).fetchone() == (True,)


def test_a_transaction_over_a_dead_connection_begins_over_a_new_one(database: TestDatabase) -> None:
    for scope in ([], [new_id(), new_id()]):
        with database.database.transaction() as session:
            process = session.scalar(_OWN)
        end(database, process)
        with database.database.transaction(organisations=scope) as session:
            assert session.scalar(_OWN) != process
            seen = session.scalar(_SCOPE) or ""
            assert seen == ",".join(each.hex for each in scope)


def test_a_session_without_scope_is_as_safe(database: TestDatabase) -> None:
    with database.database.session() as session:
        process = session.scalar(_OWN)
    end(database, process)
    with database.database.session() as session:
        assert session.scalar(_OWN) != process


def test_what_a_transaction_saw_the_next_one_does_not(database: TestDatabase) -> None:
    with database.database.transaction(organisations=[new_id()], recipients=[b"r" * 32], delivery=new_id()) as session:
        process = session.scalar(_OWN)
    with database.database.transaction() as session:
        assert session.scalar(_OWN) == process
        for name in ("organisations", "recipients", "delivery"):
            assert not session.scalar(text(f"SELECT current_setting('zending.{name}', true)"))


def test_the_connection_used_last_is_used_next(database: TestDatabase) -> None:
    """Whose statements are prepared and whose plans are warm; the others rest until there is more to do at once."""
    with ExitStack() as several:
        processes = {several.enter_context(database.database.session()).scalar(_OWN) for _ in range(4)}
    assert len(processes) == 4
    used = set()
    for _ in range(8):
        with database.database.transaction() as session:
            used.add(session.scalar(_OWN))
    assert len(used) == 1
    assert used < processes
