"""Bringing a database to the schema of this release, and telling whether it has it.

Each step is named after its number in ``alembic/versions``; a database keeps the number of its last one. A database
with a number that is not known here is ahead: a newer release migrated it, and steps only ever expand until the
release before is gone (docs/runbooks/upgrade.md).
"""

import ast
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from service.db.session import Database, psycopg_url

MIGRATION_LOCK: Final = 2053467748
"""Held by whoever runs the steps."""
OPTIONS: Final = "-c lock_timeout=2s -c statement_timeout=300s -c timezone=UTC"
"""Of the connection that runs them: whoever waits for a lock on a table holds up all that come after."""
_PAUSES: Final = (1.0, 2.0, 3.0, 5.0, 5.0, 10.0, 10.0, 20.0, 20.0, 30.0, 30.0, 60.0)
_SCRIPTS = Path(__file__).parents[2] / "alembic"
_VERSION = text("SELECT version_num FROM alembic_version")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: its number, and the sentence that says what it does."""

    number: str
    what: str


class SchemaTooOld(Exception):
    """The database lacks steps that this release needs; the text says which and what to do."""


def migrations() -> list[Migration]:
    """Every step that this release knows, in order."""
    return [
        Migration(file.name.partition("_")[0], ast.get_docstring(ast.parse(file.read_text("utf-8"))) or file.stem)
        for file in sorted((_SCRIPTS / "versions").glob("[0-9]*.py"))
    ]


def migrate(owner_url: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Run all migrations that the database does not have yet, as its owner; safe to repeat and to run twice at once.

    A step whose lock is not free within two seconds is undone and tried again, for some minutes.

    Raises:
        OperationalError: a lock was not free in all that time; the steps before it are done.
    """
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["url"] = owner_url
    for pause in _PAUSES:
        try:
            command.upgrade(config, "head")
        except (LockNotAvailable, DeadlockDetected):
            sleep(pause)
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable | DeadlockDetected):
                raise
            sleep(pause)
        else:
            return
    command.upgrade(config, "head")


def missing(owner_url: str) -> list[Migration]:
    """The steps that :func:`migrate` would do, in order; none where the database is this release's or ahead."""
    engine = create_engine(psycopg_url(owner_url), connect_args={"connect_timeout": 10})
    try:
        with engine.connect() as connection:
            there = connection.scalar(text("SELECT to_regclass('public.alembic_version') IS NOT NULL"))
            return _after(connection.scalar(_VERSION) if there else None)
    finally:
        engine.dispose()


def refuse_older(database: Database) -> None:
    """Refuse a database that lacks steps of this release; one that can't be asked now, or is ahead, passes.

    Raises:
        SchemaTooOld: it lacks some.
    """
    try:
        with database.engine.connect() as connection:
            version = connection.scalar(_VERSION)
    except OperationalError:
        return
    except ProgrammingError:
        # Never migrated; or by a release from before the application was let to look.
        version = None
    lacking = _after(version)
    if lacking:
        have = "no schema yet" if version is None else f"the schema of step {version}"
        raise SchemaTooOld(
            f"The database has {have}, and this release needs step {lacking[-1].number}: run 'zending migrate' first, "
            "with the owner's log-in. The release before goes on working meanwhile."
        )


def _after(version: str | None) -> list[Migration]:
    known = migrations()
    numbers = [each.number for each in known]
    if version is None:
        return known
    return known[numbers.index(version) + 1 :] if version in numbers else []
