"""``zending demo`` as a new user meets it: started, ended, started again, and used by scripts."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.embedded.fictional import SAMPLES
from service.embedded.kept import free_port
from tests.e2e_demo_support import ARRIVING, SECONDS, Demo
from tests.embedded_support import CHECKOUT, ORDINARY, environment, ordinary_folder, runs
from tests.service_support import until
from tests.tools_support import program


def rows(said: str) -> list[str]:
    """The lines of the last table."""
    table = said.rpartition("sealed file")[2].split("\n\n")[0]
    return [line.rstrip() for line in table.splitlines()[1:] if line.strip()]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo of a new user") / "home"


@pytest.fixture(scope="module")
def first(home: Path) -> str:
    """What a first start with --exit says."""
    demo = Demo(home, "--exit")
    assert demo.end() == 0, demo.said
    return demo.said


@pytest.fixture(scope="module")
def second(home: Path, first: str) -> Iterator[Demo]:
    """A second start, which goes on running."""
    assert first
    demo = Demo(home)
    try:
        demo.until_said("It runs until Ctrl-C")
        yield demo
    finally:
        demo.end(signal.SIGTERM)


def test_every_document_comes_to_its_end_and_the_table_says_where(home: Path, first: str) -> None:
    lines = rows(first)
    assert len(lines) == len(SAMPLES)
    for sample, line in zip(SAMPLES, lines, strict=True):
        assert line.startswith(sample.document)
        if sample.broken:
            assert "refused: damaged" in line
        else:
            saved = home / "sealed" / f"{sample.reference}.pdf"
            assert line.endswith(str(saved.relative_to(home.parent)))
            assert "published, verified" in line
            assert saved.read_bytes().startswith(b"%PDF-")
    assert {"mailbox", "paper", "paper, registered"} <= {cell for line in lines for cell in re.split(r"\s{2,}", line)}
    assert "Every document came to its end" in first


def test_what_it_keeps_is_for_its_user_only(home: Path, first: str) -> None:
    assert first
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    secret = [home / "demo.json", home / "environment", *(home / "secrets").iterdir(), *(home / "sealed").iterdir()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in secret} == {0o600}


def test_nothing_runs_after_the_end(home: Path, first: str) -> None:
    assert first
    pids = json.loads((home / "demo.json").read_text("utf-8"))["pids"]
    assert pids == {"api": [], "worker": [], "scheduler": [], "postgres": None, "valkey": None}
    mark = f"ZENDING_SUPERVISED={home}".encode()
    assert [process for process in Path("/proc").glob("[0-9]*") if mark in _environment_of(process)] == []


def _environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


def test_a_second_start_goes_on_with_what_is_there(second: Demo) -> None:
    assert f"{len(ARRIVING)} of them handed in at an earlier start" in second.said
    told = second.told()
    with httpx.Client(base_url=told["base_url"], trust_env=False) as http:
        seen = []
        for client in told["clients"].values():
            answer = http.get("/v1/deliveries?limit=100", headers=_bearer(http, client))
            seen += [item["reference"] for item in answer.json()["items"]]
    assert sorted(seen) == sorted(sample.reference for sample in ARRIVING)


def _bearer(http: httpx.Client, client: dict[str, str]) -> dict[str, str]:
    answer = http.post(
        "/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=(client["client_id"], client["client_secret"]),
    )
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_the_file_for_scripts_says_what_was_promised(second: Demo) -> None:
    told = second.told()
    assert set(told) == {
        "base_url", "issuer", "clients", "recipients", "people", "print_folder", "mail_folder", "trust_anchor",
        "ledger_key", "pids",
    }  # fmt: skip
    assert all({"client_id", "client_secret", "organisation"} == set(each) for each in told["clients"].values())
    assert {each["name"] for each in told["recipients"]["activated"]} == {"An Peeters", "Cem Aydin", "Lena Wouters"}
    assert len(told["recipients"]["not_activated"]) >= 3
    for group in told["recipients"].values():
        assert all({"type", "id", "name"} == set(each) and each["id"] for each in group)
    assert {each["does"] for each in told["people"]} == {"send", "receive", "operate"}
    assert list(Path(told["print_folder"]).glob("PRT_*.ZIP"))
    assert list(Path(told["mail_folder"]).glob("*.eml"))
    assert Path(told["trust_anchor"]).read_text("ascii").startswith("-----BEGIN CERTIFICATE")
    assert told["ledger_key"].count("+") >= 2
    assert all(runs(pid) for name in ("api", "worker", "scheduler") for pid in told["pids"][name])
    assert runs(told["pids"]["postgres"])
    assert runs(told["pids"]["valkey"])


def test_the_file_for_scripts_follows_a_process_that_is_replaced(second: Demo) -> None:
    before = second.told()["pids"]["worker"]
    os.kill(before[0], signal.SIGKILL)

    def replaced() -> bool:
        now = second.told()["pids"]["worker"]
        return len(now) >= len(before) and not set(now) & set(before) and all(runs(pid) for pid in now)

    until(replaced, "the new worker's numbers")
    until(lambda: "worker runs again" in second.said, "a sentence about it")


def test_the_lines_to_paste_lead_from_a_token_to_verified_evidence(second: Demo, tmp_path: Path) -> None:
    program("curl")
    second.until_said("It runs until Ctrl-C")
    lines = second.said.partition("paste this:\n")[2].partition("\n\nIt runs until")[0]
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", lines],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"status":"available"' in done.stdout
    assert done.stdout.count("\nok ") >= 3
    assert "FAILED" not in done.stdout
    assert (tmp_path / "sealed.pdf").read_bytes().startswith(b"%PDF-")


def test_commands_run_beside_it_with_its_environment(second: Demo) -> None:
    line = f'source "{second.home}/environment"; exec {sys.executable} -m service.cli ops parked'
    done = subprocess.run(
        ["bash", "-c", line], env=environment(), cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Nothing is parked." in done.stdout


def test_a_second_one_on_the_same_data_is_told_so(second: Demo) -> None:
    other = Demo(second.home, "--exit")
    assert other.end() == 1
    assert "Zending runs already with the data in" in other.said
    assert "Traceback" not in other.said


def test_a_port_that_is_taken_is_named(second: Demo, tmp_path: Path) -> None:
    port = second.told()["base_url"].rpartition(":")[2]
    other = Demo(tmp_path / "home", "--exit", ZENDING_PORT=port)
    assert other.end() == 1
    assert f"The port {port} on 127.0.0.1 is taken" in other.said
    assert "Traceback" not in other.said


def test_a_home_of_somebody_else_is_refused_in_a_sentence() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to own a folder that an ordinary user may not write")
    with ordinary_folder() as folder:
        folder.chmod(0o755)
        (folder / "home").mkdir(mode=0o700)
        demo = Demo(folder / "home", "--exit", user=ORDINARY)
        assert demo.end() == 1
        assert "belongs to another user" in demo.said
        assert "Traceback" not in demo.said


def test_ctrl_c_ends_it_and_all_its_processes_with_status_0(home: Path, second: Demo) -> None:
    pids = second.told()["pids"]
    began = time.monotonic()
    assert second.end(signal.SIGINT) == 0
    # Workers may finish what they are at; nothing is under way here, so the end is quick.
    assert time.monotonic() - began < 30
    numbers = [*pids["api"], *pids["worker"], *pids["scheduler"], pids["postgres"], pids["valkey"]]
    assert not any(runs(pid) for pid in numbers)
    assert "Stopped; the data stay for the next start." in second.said


def test_ctrl_c_before_the_table_is_no_success_for_who_waits_for_an_answer(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "home", "--exit", ZENDING_PORT=str(free_port()))
    demo.until_said("Starting the servers")
    assert demo.end(signal.SIGINT) == 130


def test_an_ordinary_user_gets_the_same_in_a_folder_that_only_they_may_enter() -> None:
    with ordinary_folder() as folder:
        demo = Demo(folder / "home", "--exit", user=ORDINARY)
        assert demo.end() == 0, demo.said
        assert len(rows(demo.said)) == len(SAMPLES)
