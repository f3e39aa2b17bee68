"""One question for all that a proof needs beside the tree's hashes: its time is mostly that of its questions."""

import uuid
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from service.db.ledger import StoredCheckpoint


@dataclass(frozen=True, slots=True)
class Place:
    """Where an evidence's leaf is, and the checkpoint that proves it.

    Attributes:
        past: a log that was closed holds it, maybe: ask there first.
        index: None until it has its place in the present log.
        checkpoint: the earliest time-stamped one that covers the leaf, else the newest; None before the first.
        cosignatures: what witnesses signed under that checkpoint, as it stands under the note.
    """

    past: bool
    index: int | None
    leaf_hash: bytes
    checkpoint: StoredCheckpoint | None
    cosignatures: str


_PLACE = text(
    """
    SELECT EXISTS (SELECT FROM ledger_past_leaf p WHERE p.evidence_id = :id) AS past,
           l.index AS leaf_index, l.leaf_hash, c.size, c.root, c.note, c.at, c.timestamp_token,
           (SELECT string_agg(s.line, '' ORDER BY s.key) FROM ledger_cosignature s WHERE s.size = c.size) AS lines
    FROM (SELECT 1) AS one
    LEFT JOIN ledger_leaf l ON l.evidence_id = :id
    LEFT JOIN LATERAL (
        (SELECT size, root, note, at, timestamp_token FROM ledger_checkpoint
         WHERE size > l.index AND timestamp_token IS NOT NULL ORDER BY size LIMIT 1)
        UNION ALL
        (SELECT size, root, note, at, timestamp_token FROM ledger_checkpoint ORDER BY size DESC LIMIT 1)
        LIMIT 1
    ) c ON l.index IS NOT NULL
    """
)


def place(session: Session, evidence_id: uuid.UUID) -> Place:
    """Where the evidence's leaf is."""
    row = session.execute(_PLACE, {"id": evidence_id}).one()
    checkpoint = None
    if row.size is not None:
        checkpoint = StoredCheckpoint(row.size, bytes(row.root), row.note, row.at, row.timestamp_token)
    return Place(row.past, row.leaf_index, bytes(row.leaf_hash or b""), checkpoint, row.lines or "")
