"""``zending print``: letters and print batches, what comes back of them, and what operators do about it.

Who acts is told as for ``zending ops`` (``ZENDING_OPERATOR_TOKEN``).
"""

import json
import sys
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.table import Table
from rich.text import Text

from service.cli.operating import actor_of, console, quietly, running
from service.cli.print_letters import COMMANDS
from service.identity.scopes import Scope

if TYPE_CHECKING:
    from service.usecases.reconciliation import Balance, BatchBalance

AS_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")
LIMIT = click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))


@click.group("print")
def print_() -> None:
    """Letters and print batches, and what comes back of them."""
    quietly()


@print_.command("close")
def close() -> None:
    """Freeze what waits into batches now; workers hand them to the print house."""
    from service.domain.states import Actor
    from service.usecases import print_runs

    with running() as application:
        count = print_runs.close(application.context, Actor.OPERATOR)
    click.echo("Nothing waited." if not count else f"{count} {'batch' if count == 1 else 'batches'} closed.")


@print_.command("list")
@LIMIT
@AS_JSON
def list_(*, limit: int, as_json: bool) -> None:
    """Show the newest batches: what was sent, what came back, and what is off."""
    from service.usecases import reconciliation

    with running() as application:
        found = reconciliation.newest(application.context, limit=limit)
    if as_json:
        _tell(found)
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
        _tell({"batch": balance, "missing": missing, "shared": shared, "files": files})
        return
    table = Table(box=None, show_header=False)
    for name, value in msgspec.to_builtins(balance).items():
        table.add_row(name.replace("_", " "), Text(_said(value)))
    console().print(table)
    for letter in missing:
        click.echo(f"missing  {letter}")
    for envelope in shared:
        click.echo(f"envelope {envelope.set}  {envelope.sheets} sheets  {', '.join(envelope.letters)}")
    for file in files:
        click.echo(f"{file.received_at:%Y-%m-%d %H:%M}  {file.kind or file.state}  {file.name}  {file.code or ''}")


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
        _tell({"day": total, "batches": each})
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
    from printing.errors import PrintingError
    from service.usecases import post_reports, printers

    worst = 0
    with running() as application:
        context = application.context
        named = printers.only(context) if printer is None else printer
        printers.way(context, named)
        for file in files:
            try:
                taken = post_reports.take(context, named, file.name, file.read_bytes(), context.clock())
            except PrintingError as error:
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
        done = post_returned.take(application.context, given)
    for each in done:
        click.echo(f"{each.effect:9} {each.letter}")
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
        _tell(found)
        return
    table = Table("batch", "list", "ordered", "sent", "answered", "letters", "taken out", "too late", box=None)
    for each in found:
        out = sum(letter.pulled is True for letter in each.letters)
        late = sum(letter.pulled is False for letter in each.letters)
        moments = (each.ordered_at, each.sent_at, each.answered_at)
        table.add_row(*map(_said, (each.batch, each.number, *moments, len(each.letters), out, late)))
    console().print(table)


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
        _tell(found)
        return
    for each in found:
        about = each.letter or (f"batch {each.batch}" if each.batch is not None else "")
        seen = f" (seen by {each.seen_by})" if each.seen_by else ""
        click.echo(f"{each.at:%Y-%m-%d %H:%M}  {each.id}  {each.code}  {about}  {each.detail}{seen}")
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
        _tell(found)
        return
    for each in found:
        told = ", ".join(f"{count} {effect}" for effect, count in each.effects.items())
        what = each.kind or each.code or ""
        click.echo(f"{each.received_at:%Y-%m-%d %H:%M}  {each.printer}  {each.state}  {what}  {each.name}  {told}")


for _command in COMMANDS:
    print_.add_command(_command)


def _batches(found: "list[BatchBalance]") -> None:
    table = Table(
        *("batch", "printer", "state", "letters", "sheets", "acknowledged", "posted", "missing", "late", "returned"),
        "off",
        box=None,
    )
    for each in found:
        row: tuple[Any, ...] = (each.number, each.printer, each.state, each.letters, each.sheets, each.acknowledged_at)
        row += (each.posted, each.missing, each.late, each.returned, _off(each))
        table.add_row(*(Text(_said(value)) for value in row))
    console().print(table)


def _off(balance: "Balance") -> str:
    return ", ".join(each.replace("_", " ") for each in balance.off)


def _said(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


def _tell(value: Any) -> None:
    click.echo(json.dumps(msgspec.to_builtins(value), indent=1))
