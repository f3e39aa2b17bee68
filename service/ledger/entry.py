"""Entries of the log: what is hashed into a leaf.

An entry is canonical JSON (RFC 8785) of ``{"digest": <hex>, "event_key": <key>}``. The digest is SHA-256 over 32 random
bytes of salt and the canonical JSON of the evidence record. Nothing personal can be found from a leaf: once the salt is
erased, not even somebody who guesses the whole record can link it to its leaf, and the log still verifies.
"""

import secrets
from collections.abc import Mapping
from hashlib import sha256

import rfc8785

from service.ledger import merkle
from service.ledger.errors import EntryRefused

SALT_SIZE = 32


def new_salt() -> bytes:
    """32 fresh random bytes; stored beside the record, never in the ledger."""
    return secrets.token_bytes(SALT_SIZE)


def canonical(value: object) -> bytes:
    """Canonical JSON (RFC 8785) of strings, integers, booleans, lists, mappings and None.

    Raises:
        EntryRefused: a float, an integer beyond 2**53, a lone surrogate or another type.
    """
    if _holds_float(value):
        raise EntryRefused("A record holds no fractions: amounts and times are strings or integers.")
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # the library checks every value itself
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise EntryRefused("A record holds a value that has no canonical form.") from error


def record_digest(salt: bytes, record: Mapping[str, object]) -> bytes:
    """SHA-256 of salt and canonical record: what the entry says of the record."""
    if len(salt) != SALT_SIZE:
        raise EntryRefused("A salt has 32 bytes.")
    return sha256(salt + canonical(record)).digest()


def entry(event_key: str, salt: bytes, record: Mapping[str, object]) -> bytes:
    """The entry's bytes, as they are hashed into the leaf."""
    if not event_key or record.get("event_key") != event_key:
        raise EntryRefused("A record carries its own event key: a verifier has nothing else to take it from.")
    return canonical({"digest": record_digest(salt, record).hex(), "event_key": event_key})


def leaf_hash(event_key: str, salt: bytes, record: Mapping[str, object]) -> bytes:
    """The 32-byte leaf hash of one evidence record, as ``sequencer.append`` takes it.

    Args:
        event_key: the event's deterministic key (delivery, leg, event, attempt); equal to ``record["event_key"]``, for
            the offline verifier takes it from there.
        salt: 32 bytes of ``new_salt()``.
        record: the evidence record.

    Raises:
        EntryRefused: the record has no canonical form or another event key, or the salt another length.
    """
    return merkle.leaf_hash(entry(event_key, salt, record))


def _holds_float(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_holds_float(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(_holds_float(item) for item in value)
    return isinstance(value, float)
