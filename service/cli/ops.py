"""``zending ops``: how the service is, and what operators do about it. It works when half of the service is down.

Who acts is told by an access token (``ZENDING_OPERATOR_TOKEN``, from a log-in at the identity provider by token
exchange), which is checked here as the API does. Without one, what a single person may do is done as the machine's
account, marked as such in the trail; the end of a parked job takes two persons with tokens.
"""

import json
import logging
import os
import pwd
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import structlog
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from service.bootstrap import Application
    from service.domain.alarms import Finding
    from service.identity.tokens import AccessToken
    from service.usecases.operations import Status

TOKEN = "ZENDING_OPERATOR_TOKEN"  # noqa: S105  the name of a variable
STYLES = {1: "yellow", 2: "bold red"}


@click.group()
def ops() -> None:
    """How the service is, and what operators do about it."""
    # What is answered is for people and programs to read: the log of the parts that are looked at stays out of it.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


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

    with _application() as application:
        made = pauses.begin_checked(
            application.context,
            organisation=parse_id(ORGANISATION, organisation) if organisation else None,
            submission=parse_id(SUBMISSION, submission) if submission else None,
            kind=kind,
            channel=channel,
            provider=provider,
            reason=reason,
            actor=_actor(application),
        )
    click.echo(f"Paused. End it with: zending ops resume {public_id(pauses.PAUSE, made)}")


@ops.command()
@click.argument("pause_id")
def resume(pause_id: str) -> None:
    """End a pause; what it held keeps its place."""
    from service.db.ids import parse_id
    from service.usecases import pauses

    with _application() as application:
        freed = pauses.end_and_wake(application.context, parse_id(pauses.PAUSE, pause_id), _actor(application))
    click.echo(f"It goes on; {freed} held jobs at once.")


@ops.command()
@click.argument("since", type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]))
@click.argument("until", type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]))
@click.option("--reason", required=True, help="What it was, for the other operators and for the evidence's file.")
def outage(since: datetime, until: datetime, reason: str) -> None:
    """Record that people could not use the service (UTC): periods that run become longer by as many begun days."""
    from service.domain.errors import Invalid
    from service.usecases import periods

    with _application() as application:
        times = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC)
        try:
            found = periods.record_outage(application.context, *times, reason=reason, actor=_actor(application))
        except Invalid as error:
            raise click.ClickException(error.detail) from None
    click.echo(f"Recorded. {found} running periods are looked at now.")


@ops.command("pauses")
def list_pauses() -> None:
    """Show what is paused."""
    from service.usecases import pauses

    with _application() as application:
        found = pauses.listing(application.context)
    table = Table(Column("id", no_wrap=True), "what", "since", "by", "reason")
    for each in found:
        named = ("organisation", "submission", "kind", "channel", "provider")
        what = [f"{name} {word}" for name in named if (word := getattr(each, name))]
        since = f"{each.since:%Y-%m-%d %H:%M} UTC"
        table.add_row(each.id, ", ".join(what), since, each.actor or "", Text(each.reason))
    _console().print(table if found else "Nothing is paused.")


@ops.command()
@click.option("--limit", default=20, show_default=True, help="How many at most.")
def parked(limit: int) -> None:
    """Show parked jobs: why each is, and what to do."""
    from service.usecases import repair

    console = _console()
    with _application() as application:
        found, more = repair.parked(application.context, limit=limit)
    for each in found:
        console.print(
            Text(f"{each.id}  {each.kind} of {each.subject}, parked {each.parked_at:%Y-%m-%d %H:%M} UTC", "bold")
        )
        console.print(Text(f"  {each.code}: {each.meaning}"))
        console.print(Text(f"  {each.do}"))
        if each.proposal is not None:
            end = f"{each.proposal.expires_at:%Y-%m-%d %H:%M} UTC"
            console.print(
                Text(f"  Its end is proposed ({each.proposal.reason}) by {each.proposal.proposed_by}, until {end}.")
            )
        elif each.reasons:
            console.print(Text(f"  It can end with: {', '.join(each.reasons)}."))
    console.print("There are more: --limit." if more else "" if found else "Nothing is parked.")


@ops.command()
@click.argument("job_ids", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Retry everything that is parked.")
def retry(job_ids: tuple[str, ...], *, every: bool) -> None:
    """Try parked jobs again, by id or --all."""
    from service.usecases import repair

    if bool(job_ids) == every:
        raise click.UsageError("give the ids of parked jobs, or --all.")
    with _application() as application:
        count = repair.retry(application.context, None if every else list(job_ids), _actor(application))
    click.echo(f"{count} put back to work.")
    if count < len(job_ids):
        raise click.ClickException(f"{len(job_ids) - count} of them were not parked.")


@ops.command("propose-end")
@click.argument("job_id")
@click.option("--reason", required=True, help="One of the reasons that zending ops parked shows.")
def propose_end(job_id: str, reason: str) -> None:
    """Propose that a parked job ends with evidence; somebody else has to confirm it."""
    from service.usecases import repair

    with _application() as application:
        made = repair.propose_end(
            application.context,
            job_id,
            reason=reason,
            actor=_person(application),
            valid_seconds=application.settings.end_proposal_seconds,
        )
    click.echo(f"Proposed. Until {made.expires_at:%Y-%m-%d %H:%M} UTC somebody else can confirm it:")
    click.echo(f"  zending ops confirm-end {job_id}")


@ops.command("confirm-end")
@click.argument("job_id")
def confirm_end(job_id: str) -> None:
    """Confirm the end that somebody else proposed: the evidence is written."""
    from service.usecases import access, repair

    with _application() as application:
        token = _token(application)
        actor = access.actor_of(application.context, token)
        event = repair.confirm_end(application.context, job_id, actor=actor, subject=token.subject)
    click.echo(f"Ended, with the evidence {event}.")


@ops.command("audit")
@click.option("--limit", default=50, show_default=True, help="How many at most.")
@click.option("--subject", help="Only acts upon this id.")
def show_audit(limit: int, subject: str | None) -> None:
    """Show who did what, newest first."""
    from service.usecases import audit

    with _application() as application:
        found, more = audit.entries(application.context, limit=limit, subject=subject)
    table = Table("at (UTC)", "who", "act", "upon", "details")
    for each in found:
        details = ", ".join(f"{name}={value}" for name, value in each.details.items())
        table.add_row(f"{each.at:%Y-%m-%d %H:%M:%S}", each.actor, each.act, each.subject, Text(details))
    _console().print(table)
    if more:
        click.echo("There are more: --limit.")


@contextmanager
def _application() -> "Iterator[Application]":
    from sqlalchemy.exc import OperationalError

    from service.bootstrap import build
    from service.settings import settings

    application = build(settings(), operating=True)
    try:
        yield application
    except OperationalError:
        raise click.ClickException(
            "the database can't be reached; zending ops status says what else is down."
        ) from None
    finally:
        application.close()


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

    console = _console()
    for finding in found.findings:
        console.print(_line(finding))
        console.print(Text(f"    {finding.do}  ({finding.runbook})"))
        if causes and "code" in finding.labels:
            cause = of(finding.labels["code"])
            console.print(Text(f"    {finding.labels['code']}: {cause.meaning} {cause.do}"))
    if not found.findings:
        console.print(Text("All is well.", "bold green"))
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
        console.print(table)
    parts = {each.labels["part"]: each.value > 0 for each in found.samples if each.metric == "zending_part_up"}
    for heading, up in (("There", True), ("Away", False)):
        if names := [name for name, there in parts.items() if there is up]:
            console.print(Text(f"{heading}: {', '.join(names)}."))
    if not parts["database"]:
        console.print(
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


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def _actor(application: "Application") -> str:
    """Who acts: the person of the token, or this machine's account, which proves nothing and is marked ``os:``."""
    if os.environ.get(TOKEN):
        return _person(application)
    account = f"os:{pwd.getpwuid(os.geteuid()).pw_name}:{socket.gethostname()}"
    return re.sub(r"[^A-Za-z0-9:._-]", "_", account)[:128]


def _person(application: "Application") -> str:
    """The person whose token was given; errors as of ``_token``."""
    from service.usecases import access

    return access.actor_of(application.context, _token(application))


def _token(application: "Application") -> "AccessToken":
    """The token that was given.

    Raises:
        click.ClickException: there is none.
        Unauthenticated, Forbidden: it is not believed, or not an operator's.
    """
    from service.identity.scopes import Scope
    from service.usecases import access, quotas
    from service.usecases.personal import PLATFORM

    text = os.environ.get(TOKEN, "").strip()
    if not text:
        raise click.ClickException(f"set {TOKEN} to your access token: this takes a person who has logged in.")
    token = application.verifier.verify(text, application.context.clock())
    token.require(Scope.OPERATIONS_WRITE)
    access.operator_of(token)
    person = token.client_id == access.EXCHANGE_CLIENT
    standing = quotas.standing(
        application.context, PLATFORM, client_id=None if person else token.client_id, subject=token.subject
    )
    if not standing.active:
        raise click.ClickException("this access token was withdrawn.")
    return token
