"""The service's roles and commands in processes of their own, over what a test wired in its own process."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx

from service.bootstrap import Application
from service.embedded.stack import Stack
from tests.installation_support import is_ready
from tests.pipeline_support import TestDatabase
from tests.processes_support import Processes, free_address
from tests.service_support import until

HOST: Final = "127.0.0.1"


class Roles:
    """What runs and what is typed beside an application of the test: same database, store, keys and print folder."""

    def __init__(self, stack: Stack, application: Application, database: TestDatabase, **settings: str) -> None:
        """Nothing runs yet; ``settings`` are more of the environment."""
        own = application.settings
        self.address = free_address(HOST)
        self.environment = (
            os.environ
            | stack.environment
            | {
                "DATABASE_URL": database.app_url,
                "STORAGE_URL": own.storage_url.get_secret_value(),
                "ZENDING_KEYS_FOLDER": str(own.keys_folder),
                "ZENDING_PRINT_FOLDER": str(own.print_folder),
                "ZENDING_HOME": str(own.home),
                "ZENDING_HOST": HOST,
                "ZENDING_PORT": self.address.rpartition(":")[2],
                "ZENDING_BASE_URL": f"http://{self.address}",
                "ZENDING_QUIET_HOURS": str(own.quiet_hours).lower(),
                "COLUMNS": "200",
            }
            | settings
        )
        self._owner_url = database.owner_url
        self._processes = Processes(Path(own.home) / "logs")

    @property
    def base_url(self) -> str:
        return self.environment["ZENDING_BASE_URL"]

    def start(self, *roles: str) -> None:
        """Start ``api``, ``worker``, ``scheduler``; returns once the API, if it is among them, takes requests."""
        for role in roles:
            self._processes.start(role, (sys.executable, "-m", "service.cli", role), self.environment)
        if "api" in roles:
            with httpx.Client(trust_env=False, timeout=10.0) as client:
                until(lambda: is_ready(client, self.address), "the API to be ready")

    def stop(self, role: str) -> int:
        """Ask a role to end, and wait for it; its status."""
        return self._processes.stop(role)

    def stop_all(self) -> None:
        """Ask all to end, at once with those that take requests."""
        for role in list(self._processes.running()):
            self._processes.stop(role)

    def running(self) -> dict[str, int]:
        """The roles that have not ended."""
        return self._processes.running()

    def kill(self) -> None:
        """End everything that is left."""
        self._processes.kill()

    def zending(
        self, *arguments: str, seconds: float = 300.0, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Type a command, as whoever looks after the installation does: with the owner's log-in at hand."""
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments],
            env=self.environment | {"DATABASE_OWNER_URL": self._owner_url} | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
