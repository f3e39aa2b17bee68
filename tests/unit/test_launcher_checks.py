import stat
import subprocess
import sys
from pathlib import Path

import pytest

from service.embedded import audit, checks


def programs(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return str(folder)


def test_each_missing_package_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_SYSTEM_FOLDERS", "")
    monkeypatch.setattr(checks, "JAVA", tmp_path)
    (tmp_path / "preflight.jar").touch()
    assert checks.missing_packages(programs(tmp_path, "chromium")) == (
        "poppler-utils",
        "qpdf",
        "openssh-server",
        "softhsm2",
        "default-jre-headless",
        "clamav-daemon",
        "iproute2",
        "rabbitmq-server",
        "ceph-common",
        "ceph-base",
        "ceph-mon",
        "ceph-osd",
        "radosgw",
        "prometheus",
        "libpdfbox2-java",
        "libfontbox2-java",
        "libcommons-logging-java",
        "libactivation-java",
        "libjaxb-api-java",
    )
    for jar in checks.JARS:
        (tmp_path / f"{jar}.jar").touch()
    assert checks.missing_packages(programs(tmp_path, *checks.TOOLS)) == ()


def test_an_ordinary_user_is_told_the_one_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checks, "missing_packages", lambda: ("qpdf", "chromium"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    checks.make_ready()
    assert "sudo apt-get install --no-install-recommends qpdf chromium" in capsys.readouterr().out


def test_root_has_the_missing_packages_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installer = tmp_path / "apt-get"
    installer.write_text(f'#!/bin/sh\necho "$DEBIAN_FRONTEND $*" >>"{tmp_path}/calls"\n')
    installer.chmod(0o755)
    monkeypatch.setattr(checks, "missing_packages", lambda: ("qpdf",))
    monkeypatch.setattr(checks, "_POLICY", tmp_path / "policy")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda _: str(installer))
    checks.make_ready()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].endswith("update")
    assert calls[1].startswith("noninteractive ")
    assert calls[1].endswith("install --yes --no-install-recommends qpdf")


def test_no_service_starts_meanwhile_and_the_machine_is_left_as_it_was(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with checks.services_stay_down(policy):
        assert policy.stat().st_mode & stat.S_IXUSR
        assert subprocess.run([policy], check=False).returncode == 101
    assert not policy.exists()
    policy.write_text("theirs")
    with checks.services_stay_down(policy):
        assert policy.read_text() == "theirs"
    assert policy.read_text() == "theirs"


@pytest.mark.parametrize(
    ("output", "summary"),
    [
        ("..\n===== 2 passed in 0.01s =====\n", "2 passed in 0.01s"),
        (
            "\x1b[31mF\x1b[0m\n\x1b[31m==== \x1b[1m1 failed\x1b[0m, 3 passed in 61.20s (0:01:01) ====\x1b[0m\n",
            "1 failed, 3 passed in 61.20s (0:01:01)",
        ),
        ("12 passed in 3.21s\nsome thread's last word\n", "12 passed in 3.21s"),
        ("Killed\n", "pytest gave no summary"),
    ],
)
def test_the_closing_line_is_pytests_own_count(output: str, summary: str) -> None:
    assert checks.summary_of(output.encode()) == summary


def test_our_code_is_compiled_also_where_python_may_not_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for room in checks.ROOMS:
        (tmp_path / room / "inner").mkdir(parents=True)
        (tmp_path / room / "inner" / "module.py").write_text("kept = 1\n")
    (tmp_path / "service" / "broken.py").write_text("def\n")
    checks.compile_ours(tmp_path)
    assert len(list(tmp_path.rglob("module.*.pyc"))) == len(checks.ROOMS)
    # What is wrong with a file is for the checks to tell.
    assert capfd.readouterr() == ("", "")
    assert all((checks.CHECKOUT / room).is_dir() for room in checks.ROOMS)


def test_one_failed_check_fails_the_whole_and_the_rest_still_runs(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = checks.Step("bad", (sys.executable, "-c", "print('bad ran'); raise SystemExit(1)"))
    good = checks.Step("good", (sys.executable, "-c", "print('good ran')"))
    tests = (sys.executable, "-c", "print('== 2 passed in 0.1s ==')")
    monkeypatch.setattr(checks, "pytest_command", lambda _: tests)
    monkeypatch.setattr(checks, "steps", lambda: (bad, good))
    assert checks.run_all() == 1
    lines = capfd.readouterr().out.splitlines()
    assert "good ran" in lines
    assert lines[-2:] == ["Failed: bad", "2 passed in 0.1s"]
    monkeypatch.setattr(checks, "steps", lambda: (good,))
    assert checks.run_all() == 0
    assert capfd.readouterr().out.splitlines()[-2:] == ["Every check passed.", "2 passed in 0.1s"]


def test_a_check_that_could_not_look_fails_nothing_and_is_not_said_to_have_passed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    blind = (sys.executable, "-c", f"raise SystemExit({audit.UNSEEN})")
    tests = (sys.executable, "-c", "print('== 2 passed in 0.1s ==')")
    monkeypatch.setattr(checks, "pytest_command", lambda _: tests)
    monkeypatch.setattr(checks, "steps", lambda: (checks.Step("blind", blind, unseen=audit.UNSEEN),))
    assert checks.run_all() == 0
    assert capfd.readouterr().out.splitlines()[-3:] == [
        "Could not look at everything: blind",
        "Every other check passed.",
        "2 passed in 0.1s",
    ]
    # The same status of a check that has no such word is a failure.
    monkeypatch.setattr(checks, "steps", lambda: (checks.Step("blind", blind),))
    assert checks.run_all() == 1
    assert "Failed: blind" in capfd.readouterr().out.splitlines()


def test_failed_tests_fail_the_whole(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    tests = (sys.executable, "-c", "print('== 1 failed in 0.1s =='); raise SystemExit(1)")
    monkeypatch.setattr(checks, "pytest_command", lambda _: tests)
    monkeypatch.setattr(checks, "steps", lambda: ())
    assert checks.run_all() == 1
    assert capfd.readouterr().out.splitlines()[-2:] == ["Failed: pytest", "1 failed in 0.1s"]


def test_arguments_run_pytest_alone_with_exactly_these() -> None:
    assert checks.pytest_command(["-k", "one"])[1:] == ("-m", "pytest", "-k", "one")
    assert checks.pytest_command(())[1:] == ("-m", "pytest", "-n", str(checks.WORKERS))


def test_every_check_can_be_started() -> None:
    modules = {step.heading for step in checks.steps()}
    assert modules == {"ruff check", "ruff format", "import-linter", "mypy", "pip-audit"}
    assert {step.heading for step in checks.steps() if step.unseen is not None} == {"pip-audit"}
    for command in (("-m", "ruff", "--version"), ("-m", "mypy", "--version"), ("-m", "pip_audit", "--version")):
        assert subprocess.run([sys.executable, *command], check=False, capture_output=True).returncode == 0
    assert (
        subprocess.run(
            [sys.executable, "-c", "from importlinter.cli import lint_imports_command"], check=False
        ).returncode
        == 0
    )


def test_a_check_that_waits_runs_beside_the_others_and_fails_the_whole_in_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # Each goes on only when the other runs too.
    meet = (
        "import pathlib, sys, time\n"
        "mine, other, word, status = sys.argv[1:]\n"
        "pathlib.Path(mine).touch()\n"
        "end = time.monotonic() + 20\n"
        "while not pathlib.Path(other).exists() and time.monotonic() < end: time.sleep(0.01)\n"
        "print(word if pathlib.Path(other).exists() else 'alone')\n"
        "raise SystemExit(int(status))\n"
    )
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    first = checks.Step("first", (sys.executable, "-c", meet, one, two, "first ran", "0"))
    waiting = checks.Step("waiting", (sys.executable, "-c", meet, two, one, "waiting ran", "1"), waits=True)
    monkeypatch.setattr(checks, "pytest_command", lambda _: (sys.executable, "-c", "print('== 2 passed in 0.1s ==')"))
    monkeypatch.setattr(checks, "steps", lambda: (first, waiting))
    assert checks.run_all() == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines.index("first ran") < next(n for n, line in enumerate(lines) if line.startswith("── waiting"))
    assert lines.index("waiting ran") < lines.index("Failed: waiting")
