"""Everything the ledger rests on, read as streams: no more than a chunk of rows is in memory at a time."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from typing import Any, Final, NamedTuple, Self

from sqlalchemy import Executable, func, literal, select, text, union_all
from sqlalchemy.orm import Session

from service.db import ledger_past
from service.db.ledger import CHECKPOINT, LedgerCheckpoint, LedgerLeaf, LedgerTile, StoredCheckpoint
from service.db.ledger_cosignatures import LedgerCosignature
from service.db.models import DocumentRow
from service.db.signatures import SignatureDocument, SignatureRequestRow

_CHUNK: Final = 500
# One moment for everything that is read, and no patience limits made for requests.
_SNAPSHOT: Final = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL idle_in_transaction_session_timeout = 0",
)


class Stored(NamedTuple):
    """An evidence row of a delivery or of a signature request, and where its leaf is.

    Attributes:
        subject: the delivery or request.
        leg: the leg, or the signer's position.
        logged: the leaf in the log, else the one in a closed log, else the one that waits; None where there is none.
    """

    subject: uuid.UUID
    id: uuid.UUID
    organisation_id: uuid.UUID
    leg: int
    event: str
    attempt: int
    at: datetime
    record: bytes
    salt: bytes
    leaf_hash: bytes
    logged: bytes | None


class Document(NamedTuple):
    """A document that is kept still: its own row, and where its bytes are in the vault."""

    subject: uuid.UUID
    organisation_id: uuid.UUID
    role: str
    sha256: bytes
    submitted_sha256: bytes
    path: str


_LOGGED = """
    coalesce(l.leaf_hash, (SELECT leaf_hash FROM ledger_past_leaf p JOIN ledger_past q ON q.number = p.number
                           WHERE p.evidence_id = e.id AND p.index < q.signed_size ORDER BY p.number LIMIT 1),
             w.leaf_hash) AS logged
"""
_EVIDENCE = text(
    f"""
    SELECT e.delivery_id, e.id, e.organisation_id, e.leg, e.event, e.attempt, e.at, e.record, e.salt, e.leaf_hash,
           {_LOGGED}
    FROM evidence e LEFT JOIN ledger_leaf l ON l.evidence_id = e.id LEFT JOIN ledger_pending w ON w.evidence_id = e.id
    ORDER BY e.delivery_id, e.id
    """  # noqa: S608  nothing of it is from outside
)
_ACTS = text(
    f"""
    SELECT e.request_id, e.id, e.organisation_id, e.position, e.event, 1, e.at, e.record, e.salt, e.leaf_hash,
           {_LOGGED}
    FROM signature_evidence e LEFT JOIN ledger_leaf l ON l.evidence_id = e.id
         LEFT JOIN ledger_pending w ON w.evidence_id = e.id
    ORDER BY e.request_id, e.id
    """  # noqa: S608  nothing of it is from outside
)
_WITHOUT = text(
    """
    SELECT l.index, l.evidence_id
    FROM (SELECT index, evidence_id FROM ledger_leaf UNION ALL SELECT NULL, evidence_id FROM ledger_pending) l
    WHERE NOT EXISTS (SELECT FROM evidence e WHERE e.id = l.evidence_id)
      AND NOT EXISTS (SELECT FROM signature_evidence e WHERE e.id = l.evidence_id)
    ORDER BY l.index
    """
)


class Reading:
    """Reads one moment of the database, of which nothing was asked yet in this transaction; closed by ``with``."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open = ExitStack()

    def __enter__(self) -> Self:
        for statement in _SNAPSHOT:
            self._session.execute(text(statement))
        return self

    def __exit__(self, *_given: object) -> None:
        self._open.close()

    def leaves(self, past: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Index and hash of every leaf, by index: of the log, or of the closed log with this number."""
        leaf = ledger_past.LedgerPastLeaf
        query = select(LedgerLeaf.index, LedgerLeaf.leaf_hash).order_by(LedgerLeaf.index)
        if past is not None:
            query = select(leaf.index, leaf.leaf_hash).where(leaf.number == past).order_by(leaf.index)
        return ((row[0], row[1]) for row in self._stream(query))

    def checkpoints(self, past: int | None = None) -> Iterator[StoredCheckpoint]:
        """Every checkpoint, by size: of the log, or of the closed log with this number."""
        row = ledger_past.LedgerPastCheckpoint
        query: Executable = select(*CHECKPOINT).order_by(LedgerCheckpoint.size)
        if past is not None:
            columns = (row.size, row.root, row.note, row.at, row.timestamp_token)
            query = select(*columns).where(row.number == past).order_by(row.size)
        return (StoredCheckpoint(*found) for found in self._stream(query))

    def cosignatures(self, size: int) -> Sequence[LedgerCosignature]:
        """What witnesses signed under one checkpoint."""
        query = select(LedgerCosignature).where(LedgerCosignature.size == size).order_by(LedgerCosignature.key)
        return self._session.scalars(query).all()

    def tile_count(self, past: int | None = None) -> int:
        """How many tiles there are."""
        tile = ledger_past.LedgerPastTile
        query = select(func.count()).select_from(LedgerTile)
        if past is not None:
            query = select(func.count()).select_from(tile).where(tile.number == past)
        return self._session.scalar(query) or 0

    def evidence(self) -> Iterator[Stored]:
        """Every evidence of deliveries, by delivery and id."""
        return (Stored(*row) for row in self._stream(_EVIDENCE))

    def acts(self) -> Iterator[Stored]:
        """Every evidence of signature requests, by request and id."""
        return (Stored(*row) for row in self._stream(_ACTS))

    def leaves_without_evidence(self) -> Iterator[tuple[int | None, uuid.UUID]]:
        """Index (None while it waits) and evidence id of every leaf whose evidence is not there (any more)."""
        return ((row[0], row[1]) for row in self._stream(_WITHOUT))

    def documents(self) -> Iterator[Document]:
        """Every document of deliveries that was not erased, by delivery and position."""
        row = DocumentRow
        query = select(row.delivery_id, row.organisation_id, row.sealed, row.position, row.sha256, row.submitted_sha256,
                       row.path).where(row.erased_at.is_(None)).order_by(row.delivery_id, row.position)  # fmt: skip
        return (
            Document(found[0], found[1], f"{'sealed' if found[2] else 'original'}-{found[3]}", *found[4:])
            for found in self._stream(query)
        )

    def requested(self) -> Iterator[Document]:
        """Every document of signature requests that was not erased, by request and position."""
        first, more = SignatureRequestRow, SignatureDocument
        columns = [
            (each.organisation_id, each.role, each.sha256, each.submitted_sha256, each.path) for each in (first, more)
        ]
        every = union_all(
            select(first.id.label("subject"), literal(0).label("position"), *columns[0]).where(
                first.content_erased_at.is_(None)
            ),
            select(more.request_id, more.position, *columns[1])
            .join(first, first.id == more.request_id)
            .where(first.content_erased_at.is_(None)),
        ).order_by("subject", "position")
        return (Document(found[0], *found[2:]) for found in self._stream(every))

    def _stream(self, query: Executable) -> Iterator[tuple[Any, ...]]:
        found = self._session.execute(query, execution_options={"yield_per": _CHUNK})
        self._open.callback(found.close)
        return (tuple(row) for row in found)
