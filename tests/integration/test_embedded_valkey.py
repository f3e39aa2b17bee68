import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from service.embedded.supervisor import Supervisor
from service.embedded.valkey import EmbeddedValkey
from tests.embedded_support import ORDINARY, ordinary_folder, owners, supervising, until

VALKEY = "EmbeddedValkey(supervisor.home, supervisor).start()"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path / 'a "home" of ours', notice=lambda _: None) as supervisor:
        yield supervisor


def connect(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, socket_timeout=5.0, decode_responses=True)


def test_what_was_put_in_survives_a_kill_and_a_stop(supervisor: Supervisor) -> None:
    valkey = EmbeddedValkey(supervisor.home, supervisor)
    url = valkey.start()
    with connect(url) as client:
        client.set("kept", "yes")
        # The log reaches the disk within a second; the kernel has it at once, which is enough for a kill.
        first = valkey.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
    until(lambda: valkey.pid not in {first, None} and supervisor.state("valkey").value == "running")
    with connect(url) as client:
        assert client.get("kept") == "yes"
    valkey.stop()
    assert valkey.pid is None
    assert valkey.start() == url
    with connect(url) as client:
        assert client.get("kept") == "yes"


def test_it_answers_only_with_the_password_and_only_on_this_machine(supervisor: Supervisor) -> None:
    valkey = EmbeddedValkey(supervisor.home, supervisor)
    url = valkey.start()
    with redis.Redis(port=valkey.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with connect(url) as client:
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
    password = url.partition(":")[2].partition(":")[2].partition("@")[0]
    assert password
    assert password not in Path(f"/proc/{valkey.pid}/cmdline").read_text("utf-8")
    assert (supervisor.home / "valkey" / "valkey.conf").stat().st_mode & 0o777 == 0o600


def test_when_it_is_full_it_says_so_and_drops_nothing(supervisor: Supervisor) -> None:
    with connect(EmbeddedValkey(supervisor.home, supervisor).start()) as client:
        client.set("first", "here")
        client.config_set("maxmemory", "1kb")
        with pytest.raises(redis.OutOfMemoryError):
            client.set("second", "x" * 4096)
        assert client.get("first") == "here"


def test_whoever_has_the_password_can_not_make_it_write_elsewhere(supervisor: Supervisor) -> None:
    with connect(EmbeddedValkey(supervisor.home, supervisor).start()) as client:
        with pytest.raises(redis.ResponseError):
            client.config_set("dir", "/etc")
        with pytest.raises(redis.ResponseError):
            client.config_set("dbfilename", "zending")


def test_an_ordinary_user_runs_it_in_a_folder_of_their_own() -> None:
    with ordinary_folder() as folder:
        with supervising(folder / "home", VALKEY, user=ORDINARY) as running:
            assert Path(f"/proc/{running.pids['valkey']}").stat().st_uid == folder.stat().st_uid
            assert running.end() == 128 + signal.SIGTERM
        assert owners(folder / "home") == {folder.stat().st_uid}


def test_as_root_it_runs_as_nobody(tmp_path: Path) -> None:
    with supervising(tmp_path / "home", VALKEY) as running:
        expected = ORDINARY if os.geteuid() == 0 else os.geteuid()
        assert Path(f"/proc/{running.pids['valkey']}").stat().st_uid == expected
