"""How the folder key ring names and writes its keys, and what it says when one is not to be had."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from service.vault.errors import KeyDestroyed, KeyLost, KeyRingUnreachable, KeyUnknown
from service.vault.keyring.base import MATERIAL_BYTES

FORMAT: Final = 1
ID: Final = re.compile(r"[a-z2-7]{16}")
INDEX, INDEX_NEXT, INDEX_FORMER = INDEX_NAMES = ("index", "index-next", "index-former")
_YEARS: Final = range(2000, 10_000)


@dataclass(frozen=True)
class Line:
    """The line of generations of one organisation and year."""

    organisation: UUID
    year: int

    def id(self, generation: int) -> str:
        """80 bits of a hash: short enough to stand beside every encrypted column, and no name of a file to guess."""
        text = f"zending key|{self.organisation}|{self.year}|{generation}"
        return base64.b32encode(hashlib.sha256(text.encode()).digest()[:10]).decode().lower()


def line_of(organisation: UUID, year: int) -> Line:
    """The line of an organisation and year; `ValueError` for what is no year."""
    if year not in _YEARS:
        raise ValueError(f"{year} is no year of retention")
    return Line(organisation, year)


def material_in(text: bytes, name: str) -> bytes | None:
    """The key in the text of ``<name>.key``; None where the text is damaged or belongs to another name."""
    try:
        facts = json.loads(text)
        material = base64.b64decode(facts["material"], validate=True)
        if name in INDEX_NAMES:
            named = facts["use"] == INDEX
        else:
            named = name == Line(UUID(facts["organisation"]), facts["year"]).id(facts["generation"])
        whole = facts["format"] == FORMAT and facts["check"] == check_of(material)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return material if named and whole and len(material) == MATERIAL_BYTES else None


def check_of(material: bytes) -> str:
    """Tells a torn or edited file from a whole one; says nothing about 256 random bits."""
    return hashlib.sha256(b"zending key check|" + material).hexdigest()[:16]


def unknown(key_id: str) -> KeyUnknown:
    """The error for a key that was never here."""
    # Shown only when it has the shape of an id: damaged bytes do not belong in a log.
    shown = key_id if ID.fullmatch(key_id) else "malformed"
    return KeyUnknown("The key of this content is not in the key ring.", context={"key": shown})


def lost(key_id: str) -> KeyLost:
    """The error for a key that was made and is gone."""
    return KeyLost("The key of this content is lost; it may be in a backup of the keys.", context={"key": key_id})


def destroyed(key_id: str) -> KeyDestroyed:
    """The error for a key that was destroyed."""
    return KeyDestroyed("The key of this content was destroyed.", context={"key": key_id})


def unreachable(error: OSError) -> KeyRingUnreachable:
    """The error for a folder that can't be read or written."""
    return KeyRingUnreachable(
        "The key ring cannot be reached at this moment.", context={"cause": os.strerror(error.errno or 0)}
    )
