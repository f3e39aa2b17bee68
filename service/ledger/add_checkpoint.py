"""What a log sends to a witness (C2SP tlog-witness, ``add-checkpoint``): the size before, the proof, the checkpoint."""

import base64
import re
from dataclasses import dataclass

from service.ledger.errors import NoteRefused, ProofRefused
from service.ledger.merkle import HASH_SIZE
from service.ledger.notes import decode_base64

LARGEST = 64 * 1024
"""Bytes of a request or an answer; the specification's longest proof and sixteen signatures have less."""
MAX_HASHES = 63
SIZE_TYPE = "text/x.tlog.size"
"""Content type of a refusal that says which size the witness has cosigned."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """One request: ``note`` continues the tree of ``old`` leaves, as ``proof`` shows."""

    old: int
    proof: tuple[bytes, ...]
    note: str

    def __bytes__(self) -> bytes:
        lines = [f"old {self.old}", *(base64.b64encode(value).decode() for value in self.proof)]
        return ("\n".join(lines) + "\n\n" + self.note).encode()


def parse(body: bytes) -> AddCheckpoint:
    """Read a request.

    Raises:
        ProofRefused: it is not of the specification's form; what the note says is not looked at.
    """
    if len(body) > LARGEST:
        raise ProofRefused("The request is too long.")
    try:
        head, separator, note = body.decode().partition("\n\n")
        first, *lines = head.split("\n")
        proof = tuple(decode_base64(line) for line in lines)
    except (UnicodeDecodeError, NoteRefused) as error:
        raise ProofRefused("A request is text, with hashes in base 64.") from error
    old = _OLD.fullmatch(first)
    if not separator or old is None or len(proof) > MAX_HASHES or any(len(value) != HASH_SIZE for value in proof):
        raise ProofRefused("A request has the old size, at most 63 hashes, an empty line and a checkpoint.")
    return AddCheckpoint(int(old[1]), proof, note)
