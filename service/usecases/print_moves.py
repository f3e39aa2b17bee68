"""Letters that wait for one print house are printed by another: an operator says so, for one that is down or full."""

from service.db import print_runs as rows
from service.db import printing
from service.db.session import widen
from service.domain.errors import Conflict, Invalid
from service.domain.print_runs import share
from service.domain.states import Actor
from service.printers.wired import Printer
from service.usecases import audit, recovery
from service.usecases.context import Context
from service.usecases.print_runs import PATIENCE, cut_all, keys_of, most_of, room, write_run


def check(
    context: Context, source: str, target: str, *, product: str | None = None
) -> tuple[Printer, Printer, list[str]]:
    """Both print houses, and the products that both offer.

    Raises:
        NotFound: there is no such print house.
        Invalid: ``printers_same``.
        Conflict: ``product_not_offered`` by both.
    """
    giver, taker = context.printers.named(source), context.printers.named(target)
    if giver is taker:
        raise Invalid("Letters move from one print house to another.", code="printers_same")
    both = sorted(giver.products.keys() & taker.products.keys() & ({product} if product else giver.products.keys()))
    if not both:
        raise Conflict("The two print houses do not both offer that.", code="product_not_offered")
    return giver, taker, both


def move(context: Context, source: str, target: str, *, product: str | None = None, actor: str) -> int:
    """Begin runs at another print house of what waits for this one, and cut them; how many letters went there.

    Also where this one's product is held; letters that are held one by one stay, and so do those that the other has no
    room for today.

    Args:
        context: the wired parts.
        source: the print house whose letters they are.
        target: who prints them instead: its second, for nobody else offers the same product.
        product: only these; left out, all that both offer.
        actor: who wants it.

    Raises:
        NotFound, Invalid, Conflict: as of ``check``.
        Conflict: ``product_held`` at the other; ``run_under_way``: one is being planned for long; try again.
    """
    recovery.guard(context)
    giver, taker, both = check(context, source, target, product=product)
    now, moved = context.clock(), 0
    with context.database.transaction() as session:
        widen(session, printing.every_organisation(session))
        if not printing.lock_freezing(session, seconds=PATIENCE):
            raise Conflict("A run is being planned; try again.", code="run_under_way")
        held = {(hold.printer, hold.product) for hold in rows.held(session)}
        for name in both:
            if (taker.name, name) in held:
                raise Conflict(f"The other print house's {name} is held.", code="product_held")
            left = room(session, taker, name, now)
            keys = keys_of(session, context, giver.name, name)
            letters = share(rows.waiting(session, keys, limit=most_of([left])), left, None).first
            if not letters:
                continue
            told = {"cut_off_at": None, "planned_at": now, "due_at": now, "actor": Actor.OPERATOR.value}
            write_run(session, taker, name, letters, told | {"second": 0, "waiting": 0})
            details: dict[str, str | int | None] = {"product": name, "letters": len(letters)}
            audit.record(session, actor=actor, act="print.move", subject=f"{source}:{target}", details=details)
            moved += len(letters)
    cut_all(context)
    return moved
