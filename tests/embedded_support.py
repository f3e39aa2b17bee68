"""Programs for tests of the embedded stack: supervisors in processes of their own, also as an ordinary user."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.embedded.program import Program

CHECKOUT = Path(__file__).resolve().parents[1]
ORDINARY = 65_534
PATIENCE = 60.0

# Starts what the body says and tells so in one line; then lives until it is told to stop.
_SUPERVISING = """
import sys, time
from pathlib import Path
from service.embedded.supervisor import Supervisor, stop_on_signals
from service.embedded.postgres import EmbeddedPostgres
from service.embedded.valkey import EmbeddedValkey
with stop_on_signals(), Supervisor(Path(sys.argv[1])) as supervisor:
    {body}
    print("up", *(f"{{name}}={{numbers[0]}}" for name, numbers in supervisor.pids().items()), flush=True)
    while True:
        time.sleep(1)
"""


def environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}


def until(condition: Callable[[], object], *, seconds: float = PATIENCE) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def runs(process: int) -> bool:
    """Whether a process lives; a dead one whose parent has not looked does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def python(name: str, code: str, *, ready: Callable[[], bool] | None = None, **more: object) -> Program:
    """A program for a supervisor: a few lines of Python."""
    command = (sys.executable, "-c", code)
    return Program(name=name, command=command, environment=environment(), ready=ready, **more)  # type: ignore[arg-type]


class Supervising:
    """A supervisor in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        assert process.stdout is not None
        word, *pairs = process.stdout.readline().split() or [""]
        assert word == "up", "the supervisor did not come up"
        self.pids = {name: int(number) for name, number in (pair.split("=") for pair in pairs)}

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def supervising(home: Path, body: str, *, user: int | None = None) -> Iterator[Supervising]:
    """Run a supervisor whose ``body`` starts programs (one line of Python that knows ``supervisor``)."""
    command = [*as_user(user), sys.executable, "-c", _SUPERVISING.format(body=body), str(home)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True, cwd=home.parent)
    try:
        yield Supervising(process)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


def as_user(user: int | None, *, reads_checkout: bool = True) -> list[str]:
    """The start of a command line that becomes an ordinary user, who can read this checkout wherever it lies."""
    if user is None or os.geteuid() != 0:
        return []
    plain = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    look = [*plain, "--", sys.executable, "-c", "import service"]
    reached = subprocess.run(look, env=environment(), cwd="/", capture_output=True, check=False).returncode == 0
    if reached or not reads_checkout:
        return [*plain, "--"]
    # A checkout that only root may enter: the right to read passes its folders, all other rights are gone.
    return [*plain, "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", "--"]


@contextmanager
def ordinary_folder() -> Iterator[Path]:
    """A folder that only an ordinary user may enter: another one when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="zending test "))
    if os.geteuid() == 0:
        shutil.chown(folder, ORDINARY, ORDINARY)
    folder.chmod(0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def owners(folder: Path) -> set[int]:
    return {entry.lstat().st_uid for entry in folder.rglob("*")}
