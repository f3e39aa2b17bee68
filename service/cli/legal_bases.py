"""``zending legal-bases``: the register that deliveries are sent under, and which document type names which entry."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from service.cli.organisations import ACTOR, database_of

if TYPE_CHECKING:
    from service.domain.legal_basis import Register

NONE: Final = "none"


@click.group("legal-bases")
def legal_bases() -> None:
    """The legal-basis register: what deliveries are sent under."""


@legal_bases.command("list")
def show_all() -> None:
    """Show every entry of the register, with the SHA-256 that stands in evidence."""
    for entry in _register().entries():
        kind = ", ".join(("example, no law" if entry.example else "in use", entry.mail.value, *entry.modes))
        click.echo(f"{entry.name}: {entry.title['en']} ({kind}), in force from {entry.in_force_from}")
        click.echo(f"  {entry.sha256}")


@legal_bases.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Say whether a file is an entry that the service takes; ends with 1 if not."""
    from service.domain.legal_basis import EntryRefused, read_entry

    try:
        entry = read_entry(file.read_bytes())
    except EntryRefused as error:
        raise click.ClickException(error.detail) from None
    click.echo(f"{entry.name} is good: {entry.title['en']}, in force from {entry.in_force_from}.")
    click.echo(f"  {entry.sha256}")


@legal_bases.command()
@click.argument("slug")
@click.argument("document_type", required=False)
@click.option("--ordinary", help="The entry for ordinary mail of this type; 'none': what the service does by itself.")
@click.option("--registered", help="The entry for registered mail of this type; 'none' likewise.")
def assign(slug: str, document_type: str | None, ordinary: str | None, registered: str | None) -> None:
    """Show what an organisation's document types are sent under; with options, change it for one of them."""
    from service.cli.organisations import organisation_of
    from service.db.models import Organisation
    from service.usecases import audit, organisations

    given = {name: value for name, value in (("ordinary", ordinary), ("registered", registered)) if value is not None}
    if given and document_type is None:
        raise click.UsageError("name the document type that is to be changed.")
    for mail, entry in given.items():
        _fits(mail, entry)
    database = database_of()
    with database.transaction() as session:
        organisation = organisation_of(session, slug)
    with database.transaction(organisations=[organisation]) as session:
        for mail, entry in given.items():
            organisations.assign(session, organisation, document_type or "", mail, None if entry == NONE else entry)
        if given:
            details = {"document_type": document_type, **given}
            audit.record(
                session, actor=ACTOR, act="legal_basis.assign", subject=f"organisation:{slug}", details=details
            )
        found = session.get_one(Organisation, organisation).document_types
    for name, entries in sorted(found.items()):
        click.echo(f"{name}: " + ", ".join(f"{mail} {entry}" for mail, entry in sorted(entries.items())))
    click.echo("Everything else: ordinary zending-ordinary, registered zending-registered")


def _fits(mail: str, entry_id: str) -> None:
    """Refuse an entry that is not there, or is for the other kind of mail."""
    if entry_id == NONE:
        return
    known = {entry.id: entry for entry in _register().entries()}
    if entry_id not in known:
        raise click.ClickException(f"the register has no entry {entry_id}; 'zending legal-bases list' shows them.")
    if known[entry_id].mail.value != mail:
        raise click.ClickException(f"{entry_id} is for {known[entry_id].mail.value} mail.")


def _register() -> "Register":
    from service.domain import legal_bases as entries
    from service.domain.legal_basis import EntryRefused
    from service.settings import read_variable

    folder = read_variable("ZENDING_LEGAL_BASES")
    try:
        return entries.load(Path(folder) if folder else None)
    except EntryRefused as error:
        raise click.ClickException(error.detail) from None
