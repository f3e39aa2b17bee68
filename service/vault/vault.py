"""Encrypted documents under names that say what they must hash to.

The caller keeps the order that makes a crash harmless: `Vault.prepare`, commit a row of intent with the path, `write`,
commit the row that names the object. A collector compares intents with `Vault.stored` and removes orphans.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from service.domain.errors import PayloadTooLarge
from service.vault.container import close, key_id_of, open_container
from service.vault.errors import ObjectExists, VaultIntegrityError
from service.vault.keyring.base import KeyRing
from service.vault.objects.base import ObjectStore, StoredObject

LARGEST_DOCUMENT: Final = 128 * 1024 * 1024
"""Bytes of the largest content that is taken: a 30 MB document with seals and attachments, with room."""

_OVERHEAD: Final = 1024
"""More than any container adds."""
_ROLE: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_NAME: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Prepared:
    """A document that is encrypted and not yet written.

    Attributes:
        path: ``<delivery>/<role>/<sha256>``, never used before: the encryption is different each time.
        sha256: of ``ciphertext``, 64 lower-case hexadecimal digits.
        size: bytes of ``ciphertext``.
        ciphertext: the whole container.
    """

    path: str
    sha256: str
    size: int
    ciphertext: bytes = field(repr=False)


class Vault:
    """Documents of organisations, encrypted with their keys, in a store that is not trusted."""

    def __init__(self, store: ObjectStore, keyring: KeyRing) -> None:
        self._store = store
        self._keyring = keyring

    def prepare(self, organisation: UUID, year: int, delivery: UUID, role: str, plaintext: bytes) -> Prepared:
        """Encrypt a document; nothing is stored yet.

        Args:
            organisation: whose key is used and to whom the document is bound.
            year: until when it must be kept; the key of that year is destroyed afterwards.
            delivery: to which the document belongs; documents are never shared between deliveries.
            role: which of its documents it is, such as ``original`` or ``sealed``.
            plaintext: at most `LARGEST_DOCUMENT` bytes.

        Raises:
            PayloadTooLarge: more bytes than that.
            KeyDestroyed: the year's key was destroyed.
            KeyRingUnreachable: try again later.
        """
        _check_role(role)
        if len(plaintext) > LARGEST_DOCUMENT:
            raise PayloadTooLarge("The document is too large to be stored.", context={"delivery": str(delivery)})
        kek = self._keyring.wrap_key(organisation, year)
        ciphertext = close(kek, plaintext, organisation=organisation, delivery=delivery, role=role)
        sha256 = hashlib.sha256(ciphertext).hexdigest()
        return Prepared(f"{delivery}/{role}/{sha256}", sha256, len(ciphertext), ciphertext)

    def write(self, prepared: Prepared) -> None:
        """Store the document; durable once this returns, and safe to repeat after any error.

        Raises:
            StoreUnreachable: it may be stored or not; try again later.
            VaultIntegrityError: something else stands under its name.
        """
        self.write_many([prepared])

    def write_many(self, prepared: Sequence[Prepared]) -> None:
        """Store several documents together, cheaper than one by one; errors as of `write`, for any of them."""
        try:
            self._store.put_many([(item.path, item.ciphertext) for item in prepared])
        except ObjectExists as error:
            # The name is a hash of what should be there.
            raise VaultIntegrityError("A stored document was changed.", context=error.context) from error

    def read(self, path: str, organisation: UUID, delivery: UUID, role: str) -> bytes:
        """The document at ``path``, exactly as it was prepared for this organisation, delivery and role.

        Raises:
            VaultIntegrityError: the store gave something else, or the path belongs to another delivery or role.
            ObjectMissing: the store does not have it.
            KeyDestroyed: it was shredded.
            StoreUnreachable: try again later; so does `KeyRingUnreachable`.
        """
        _check_role(role)
        name = path.removeprefix(f"{delivery}/{role}/")
        if name == path or _NAME.fullmatch(name) is None:
            raise VaultIntegrityError("A stored document belongs elsewhere.", context={"delivery": str(delivery)})
        content = self._store.get(path, limit=LARGEST_DOCUMENT + _OVERHEAD)
        if hashlib.sha256(content).hexdigest() != name:
            raise VaultIntegrityError("A stored document was changed.", context={"object": path})
        return open_container(self._keyring, content, organisation=organisation, delivery=delivery, role=role)

    def key_id(self, path: str) -> str:
        """The id of the key that the document at ``path`` needs; nothing of it is checked.

        Raises:
            VaultIntegrityError: what stands there is no document.
            ObjectMissing: the store does not have it.
            StoreUnreachable: try again later.
        """
        return key_id_of(self._store.get(path, limit=LARGEST_DOCUMENT + _OVERHEAD))

    def remove(self, path: str) -> None:
        """Remove the document, durably; one that is gone already counts as removed.

        Raises:
            StoreUnreachable: it may be removed or not; try again later.
        """
        self._store.delete_many([path])

    def remove_many(self, paths: Sequence[str]) -> None:
        """Remove several documents together; errors as of `remove`."""
        self._store.delete_many(paths)

    def stored(self, delivery: UUID | None = None) -> Iterator[StoredObject]:
        """What the store holds, of one delivery or of all; for the collector of orphans.

        Raises:
            StoreUnreachable: try again later.
        """
        return self._store.listing("" if delivery is None else str(delivery))

    def sweep(self, before: datetime) -> int:
        """Remove what writes that were interrupted before that time left behind; return how much was removed.

        Raises:
            StoreUnreachable: try again later.
        """
        return self._store.sweep(before)


def _check_role(role: str) -> None:
    if _ROLE.fullmatch(role) is None:
        raise ValueError("a role is a lower-case word")
