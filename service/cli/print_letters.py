"""``zending print`` for single letters, batches and products: hold, release, print again."""

import click

from service.cli.operating import actor_of, running
from service.identity.scopes import Scope

_BATCH = click.option("--batch", type=int, help="A whole batch, by its number.")
_PRODUCT = click.option("--product", help="All letters of PRINTER:PRODUCT that wait, and those that come.")


@click.command("hold")
@click.argument("letters", nargs=-1)
@_BATCH
@_PRODUCT
@click.option("--reason", required=True, help="Why, for whoever sees them waiting; nothing personal.")
def hold(*, letters: tuple[str, ...], batch: int | None, product: str | None, reason: str) -> None:
    """Hold letters that wait, a batch that is not handed over, or a product back."""
    from service.usecases import print_holds

    _one_of(letters, batch, product)
    with running() as application:
        context, actor = application.context, actor_of(application, Scope.PRINT_OPERATE)
        if batch is not None:
            print_holds.hold_batch(context, batch, reason=reason, actor=actor)
        elif product is not None:
            print_holds.hold_product(context, *_product(product), reason=reason, actor=actor)
        else:
            click.echo(f"{counted(print_holds.hold_letters(context, letters, reason=reason, actor=actor))} held.")
            return
    click.echo("Held.")


@click.command("release")
@click.argument("letters", nargs=-1)
@_BATCH
@_PRODUCT
def release(*, letters: tuple[str, ...], batch: int | None, product: str | None) -> None:
    """Let what was held go on."""
    from service.usecases import print_holds

    _one_of(letters, batch, product)
    with running() as application:
        context, actor = application.context, actor_of(application, Scope.PRINT_OPERATE)
        if batch is not None:
            print_holds.release_batch(context, batch, actor=actor)
        elif product is not None:
            print_holds.release_product(context, *_product(product), actor=actor)
        else:
            click.echo(f"{counted(print_holds.release_letters(context, letters, actor=actor))} released.")
            return
    click.echo("Released.")


@click.command("move")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--product", help="Only letters of this product.")
def move(*, source: str, target: str, product: str | None) -> None:
    """Have what waits for a print house printed by another that offers the product, now, as far as it has room."""
    from service.usecases import print_moves

    with running() as application:
        actor = actor_of(application, Scope.PRINT_OPERATE)
        count = print_moves.move(application.context, source, target, product=product, actor=actor)
    click.echo(f"{counted(count)} moved.")


@click.command("reprint")
@click.argument("letters", nargs=-1, required=True)
@click.option("--reason", required=True, help="A word: see the message when it is another.")
def reprint(*, letters: tuple[str, ...], reason: str) -> None:
    """Print letters that a print house had once more, with the next run."""
    from service.usecases import reprints

    with running() as application:
        actor = actor_of(application, Scope.PRINT_OPERATE)
        count = reprints.order(application.context, letters, reason=reason, actor=actor)
    click.echo(f"To be printed again: {counted(count)}.")


@click.command("give-up")
@click.argument("letters", nargs=-1, required=True)
def give_up(*, letters: tuple[str, ...]) -> None:
    """End letters that a print house has and will not print; evidence says so, and their senders see it."""
    from service.usecases import post_returned

    with running() as application:
        actor = actor_of(application, Scope.PRINT_OPERATE)
        count = post_returned.give_up(application.context, letters, actor=actor)
    click.echo(f"{counted(count)} given up.")


def counted(count: int) -> str:
    """So many letters, in words."""
    return f"{count} letter{'' if count == 1 else 's'}"


COMMANDS = (hold, release, move, reprint, give_up)


def _one_of(letters: tuple[str, ...], batch: int | None, product: str | None) -> None:
    if sum((bool(letters), batch is not None, product is not None)) != 1:
        raise click.UsageError("give letters, or --batch, or --product.")


def _product(text: str) -> tuple[str, str]:
    printer, _, product = text.partition(":")
    if not printer or not product:
        raise click.UsageError("--product takes PRINTER:PRODUCT.")
    return printer, product
