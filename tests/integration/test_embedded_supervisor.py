import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.embedded.leftovers import end_leftovers
from service.embedded.program import steady
from service.embedded.supervisor import ProgramFailed, StopRequested, Supervisor, stop_on_signals
from tests.embedded_support import PATIENCE, environment, python, runs, supervising, until

SLEEP = "import time; time.sleep(600)"
# Has a child that would live on; tells the numbers of both.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
)
SLEEPER = (
    "from service.embedded.program import Program; command = (sys.executable, '-c', 'import time; time.sleep(600)'); "
    "supervisor.start(Program(name='sleeper', command=command, environment={}))"
)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, told: list[str]) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / "home", notice=told.append) as supervisor:
        yield supervisor


def log_of(supervisor: Supervisor, name: str) -> str:
    return (supervisor.home / "logs" / f"{name}.log").read_text("utf-8")


def test_a_program_that_dies_is_started_again_and_everybody_told(supervisor: Supervisor, told: list[str]) -> None:
    seen: list[dict[str, tuple[int, ...]]] = []
    supervisor.on_change(seen.append)
    supervisor.start(python("one", SLEEP), python("two", SLEEP))
    one, two = supervisor.pid("one"), supervisor.pid("two")
    assert one is not None
    os.kill(one, signal.SIGKILL)
    until(lambda: supervisor.pid("one") not in {one, None})
    until(lambda: len(told) == 2)
    assert supervisor.pid("two") == two
    assert seen[-1] == supervisor.pids() == {"one": (supervisor.pid("one"),), "two": (two,)}
    assert "SIGKILL" in told[0]
    assert str(supervisor.pid("one")) in told[1]


def test_a_listeners_fault_does_not_end_the_programs(supervisor: Supervisor) -> None:
    def faulty(_: object) -> None:
        raise KeyError("fault")

    supervisor.on_change(faulty)
    supervisor.start(python("one", SLEEP))
    first = supervisor.pid("one")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.pid("one") not in {first, None})


def test_a_program_that_keeps_dying_is_tried_less_and_less_often(supervisor: Supervisor, told: list[str]) -> None:
    supervisor.start(python("frail", "import time; print('start', flush=True); time.sleep(0.1)"))
    pauses = [supervisor._entries["frail"].pause]
    until(lambda: log_of(supervisor, "frail").count("start") >= 5)
    pauses.append(supervisor._entries["frail"].pause)
    assert pauses[1] >= 0.8 > pauses[0]
    assert all("started again" in sentence for sentence in told[::2])


def test_a_program_that_never_comes_up_is_named_with_its_log_and_not_tried_again(supervisor: Supervisor) -> None:
    with pytest.raises(ProgramFailed, match=r"broken did not start: It ended with status 3\. See .*broken\.log"):
        supervisor.start(python("broken", "import sys; sys.exit(3)", ready=steady(30.0)))
    assert supervisor.pids() == {}
    with pytest.raises(ProgramFailed, match="not ready within 1 seconds"):
        supervisor.start(python("slow", SLEEP, ready=lambda: False, ready_seconds=1.0))
    assert supervisor.pids() == {}
    supervisor.start(python("broken", SLEEP))
    assert supervisor.pid("broken")


def test_a_program_is_ready_when_it_answers(supervisor: Supervisor) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

    def answers() -> bool:
        with socket.create_connection(("127.0.0.1", port), 1.0):
            return True

    late = f"import socket, time; time.sleep(0.4); s = socket.create_server(('127.0.0.1', {port})); time.sleep(600)"
    supervisor.start(python("late", late, ready=answers))
    assert answers()


def test_what_a_dead_program_had_started_dies_before_its_successor_starts(supervisor: Supervisor) -> None:
    supervisor.start(python("parent", PARENT, family=True))
    until(lambda: log_of(supervisor, "parent").count("\n") == 1)
    child = int(log_of(supervisor, "parent"))
    until(lambda: supervisor.pids()["parent"][1:] == (child,))
    first = supervisor.pid("parent")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.pid("parent") not in {first, None})
    until(lambda: not runs(child))


def test_programs_stop_in_reverse_order(tmp_path: Path) -> None:
    told = tmp_path / "order"
    polite = (
        "import signal, sys, time\n"
        "def stop(*_):\n"
        f"    open({str(told)!r}, 'a').write(sys.argv[0] + '{{name}} ')\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        "print('up', flush=True)\n"
        "time.sleep(600)\n"
    )
    with Supervisor(tmp_path / "home") as supervisor:
        for name in ("first", "second", "third"):
            supervisor.start(python(name, polite.format(name=name)))
            until(lambda name=name: "up" in log_of(supervisor, name))  # type: ignore[misc]
    assert [word.removeprefix("-c") for word in told.read_text().split()] == ["third", "second", "first"]


def test_a_program_that_does_not_stop_in_its_time_is_killed(supervisor: Supervisor) -> None:
    supervisor.start(python("deaf", STUBBORN, stop_seconds=0.5))
    until(lambda: "deaf" in log_of(supervisor, "deaf"))
    process = supervisor.pid("deaf")
    assert process is not None
    supervisor.stop("deaf")
    assert not runs(process)
    assert supervisor.pids() == {}


def test_a_stopped_program_stays_stopped_until_it_is_started_again(supervisor: Supervisor) -> None:
    program = python("one", SLEEP)
    supervisor.start(program)
    with pytest.raises(ValueError, match="runs already"):
        supervisor.start(program)
    supervisor.stop("one")
    supervisor.stop("one")
    assert supervisor.pids() == {}
    supervisor.start(program)
    assert supervisor.pid("one")


def test_programs_get_their_own_environment_and_nothing_else(supervisor: Supervisor) -> None:
    supervisor.start(python("shown", "import os; print(sorted(os.environ), flush=True); import time; time.sleep(600)"))
    until(lambda: "\n" in log_of(supervisor, "shown"))
    names = set(environment()) | {"ZENDING_SUPERVISED", "LC_CTYPE"}
    assert set(eval(log_of(supervisor, "shown"))) <= names
    assert (supervisor.home / "logs" / "shown.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_asking_signal_ends_everything_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    with supervising(tmp_path / "home", SLEEPER) as running:
        assert running.end(number) == 128 + number
        assert not runs(running.pids["sleeper"])


def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    with supervising(tmp_path / "home", SLEEPER) as running:
        running.kill()
        until(lambda: not runs(running.pids["sleeper"]))


def test_what_did_outlive_it_is_ended_by_the_next_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    marked = {**environment(), "ZENDING_SUPERVISED": str(home)}
    orphan = subprocess.Popen([sys.executable, "-c", STUBBORN], env=marked, stdout=subprocess.PIPE)
    other = subprocess.Popen([sys.executable, "-c", SLEEP], env={**marked, "ZENDING_SUPERVISED": str(home) + "2"})
    try:
        assert orphan.stdout is not None
        assert orphan.stdout.readline() == b"deaf\n"
        assert end_leftovers(home, patience=0.3) == 1
        assert orphan.wait(10) == -signal.SIGKILL
        assert other.poll() is None
        assert end_leftovers(home) == 0
    finally:
        for process in (orphan, other):
            process.kill()
            process.wait()
        assert orphan.stdout is not None
        orphan.stdout.close()


def test_the_home_is_free_again_after_the_end(tmp_path: Path) -> None:
    for _ in range(2):
        with Supervisor(tmp_path) as supervisor:
            supervisor.start(python("one", SLEEP))
        supervisor.close()


def test_only_the_first_signal_interrupts() -> None:
    before = signal.getsignal(signal.SIGTERM)

    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(StopRequested) as stopped, stop_on_signals():
        work()
    assert stopped.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_hang_up_that_is_ignored_already_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_closed_terminal_ends_everything(tmp_path: Path) -> None:
    home = tmp_path / "home"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom service.embedded.program import Program\n"
        "from service.embedded.supervisor import Supervisor, stop_on_signals\n"
        f"with stop_on_signals(), Supervisor(Path({str(home)!r}), notice=print) as supervisor:\n"
        f"    supervisor.start(Program('sleeper', (sys.executable, '-c', {SLEEP!r}), {{}}))\n"
        "    print(supervisor.pid('sleeper'), flush=True)\n"
        "    time.sleep(600)\n"
    )
    terminal, inner = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-c", code], env=environment(), stdin=inner, stdout=inner, stderr=inner
    )
    os.close(inner)
    sleeper = int(os.read(terminal, 100))
    assert runs(sleeper)
    os.close(terminal)
    assert process.wait(PATIENCE) == 128 + signal.SIGHUP
    assert not runs(sleeper)


def test_programs_can_be_started_from_any_thread_and_outlive_it(supervisor: Supervisor) -> None:
    starter = threading.Thread(target=lambda: supervisor.start(python("one", SLEEP)))
    starter.start()
    starter.join()
    first = supervisor.pid("one")
    time.sleep(0.3)
    assert supervisor.pid("one") == first
