"""Print batches: frozen at cut-off or by an operator, and the step ``hand_over`` that brings them to the print house.

What is frozen when: the letters, their order, the file's name and time when the batch closes; the file's bytes when
they are first made, before anything is uploaded. "Uploaded" is committed before the rename. See docs/crash-order.md.
"""

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO

import structlog
from sqlalchemy.orm import Session

from printing import profiles
from printing.batch import BatchLetter, merge
from printing.errors import ProviderUnavailable
from printing.manifest import BatchKey, Manifest, ManifestLetter, describe_file, file_name, pack
from printing.providers.base import Parcel, hand_over
from printing.readback import read_back
from service.db import deliveries, jobs
from service.db import printing as rows
from service.db import retention as due
from service.db.ids import DELIVERY, new_id, public_id
from service.db.jobs import JobKind, Lane, Leased, NewJob
from service.db.models import PrintBatch, PrintCutoff, PrintLetter
from service.db.session import widen
from service.domain import addresses, calendar
from service.domain.errors import Conflict, Retryable
from service.domain.states import Actor, Event, LegState
from service.engine.steps import Outcome, Step, attempt
from service.usecases import dossiers, recovery
from service.usecases.admission import intents
from service.usecases.adoption import adopt
from service.usecases.context import Context
from service.usecases.dossiers import Dossier
from service.usecases.personal import PLATFORM
from service.usecases.post_letters import settle_kept
from service.usecases.products import evidenced, front_of, read_product, relay
from service.usecases.progress import Cause, Progress
from service.usecases.receipts import BatchReceipt, LetterReceipt

log = structlog.get_logger()

PDF = "letters.pdf"
ROLE = "batch"
# Short, so that a batch whose worker died is taken up soon, and prolonged by a heartbeat for as long as one is alive.
LEASE_SECONDS = 60
HEARTBEAT_SECONDS = 15.0


def close_due(context: Context) -> int:
    """Freeze what waits when a cut-off has come; opens its own transactions; the number of batches."""
    now = context.clock()
    next_at = now + (context.printers.first.products["letter"].period or timedelta())

    def move_on(session: Session) -> bool:
        return rows.take_cutoff(session, context.printers.first.name, now=now, next_at=next_at)

    with context.database.transaction() as session:
        cutoff = session.get(PrintCutoff, context.printers.first.name)
        if cutoff is None:
            # The first cut-off of a new print house is one period from now.
            move_on(session)
        due = cutoff is not None and cutoff.next_at <= now
    # The cut-off moves on with the last of it: whoever dies on the way leaves the rest to the next sweep.
    return _close(context, Actor.CLOCK, when_done=move_on) if due else 0


def close(context: Context, actor: Actor) -> int:
    """Freeze everything that waits now, a transaction per batch; returns the number of batches."""
    return _close(context, actor, when_done=lambda _: None)


def _close(context: Context, actor: Actor, *, when_done: Callable[[Session], object]) -> int:
    recovery.guard(context)
    closed = 0
    while _one_more(context, actor, when_done):
        closed += 1
    if closed:
        context.wake([JobKind.HAND_OVER])
    return closed


def _one_more(context: Context, actor: Actor, when_done: Callable[[Session], object]) -> bool:
    with context.database.transaction() as session:
        widen(session, rows.every_organisation(session))
        if not rows.lock_freezing(session):
            # Somebody else is at it, and ends what they began.
            return False
        if _freeze_one(session, context, actor):
            return True
        when_done(session)
        return False


def _freeze_one(session: Session, context: Context, actor: Actor) -> bool:
    limits = profiles.load().limits
    unreadable: set[uuid.UUID] = set()
    for product in rows.waiting_products(session):
        while waiting := _fitting(
            rows.waiting(session, product, limit=limits.batch_letters, without=unreadable), limits.batch_bytes
        ):
            found = dossiers.load_readable(session, context, [letter.delivery_id for letter in waiting], lock=True)
            # Without its key a letter can't be printed; it waits for the key, and nobody waits for it.
            unreadable |= {letter.delivery_id for letter in waiting} - found.keys()
            waiting = [letter for letter in waiting if letter.delivery_id in found]
            gone = {letter.delivery_id for letter in waiting if not _printable(found, letter)}
            # Cancelled while it waited: it leaves the queue here, before anything is frozen.
            rows.withdraw(session, gone)
            letters = [letter for letter in waiting if letter.delivery_id not in gone]
            letters = adopt(session, context, letters, found)
            if letters:
                _freeze(session, context, actor, product, letters, found)
                return True
    return False


def _fitting(letters: Sequence[PrintLetter], most_bytes: int) -> list[PrintLetter]:
    """As many letters as fit a file by the sum of their sizes, at least one: the merged file is never larger."""
    fitting: list[PrintLetter] = []
    size = 0
    for letter in letters:
        size += letter.size
        if fitting and size > most_bytes:
            break
        fitting.append(letter)
    return fitting


def _printable(found: dict[uuid.UUID, Dossier], letter: PrintLetter) -> bool:
    return found[letter.delivery_id].leg(letter.leg).state == LegState.TO_PRINT.value


def _freeze(
    session: Session,
    context: Context,
    actor: Actor,
    product: str,
    letters: Sequence[PrintLetter],
    found: dict[uuid.UUID, Dossier],
) -> None:
    now = context.clock()
    # The file's name tells whole seconds.
    frozen_at = now.replace(microsecond=0)
    number = rows.next_number(session)
    batch = PrintBatch(
        id=new_id(),
        number=number,
        provider=context.printers.first.name,
        product={"key": product},
        state="frozen",
        file_name=file_name(context.printers.first.sender, number, frozen_at),
        frozen_at=frozen_at,
        letters=len(letters),
    )
    rows.freeze(session, batch, letters)
    due.span_year(session, PLATFORM, _year(batch), [batch.id])
    progress = Progress(context, now=now)
    for letter in letters:
        dossier = found[letter.delivery_id]
        progress.happen(dossier, Event.BATCHED, Cause(actor), leg=dossier.leg(letter.leg))
    progress.write(session)
    jobs.put(session, [NewJob(JobKind.HAND_OVER, PLATFORM, batch.id, lane=Lane.BULK)])


@dataclass(frozen=True)
class BatchWork:
    """A frozen batch with its letters in their order."""

    batch: PrintBatch
    letters: Sequence[PrintLetter]
    dossiers: dict[uuid.UUID, Dossier]
    renew: Callable[[], None]
    held: Callable[[Session], None]


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
            works.append((job, BatchWork(batch, letters, found, *_lease(context, job))))
        return works

    def perform(works: Sequence[tuple[Leased, BatchWork]]) -> list[Outcome[BatchWork, bool]]:
        return [attempt(job, work, lambda each: _hand_over(context, each)) for job, work in works]

    def record(session: Session, outcomes: Sequence[Outcome[BatchWork, bool]]) -> None:
        widen(session, rows.every_organisation(session))
        for outcome in outcomes:
            _record(session, context, outcome.work)

    # One batch at a time: it is long, and its lease is prolonged on the way.
    return Step(JobKind.HAND_OVER, 1, read, perform, record)


def _lease(context: Context, job: Leased) -> tuple[Callable[[], None], Callable[[Session], None]]:
    def renew() -> None:
        with context.database.transaction() as session:
            jobs.renew(session, [job], seconds=LEASE_SECONDS)

    def held(session: Session) -> None:
        if job.id not in jobs.confirm(session, [job]):
            raise Conflict("Somebody else hands this batch over.", code="lease_lost")

    return renew, held


@contextmanager
def _kept(work: BatchWork) -> Iterator[None]:
    """Hold on to the batch while the block runs, however long its merging and uploading take."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            try:
                work.renew()
            except Exception as error:  # noqa: BLE001  the next beat tries again; a lease that is lost is found out
                log.warning("lease_not_renewed", batch=str(work.batch.id), error=type(error).__name__)

    work.renew()
    heart = threading.Thread(target=beat, name="heartbeat", daemon=True)
    heart.start()
    try:
        yield
    finally:
        ended.set()
        heart.join()


def _hand_over(context: Context, work: BatchWork) -> bool:
    with _kept(work):
        return _bring(context, work)


def _bring(context: Context, work: BatchWork) -> bool:
    recovery.guard(context)
    batch = work.batch
    content = _content(context, work)
    # Uploaded before a restore of a database that did not know it yet: the receipt stands in for the lost commit.
    uploaded = batch.state == "uploaded" or context.receipts.batch(batch.frozen_at, batch.id) is not None
    parcel = Parcel(batch.file_name, len(content), hashlib.sha256(content).hexdigest())

    def commit_uploaded() -> None:
        # First outside the database: a restore must not forget what the print house may have.
        context.receipts.uploaded(_receipt(context, work, parcel))
        with context.database.transaction() as session:
            work.held(session)
            rows.mark(session, batch.id, "uploaded", now=context.clock())

    try:
        hand_over(
            context.printers.named(batch.provider).provider,
            parcel,
            content,
            uploaded=uploaded,
            commit_uploaded=commit_uploaded,
        )
    except ProviderUnavailable as error:
        raise Retryable("The print house can't be reached.", code="print_provider_unavailable") from error
    return True


def _receipt(context: Context, work: BatchWork, parcel: Parcel) -> BatchReceipt:
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
            LetterReceipt(letter.delivery_id, letter.leg, letter.attempt, letter.sequence or 0)
            for letter in work.letters
        ),
    )


def _content(context: Context, work: BatchWork) -> bytes:
    """The file's bytes: made once, kept, and from then on read back."""
    batch = work.batch
    if batch.path is None:
        content, pages, sheets = _make(context, work)
        prepared = context.vault.prepare(PLATFORM, _year(batch), batch.id, ROLE, content)
        with context.database.transaction(organisations=[PLATFORM]) as session:
            deliveries.intend(session, intents(PLATFORM, batch.id, [prepared]))
        context.vault.write(prepared)
        with context.database.transaction(organisations=[PLATFORM]) as session:
            work.held(session)
            digest = hashlib.sha256(content).digest()
            kept = rows.save_content(
                session, batch.id, path=prepared.path, sha256=digest, size=len(content), pages=pages, sheets=sheets
            )
            if kept:
                deliveries.keep(session, [batch.id], [prepared.path])
                batch.path, batch.pages, batch.sheets, batch.sha256 = prepared.path, pages, sheets, digest
    if batch.path is None:
        raise Conflict("Somebody else hands this batch over.", code="lease_lost")
    return context.vault.read(batch.path, PLATFORM, batch.id, ROLE)


def _year(batch: PrintBatch) -> int:
    """Whose key closes the file: it mixes senders, so the platform's own of the year it was frozen in."""
    return calendar.retention_year(batch.frozen_at)


def _make(context: Context, work: BatchWork) -> tuple[bytes, int, int]:
    key = read_product(work.batch.product["key"])
    merged = BytesIO()
    profile = profiles.load()
    letters = merge(_batch_letters(context, work, key), merged, file=PDF, duplex=key.duplex, profile=profile)
    # Nothing leaves the house whose codes were not read as its machines will read them.
    read_back(merged.getvalue(), letters, profile, file=PDF)
    merged.seek(0)
    described = describe_file(PDF, merged, letters)
    manifest = Manifest(
        batch=work.batch.number,
        sender=context.printers.first.sender,
        created=work.batch.frozen_at,
        key=key,
        files=(described,),
        letters=letters,
    )
    merged.seek(0)
    package = BytesIO()
    pack(manifest, {PDF: merged}, package)
    return package.getvalue(), described.pages, described.sheets


def _batch_letters(context: Context, work: BatchWork, key: BatchKey) -> list[BatchLetter]:
    return [
        BatchLetter(
            entry=_entry(work.dossiers[letter.delivery_id], letter, key),
            read=_reader(context, letter),
            duplex=key.duplex,
        )
        for letter in work.letters
    ]


def _reader(context: Context, letter: PrintLetter) -> Callable[[], bytes]:
    return lambda: context.vault.read(letter.path, letter.organisation_id, letter.delivery_id, f"print-{letter.leg}")


def _entry(dossier: Dossier, letter: PrintLetter, key: BatchKey) -> ManifestLetter:
    assert dossier.personal.address is not None
    return ManifestLetter(
        id=f"{public_id(DELIVERY, letter.delivery_id)}-{letter.leg}",
        attempt=letter.attempt + 1,
        sheets=letter.sheets,
        grams=letter.grams,
        envelope=key.envelope,
        product=key.product,
        address_lines=addresses.lines(dossier.personal.address, language=dossier.delivery.language),
        return_address=tuple(dossier.organisation.return_address),
        undeliverable=dossier.delivery.print_options.get("undeliverable", "return"),
        content_sha256=letter.sha256.hex(),
        registered=key.registered,
        priority=bool(dossier.delivery.print_options["priority"]),
        duplex=key.duplex,
        colour=key.colour,
        **front_of(letter),
    )


def _record(session: Session, context: Context, work: BatchWork) -> None:
    now: datetime = context.clock()
    rows.mark(session, work.batch.id, "handed_over", now=now)
    dossiers.lock_again(session, list(work.dossiers.values()))
    progress = Progress(context, now=now)
    for letter in work.letters:
        dossier = work.dossiers[letter.delivery_id]
        leg = dossier.leg(letter.leg)
        if leg.state == LegState.BATCHED.value:
            cause = Cause(
                Actor.SERVICE, external=relay(work.batch.provider, work.batch.id), letter=evidenced(letter, work.batch)
            )
            progress.happen(dossier, Event.RELAY_TO_NON_ERDS, cause, leg=leg)
    # What was said of a letter before we knew that it was handed over counts from now on.
    settle_kept(session, context, progress, list(work.dossiers.values()))
    progress.write(session)
