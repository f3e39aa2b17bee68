"""Encrypted columns, and the keyed hash by which a recipient's rows are found.

A sealed value is ``version (1) | length of key id (1) | key id | nonce (12) | AES-256-GCM ciphertext and tag (16)``.
The header is authenticated together with the caller's associated data, which says where the value belongs (for example
organisation, table, row and column), so that nobody can move a value to another place.

The nonce is random (96 bit): NIST SP 800-38D allows 2^32 values under one key, and a key serves one organisation and
one year.
"""

from __future__ import annotations

import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag

from service.vault.errors import VaultIntegrityError
from service.vault.keyring.base import IndexKeys, KeyEncryptionKey, KeyRing

NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_VERSION: Final = 1
_PURPOSE: Final = b"zending column v1"
_KEY_ID_LENGTHS: Final = range(1, 256)


def encrypt(kek: KeyEncryptionKey, plaintext: bytes, associated: bytes) -> bytes:
    """Seal ``plaintext`` for the place that ``associated`` names; the result names the key that it needs."""
    nonce = os.urandom(NONCE_BYTES)
    header = bytes([_VERSION]) + key_id_field(kek.id) + nonce
    return header + kek.cipher(_PURPOSE).encrypt(nonce, plaintext, _bound(header, associated))


def decrypt(keyring: KeyRing, blob: bytes, associated: bytes) -> bytes:
    """Open what `encrypt` sealed for the same place.

    Raises:
        VaultIntegrityError: anything in ``blob`` or ``associated`` differs (`KeyUnknown` when it is the key's id).
        KeyDestroyed: the value was shredded with its key.
        KeyRingUnreachable: try again later.
    """
    if blob[:1] != bytes([_VERSION]):
        raise VaultIntegrityError("A stored value has no known format.")
    key_id, after = read_key_id(blob, 1)
    start = after + NONCE_BYTES
    if len(blob) < start + TAG_BYTES:
        raise VaultIntegrityError("A stored value is cut off.")
    cipher = keyring.key(key_id).cipher(_PURPOSE)
    try:
        return cipher.decrypt(blob[after:start], blob[start:], _bound(blob[:start], associated))
    except InvalidTag:
        raise VaultIntegrityError("A stored value was changed or moved.", context={"key": key_id}) from None


def key_id_of(blob: bytes) -> str:
    """The id of the key that a sealed value needs, to find what must be encrypted anew; the value is not checked.

    Raises:
        VaultIntegrityError: the value has no known format.
    """
    if blob[:1] != bytes([_VERSION]):
        raise VaultIntegrityError("A stored value has no known format.")
    return read_key_id(blob, 1)[0]


def recipient_hash(index_key: bytes, kind: str, value: str) -> bytes:
    """32 bytes by which the rows of a recipient are found without its number standing there.

    HMAC-SHA-256: an unkeyed hash of eleven digits would be turned back within minutes.

    Args:
        index_key: one of `KeyRing.index_keys`.
        kind: kind of recipient; the same digits of another kind give another hash.
        value: the normalised number.
    """
    name = kind.encode()
    return hmac.digest(index_key, len(name).to_bytes(2, "big") + name + value.encode(), "sha256")


def recipient_hashes(index: IndexKeys, kind: str, value: str) -> tuple[bytes, ...]:
    """Every hash under which a recipient's rows may stand; the first is the one to write with."""
    return tuple(recipient_hash(key, kind, value) for key in (index.writing, *index.others))


def key_id_field(key_id: str) -> bytes:
    """A key id as it stands in a header: one byte of length, then ASCII."""
    raw = key_id.encode("ascii")
    if len(raw) not in _KEY_ID_LENGTHS:
        raise ValueError("a key id has 1 to 255 characters")
    return bytes([len(raw)]) + raw


def read_key_id(blob: bytes, at: int) -> tuple[str, int]:
    """The key id whose length byte stands at ``at``, and the position behind it.

    Raises:
        VaultIntegrityError: there is no key id there.
    """
    length = int.from_bytes(blob[at : at + 1], "big")
    raw = blob[at + 1 : at + 1 + length]
    if not length or len(raw) != length or not raw.isascii():
        raise VaultIntegrityError("A stored value names no key.")
    return raw.decode("ascii"), at + 1 + length


def _bound(header: bytes, associated: bytes) -> bytes:
    """Header and place in one; the length in front keeps one from running into the other."""
    return len(header).to_bytes(2, "big") + header + associated
