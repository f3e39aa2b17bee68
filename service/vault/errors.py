"""What can go wrong with keys and stored documents.

Three families, because the engine treats them differently:

- `Retryable`: the outside is away and comes back (`StoreUnreachable`, `KeyRingUnreachable`).
- a fact that a person must look at before anything else happens (`VaultIntegrityError`, `KeyUnknown`, `ObjectMissing`,
  `ObjectExists`, `KeyRingUnusable`): never a reason to end a delivery by itself, a copy may still be restored.
- `KeyDestroyed`: the content is gone for good, and was meant to be.

No text here names a person, a subject or a file of a sender: paths in the store hold ids and hashes only.
"""

from __future__ import annotations

from service.domain.errors import Retryable, ZendingError


class VaultIntegrityError(ZendingError):
    """Stored bytes are not what was written, or were asked for as something that they are not."""

    code = "vault_integrity"


class KeyUnknown(VaultIntegrityError):
    """A key id that this key ring has never had: the bytes were changed, or the wrong key ring is in use."""

    code = "vault_key_unknown"


class KeyDestroyed(ZendingError):
    """The key was destroyed on purpose; what it encrypted cannot be read by anybody any more."""

    code = "vault_key_destroyed"


class KeyLost(KeyUnknown):
    """The key ring had this key and has lost it: what it protects can't be read until the key is restored."""

    code = "key_lost"


class KeyRingUnusable(ZendingError):
    """The key ring is damaged or open to others; nothing is encrypted with keys of doubtful secrecy."""

    code = "vault_key_ring_unusable"


class KeyRingUnreachable(Retryable):
    """The key ring cannot be reached now."""

    code = "vault_key_ring_unreachable"


class ObjectMissing(ZendingError):
    """The store answers and says that it has no such object."""

    code = "vault_object_missing"


class ObjectExists(ZendingError):
    """Another content already stands under this name; it was left as it is."""

    code = "vault_object_exists"


class StoreUnreachable(Retryable):
    """The object store does not answer, refuses, or has no room: nothing is known to be stored."""

    code = "vault_store_unreachable"


class StoreMisconfigured(ZendingError):
    """The address of the store is not one that this service can use safely."""

    code = "vault_store_misconfigured"
