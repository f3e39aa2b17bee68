"""What every provider of a seal key must do."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from signing.algorithms import Mechanism, hash_of
from signing.errors import KeyUnusable

SMALLEST_RSA_BITS = 3072
"""Smallest RSA modulus accepted for new seals (ETSI TS 119 312; SOG-IS agreed mechanisms)."""

_BY_CURVE = {"secp256r1": Mechanism.ECDSA_SHA256, "secp384r1": Mechanism.ECDSA_SHA384}
_ECDSA = tuple(each for each in Mechanism if each.elliptic)
_RSA = tuple(each for each in Mechanism if not each.elliptic)


class SealKey(Protocol):
    """A private key someone keeps for us, with its certificate.

    What must hold for every implementation:

    * ``certificate`` certifies the key that ``sign`` uses; both stay the same for the life of the object.
    * ``sign`` may be called from several threads at once, and again after a failure.
    * ``sign`` raises only errors of ``signing.errors``; a token, a card or a remote service that is away for a moment
      raises a retryable one.
    * The private key is never reachable through the object, its ``repr`` or an error.
    """

    @property
    def certificate(self) -> x509.Certificate:
        """Certificate of the key."""
        ...

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Issuers of the certificate, nearest first; the root may be left out."""
        ...

    @property
    def mechanism(self) -> Mechanism:
        """The one mechanism this key signs with, chosen when it was opened."""
        ...

    def sign(self, digest: bytes) -> bytes:
        """Sign ``digest``, made with ``mechanism.digest``.

        A digest and not the data: remote services and cards are given no more.

        Returns:
            The signature as it stands in CMS (ECDSA: DER of r and s; RSA: padded as the mechanism says).

        Raises:
            KeyUnusable: the digest has another length, or the key did not sign.
        """
        ...


@runtime_checkable
class BatchSealKey(SealKey, Protocol):
    """A key whose keeper signs several digests for the price of one."""

    @property
    def together(self) -> int:
        """How many digests it signs at once; more are signed in several goes."""
        ...

    def sign_many(self, digests: Sequence[bytes]) -> list[bytes]:
        """Sign each of ``digests`` as ``sign`` does; the signatures in their order.

        Raises:
            SigningError: as ``sign``; then none of them counts.
        """
        ...


def mechanisms_of(key: PublicKeyTypes) -> tuple[Mechanism, ...]:
    """The mechanisms that ``key`` may seal with, the one used unless another is asked for first.

    Raises:
        KeyUnusable: a kind, curve or size we don't seal with.
    """
    if isinstance(key, ec.EllipticCurvePublicKey) and (usual := _BY_CURVE.get(key.curve.name)):
        return (usual, *(each for each in _ECDSA if each is not usual))
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA_BITS:
        return _RSA
    raise KeyUnusable(f"Seal keys are P-256, P-384 or RSA of at least {SMALLEST_RSA_BITS} bits.")


def mechanism_for(key: PublicKeyTypes, wanted: Mechanism | None = None) -> Mechanism:
    """The mechanism to use with ``key``: the one ``wanted``, or else the usual one of its kind.

    Raises:
        KeyUnusable: a kind, curve or size we don't seal with, or it can't sign by the mechanism wanted.
    """
    possible = mechanisms_of(key)
    if wanted is None:
        return possible[0]
    if wanted not in possible:
        raise KeyUnusable(f"The key can't sign by {wanted}; it can by {', '.join(possible)}.")
    return wanted


def check_digest(mechanism: Mechanism, digest: bytes) -> None:
    """Refuse what can't be a digest made with ``mechanism.digest``.

    Raises:
        KeyUnusable: it has another length.
    """
    hashed = hash_of(mechanism.digest)
    if hashed is None or len(digest) != hashed.digest_size:
        raise KeyUnusable(f"This is no {mechanism.digest} digest.")
