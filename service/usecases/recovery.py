"""After a restore: nothing that went out goes out again, and what is missing is told, until a person confirms.

A restored database is recognised in two ways: whoever restores says so (``zending restore``, ``zending recovery
begin``), and every step that lets something out first looks whether the ledger's head, which is kept outside the
database, is ahead of it.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeVar

import structlog
from sqlalchemy.orm import Session

from printing.errors import ProviderUnavailable
from printing.providers.base import Parcel
from service.db import deliveries, jobs
from service.db import ledger as ledger_rows
from service.db import pauses as pause_rows
from service.db import printing as print_rows
from service.db import recovery as rows
from service.db.ids import BATCH, DELIVERY, ORGANISATION, SIGNATURE_REQUEST, moment_of, new_id, public_id
from service.db.jobs import JobKind
from service.db.models import PrintBatch, VaultObject
from service.db.retention import RetentionYear
from service.db.session import widen
from service.domain.errors import Conflict, NotFound, Retryable
from service.usecases import audit, pauses
from service.usecases.context import Context
from service.usecases.housekeeping import subject_of
from service.usecases.personal import PLATFORM
from service.usecases.receipts import BatchReceipt
from service.vault.errors import ObjectMissing, VaultIntegrityError

log = structlog.get_logger()

OUTGOING: Final = (JobKind.HAND_OVER, JobKind.NOTIFY, JobKind.ASK, JobKind.WEBHOOK)
NUMBERS_SKIPPED: Final = 1000
SETS_SKIPPED: Final = 1_000_000
"""More than are queued between two copies of the database."""
BEHIND: Final = "restored_behind"
_T = TypeVar("_T")
_CHUNK: Final = 500
_SLACK: Final = timedelta(hours=1)


@dataclass(frozen=True)
class LostDelivery:
    """A delivery or signature request whose documents are in the store and whose row is lost.

    ``printed``: its letter went out; ``noticed``: somebody was told of it.
    """

    id: str
    handed_in_at: datetime
    organisation: str | None
    objects: int
    printed: bool
    noticed: bool


@dataclass(frozen=True)
class LostBatch:
    """A batch that went out and that the restored database did not know."""

    id: str
    number: int
    file_name: str
    at: datetime
    letters: int


@dataclass(frozen=True)
class Report:
    """The difference between the restored database and what the world has seen.

    Attributes:
        since: when the recovery began; None where none is open.
        deliveries: acknowledged to senders and lost, oldest first.
        batches: handed to the print house and forgotten.
        letters: how many letters of deliveries that are known went out in those batches.
        notices: how many notices of known deliveries went out that the database has no evidence of.
        signed: leaves that were signed, as the head outside the database says; None where nothing was ever signed.
        leaves: leaves of the restored database.
    """

    since: datetime | None
    reason: str
    batches: list[LostBatch]
    letters: int
    notices: int
    signed: int | None
    leaves: int
    deliveries: list[LostDelivery] = field(default_factory=list)

    @property
    def ledger_behind(self) -> bool:
        """Whether the log can't go on."""
        return self.signed is not None and self.leaves < self.signed


def guard(context: Context) -> None:
    """Let nothing out of a database that was restored; to be called before each act that others can see.

    Opens a recovery by itself when it finds that the database lies behind the ledger's head.

    Raises:
        Retryable: ``restored_behind``; the work waits until a person has confirmed the recovery.
    """
    with context.database.transaction() as session:
        found = rows.opened(session) is not None
    if not found:
        behind = _behind(context)
        if behind:
            begin(context, reason=BEHIND, actor="service")
    if found or behind:
        raise Retryable("The database was restored: nothing goes out until a person has looked at it.", code=BEHIND)


def begin(context: Context, *, reason: str, actor: str) -> bool:
    """Open a recovery: stop what goes out, learn from the receipts what went out, and let batch numbers jump ahead.

    Safe to repeat; a recovery that is open is brought up to date. Opens its own transactions.
    Returns whether it is new.

    Raises:
        Retryable: the print house can't be reached, or the store; what was done stays, repeat it.
    """
    new = _stop(context, reason, actor)
    # Read before the transaction: the store may be slow.
    batches = list(context.receipts.batches())
    notices = list(context.receipts.notices())
    with context.database.transaction() as session:
        widen(session, print_rows.every_organisation(session))
        known = rows.known_batches(session, {batch.id for batch in batches})
        lost = [batch for batch in batches if batch.id not in known]
    _finish_renames(context, lost)
    with context.database.transaction() as session:
        widen(session, print_rows.every_organisation(session))
        for batch in lost:
            _learn(session, batch)
        # The newest first, which is the one that is kept: signers are told more than once.
        every = sorted(((each.at, subject, leg) for each in notices for subject, leg in each.notices), reverse=True)
        for chunk in _chunks(every):
            told = deliveries.told(session, {delivery for _, delivery, _ in chunk})
            rows.add_gone(
                session,
                [
                    {"what": rows.NOTICE, "delivery_id": delivery, "leg": leg, "attempt": 0, "at": at}
                    for at, delivery, leg in chunk
                    if (delivery, leg) not in told
                ],
            )
        rows.skip_sets(session, more=SETS_SKIPPED)
        rows.skip_numbers(session, max((batch.number for batch in batches), default=0), more=NUMBERS_SKIPPED)
        shredded = list(session.query(RetentionYear).where(RetentionYear.key_destroyed_at.is_not(None)))
    for year in shredded:
        # A backup of keys may have brought back what was destroyed.
        context.keyring.destroy_year(year.organisation_id, year.year)
    log.warning("recovery_begun", reason=reason, batches=len(lost), new=new)
    return new


def _stop(context: Context, reason: str, actor: str) -> bool:
    with context.database.transaction() as session:
        if rows.opened(session) is not None:
            return False
        made = []
        for kind in OUTGOING:
            try:
                with session.begin_nested():
                    told = "The database was restored: confirm the recovery first."
                    made.append(pauses.begin(session, kind=kind, reason=told, actor=actor))
            except Conflict:
                # It waits already by somebody's word, and goes on waiting when this one ends.
                log.info("recovery_paused_already", kind=kind.value)
        opened = rows.begin(session, {"id": new_id(), "begun_by": actor, "reason": reason, "pauses": made})
        if not opened:
            # Another process was a moment faster: its pauses count.
            session.rollback()
            return False
        audit.record(session, actor=actor, act="recovery.begin", subject="database", details={"reason": reason})
        return True


def _finish_renames(context: Context, lost: Sequence[BatchReceipt]) -> None:
    """A receipt says that the batch was uploaded whole; whoever died before the rename is helped to it."""
    for batch in lost:
        try:
            context.printers.named(batch.provider).provider.publish(Parcel(batch.file_name, batch.size, batch.sha256))
        except ProviderUnavailable as error:
            raise Retryable("The print house can't be reached.", code="print_provider_unavailable") from error


def _learn(session: Session, batch: BatchReceipt) -> None:
    session.merge(
        PrintBatch(
            id=batch.id,
            number=batch.number,
            provider=batch.provider,
            product={"key": batch.product},
            state="handed_over",
            file_name=batch.file_name,
            frozen_at=batch.frozen_at,
            path=batch.path,
            sha256=bytes.fromhex(batch.sha256),
            size=batch.size,
            letters=len(batch.letters),
            pages=batch.pages,
            sheets=batch.sheets,
            uploaded_at=batch.at,
            place=batch.place,
            handed_over_at=batch.at,
        )
    )
    session.flush()
    # Its file is in the store; without this row it would never be removed.
    name = batch.path.rsplit("/", 1)[-1]
    known = VaultObject(
        subject_id=batch.id, path=batch.path, organisation_id=PLATFORM, role="batch", sha256=bytes.fromhex(name),
        size=batch.size, intended_at=batch.at, kept_at=batch.at,
    )  # fmt: skip
    session.merge(known)
    rows.add_gone(
        session,
        [
            {
                "what": rows.LETTER,
                "delivery_id": letter.delivery,
                "leg": letter.leg,
                "attempt": letter.attempt,
                "at": batch.at,
                "batch_id": batch.id,
                "sequence": letter.sequence,
                "set_number": letter.set,
            }
            for letter in batch.letters
        ],
    )


def report(context: Context, *, deliveries_too: bool = True) -> Report:
    """What the restored database does not know. Reads the whole listing of the store; changes nothing."""
    with context.database.transaction() as session:
        widen(session, print_rows.every_organisation(session))
        opened = rows.opened(session)
        gone = rows.every_gone(session)
        batches = {row.id: row for row in rows.batches(session, {row.batch_id for row in gone if row.batch_id})}
        head = ledger_rows.head(session)
        known = set(deliveries.by_ids(session, {row.delivery_id for row in gone}))
    letters = [row for row in gone if row.what == rows.LETTER]
    notices = [row for row in gone if row.what == rows.NOTICE]
    counted = {row.id: sum(1 for one in letters if one.batch_id == row.id) for row in batches.values()}
    return Report(
        since=None if opened is None else opened.begun_at,
        reason="" if opened is None else opened.reason,
        batches=sorted(
            (
                LostBatch(public_id(BATCH, row.id), row.number, row.file_name, row.handed_over_at, counted[row.id])
                for row in batches.values()
                if row.handed_over_at is not None
            ),
            key=lambda row: row.number,
        ),
        letters=sum(row.delivery_id in known for row in letters),
        notices=sum(row.delivery_id in known for row in notices),
        signed=context.signed_size(),
        leaves=0 if head is None else head.size,
        deliveries=list(_lost(context, letters, notices)) if deliveries_too else [],
    )


def _lost(context: Context, letters: Sequence[rows.GoneOut], notices: Sequence[rows.GoneOut]) -> Iterator[LostDelivery]:
    """Deliveries by their objects: handed in after what the database remembers, and in none of its tables."""
    with context.database.transaction() as session:
        widen(session, print_rows.every_organisation(session))
        newest = rows.newest_delivery(session)
    since = None if newest is None else moment_of(newest)
    objects: dict[uuid.UUID, list[str]] = {}
    moments: dict[uuid.UUID, datetime] = {}
    for found in context.vault.stored():
        subject = subject_of(found.path)
        # An id that tells no time is none of ours.
        made = None if subject is None else moment_of(subject)
        if subject is not None and made is not None and (since is None or made >= since - _SLACK):
            objects.setdefault(subject, []).append(found.path)
            moments[subject] = made
    owners = {facts.id: facts.organisation for facts in context.keyring.listing()}
    printed, noticed = {row.delivery_id for row in letters}, {row.delivery_id for row in notices}
    for chunk in _chunks(sorted(objects)):
        with context.database.transaction() as session:
            widen(session, print_rows.every_organisation(session))
            known = rows.known_subjects(session, set(chunk))
        for each in chunk:
            roles = {path.split("/")[1] for path in objects[each]}
            if each not in known and "batch" not in roles:
                asked = any(role.startswith("request-") for role in roles)
                yield LostDelivery(
                    public_id(SIGNATURE_REQUEST if asked else DELIVERY, each),
                    moments[each],
                    _organisation(context, objects[each], owners),
                    len(objects[each]),
                    each in printed,
                    each in noticed,
                )


def _chunks(ordered: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (ordered[start : start + _CHUNK] for start in range(0, len(ordered), _CHUNK))


def _organisation(context: Context, paths: Sequence[str], owners: Mapping[str, uuid.UUID | None]) -> str | None:
    """Whose key the documents are under; None where that can't be told."""
    try:
        found = owners.get(context.vault.key_id(paths[0]))
    except (VaultIntegrityError, ObjectMissing):
        return None
    return None if found is None else public_id(ORGANISATION, found)


def confirm(context: Context, *, actor: str) -> None:
    """A person's word that the report was read and acted on: what was stopped goes on.

    Raises:
        NotFound: no recovery is open.
        Conflict: ``ledger_behind``, the log can't go on: open a new one first.
    """
    if _behind(context):
        raise Conflict(
            "The ledger lies behind what was signed: open a new log first (zending ledger open-new-log).",
            code="ledger_behind",
        )
    with context.database.transaction() as session:
        opened = rows.opened(session)
        if opened is None:
            raise NotFound("No recovery is open.")
        rows.confirm(session, opened.id, now=context.clock(), actor=actor)
        for pause in opened.pauses:
            if pause_rows.lock(session, pause) is not None:
                pauses.end(session, pause, actor)
        audit.record(session, actor=actor, act="recovery.confirm", subject="database")
        due = jobs.due_kinds(session)
    context.wake(list(due))


def _behind(context: Context) -> bool:
    """Whether more leaves were signed than the database has. In good order its head is never behind."""
    signed = context.signed_size()
    if signed is None:
        return False
    with context.database.transaction() as session:
        head = ledger_rows.head(session)
    return head is None or (head.log_origin == context.log_origin and head.size < signed)
