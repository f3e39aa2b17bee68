"""``zending ledger``: how the log of evidence stands, whether it is whole, and a new one after a restore."""

import sys
from dataclasses import asdict
from typing import NoReturn

import click
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from service.bootstrap import build
from service.cli.backup import owner_url
from service.settings import settings
from service.usecases.log_head import StoredHead


@click.group()
def ledger() -> None:
    """The log of evidence."""


@ledger.command()
def status() -> None:
    """Show the present log, what was signed, and the logs before it with their links."""
    from service.db import ledger as rows
    from service.db import ledger_past

    application = build(settings())
    try:
        with application.context.database.transaction() as session:
            head, past = rows.head(session), ledger_past.logs(session)
            signed = application.context.signed_size()
            if head is not None:
                click.echo(f"{head.log_origin}: {head.size} leaves, {signed or 0} signed")
            for log in past:
                click.echo(
                    f"{log.origin}: closed at {log.size} leaves, {log.last_size} signed; goes on in {log.next_origin}"
                )
                click.echo(f"  link (first leaf of {log.next_origin}): {log.link.decode()}")
    finally:
        application.close()


@ledger.command("open-new-log")
@click.option("--origin", required=True, help="The new log's name, never used before, such as zending.example/log-2.")
@click.option("--closing", required=True, help="The name of the log that ends here, typed as confirmation.")
@click.option("--by", "actor", required=True, help="Who does this, for the audit trail.")
def open_new_log(origin: str, closing: str, actor: str) -> None:
    """Close the log of a restored database and open a new one that names the head it follows.

    Stop the scheduler first; afterwards set ZENDING_LEDGER_ORIGIN to the new name and start everything again.
    """
    from service.db.session import psycopg_url
    from service.ledger import new_log
    from service.usecases import audit

    application = build(settings())
    engine = create_engine(psycopg_url(owner_url()), connect_args={"options": "-c timezone=UTC"})
    try:
        if closing != application.context.log_origin:
            raise click.UsageError(f"--closing must name the present log, {application.context.log_origin}.")
        head = StoredHead(application.store, application.context.log_origin)
        with Session(engine) as session, session.begin():
            opened = new_log.open_new(session, application.log_signer, head, origin)
            details: dict[str, str | int | None] = {"follows": opened.follows.size, "closed": closing}
            audit.record(session, actor=actor, act="ledger.open_new_log", subject=f"log:{origin}", details=details)
    finally:
        engine.dispose()
        application.close()
    click.echo(
        f"The log {closing} is closed at {opened.follows.size} signed leaves; {origin} is open and linked to it."
    )
    click.echo(f"Set ZENDING_LEDGER_ORIGIN={origin} for every process, start them, and publish the new verifier keys.")


@ledger.command()
@click.option("--records-only", is_flag=True, help="Do not read the documents that are kept, which takes long.")
@click.option("--former-key", "former", multiple=True, help="Verifier key of a closed log whose keys were others.")
def fsck(former: tuple[str, ...], *, records_only: bool) -> None:
    """Compute everything anew that evidence rests on, and name the first thing that differs.

    Exit status 0: nothing differs. 1: something does. 2: it could not be looked at.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from service.domain.errors import ZendingError
    from service.ledger.errors import LedgerDiffers, NoteRefused
    from service.ledger.notes import VerifierKey
    from service.settings import SettingsRefused
    from service.usecases import ledger_check
    from signing.trust import load_certificates

    try:
        keys = [VerifierKey.parse(text) for text in former]
        setting = settings()
        application = build(setting)
    except (NoteRefused, SettingsRefused) as error:
        _cannot(str(error))
    try:
        head = StoredHead(application.store, application.context.log_origin)
        looked = ledger_check.check(
            application.context,
            application.log_signer,
            head,
            load_certificates(setting.trust_anchor),
            contents=not records_only,
            former=keys,
        )
    except LedgerDiffers as error:
        click.echo(f"DIFFERS: {error.detail}")
        sys.exit(1)
    except ZendingError as error:
        _cannot(f"{error.detail} ({error.code})")
    except SQLAlchemyError as error:
        _cannot(f"the database can't be read ({type(error).__name__}).")
    finally:
        application.close()
    for name, count in asdict(looked).items():
        click.echo(f"{name}: {count}")
    click.echo("Nothing differs.")


def _cannot(why: str) -> NoReturn:
    click.echo(f"It could not be looked at: {why}", err=True)
    sys.exit(2)
