"""``zending recovery``: after a restore, what is missing, what went out, and the word that lets the service go on."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.table import Table

from service.bootstrap import Application, build
from service.settings import settings
from service.usecases import recovery as usecase

_ACTOR = click.option("--by", "actor", required=True, help="Who does this, for the audit trail.")


@click.group()
def recovery() -> None:
    """After a restore: what the database does not know, and when the service may go on."""


@recovery.command()
@_ACTOR
@click.option("--reason", default="restore", show_default=True, help="A word: why.")
def begin(actor: str, reason: str) -> None:
    """Say that the database was restored: for restores by other means than 'zending restore'. Safe to repeat."""
    with _application() as application:
        new = usecase.begin(application.context, reason=reason, actor=actor)
    click.echo("Nothing goes out now." if new else "A recovery is open; it is brought up to date.")


@recovery.command()
def report() -> None:
    """List the difference: deliveries lost, batches and notices gone out, leaves lost; each with what to do."""
    with _application() as application:
        found = usecase.report(application.context)
    console = Console()
    console.print(
        f"Recovery open since {found.since:%Y-%m-%d %H:%M:%S} UTC." if found.since else "No recovery is open."
    )
    _show_batches(console, found)
    _show_deliveries(console, found)
    if found.ledger_behind:
        console.print(
            f"The ledger has {found.leaves} leaves, and {found.signed} were signed: "
            f"{(found.signed or 0) - found.leaves} are lost. Do: zending ledger open-new-log."
        )
    else:
        console.print("The ledger is not behind what was signed.")


def _show_batches(console: Console, found: usecase.Report) -> None:
    table = Table("batch", "file", "handed over", "letters", title="Gone out, and forgotten by the database")
    for batch in found.batches:
        table.add_row(str(batch.number), batch.file_name, f"{batch.at:%Y-%m-%d %H:%M:%S}", str(batch.letters))
    console.print(table)
    console.print(
        f"{found.letters} letters and {found.notices} notices of deliveries that are known went out. Do: nothing; they "
        "are evidenced when their turn comes, and not sent again."
    )


def _show_deliveries(console: Console, found: usecase.Report) -> None:
    table = Table("delivery", "handed in", "organisation", "printed", "told", title="Acknowledged, and lost")
    for each in found.deliveries:
        yes_no = ["yes" if done else "no" for done in (each.printed, each.noticed)]
        table.add_row(each.id, f"{each.handed_in_at:%Y-%m-%d %H:%M:%S}", each.organisation or "unknown", *yes_no)
    console.print(table)
    console.print(
        f"{len(found.deliveries)} deliveries are lost. Do: ask each organisation to hand in again those that were not "
        "printed (the same idempotency key gives a new delivery); tell it which were printed: they are in the post."
    )


@recovery.command()
@_ACTOR
@click.confirmation_option(prompt="Was the report read and acted on, and may letters and notices go out again?")
def confirm(actor: str) -> None:
    """Let the service go on."""
    with _application() as application:
        usecase.confirm(application.context, actor=actor)
    click.echo("The recovery is confirmed: letters and notices go out again.")


@contextmanager
def _application() -> Iterator[Application]:
    application = build(settings())
    try:
        yield application
    finally:
        application.close()
