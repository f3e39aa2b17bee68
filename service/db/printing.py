"""Queries over letters and print batches. A transaction that handles letters sees all senders: a batch mixes them."""

import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from service.db.base import among
from service.db.models import Organisation, PrintBatch, PrintCutoff, PrintLetter

# One batch is frozen at a time: two that close at once would share letters.
FREEZE_LOCK = 2053467748_20
FORECAST_LOCK = 2053467748_21
_AGAIN: Final = 0.02  # seconds; whoever freezes lets go between two batches
NO_COPY: Final = ""
"""The path of a letter whose copy was let go of; its row only says who lies in an envelope with others."""


def every_organisation(session: Session) -> list[uuid.UUID]:
    """The ids of all organisations."""
    return list(session.scalars(select(Organisation.id)))


def lock_freezing(session: Session, *, seconds: float = 0.0) -> bool:
    """Be the one that freezes batches, until the transaction ends; False when somebody else is, for so long."""
    ends = time.monotonic() + seconds
    while not session.scalar(select(func.pg_try_advisory_xact_lock(FREEZE_LOCK))):
        if time.monotonic() >= ends:
            return False
        time.sleep(_AGAIN)
    return True


def lock_forecasts(session: Session) -> bool:
    """Be the one that tells print houses what waits, until the transaction ends; False when somebody else is."""
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(FORECAST_LOCK))))


def queue(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    """Queue composed letters, each with a number for its sheets' codes; one that is queued already stays as it is."""
    if rows:
        numbers = text("SELECT nextval('print_set') FROM generate_series(1, :count)")
        sets = session.scalars(numbers, {"count": len(rows)})
        given = [dict(row) | {"set_number": number} for row, number in zip(rows, sets, strict=True)]
        session.execute(insert(PrintLetter).on_conflict_do_nothing(), given)


def next_number(session: Session) -> int:
    """A batch number that was never given before."""
    return int(session.scalar(text("SELECT nextval('print_batch_number')")))


def freeze(session: Session, batch: PrintBatch, letters: Sequence[PrintLetter]) -> None:
    """Write a batch and its letters in their order; from here on neither changes."""
    session.add(batch)
    session.flush()
    statement = text(
        """
        UPDATE print_letter SET batch_id = :batch, sequence = given.sequence
        FROM unnest(CAST(:deliveries AS uuid[]), CAST(:legs AS smallint[]), CAST(:attempts AS smallint[]))
             WITH ORDINALITY AS given(delivery_id, leg, attempt, sequence)
        WHERE print_letter.delivery_id = given.delivery_id AND print_letter.leg = given.leg
          AND print_letter.attempt = given.attempt
        """
    )
    session.execute(
        statement,
        {
            "batch": batch.id,
            "deliveries": [letter.delivery_id for letter in letters],
            "legs": [letter.leg for letter in letters],
            "attempts": [letter.attempt for letter in letters],
        },
    )


def letters(session: Session, batch_id: uuid.UUID) -> Sequence[PrintLetter]:
    """The letters of a batch in their order."""
    query = select(PrintLetter).where(PrintLetter.batch_id == batch_id).order_by(PrintLetter.sequence)
    return session.scalars(query).all()


def batch(session: Session, batch_id: uuid.UUID, *, lock: bool = False) -> PrintBatch | None:
    """A batch by id."""
    return session.get(PrintBatch, batch_id, with_for_update=lock, populate_existing=True)


def batches(session: Session, *, limit: int) -> Sequence[PrintBatch]:
    """The newest batches."""
    return session.scalars(select(PrintBatch).order_by(PrintBatch.number.desc()).limit(limit)).all()


@dataclass(frozen=True)
class Content:
    """The bytes of a batch's file: where they are, and what they are of."""

    path: str
    sha256: bytes
    size: int
    pages: int
    sheets: int
    letters: int


def save_content(session: Session, batch_id: uuid.UUID, content: Content) -> bool:
    """Name the bytes of a batch; False when they were named before, or are not of the letters that it has now."""
    result = session.execute(
        update(PrintBatch)
        .where(PrintBatch.id == batch_id, PrintBatch.path.is_(None), PrintBatch.letters == content.letters)
        .values(
            path=content.path,
            sha256=content.sha256,
            size=content.size,
            pages=content.pages,
            sheets=content.sheets,
        )
        .execution_options(synchronize_session=False)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def fix(session: Session, batch_id: uuid.UUID, *, path: str, now: datetime) -> bool:
    """From now on the batch is these bytes, and no letter is taken out; False when it has others, or is held back."""
    result = session.execute(
        update(PrintBatch)
        .where(PrintBatch.id == batch_id, PrintBatch.path == path)
        .where(PrintBatch.held_at.is_(None) | PrintBatch.fixed_at.is_not(None))
        .values(fixed_at=func.coalesce(PrintBatch.fixed_at, now))
        .execution_options(synchronize_session=False)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def forget_content(session: Session, batch_id: uuid.UUID, *, name: str) -> str | None:
    """Have the bytes of a batch made anew, under another name; the path of those that nobody needs any more, if any.

    A batch that is fixed stays as it is.
    """
    found = session.get(PrintBatch, batch_id, with_for_update=True, populate_existing=True)
    if found is None or found.state != "frozen" or found.fixed_at is not None:
        return None
    old, found.file_name = found.path, name
    found.path = found.sha256 = found.size = found.pages = found.sheets = None
    session.flush()
    return old


def take_out(session: Session, delivery: uuid.UUID, leg: int, *, now: datetime) -> tuple[uuid.UUID, str | None] | None:
    """Take the letter of a leg out of its batch, whose bytes are then made anew.

    Returns:
        The batch, and the path of bytes that nobody needs any more; None where it stays, in a batch that is fixed.
    """
    letter = session.scalar(
        select(PrintLetter)
        .where(PrintLetter.delivery_id == delivery, PrintLetter.leg == leg, PrintLetter.batch_id.is_not(None))
        .order_by(PrintLetter.attempt.desc())
        .limit(1)
    )
    if letter is None or letter.batch_id is None:
        return None
    found = session.get(PrintBatch, letter.batch_id, populate_existing=True)
    if found is None or found.state != "frozen" or found.fixed_at is not None:
        # Looked at before it is locked: whoever hands it over locks its letters' deliveries after it.
        return None
    found = session.get(PrintBatch, letter.batch_id, with_for_update=True, populate_existing=True)
    if found is None or found.state != "frozen" or found.fixed_at is not None:
        return None
    # Whoever held the batch may have taken the first letter of this one's envelope, which then has another number.
    session.refresh(letter)
    old = found.path
    found.letters -= 1
    found.path = found.sha256 = found.size = found.pages = found.sheets = None
    if not found.letters:
        found.emptied_at = now
    shared = letter.envelope_set
    session.delete(letter)
    session.flush()
    if shared is not None:
        left = inside(session, found.id, shared)
        for each in left:
            # Numbered by its first letter, or the only one that is left in it.
            each.envelope_set = left[0].set_number if len(left) > 1 else None
        session.flush()
    return found.id, old


def inside(session: Session, batch_id: uuid.UUID, number: int) -> Sequence[PrintLetter]:
    """The letters of a batch that share the envelope with this set number, in their order."""
    query = select(PrintLetter).where(PrintLetter.batch_id == batch_id, PrintLetter.envelope_set == number)
    return session.scalars(query.order_by(PrintLetter.sequence)).all()


def mark(session: Session, batch_id: uuid.UUID, state: str, *, now: datetime, place: str | None = None) -> None:
    """Say that a batch was uploaded, and where, or handed over."""
    column = {"uploaded": PrintBatch.uploaded_at, "handed_over": PrintBatch.handed_over_at}[state]
    session.execute(
        update(PrintBatch)
        .where(PrintBatch.id == batch_id)
        .values(
            {
                PrintBatch.state: state,
                PrintBatch.place: func.coalesce(PrintBatch.place, place),
                column: func.coalesce(column, now),
            }
        )
        .execution_options(synchronize_session=False)
    )


def withdraw(session: Session, deliveries: Collection[uuid.UUID]) -> None:
    """Letters of cancelled deliveries leave the queue; those in a batch can't."""
    session.execute(
        text("DELETE FROM print_letter WHERE batch_id IS NULL AND delivery_id = ANY(CAST(:ids AS uuid[]))"),
        {"ids": list(deliveries)},
    )


def take_cutoff(session: Session, provider: str, *, now: datetime, next_at: datetime) -> bool:
    """Whether a cut-off has come; if so the next one is set, so that only one scheduler acts on it."""
    session.execute(insert(PrintCutoff).values(provider=provider, next_at=next_at).on_conflict_do_nothing())
    result = session.execute(
        update(PrintCutoff)
        .where(PrintCutoff.provider == provider, PrintCutoff.next_at <= now)
        .values(next_at=next_at)
        .execution_options(synchronize_session=False)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def newest(session: Session, delivery: uuid.UUID, leg: int) -> PrintLetter | None:
    """The last attempt at a letter whose copy is kept, locked until the transaction ends."""
    query = select(PrintLetter).where(PrintLetter.delivery_id == delivery, PrintLetter.leg == leg)
    query = query.where(PrintLetter.path != NO_COPY)
    return session.scalar(
        query.order_by(PrintLetter.attempt.desc()).limit(1).with_for_update().execution_options(populate_existing=True)
    )


def newest_of(
    session: Session, deliveries: Collection[uuid.UUID]
) -> dict[tuple[uuid.UUID, int], tuple[PrintLetter, PrintBatch | None]]:
    """The last attempt at each letter of these deliveries, with its batch if it is in one; by delivery and leg."""
    query = (
        select(PrintLetter, PrintBatch)
        .outerjoin(PrintBatch, PrintBatch.id == PrintLetter.batch_id)
        .where(among(PrintLetter.delivery_id, deliveries))
        .order_by(PrintLetter.attempt)
    )
    return {(letter.delivery_id, letter.leg): (letter, batch) for letter, batch in session.execute(query)}


def queue_again(session: Session, letter: PrintLetter, *, reason: str, now: datetime) -> None:
    """Queue the same copy as the next attempt, under a number of its own."""
    same = ("delivery_id", "leg", "organisation_id", "product", "path", "sha256", "pages", "sheets", "grams", "size",
            "postcode", "postage_cents", "address_mode", "mail_id", "registered_number")  # fmt: skip
    row = {name: getattr(letter, name) for name in same}
    queue(session, [row | {"attempt": letter.attempt + 1, "queued_at": now, "reprint_reason": reason}])


def numbered(session: Session, number: int) -> PrintBatch | None:
    """A batch by its number, locked until the transaction ends."""
    query = select(PrintBatch).where(PrintBatch.number == number)
    return session.scalar(query.with_for_update().execution_options(populate_existing=True))


def forget(session: Session, deliveries: Collection[uuid.UUID]) -> None:
    """Remove the rows of letters that were handed over, and whose copies go.

    Where another letter that is kept lies in the same envelope the row stays as long as that one, for what is said of
    the envelope: without copy, postcode and the post's number. The last one's end is the end of all.
    """
    if not deliveries:
        return
    mine, shared = among(PrintLetter.delivery_id, deliveries), PrintLetter.envelope_set
    alone = shared.is_(None) | PrintLetter.batch_id.is_(None)
    session.execute(delete(PrintLetter).where(mine, alone).execution_options(synchronize_session=False))
    envelopes = set(session.scalars(select(shared).where(mine)))
    if not envelopes:
        return
    # Locked before anything is looked at: of two that end at the same time each would else think the other is kept.
    in_order = (PrintLetter.delivery_id, PrintLetter.leg, PrintLetter.attempt)
    session.execute(select(*in_order).where(among(shared, envelopes)).order_by(*in_order).with_for_update())
    session.execute(
        update(PrintLetter)
        .where(mine)
        .values(path=NO_COPY, postcode="", mail_id=None)
        .execution_options(synchronize_session=False)
    )
    kept = set(session.scalars(select(shared).where(among(shared, envelopes), PrintLetter.path != NO_COPY)))
    session.execute(
        delete(PrintLetter).where(among(shared, envelopes - kept)).execution_options(synchronize_session=False)
    )
