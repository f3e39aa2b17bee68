import http.client
import json
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import psycopg
import pytest
import redis

from service.embedded.privileges import CannotStart
from service.embedded.stack import Stack
from service.embedded.supervisor import ProgramFailed
from service.settings import read_settings
from tests.embedded_support import ORDINARY, as_user, environment, ordinary_folder, owners, runs, until

PEOPLE = [{"login": "an", "name": "An Peeters", "claims": {"rrn": "85073003328"}}]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("the home")
    with Stack(home, people=PEOPLE, return_paths=["/back"], given=environment() | {"ZENDING_MAX_PAGES": "7"}) as stack:
        yield stack


def test_every_part_answers_where_the_environment_says(stack: Stack) -> None:
    told = stack.environment
    with psycopg.connect(told["DATABASE_URL"].replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("zending_app",)
    with redis.Redis.from_url(told["REDIS_URL"]) as client:
        assert client.ping()
    with urlopen(told["ZENDING_OIDC_ISSUER"] + "/.well-known/openid-configuration", timeout=10) as answer:
        assert json.load(answer)["issuer"] == told["ZENDING_OIDC_ISSUER"]
    mail = urlsplit(told["ZENDING_SMTP_URL"])
    with smtplib.SMTP(str(mail.hostname), mail.port or 0) as session:
        assert session.noop()[0] == 250
    authority = urlsplit(told["ZENDING_TSA_URL"])
    connection_to_it = http.client.HTTPConnection(str(authority.hostname), authority.port or 0)
    connection_to_it.request("GET", "/")
    assert connection_to_it.getresponse().status == 405
    connection_to_it.close()
    assert Path(told["ZENDING_TRUST_ANCHOR"]).read_bytes().startswith(b"-----BEGIN CERTIFICATE")
    assert set(stack.pids()) == {"postgres", "valkey", "tsa", "oidc", "mail"}


def test_the_service_accepts_the_environment_as_its_settings(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert settings.mode == "demo"
    assert settings.home == stack.home
    assert settings.max_pages == 7
    assert settings.base_url == stack.base_url == f"http://127.0.0.1:{settings.port}"
    assert settings.database_owner_url is None


def test_production_refuses_the_keys_of_the_stack(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in stack.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Exception, match="demonstration keys"):
        read_settings(mode="production")


def test_only_commands_get_the_owners_rights(stack: Stack) -> None:
    assert "DATABASE_OWNER_URL" not in stack.environment
    assert "zending_owner" in stack.owner_environment["DATABASE_OWNER_URL"]
    assert stack.urls is not None
    assert stack.urls.owner == stack.owner_environment["DATABASE_OWNER_URL"]


def test_the_identity_provider_lets_only_our_portal_ask(stack: Stack) -> None:
    clients = json.loads((stack.home / "secrets" / "oidc-clients.json").read_text("utf-8"))
    assert [client["redirect_uris"] for client in clients] == [[stack.base_url + "/back"]]
    assert clients[0]["client_secret"] == stack.environment["ZENDING_OIDC_CLIENT_SECRET"]


def test_a_second_start_is_reached_at_the_same_places(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        with Stack(tmp_path / "home", people=PEOPLE, given=environment()) as stack:
            seen.append(stack.owner_environment)
    assert seen[0] == seen[1]


def test_each_part_steps_aside_for_an_address_of_the_environment(stack: Stack, tmp_path: Path) -> None:
    names = [f"ZENDING_{name}" for name in ("TSA_URL", "TRUST_ANCHOR", "OIDC_ISSUER", "SMTP_URL", "BASE_URL", "PORT")]
    names += ["DATABASE_URL", "REDIS_URL", "STORAGE_URL"]
    given = {name: stack.environment[name] for name in names}
    with Stack(tmp_path / "home", people=[], given=environment() | given) as other:
        assert other.pids() == {}
        assert other.urls is None
        assert {name: other.environment[name] for name in names} == given
        assert other.owner_environment["DATABASE_OWNER_URL"] == given["DATABASE_URL"]
    owned = environment() | given | {"DATABASE_OWNER_URL": "postgresql://owner@elsewhere/zending"}
    with Stack(tmp_path / "home", people=[], given=owned) as other:
        assert other.owner_environment["DATABASE_OWNER_URL"] == "postgresql://owner@elsewhere/zending"
        assert "DATABASE_OWNER_URL" not in other.environment


def test_a_part_that_fails_stops_the_ones_before_it(tmp_path: Path) -> None:
    # Nobody to log in: the identity provider refuses, after the servers have started.
    stack = Stack(tmp_path / "home", people=[], given=environment())
    with pytest.raises(ProgramFailed, match="oidc did not start"):
        stack.start()
    assert stack.pids() == {}
    with Stack(tmp_path / "home", people=PEOPLE, given=environment()) as again:
        assert len(again.pids()) == 5


def test_a_home_that_can_not_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match="ZENDING_HOME"):
        Stack(tmp_path / "file" / "home", people=PEOPLE)


def test_an_ordinary_user_starts_it_with_nothing_but_a_folder_of_their_own() -> None:
    code = (
        "import sys; from pathlib import Path; from service.embedded.stack import Stack\n"
        f"with Stack(Path('home'), people={PEOPLE!r}) as stack: print(sorted(stack.pids()))"
    )
    with ordinary_folder() as folder:
        done = subprocess.run(
            [*as_user(ORDINARY), sys.executable, "-c", code],
            env=environment(),
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "['mail', 'oidc', 'postgres', 'tsa', 'valkey']"
        assert owners(folder / "home") == {folder.stat().st_uid}


def test_a_shell_beside_it_gets_the_same_addresses_but_not_the_owners(stack: Stack) -> None:
    file = stack.home / "environment"
    assert file.stat().st_mode & 0o777 == 0o600
    script = f'. "{file}"; "{sys.executable}" -c "import json, os; print(json.dumps(dict(os.environ)))"'
    done = subprocess.run(["/bin/sh", "-c", script], env=environment(), capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    expected = {name: value for name, value in stack.environment.items() if name in seen}
    assert {"DATABASE_URL", "REDIS_URL", "STORAGE_URL", "ZENDING_KEYS_FOLDER", "ZENDING_MAX_PAGES"} <= set(expected)
    assert {name: seen[name] for name in expected if not name.startswith("PYTHON")} == {
        name: value for name, value in expected.items() if not name.startswith("PYTHON")
    }
    assert "DATABASE_OWNER_URL" not in seen


def test_a_command_that_fails_is_told_in_its_own_words(stack: Stack) -> None:
    done = stack.run("no-such-command")
    assert done.returncode != 0
    assert "No such command" in done.stderr


@pytest.mark.faults
def test_the_service_comes_up_and_each_of_its_processes_comes_back(tmp_path: Path) -> None:
    told: list[str] = []
    with Stack(tmp_path / "home", people=PEOPLE, given=environment(), notice=told.append) as stack:
        stack.prepare()
        stack.prepare()
        stack.start_service(workers=2)
        assert {"api", "worker", "worker-2", "scheduler"} < set(stack.pids())
        assert told == []
        # The worker's own child does the work: it is listed too.
        until(lambda: len(stack.pids()["worker"]) > 1)
        before = stack.pids()
        killed = [process for name in ("api", "worker", "scheduler") for process in before[name]]
        for process in killed:
            os.kill(process, signal.SIGKILL)
        until(lambda: sum("runs again" in sentence for sentence in told) == 3)
        after = stack.pids()
        assert not any(runs(process) for process in killed)
        # Its own process; a child may be between two lives.
        assert after["worker-2"][0] == before["worker-2"][0]
        assert after["postgres"][0] == before["postgres"][0]
        with urlopen(stack.base_url + "/health/ready", timeout=10) as answer:
            assert answer.status == 200
        left = [process for numbers in after.values() for process in numbers]
    assert not any(runs(process) for process in left)
