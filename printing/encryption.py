"""Parcels that only their print house can open: age (age-encryption.org/v1) to its public keys.

The encrypted file is called as the parcel with ``.age`` behind it; while it is written it is ``….ZIP.TMP``. Every
sealing of the same bytes gives other bytes, for age draws a fresh file key. So the sealed bytes are what a batch
freezes, what its digest is of, and what is brought again after a broken transfer; nothing is sealed a second time for
one parcel.
"""

from collections.abc import Sequence
from typing import Final

import pyrage  # type: ignore[import-untyped]
from pyrage import x25519

from printing.errors import BatchRefused, Problem

ENDING: Final = ".age"
BEGINNING: Final = b"age-encryption.org/v1\n"
MEDIA_TYPE: Final = "application/vnd.age"


def check_recipients(recipients: Sequence[str]) -> tuple[x25519.Recipient, ...]:
    """The public keys, read.

    Raises:
        ValueError: there is none, one is twice there, or one is no X25519 recipient (``age1…``); the sentence names its
            place in the list, never a secret key that somebody put there by mistake.
    """
    if not recipients:
        raise ValueError("encryption needs at least one recipient")
    if len(set(recipients)) != len(recipients):
        raise ValueError("a recipient is named twice")
    read = []
    for number, recipient in enumerate(recipients, 1):
        try:
            read.append(x25519.Recipient.from_str(recipient))
        except pyrage.RecipientError:
            raise ValueError(f"recipient {number} is no public key of age (age1…)") from None
    return tuple(read)


def seal_for(recipients: Sequence[str], data: bytes) -> bytes:
    """Encrypt for everybody who holds one of the keys; whoever changes a byte of it makes it unreadable.

    Raises:
        ValueError: as `check_recipients`.
    """
    sealed: bytes = pyrage.encrypt(data, list(check_recipients(recipients)))
    return sealed


def open_with(identity: str, data: bytes) -> bytes:
    """Decrypt, as the print house does.

    Args:
        identity: ``AGE-SECRET-KEY-1…``, or a key file's text: its comments are left aside, each of its keys is tried.
        data: what `seal_for` gave.

    Raises:
        BatchRefused: ``PARCEL_UNOPENABLE``: it is not for this key, or was changed.
        ValueError: it is no identity.
    """
    lines = [line.strip() for line in identity.splitlines()]
    try:
        keys = [x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError:
        raise ValueError("this is no secret key of age (AGE-SECRET-KEY-1…)") from None
    if not keys:
        raise ValueError("there is no secret key of age in it")
    try:
        opened: bytes = pyrage.decrypt(data, keys)
    except pyrage.DecryptError:
        raise BatchRefused(Problem("PARCEL_UNOPENABLE", "The parcel is for another key, or was changed.")) from None
    return opened


def is_sealed(data: bytes) -> bool:
    """Whether these bytes are a file of age."""
    return data.startswith(BEGINNING)


def name_sealed(name: str) -> str:
    """What a parcel is called once it is encrypted."""
    return name + ENDING


def name_open(name: str) -> str:
    """What it was called before."""
    return name.removesuffix(ENDING)
