"""The commands. Each reads the settings it needs; a setting that is wrong ends with a sentence, not with a trace."""

import importlib
import importlib.util
import os
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

BESIDE_A_DEMO = "Beside a running demo, 'source .zending/environment' sets them."
CHECKOUT = Path(__file__).resolve().parents[2]


# Commands with much to load, loaded when they are called.
_ELSEWHERE = {
    name: f"service.cli.{name.replace('-', '_')}"
    for name in (
        *("backup", "clients", "demo", "keys", "ledger", "legal-bases", "ops", "organisations", "print-house"),
        *("recovery", "restore", "retention", "verify", "witness"),
    )
}
_ELSEWHERE["print"] = "service.cli.print_desk"
# What Python calls otherwise.
_ATTRIBUTES = {"print": "print_"}


class Zending(click.Group):
    """The command group: errors that people can mend are told in a sentence."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Every command's name."""
        # An installation may lack what only demonstrations need.
        there = (name for name, module in _ELSEWHERE.items() if importlib.util.find_spec(module) is not None)
        return sorted({*super().list_commands(context), *there})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """A command by its name."""
        if name in _ELSEWHERE and importlib.util.find_spec(_ELSEWHERE[name]) is not None:
            command = getattr(importlib.import_module(_ELSEWHERE[name]), _ATTRIBUTES.get(name, name.replace("-", "_")))
            assert isinstance(command, click.Command)
            return command
        return super().get_command(context, name)

    def invoke(self, context: click.Context) -> Any:
        """Run a command."""
        from service.domain.errors import ZendingError
        from service.settings import SettingsRefused

        try:
            return super().invoke(context)
        except SettingsRefused as error:
            hint = "" if {"DATABASE_URL", "DATABASE_URL_FILE"} & os.environ.keys() else f"\n{BESIDE_A_DEMO}"
            raise click.ClickException(f"the settings can't be used:\n{error}{hint}") from None
        except ZendingError as error:
            raise click.ClickException(f"{error.detail} ({error.code})") from None


@click.group(cls=Zending, context_settings={"help_option_names": ["-h", "--help"]})
def zending() -> None:
    """Zending: digital document delivery, sealed and evidenced."""


@zending.command()
def api() -> None:
    """Run the web server: the API and the pages."""
    from granian import Granian
    from granian.constants import Interfaces

    from service import logs
    from service.settings import settings
    from service.web.draining import draining_place, stop_after

    setting = settings()
    logs.configure(style=setting.log_format)
    server = Granian(
        target="service.app:create_app",
        factory=True,
        address=setting.host,
        port=setting.port,
        interface=Interfaces.ASGI,
        workers=setting.api_workers,
        loop=setting.event_loop,  # type: ignore[arg-type]
        log_enabled=True,
        log_level="warning",  # type: ignore[arg-type]
        log_access=False,
        working_dir=CHECKOUT,
        workers_kill_timeout=15,
        respawn_failed_workers=True,
    )
    # What several processes count is put together in files, of which nothing outlives the server.
    with tempfile.TemporaryDirectory(prefix="zending-metrics-") as folder:
        if setting.api_workers > 1:
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        with draining_place() as place:
            stop = stop_after(setting.drain_seconds, place, server.signal_handler_interrupt)
            server.signal_handler_interrupt = stop  # type: ignore[method-assign]
            server.serve()


@zending.command()
def worker() -> None:
    """Run a worker that does the queued steps."""
    _become("workers.app")


@zending.command()
def scheduler() -> None:
    """Run the scheduler: deadlines, cut-offs, the ledger, housekeeping. Two at once do no harm."""
    _become("workers.schedule")


@zending.command()
def health() -> None:
    """Say by the exit status whether the service on this machine lives: for a container's health check.

    A worker's or scheduler's sign of life (ZENDING_ALIVE_FILE) counts where there is one, else the API's answer.
    """
    import http.client

    from service.alive import is_alive
    from service.settings import read_variable

    file = Path(read_variable("ZENDING_ALIVE_FILE") or "")
    if file.is_file():
        if not is_alive(file):
            raise click.ClickException(f"the last sign of life in {file} is too old.")
        return
    host = read_variable("ZENDING_HOST") or "127.0.0.1"
    port = int(read_variable("ZENDING_PORT") or 8000)
    connection = http.client.HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, port, timeout=5)  # noqa: S104
    try:
        connection.request("GET", "/health/live")
        status = connection.getresponse().status
    except OSError as error:
        raise click.ClickException(f"the API does not answer ({type(error).__name__}).") from None
    finally:
        connection.close()
    if status != http.client.OK:
        raise click.ClickException(f"the API answers {status}.")


@zending.command()
@click.option("--plan", is_flag=True, help="Only list the steps that are missing.")
@click.option("--check", is_flag=True, help="Likewise, and end with status 1 when there are some.")
def migrate(*, plan: bool, check: bool) -> None:
    """Bring the database to the schema of this release (needs the owner's DATABASE_OWNER_URL, or DATABASE_URL)."""
    from service.db.migrations import migrate as run
    from service.db.migrations import missing
    from service.settings import read_variable

    url = read_variable("DATABASE_OWNER_URL") or read_variable("DATABASE_URL")
    if not url:
        raise click.ClickException("set DATABASE_OWNER_URL (or DATABASE_URL) to the database to migrate.")
    if plan or check:
        lacking = missing(url)
        for step in lacking:
            click.echo(f"{step.number}  {step.what}")
        if not lacking:
            click.echo("Nothing is missing.")
        sys.exit(1 if check and lacking else 0)
    run(url)
    click.echo("The database has the schema of this release.")


@zending.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run every check and test; arguments go to pytest."""
    from service.embedded import checks

    sys.exit(checks.main(arguments))


def _become(module: str) -> None:
    """Run a program of the workers in this process: by its name, so that nothing here imports them."""
    from service.settings import settings

    settings()
    runpy.run_module(module, run_name="__main__", alter_sys=True)
