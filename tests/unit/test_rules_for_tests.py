"""Rules for all tests: what may be skipped, and what runs in one process."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import group_of
from tests.embedded_support import CHECKOUT, environment
from tests.tools_support import program

SKIPPING = """
import pytest
from tests.tools_support import program
{whole}
def test_with_a_tool(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    program("pdfsig")
@pytest.mark.xfail(strict=True)
def test_that_fails_as_it_should():
    raise AssertionError
"""


def run(folder: Path, content: str, **more: str) -> "subprocess.CompletedProcess[str]":
    (folder / "test_it.py").write_text(content)
    options = ("-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rs", "--rootdir", str(folder))
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder / "test_it.py")],
        # Without what else is installed, which takes longer to load than these tests take.
        env=environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | more,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("whole", ["", "pytest.skip('needs chromium', allow_module_level=True)"])
def test_a_skip_fails_where_everything_has_to_be_there_and_else_names_the_tool(tmp_path: Path, whole: str) -> None:
    content = SKIPPING.format(whole=whole)
    here = run(tmp_path, content)
    assert here.returncode in (0, 5), here.stdout
    assert ("needs chromium" if whole else "needs pdfsig (Debian: apt-get install poppler-utils)") in here.stdout
    strict = run(tmp_path, content, CI="true")
    assert strict.returncode in (1, 2), strict.stdout
    assert "With CI=true nothing may be skipped" in strict.stdout


def test_only_tests_that_share_the_running_service_leave_their_files_group() -> None:
    assert group_of("tests/e2e/test_api.py::test_one[a::b]") == "service"
    assert group_of("tests/e2e/test_demo.py::test_one") == "tests/e2e/test_demo.py"
    assert group_of("tests/integration/test_far_orphans.py::test_one[ceph]") == "ceph"
    assert group_of("tests/unit/test_demo_parts.py::test_one") == "tests/unit/test_demo_parts.py"


def test_a_tool_that_is_there_is_named_by_its_place() -> None:
    assert Path(program("qpdf")).is_absolute()
