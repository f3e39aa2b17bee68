"""Where the record stands in the log, read from what proves it."""

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from asn1crypto import cms

from service.ledger import checkpoint, notes
from service.ledger.verify import check_token

# By the bytes of a signature: Ed25519 alone and with a time before it, ML-DSA-44 with a time before it.
_KINDS: Final = {64: "Ed25519", 72: "Ed25519", 2428: "ML-DSA-44"}


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the time-stamp token says: the moment, and the authority by its certificate's name."""

    at: datetime
    authority: str


@dataclass(frozen=True, slots=True)
class Place:
    """The checkpoint that covers the record.

    Attributes:
        origin: the log.
        size: records under the checkpoint.
        root: root hash, base 64.
        keys: who signed, as name, key id and kind.
        stamp: None while no token covers it.
    """

    origin: str
    size: int
    root: str
    keys: tuple[str, ...]
    stamp: Stamp | None


def place(note: str, token: str | None) -> Place:
    """Read a signed checkpoint and its token (base 64 of DER).

    Raises:
        NoteRefused, ValueError: what is kept is damaged; a page must not say otherwise.
    """
    text, signatures = notes.split(note)
    head = checkpoint.parse(text)
    return Place(
        origin=head.origin,
        size=head.size,
        root=text.split("\n")[2],
        keys=tuple(_key(signature) for signature in signatures),
        stamp=None if token is None else _stamp(base64.b64decode(token), text),
    )


def _key(signature: notes.Signature) -> str:
    kind = _KINDS.get(len(signature.value))
    return f"{signature.name}+{signature.key_id.hex()}" + (f" ({kind})" if kind else "")


def _stamp(token: bytes, text: str) -> Stamp:
    # The page states this time, so the token is checked as any verifier would; only trust is left to the reader.
    check_token(token, text, [])
    signed = cms.ContentInfo.load(token)["content"]
    serial = signed["signer_infos"][0]["sid"].chosen["serial_number"].native
    names = [found.chosen.subject for found in signed["certificates"] if found.chosen.serial_number == serial]
    authority = names[0].native.get("common_name") or names[0].human_friendly
    return Stamp(signed["encap_content_info"]["content"].parsed["gen_time"].native, str(authority))
