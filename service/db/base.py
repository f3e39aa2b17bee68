"""The declarative base: one naming convention and one mapping of Python types to columns for every table."""

import uuid
from collections.abc import Collection
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Date,
    DateTime,
    LargeBinary,
    MetaData,
    Text,
    Uuid,
    any_,
    literal,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute


class Base(DeclarativeBase):
    """Every table of the service.

    Times are ``timestamptz``; text has no length in the database (limits are rules of the domain); ids are UUIDv7.
    """

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy reads this attribute from the class
        uuid.UUID: Uuid,
        datetime: DateTime(timezone=True),
        date: Date,
        bytes: LargeBinary,
        str: Text,
        int: BigInteger,
        dict[str, Any]: JSONB,
        list[str]: JSONB,
        list[dict[str, Any]]: JSONB,
    }


def among(column: InstrumentedAttribute[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """Whether a column has one of these values: as one array, so that a statement's text is the same for any number.

    A list of parameters would make another text for each number of them, and connections could keep none prepared.
    """
    return column == any_(literal(list(values), ARRAY(column.type)))
