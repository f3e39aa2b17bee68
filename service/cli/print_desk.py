"""``zending print``: letters and print batches, what comes back of them, and what operators do about it.

Who acts is told as for ``zending ops`` (``ZENDING_OPERATOR_TOKEN``).
"""

import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
from rich.table import Table
from rich.text import Text

from service.cli.operating import actor_of, console, quietly, running
from service.cli.print_letters import COMMANDS
from service.cli.print_views import AS_JSON, LIMIT, said, show_table, tell
from service.cli.print_views import COMMANDS as VIEWS
from service.identity.scopes import Scope

if TYPE_CHECKING:
    from service.usecases.reconciliation import Balance, BatchBalance


_EFFECTS: Final = {
    "taken": "came back; its sender sees it",
    "repeated": "is known to have come back",
    "early": "is not handed over yet; it counts from then on",
    "odd": "is no letter that was sent from here",
    "away": "can't be read now: its sender's key is away; take it in again later",
}


@click.group("print")
def print_() -> None:
    """Letters and print batches, and what comes back of them."""
    quietly()


@print_.command("close")
@click.option("--printer", help="Only what goes to this print house first.")
@click.option("--product", help="Only letters of this product.")
def close(*, printer: str | None, product: str | None) -> None:
    """Freeze what waits into batches now; workers hand them to the print house."""
    from service.usecases import print_runs

    with running() as application:
        actor = actor_of(application, Scope.PRINT_OPERATE)
        count = print_runs.close(application.context, actor=actor, printer=printer, product=product)
    click.echo(
        "Nothing could go: no letter waits that is not held."
        if not count
        else f"{count} {'batch' if count == 1 else 'batches'} closed."
    )


@print_.command("list")
@LIMIT
@AS_JSON
def list_(*, limit: int, as_json: bool) -> None:
    """Show the newest batches: what was sent, what came back, and what is off."""
    from service.usecases import reconciliation

    with running() as application:
        found = reconciliation.newest(application.context, limit=limit)
    if as_json:
        tell(found)
        return
    _batches(found)


@print_.command("show")
@click.argument("number", type=int)
@AS_JSON
def show(*, number: int, as_json: bool) -> None:
    """Show one batch by its number: its balance, its missing letters and the files that came about it."""
    from service.usecases import post_envelopes, print_desk, reconciliation

    with running() as application:
        found = reconciliation.of_batch(application.context, number)
        shared = post_envelopes.of_batch(application.context, number)
        files = print_desk.inbounds(application.context, batch=number, limit=50)
    if found is None:
        raise click.ClickException(f"there is no batch {number}.")
    balance, missing = found
    if as_json:
        tell({"batch": balance, "missing": missing, "shared": shared, "files": files})
        return
    table = Table(box=None, show_header=False)
    for name in balance.__struct_fields__:
        table.add_row(name.replace("_", " "), Text(_shown(name, getattr(balance, name))))
    console().print(table)
    for letter in missing:
        click.echo(f"missing  {letter}")
    for envelope in shared:
        click.echo(f"envelope {envelope.set}  {envelope.sheets} sheets  {', '.join(envelope.letters)}")
    for file in files:
        click.echo(f"{said(file.received_at)}  {file.kind or file.state}  {file.name}  {file.code or ''}")


@print_.command("reconcile")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Of the hand-overs, in Brussels; today if left out.")
@AS_JSON
def reconcile(*, day: datetime | None, as_json: bool) -> None:
    """Hold what was sent on a day against what came back. Ends with 1 when something does not balance or is late."""
    from service.domain import calendar
    from service.usecases import reconciliation

    with running() as application:
        wanted: date = calendar.local_date(application.context.clock()) if day is None else day.date()
        total, each = reconciliation.of_day(application.context, wanted)
    if as_json:
        tell({"day": total, "batches": each})
    else:
        _batches(each)
        click.echo(
            f"{total.day}: {total.batches} batches, {total.letters} letters = {total.posted} posted + {total.pulled}"
            f" pulled + {total.rejected} rejected + {total.given_up} given up + {total.missing} missing"
            f" ({total.late} late); {total.sheets} sheets; {total.unacknowledged} batches unacknowledged,"
            f" {total.strangers} statements about what we never sent."
        )
    sys.exit(1 if total.off or total.strangers else 0)


@print_.command("ack")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--printer", help="The print house that wrote them; may be left out where there is one only.")
def ack(*, files: tuple[Path, ...], printer: str | None) -> None:
    """Take in files of a print house by hand: acknowledgements, responses, events, pull answers, deletions, scans."""
    from service.domain.errors import Invalid
    from service.usecases import print_desk, printers

    worst = 0
    with running() as application:
        context, actor = application.context, actor_of(application, Scope.PRINT_OPERATE)
        named = printers.only(context) if printer is None else context.printers.named(printer).name
        for file in files:
            try:
                taken = print_desk.take_in(context, named, file.name, file.read_bytes(), actor=actor)
            except Invalid as error:
                click.echo(f"{file.name}: {error.detail} ({error.code})")
                worst = 1
                continue
            told = ", ".join(f"{count} {effect}" for effect, count in taken.effects.items())
            again = " (it came before)" if taken.repeated else ""
            click.echo(f"{file.name}: {taken.state}{again} {taken.kind or taken.code or ''} {told}".rstrip())
            worst = max(worst, int(taken.state == "refused"))
    sys.exit(worst)


@print_.command("returns")
@click.argument("letters", nargs=-1)
@click.option("--list", "listed", type=click.File(encoding="utf-8-sig"), help="CSV: letter, cause, day. - reads input.")
@click.option("--cause", help="M01 to M08, F01 to F03: of the letters given as arguments.")
def returns(*, letters: tuple[str, ...], listed: Any, cause: str | None) -> None:
    """Take in letters that came back: by what the code on them says, by their names, or by a list."""
    from service.usecases import post_returned

    given = [post_returned.Returned(each, cause) for each in letters]
    given += post_returned.read_list(listed.read()) if listed is not None else []
    if not given:
        raise click.UsageError("give letters, or a list.")
    with running() as application:
        actor = actor_of(application, Scope.PRINT_OPERATE)
        done = post_returned.take(application.context, given, actor=actor)
    for each in done:
        click.echo(f"{each.effect:9} {each.letter}  {_EFFECTS.get(each.effect, '')}".rstrip())
    sys.exit(1 if any(each.effect == "odd" for each in done) else 0)


@print_.command("pull")
@click.argument("letters", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why, for the trail; nothing personal.")
def pull(*, letters: tuple[str, ...], reason: str) -> None:
    """Have letters taken out at the print house before they are posted; the list goes out within a minute."""
    from service.usecases import post_pulls

    with running() as application:
        count = post_pulls.order(
            application.context, letters, reason=reason, actor=actor_of(application, Scope.PRINT_OPERATE)
        )
    click.echo(f"{count} pull {'list' if count == 1 else 'lists'} ordered." if count else "They are on a list already.")


@print_.command("pulls")
@LIMIT
@AS_JSON
def pulls(*, limit: int, as_json: bool) -> None:
    """Show the newest pull lists and what the print house answered."""
    from service.usecases import print_desk

    with running() as application:
        found = print_desk.pulls(application.context, limit=limit)
    if as_json:
        tell(found)
        return
    rows: list[tuple[Any, ...]] = []
    for each in found:
        out = sum(letter.pulled is True for letter in each.letters)
        late = sum(letter.pulled is False for letter in each.letters)
        moments = (each.ordered_at, each.sent_at, each.answered_at)
        rows.append((each.batch, each.number, *moments, len(each.letters), out, late, each.reason))
    names = ("batch", "list", "ordered", "sent", "answered", "letters", "taken out", "too late", "why")
    show_table(names, rows, none="No letter was to be taken out.")


@print_.command("exceptions")
@click.option("--all", "every", is_flag=True, help="Also what somebody has seen to.")
@LIMIT
@AS_JSON
def exceptions(*, every: bool, limit: int, as_json: bool) -> None:
    """Show what print houses said that does not fit and changed nothing."""
    from service.usecases import print_desk

    with running() as application:
        found = print_desk.exceptions(application.context, every=every, limit=limit)
    if as_json:
        tell(found)
        return
    for each in found:
        about = each.letter or (f"batch {each.batch}" if each.batch is not None else "")
        seen = f" (seen by {each.seen_by})" if each.seen_by else ""
        click.echo(f"{said(each.at)}  {each.id}  {each.code}  {about}  {each.detail}{seen}")
    if not found:
        click.echo("Everything fits.")


@print_.command("seen")
@click.argument("ids", nargs=-1, required=True)
def seen(*, ids: tuple[str, ...]) -> None:
    """Say that you have seen to these exceptions."""
    from service.usecases import print_desk

    with running() as application:
        count = print_desk.see(application.context, ids, actor_of(application, Scope.PRINT_OPERATE))
    click.echo(f"{count} marked.")


@print_.command("inbox")
@LIMIT
@AS_JSON
def inbox(*, limit: int, as_json: bool) -> None:
    """Show the files that came in last, and what became of them."""
    from service.usecases import print_desk

    with running() as application:
        found = print_desk.inbounds(application.context, limit=limit)
    if as_json:
        tell(found)
        return
    if not found:
        click.echo("No file came in.")
    for each in found:
        told = ", ".join(f"{count} {effect}" for effect, count in each.effects.items())
        what = each.kind or each.code or ""
        click.echo(f"{said(each.received_at)}  {each.printer}  {each.state}  {what}  {each.name}  {told}")


for _command in (*COMMANDS, *VIEWS):
    print_.add_command(_command)


def _batches(found: "list[BatchBalance]") -> None:
    names = ("batch", "printer", "state", "letters", "sheets", "acknowledged", "posted", "missing", "late", "returned")
    rows: list[tuple[Any, ...]] = []
    for each in found:
        state = f"{each.state}, held" if each.held else each.state
        row = (each.number, each.printer, state, each.letters, each.sheets, each.acknowledged_at)
        rows.append((*row, each.posted, each.missing, each.late, each.returned, _off(each)))
    show_table((*names, "off"), rows, none="There is no batch.")


def _shown(name: str, value: Any) -> str:
    if name == "held" and value is not None:
        return f"since {said(value.at)} by {value.by}: {value.reason}"
    if name == "product":
        key = msgspec.json.decode(value)
        sides, ink = ("duplex" if key["duplex"] else "simplex"), ("colour" if key["colour"] else "grey")
        return f"{key['product']}, {sides}, {ink}, {key['envelope']}, {key['language']}"
    return said(value)


def _off(balance: "Balance") -> str:
    return ", ".join(each.replace("_", " ") for each in balance.off)
