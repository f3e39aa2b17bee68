"""Fixtures of several files of this room."""

from collections.abc import Iterator

import pytest

from tests.pipeline_support import Pipeline
from tests.webhook_support import HOST, Receiver, receiving, trusting


@pytest.fixture
def receiver(pipeline: Pipeline) -> Iterator[Receiver]:
    """Where ``pipeline`` may send webhooks to."""
    trusting(pipeline, HOST)
    with receiving() as made:
        yield made
