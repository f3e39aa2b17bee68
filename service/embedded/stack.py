"""Everything the service needs on one machine: servers, outside parties with fictional people, the service itself.

A demonstration and the tests start the same stack. Each part steps aside for an address in the environment:

======================  ======================================
``DATABASE_URL``        instead of the embedded PostgreSQL (with ``DATABASE_OWNER_URL`` for migrations)
``BROKER_URL``          instead of the embedded Valkey (``REDIS_URL``, its older name, does as well)
``STORAGE_URL``         instead of the folder ``store/`` of the home
``ZENDING_TSA_URL``     instead of the embedded time-stamp authority (with ``ZENDING_TRUST_ANCHOR``)
``ZENDING_OIDC_ISSUER`` instead of the embedded identity provider (with ``ZENDING_OIDC_CLIENT_ID`` and ``…_SECRET``)
``ZENDING_SMTP_URL``    instead of the mail sink
======================  ======================================

Every other ``ZENDING_…`` variable of the environment reaches the service as it is.
"""

import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from service.embedded.kept import HOST, accepts_connections, kept_password, kept_port, write_durably
from service.embedded.listening import port_file, start_listening
from service.embedded.pki import ensure_pki
from service.embedded.postgres import EmbeddedPostgres, Urls
from service.embedded.privileges import CannotStart, private_folder, tied
from service.embedded.program import Program, steady
from service.embedded.supervisor import Pids, Supervisor
from service.embedded.valkey import EmbeddedValkey

CHECKOUT: Final = Path(__file__).resolve().parents[2]
"""Where the packages lie: programs are started with it as their folder and their path."""

CLIENT_ID: Final = "zending-portal"
_SECRETS: Final = (
    "DATABASE_URL",
    "DATABASE_OWNER_URL",
    "BROKER_URL",
    "REDIS_URL",
    "STORAGE_URL",
    "ZENDING_OIDC_CLIENT_SECRET",
)
_OWNER_ONLY: Final = "DATABASE_OWNER_URL"
_HTTP_OK: Final = 200
_BOUNCES: Final = "bounces@zending.test"
# The tasks under way may end (Celery's soft shutdown waits 20 seconds).
_WORKER_STOP_SECONDS: Final = 30.0


class Stack:
    """The parts of one home, started in order and stopped in reverse.

    Use it as a context manager: entering starts the servers and outside parties; then come :meth:`prepare`, whatever
    else must be there first, and :meth:`start_service`. Leaving stops everything.
    """

    def __init__(
        self,
        home: Path,
        *,
        people: Sequence[Mapping[str, object]],
        return_paths: Sequence[str] = (),
        given: Mapping[str, str] | None = None,
        notice: Callable[[str], None] | None = None,
        also: str | None = None,
    ) -> None:
        """Describe the stack; nothing is started yet.

        Args:
            home: all data; made when it is missing.
            people: who can log in, as :mod:`service.embedded.oidc` says.
            return_paths: where below the base URL a log-in may come back to; none lets any program ask.
            given: the environment; the process's own when left out.
            notice: told in a sentence when a process died or is back.
            also: an address of this machine besides 127.0.0.1 on which servers, time-stamps and mail answer, for
                service processes on other machines; the environment names it. Anybody on that network reaches them.
        """
        self._also = also
        private_folder(home)
        self.home = home.resolve()
        self._people, self._return_paths, self._notice = people, return_paths, notice
        self._given = dict(os.environ if given is None else given)
        self._environment: dict[str, str] = {}
        self._supervisor: Supervisor | None = None
        self._urls: Urls | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def supervisor(self) -> Supervisor:
        """Runs the processes; there from :meth:`start` to :meth:`close`."""
        if self._supervisor is None:
            raise RuntimeError("the stack is not started")
        return self._supervisor

    @property
    def urls(self) -> Urls | None:
        """The embedded database's log-ins by role; None with a database from outside."""
        return self._urls

    @property
    def environment(self) -> dict[str, str]:
        """The environment for the service's processes. Holds passwords, but not the database owner's."""
        return {name: value for name, value in self._environment.items() if name != _OWNER_ONLY}

    @property
    def owner_environment(self) -> dict[str, str]:
        """The same with ``DATABASE_OWNER_URL``, for migrations."""
        return dict(self._environment)

    @property
    def base_url(self) -> str:
        """Where the service is reached."""
        return self._environment["ZENDING_BASE_URL"]

    def pids(self) -> Pids:
        """The process numbers of each program that runs, the program's own first."""
        return self.supervisor.pids()

    def start(self) -> None:
        """Start servers and outside parties and return once all answer.

        Raises:
            CannotStart: with a sentence that says what to change.
        """
        self._supervisor = Supervisor(self.home, notice=self._notice)
        try:
            self._environment = self._python_environment() | self._own_settings()
            self._start_servers(self._supervisor)
            self._start_parties(self._supervisor)
            self._environment |= {
                name: value
                for name, value in self._given.items()
                if name.startswith("ZENDING_") and name != "ZENDING_HOME"
            }
            write_durably(self.home / "environment", self._for_a_shell())
        except PermissionError as error:
            self.close()
            raise CannotStart(
                f"{error.filename} belongs to another user: start as that user, or set ZENDING_HOME to a folder of "
                "your own."
            ) from None
        except BaseException:
            self.close()
            raise

    def run(self, *arguments: str, timeout: float = 600.0) -> "subprocess.CompletedProcess[str]":
        """Run one ``zending`` command, for example ``migrate``, with the owner's rights, and wait for its end.

        Its output is in the answer; a status other than 0 is for the caller to judge.
        """
        return subprocess.run(
            [*tied(signal.SIGTERM), *_zending(*arguments)],
            env=self.owner_environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def prepare(self) -> None:
        """Bring the database to this release's schema and make the keys that are missing. Safe to repeat.

        Raises:
            CannotStart: with what the command said.
        """
        for command in ("migrate", "keys"):
            done = self.run(command)
            if done.returncode:
                raise CannotStart(f"zending {command} failed: {done.stderr.strip() or done.stdout.strip()}")

    def start_service(self, *, workers: int = 1) -> None:
        """Start the service's own processes and return once the API answers and the others stay up.

        Args:
            workers: how many worker programs; the first is called ``worker``, the others ``worker-2`` and so on.

        Raises:
            ProgramFailed: one did not come up.
        """
        names = ["worker", *(f"worker-{number}" for number in range(2, workers + 1))]
        self.supervisor.start(
            self._service("api", "api", ready=self._is_live, stop_seconds=20.0, ready_seconds=60.0),
            *(self._service(name, "worker", ready=steady(), stop_seconds=_WORKER_STOP_SECONDS) for name in names),
            self._service("scheduler", "scheduler", ready=steady(), stop_seconds=15.0),
        )

    def close(self) -> None:
        """Stop everything. Safe to repeat."""
        if self._supervisor is not None:
            self._supervisor.close()

    def _start_servers(self, supervisor: Supervisor) -> None:
        given = self._given
        if database := given.get("DATABASE_URL"):
            self._environment |= {"DATABASE_URL": database, _OWNER_ONLY: given.get(_OWNER_ONLY) or database}
        else:
            self._urls = EmbeddedPostgres(self.home, supervisor, also=self._also).start()
            self._environment |= {"DATABASE_URL": self._urls.app, _OWNER_ONLY: self._urls.owner}
        broker = given.get("BROKER_URL") or given.get("REDIS_URL")
        self._environment["REDIS_URL"] = broker or EmbeddedValkey(self.home, supervisor, also=self._also).start()
        self._environment["STORAGE_URL"] = given.get("STORAGE_URL") or self._folder("store").as_uri()

    def _start_parties(self, supervisor: Supervisor) -> None:
        host = self._also or HOST
        beside = () if self._also is None else ("--also", self._also)
        if "ZENDING_TSA_URL" not in self._given:
            folder = self.home / "pki"
            anchor = ensure_pki(folder).trust_anchor
            port = start_listening(supervisor, "tsa", partial(self._party, "tsa", ("--folder", str(folder), *beside)))
            self._environment |= {
                "ZENDING_TSA_URL": f"http://{host}:{port}/",
                "ZENDING_TRUST_ANCHOR": str(anchor),
                # Cards of the fictional infrastructure.
                "ZENDING_SIGNER_ANCHORS": str(anchor),
                "ZENDING_SIGNER_ISSUERS": str(folder / "issuing.cert.pem"),
                "ZENDING_SIGNER_QUALIFIED": str(folder / "issuing.cert.pem"),
                "ZENDING_REVOCATION_PROXY": f"http://{host}:{port}",
            }
        if "ZENDING_OIDC_ISSUER" not in self._given:
            port = start_listening(supervisor, "oidc", partial(self._party, "oidc", self._oidc_arguments()))
            self._environment |= {
                "ZENDING_OIDC_ISSUER": f"http://{HOST}:{port}",
                "ZENDING_OIDC_CLIENT_ID": CLIENT_ID,
                "ZENDING_OIDC_CLIENT_SECRET": kept_password(self._client_secret_file),
            }
        if "ZENDING_SMTP_URL" not in self._given:
            returned = str(self._folder("returned-mail"))
            arguments = ("--folder", str(self._folder("mail")), "--bounces", _BOUNCES, "--maildir", returned, *beside)
            port = start_listening(supervisor, "mail", partial(self._party, "mail", arguments))
            self._environment |= {
                "ZENDING_SMTP_URL": f"smtp://{host}:{port}",
                "ZENDING_BOUNCE_ADDRESS": _BOUNCES,
                "ZENDING_BOUNCE_MAILDIR": returned,
            }

    def _own_settings(self) -> dict[str, str]:
        """What the service is told about its own place."""
        keys = self._folder("keys")
        if "ZENDING_KEYS_FOLDER" not in self._given and not (keys / "DEMO").exists():
            # Production refuses a folder with this file in it.
            write_durably(keys / "DEMO", "These keys are only good for a demonstration.\n")
        port = self._given.get("ZENDING_PORT") or str(kept_port(port_file(self.home, "api")))
        return {
            "ZENDING_MODE": "demo",
            "ZENDING_HOME": str(self.home),
            "ZENDING_KEYS_FOLDER": str(keys),
            "ZENDING_PRINT_FOLDER": str(self._folder("print")),
            "ZENDING_PRINT_INCOMING": str(self._folder("print-told")),
            "ZENDING_HOST": HOST,
            "ZENDING_PORT": port,
            # No load balancer stands before it.
            "ZENDING_DRAIN_SECONDS": "0",
            "ZENDING_BASE_URL": self._given.get("ZENDING_BASE_URL") or f"http://{HOST}:{port}",
        }

    def _python_environment(self) -> dict[str, str]:
        kept = {name: value for name, value in self._given.items() if name not in _SECRETS}
        return kept | {"PYTHONPATH": str(CHECKOUT), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}

    def _oidc_arguments(self) -> tuple[str, ...]:
        people = self.home / "people.json"
        write_durably(people, json.dumps(list(self._people), ensure_ascii=False, indent=1))
        key = self._folder("secrets") / "oidc.key.pem"
        arguments = ("--people", str(people), "--key", str(key))
        if not self._return_paths:
            return arguments
        base_url = self._environment["ZENDING_BASE_URL"]
        client = {
            "client_id": CLIENT_ID,
            "client_secret": kept_password(self._client_secret_file),
            "redirect_uris": [base_url + path for path in self._return_paths],
        }
        clients = self.home / "secrets" / "oidc-clients.json"
        write_durably(clients, json.dumps([client]))
        return (*arguments, "--clients", str(clients))

    @property
    def _client_secret_file(self) -> Path:
        return self.home / "secrets" / "oidc-client.secret"

    def _party(self, name: str, arguments: tuple[str, ...], port: int) -> Program:
        """An outside party that listens on a port, in the module of its name."""
        return Program(
            name=name,
            command=(sys.executable, "-m", f"service.embedded.{name}", "--port", str(port), *arguments),
            environment=self._python_environment(),
            ready=partial(accepts_connections, port),
            ready_seconds=60.0,
            stop_seconds=10.0,
            folder=CHECKOUT,
        )

    def _service(
        self, name: str, command: str, *, ready: Callable[[], bool], stop_seconds: float, ready_seconds: float = 30.0
    ) -> Program:
        return Program(
            name=name,
            command=_zending(command),
            environment=self.environment,
            ready=ready,
            ready_seconds=ready_seconds,
            stop_seconds=stop_seconds,
            # Where we were started: a setting may be a path from there.
            folder=Path(),
            family=True,
        )

    def _is_live(self) -> bool:
        connection = http.client.HTTPConnection(HOST, int(self._environment["ZENDING_PORT"]), timeout=2.0)
        try:
            connection.request("GET", "/health/live", headers={"Connection": "close"})
            return connection.getresponse().status == _HTTP_OK
        except http.client.HTTPException:
            return False
        finally:
            connection.close()

    def _for_a_shell(self) -> str:
        """What a shell reads to run ``zending`` commands beside the running stack."""
        own = {
            name: value
            for name, value in self._environment.items()
            if name.startswith("ZENDING_") or (name in _SECRETS and name != _OWNER_ONLY)
        }
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(own.items()))

    def _folder(self, name: str) -> Path:
        folder = self.home / name
        private_folder(folder)
        return folder


def _zending(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "service.cli", *arguments)
