"""``zending organisations``: limits of organisations, and what to do about a client whose secret leaked."""

import uuid
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select, update
from sqlalchemy.orm import Session

ACTOR = "operator-command"


@click.group()
def organisations() -> None:
    """Organisations, their limits and their programs."""


@organisations.command("list")
def show_all() -> None:
    """Show the organisations and their programs."""
    from service.db.ids import ORGANISATION, public_id
    from service.db.models import Client, Organisation

    with database_of().transaction() as session:
        for organisation in session.scalars(select(Organisation).order_by(Organisation.slug)):
            shown = public_id(ORGANISATION, organisation.id)
            click.echo(f"{organisation.slug}: {organisation.name} ({organisation.mark}), {shown}")
            query = select(Client).where(Client.organisation_id == organisation.id).order_by(Client.client_id)
            for client in session.scalars(query):
                click.echo(f"  client {client.client_id}: {'active' if client.active else 'switched off'}")


@organisations.command()
@click.argument("slug")
@click.option("--requests-per-second", help="Of each program and person, in the long run.")
@click.option("--burst", help="Requests at once after a pause.")
@click.option("--daily-deliveries", help="Deliveries on a day in Brussels.")
@click.option("--daily-bytes", help="Bytes of their documents on a day.")
@click.option("--interactive-per-minute", help="Deliveries that programs may put into the clerks' lane; 0: none.")
def limits(slug: str, **given: str | None) -> None:
    """Show an organisation's limits and today's use; with options, change them ('default' takes a limit back)."""
    from service.db import quotas as rows
    from service.usecases import audit, quotas

    wanted = {name: _number(name, value) for name, value in given.items() if value is not None}
    database = database_of()
    with database.transaction() as session:
        organisation = organisation_of(session, slug)
    with database.transaction(organisations=[organisation]) as session:
        if wanted:
            quotas.set_limits(session, organisation, **wanted)
            audit.record(session, actor=ACTOR, act="limits.change", subject=f"organisation:{slug}", details=wanted)
        most, used = quotas.limits(session, organisation), rows.today(session, organisation)
    click.echo(f"requests per second: {most.requests_per_second} (burst {most.burst})")
    click.echo(f"deliveries a day: {most.daily_deliveries} (today: {used.deliveries})")
    click.echo(f"bytes a day: {most.daily_bytes} (today: {used.bytes})")
    click.echo(f"deliveries a minute that programs may put into the interactive lane: {most.interactive_per_minute}")


@organisations.command("switch-off")
@click.argument("client_id")
def switch_off(client_id: str) -> None:
    """Switch a program off: no new tokens from now on, and those it has are refused within seconds."""
    _set(client_id, "client.switch_off", active=False)
    click.echo(f"{client_id} is switched off.")


@organisations.command("switch-on")
@click.argument("client_id")
def switch_on(client_id: str) -> None:
    """Let a program in again."""
    _set(client_id, "client.switch_on", active=True)
    click.echo(f"{client_id} is active.")


@organisations.command("new-secret")
@click.argument("client_id")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="A new file for the secret.")
def new_secret(client_id: str, target: Path) -> None:
    """Give a program a new secret, written to a file that only you can read; the old one is over at once.

    Tokens that were given for the old secret stay good for minutes: switch the program off first if it leaked.
    """
    import os

    from service.identity import clients

    secret = clients.new_secret()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret + "\n")
    _set(client_id, "client.new_secret", secret_hash=clients.hash_secret(secret))
    click.echo(f"The new secret of {client_id} stands in {target}. Hand it over, then remove the file.")


@organisations.command("returned-mail")
@click.argument("slug")
@click.argument("what", type=click.Choice(["ask", "end"]))
def returned_mail(slug: str, what: str) -> None:
    """Say what becomes of letters that come back: the organisation is asked for another address, or that is the end."""
    from service.usecases import paper_choices

    with database_of().transaction() as session:
        organisation_of(session, slug)
        paper_choices.choose(session, slug, returned_mail=what, actor=ACTOR)
    click.echo(f"Letters of {slug} that come back: {what}.")


@organisations.command()
@click.argument("slug")
@click.argument("what", type=click.Choice(["return", "destroy", "default"]))
def undeliverable(slug: str, what: str) -> None:
    """Say what the post does with letters that can't be delivered, where a delivery doesn't say ('default': return).

    It holds for what is handed in some seconds from now on.
    """
    from service.usecases import paper_choices

    with database_of().transaction() as session:
        organisation_of(session, slug)
        paper_choices.choose(session, slug, undeliverable=what, actor=ACTOR)
    click.echo(f"Letters of {slug} that can't be delivered: {what}.")


@organisations.command()
@click.argument("slug")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--remove", is_flag=True, help="Letters show no logo any more.")
@click.option(
    "--try", "shown", type=click.Path(dir_okay=False, path_type=Path), help="Only write a letter with it here (PDF)."
)
def logo(slug: str, file: Path | None, *, remove: bool, shown: Path | None) -> None:
    """Show a logo (PNG or JPEG) before the name on the address pages of an organisation's letters.

    It is printed in grey unless a delivery asks for colours, 13 mm high at most. It holds for letters that are made
    from now on.
    """
    from printing.errors import PrintingError
    from service.cli.operating import quietly, running
    from service.usecases import audit, logos

    if (file is None) != remove or (remove and shown):
        raise click.UsageError("give the file of the logo, or --remove.")
    quietly()
    with running() as application:
        with application.context.database.transaction() as session:
            organisation = logos.named(session, slug)
        tried = None
        if file is not None:
            try:
                tried = logos.take_in(application.context, organisation, file.read_bytes())
            except PrintingError as refused:
                raise click.ClickException(f"{refused.detail} ({refused.code})") from None
        if tried is not None and shown is not None:
            shown.write_bytes(tried.letter.pdf)
            click.echo(f"{shown} is a letter with this logo; nothing is changed.")
            return
        with application.context.database.transaction() as session:
            logos.keep(session, organisation.id, None if tried is None else tried.png)
            details: dict[str, str | int | None] = {"logo": "removed" if tried is None else "changed"}
            audit.record(session, actor=ACTOR, act="organisation.logo", subject=slug, details=details)
    click.echo(f"Letters of {slug} show {'no logo' if tried is None else 'this logo'} from now on.")


@organisations.command("share-envelopes")
@click.argument("slug")
@click.argument("what", type=click.Choice(["on", "off"]))
def share_envelopes(slug: str, what: str) -> None:
    """Say whether letters to the same addressee may share an envelope, where a delivery doesn't say.

    It holds for what is handed in some seconds from now on.
    """
    from service.usecases import paper_choices

    with database_of().transaction() as session:
        organisation_of(session, slug)
        paper_choices.choose(session, slug, share_envelopes=what, actor=ACTOR)
    click.echo(f"Letters of {slug} to the same addressee in one envelope: {what}.")


@organisations.command("end-sessions")
def end_sessions() -> None:
    """Log everybody out of the pages, at once."""
    from service.db.models import WebSession
    from service.usecases import audit

    with database_of().transaction() as session:
        ended = session.execute(WebSession.__table__.delete()).rowcount  # type: ignore[attr-defined]
        audit.record(session, actor=ACTOR, act="sessions.end", subject="everybody", details={"ended": ended})
    click.echo(f"{ended} sessions ended.")


def _set(client_id: str, act: str, **values: Any) -> None:
    from service.db.models import Client
    from service.usecases import audit

    with database_of().transaction() as session:
        changed = update(Client).where(Client.client_id == client_id).values(**values).returning(Client.client_id)
        if session.scalar(changed) is None:
            raise click.ClickException(f"there is no client {client_id}.")
        audit.record(session, actor=ACTOR, act=act, subject=f"client:{client_id}")


def organisation_of(session: Session, slug: str) -> uuid.UUID:
    """An organisation's id by its short name."""
    from service.db.models import Organisation

    found = session.scalar(select(Organisation.id).where(Organisation.slug == slug))
    if found is None:
        raise click.ClickException(f"there is no organisation {slug}.")
    return found


def _number(name: str, value: str) -> int | None:
    if value == "default":
        return None
    if not (value.isascii() and value.isdigit()):
        raise click.UsageError(f"--{name.replace('_', '-')} takes a number, or 'default'.")
    return int(value)


def database_of() -> Any:
    """The database that the environment names."""
    from service.db.session import Database
    from service.settings import read_variable

    url = read_variable("DATABASE_URL")
    if not url:
        raise click.ClickException("set DATABASE_URL; beside a running demo, 'source .zending/environment' does.")
    database = Database(url)
    click.get_current_context().call_on_close(database.dispose)
    return database
