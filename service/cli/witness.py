"""``zending witness``: a witness that anybody can run, on a machine of their own, without a database or a setting."""

import os
from pathlib import Path

import click

_FOLDER = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("witness"),
    show_default=True,
    help="What the witness remembers, and its keys. Never restore it from a copy.",
)


@click.group()
def witness() -> None:
    """Remember checkpoints of logs of evidence, and cosign what continues them."""


@witness.command()
@_FOLDER
@click.argument("name")
def create(folder: Path, name: str) -> None:
    """Make a new witness called NAME, such as witness.example/w1, and print its verifier keys."""
    from service.ledger import witness as witnesses

    _tell(witnesses.create(folder, name).vkeys)


@witness.command("keys")
@_FOLDER
def keys_(folder: Path) -> None:
    """Print the witness's verifier keys: for the logs it serves, and for whoever verifies."""
    from service.ledger.witness import Witness

    _tell(Witness(folder).vkeys)


@witness.command("add-log")
@_FOLDER
@click.argument("vkeys", nargs=-1, required=True)
def add_log(folder: Path, vkeys: tuple[str, ...]) -> None:
    """Cosign a log from now on, given its verifier keys (zending keys prints them)."""
    from service.ledger.witness import Witness

    click.echo(f"The log {Witness(folder).add_log(vkeys)} will be cosigned.")


@witness.command()
@_FOLDER
def status(folder: Path) -> None:
    """Show what was cosigned last of each log. Exit status 1: a log was caught with two histories."""
    from service.ledger.witness import UNPROVEN, Witness

    found = Witness(folder)
    for origin, last in found.logs().items():
        click.echo(f"{origin}: {'nothing yet' if last is None else f'{last.size} leaves'}")
    refused = found.refusals()
    for name in refused:
        click.echo(f"refused: {folder / 'refused' / name}")
    if any(not name.startswith(UNPROVEN) for name in refused):
        raise SystemExit(1)


@witness.command()
@_FOLDER
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=8070, show_default=True, type=click.IntRange(1, 65535))
def serve(folder: Path, host: str, port: int) -> None:
    """Answer logs over HTTP (C2SP tlog-witness); put a server that speaks TLS in front of it."""
    from granian import Granian
    from granian.constants import Interfaces

    from service import logs
    from service.ledger.witness import Witness
    from service.ledger.witness_web import FOLDER_VARIABLE

    logs.configure()
    found = Witness(folder)  # what is wrong with the folder is said here, once
    click.echo(f"{found.name} witnesses {len(found.logs())} log(s) at http://{host}:{port}/add-checkpoint", err=True)
    os.environ[FOLDER_VARIABLE] = str(folder.resolve())
    Granian(
        target="service.ledger.witness_web:from_environment",
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        log_level="warning",  # type: ignore[arg-type]
        log_access=False,
        working_dir=Path(__file__).resolve().parents[2],
    ).serve()


def _tell(vkeys: tuple[str, ...]) -> None:
    for vkey in vkeys:
        click.echo(vkey)
