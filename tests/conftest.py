"""Fixtures that several rooms of tests share, and rules for all tests.

================  =====================================================================================
``service``       the whole service running: servers, outside parties, API, workers, scheduler
``stack``         servers and outside parties only, with a migrated database
``database``      a migrated database of its own, on the stack's server
``application``   the wired application in this process, on ``database``
``pipeline``      the same with what workers and scheduler do, at the test's word
``organisation``  makes organisations for ``pipeline``
================  =====================================================================================
"""

import os
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from service.bootstrap import Application
from service.cli.demo_house import house
from service.embedded.fictional import people_for_provider
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from tests.embedded_support import environment
from tests.pipeline_support import Pipeline, TestDatabase, fresh_database, wired
from tests.service_support import SETTINGS, RunningService

_ALONE = ("service", "stack")
_BY_FILE = ("integration", "contract", "e2e", "faults")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share something that is slow to start run in one process, when there are several (-n)."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        shared = next((name for name in _ALONE if name in names), None)
        if shared is None and item.path.parent.name in _BY_FILE:
            shared = item.path.stem
        if shared is not None and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(shared))


def _must_not_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Where everything has to be there, a skipped test is one that hides something."""
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"With CI=true nothing may be skipped. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Hold tests to the rule on skipping."""
    report = yield
    _must_not_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Hold whole files to it."""
    report = yield
    _must_not_skip(report)
    return report


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The whole service, with the demonstration's fictional world in it."""
    home = tmp_path_factory.mktemp("service") / "home"
    notices: list[str] = []
    with house(home, environment() | SETTINGS, notice=notices.append, tell=notices.append) as built:
        running = RunningService(built)
        yield running
        running.close()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers and outside parties, and a database that is migrated and stays as it is: others are copied from it."""
    home = tmp_path_factory.mktemp("stack") / "home"
    with Stack(home, people=people_for_provider(), return_paths=("/login/callback",), given=environment()) as stack:
        stack.prepare()
        yield stack


@pytest.fixture
def database(stack: Stack) -> Iterator[TestDatabase]:
    """A migrated database that nobody else uses."""
    assert stack.urls is not None
    with fresh_database(stack.urls, DATABASE) as made:
        yield made


@pytest.fixture
def application(stack: Stack, database: TestDatabase, tmp_path: Path) -> Iterator[Application]:
    """The application wired in this process, with a vault, keys and a print folder of its own."""
    with wired(stack, database, tmp_path, quiet_hours=False) as made:
        yield made


@pytest.fixture
def pipeline(stack: Stack, application: Application) -> Pipeline:
    """The application with what workers and scheduler would do, at the test's word."""
    return Pipeline(application, stack.home / "pki")


@pytest.fixture
def organisation(pipeline: Pipeline) -> Callable[..., uuid.UUID]:
    """Makes an organisation that can seal; give a slug, or get one."""
    return pipeline.organisation
