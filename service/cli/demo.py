"""``zending demo``: everything on this machine, with fictional people and documents, by one command."""

import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from rich.console import Console

    from service.cli.demo_show import Progress

_LEAST_SPACE: Final = 500 * 1024 * 1024


@click.command()
@click.option("--exit", "leave", is_flag=True, help="End after the table; status 1 if a delivery did not arrive.")
def demo(*, leave: bool) -> None:
    """Run everything on this machine with fictional people; a second start goes on with the first one's data."""
    # Imported here, and so below: the other commands need none of it.
    from service.cli import demo_show
    from service.cli.demo_calls import CallRefused, ServiceAway
    from service.cli.demo_house import default_home
    from service.embedded.privileges import CannotStart
    from service.embedded.supervisor import StopRequested, stop_on_signals
    from service.identity.errors import ProviderUnavailable

    console = demo_show.make_console()
    try:
        with stop_on_signals():
            arrived = _demonstrate(console, default_home(), leave=leave)
    except StopRequested as stop:
        console.print("Stopped; the data stay for the next start.")
        # Ctrl-C is how a demonstration ends, but with --exit somebody waits for an answer.
        raise SystemExit(stop.code if leave else 0) from None
    except (CannotStart, ServiceAway, CallRefused, ProviderUnavailable) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise click.ClickException(f"The demonstration can't go on: {error.strerror or error}{place}.") from error
    if not arrived:
        raise SystemExit(1)


def _demonstrate(console: "Console", home: Path, *, leave: bool) -> bool:
    from service.cli import demo_show
    from service.cli.demo_documents import documents_folder
    from service.cli.demo_house import house, start_print_house
    from service.cli.demo_round import Round
    from service.embedded.fictional import SAMPLES

    began = time.monotonic()
    progress = demo_show.Progress(console)
    with house(home, os.environ, notice=progress.say, tell=lambda doing: progress.say(f"{doing} …")) as built:
        _warn_of_space(progress, built.home)
        start_print_house(built)
        documents = documents_folder(built.home, SAMPLES)
        progress.say(f"Handing in {len(SAMPLES)} documents as the agencies would …")
        with Round(built, documents, SAMPLES, progress.show) as journey, progress.of(journey.rows):
            arrived = journey.run()
        console.print()
        console.print(demo_show.last_table(journey.rows, console.width))
        console.print()
        for note in demo_show.notes(journey.rows):
            progress.say(note)
        known = sum(row.known for row in journey.rows)
        earlier = f", {known} of them handed in at an earlier start" if known else ""
        verdict = "Every document came to its end" if arrived else "Not every document came to its end"
        progress.say(f"{verdict}{earlier}. This took {time.monotonic() - began:.0f} seconds.")
        if not leave:
            console.print(demo_show.invitation(built), markup=False, soft_wrap=True)
            progress.say("It runs until Ctrl-C.")
            while True:
                signal.pause()
    return arrived


def _warn_of_space(progress: "Progress", home: Path) -> None:
    free = shutil.disk_usage(home).free
    if free < _LEAST_SPACE:
        progress.say(f"Only {free // (1024 * 1024)} MiB are left on the disk of {home}: it may fill up.")
