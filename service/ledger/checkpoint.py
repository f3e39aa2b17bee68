"""Checkpoints (C2SP tlog-checkpoint): origin, size and root of the log as the text of a signed note."""

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from service.ledger.errors import NoteRefused

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_ROOT = 32


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head of the log ``origin`` (an address without its scheme)."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The three lines that are signed; its SHA-256 is what time-stamp tokens cover."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @property
    def digest(self) -> bytes:
        """SHA-256 of the text, the imprint of its RFC 3161 token."""
        return sha256(self.text.encode()).digest()


def parse(text: str) -> Checkpoint:
    """Read a checkpoint's text. Lines after the third are refused: ours has none, and ML-DSA would not cover them.

    Raises:
        NoteRefused: it is not a checkpoint.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:  # noqa: PLR2004  three lines, each with its newline
        raise NoteRefused("A checkpoint has three lines: origin, size, root.")
    if not _SIZE.fullmatch(lines[1]):
        raise NoteRefused("A checkpoint's size is a decimal number.")
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteRefused("A checkpoint's root is base 64.") from error
    found = Checkpoint(lines[0], int(lines[1]), root)
    if len(root) != _ROOT or found.text != text:
        raise NoteRefused("A checkpoint's root has 32 bytes in canonical base 64.")
    return found
