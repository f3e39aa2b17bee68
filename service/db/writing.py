"""Rows of one table, or of several, written by one statement whose text does not depend on how many there are.

The rows travel as one JSON value, and PostgreSQL makes rows of it. A chunk so costs one message each way and, where the
plan has to be made anew, one plan; and because the text stays the same, connections keep it prepared.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

import msgspec
from sqlalchemy import CursorResult, LargeBinary, TextClause, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from service.db.base import Base

GIVEN: Final = "{given}"
"""Stands in a part's SQL for the rows that it is given."""
_DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Part:
    """What is done with the rows of one table.

    Attributes:
        name: of the part, unique in a statement.
        sql: a statement over ``{given}``, a relation with the columns below; it may use ``:keys``.
        columns: their names and types.
        binary: those that hold bytes.
    """

    name: str
    sql: str
    columns: tuple[tuple[str, str], ...]
    binary: frozenset[str] = frozenset()

    def written(self, place: int) -> str:
        """The SQL with its rows taken from parameter ``rows_<place>``."""
        # JSON knows no bytes: they travel in base64.
        taken = ", ".join(f"decode({name}, 'base64') AS {name}" if name in self.binary else name for name in self.names)
        types = ", ".join(f"{name} {'text' if name in self.binary else kind}" for name, kind in self.columns)
        given = f"(SELECT {taken} FROM json_to_recordset(CAST(:rows_{place} AS json)) AS given({types})) AS given"  # noqa: S608
        return self.sql.replace(GIVEN, given)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(name for name, _ in self.columns)


def insertion(model: type[Base], *columns: str, conflict: str = "") -> Part:
    """A part that inserts rows; without ``columns`` all of the table's are given."""
    chosen = columns or tuple(column.key for column in model.__table__.columns)
    names = ", ".join(chosen)
    sql = f"INSERT INTO {model.__tablename__} ({names}) SELECT {names} FROM {GIVEN} {conflict}"  # noqa: S608
    return Part(f"{model.__tablename__}_added", sql, *_typed(model, chosen))


def change(model: type[Base], key: Sequence[str], values: Sequence[str]) -> Part:
    """A part that changes rows found by ``key``, whose first column is given as ``:keys`` too.

    A table's months are told apart by that column: with its values in the parameters only the months in question are
    looked at.
    """
    table = model.__tablename__
    assigned = ", ".join(f"{name} = given.{name}" for name in values)
    found = " AND ".join(f"{table}.{name} = given.{name}" for name in key)
    sql = f"UPDATE {table} SET {assigned} FROM {GIVEN} WHERE {found} AND {table}.{key[0]} = ANY(CAST(:keys AS uuid[]))"  # noqa: S608
    return Part(f"{table}_change", sql, *_typed(model, (*key, *values)))


def values_of(row: Any, part: Part) -> dict[str, Any]:
    """A row's values for a part."""
    return {name: getattr(row, name) for name in part.names}


def write(
    session: Session, *given: tuple[Part, Iterable[Mapping[str, Any]]], keys: Collection[Any] = ()
) -> Sequence[Any]:
    """Do all parts that were given rows, in one statement and on one state of the tables; what the last one returns.

    Args:
        session: a transaction of the caller's.
        given: parts with their rows; one without rows is left out.
        keys: the values of ``:keys``.
    """
    chosen: list[Part] = []
    values: dict[str, Any] = {}
    for part, rows in given:
        if listed := list(rows):
            values[f"rows_{len(chosen)}"] = msgspec.json.encode(listed).decode()
            chosen.append(part)
    if not chosen:
        return ()
    if any(":keys" in part.sql for part in chosen):
        values["keys"] = list(keys)
    result = cast("CursorResult[Any]", session.execute(_statement(tuple(chosen)), values))
    return result.all() if result.returns_rows else ()


@lru_cache(maxsize=256)
def _statement(parts: tuple[Part, ...]) -> TextClause:
    *before, last = [part.written(place) for place, part in enumerate(parts)]
    named = ", ".join(f"{part.name} AS ({sql})" for part, sql in zip(parts, before, strict=False))
    return text(f"WITH {named} {last}" if named else last)


def _typed(model: type[Base], names: Iterable[str]) -> tuple[tuple[tuple[str, str], ...], frozenset[str]]:
    columns = [model.__table__.columns[name] for name in names]
    types = tuple((column.key, str(column.type.compile(_DIALECT))) for column in columns)
    return types, frozenset(column.key for column in columns if isinstance(column.type, LargeBinary))
