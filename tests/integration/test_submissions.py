"""Submissions on a real database: uploaded, unpacked, checked, admitted, steered."""

import uuid
from collections.abc import Callable

import pytest

from service.db.jobs import JobKind
from tests.pipeline_support import Pipeline
from tests.submission_support import all_rows, line, packed, seen, upload


@pytest.fixture
def sender(organisation: Callable[..., uuid.UUID]) -> uuid.UUID:
    return organisation()


@pytest.mark.parametrize("name", ["deliveries.jsonl", "deliveries.csv"])
def test_every_good_row_becomes_one_delivery(pipeline: Pipeline, sender: uuid.UUID, name: str) -> None:
    lines = [line("jan", reference=f"R-{number}") for number in range(1, 46)]
    public = upload(pipeline, sender, packed(lines, name=name))
    pipeline.work(JobKind.UNPACK, JobKind.CHECK, JobKind.ADMIT)
    found = seen(pipeline, sender, public)
    assert (found.state, found.rows.total, found.rows.admitted, found.progress) == ("done", 45, 45, 1.0)
    listed = all_rows(pipeline, sender, public)
    assert [row.reference for row in listed] == [f"R-{number}" for number in range(1, 46)]
    assert len({row.delivery_id for row in listed}) == 45
