"""Proof files (``c2sp.org/tlog-proof@v1``): index, inclusion hashes and the signed checkpoint in one text."""

import base64
import re
from dataclasses import dataclass

from service.ledger.errors import NoteRefused, ProofRefused
from service.ledger.merkle import HASH_SIZE
from service.ledger.notes import decode_base64

_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MAX_HASHES = 63


@dataclass(frozen=True, slots=True)
class TlogProof:
    """A proof that can be checked offline; ``checkpoint`` is the signed note, verbatim."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def __str__(self) -> str:
        lines = [_HEADER]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(value).decode() for value in self.hashes]
        return "\n".join(lines) + "\n\n" + self.checkpoint


def parse(text: str) -> TlogProof:
    """Read a proof file.

    Raises:
        ProofRefused: it is not of the form the specification gives.
    """
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or lines.pop(0) != _HEADER:
        raise ProofRefused("A proof file starts with its version line and ends with a checkpoint.")
    try:
        extra = decode_base64(lines.pop(0).removeprefix("extra ")) if lines and lines[0].startswith("extra ") else None
        index = _INDEX.fullmatch(lines.pop(0)) if lines else None
        hashes = tuple(decode_base64(line) for line in lines)
    except NoteRefused as error:
        raise ProofRefused("A proof file holds base 64.") from error
    if index is None or len(hashes) > _MAX_HASHES or any(len(value) != HASH_SIZE for value in hashes):
        raise ProofRefused("A proof file holds an index and hashes of 32 bytes.")
    return TlogProof(int(index[1]), hashes, checkpoint, extra)
