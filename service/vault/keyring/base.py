"""What a key ring must do, whichever outside party keeps the keys.

Every implementation passes ``tests/contract/test_key_rings.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MATERIAL_BYTES: Final = 32
"""Length of every key: AES-256 and HMAC-SHA-256 alike."""

CACHE_MAX_AGE_SECONDS: Final = 60.0
"""How long a process may go on using a key without asking its keeper again."""

Clock = Callable[[], float]
"""Seconds of a monotonic clock."""


@dataclass(frozen=True)
class KeyEncryptionKey:
    """A key-encryption key: never used on content itself, only to derive keys for one purpose each.

    Attributes:
        id: name of the key, 1 to 255 ASCII characters; stands in clear beside everything that the key protects.
        material: 32 secret bytes; kept out of ``repr``.
    """

    id: str
    material: bytes = field(repr=False)
    _ciphers: dict[bytes, AESGCM] = field(default_factory=dict, init=False, repr=False, compare=False)

    def cipher(self, purpose: bytes) -> AESGCM:
        """AES-256-GCM under the key derived for ``purpose`` (HKDF-SHA-256, RFC 5869, empty salt).

        Derived keys are kept inside this object, so that they leave the process together with it.
        """
        found = self._ciphers.get(purpose)
        if found is None:
            derived = HKDF(algorithm=SHA256(), length=MATERIAL_BYTES, salt=None, info=purpose).derive(self.material)
            found = self._ciphers[purpose] = AESGCM(derived)
        return found


@dataclass(frozen=True)
class IndexKeys:
    """The index key that is written with, and those beside it while it is exchanged; 32 secret bytes each."""

    writing: bytes = field(repr=False)
    next: bytes | None = field(default=None, repr=False)
    former: bytes | None = field(default=None, repr=False)

    @property
    def others(self) -> tuple[bytes, ...]:
        """What rows may have been written with besides."""
        return tuple(key for key in (self.next, self.former) if key is not None)

    @staticmethod
    def name(key: bytes) -> str:
        """What a key is called where it may be seen: it says nothing of 256 random bits."""
        return hashlib.sha256(b"zending index key name|" + key).hexdigest()[:16]


@dataclass(frozen=True)
class KeyFacts:
    """A key as lists show it: everything but its material. ``state`` is ``usable``, ``lost`` or ``destroyed``.

    Whose key it was can't be told any more of one that is lost or destroyed: organisation and year are then None.
    """

    id: str
    state: str
    organisation: UUID | None = None
    year: int | None = None
    generation: int | None = None


class KeyRing(Protocol):
    """Key-encryption keys, one line of generations per organisation and year of retention.

    What must hold:

    - A key that was returned by ``wrap_key``, ``rotate`` or ``index_keys`` is durable: it survives loss of power from
      then on.
    - Processes and threads that ask for the same first key at the same moment get the same key.
    - A destroyed key never comes back, not even under a race with its creation. Processes that hold a copy stop using
      it within `CACHE_MAX_AGE_SECONDS`.
    - All methods may be called from several threads and are safe to repeat.

    Errors of all methods besides those named: `KeyRingUnreachable` (try again later) and `KeyRingUnusable` (a person
    must look).
    """

    def wrap_key(self, organisation: UUID, year: int) -> KeyEncryptionKey:
        """The newest key for what ``organisation`` must keep until ``year``; made on first use.

        Raises:
            KeyDestroyed: the newest key of that year was destroyed; `rotate` opens the year again.
            KeyLost: it was made and is gone; never made anew under its name. Restore it, or `rotate`.
        """
        ...

    def rotate(self, organisation: UUID, year: int) -> KeyEncryptionKey:
        """Make a new generation of the key and return it; older generations go on opening what they closed.

        Other processes go on closing with the former generation for at most `CACHE_MAX_AGE_SECONDS`: wait that long
        before searching for what must be encrypted anew.
        """
        ...

    def key(self, key_id: str) -> KeyEncryptionKey:
        """The key with this id.

        Raises:
            KeyDestroyed: it was destroyed.
            KeyLost: it was made here and is gone.
            KeyUnknown: this key ring has never had it.
        """
        ...

    def listing(self) -> list[KeyFacts]:
        """Every key that was ever made here, by id."""
        ...

    def line(self, organisation: UUID, year: int) -> list[KeyFacts]:
        """Every generation of the key of that year, oldest first."""
        ...

    def destroy(self, key_id: str) -> None:
        """Destroy the key for good: all that it protects becomes noise, in backups too (crypto-shredding).

        Durable once it returns; destroying twice does no harm.

        Raises:
            KeyUnknown: this key ring has never had it.
        """
        ...

    def destroy_year(self, organisation: UUID, year: int) -> None:
        """Destroy every generation of the key of that year, as `destroy` does; one that has none is left as it is."""
        ...

    def index_keys(self) -> IndexKeys:
        """The keys of the hashes by which recipients are found (HMAC-SHA-256), as they stood when this opened."""
        ...

    def begin_index(self) -> None:
        """Make the next index key, which is looked for and not written with yet.

        Raises:
            KeyRingUnusable: an exchange is under way already.
        """
        ...

    def promote_index(self) -> None:
        """Let the next index key be the one that is written with, and the present one the former.

        Raises:
            KeyRingUnusable: there is no next one.
        """
        ...

    def retire_index(self) -> None:
        """Destroy the former index key for good.

        Raises:
            KeyRingUnusable: there is none, or the next one does not write yet.
        """
        ...
