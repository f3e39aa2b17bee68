"""A new log after a restore: the old one is closed, and the new one begins with a leaf that names what it follows.

The link is the new log's first entry, the leaf with index 0: canonical JSON of the old log's name, of the newest head
that was ever signed for it (a whole note), and of how far this database's copy goes. So a verifier who has followed the
old log sees which of its heads is the last, and that the new log states it.
"""

import uuid
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from service.db import ledger as table
from service.db import ledger_past as past_table
from service.ledger import checkpoint as checkpoints
from service.ledger import merkle, notes
from service.ledger.checkpoint import Checkpoint
from service.ledger.entry import canonical
from service.ledger.errors import LedgerNotOpened, LedgerStopped, NoteRefused
from service.ledger.head_store import HeadStore
from service.ledger.keys import LogSigner

_NAMESPACE: Final = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


@dataclass(frozen=True, slots=True)
class NewLog:
    """What was opened: its name, the link's bytes, and the last head of the log before."""

    origin: str
    link: bytes
    follows: Checkpoint


def open_new(session: Session, signer: LogSigner, head_store: HeadStore, origin: str) -> NewLog:
    """Close the log of this database and open ``origin``, linked to it; the caller, who is the owner, commits.

    Args:
        session: works with the owner's rights, and nobody else works on the database.
        signer: the keys of the log that is closed.
        head_store: where its last signed head is kept.
        origin: the new log's name; never one that was used before.

    Raises:
        LedgerNotOpened: this database holds no log, or another than ``signer``'s.
        LedgerStopped: ``origin_used``, or ``head_missing``: nothing was ever signed, or not with these keys.
    """
    head = table.head(session)
    if head is None or head.log_origin != signer.origin:
        raise LedgerNotOpened("This database does not hold the log that is to be closed.", why="other_log")
    logs = past_table.logs(session)
    if origin in {signer.origin, *(log.origin for log in logs)}:
        raise LedgerStopped("A log of this name was kept before: choose another.", why="origin_used")
    note, follows = _last(head_store, signer)
    newest = table.newest_checkpoint(session)
    link = canonical(
        {
            "new_log": origin,
            "previous_log": follows.origin,
            "previous_note": note,
            "restored_root": head.root.hex(),
            "restored_size": head.size,
            "type": "zending.log-link.v1",
        }
    )
    past_table.close(
        session,
        past_table.LedgerPast(
            number=len(logs) + 1,
            origin=head.log_origin,
            size=head.size,
            root=head.root,
            signed_size=0 if newest is None else newest.size,
            last_note=note,
            last_size=follows.size,
            next_origin=origin,
            link=link,
        ),
    )
    _begin(session, origin, link)
    return NewLog(origin, link, follows)


def check_link(link: bytes, leaf: bytes, note: str, keys: tuple[notes.VerifierKey, ...]) -> bool:
    """Whether ``leaf`` is the link's leaf hash and the link carries ``note``, signed with the old log's ``keys``."""
    try:
        notes.open_note(note, keys)
    except NoteRefused:
        return False
    quoted = canonical({"note": note})[len(b'{"note":') : -1]
    return merkle.leaf_hash(link) == leaf and quoted in link


def link_id(origin: str) -> uuid.UUID:
    """What stands in the place of an evidence's id for the first leaf of the log ``origin``, if that is a link."""
    return uuid.uuid5(_NAMESPACE, origin)


def _last(head_store: HeadStore, signer: LogSigner) -> tuple[str, Checkpoint]:
    content = head_store.read()
    if content is None:
        raise LedgerStopped("No signed head of this log is kept: there is nothing to link to.", why="head_missing")
    try:
        note = content.decode()
        return note, checkpoints.parse(notes.open_note(note, signer.verifiers).text)
    except (NoteRefused, UnicodeDecodeError) as error:
        raise LedgerStopped("The kept head was not signed with this log's keys.", why="head_missing") from error


def _begin(session: Session, origin: str, link: bytes) -> None:
    leaf = merkle.leaf_hash(link)
    tree = merkle.GrowingTree(0, {})
    tiles = tree.extend([leaf])
    session.add(table.LedgerLeaf(index=0, evidence_id=link_id(origin), leaf_hash=leaf))
    session.flush()
    table.save_tiles(session, tiles)
    session.add(table.LedgerHead(id=1, size=1, root=tree.root(), signed_size=0, log_origin=origin))
    session.flush()
