"""``zending backup``: database and documents into one folder, keys into another, encrypted."""

from datetime import UTC, datetime
from pathlib import Path

import click

from service.cli import backup_archive as archive
from service.cli import backup_database, backup_keys

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(dir_okay=False, exists=True, path_type=Path)


@click.group(invoke_without_command=True)
@click.option("--to", "target", type=_FOLDER, help="The folder; one of an earlier backup takes up only what is new.")
@click.option("--keys-to", type=_FOLDER, help="A folder on another medium for the keys, encrypted.")
@click.option("--passphrase-file", type=_FILE, help="Holds the passphrase of the keys' backup.")
@click.pass_context
def backup(context: click.Context, target: Path | None, keys_to: Path | None, passphrase_file: Path | None) -> None:
    """Back up the database and the documents (--to), and the keys (--keys-to)."""
    if context.invoked_subcommand is not None:
        return
    if target is None and keys_to is None:
        raise click.UsageError("say where: --to FOLDER for the data, --keys-to FOLDER for the keys.")
    try:
        if target is not None:
            if keys_to is not None and keys_to.resolve().is_relative_to(target.resolve()):
                raise click.UsageError("the keys must not lie beside the data: choose another medium for --keys-to.")
            _save_data(target)
        if keys_to is not None:
            _save_keys(keys_to, passphrase_file)
    except archive.BackupRefused as error:
        raise click.ClickException(str(error)) from None


@backup.command()
@click.argument("folder", type=_FOLDER)
@click.option("--digest", help="The digest that the backup printed.")
@click.option("--passphrase-file", type=_FILE, help="FOLDER holds a backup of keys: open it with this.")
def verify(folder: Path, digest: str | None, passphrase_file: Path | None) -> None:
    """Read every byte of a backup and hold it against what was written."""
    try:
        if passphrase_file is not None:
            count = backup_keys.verify(folder, backup_keys.passphrase(passphrase_file))
            click.echo(f"The backup of the keys is whole: {count} files.")
            return
        found = archive.verify(folder, digest=digest)
    except archive.BackupRefused as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"The backup is whole: the database of {found.taken_at} and {found.objects} objects.")


def owner_url() -> str:
    """How the database's owner logs in."""
    from service.settings import read_variable

    url = read_variable("DATABASE_OWNER_URL") or read_variable("DATABASE_URL")
    if not url:
        raise click.ClickException("set DATABASE_OWNER_URL to the log-in of the database's owner.")
    return url


def _save_data(target: Path) -> None:
    from service.bootstrap import build
    from service.db.migrations import migrations
    from service.settings import settings
    from service.vault.durable import make_durable_folder

    make_durable_folder(target, mode=0o700)
    # An unfinished backup must not pass for the one before it.
    (target / archive.MANIFEST).unlink(missing_ok=True)
    taken_at = datetime.now(UTC).isoformat(timespec="seconds")
    # The database first: every object that its rows name is then in the store.
    backup_database.dump(owner_url(), target / archive.DATABASE)
    application = build(settings())
    try:
        count = archive.copy_objects(application.store, target)
    finally:
        application.close()
    digest = archive.seal(target, taken_at=taken_at, release=migrations()[-1].number, objects=count)
    archive.verify(target, digest=digest)
    click.echo(f"Backed up and verified: the database of {taken_at} and {count} objects.")
    click.echo(f"Note this digest elsewhere: {digest}")


def _save_keys(target: Path, passphrase_file: Path | None) -> None:
    from service.settings import settings
    from service.vault.durable import make_durable_folder

    if passphrase_file is None:
        raise click.UsageError("--keys-to needs --passphrase-file.")
    secret = backup_keys.passphrase(passphrase_file)
    make_durable_folder(target, mode=0o700)
    count = backup_keys.save(settings().keys_folder, target, secret)
    click.echo(f"Backed up and encrypted: {count} files of keys. Keep the passphrase apart from them.")
