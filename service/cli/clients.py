"""``zending clients``: the keys by which programs of organisations prove who they are, and what they may do."""

from pathlib import Path

import click

from service.cli.organisations import ACTOR, database_of


@click.group()
def clients() -> None:
    """Programs of organisations, their keys and scopes."""


@clients.command("keys")
@click.argument("client_id")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def keys(client_id: str, file: Path) -> None:
    """Know a program by the public keys in FILE, a JSON Web Key Set; they take the place of those it had."""
    from service.identity.assertions import checked_jwks
    from service.usecases import audit, organisations

    jwks = checked_jwks(file.read_bytes())
    with database_of().transaction() as session:
        organisations.set_keys(session, client_id, jwks)
        names = [each["kid"] for each in jwks["keys"]]
        audit.record(
            session, actor=ACTOR, act="client.keys", subject=f"client:{client_id}", details={"keys": " ".join(names)}
        )
    click.echo(f"{client_id} is known by {len(names)} key(s): {', '.join(names)}")


@clients.command("forget-keys")
@click.argument("client_id")
def forget_keys(client_id: str) -> None:
    """Believe none of a program's keys any more; its secret, if it has one, stays as it is."""
    from service.usecases import audit, organisations

    with database_of().transaction() as session:
        organisations.set_keys(session, client_id, None)
        audit.record(session, actor=ACTOR, act="client.keys", subject=f"client:{client_id}", details={"keys": ""})
    click.echo(f"{client_id} is known by no key any more")


@clients.command("scopes")
@click.argument("client_id")
@click.option("--give", multiple=True, help="A scope that it may ask for from now on; can be given several times.")
@click.option("--take", multiple=True, help="A scope that it may ask for no more.")
def scopes(client_id: str, give: tuple[str, ...], take: tuple[str, ...]) -> None:
    """Show what a program may do; change it with --give and --take, such as --give webhooks:write.

    What is taken away is still in tokens that it has: they end within minutes.
    """
    from service.identity.scopes import Scope
    from service.usecases import audit, organisations

    try:
        more, fewer = [Scope(each) for each in give], [Scope(each) for each in take]
    except ValueError:
        known = ", ".join(sorted(each.value for each in organisations.PROGRAM_SCOPES))
        raise click.UsageError(f"the scopes are: {known}.") from None
    with database_of().transaction() as session:
        left = organisations.change_scopes(session, client_id, more=more, fewer=fewer)
        if more or fewer:
            details = {"given": " ".join(give), "taken": " ".join(take)}
            audit.record(session, actor=ACTOR, act="client.scopes", subject=f"client:{client_id}", details=details)
    click.echo(f"{client_id} may ask for: {' '.join(left) or 'nothing'}")
