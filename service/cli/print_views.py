"""``zending print`` for what operators look at: what waits and why, what comes, what is held, letters, proofs."""

import json
import sys
from datetime import datetime
from typing import Any, Final

import click
import msgspec
from rich.table import Table
from rich.text import Text

from service.cli.operating import actor_of, console, running
from service.domain import calendar
from service.identity.scopes import Scope

AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="For programs.")
LIMIT: Final = click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))


@click.command("waiting")
@AS_JSON
def waiting(*, as_json: bool) -> None:
    """Show letters that wait for more than their next cut-off: why, how many, since when. Ends with 1 if there are."""
    from service.usecases import print_waiting

    with running() as application:
        found = print_waiting.stuck(application.context)
    if as_json:
        tell(found)
    else:
        rows = [(each.why, each.printer, each.product, each.letters, each.since) for each in found]
        show_table(("why", "printer", "product", "letters", "since"), rows, none="Nothing waits for too long.")
    sys.exit(1 if found else 0)


@click.command("forecast")
@AS_JSON
def forecast(*, as_json: bool) -> None:
    """Show what comes at the next cut-offs, and what print houses still take today."""
    from service.usecases import print_views

    with running() as application:
        found = print_views.coming(application.context)
    if as_json:
        tell(found)
        return
    names = ("printer", "product", "next cut-off", "letters", "sheets", "held", "room for letters", "for sheets", "")
    rows = [
        (each.printer, each.product, each.cut_off, each.letters, each.sheets, each.held, *_room(each),
         "the product is held" if each.is_held else "")
        for each in found
    ]  # fmt: skip
    show_table(names, rows, none="No print house has cut-offs.")


@click.command("holds")
@LIMIT
@AS_JSON
def holds(*, limit: int, as_json: bool) -> None:
    """Show what is held back, by whom and why: products, batches, letters."""
    from service.usecases import print_views

    with running() as application:
        found = print_views.holds(application.context, limit=limit)
    if as_json:
        tell(found)
        return
    rows = [(f"product {each.printer}:{each.product}", each.held) for each in found.products]
    rows += [(f"batch {each.batch}", each.held) for each in found.batches]
    rows += [(each.letter, each.held) for each in found.letters]
    shown = [(what, held.at, held.by, held.reason) for what, held in rows]
    show_table(("what", "since", "by", "why"), shown, none="Nothing is held.")
    if found.letters_held > len(found.letters):
        click.echo(f"{found.letters_held - len(found.letters)} more letters are held; see --limit.")


@click.command("letter")
@click.argument("letters", nargs=-1, required=True)
@AS_JSON
def letter(*, letters: tuple[str, ...], as_json: bool) -> None:
    """Show where letters are: their state, print house and batch, and what holds them up."""
    from service.usecases import print_views

    with running() as application:
        found = print_views.look(application.context, letters)
    if as_json:
        tell(found)
        return
    rows = [
        (each.letter, each.state, each.attempt, each.printer, each.batch, each.handed_over_at, _remarks(each))
        for each in found
    ]
    show_table(("letter", "state", "attempt", "printer", "batch", "handed over", ""), rows, none="")


@click.command("proof")
@click.argument("delivery")
def proof(*, delivery: str) -> None:
    """Have the letter of a delivery printed once to be looked at; it is never posted, and nothing changes for it."""
    from service.usecases import proofs

    with running() as application:
        actor = actor_of(application, Scope.PRINT_OPERATE)
        printer, file = proofs.send(application.context, delivery, actor=actor)
    click.echo(f"{file} is with {printer}.")


@click.command("proofs")
@LIMIT
@AS_JSON
def proofs_(*, limit: int, as_json: bool) -> None:
    """Show the proofs of the last 90 days, and whether their print houses said that they arrived."""
    from service.usecases import print_views

    with running() as application:
        found = print_views.proofs(application.context, limit=limit)
    if as_json:
        tell(found)
        return
    rows = [(each.ordered_at, each.delivery, each.printer, each.file, each.acknowledged_at) for each in found]
    show_table(("ordered", "delivery", "printer", "file", "acknowledged"), rows, none="No proof was ordered.")


COMMANDS: Final = (waiting, forecast, holds, letter, proof, proofs_)


def show_table(names: tuple[str, ...], rows: list[tuple[Any, ...]], *, none: str) -> None:
    """Rows under names, or a sentence where there are none."""
    if not rows:
        click.echo(none)
        return
    table = Table(*names, box=None)
    for row in rows:
        table.add_row(*(Text(said(value)) for value in row))
    console().print(table)


def said(value: Any) -> str:
    """A value as a table shows it; moments by the clock of the cut-offs."""
    if isinstance(value, datetime):
        return f"{calendar.local(value):%Y-%m-%d %H:%M}"
    return "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


def tell(value: Any) -> None:
    """The same for programs."""
    click.echo(json.dumps(msgspec.to_builtins(value), indent=1))


def _room(each: Any) -> tuple[Any, Any]:
    return tuple("all" if left is None else left for left in (each.left_letters, each.left_sheets))  # type: ignore[return-value]


def _remarks(each: Any) -> str:
    parts = []
    if each.held is not None:
        parts.append(f"held: {each.held.reason}")
    if each.reprint is not None:
        parts.append(f"printed again: {each.reprint}")
    if each.pull is not None:
        parts.append(f"to be taken out: {each.pull.replace('_', ' ')}")
    return "; ".join(parts)
