"""The real helper, its children and their walls: what gets out, what does not, what happens when something dies."""

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
from pikepdf import Name

from service.domain.errors import DocumentRefused, Retryable
from service.inspection.inspector import Inspector
from service.inspection.limits import MIB, InspectionLimits
from service.inspection.scanners.base import ScanState
from service.inspection.scanners.none import NoScanner
from tests import inspection_support as made

LIMITS = InspectionLimits()
ROOT = Path(__file__).parents[2]


def opened(limits: InspectionLimits = LIMITS) -> Inspector:
    return Inspector(limits, NoScanner(), program=made.PROBE_PROGRAM)


@pytest.fixture(scope="module")
def probes() -> Iterator[Inspector]:
    with opened() as inspector:
        yield inspector


@pytest.fixture(scope="module")
def inspector() -> Iterator[Inspector]:
    with Inspector(LIMITS, NoScanner()) as real:
        yield real


def refused(inspector: Inspector, document: bytes) -> DocumentRefused:
    with pytest.raises(DocumentRefused) as caught:
        inspector.inspect(document)
    return caught.value


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def gone(pid: int, seconds: float = 20) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if status_of(pid)["State"].startswith("Z"):
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


# ------------------------------------------------------------------------------------------------------- documents


@pytest.mark.parametrize("path", sorted(made.DOCUMENTS.glob("*.pdf")), ids=lambda path: path.name)
def test_every_stored_document_is_accepted(inspector: Inspector, path: Path) -> None:
    data = path.read_bytes()
    found = inspector.inspect(data)
    assert found.size == len(data)
    assert found.replacement is None
    assert found.scan is ScanState.NOT_SCANNED
    assert all(problem.detail.endswith(".") for problem in found.problems)


def test_further_samples_are_accepted_but_for_the_protected_one(inspector: Inspector) -> None:
    codes = {}
    # Where there is no folder of further samples beside the checkout there are none to accept.
    samples = sorted(made.SAMPLES.glob("*.pdf"))
    for path in samples:
        try:
            inspector.inspect(path.read_bytes())
        except DocumentRefused as error:
            codes[path.name] = error.code
    protected = "libreoffice-writer-password.pdf"
    assert codes == ({protected: "encrypted"} if made.SAMPLES / protected in samples else {})


def test_a_refusal_has_a_code_a_sentence_and_nothing_of_the_document(inspector: Inspector) -> None:
    error = refused(inspector, made.attached("dossier-of-mrs-secret.exe", b"x"))
    assert error.code == "embedded_executable"
    assert error.detail == "A program or script is attached inside this PDF."
    assert "secret" not in repr((error.args, error.context))


def test_a_repaired_file_comes_back_whole(inspector: Inspector) -> None:
    broken = made.without_cross_references((made.DOCUMENTS / "permit-nl-libreoffice.pdf").read_bytes())
    found = inspector.inspect(broken)
    assert found.replacement is not None
    assert found.size == len(found.replacement)
    assert found.problems[0].code == "repaired"
    assert inspector.inspect(found.replacement).replacement is None


def test_a_file_over_the_limit_is_refused_before_it_is_read(inspector: Inspector) -> None:
    assert refused(inspector, bytes(LIMITS.size + 1)).code == "too_large"


@pytest.mark.parametrize(
    "document",
    [
        made.with_stream(made.deflated_zeros(1024 * MIB), Filter=Name.FlateDecode),
        made.looping_pages(),
        made.looping_cross_references(),
        made.nested(2_000_000),
        b"%PDF-1.7\n" + b"<<" * 5_000_000,
        b"%PDF-1.7\n" + os.urandom(2 * MIB),
    ],
    ids=["bomb", "page loop", "cross-reference loop", "nesting", "open ends", "noise"],
)
def test_a_hostile_document_ends_and_the_next_one_is_read(inspector: Inspector, document: bytes) -> None:
    before = inspector.helper_pid
    try:
        inspector.inspect(document)
    except DocumentRefused as error:
        assert error.code  # noqa: PT017 - some of them are repaired
    assert inspector.inspect(made.document()).pages == 1
    assert inspector.helper_pid == before


# ------------------------------------------------------------------------------------------------------------ walls


@pytest.mark.parametrize("attempt", made.ATTEMPTS)
def test_a_child_that_was_taken_over_cannot(probes: Inspector, attempt: str) -> None:
    number = probes.inspect(f"probe:try_{attempt}".encode()).pages - 1
    assert number != 0


def test_the_attempts_would_work_without_the_walls(tmp_path: Path) -> None:
    program = (
        "from tests.inspection_support import ATTEMPTS\n"
        "names = ('socket', 'unix_socket', 'socketpair', 'open_to_read', 'list_folder', 'memfd', 'thread')\n"
        "assert [ATTEMPTS[name]() for name in names] == [0] * len(names)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_the_walls_are_proven_at_the_start(inspector: Inspector) -> None:
    walls = inspector.walls
    assert walls.walls_hold
    assert walls.unprivileged
    helper = status_of(inspector.helper_pid)
    assert helper["NoNewPrivs"] == "1"
    assert set(helper["Uid"].split()) != {"0"}
    if os.geteuid() == 0:
        assert set(helper["Uid"].split()) == {"65534"}
        assert int(helper["CapEff"], 16) == 0


def test_a_child_sees_neither_our_environment_nor_our_files(probes: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    assert probes.inspect(b"probe:environment").pages - 1 <= 5
    assert probes.inspect(b"probe:descriptors").pages - 1 == 5
    monkeypatch.setenv("A_PASSWORD", "x")
    with opened() as fresh:
        assert fresh.inspect(b"probe:environment").pages - 1 <= 5


def test_every_document_has_a_child_of_its_own(probes: Inspector) -> None:
    assert len({probes.inspect(b"probe:pid").pages for _ in range(3)}) == 3


def test_a_child_runs_nothing_that_modules_ask_to_have_run_after_a_fork(probes: Inspector) -> None:
    # `random` would begin anew in each.
    assert len({probes.inspect(b"probe:random").pages for _ in range(3)}) == 1


@pytest.mark.parametrize("probe", ["crash", "abort", "error", "flood"])
def test_a_crash_is_a_refusal(probes: Inspector, probe: str) -> None:
    before = probes.helper_pid
    assert refused(probes, f"probe:{probe}".encode()).code == "inspection_crashed"
    assert probes.helper_pid == before


@pytest.mark.parametrize("probe", sorted(name for name in made.PROBES if name.startswith("say_")))
def test_an_answer_no_honest_child_gives_is_a_crash(probes: Inspector, probe: str) -> None:
    error = refused(probes, f"probe:{probe}".encode())
    assert error.code == "inspection_crashed"
    assert error.detail == "This PDF could not be checked: reading it made the checking program fail."


@pytest.mark.parametrize("probe", ["sleep", "spin"])
def test_a_child_that_does_not_end_is_ended(probe: str) -> None:
    with opened(replace(LIMITS, wall=0.5)) as inspector:
        before = inspector.helper_pid
        assert refused(inspector, f"probe:{probe}".encode()).code == "inspection_timeout"
        assert inspector.helper_pid == before
        assert children_of(before) == []


def test_a_child_gets_only_so_much_memory() -> None:
    with opened(replace(LIMITS, address_space=400 * MIB)) as inspector:
        assert refused(inspector, b"probe:memory").code == "inspection_memory"


def test_an_ordinary_document_needs_a_fraction_of_the_memory() -> None:
    with opened(replace(LIMITS, address_space=256 * MIB)) as inspector:
        assert inspector.inspect((made.DOCUMENTS / "report-60-pages-nl.pdf").read_bytes()).pages == 60


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


# --------------------------------------------------------------------------------------------------- life and death


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
    assert children_of(inspector.helper_pid) == []


def test_a_slow_document_does_not_hold_up_the_others() -> None:
    with opened(replace(LIMITS, wall=3.0, children=2)) as inspector:
        slow = threading.Thread(target=lambda: refused(inspector, b"probe:sleep"))
        slow.start()
        for _ in range(5):
            assert inspector.inspect(made.document()).pages == 1
        assert slow.is_alive()
        slow.join()


def test_who_finds_no_place_is_told_to_come_back() -> None:
    with opened(replace(LIMITS, wall=2.0, children=1, wait=0.1)) as inspector:
        slow = threading.Thread(target=lambda: refused(inspector, b"probe:sleep"))
        slow.start()
        while not children_of(inspector.helper_pid):
            time.sleep(0.01)
        with pytest.raises(Retryable):
            inspector.inspect(made.document())
        slow.join()


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
        for part in ("service", "tests/__init__.py", "tests/inspection_support.py"):
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
