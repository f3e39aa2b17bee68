"""``zending print-house``: a simulated print house for demonstrations and tests."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
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
    click.option("--callback", help="The address that it calls with what it tells, instead of putting it into --told."),
    click.option(
        "--callback-secret",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="The file with the secret that its calls are signed with.",
    ),
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
@click.option("--sftp", type=click.IntRange(0, 65_535), help="The port for batches over SFTP; 0 for any.")
@click.option("--http", type=click.IntRange(0, 65_535), help="The port for letters over HTTP; 0 for any.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address on which it answers.")
@click.option(
    "--authorized",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The public keys that are let in over SFTP, as in authorized_keys.",
)
@click.option(
    "--token",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The file with the bearer token that is let in over HTTP.",
)
def serve(
    *, sftp: int | None, http: int | None, host: str, authorized: Path | None, token: Path | None, **given: Any
) -> None:
    """Do what run does, and answer over SFTP (both folders lie beside each other below its root), HTTP, or both."""
    if (sftp is None) != (authorized is None) or (http is None) != (token is None) or (sftp is None and http is None):
        raise click.ClickException("give --sftp with --authorized, or --http with --token, or all four.")
    folder, told, home = (given[name].resolve() for name in ("folder", "told", "home"))
    with _opened(given) as house, ExitStack() as serving:
        try:
            if sftp is not None and authorized is not None:
                _serve_sftp(serving, folder, told, home, host=host, port=sftp, authorized=authorized)
            if http is not None and token is not None:
                _serve_http(serving, folder, told, home, host=host, port=http, token=token)
        except (OSError, ValueError) as error:
            raise click.ClickException(f"It can't be served: {error}.") from None
        _work(house)


def _serve_sftp(
    serving: ExitStack, folder: Path, told: Path, home: Path, *, host: str, port: int, authorized: Path
) -> None:
    from printing.simulator import sftp

    root = folder.parent
    if told.parent != root or home.is_relative_to(root):
        raise click.ClickException("put --folder and --told into one folder of their own, and --home elsewhere.")
    key = sftp.host_key(home / "host.key")
    server = serving.enter_context(sftp.serving(root, port=port, key=key, authorized=authorized, host=host))
    click.echo(f"Serving SFTP on {host}, port {server.port}.")
    click.echo(f"Parcels go to /{folder.name}; what is told lies in /{told.name}.")
    click.echo(f"Its key, to be pinned: {server.host_key}")


def _serve_http(serving: ExitStack, folder: Path, told: Path, home: Path, *, host: str, port: int, token: Path) -> None:
    from printing.simulator import by_letter, http

    desk = by_letter.Desk(folder, home / "by-letter")
    shown = token.read_text("ascii").strip()
    if not shown:
        raise click.ClickException("the file of --token holds the bearer token.")
    port = serving.enter_context(http.serving(desk, told, port=port, token=shown, host=host))
    click.echo(f"Serving HTTP on http://{host}:{port}, without TLS: for demonstrations and tests.")


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
    call = _caller(given.pop("callback"), given.pop("callback_secret"))
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
    house = PrintHouse(**folders, manner=manner, call=call)
    try:
        yield house
    finally:
        house.close()


def _caller(address: str | None, secret: Path | None) -> Callable[[bytes], bool] | None:
    """Tells a file by a signed call; None where files are put into a folder."""
    if (address is None) != (secret is None):
        raise click.ClickException("give --callback and --callback-secret, or neither.")
    if address is None or secret is None:
        return None
    import httpx

    from service.usecases.post_callbacks import HEADER, signature

    key = secret.read_bytes().strip()

    def call(body: bytes) -> bool:
        headers = {HEADER: signature(key, body, datetime.now(UTC)), "Content-Type": "application/octet-stream"}
        try:
            answer = httpx.post(address, content=body, headers=headers, timeout=10, trust_env=False)
        except httpx.TransportError as error:
            click.echo(f"The call was not heard: {type(error).__name__}.", err=True)
            return False
        if not answer.is_success:
            click.echo(f"The call was refused with {answer.status_code}.", err=True)
        return answer.is_success

    return call


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
