"""The step ``hand_over``: a frozen batch is brought to its print house, exactly once.

What is frozen when: the letters, their order, the file's name and time when the batch is cut (``print_runs``); the
file's bytes when they are first made. A letter can be taken out until the batch is fixed, which is committed before
anything tells that it was uploaded; "uploaded" is committed before the rename. See docs/crash-order.md.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NoReturn

import structlog
from sqlalchemy.orm import Session

from printing.encryption import name_open
from printing.errors import ProviderUnavailable
from printing.providers.base import Parcel, PrintProvider, hand_over
from service.db import jobs, retention
from service.db import printing as rows
from service.db.jobs import JobKind, Leased
from service.db.retention import Removal
from service.db.session import widen
from service.domain.errors import Conflict, Retryable
from service.domain.states import Actor, Event, LegState
from service.engine.steps import Outcome, Step, attempt
from service.printers.wired import Printer
from service.usecases import dossiers, recovery
from service.usecases.batch_files import BatchWork, content_of
from service.usecases.context import Context
from service.usecases.personal import PLATFORM
from service.usecases.post_letters import settle_kept
from service.usecases.products import evidenced, relay
from service.usecases.progress import Cause, Progress
from service.usecases.receipts import BatchReceipt, LetterReceipt

log = structlog.get_logger()


def step(context: Context) -> Step[BatchWork, bool]:
    """The step ``hand_over``, wired."""

    def read(session: Session, leased: Sequence[Leased]) -> list[tuple[Leased, BatchWork]]:
        widen(session, rows.every_organisation(session))
        works = []
        for job in leased:
            batch = rows.batch(session, job.subject_id)
            if batch is None or batch.state == "handed_over":
                continue
            letters = rows.letters(session, batch.id)
            found = dossiers.load(session, context, [letter.delivery_id for letter in letters])
            works.append((job, BatchWork(batch, letters, found, _lease(job))))
        return works

    def perform(works: Sequence[tuple[Leased, BatchWork]]) -> list[Outcome[BatchWork, bool]]:
        return [attempt(job, work, lambda each: _hand_over(context, each)) for job, work in works]

    def record(session: Session, outcomes: Sequence[Outcome[BatchWork, bool]]) -> None:
        widen(session, rows.every_organisation(session))
        for outcome in outcomes:
            # One that does not go now has nothing to be recorded.
            if outcome.result:
                _record(session, context, outcome.work)

    # One batch at a time: it is long, and its lease is prolonged on the way.
    return Step(JobKind.HAND_OVER, 1, read, perform, record, prolonged=True)


def _lease(job: Leased) -> Callable[[Session], None]:
    def held(session: Session) -> None:
        if job.id not in jobs.confirm(session, [job]):
            raise Conflict("Somebody else hands this batch over.", code="lease_lost")

    return held


def _hand_over(context: Context, work: BatchWork) -> bool:
    batch = work.batch
    if batch.emptied_at is not None or (batch.held_at is not None and batch.fixed_at is None):
        _keep_back(context, work)
        return False
    return _bring(context, work)


def _keep_back(context: Context, work: BatchWork) -> None:
    """Leave nothing at the print house of a batch that was emptied, or is held: it may be there from a try that died.

    Whoever releases a held one puts the job again, if this one is gone by then.
    """
    recovery.guard(context)
    batch = work.batch
    printer = context.printers.get(batch.provider)
    # What may have been published before a restore must not look like fetched, once it is released.
    known = batch.emptied_at is None and context.receipts.batch(batch.frozen_at, batch.id) is not None
    if printer is not None and not known:
        _discard(context, work, printer.provider)
    with context.database.transaction() as session:
        found = rows.batch(session, batch.id)
        if found is not None and found.emptied_at is None and found.held_at is None:
            raise Retryable("The batch was released in the meantime.", code="batch_changed")


def _discard(context: Context, work: BatchWork, way: PrintProvider) -> None:
    with context.database.transaction() as session:
        work.held(session)
    try:
        # Only the name counts.
        way.discard(Parcel(work.batch.file_name, 0, ""))
    except ProviderUnavailable as error:
        raise Retryable("The print house can't be reached.", code="print_provider_unavailable") from error


def _bring(context: Context, work: BatchWork) -> bool:
    recovery.guard(context)
    batch = work.batch
    printer = context.printers.get(batch.provider)
    if printer is None:
        raise Retryable("The print house of this batch is not described any more.", code="printer_missing")
    content = content_of(context, work)
    # Uploaded before a restore of a database that did not know it yet: the receipt stands in for the lost commit.
    receipt = context.receipts.batch(batch.frozen_at, batch.id)
    uploaded = batch.state == "uploaded" or receipt is not None
    place = batch.place or (None if receipt is None else receipt.place)
    if uploaded and place is not None and place != printer.place:
        # It is not where we would look, which is how one that was fetched looks.
        raise Retryable("The batch was brought to another place of this print house.", code="print_way_changed")
    if not uploaded and batch.fixed_at is None and not printer.takes(batch.file_name, content):
        _make_anew(context, work, printer)
    parcel = Parcel(batch.file_name, len(content), hashlib.sha256(content).hexdigest())

    def commit_uploaded() -> None:
        with context.database.transaction() as session:
            work.held(session)
            fixed = rows.fix(session, batch.id, path=batch.path or "", now=context.clock())
        if not fixed:
            # It has letters that must not go, and perhaps it is never brought again.
            _discard(context, work, printer.provider)
            raise Retryable("Letters were taken out of the batch, or it is held back.", code="batch_changed")
        # First outside the database: a restore must not forget what the print house may have.
        context.receipts.uploaded(_receipt(context, work, parcel, printer.place))
        with context.database.transaction() as session:
            work.held(session)
            rows.mark(session, batch.id, "uploaded", now=context.clock(), place=printer.place)

    try:
        hand_over(
            printer.provider,
            parcel,
            content,
            uploaded=uploaded,
            commit_uploaded=commit_uploaded,
        )
    except ProviderUnavailable as error:
        raise Retryable("The print house can't be reached.", code="print_provider_unavailable") from error
    return True


def _make_anew(context: Context, work: BatchWork, printer: Printer) -> NoReturn:
    """The print house got a key, or another way, since the batch was cut: nothing of it leaves in the old form."""
    _discard(context, work, printer.provider)
    batch = work.batch
    with context.database.transaction(organisations=[PLATFORM]) as session:
        work.held(session)
        old = rows.forget_content(session, batch.id, name=printer.called(name_open(batch.file_name)))
        if old is not None:
            retention.remove_later(session, [Removal(old, batch.id, PLATFORM)], now=context.clock())
    raise Retryable("The print house gets its letters in another form now.", code="batch_changed")


def _receipt(context: Context, work: BatchWork, parcel: Parcel, place: str | None) -> BatchReceipt:
    batch = work.batch
    assert batch.path is not None, "its content was made and kept before it was uploaded"
    return BatchReceipt(
        id=batch.id,
        number=batch.number,
        provider=batch.provider,
        product=batch.product["key"],
        file_name=batch.file_name,
        frozen_at=batch.frozen_at,
        at=context.clock(),
        path=batch.path,
        sha256=parcel.sha256,
        size=parcel.size,
        pages=batch.pages or 0,
        sheets=batch.sheets or 0,
        letters=tuple(
            LetterReceipt(
                letter.delivery_id,
                letter.leg,
                letter.attempt,
                letter.sequence or 0,
                letter.envelope_set or letter.set_number,
            )
            for letter in work.letters
        ),
        place=place,
    )


def _record(session: Session, context: Context, work: BatchWork) -> None:
    now: datetime = context.clock()
    rows.mark(session, work.batch.id, "handed_over", now=now)
    dossiers.lock_again(session, list(work.dossiers.values()))
    progress = Progress(context, now=now)
    for letter in work.letters:
        dossier = work.dossiers[letter.delivery_id]
        leg = dossier.leg(letter.leg)
        cause = Cause(
            Actor.SERVICE,
            attempt=letter.attempt + 1,
            external=relay(work.batch.provider, work.batch.id),
            letter=evidenced(letter, work.batch),
        )
        if letter.attempt:
            progress.pass_by(dossier, leg, Event.RELAY_TO_NON_ERDS, cause, at=now)
        elif leg.state == LegState.BATCHED.value:
            progress.happen(dossier, Event.RELAY_TO_NON_ERDS, cause, leg=leg)
    # What was said of a letter before we knew that it was handed over counts from now on.
    settle_kept(session, context, progress, list(work.dossiers.values()))
    progress.write(session)
