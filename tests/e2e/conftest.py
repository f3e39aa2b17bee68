"""Fixtures of the walks through the portal: ``browser``, and ``walk``, which lets somebody begin one."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.portal_walk_support import Walk, chromium, walks
from tests.service_support import RunningService


@pytest.fixture(scope="module")
def browser(service: RunningService) -> Iterator[Browser]:
    """Debian's browser; one for a file of tests."""
    with chromium(service.base_url) as made:
        yield made


@pytest.fixture
def walk(browser: Browser, service: RunningService) -> Iterator[Walk]:
    """Begins walks: ``walk(language="nl", scripts=False)``."""
    with walks(browser, service.base_url) as begin:
        yield begin
