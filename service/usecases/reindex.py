"""The exchange of the index key: rows that were written with the former key are written anew with the present one.

Both keys are looked for meanwhile, so nothing is lost from sight, whatever was reached. A delivery is known by the
number in its personal part, hence can be gone through again at any time; a mailbox is moved when one of its deliveries
is reached, or when its owner logs in.
"""

import contextlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.orm import Session

from service.db import mailboxes, mandates
from service.db import printing as print_rows
from service.db import reindex as rows
from service.db import signatures as signature_rows
from service.db.models import DeliveryRow
from service.domain.errors import Conflict
from service.domain.identifiers import RecipientId, RecipientKind
from service.usecases.acting import sides_of
from service.usecases.context import Context
from service.usecases.personal import PLATFORM, PLATFORM_YEAR, find_hashes, open_personal, open_value, seal_bytes
from service.usecases.signatures.folders import person
from service.vault.errors import KeyDestroyed, KeyLost

log = structlog.get_logger()

CHUNK: Final = 200


@dataclass(frozen=True, slots=True)
class Standing:
    """How an exchange stands.

    Attributes:
        done_at: when all deliveries had been gone through; None before.
        deliveries: how many were gone through.
        unreadable: of these, those whose key is lost or destroyed: they can be read by nobody, and stay as they are.
        mailboxes: that are not moved yet: nothing that is kept names their owner's number, who has to log in.
        mandates: that are not moved yet, or whose code waits and was made with the former key.
        lookups: kept from before: those about people who are nobody's recipient keep the former hash.
    """

    done_at: datetime | None
    deliveries: int
    unreadable: int
    mailboxes: int
    lookups: int
    mandates: int = 0


def round_(context: Context) -> bool:
    """Go through the next deliveries; False once there are none. Safe to repeat, to break off, and to run twice.

    Raises:
        Conflict: ``index_not_promoted``, no exchange is under way.
    """
    key = _key(context)
    with context.database.transaction() as session:
        walk = rows.walk(session, key, begin=True)
        organisations = print_rows.every_organisation(session)
        after = None if walk is None else walk.upto
    with context.database.transaction(organisations=organisations) as session:
        chunk = rows.next_deliveries(session, after, limit=CHUNK)
        session.expunge_all()
    if not chunk:
        _rehash_signers(context, organisations)
        _move_mandates(context, key)
        with context.database.transaction() as session:
            rows.finish(session, key)
        return False
    known, unreadable = _numbers(context, chunk)
    hashes = {each: find_hashes(context, number) for each, number in known.items()}
    stale = {row.id: hashes[row.id][0] for row in chunk if row.id in hashes and row.recipient_hash != hashes[row.id][0]}
    every = {each for own in hashes.values() for each in own}
    with context.database.transaction(organisations=organisations, recipients=every) as session:
        _move(context, session, set(hashes.values()))
        rows.rewrite(session, stale)
        rows.further(session, key, chunk[-1].id, deliveries=len(chunk), unreadable=unreadable)
    return True


def _rehash_signers(context: Context, organisations: Sequence[uuid.UUID]) -> None:
    """Give the signers of signature requests the present key's hashes, a chunk at a time; safe to repeat.

    They are few beside deliveries, and each knows its number: the walk goes through all of them at its end.
    """
    after: tuple[uuid.UUID, int] | None = None
    while True:
        with context.database.transaction(organisations=organisations) as session:
            chunk = signature_rows.next_signers(session, after, limit=CHUNK)
            for row in chunk:
                with contextlib.suppress(KeyLost, KeyDestroyed):
                    number = person(context, row).number
                    if number is not None:
                        present = find_hashes(context, RecipientId(RecipientKind.CITIZEN, number))[0]
                        signature_rows.rehash(session, row.request_id, row.position, present)
        if not chunk:
            return
        after = (chunk[-1].request_id, chunk[-1].position)


def _move_mandates(context: Context, key: str) -> None:
    """Give mandates the present key's hashes, a chunk at a time; safe to repeat. Each knows both its numbers."""
    after: uuid.UUID | None = None
    while True:
        with context.database.transaction() as session:
            chunk = mandates.to_move(session, key, after, limit=CHUNK)
            for mandate, personal in chunk:
                with contextlib.suppress(KeyLost, KeyDestroyed):
                    sides = sides_of(context, mandate, personal)
                    mandator = find_hashes(context, sides.mandator.recipient)[0]
                    mandatary = find_hashes(context, sides.mandatary.recipient)[0]
                    mandates.move(session, mandate, mandator, mandatary, key)
        if not chunk:
            return
        after = chunk[-1][0]


def follow(context: Context, recipient: RecipientId) -> None:
    """Move the mailbox of somebody who has logged in, where an exchange is under way; else nothing is done."""
    if context.index.former is None:
        return
    hashes = find_hashes(context, recipient)
    with context.database.transaction(recipients=hashes) as session:
        if rows.walk(session, _key(context)) is not None:
            _move(context, session, [hashes])


def standing(context: Context) -> Standing | None:
    """How the exchange stands; None before it was begun to write rows anew.

    Raises:
        Conflict: ``index_not_promoted``, no exchange is under way.
    """
    key = _key(context)
    with context.database.transaction() as session:
        organisations = print_rows.every_organisation(session)
    with context.database.transaction(organisations=organisations) as session:
        walk = rows.walk(session, key)
        if walk is None:
            return None
        return Standing(
            walk.done_at,
            walk.deliveries,
            walk.unreadable,
            rows.mailboxes_left(session, key),
            rows.lookups_before(session, walk.began_at),
            mandates.left(session, key),
        )


def refuse_retiring(context: Context, window: timedelta, *, leave_lookups: bool = False) -> None:
    """See whether anything still needs the former key.

    Args:
        context: the wired parts.
        window: how far back a restore may go: receipts, proposals and a restored database are of the former key.
        leave_lookups: look-ups about people who are nobody's recipient may keep a hash that nobody can find any more.

    Raises:
        Conflict: ``index_needed``, and by what.
    """
    found = standing(context)
    if found is None or found.done_at is None:
        raise _needed("not all deliveries have been gone through: run 'zending keys index re-index' to its end.")
    if found.mailboxes:
        raise _needed(f"{found.mailboxes} mailboxes are still found with it: their owners have not logged in since.")
    if found.mandates:
        raise _needed(f"{found.mandates} mandates wait for their code, two weeks at most: run 're-index' again then.")
    if found.lookups and not leave_lookups:
        raise _needed(f"{found.lookups} look-ups from before are kept: wait until their period is over, or leave them.")
    if (ready := found.done_at + window) > context.clock():
        raise _needed(f"a restore may go back to before: wait until {ready:%Y-%m-%d %H:%M} UTC.")


def _needed(why: str) -> Conflict:
    return Conflict(f"The former index key is needed: {why}", code="index_needed")


def _key(context: Context) -> str:
    if context.index.former is None:
        raise Conflict("No exchange of the index key is under way that has been promoted.", code="index_not_promoted")
    return context.index.name(context.index.writing)


def _numbers(context: Context, chunk: Iterable[DeliveryRow]) -> tuple[dict[uuid.UUID, RecipientId], int]:
    known: dict[uuid.UUID, RecipientId] = {}
    unreadable = 0
    for row in chunk:
        try:
            recipient = open_personal(context, row.personal, row.organisation_id, row.id).recipient
        except (KeyLost, KeyDestroyed):
            unreadable += 1
        else:
            if recipient is not None:
                known[row.id] = recipient
    return known, unreadable


def _move(context: Context, session: Session, recipients: Iterable[tuple[bytes, ...]]) -> None:
    """Move these recipients from the former hash to the present one; in one order, so that two walks only wait."""
    key = _key(context)
    formers = {own[-1]: own[0] for own in recipients}
    found = mailboxes.mailboxes(session, formers)
    for old, new in sorted(formers.items()):
        row = found.get(old)
        sealed = None
        if row is not None:
            raw = open_value(context, row.personal, organisation=PLATFORM, place=f"mailbox.personal:{old.hex()}")
            place = f"mailbox.personal:{new.hex()}"
            sealed = seal_bytes(context, raw, organisation=PLATFORM, year=PLATFORM_YEAR, place=place)
        if rows.move(session, old, new, sealed, key):
            log.info("mailbox_moved", index_key=key)
