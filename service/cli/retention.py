"""``zending retention``: periods, holds, a person's request to be erased, and objects that a restore forgot."""

import getpass
import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.table import Table

from service.bootstrap import Application, build, retention_periods
from service.domain.errors import NotFound
from service.domain.identifiers import RecipientId, RecipientKind
from service.settings import settings
from service.usecases import erasure, holds, housekeeping, organisations
from service.usecases import retention as usecase

_ACTOR = click.option(
    "--by", "actor", default=None, help="Who does this; your log-in name on this machine if left out."
)


@click.group()
def retention() -> None:
    """What is kept how long: periods, legal holds, erasure."""


@retention.command()
@click.argument("organisation")
@click.option("--document-type", default="", help="For this document type only.")
@click.option("--print-days", type=click.IntRange(1, 36600), help="Days for print copies; left out: the usual ones.")
@click.option("--content-days", type=click.IntRange(1, 36600), help="Days for documents; left out: the usual ones.")
@click.option(
    "--signature-days",
    type=click.IntRange(1, 36600),
    help="Days for the results of signature requests, from their end; left out: the usual ones.",
)
def periods(
    organisation: str,
    document_type: str,
    print_days: int | None,
    content_days: int | None,
    signature_days: int | None,
) -> None:
    """Give ORGANISATION (its slug), or one of its document types, periods of its own."""
    with _application() as application, application.context.database.transaction() as session:
        found = organisations.by_slug(session, organisation)
        if found is None:
            raise NotFound
        usecase.set_periods(
            session,
            found,
            document_type=document_type,
            print_days=print_days,
            content_days=content_days,
            signature_days=signature_days,
            now=application.context.clock(),
        )
    click.echo("The periods are changed. What they find over goes within the hour.")


@retention.command()
@click.argument("subject")
@click.option("--reason", required=True, help="The file or case this is about, without names.")
@_ACTOR
def hold(subject: str, reason: str, actor: str | None) -> None:
    """Keep SUBJECT (a delivery, dlv_…, or signature request, sgr_…) whatever its periods say, until it is released."""
    with _application() as application, application.context.database.transaction() as session:
        begun = holds.begin(session, subject, reason=reason, actor=_name(actor), now=application.context.clock())
    click.echo("It is held." + (" Its documents had gone before." if begun.content_erased else ""))


@retention.command()
@click.argument("subject")
@_ACTOR
def release(subject: str, actor: str | None) -> None:
    """End the hold of SUBJECT: its periods count again."""
    with _application() as application, application.context.database.transaction() as session:
        holds.end(session, subject, actor=_name(actor), now=application.context.clock())
    click.echo("It is released.")


@retention.command("holds")
def holds_() -> None:
    """Show what is held."""
    table = Table("held", "since", "by", "reason", "documents")
    with _application() as application, application.context.database.transaction() as session:
        for each in holds.listed(session):
            gone = "gone" if each.content_erased else "kept"
            table.add_row(each.subject, f"{each.begun_at:%Y-%m-%d}", each.begun_by, each.reason, gone)
    Console().print(table)


@retention.command("erase-person")
@click.option("--kind", type=click.Choice(["citizen", "enterprise", "administration"]), default="citizen")
@_ACTOR
def erase_person(kind: str, actor: str | None) -> None:
    """Erase what may go of a person who asked for it. Their number is read from the input, never from the command."""
    number = getpass.getpass("Number: ") if sys.stdin.isatty() else sys.stdin.readline()
    recipient = RecipientId.parse(RecipientKind(kind), number.strip())
    with _application() as application:
        periods = retention_periods(application.settings)
        done = erasure.erase(application.context, recipient, periods, actor=_name(actor))
    click.echo(
        f"Request {done.request}: "
        + ("the mailbox is closed and its address erased." if done.mailbox else "no mailbox.")
    )
    if done.mandates:
        click.echo(f"Mandates given or held, and ended now: {done.mandates}.")
    if done.proofs_until:
        click.echo(f"Proofs of consent are kept until {done.proofs_until}.")
    table = Table("kept", "documents until", "evidence until", "held")
    for each in done.kept:
        table.add_row(
            each.subject, str(each.documents_until or "gone"), str(each.evidence_until), "yes" if each.held else ""
        )
    Console().print(table)


@retention.command("unknown-objects")
@click.option("--remove", is_flag=True, help="Remove them; without this they are only listed.")
def unknown_objects(*, remove: bool) -> None:
    """List stored objects that no row knows, from before the recovery window: what a restore forgot."""
    count = 0
    with _application() as application:
        window = retention_periods(application.settings).window
        found = housekeeping.unknown_objects(application.context, window=window)
        while chunk := list(itertools.islice(found, housekeeping.COLLECT)):
            for path in chunk:
                click.echo(path)
            if remove:
                application.context.vault.remove_many(chunk)
            count += len(chunk)
    click.echo(f"{count} {'removed' if remove else 'found'}.", err=True)


@contextmanager
def _application() -> Iterator[Application]:
    application = build(settings())
    try:
        yield application
    finally:
        application.close()


def _name(actor: str | None) -> str:
    return actor or f"cli:{getpass.getuser()}"
