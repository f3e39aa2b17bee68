"""From pending leaves to published checkpoints.

Order of storing, and why a crash between any two steps is harmless:

1. ``append`` writes the pending leaf in the transaction that makes the legal step true.
2. ``sequence`` moves committed pending leaves into the log, with tiles and head, in one transaction. Nothing is signed.
3. ``publish`` reads the committed head, proves that it continues the last signed one, signs exactly it, writes the note
   to the head store, and only then commits it as a checkpoint. Crash before the head store: the next call signs again
   (same tree). Crash after it: the next call finds the stored note ahead of the checkpoints and commits that very note.
"""

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from service.db import ledger as table
from service.ledger import checkpoint as checkpoints
from service.ledger import merkle, notes
from service.ledger.checkpoint import Checkpoint
from service.ledger.errors import LedgerForked, LedgerNotOpened, LedgerRaced, NoteRefused, ProofRefused
from service.ledger.head_store import HeadStore
from service.ledger.keys import LogSigner

SessionFactory = Callable[[], Session]
"""Makes a session that is used as a context manager (a ``sessionmaker``)."""


@dataclass(frozen=True, slots=True)
class Tick:
    """What one round did: leaves that got their place, and the checkpoint if one was published."""

    sequenced: int
    checkpoint: Checkpoint | None


def open_log(session: Session, origin: str) -> None:
    """Begin the log ``origin`` with an empty tree, if it has not begun. Safe to repeat.

    Raises:
        LedgerNotOpened: another log lives in this database.
    """
    table.create_head(session, root=merkle.EMPTY_ROOT, log_origin=origin)
    _head_of(session, origin)


def append(session: Session, leaves: Iterable[tuple[uuid.UUID, bytes]]) -> None:
    """Queue ``(evidence_id, leaf_hash)`` in the caller's transaction; safe to repeat for the same evidence."""
    table.put_pending(session, leaves)


def sequence(session: Session, *, limit: int = 5000) -> int:
    """Give committed pending leaves their place in the log; the caller commits.

    Returns:
        The number of leaves that got a place; 0 when none waits or another sequencer is at work.

    Raises:
        LedgerNotOpened: there is no head yet.
        LedgerRaced: another sequencer moved the head in spite of the lock; roll back.
    """
    if not table.try_lock(session, table.SEQUENCER_LOCK):
        return 0
    head = table.head(session)
    if head is None:
        raise LedgerNotOpened("The log is not opened in this database.", why="not_opened")
    leaves = table.move_pending(session, size=head.size, limit=limit)
    if not leaves:
        return 0
    tree = merkle.GrowingTree(head.size, table.tiles(session, merkle.edge_tiles(head.size)))
    table.save_tiles(session, tree.extend(leaves))
    if not table.move_head(session, head, size=tree.size, root=tree.root()):
        raise LedgerRaced("Another sequencer was first.")
    return len(leaves)


def publish(
    session_factory: SessionFactory, signer: LogSigner, head_store: HeadStore, now: datetime
) -> Checkpoint | None:
    """Sign the committed head if it is new, keep it in the head store, and publish it as a checkpoint.

    Safe to repeat and to run twice at once. Durable once it returns.

    Returns:
        The checkpoint, or None when the newest one stands or another publisher is at work.

    Raises:
        LedgerForked: the head does not continue what was signed before; nothing was signed.
        LedgerNotOpened: there is no head yet, or it is another log's.
    """
    with session_factory() as session:
        if not table.try_lock(session, table.PUBLISHER_LOCK):
            return None
        head = _head_of(session, signer.origin)
        stored = stored_head(head_store, signer)
        newest = table.newest_checkpoint(session)
        _refuse_fork(session, head, stored, newest)
        if stored is not None and (newest is None or newest.size < stored.checkpoint.size):
            # A crash came between head store and commit: what was signed then is published now, as of then.
            found, note, now = stored.checkpoint, stored.note, stored.at
        elif newest is not None and newest.size == head.size:
            return None
        else:
            found = Checkpoint(head.log_origin, head.size, head.root)
            note = signer.sign(found, at=now)
            head_store.write(note.encode())
        table.add_checkpoint(session, size=found.size, root=found.root, note=note, at=now)
        table.mark_signed(session, found.size)
        session.commit()
        return found


def tick(
    session_factory: SessionFactory,
    signer: LogSigner,
    head_store: HeadStore,
    now: datetime,
    *,
    limit: int = 5000,
) -> Tick:
    """One round of the loop that its caller runs every second: open, check, sequence, publish.

    A caller that finds ``sequenced == limit`` goes on at once: more leaves wait.

    Raises:
        LedgerForked: as ``publish``; then nothing is sequenced either, so that a new log can take what waits.
    """
    with session_factory() as session:
        open_log(session, signer.origin)
        _refuse_fork(
            session, _head_of(session, signer.origin), stored_head(head_store, signer), table.newest_checkpoint(session)
        )
        sequenced = sequence(session, limit=limit)
        session.commit()
    return Tick(sequenced, publish(session_factory, signer, head_store, now))


def adopt(session_factory: SessionFactory, signer: LogSigner, head_store: HeadStore) -> Checkpoint | None:
    """An operator's word that the head store was lost and the database is not restored: fill it from the database.

    Does nothing where the store has a head. Returns the adopted checkpoint.
    """
    with session_factory() as session:
        newest = table.newest_checkpoint(session)
        if newest is None or head_store.read() is not None:
            return None
        found = checkpoints.parse(notes.open_note(newest.note, signer.verifiers).text)
        head_store.write(newest.note.encode())
        return found


def _head_of(session: Session, origin: str) -> table.Head:
    head = table.head(session)
    if head is None:
        raise LedgerNotOpened("The log is not opened in this database.", why="not_opened")
    if head.log_origin != origin:
        raise LedgerNotOpened("This database holds the log of another origin.", why="other_log")
    return head


@dataclass(frozen=True, slots=True)
class StoredNote:
    """The last signed head, outside the database; ``at`` is when it was signed."""

    checkpoint: Checkpoint
    note: str
    at: datetime


def stored_head(head_store: HeadStore, signer: LogSigner) -> StoredNote | None:
    """The last signed head, which our own keys must have signed.

    Raises:
        LedgerForked: they have not.
    """
    content = head_store.read()
    if content is None:
        return None
    try:
        note = content.decode()
        opened = notes.open_note(note, signer.verifiers)
        found, (at,) = checkpoints.parse(opened.text), [each.at for each in opened.verified if each.at is not None]
    except (NoteRefused, ValueError) as error:
        raise LedgerForked(
            "The head kept outside the database was not signed with this log's keys; nothing will be signed until the "
            "right head is put back.",
            why="foreign_head",
        ) from error
    return StoredNote(found, note, at)


def _refuse_fork(
    session: Session,
    head: table.Head,
    stored: StoredNote | None,
    newest: table.StoredCheckpoint | None,
) -> None:
    """Check that the head continues both the stored head and the newest checkpoint."""
    if stored is None and newest is not None:
        raise LedgerForked(
            "The head kept outside the database is missing, though checkpoints were published: put it back, or adopt "
            "the database's newest checkpoint if the database is certainly not a restored one.",
            why="head_missing",
        )
    signed = [(newest.size, newest.root)] if newest is not None else []
    if stored is not None:
        signed.append((stored.checkpoint.size, stored.checkpoint.root))
    for size, root in sorted(set(signed)):
        _check_continues(session, head, size, root)


def _check_continues(session: Session, head: table.Head, size: int, root: bytes) -> None:
    context = {"head_size": str(head.size), "signed_size": str(size)}
    if head.size < size:
        raise LedgerForked(
            f"The database holds {head.size} leaves, but a tree of {size} was signed: it was restored to an earlier "
            "state. Nothing will be signed; open a new log and link it to this one.",
            why="restored_behind",
            context=context,
        )
    ranges = merkle.consistency_ranges(size, head.size)
    tiles = table.tiles(session, merkle.tiles_of(ranges))
    try:
        proof = merkle.consistency_proof(size, head.size, tiles)
        merkle.verify_consistency(size, root, head.size, head.root, proof)
    except ProofRefused as error:
        raise LedgerForked(
            "The log in the database does not continue the one that was signed before. Nothing will be signed; open a "
            "new log and link it to this one.",
            why="inconsistent",
            context=context,
        ) from error
