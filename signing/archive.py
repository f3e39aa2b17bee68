"""The document time-stamp that makes a signature last (level B-LTA: ETSI EN 319 142-1, 5.5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from signing.appearance import Shown
from signing.filling import Check, fill
from signing.revision import StampWriter, append_validation_data
from signing.revocation import RevocationSource, ValidationData
from signing.timestamps import TimeStampAuthority
from signing.tokens import certificates_of, life_of


@dataclass(frozen=True, slots=True)
class Kept:
    """A document that was sealed or renewed.

    Attributes:
        content: the document.
        until: when something that its proof rests on ends (aware): renewed before that, it stays good.
        shown: where the seal can be seen, or why it can't; None for one that isn't meant to be.
    """

    content: bytes
    until: datetime
    shown: Shown | None = None


def holds_until(token: bytes, ends: Mapping[str, datetime] | None = None) -> datetime:
    """How long a time-stamp can be believed without a newer one: its certificates and its algorithms must live.

    Args:
        token: the time-stamp, DER.
        ends: digest algorithms that are given up, and when (aware), by the names of hashlib.

    Raises:
        TimeStampInvalid: not a token.
    """
    until, digests = life_of(token)
    return min([until, *(end for name, end in (ends or {}).items() if name in digests)])


class Archive:
    """Stamps documents as they are kept. Safe to share between threads as long as its parts are."""

    def __init__(self, tsa: TimeStampAuthority, revocation: RevocationSource, *, stamp_size: int) -> None:
        """Nothing is asked yet.

        Args:
            tsa: makes the time-stamps.
            revocation: proves that certificates are good.
            stamp_size: bytes kept free for a token.
        """
        self._tsa, self._revocation = tsa, revocation
        self._writer = StampWriter(reserved=stamp_size, field_prefix="Archive")

    def stamp(self, stream: IO[bytes], data: ValidationData, check: Check, *, at: datetime) -> bytes:
        """Extend the document by ``data`` and a time-stamp over everything, and by what proves that one.

        What proves a time-stamp is mostly known before it is made, by the ones before it, and then lies under it. An
        authority that is met for the first time here has its proof put behind.

        Returns:
            The time-stamp, DER.

        Raises:
            SigningError: as in sealing.
        """
        hole = self._writer.prepare(stream, data)
        token = self._tsa.token(hole.digest)
        fill(hole, token)
        check.last(hole, "sha256")
        own = self.proof_of(token, at=at)
        if data.with_(own) != data:
            append_validation_data(stream, own)
            check.kept(hole, "sha256")
        return token

    def proof_of(self, token: bytes, *, at: datetime) -> ValidationData:
        """What proves that the authority behind a time-stamp is good.

        Raises:
            SigningError: as :meth:`RevocationSource.data`.
        """
        signer, others = certificates_of(token)
        return self._revocation.data(signer, others, at=at)
