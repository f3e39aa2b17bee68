"""docs/retention.md says what the code does: each setting with its default, each encrypted column, each ending."""

import re
from pathlib import Path

from sqlalchemy import ColumnDefault

from service.db.base import Base
from service.db.models import Organisation
from service.settings import Settings
from service.usecases import activation, housekeeping, retention
from service.usecases.retention import Stage
from tests.everything_support import ENCRYPTED
from tests.settings_support import variable_of

PAGE = (Path(__file__).parents[2] / "docs" / "retention.md").read_text("utf-8")
ROWS = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")][1:]
WHERE, LONG, ENDS = (" ".join(row[column] for row in ROWS) for column in (1, 2, 4))
ENDING = {
    **{stage.value: retention.run for stage in Stage},
    "others": retention.run,
    "keys": retention.run,
    "sessions": housekeeping.end_sessions,
    "orphans": housekeeping.collect_orphans,
}


def test_every_period_that_can_be_set_is_told_with_its_default() -> None:
    settings = {variable_of(name): field.default for name, field in Settings.model_fields.items()}
    told = {(name, int(value)) for name, value in re.findall(r"`(ZENDING_\w+)` \((\d+) (?:days|seconds)\)", LONG)}
    assert all(settings[name] == value for name, value in told)
    assert {name for name in settings if name.startswith("ZENDING_RETENTION_")} <= {name for name, _ in told}
    assert f"{activation.CODE_MINUTES} minutes" in LONG
    (years,) = re.findall(r"`retention_years` \((\d+)\)", LONG)
    default = Organisation.__table__.c["retention_years"].default
    assert isinstance(default, ColumnDefault)
    assert int(years) == default.arg


def test_every_encrypted_column_stands_in_the_table() -> None:
    assert {f"{table}.{column}" for table, column in ENCRYPTED} <= set(re.findall(r"`(\w+\.\w+)`", WHERE))


def test_every_place_in_the_table_is_there() -> None:
    for name in re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`", WHERE):
        table, _, column = name.partition(".")
        if name == "batch":
            continue  # a role of objects
        assert table in Base.metadata.tables, name
        assert not column or column in Base.metadata.tables[table].c, name


def test_every_row_names_what_ends_it_and_every_ending_has_a_row() -> None:
    assert set(re.findall(r"`(\w+)`", ENDS)) == set(ENDING)
    assert all(len(row) == 5 for row in ROWS)
