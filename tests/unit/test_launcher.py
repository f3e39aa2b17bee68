import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded_support import CHECKOUT, ORDINARY, as_user, ordinary_folder, until

# Stands for the commands: tells what the launcher gave it.
PROBE = """
import json, os, sys
print(json.dumps({"arguments": sys.argv[1:], "cwd": os.getcwd(), "prefix": sys.prefix, "path": sys.path,
                  "module": __spec__.name, "python_path": os.environ["PYTHONPATH"]}))
"""
SETS = ("service", "demo", "dev")


def make_checkout(folder: Path) -> Path:
    """A checkout with the launcher, requirements that need no download, and probes for commands."""
    for package in ("service", "service/cli", "service/embedded"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
    (folder / "service" / "cli" / "__main__.py").write_text(PROBE)
    (folder / "service" / "embedded" / "checks.py").write_text(PROBE)
    (folder / "requirements").mkdir()
    for name in SETS:
        (folder / "requirements" / f"{name}.txt").write_text(f"# nothing for {name}\n")
    shutil.copy2(CHECKOUT / "zending", folder / "zending")
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "a checkout with 'spaces'")


@pytest.fixture
def ours(checkout: Path) -> dict[str, str]:
    """An environment that uses this interpreter's virtual environment through a stand-in that is up to date."""
    return variables(ZENDING_VENV=str(stand_in(checkout)))


def stand_in(checkout: Path, *names: str, python: Path | None = None) -> Path:
    """An environment that looks installed for these sets (all): its python is this one, or the given program."""
    venv = checkout / "ready"
    (venv / "bin").mkdir(parents=True)
    target = (python or Path(sys.executable)).resolve()
    (venv / "bin" / "python").symlink_to(target)
    for name in names or SETS:
        digest = hashlib.sha256((checkout / "requirements" / f"{name}.txt").read_bytes()).hexdigest()
        (venv / f"zending-{name}.stamp").write_text(f"{digest}\n{target}\n")
    return venv


def variables(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", **more}


def launch(
    program: Path | str, *arguments: str, env: dict[str, str], cwd: Path | None = None, user: int | None = None
) -> "subprocess.CompletedProcess[str]":
    command = [*as_user(user, reads_checkout=False), str(program), *arguments]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False)


def told(done: "subprocess.CompletedProcess[str]") -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_the_launcher_can_be_run_as_it_lies_in_the_checkout() -> None:
    assert (CHECKOUT / "zending").stat().st_mode & stat.S_IXUSR
    assert (CHECKOUT / ".ci" / "run").stat().st_mode & stat.S_IXUSR


def test_commands_get_their_arguments_and_the_folder_stays(
    checkout: Path, ours: dict[str, str], tmp_path: Path
) -> None:
    seen = told(launch(checkout / "zending", "demo", "a b", "--exit", "", env=ours, cwd=tmp_path))
    assert seen["arguments"] == ["demo", "a b", "--exit", ""]
    assert seen["cwd"] == str(tmp_path)
    assert seen["module"] == "service.cli.__main__"
    assert seen["python_path"] == str(checkout)


def test_nothing_is_imported_from_the_folder_one_happens_to_be_in(
    checkout: Path, ours: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    seen = told(launch(checkout / "zending", env=ours | {"PYTHONPATH": str(tmp_path)}, cwd=tmp_path))
    assert isinstance(seen["path"], list)
    assert str(tmp_path) not in seen["path"]
    assert "" not in seen["path"]


def test_it_works_through_links_and_from_inside_its_folder(
    checkout: Path, ours: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "zending").symlink_to(checkout / "zending")
    (tmp_path / "again").symlink_to("bin/zending")
    assert told(launch("./again", env=ours, cwd=tmp_path))["python_path"] == str(checkout)
    assert told(launch("./zending", env=ours, cwd=checkout))["python_path"] == str(checkout)
    on_path = ours | {"PATH": f"{tmp_path / 'bin'}:{ours['PATH']}"}
    assert told(launch("zending", env=on_path, cwd=Path("/")))["python_path"] == str(checkout)


def test_the_tests_have_an_entry_of_their_own(checkout: Path, ours: dict[str, str]) -> None:
    seen = told(launch(checkout / "zending", "test", "-k", "one or two", env=ours))
    assert seen["module"] == "service.embedded.checks"
    assert seen["arguments"] == ["-k", "one or two"]


ADDRESSES = {"DATABASE_URL": "d", "REDIS_URL": "r", "STORAGE_URL": "s"}
# An environment's python that runs commands and has no pip, so that a wish to install something ends in words.
NO_PIP = 'case "$*" in *pip*) exit 1 ;; *) echo "$*" ;; esac'
WISH = "Python 3.11 or newer is needed"


def without_pip(checkout: Path, *names: str) -> dict[str, str]:
    path = fake_python(checkout, "exit 1", own=NO_PIP, id="echo 1000")
    return variables(PATH=str(path), ZENDING_VENV=str(stand_in(checkout, *names, python=path / "own")))


def test_a_larger_set_serves_a_smaller_need_and_not_the_other_way(checkout: Path) -> None:
    env = without_pip(checkout, "demo")
    assert launch(checkout / "zending", "demo", env=env).returncode == 0
    assert launch(checkout / "zending", "api", env=env | ADDRESSES).returncode == 0
    assert WISH in launch(checkout / "zending", "test", env=env).stderr


def test_a_changed_requirement_is_noticed(checkout: Path) -> None:
    env = without_pip(checkout)
    assert launch(checkout / "zending", "demo", env=env).stderr == ""
    for name in SETS:
        (checkout / "requirements" / f"{name}.txt").write_text("# other\n")
    assert WISH in launch(checkout / "zending", "demo", env=env).stderr


def test_a_new_python_of_the_system_is_noticed(checkout: Path) -> None:
    env = without_pip(checkout)
    python = checkout / "ready" / "bin" / "python"
    python.unlink()
    shutil.copy2(checkout / "programs" / "own", checkout / "programs" / "newer")
    python.symlink_to(checkout / "programs" / "newer")
    assert WISH in launch(checkout / "zending", "demo", env=env).stderr


def test_without_embedded_parts_the_services_own_set_is_enough(checkout: Path) -> None:
    env = without_pip(checkout, "service")
    assert launch(checkout / "zending", "api", env=env | ADDRESSES).returncode == 0
    assert WISH in launch(checkout / "zending", "api", env=env | ADDRESSES | {"REDIS_URL": ""}).stderr
    assert WISH in launch(checkout / "zending", "demo", env=env | ADDRESSES).stderr


def fake_python(folder: Path, body: str, **others: str) -> Path:
    """A folder for PATH with the plain tools, a python3 that does ``body``, and other programs."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for tool in ("bash", "dirname", "readlink", "sha256sum", "cut", "mkdir", "ls", "find", "flock", "rm", "mv", "cat"):
        found = shutil.which(tool)
        assert found
        link = programs / tool
        link.unlink(missing_ok=True)
        link.symlink_to(found)
    for name, text in {"python3": body, **others}.items():
        (programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (programs / name).chmod(0o755)
    return programs


# Python 3.11 as Debian installs it without python3-venv, until the file "installed" is there.
SPLIT = 'case "$*" in *ensurepip*) [ -e "$0.venv" ] ;; *%d.%d*) echo 3.11 ;; *) exit 0 ;; esac'


def test_an_ordinary_user_is_told_the_one_command_that_brings_venv(checkout: Path) -> None:
    path = fake_python(checkout, SPLIT, id="echo 1000")
    done = launch(checkout / "zending", env=variables(PATH=str(path)))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("sudo apt-get install python3.11-venv")


def test_root_has_venv_installed(checkout: Path) -> None:
    installer = 'echo "$*" >>"$0.calls"; [ "$1" = update ] || touch "${0%/*}/python3.venv"'
    path = fake_python(checkout, SPLIT, id="echo 0", **{"apt-get": installer})
    launch(checkout / "zending", env=variables(PATH=str(path)))
    calls = (path / "apt-get.calls").read_text().splitlines()
    assert calls[0].startswith("update")
    assert calls[1].split()[0] == "install"
    assert calls[1].endswith(" python3.11-venv")


def test_an_old_python_is_refused_in_words(checkout: Path) -> None:
    done = launch(checkout / "zending", env=variables(PATH=str(fake_python(checkout, "exit 1", id="echo 1000"))))
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr


def test_a_folder_with_a_colon_is_refused_in_words(tmp_path: Path) -> None:
    done = launch(make_checkout(tmp_path / "a:b") / "zending", env=variables())
    assert done.returncode == 1
    assert "colon" in done.stderr


def test_it_never_empties_a_folder_that_is_not_its_own(checkout: Path, tmp_path: Path) -> None:
    precious = tmp_path / "documents"
    precious.mkdir()
    (precious / "letter").write_text("mine")
    done = launch(checkout / "zending", env=variables(ZENDING_VENV=str(precious)))
    assert done.returncode == 1
    assert "ZENDING_VENV" in done.stderr
    assert (precious / "letter").read_text() == "mine"


@pytest.fixture(scope="module")
def fresh() -> Iterator[Path]:
    """A checkout of an ordinary user's, in a folder that nobody else may enter."""
    with ordinary_folder() as folder:
        checkout = make_checkout(folder / "a checkout")
        if os.geteuid() == 0:
            for entry in (checkout, *checkout.rglob("*")):
                shutil.chown(entry, ORDINARY, ORDINARY)
        yield checkout


def test_two_first_starts_at_once_make_one_environment(fresh: Path) -> None:
    env = {name: value for name, value in variables().items() if name != "HOME"}
    command = [*as_user(ORDINARY, reads_checkout=False), str(fresh / "zending"), "demo"]
    both = [
        subprocess.Popen(command, env=env, cwd=fresh, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    for out, _ in outputs:
        assert json.loads(out)["prefix"] == str(fresh / ".venv")
    said = "".join(error for _, error in outputs)
    assert said.count("Installing Zending's libraries") == 1
    assert said.count("Making a Python environment") == 1
    again = launch(fresh / "zending", env=env, cwd=fresh, user=ORDINARY)
    assert told(again)
    assert again.stderr == ""


def test_an_interrupted_installation_is_made_anew(fresh: Path) -> None:
    venv = fresh / ".venv"
    shutil.rmtree(venv, ignore_errors=True)
    command = [*as_user(ORDINARY, reads_checkout=False), str(fresh / "zending"), "demo"]
    first = subprocess.Popen(command, env=variables(), cwd=fresh, stderr=subprocess.DEVNULL, process_group=0)
    until((venv / "zending-unfinished").exists)
    os.killpg(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    repaired = launch(fresh / "zending", env=variables(), cwd=fresh, user=ORDINARY)
    assert told(repaired)["prefix"] == str(venv)
    assert "Making a Python environment" in repaired.stderr
    assert not (venv / "zending-unfinished").exists()


def test_somebody_elses_checkout_asks_for_another_place() -> None:
    with ordinary_folder() as folder:
        checkout = make_checkout(folder / "theirs")
        checkout.chmod(0o555)
        try:
            if os.geteuid() == 0:
                folder.chmod(0o755)
            done = launch(checkout / "zending", env=variables(), cwd=folder, user=ORDINARY)
        finally:
            checkout.chmod(0o755)
        assert done.returncode == 1
        assert "you may not write there: set ZENDING_VENV" in done.stderr


def test_root_builds_on_a_python_that_every_user_can_reach(checkout: Path, tmp_path: Path) -> None:
    made = 'case "$*" in *"-m venv"*) : >"$0.made"; exit 1 ;; *realpath*) echo {} ;; *) exit 0 ;; esac'
    private = fake_python(checkout, made.format("/root/somewhere/python3"), id="echo 0")
    (tmp_path / "other").mkdir()
    public = fake_python(tmp_path / "other", made.format("/usr/bin/python3"))
    launch(checkout / "zending", env=variables(PATH=f"{private}:{public}"))
    assert (public / "python3.made").exists()
    assert not (private / "python3.made").exists()
    launch(checkout / "zending", env=variables(PATH=str(private)))
    assert (private / "python3.made").exists()
