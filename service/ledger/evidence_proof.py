"""What is handed out with an evidence record: its place in the log and the proof of it."""

import base64
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.db import ledger as table
from service.db import ledger_cosignatures as cosignatures
from service.db import ledger_past as past_table
from service.db import ledger_proofs
from service.ledger import merkle
from service.ledger import tiles as tile_paths
from service.ledger.proof import TlogProof
from service.ledger.tiles import TilePath


@dataclass(frozen=True, slots=True)
class PublishedProof:
    """A leaf, its proof file, and the checkpoint (a signed note) that the proof leads to."""

    log_index: int
    leaf_hash: bytes
    proof_text: str
    checkpoint_note: str
    timestamp_token: bytes | None


def proof_for(session: Session, evidence_id: uuid.UUID) -> PublishedProof | None:
    """The proof against the earliest time-stamped checkpoint that covers the leaf, else against the newest checkpoint.

    Returns:
        None until a signed checkpoint covers the leaf.
    """
    found = ledger_proofs.place(session, evidence_id)
    past = past_table.leaf(session, evidence_id) if found.past else None
    if past is not None:
        return _past_proof(session, past)
    index, checkpoint = found.index, found.checkpoint
    if index is None or checkpoint is None or checkpoint.size <= index:
        return None
    ranges = merkle.inclusion_ranges(index, checkpoint.size)
    hashes = merkle.inclusion_proof(index, checkpoint.size, table.tiles(session, merkle.tiles_of(ranges)))
    # What we hand out must hold: a damaged tile is our failure, not the verifier's surprise.
    merkle.verify_inclusion(found.leaf_hash, index, checkpoint.size, checkpoint.root, hashes)
    note = checkpoint.note + found.cosignatures
    return PublishedProof(
        index, found.leaf_hash, str(TlogProof(index, tuple(hashes), note)), note, checkpoint.timestamp_token
    )


def _past_proof(session: Session, past: past_table.PastLeaf) -> PublishedProof | None:
    """The proof in a log that was closed: against its own checkpoints, under its own name."""
    checkpoint = past_table.checkpoint(session, past.number, covering=past.index)
    if checkpoint is None:
        return None
    ranges = merkle.inclusion_ranges(past.index, checkpoint.size)
    tiles = past_table.tiles(session, past.number, merkle.tiles_of(ranges))
    hashes = merkle.inclusion_proof(past.index, checkpoint.size, tiles)
    merkle.verify_inclusion(past.leaf_hash, past.index, checkpoint.size, checkpoint.root, hashes)
    proof = TlogProof(past.index, tuple(hashes), checkpoint.note)
    return PublishedProof(past.index, past.leaf_hash, str(proof), checkpoint.note, checkpoint.timestamp_token)


def published(session: Session, evidence_ids: Collection[uuid.UUID]) -> frozenset[uuid.UUID]:
    """Those of ``evidence_ids`` that a signed checkpoint covers: one query for a whole list."""
    here = table.published(session, evidence_ids)
    return here | past_table.published(session, set(evidence_ids) - here) if len(here) < len(evidence_ids) else here


def document(
    record: Mapping[str, object], salt: bytes, leaf_hash: bytes, proof: PublishedProof | None
) -> dict[str, object]:
    """One evidence as it leaves the service and as ``verify.py`` reads it; the proof's fields are None until published.

    Args:
        record: the evidence record, with its ``event_key``.
        salt: the record's salt.
        leaf_hash: the leaf hash as it was appended.
        proof: what ``proof_for`` gave.
    """
    token = proof.timestamp_token if proof else None
    return {
        "record": dict(record),
        "salt": salt.hex(),
        "leaf_hash": leaf_hash.hex(),
        "log_index": proof.log_index if proof else None,
        "proof": proof.proof_text if proof else None,
        "checkpoint": proof.checkpoint_note if proof else None,
        "timestamp_token": base64.b64encode(token).decode() if token else None,
    }


def newest_note(session: Session) -> str | None:
    """The newest signed checkpoint, as ``/ledger/checkpoint`` serves it: with the cosignatures there are by now."""
    found = table.newest_checkpoint(session)
    return None if found is None else found.note + cosignatures.lines(session, found.size)


def tile(session: Session, wanted: TilePath) -> bytes | None:
    """The bytes of a tile below ``/ledger/``, or None when no signed checkpoint covers it."""
    head = table.head(session)
    if head is None or not tile_paths.is_published(wanted, head.signed_size):
        return None
    found = table.tiles(session, [(wanted.level, wanted.number)]).get((wanted.level, wanted.number), b"")
    return found[: wanted.width * merkle.HASH_SIZE] or None
