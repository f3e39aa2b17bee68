"""``zending ops``: how the service is, and what operators do about it. It works when half of the service is down.

Who acts is told by an access token (``ZENDING_OPERATOR_TOKEN``, from a log-in at the identity provider by token
exchange), which is checked here as the API does. Without one, what a single person may do is done as the machine's
account, marked as such in the trail; the end of a parked job takes two persons with tokens.
"""

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Column, Table
from rich.text import Text

from service.cli.operating import actor_of, console, person_of, quietly, running, token_of

if TYPE_CHECKING:
    from service.domain.alarms import Finding
    from service.usecases.operations import Status

STYLES = {1: "yellow", 2: "bold red"}


@click.group()
def ops() -> None:
    """How the service is, and what operators do about it."""
    quietly()


@ops.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: findings and everything that was measured.")
@click.option("--causes", is_flag=True, help="Say also what the codes of failing jobs mean.")
def status(*, as_json: bool, causes: bool) -> None:
    """Say in one screen what is wrong, worst first. Ends with 0 (all well), 1 (look at it) or 2 (act)."""
    found = _look()
    if as_json:
        click.echo(json.dumps(_plain(found), indent=1))
    else:
        _show(found, causes=causes)
    sys.exit(found.worst)


@ops.command()
@click.option("--organisation", help="Only this organisation (org_…).")
@click.option("--submission", help="Only this submission (sub_…).")
@click.option("--kind", help="Only this step, such as seal or letter.")
@click.option("--channel", type=click.Choice(["digital", "paper"]), help="Only this channel.")
@click.option("--provider", help="Only this provider: a print house's name, or mail.")
@click.option("--reason", required=True, help="Why, for the other operators.")
def pause(
    organisation: str | None,
    submission: str | None,
    kind: str | None,
    channel: str | None,
    provider: str | None,
    reason: str,
) -> None:
    """Let work wait; what runs is finished. All that is given must apply."""
    from service.db.ids import ORGANISATION, SUBMISSION, parse_id, public_id
    from service.usecases import pauses

    with running() as application:
        made = pauses.begin_checked(
            application.context,
            organisation=parse_id(ORGANISATION, organisation) if organisation else None,
            submission=parse_id(SUBMISSION, submission) if submission else None,
            kind=kind,
            channel=channel,
            provider=provider,
            reason=reason,
            actor=actor_of(application),
        )
    click.echo(f"Paused. End it with: zending ops resume {public_id(pauses.PAUSE, made)}")


@ops.command()
@click.argument("pause_id")
def resume(pause_id: str) -> None:
    """End a pause; what it held keeps its place."""
    from service.db.ids import parse_id
    from service.usecases import pauses

    with running() as application:
        freed = pauses.end_and_wake(application.context, parse_id(pauses.PAUSE, pause_id), actor_of(application))
    click.echo(f"It goes on; {freed} held jobs at once.")


@ops.command()
@click.argument("since", type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]))
@click.argument("until", type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]))
@click.option("--reason", required=True, help="What it was, for the other operators and for the evidence's file.")
def outage(since: datetime, until: datetime, reason: str) -> None:
    """Record that people could not use the service (UTC): periods that run become longer by as many begun days."""
    from service.domain.errors import Invalid
    from service.usecases import periods

    with running() as application:
        times = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC)
        try:
            found = periods.record_outage(application.context, *times, reason=reason, actor=actor_of(application))
        except Invalid as error:
            raise click.ClickException(error.detail) from None
    click.echo(f"Recorded. {found} running periods are looked at now.")


@ops.command("pauses")
def list_pauses() -> None:
    """Show what is paused."""
    from service.usecases import pauses

    with running() as application:
        found = pauses.listing(application.context)
    table = Table(Column("id", no_wrap=True), "what", "since", "by", "reason")
    for each in found:
        named = ("organisation", "submission", "kind", "channel", "provider")
        what = [f"{name} {word}" for name in named if (word := getattr(each, name))]
        since = f"{each.since:%Y-%m-%d %H:%M} UTC"
        table.add_row(each.id, ", ".join(what), since, each.actor or "", Text(each.reason))
    console().print(table if found else "Nothing is paused.")


@ops.command()
@click.option("--limit", default=20, show_default=True, help="How many at most.")
def parked(limit: int) -> None:
    """Show parked jobs: why each is, and what to do."""
    from service.usecases import repair

    shown = console()
    with running() as application:
        found, more = repair.parked(application.context, limit=limit)
    for each in found:
        shown.print(
            Text(f"{each.id}  {each.kind} of {each.subject}, parked {each.parked_at:%Y-%m-%d %H:%M} UTC", "bold")
        )
        shown.print(Text(f"  {each.code}: {each.meaning}"))
        shown.print(Text(f"  {each.do}"))
        if each.proposal is not None:
            end = f"{each.proposal.expires_at:%Y-%m-%d %H:%M} UTC"
            shown.print(
                Text(f"  Its end is proposed ({each.proposal.reason}) by {each.proposal.proposed_by}, until {end}.")
            )
        elif each.reasons:
            shown.print(Text(f"  It can end with: {', '.join(each.reasons)}."))
    shown.print("There are more: --limit." if more else "" if found else "Nothing is parked.")


@ops.command()
@click.argument("job_ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Retry everything that is parked.")
def retry(job_ids: tuple[str, ...], *, every: bool) -> None:
    """Try parked jobs again, by id or --all."""
    from service.usecases import repair

    if bool(job_ids) == every:
        raise click.UsageError("give the ids of parked jobs, or --all.")
    with running() as application:
        count = repair.retry(application.context, None if every else list(job_ids), actor_of(application))
    click.echo(f"{count} put back to work.")
    if count < len(job_ids):
        raise click.ClickException(f"{len(job_ids) - count} of them were not parked.")


@ops.command("propose-end")
@click.argument("job_id")
@click.option("--reason", required=True, help="One of the reasons that zending ops parked shows.")
def propose_end(job_id: str, reason: str) -> None:
    """Propose that a parked job ends with evidence; somebody else has to confirm it."""
    from service.usecases import repair

    with running() as application:
        made = repair.propose_end(
            application.context,
            job_id,
            reason=reason,
            actor=person_of(application),
            valid_seconds=application.settings.end_proposal_seconds,
        )
    click.echo(f"Proposed. Until {made.expires_at:%Y-%m-%d %H:%M} UTC somebody else can confirm it:")
    click.echo(f"  zending ops confirm-end {job_id}")


@ops.command("confirm-end")
@click.argument("job_id")
def confirm_end(job_id: str) -> None:
    """Confirm the end that somebody else proposed: the evidence is written."""
    from service.usecases import access, repair

    with running() as application:
        token = token_of(application)
        actor = access.actor_of(application.context, token)
        event = repair.confirm_end(application.context, job_id, actor=actor, subject=token.subject)
    click.echo(f"Ended, with the evidence {event}.")


@ops.command("audit")
@click.option("--limit", default=50, show_default=True, help="How many at most.")
@click.option("--subject", help="Only acts upon this id.")
def show_audit(limit: int, subject: str | None) -> None:
    """Show who did what, newest first."""
    from service.usecases import audit

    with running() as application:
        found, more = audit.entries(application.context, limit=limit, subject=subject)
    table = Table("at (UTC)", "who", "act", "upon", "details")
    for each in found:
        details = ", ".join(f"{name}={value}" for name, value in each.details.items())
        table.add_row(f"{each.at:%Y-%m-%d %H:%M:%S}", each.actor, each.act, each.subject, Text(details))
    console().print(table)
    if more:
        click.echo("There are more: --limit.")


def _look() -> "Status":
    """Look at everything from here; a part that is away is a finding, never the end of the command."""
    from datetime import UTC, datetime

    from sqlalchemy.exc import SQLAlchemyError

    from service.api.readiness import Readiness
    from service.app import probes
    from service.bootstrap import build, disk_places
    from service.domain.alarms import ALARMS, judge
    from service.settings import settings
    from service.usecases import operations

    application = build(settings(), operating=True)
    try:
        parts = Readiness(probes(application)).parts()
        if parts["database"][0]:
            try:
                return operations.status(application.context, application.promises, parts)
            except SQLAlchemyError:
                parts["database"] = (False, True)
        samples = operations.part_samples(parts) + operations.disk_samples(disk_places(application.settings))
        return operations.Status(datetime.now(UTC), judge(samples, ALARMS), samples)
    finally:
        application.close()


def _show(found: "Status", *, causes: bool) -> None:
    from service.usecases.causes import of

    shown = console()
    for finding in found.findings:
        shown.print(_line(finding))
        shown.print(Text(f"    {finding.do}  ({finding.runbook})"))
        if causes and "code" in finding.labels:
            cause = of(finding.labels["code"])
            shown.print(Text(f"    {finding.labels['code']}: {cause.meaning} {cause.do}"))
    if not found.findings:
        shown.print(Text("All is well.", "bold green"))
    values = {(each.metric, each.labels.get("kind"), each.labels.get("lane")): each.value for each in found.samples}
    table = Table("step", "lane", "waiting", "oldest", "promise", box=None)
    from service.db.queues import CAP
    from service.domain.alarms import spoken

    for (metric, kind, lane), count in values.items():
        if metric == "zending_jobs_waiting" and count:
            oldest = spoken("_seconds", values["zending_oldest_seconds", kind, lane])
            promise = spoken("_seconds", values["zending_promise_seconds", kind, lane])
            table.add_row(kind, lane, f"{count:.0f}{'+' if count >= CAP else ''}", oldest, promise)
    if table.row_count:
        shown.print(table)
    parts = {each.labels["part"]: each.value > 0 for each in found.samples if each.metric == "zending_part_up"}
    for heading, up in (("There", True), ("Away", False)):
        if names := [name for name, there in parts.items() if there is up]:
            shown.print(Text(f"{heading}: {', '.join(names)}."))
    if not parts["database"]:
        shown.print(
            "Queues, parked work, pauses and signs of life stand in the database and can't be shown. What was"
            " acknowledged is safe there, and goes on by itself."
        )


def _line(finding: "Finding") -> Text:
    return Text(f"{finding.severity.name:8}  {finding.what}", STYLES[int(finding.severity)])


def _plain(found: "Status") -> dict[str, Any]:
    import msgspec

    from service.api.operations import answer_of

    plain: dict[str, Any] = msgspec.to_builtins(answer_of(found))
    return plain
