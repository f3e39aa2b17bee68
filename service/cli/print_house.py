"""``zending print-house``: a simulated print house for demonstrations and tests."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from printing.simulator.house import PrintHouse

_SECONDS: Final = 1.0

_OPTIONS: Final = (
    click.option("--folder", type=click.Path(path_type=Path), required=True, help="Where parcels are taken from."),
    click.option("--told", type=click.Path(path_type=Path), required=True, help="Where it puts what it tells."),
    click.option("--home", type=click.Path(path_type=Path), required=True, help="Its own folder, with its book."),
    click.option("--seed", default=0, show_default=True, help="Of everything that is left to chance."),
    click.option("--day", default=86_400.0, show_default=True, help="Seconds that a day of the post takes."),
    click.option("--reject", default=0.0, help="Part of the letters that are not accepted."),
    click.option("--lose", default=0.0, help="Part of the letters that get lost."),
    click.option("--return", "give_back", default=0.0, help="Part of the letters that come back, with a cause."),
    click.option("--refuse", default=0.0, help="Part of the letters that their addressees refuse."),
    click.option("--unclaimed", default=0.0, help="Part of the letters that nobody fetches at the post office."),
    click.option("--replay", default=0.0, help="Part of the events that are told twice."),
    click.option("--reorder", default=0.0, help="Part of the events that are told late, out of order."),
    click.option("--unknown", default=0.0, help="Events about nobody's letters, as a part of all events."),
    click.option("--contradict", default=0.0, help="Part of the letters of which another end is told afterwards."),
    click.option("--tracked", is_flag=True, help="Tell the delivery of ordinary letters too."),
    click.option("--leave", is_flag=True, help="Leave parcels where they lie until they are deleted."),
    click.option("--keep-days", type=click.FloatRange(min=1), help="Days after which files are deleted; else never."),
    click.option("--profile", default="be-right", show_default=True, help="Of the letters."),
    click.option("--identity", type=click.Path(path_type=Path, dir_okay=False), help="Its secret key of age."),
)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group("print-house")
def print_house() -> None:
    """Be a print house, simulated: take batches, print them, and tell what becomes of their letters."""


@print_house.command()
@_options
@click.option("--once", is_flag=True, help="Do what can be done now, and end.")
def run(*, once: bool, **given: Any) -> None:
    """Take parcels from a folder until Ctrl-C."""
    with _opened(given) as house:
        _work(house, once=once)


@print_house.command()
@_options
@click.option("--sftp", "port", type=click.IntRange(0, 65_535), required=True, help="The port; 0 for any.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address on which it answers.")
@click.option(
    "--authorized",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The public keys that are let in, as in authorized_keys.",
)
def serve(*, port: int, host: str, authorized: Path, **given: Any) -> None:
    """Do what run does, and let batches be brought over SFTP: both folders lie beside each other below its root."""
    from printing.simulator import sftp

    folder, told, home = (given[name].resolve() for name in ("folder", "told", "home"))
    root = folder.parent
    if told.parent != root or home.is_relative_to(root):
        raise click.ClickException("put --folder and --told into one folder of their own, and --home elsewhere.")
    with _opened(given) as house:
        key = sftp.host_key(home / "host.key")
        try:
            with sftp.serving(root, port=port, key=key, authorized=authorized, host=host) as server:
                click.echo(f"Serving SFTP on {host}, port {server.port}.")
                click.echo(f"Parcels go to /{folder.name}; what is told lies in /{told.name}.")
                click.echo(f"Its key, to be pinned: {server.host_key}")
                _work(house)
        except (OSError, ValueError) as error:
            raise click.ClickException(f"SFTP can't be served: {error}.") from None


@print_house.command()
@click.option("--home", type=click.Path(path_type=Path, exists=True), required=True, help="The house's own folder.")
def show(home: Path) -> None:
    """Show where a house stands."""
    from printing.simulator.book import Book
    from printing.simulator.house import BOOK

    book = Book(home / BOOK)
    try:
        for name, value in vars(book.counts()).items():
            click.echo(f"{name.replace('_', ' '):16} {value}")
    finally:
        book.close()


@contextmanager
def _opened(given: dict[str, Any]) -> Iterator["PrintHouse"]:
    from printing import profiles
    from printing.simulator.fates import Rates
    from printing.simulator.house import Manner, PrintHouse

    folders = {name: given.pop(name) for name in ("folder", "told", "home")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    identity, profile = given.pop("identity"), given.pop("profile")
    others = {name: given.pop(name) for name in ("seed", "day", "tracked", "leave", "keep_days")}
    try:
        manner = Manner(
            rates=Rates(**given),
            profile=profiles.load(profile),
            identity=None if identity is None else identity.read_text("utf-8"),
            **others,
        )
    except KeyError:
        raise click.ClickException(f"there is no profile {profile}.") from None
    except (ValueError, OSError) as error:
        raise click.ClickException(f"{error}.") from None
    house = PrintHouse(**folders, manner=manner)
    try:
        yield house
    finally:
        house.close()


def _work(house: "PrintHouse", *, once: bool = False) -> None:
    """Round after round until somebody asks it to stop; a round that is begun is ended."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    parent = os.getppid()
    while True:
        try:
            for sentence in house.round():
                click.echo(sentence)
        except OSError as error:
            click.echo(f"A folder can't be used now: {error.strerror or type(error).__name__}.", err=True)
        # A house whose keeper died ends too.
        if once or stop.wait(_SECONDS) or os.getppid() != parent:
            return
