"""Fixtures that several rooms of tests share, and rules for all tests.

================  =====================================================================================
``service``       the whole service running: servers, outside parties, API, workers, scheduler
``stack``         servers and outside parties only, with a migrated database
``database``      a migrated database of its own, on the stack's server
``application``   the wired application in this process, on ``database``
``pipeline``      the same with what workers and scheduler do, at the test's word
``organisation``  makes organisations for ``pipeline``
``ceph``          a real object store on a disk, with a bucket of which each test takes a folder
================  =====================================================================================
"""

import contextlib
import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import structlog

from service import memory
from service.bootstrap import Application
from service.cli.demo_house import house
from service.embedded.fictional import people_for_provider
from service.embedded.postgres import DATABASE
from service.embedded.stack import Stack
from tests import consent_support, softhsm_support
from tests.ceph_support import ceph_server
from tests.embedded_support import environment
from tests.installation_support import house_apart
from tests.pipeline_support import Pipeline, TestDatabase, fresh_database, make_copying_cheap, wired
from tests.s3_support import S3
from tests.service_support import SETTINGS, RunningService

_SLOW_FIRST = ("e2e", "machines", "faults", "security", "integration", "contract", "property", "unit")
# Of the files outside of e2e, those that use ``service``.
_WITH_SERVICE = frozenset({"tests/security/test_surface.py", "tests/security/test_contract_holds.py"})

# Those that use ``ceph``, which takes longer to start than they take.
_WITH_CEPH = frozenset(
    {
        "tests/contract/test_object_stores.py",
        "tests/contract/test_print_ceph.py",
        "tests/integration/test_far_orphans.py",
    }
)


def group_of(nodeid: str) -> str:
    """Which tests run in one process, one after the other, when there are several (-n): those of a file.

    The files that use ``service`` are one group, so that it is started once; so are those that use ``ceph``.
    """
    file = PurePosixPath(nodeid.partition("::")[0])
    shared = file.parent.name == "e2e" and not file.name.startswith("test_demo")
    if str(file) in _WITH_CEPH:
        return "ceph"
    return "service" if shared or str(file) in _WITH_SERVICE else str(file)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out groups instead of single tests."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class Groups(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    if config.getoption("dist") != "load":
        return None
    config.option.loadscopereorder = False
    return Groups(config, log)


def pytest_configure() -> None:
    """Load tests as a command is loaded, and let programs that they start be told of a hang-up.

    That also where these tests are to survive one.
    """
    memory.load()
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several processes the longest groups come first, so that none is left waiting for them at the end."""
    if hasattr(config, "workerinput"):
        places = {name: place for place, name in enumerate(_SLOW_FIRST)}
        items.sort(key=lambda item: places.get(item.path.parent.name, len(places)))


def pytest_collection_finish() -> None:
    """Keep memory as the service's processes do, which look for cycles less often than Python does by itself."""
    memory.settle()


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


_configure_logs = structlog.configure


def _forgetful(**settings: Any) -> None:
    """A logger that keeps the file a test captured would write to a closed one in the next test."""
    _configure_logs(**settings | {"cache_logger_on_first_use": False})


structlog.configure = _forgetful  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The whole service, with the demonstration's fictional world in it.

    With ``ZENDING_TEST_APART=1`` in the environment its roles stand on machines of their own.
    """
    home = tmp_path_factory.mktemp("service") / "home"
    notices: list[str] = []
    apart = os.environ.get("ZENDING_TEST_APART") == "1"
    with contextlib.ExitStack() as closing:
        remote, url = closing.enter_context(consent_support.consents())
        given = environment() | SETTINGS | softhsm_support.variables() | consent_support.settings_for(url)
        built = closing.enter_context(
            house_apart(home, given, tell=notices.append)
            if apart
            else house(home, given, notice=notices.append, tell=notices.append)
        )
        running = RunningService(built, remote)
        yield running
        running.close()


_ROOM_IN_MEMORY = 4 << 30
"""Bytes; what one stack's databases take at most, twice over."""


@contextlib.contextmanager
def folder_in_memory(elsewhere: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for a stack whose servers live as long as the tests: in memory, as its files are copied for each test.

    The tests of crashes and whole ways have theirs on a disk.
    """
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < _ROOM_IN_MEMORY:
        yield elsewhere.mktemp("stack")
        return
    with tempfile.TemporaryDirectory(prefix="zending-stack-", dir=memory, ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with ceph_server(tmp_path_factory.mktemp("ceph")) as running:
        yield running


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers and outside parties, and a database that is migrated and stays as it is: others are copied from it."""
    with (
        folder_in_memory(tmp_path_factory) as folder,
        Stack(
            folder / "home", people=people_for_provider(), return_paths=("/login/callback",), given=environment()
        ) as stack,
    ):
        stack.prepare()
        assert stack.urls is not None
        make_copying_cheap(stack.urls, DATABASE)
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
