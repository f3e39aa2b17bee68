"""``zending test``: everything that must hold before a change goes in, with the machine made ready first."""

import compileall
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.embedded import audit

CHECKOUT: Final = Path(__file__).resolve().parents[2]
WORKERS: Final = 2
ROOMS: Final = ("printing", "service", "signing", "tests", "workers")
"""Folders of our code."""

TOOLS: Final = {
    "chromium": "chromium",
    "pdfsig": "poppler-utils",
    "pdftoppm": "poppler-utils",
    "qpdf": "qpdf",
    "sshd": "openssh-server",
    "softhsm2-util": "softhsm2",
    "java": "default-jre-headless",
    "clamd": "clamav-daemon",
    "ip": "iproute2",
    "rabbitmq-server": "rabbitmq-server",
    "ceph": "ceph-common",
    "radosgw-admin": "ceph-common",
    "monmaptool": "ceph-base",
    "ceph-mon": "ceph-mon",
    "ceph-osd": "ceph-osd",
    "radosgw": "radosgw",
    "promtool": "prometheus",
    "prometheus": "prometheus",
}
"""Programs that tests judge results with, and the Debian package of each."""

JARS: Final = {
    "preflight": "libpdfbox2-java",
    "pdfbox2": "libpdfbox2-java",
    "xmpbox": "libpdfbox2-java",
    "fontbox2": "libfontbox2-java",
    "commons-logging": "libcommons-logging-java",
    "javax.activation": "libactivation-java",
    "jaxb-api": "libjaxb-api-java",
}
"""What Apache PDFBox's preflight (PDF/A-1b) consists of, in Debian's folder for Java, and the package of each."""
JAVA: Final = Path("/usr/share/java")

_POLICY: Final = Path("/usr/sbin/policy-rc.d")
# Where an ordinary user's PATH does not lead.
_SYSTEM_FOLDERS: Final = ":/usr/sbin:/sbin"
_COLOURS: Final = re.compile(rb"\x1b\[[0-9;]*m")
_NO_PYTEST_LINE: Final = "pytest gave no summary"


@dataclass(frozen=True, slots=True)
class Step:
    """One check: its heading and the command whose status says whether it passed.

    Attributes:
        unseen: the status that says that nothing is wrong in what could be looked at, and not all could be.
        waits: it mostly waits for others, so it runs beside the checks before it, and is told of in its turn.
    """

    heading: str
    command: tuple[str, ...]
    unseen: int | None = None
    waits: bool = False


def steps() -> tuple[Step, ...]:
    """The checks before the tests, the quick ones first."""
    python = sys.executable
    return (
        Step("ruff check", (python, "-m", "ruff", "check", ".")),
        Step("ruff format", (python, "-m", "ruff", "format", "--check", ".")),
        Step("import-linter", (python, "-c", "from importlinter.cli import lint_imports_command as run; run()")),
        Step("mypy", (python, "-m", "mypy")),
        Step("pip-audit", (python, "-m", "service.embedded.audit"), unseen=audit.UNSEEN, waits=True),
    )


def pytest_command(arguments: Sequence[str]) -> tuple[str, ...]:
    """How the tests run: as asked for, or all of them, side by side."""
    return (sys.executable, "-m", "pytest", *(arguments or ("-n", str(WORKERS))))


def missing_packages(path: str | None = None) -> tuple[str, ...]:
    """The Debian packages of programs and libraries that are not there."""
    where = (os.environ.get("PATH", os.defpath) if path is None else path) + _SYSTEM_FOLDERS
    programs = [package for tool, package in TOOLS.items() if shutil.which(tool, path=where) is None]
    libraries = [package for jar, package in JARS.items() if not (JAVA / f"{jar}.jar").exists()]
    return tuple(dict.fromkeys((*programs, *libraries)))


def make_ready() -> None:
    """Install what is missing where we may, else say what is: the tests that need it will skip and say so."""
    missing = missing_packages()
    if not missing:
        return
    command = f"apt-get install --no-install-recommends {' '.join(missing)}"
    installer = shutil.which("apt-get")
    if os.geteuid() != 0 or installer is None:
        print(f"Some tests need programs that are not installed. This does it, once: sudo {command}", flush=True)
        return
    _head(f"Installing {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = (installer, "-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0")
    install = (*apt, "install", "--yes", "--no-install-recommends", *missing)
    with services_stay_down():
        subprocess.run((*apt, "update"), env=environment, check=False)
        done = subprocess.run(install, env=environment, check=False)
    if done.returncode:
        print(f"They could not be installed: {command}", flush=True)


@contextmanager
def services_stay_down(policy: Path = _POLICY) -> Iterator[None]:
    """Within the block Debian's packages start no services: we want their programs only."""
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n", "ascii")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def compile_ours(checkout: Path = CHECKOUT) -> None:
    """Compile our code once: tests start hundreds of processes, and each would do it where Python may not write."""
    for room in ROOMS:
        compileall.compile_dir(checkout / room, quiet=2)


def run_all() -> int:
    """Run every check and then the tests; 0 when all passed. The last line printed is pytest's summary."""
    failed, unseen = _run_steps(steps())
    _head("pytest")
    status, summary = _run_tests()
    if status:
        failed.append("pytest")
    _head("Result")
    if unseen:
        print(f"Could not look at everything: {', '.join(unseen)}")
    print(
        f"Failed: {', '.join(failed)}" if failed else "Every other check passed." if unseen else "Every check passed."
    )
    print(summary, flush=True)
    return 1 if failed else 0


def _run_steps(asked: Sequence[Step]) -> tuple[list[str], list[str]]:
    """Run these checks; the headings of what failed, and of what could not be looked at."""
    failed, unseen = [], []
    with ThreadPoolExecutor() as pool:
        begun = {step: pool.submit(_output, step) for step in asked if step.waits}
        for step in asked:
            _head(step.heading)
            if step in begun:
                told = begun[step].result()
                print(told.stdout, end="", flush=True)
                status = told.returncode
            else:
                status = subprocess.run(step.command, check=False).returncode
            if status == step.unseen:
                unseen.append(step.heading)
            elif status:
                failed.append(step.heading)
    return failed, unseen


def _output(step: Step) -> subprocess.CompletedProcess[str]:
    return subprocess.run(step.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def _run_tests() -> tuple[int, str]:
    command = pytest_command(())
    if sys.stdout.isatty():
        command = (*command, "--color=yes")
    tail = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        assert running.stdout is not None
        while piece := os.read(running.stdout.fileno(), 65_536):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            tail = (tail + piece)[-65_536:]
    return running.returncode, summary_of(tail)


def summary_of(output: bytes) -> str:
    """The line in which pytest counts what passed, without its frame; a sentence when there is none."""
    lines = _COLOURS.sub(b"", output).decode("utf-8", "replace").splitlines()
    found = [
        line for line in lines if re.search(r"\d+ (passed|failed|errors?|skipped|deselected)\b.* in [\d.]+s", line)
    ]
    return found[-1].strip("= ") if found else _NO_PYTEST_LINE


def _head(text: str) -> None:
    print(f"\n── {text} " + "─" * max(3, 76 - len(text)), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks. With arguments only pytest runs, with these."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    os.chdir(CHECKOUT)
    make_ready()
    if given:
        sys.stdout.flush()
        os.execv(sys.executable, pytest_command(given))  # noqa: S606 - our own interpreter, no shell
    compile_ours()
    return run_all()


if __name__ == "__main__":
    sys.exit(main())
