"""Signs of life: given while the program lives, and only then believed."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from service import alive
from tests.embedded_support import environment, until


def health(variables: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "service.cli", "health"]
    return subprocess.run(command, env=environment() | dict(variables), capture_output=True, text=True, check=False)


def test_signs_are_given_while_the_program_lives_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "EVERY", 0.01)
    file, lives, asked = tmp_path / "alive", [False], threading.Event()

    def does_live() -> bool:
        asked.set()
        return lives[0]

    alive.give_signs(file, does_live)
    assert asked.wait(60)
    assert not alive.is_alive(file)
    lives[0] = True
    until(lambda: alive.is_alive(file))
    lives[0] = False


def test_a_program_without_a_file_gives_no_signs() -> None:
    before = threading.active_count()
    alive.give_signs(None, lambda: True)
    assert threading.active_count() == before


def test_only_a_process_with_running_children_has_some() -> None:
    code = "from service import alive, alive as a; import os; print(a.has_children()); p = os.fork()\n"
    code += "if not p:\n import signal; signal.pause()\nprint(a.has_children()); os.kill(p, 9); os.wait()\n"
    code += "print(a.has_children())"
    said = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "True", "False"]


def test_the_health_check_believes_a_recent_sign_only(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    file.touch()
    assert health({"ZENDING_ALIVE_FILE": str(file)}).returncode == 0
    long_ago = time.time() - alive.FRESH - 60
    os.utime(file, (long_ago, long_ago))
    told = health({"ZENDING_ALIVE_FILE": str(file)})
    assert told.returncode == 1
    assert "too old" in told.stderr


@pytest.mark.parametrize(("status", "exit_status"), [(200, 0), (503, 1)])
def test_without_a_sign_the_api_is_asked(tmp_path: Path, status: int, exit_status: int) -> None:
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        variables = {"ZENDING_ALIVE_FILE": str(tmp_path / "none"), "ZENDING_PORT": str(server.server_port)}
        assert health(variables).returncode == exit_status
    finally:
        server.shutdown()
        server.server_close()
    assert asked == ["/health/live"]
    assert health({"ZENDING_PORT": str(server.server_port)}).returncode == 1
