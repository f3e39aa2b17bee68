"""The helper and its children: who lives, who dies, and what that costs documents."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.domain.errors import Retryable
from service.inspection.inspector import Inspector
from service.inspection.scanners.none import NoScanner
from tests import inspection_support as made
from tests.inspector_support import LIMITS, Late, childless, children_of, gone, opened, refused

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    with Inspector(LIMITS, NoScanner()) as real:
        yield real


@pytest.mark.parametrize("probe", ["sleep", "spin"])
def test_a_child_that_the_machine_holds_up_is_ended_and_no_document_refused_for_it(probe: str) -> None:
    with opened(replace(LIMITS, wall=0.5)) as inspector:
        before = inspector.helper_pid
        with pytest.raises(Retryable, match="in time"):
            inspector.inspect(f"probe:{probe}".encode())
        assert inspector.helper_pid == before
        assert childless(before)


def test_no_document_is_refused_because_its_child_was_killed() -> None:
    """As the kernel does, when a machine's memory is used up by others."""
    with opened() as fresh:
        late = Late(fresh)
        os.kill(int(late.child()), signal.SIGKILL)
        late.thread.join()
        assert len(late.caught) == 1


def test_eight_threads_at_once_each_get_their_own_answer(inspector: Inspector) -> None:
    documents = {pages: made.document(pages=pages) for pages in range(1, 9)}
    wrong: list[int] = []

    def work(pages: int) -> None:
        wrong.extend(pages for _ in range(10) if inspector.inspect(documents[pages]).pages != pages)

    threads = [threading.Thread(target=work, args=(pages,)) for pages in documents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert childless(inspector.helper_pid)


def test_a_slow_document_does_not_hold_up_the_others() -> None:
    with opened(replace(LIMITS, wall=3.0, children=2)) as inspector:
        slow = Late(inspector)
        for _ in range(5):
            assert inspector.inspect(made.document()).pages == 1
        assert slow.thread.is_alive()
        slow.thread.join()


def test_who_finds_no_place_is_told_to_come_back() -> None:
    with opened(replace(LIMITS, wall=2.0, children=1, wait=0.1)) as inspector:
        slow = Late(inspector)
        slow.child()
        with pytest.raises(Retryable, match="Too many"):
            inspector.inspect(made.document())
        slow.thread.join()


def test_a_killed_helper_is_replaced() -> None:
    with opened() as inspector:
        first = inspector.helper_pid
        os.kill(first, signal.SIGKILL)
        assert inspector.inspect(made.document()).pages == 1
        assert inspector.helper_pid != first


def test_a_helper_killed_in_the_middle_of_documents_costs_none_of_them() -> None:
    answers: list[int] = []
    with opened() as inspector:
        first = inspector.helper_pid
        threads = [
            threading.Thread(target=lambda: answers.extend(inspector.inspect(made.document()).pages for _ in range(10)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        os.kill(first, signal.SIGKILL)
        for thread in threads:
            thread.join()
    assert answers == [1] * 40


def test_children_die_with_a_killed_helper() -> None:
    with opened(replace(LIMITS, wall=60.0)) as inspector:
        caught: list[Retryable] = []

        def work() -> None:
            try:
                inspector.inspect(b"probe:sleep")
            except Retryable as error:
                caught.append(error)

        slow = threading.Thread(target=work)
        slow.start()
        for _ in range(2):
            helper = inspector.helper_pid
            while not children_of(helper):
                time.sleep(0.01)
            (child,) = children_of(helper)
            os.kill(helper, signal.SIGKILL)
            assert gone(int(child))
            while slow.is_alive() and inspector.helper_pid == helper:
                time.sleep(0.01)
        slow.join()
    assert len(caught) == 1  # tried once more, then left to whoever asked


def test_leaving_ends_the_helper_and_a_closed_inspector_refuses_work() -> None:
    with opened() as inspector:
        helper = inspector.helper_pid
    assert gone(helper)
    with pytest.raises(RuntimeError):
        inspector.inspect(made.document())


def test_the_helper_dies_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import time\n"
        "from service.inspection.inspector import Inspector\n"
        "from service.inspection.limits import InspectionLimits\n"
        "from service.inspection.scanners.none import NoScanner\n"
        "with Inspector(InspectionLimits(), NoScanner()) as inspector:\n"
        "    print(inspector.helper_pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        helper = int(parent.stdout.readline())
        assert not gone(helper, seconds=0.1)
        parent.kill()
        parent.wait()
    assert gone(helper)


def test_a_fork_of_the_owner_may_leave_without_ending_the_helper() -> None:
    with opened() as inspector:
        pid = os.fork()
        if pid == 0:
            inspector.__exit__(None, None, None)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        before = inspector.helper_pid
        assert inspector.inspect(made.document()).pages == 1
        assert inspector.helper_pid == before


def test_nothing_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with opened() as inspector:
        inspector.inspect((made.DOCUMENTS / "attachment-fr.pdf").read_bytes())
        refused(inspector, b"probe:crash")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("owner", [0, 65534])
def test_it_works_in_a_checkout_that_only_its_owner_may_enter(
    tmp_path_factory: pytest.TempPathFactory, owner: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("printing", "service", "tests/__init__.py", "tests/inspection_support.py"):
            source, target = ROOT / part, folder / part
            target.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner, owner)
        folder.chmod(0o700)
        program = (
            "from service.inspection.inspector import Inspector\n"
            "from service.inspection.limits import InspectionLimits\n"
            "from service.inspection.scanners.none import NoScanner\n"
            "from tests.inspection_support import attached, document\n"
            "with Inspector(InspectionLimits(), NoScanner()) as inspector:\n"
            "    assert inspector.inspect(attached('a.zip', b'PK')).pages == 1\n"
            "    print(inspector.walls)\n"
        )
        environment = {"PATH": os.defpath, "PYTHONPATH": str(folder)}
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=folder,
            env=environment,
            user=owner,
            group=owner,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "unprivileged=True" in done.stdout
