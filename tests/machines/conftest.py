"""What the tests of several machines share."""

from collections.abc import Iterator

import pytest

from tests.apart_support import Apart, service_apart
from tests.machines_support import needs_machines


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    """A service on several machines, for one file of tests."""
    needs_machines()
    with service_apart(tmp_path_factory.mktemp("machines")) as made:
        yield made
