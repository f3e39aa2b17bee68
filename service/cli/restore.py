"""``zending restore``: a verified backup into database and store, keys that are missing, and then a recovery."""

from pathlib import Path

import click

from service.cli import backup_archive as archive
from service.cli import backup_database, backup_keys
from service.cli.backup import owner_url

_FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)


@click.command()
@click.option("--from", "source", type=_FOLDER, required=True, help="The backup.")
@click.option("--digest", help="The digest that the backup printed.")
@click.option("--keys-from", type=_FOLDER, help="The backup of the keys, where keys are missing.")
@click.option("--passphrase-file", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--by", "actor", required=True, help="Who restores, for the audit trail.")
def restore(source: Path, digest: str | None, keys_from: Path | None, passphrase_file: Path | None, actor: str) -> None:
    """Restore the database to the backup's moment and put back objects that the store lacks.

    Nothing in the store or among the keys is overwritten. The service must be stopped; when it starts, nothing goes out
    until 'zending recovery confirm'.
    """
    from service.settings import settings

    try:
        found = archive.verify(source, digest=digest)
        if keys_from is not None:
            if passphrase_file is None:
                raise click.UsageError("--keys-from needs --passphrase-file.")
            secret = backup_keys.passphrase(passphrase_file)
            count = backup_keys.put_back(keys_from, settings().keys_folder, secret)
            click.echo(f"{count} files of keys were missing and are back.")
        aside = backup_database.restore(owner_url(), source / archive.DATABASE)
    except archive.BackupRefused as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"The database is restored to {found.taken_at}.")
    if aside is not None:
        click.echo(f"What stood there is kept in the schema {aside}: drop it when it is no longer needed.")
    _recover(source, actor)


def _recover(source: Path, actor: str) -> None:
    from service.bootstrap import build
    from service.db.migrations import migrate
    from service.settings import settings
    from service.usecases import recovery

    # A backup of the release before: this release's steps, before its code works on it.
    migrate(owner_url())
    application = build(settings())
    try:
        count = archive.put_back(source, application.store)
        recovery.begin(application.context, reason="restore", actor=actor)
    finally:
        application.close()
    click.echo(f"{count} objects were missing in the store and are back.")
    click.echo("Nothing goes out now. Read 'zending recovery report', act on it, then 'zending recovery confirm'.")
