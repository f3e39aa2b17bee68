"""``zending keys``: the keys of an installation: made, listed, given a new generation, destroyed."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from service.cli.keys_seals import seals

if TYPE_CHECKING:
    from service.bootstrap import Application


@click.group(invoke_without_command=True)
@click.option("--folder", type=click.Path(path_type=Path), envvar="ZENDING_KEYS_FOLDER", required=True)
@click.option("--origin", envvar="ZENDING_LEDGER_ORIGIN", default="zending.invalid/log", show_default=True)
@click.pass_context
def keys(context: click.Context, folder: Path, origin: str) -> None:
    """Make the keys of a new installation where they are missing, and print the ledger's verifier keys."""
    from service.own_keys import make_keys

    if context.invoked_subcommand is None:
        for line in make_keys(folder, origin).vkeys:
            click.echo(line)


keys.add_command(seals)


@keys.command("list")
@click.pass_context
def show(context: click.Context) -> None:
    """List the key-encryption keys by organisation and year: usable, lost, destroyed. Never their material."""
    from service.vault.keyring.file import FileKeyRing

    table = Table("key", "state", "organisation", "year", "generation")
    assert context.parent is not None
    ring = FileKeyRing(context.parent.params["folder"] / "keyring")
    for each in ring.listing():
        values = (each.id, each.state, each.organisation, each.year, each.generation)
        table.add_row(*("" if value is None else str(value) for value in values))
    index_keys = ring.index_keys()
    for key, what in ((index_keys.writing, "writing"), (index_keys.next, "next"), (index_keys.former, "former")):
        if key is not None:
            table.add_row(index_keys.name(key), what, "index key", "", "")
    Console(width=140).print(table)


@keys.command()
@click.argument("organisation")
@click.argument("year", type=int)
@click.option("--by", "actor", required=True, help="Who does this, for the audit trail.")
def rotate(organisation: str, year: int, actor: str) -> None:
    """Give ORGANISATION (its slug) a new generation of the key of YEAR; older ones go on opening what they closed."""
    from service.usecases import audit

    with _found(organisation) as (application, found):
        key = application.context.keyring.rotate(found, year)
        with application.context.database.transaction() as session:
            audit.record(session, actor=actor, act="key.rotate", subject=f"key:{key.id}", details={"year": year})
    click.echo(f"New content of {organisation} for {year} is closed with {key.id}; within a minute everywhere.")


@keys.command()
@click.argument("organisation")
@click.argument("year", type=int)
@click.option("--confirm", "typed", required=True, help="ORGANISATION/YEAR, typed again.")
@click.option("--by", "actor", required=True, help="Who does this.")
@click.option("--second", required=True, help="The second person, who looked on; not the first.")
def destroy(organisation: str, year: int, typed: str, actor: str, second: str) -> None:
    """Destroy every generation of the key of YEAR: all that it protects is gone for good, in backups of data too."""
    from service.usecases import audit

    if typed != f"{organisation}/{year}":
        raise click.UsageError(f"--confirm must be {organisation}/{year}.")
    if actor == second:
        raise click.UsageError("it takes two persons: --by and --second are the same.")
    with _found(organisation) as (application, found):
        lost = application.context.keyring.line(found, year)
        with application.context.database.transaction() as session:
            details: dict[str, str | int | None] = {"year": year, "second": second, "keys": len(lost)}
            audit.record(
                session, actor=actor, act="key.destroy", subject=f"organisation:{organisation}", details=details
            )
        application.context.keyring.destroy_year(found, year)
    click.echo(f"{len(lost)} keys of {organisation} for {year} are destroyed; within a minute in every process.")


@keys.command("bring-back")
@click.option("--from", "source", type=click.Path(file_okay=False, exists=True, path_type=Path), required=True)
@click.option("--passphrase-file", type=click.Path(dir_okay=False, exists=True, path_type=Path), required=True)
@click.pass_context
def bring_back(context: click.Context, source: Path, passphrase_file: Path) -> None:
    """Add keys that are missing from a backup; what is there stays, and what was destroyed stays destroyed."""
    from service.cli import backup_keys
    from service.cli.backup_archive import BackupRefused

    assert context.parent is not None
    try:
        secret = backup_keys.passphrase(passphrase_file)
        count = backup_keys.put_back(source, context.parent.params["folder"], secret)
    except BackupRefused as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{count} files of keys were missing and are back.")


@keys.command()
@click.argument("stage", type=click.Choice(["next", "promote", "retire"]))
@click.pass_context
def tokens(context: click.Context, stage: str) -> None:
    """Exchange the key of access tokens in three stages; start every API process again after each.

    next: a new key is made and published, and does not sign yet. promote: it signs, the former one still verifies.
    retire: the former one is removed; its tokens, minutes old, are no longer believed.
    """
    from service.cli.backup_archive import write_file
    from service.identity.tokens import new_signing_key_pem
    from service.own_keys import TOKEN_KEY, TOKEN_KEYS_BESIDE

    assert context.parent is not None
    folder: Path = context.parent.params["folder"]
    signing, (coming, former) = folder / TOKEN_KEY, [folder / name for name in TOKEN_KEYS_BESIDE]
    if stage == "next":
        if coming.exists() or former.exists():
            raise click.ClickException("an exchange is under way: promote or retire first.")
        write_file(coming, new_signing_key_pem())
    elif stage == "promote":
        if not coming.exists():
            raise click.ClickException("there is no next key: begin with 'zending keys tokens next'.")
        # In this order a crash leaves both keys believed; promoting again finishes it.
        write_file(former, signing.read_bytes())
        coming.replace(signing)
    elif coming.exists() or not former.exists():
        raise click.ClickException("there is no former key to retire, or the next one does not sign yet.")
    else:
        former.unlink()
    click.echo("Done. Start every API process again before the next stage.")


@keys.group()
def index() -> None:
    """Exchange the index key, by which recipients' rows are found (docs/runbooks/key-rotation.md)."""


@index.command("next")
@click.pass_context
def index_next(context: click.Context) -> None:
    """Make the next key: looked for from the next start of each process on, and not written with yet."""
    _exchanged(context, "begin_index")
    click.echo("Done. Start every process again, everywhere, before 'promote'.")


@index.command("promote")
@click.pass_context
def index_promote(context: click.Context) -> None:
    """Write with the next key; the present one becomes the former, and is looked for still."""
    _exchanged(context, "promote_index")
    click.echo("Done. Start every process again, everywhere, before 're-index'.")


@index.command("re-index")
@click.option("--by", "actor", required=True, help="Who does this, for the audit trail.")
def re_index(actor: str) -> None:
    """Write the rows of the former key anew, two hundred deliveries at a time; goes on where it was broken off."""
    from service.usecases import audit, reindex

    with _application() as application:
        context = application.context
        reindex.standing(context)
        with context.database.transaction() as session:
            subject = f"key:{context.index.name(context.index.writing)}"
            audit.record(session, actor=actor, act="index.rewrite", subject=subject)
        while reindex.round_(context):
            pass
        found = reindex.standing(context)
    assert found is not None
    click.echo(f"{found.deliveries} deliveries were gone through; {found.unreadable} of them have no key any more.")
    click.echo(
        f"Still found with the former key: {found.mailboxes} mailboxes; {found.lookups} look-ups from before;"
        f" {found.mandates} mandates, those among them whose code waits."
    )


@index.command("retire")
@click.option("--leave-lookups", is_flag=True, help="Look-ups about nobody's recipient may be found by nobody.")
@click.option("--by", "actor", required=True, help="Who does this, for the audit trail.")
@click.pass_context
def index_retire(context: click.Context, actor: str, *, leave_lookups: bool) -> None:
    """Destroy the former key for good; refused while anything needs it."""
    from service.bootstrap import retention_periods
    from service.usecases import audit, reindex

    with _application() as application:
        window = retention_periods(application.settings).window
        reindex.refuse_retiring(application.context, window, leave_lookups=leave_lookups)
        keys = application.context.index
        assert keys.former is not None
        with application.context.database.transaction() as session:
            audit.record(session, actor=actor, act="index.retire", subject=f"key:{keys.name(keys.former)}")
    _exchanged(context, "retire_index")
    click.echo("The former key is destroyed here. Do it on every machine with a keys folder, and start all again.")


def _exchanged(context: click.Context, stage: str) -> None:
    from service.vault.errors import KeyRingUnusable
    from service.vault.keyring.file import FileKeyRing

    try:
        getattr(FileKeyRing(_folder(context) / "keyring"), stage)()
    except KeyRingUnusable as error:
        raise click.ClickException(str(error)) from None


def _folder(context: click.Context) -> Path:
    above: click.Context | None = context
    while above is not None:
        if isinstance(found := above.params.get("folder"), Path):
            return found
        above = above.parent
    raise click.UsageError("there is no folder of keys.")


@keys.command()
@click.argument("organisation")
@click.argument("profile")
@click.option("--by", "actor", required=True, help="Who does this, for the audit trail.")
def seal(organisation: str, profile: str, actor: str) -> None:
    """Let ORGANISATION seal by PROFILE (in the folder seals/, docs/signing.md) from now on.

    Running workers take it up with the next document; seals that were made stay valid with the former certificate.
    """
    from sqlalchemy import update

    from service.db.models import Organisation
    from service.usecases import audit
    from signing.errors import SigningError

    with _found(organisation) as (application, found):
        try:
            application.sealers.of(profile)
        except SigningError as error:
            raise click.ClickException(f"the profile {profile} can't be used: {error.code}: {error.detail}") from None
        with application.context.database.transaction() as session:
            session.execute(update(Organisation).where(Organisation.id == found).values(seal_profile=profile))
            subject = f"organisation:{organisation}"
            audit.record(session, actor=actor, act="key.seal", subject=subject, details={"profile": profile})
    click.echo(f"{organisation} seals with {profile} from now on.")


@contextmanager
def _found(slug: str) -> "Iterator[tuple[Application, uuid.UUID]]":
    from service.usecases import organisations

    with _application() as application:
        with application.context.database.transaction() as session:
            found = organisations.by_slug(session, slug)
        if found is None:
            raise click.ClickException(f"there is no organisation {slug}.")
        yield application, found


@contextmanager
def _application() -> "Iterator[Application]":
    from service.bootstrap import build
    from service.settings import settings

    application = build(settings())
    try:
        with refusals():
            yield application
    finally:
        application.close()


@contextmanager
def refusals() -> "Iterator[None]":
    """Tell what the service refuses as an operator is told it."""
    from service.domain.errors import ZendingError

    try:
        yield
    except ZendingError as error:
        raise click.ClickException(f"{error.code}: {error.detail}") from None
