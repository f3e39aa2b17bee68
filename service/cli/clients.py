"""``zending clients``: the public keys by which programs of organisations prove who they are."""

from pathlib import Path

import click

from service.cli.organisations import ACTOR, database_of


@click.group()
def clients() -> None:
    """Programs of organisations and their keys."""


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
