"""Pauses: work of an organisation, a submission, a kind, a channel or a provider waits until somebody lets it go on.

Nothing is lost or late by its own fault: what waits keeps its place. What is being done at the moment a pause begins is
brought to its end.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.db import pauses as rows
from service.db.ids import ORGANISATION, SUBMISSION, public_id
from service.db.jobs import JobKind
from service.db.models import Organisation, Pause
from service.domain.errors import Conflict, Invalid, NotFound
from service.usecases import audit
from service.usecases.context import Context

PAUSE = "pau"
REASON_LENGTH = 200


@dataclass(frozen=True, slots=True)
class PauseView:
    """A pause as operators read it; what is None does not restrict it."""

    id: str
    organisation: str | None
    submission: str | None
    kind: str | None
    channel: str | None
    provider: str | None
    since: datetime
    reason: str
    actor: str | None


def begin(
    session: Session,
    *,
    organisation: uuid.UUID | None = None,
    submission: uuid.UUID | None = None,
    kind: JobKind | str | None = None,
    channel: str | None = None,
    provider: str | None = None,
    reason: str,
    actor: str,
) -> uuid.UUID:
    """Let work wait; all that is given must apply to a job. Returns the pause's id.

    Args:
        session: the caller's transaction.
        organisation: only its work.
        submission: only the deliveries handed in with it.
        kind: only this step (a ``JobKind``); alone or with an organisation.
        channel: ``digital`` (deposit and notices) or ``paper`` (letters and hand-over).
        provider: a print house by its name in the settings, or ``mail``.
        reason: why, in the operator's words; shown to operators only.
        actor: who, for the audit trail.

    Raises:
        Invalid: nothing says what must wait, or it makes no sense together.
        NotFound: there is no such organisation.
        Conflict: exactly this waits already.
    """
    _check(organisation, submission, kind, channel, provider, reason)
    if organisation is not None and session.get(Organisation, organisation) is None:
        raise NotFound("There is no such organisation.")
    same = select(Pause.id).where(
        Pause.organisation_id.is_not_distinct_from(organisation),
        Pause.submission_id.is_not_distinct_from(submission),
        Pause.channel.is_not_distinct_from(channel),
        Pause.provider.is_not_distinct_from(provider),
    )
    lazy = submission is not None or channel is not None or provider is not None
    same = same.where(Pause.kind.is_not_distinct_from(rows.ON_LEASE if lazy else kind))
    if session.scalar(same) is not None:
        raise Conflict("This waits already.", code="paused_already")
    made = rows.begin(
        session,
        organisation=organisation,
        kind=None if kind is None else str(kind),
        submission=submission,
        channel=channel,
        provider=provider,
        reason=reason.strip(),
        actor=actor,
    )
    details = {
        "organisation": None if organisation is None else public_id(ORGANISATION, organisation),
        "submission": None if submission is None else public_id(SUBMISSION, submission),
        "kind": None if kind is None else str(kind),
        "channel": channel,
        "provider": provider,
    }
    audit.record(
        session,
        actor=actor,
        act="pause.begin",
        subject=public_id(PAUSE, made),
        details={name: value for name, value in details.items() if value is not None},
    )
    return made


def _check(
    organisation: uuid.UUID | None,
    submission: uuid.UUID | None,
    kind: JobKind | str | None,
    channel: str | None,
    provider: str | None,
    reason: str,
) -> None:
    if all(each is None for each in (organisation, submission, kind, channel, provider)):
        raise Invalid("Say what must wait: an organisation, a submission, a kind, a channel or a provider.")
    if kind is not None and str(kind) not in {each.value for each in JobKind}:
        raise Invalid("There is no such kind of work.")
    if kind is not None and any(each is not None for each in (submission, channel, provider)):
        raise Invalid("A kind of work can wait alone or for one organisation.")
    if channel is not None and channel not in rows.CHANNELS:
        raise Invalid("The channel is digital or paper.")
    if provider is not None and not provider.strip():
        raise Invalid("The provider has a name.")
    if not 1 <= len(reason.strip()) <= REASON_LENGTH:
        raise Invalid(f"Say why, in at most {REASON_LENGTH} characters.")


def begin_checked(
    context: Context,
    *,
    organisation: uuid.UUID | None,
    submission: uuid.UUID | None,
    kind: str | None,
    channel: str | None,
    provider: str | None,
    reason: str,
    actor: str,
) -> uuid.UUID:
    """Begin a pause in a transaction of its own; a provider must be one that there is. Otherwise as ``begin``."""
    known = {rows.MAIL, *context.printers}
    if provider is not None and provider not in known:
        raise Invalid(f"The provider is one of: {', '.join(sorted(known))}.")
    with context.database.transaction() as session:
        return begin(
            session,
            organisation=organisation,
            submission=submission,
            kind=kind,
            channel=channel,
            provider=provider,
            reason=reason,
            actor=actor,
        )


def end_and_wake(context: Context, pause_id: uuid.UUID, actor: str) -> int:
    """End a pause in a transaction of its own; the scheduler's next sweep wakes workers for what goes on."""
    with context.database.transaction() as session:
        return end(session, pause_id, actor)


def end(session: Session, pause_id: uuid.UUID, actor: str) -> int:
    """Let work go on: a pause ends, and its jobs are let go in the same transaction, as many as one should bear.

    The scheduler lets go of the rest within a second or two. Returns how many were let go here.

    Raises:
        NotFound: there is no such pause (any more).
    """
    if rows.lock(session, pause_id) is None:
        raise NotFound("There is no such pause.")
    rows.remove(session, pause_id)
    freed = len(rows.let_go(session, pause_id))
    audit.record(session, actor=actor, act="pause.end", subject=public_id(PAUSE, pause_id), details={"let_go": freed})
    return freed


def let_go_rest(context: Context) -> int:
    """Let go of what ended pauses still hold: for the scheduler. Returns how many jobs."""
    with context.database.transaction() as session:
        ended = rows.ended_with_jobs(session)
    total = 0
    for pause_id in ended:
        while True:
            with context.database.transaction() as session:
                freed = rows.let_go(session, pause_id)
            total += len(freed)
            if freed:
                context.wake(set(freed))
            if len(freed) < rows.AT_ONCE:
                break
    return total


def listing(context: Context) -> list[PauseView]:
    """Everything that waits by somebody's word, oldest first."""
    with context.database.transaction() as session:
        found = session.scalars(select(Pause).order_by(Pause.since, Pause.id)).all()
    return [_view(row) for row in found]


def _view(row: Pause) -> PauseView:
    return PauseView(
        id=public_id(PAUSE, row.id),
        organisation=None if row.organisation_id is None else public_id(ORGANISATION, row.organisation_id),
        submission=None if row.submission_id is None else public_id(SUBMISSION, row.submission_id),
        kind=None if row.kind == rows.ON_LEASE else row.kind,
        channel=row.channel,
        provider=row.provider,
        since=row.since,
        reason=row.reason,
        actor=row.actor,
    )
