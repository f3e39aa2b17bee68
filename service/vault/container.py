"""The container of a document in the store.

``"ZDOC" | version (1) | length of key id (1) | key id | nonce (12) | wrapped data key (32 + 16) | nonce (12) |
AES-256-GCM ciphertext and tag (16)``

Each document has its own random data key, wrapped by the key-encryption key of its organisation and year of retention.
Both encryptions authenticate the header before them and the place of the document: ``organisation|delivery|role``.
Rotating a key-encryption key means making a new container: names are hashes of content and never change under it.
"""

from __future__ import annotations

import os
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.vault.crypto import NONCE_BYTES, TAG_BYTES, key_id_field, read_key_id
from service.vault.errors import VaultIntegrityError
from service.vault.keyring.base import MATERIAL_BYTES, KeyEncryptionKey, KeyRing

_START: Final = b"ZDOC\x01"
_PURPOSE: Final = b"zending document v1"
_WRAPPED_BYTES: Final = MATERIAL_BYTES + TAG_BYTES


def close(kek: KeyEncryptionKey, plaintext: bytes, *, organisation: UUID, delivery: UUID, role: str) -> bytes:
    """The container of ``plaintext`` for this place; different at each call."""
    place = _place(organisation, delivery, role)
    data_key, wrap_nonce, nonce = os.urandom(MATERIAL_BYTES), os.urandom(NONCE_BYTES), os.urandom(NONCE_BYTES)
    header = _START + key_id_field(kek.id)
    wrapped = kek.cipher(_PURPOSE).encrypt(wrap_nonce, data_key, header + place)
    header += wrap_nonce + wrapped + nonce
    return header + AESGCM(data_key).encrypt(nonce, plaintext, header + place)


def open_container(keyring: KeyRing, content: bytes, *, organisation: UUID, delivery: UUID, role: str) -> bytes:
    """The document in a container that `close` made for the same place.

    Raises:
        VaultIntegrityError: any bit of it differs, or it was made for another place (`KeyUnknown` when its key is
            unknown).
        KeyDestroyed: the document was shredded with its key.
        KeyRingUnreachable: try again later.
    """
    if not content.startswith(_START):
        raise VaultIntegrityError("A stored document has no known format.")
    key_id, wrap_at = read_key_id(content, len(_START))
    wrapped_at = wrap_at + NONCE_BYTES
    nonce_at = wrapped_at + _WRAPPED_BYTES
    start = nonce_at + NONCE_BYTES
    if len(content) < start + TAG_BYTES:
        raise VaultIntegrityError("A stored document is cut off.", context={"key": key_id})
    place = _place(organisation, delivery, role)
    cipher = keyring.key(key_id).cipher(_PURPOSE)
    try:
        data_key = cipher.decrypt(content[wrap_at:wrapped_at], content[wrapped_at:nonce_at], content[:wrap_at] + place)
        # A view: the megabytes of a document are not copied only to be decrypted.
        return AESGCM(data_key).decrypt(content[nonce_at:start], memoryview(content)[start:], content[:start] + place)
    except InvalidTag:
        raise VaultIntegrityError(
            "A stored document was changed or belongs elsewhere.", context={"key": key_id, "delivery": str(delivery)}
        ) from None


def key_id_of(content: bytes) -> str:
    """The id of the key that a container needs; nothing of it is checked.

    Raises:
        VaultIntegrityError: it is no container.
    """
    if not content.startswith(_START):
        raise VaultIntegrityError("A stored document has no known format.")
    return read_key_id(content, len(_START))[0]


def _place(organisation: UUID, delivery: UUID, role: str) -> bytes:
    # Unambiguous: both ids have a fixed length.
    return f"|{organisation}|{delivery}|{role}".encode()
