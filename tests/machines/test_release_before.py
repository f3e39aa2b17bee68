"""The release before and this one beside each other on one schema, as a rolling upgrade has them for a while."""

from pathlib import Path

from bench.upgrade import BEFORE, side_by_side

COUNT = 16


def test_both_releases_work_on_the_migrated_schema_and_lose_nothing(tmp_path: Path) -> None:
    assert side_by_side(tmp_path, BEFORE, COUNT) == []
