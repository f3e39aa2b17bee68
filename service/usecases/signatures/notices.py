"""The step ``ask``: tell signers that something waits for their signature; never what, and never with a link."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy.orm import Session

from service.db import mailboxes
from service.db import recovery as recovery_rows
from service.db.jobs import JobKind, Leased
from service.domain import calendar
from service.domain.errors import Retryable
from service.domain.identifiers import RecipientId, RecipientKind
from service.domain.signing_folder import FolderState, SignerState
from service.engine.steps import Outcome, Step
from service.notifications.base import About, Language, Notice, NoticeKind, Result, SignatureAsked
from service.usecases import recovery
from service.usecases.context import Context
from service.usecases.notices import MailboxDetails
from service.usecases.personal import PLATFORM, find_hashes, open_value
from service.usecases.signatures.folders import Signing, load

CHUNK = 50


@dataclass(frozen=True)
class AskWork:
    """A notice to one signer; None where they have no activated mailbox, and their sender gave no address.

    ``sent``: it went out before the database was restored.
    """

    notice: Notice | None
    sent: bool = False


def step(context: Context) -> Step[AskWork, bool]:
    """The step, wired; its result is whether somebody was written to."""

    def read(session: Session, jobs: Sequence[Leased]) -> list[tuple[Leased, AskWork]]:
        found = load(session, context, {job.subject_id for job in jobs})
        told = last_told(session, found)
        works = []
        for job in jobs:
            signing = found.get(job.subject_id)
            if signing is not None and _waits(signing, job.leg):
                last = told.get((job.subject_id, job.leg))
                works.append(
                    (job, AskWork(_notice(context, signing, job), last is not None and last >= job.created_at))
                )
        return works

    def perform(works: Sequence[tuple[Leased, AskWork]]) -> list[Outcome[AskWork, bool]]:
        return _send(context, works)

    def record(_session: Session, _outcomes: Sequence[Outcome[AskWork, bool]]) -> None:
        """Nothing follows: a notice has no legal weight here, and reminders have their own time."""

    return Step(JobKind.ASK, CHUNK, read, perform, record)


def last_told(session: Session, requests: Collection[uuid.UUID]) -> dict[tuple[uuid.UUID, int], datetime]:
    """When signers were last told, by request and position, as far as a restored database learned it from receipts."""
    gone = recovery_rows.gone(session, recovery_rows.NOTICE, requests)
    return {(each.delivery_id, each.leg): each.at for each in gone}


def _waits(signing: Signing, position: int) -> bool:
    return (
        signing.row.state == FolderState.OPEN.value
        and 1 <= position <= len(signing.signers)
        and signing.signers[position - 1].state == SignerState.ASKED.value
    )


def _notice(context: Context, signing: Signing, job: Leased) -> Notice | None:
    person = signing.people[job.leg - 1]
    if person.number is None:
        return None
    told = _mailbox(context, person.number)
    if told is None and person.email is not None:
        # Nobody has confirmed this address, and what is said there would tell a stranger nothing but who asks.
        told = person.email, Language(signing.row.language)
    if told is None:
        return None
    return Notice(
        reference=f"{signing.id}/{job.leg}/asked/{job.id}",
        to=told[0],
        language=told[1],
        what=SignatureAsked(sender=signing.organisation.name),
        about=About(NoticeKind.SIGNATURE, signing.id, job.leg),
    )


def _mailbox(context: Context, number: str) -> tuple[str, Language] | None:
    """The confirmed address and the language of somebody who has activated their mailbox."""
    hashes = find_hashes(context, RecipientId(RecipientKind.CITIZEN, number))
    with context.database.transaction(recipients=hashes) as session:
        row = mailboxes.own(session, hashes)
        if row is None or row.activated_at is None or row.revoked_at is not None:
            return None
        place = f"mailbox.personal:{row.recipient_hash.hex()}"
        raw = open_value(context, row.personal, organisation=PLATFORM, place=place)
    return msgspec.json.decode(raw, type=MailboxDetails).email, Language(row.language)


def _send(context: Context, works: Sequence[tuple[Leased, AskWork]]) -> list[Outcome[AskWork, bool]]:
    now = context.clock()
    if context.quiet_hours and calendar.next_allowed(now) > now:
        night = Retryable("It is night: nobody is written to now.", code="quiet_hours")
        return [Outcome(job, work, error=night) for job, work in works]
    recovery.guard(context)
    notices = [work.notice for _, work in works if work.notice is not None and not work.sent]
    sent = {outcome.reference: outcome for outcome in context.notifier.send_many(notices, now=now)}
    done = {reference for reference, outcome in sent.items() if outcome.result is Result.SENT}
    context.receipts.noticed(
        [(job.subject_id, job.leg) for job, work in works if work.notice and work.notice.reference in done], now=now
    )
    outcomes: list[Outcome[AskWork, bool]] = []
    for job, work in works:
        if work.notice is None or work.sent:
            outcomes.append(Outcome(job, work, result=False))
            continue
        answer = sent[work.notice.reference]
        if answer.result is Result.RETRYABLE:
            error = Retryable("The notice could not be sent yet.", code=answer.reason or "mail_unavailable")
            outcomes.append(Outcome(job, work, error=error))
        else:
            outcomes.append(Outcome(job, work, result=answer.result is Result.SENT))
    return outcomes
