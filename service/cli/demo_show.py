"""What the demonstration shows: progress while it runs, a table at the end, and what to try next."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from service.cli.demo_house import House
from service.cli.demo_round import Row
from service.cli.demo_walk import nearby, walk
from service.embedded.fictional import PEOPLE, RECIPIENTS
from service.embedded.stack import CHECKOUT

_WIDE: Final = 200
_ROOMY: Final = 150
_HEADINGS: Final = ("document", "recipient", "channel", "state", "evidence")
# Widths that hold the longest word of each column, 80 together with the gaps.
_NARROW: Final = (34, 10, 10, 11, 10)
_CHANNELS: Final = {"digital": "mailbox", "paper": "paper", None: ""}
_DOES: Final = {"receive": "reads mail", "send": "sends", "operate": "runs the service"}


def make_console() -> Console:
    """The terminal; when it is none (a file, a pipe), wide enough that nothing is cut."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDE)


class Progress:
    """Shows rows as they change: one live table on a terminal, else a line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._rows: Sequence[Row] = ()
        self._told: dict[str, str] = {}

    @contextmanager
    def of(self, rows: Sequence[Row]) -> Iterator[None]:
        """Show these rows while the block runs."""
        self._rows = rows
        if not self._console.is_terminal:
            yield
            return
        with Live(
            table(rows, self._console.width), console=self._console, transient=True, refresh_per_second=8
        ) as self._live:
            yield
        self._live = None

    def show(self) -> None:
        """Show how the rows stand now."""
        if self._live is not None:
            self._live.update(table(self._rows, self._console.width))
        if not self._console.is_terminal:
            for row in self._rows:
                line = f"{row.state}, {_evidence(row)}" if row.evidence else row.state
                if self._told.get(row.sample.reference, "handing in") != line:
                    self._told[row.sample.reference] = line
                    self.say(f"  {row.sample.reference}  {row.sample.document}: {line}")

    def say(self, sentence: str) -> None:
        """Show a sentence, above what is live."""
        self._console.print(Text(sentence))


def table(rows: Sequence[Row], width: int) -> Table:
    """All rows while they are on their way."""
    made = _empty(_HEADINGS, () if width >= _ROOMY else _NARROW)
    for row in rows:
        made.add_row(Text(row.sample.document), *_cells(row))
    return made


def last_table(rows: Sequence[Row], width: int) -> Table:
    """All rows at their end, each with its sealed file: beside it, or below the document where that does not fit."""
    saved = ["" if row.saved is None else str(nearby(row.saved)) for row in rows]
    if width >= _ROOMY:
        made = _empty((*_HEADINGS, "sealed file"))
        for row, file in zip(rows, saved, strict=True):
            made.add_row(Text(row.sample.document), *_cells(row), Text(file))
        return made
    made = _empty(("document, sealed file", *_HEADINGS[1:]), _NARROW)
    for row, file in zip(rows, saved, strict=True):
        made.add_row(Text.assemble(row.sample.document, "\n", (file, "dim")), *_cells(row))
    return made


def _empty(headings: Sequence[str], widths: Sequence[int] = ()) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 1 if widths else 2, 0, 0), header_style="bold")
    for heading, width in zip_longest(headings, widths):
        made.add_column(heading, width=width, overflow="fold")
    return made


def _cells(row: Row) -> list[Text]:
    channel = _CHANNELS.get((row.delivery or {}).get("channel"), "")
    return [
        Text(RECIPIENTS[row.sample.recipient].name),
        Text(channel + (", registered" if channel and row.sample.registered else "")),
        Text(row.state.replace("_", " "), style=_style(row)),
        Text(_evidence(row)),
    ]


def notes(rows: Sequence[Row]) -> Iterator[str]:
    """What the table has no room for: why something was refused, and what the service noted about the way."""
    for row in rows:
        name = f"{row.sample.reference} ({row.sample.document})"
        if row.refusal is not None:
            expected = " That is as it should be: it was broken on purpose." if row.sample.broken else ""
            yield f"{name} was not taken: {row.refusal.detail}{expected}"


def invitation(house: House) -> str:
    """Addresses, log-ins and lines to paste."""
    url = house.base_url
    people = "\n".join(f"    {each.name:<14} {_DOES[each.does]:<17} ({each.about})" for each in PEOPLE)
    return f"""
Pages           {url}/          log in by choosing one of these people, no password:
{people}
API             {url}/docs/   for programs; what it speaks is in {url}/openapi.json
Print house     {nearby(house.print_folder)}   each ZIP is a batch: one PDF and manifest.json
                a simulated one delivers their letters, a day takes ten seconds; how far it is:
                {_launcher()} print-house show --home {nearby(house.home / "print-house")}
E-mail          {nearby(house.home / "mail")}   every notice, as a file
For scripts     {nearby(house.home / "demo.json")}
Other commands  source {nearby(house.home / "environment")}; {_launcher()} ops status

To try it by hand, paste this:

{walk(house)}
"""


def _launcher() -> str:
    return "./zending" if Path("zending").is_file() else str(CHECKOUT / "zending")


def _evidence(row: Row) -> str:
    if not row.evidence:
        return ""
    published = sum(each["published"] for each in row.evidence)
    if row.verified is not None:
        return f"{published} published, " + ("verified" if row.verified else "NOT VALID")
    return f"{published} of {len(row.evidence)} published"


def _style(row: Row) -> str:
    if not row.is_over:
        return "yellow"
    return "green" if row.is_as_expected else "bold red"
