"""Keys that seal: what every provider of one must do, and the one that reads files."""

from pathlib import Path
from typing import Protocol, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from signing.algorithms import Mechanism, hash_of
from signing.errors import KeyUnusable

SMALLEST_RSA_BITS = 3072
"""Smallest RSA modulus accepted for new seals (ETSI TS 119 312; SOG-IS agreed mechanisms)."""


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
        """The one mechanism this key signs with."""
        ...

    def sign(self, digest: bytes) -> bytes:
        """Sign ``digest``, made with ``mechanism.digest``.

        A digest and not the data: remote services and cards are given no more.

        Returns:
            The signature as it stands in CMS (ECDSA: DER of r and s; RSA: PKCS#1 v1.5).

        Raises:
            KeyUnusable: the digest has another length, or the key did not sign.
        """
        ...


def mechanism_for(key: PublicKeyTypes) -> Mechanism:
    """The mechanism we use with ``key``.

    Raises:
        KeyUnusable: a kind, curve or size we don't seal with.
    """
    if isinstance(key, ec.EllipticCurvePublicKey):
        by_curve = {"secp256r1": Mechanism.ECDSA_SHA256, "secp384r1": Mechanism.ECDSA_SHA384}
        if mechanism := by_curve.get(key.curve.name):
            return mechanism
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA_BITS:
        return Mechanism.RSA_SHA256
    raise KeyUnusable(f"Seal keys are P-256, P-384 or RSA of at least {SMALLEST_RSA_BITS} bits.")


class FileSealKey:
    """A key from a file, loaded once and kept in memory. For tests, demonstrations and small installations."""

    def __init__(
        self,
        private_key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
        certificate: x509.Certificate,
        chain: tuple[x509.Certificate, ...] = (),
    ) -> None:
        if private_key.public_key() != certificate.public_key():
            raise KeyUnusable("The certificate belongs to another key.")
        self._private_key = private_key
        self._certificate = certificate
        self._chain = chain
        self._mechanism = mechanism_for(private_key.public_key())
        hashed = hash_of(self._mechanism.digest)
        assert hashed is not None
        self._hash = hashed

    @classmethod
    def from_pem(
        cls, key_file: Path, certificate_file: Path, chain_file: Path | None = None, *, password: bytes | None = None
    ) -> Self:
        """Load a PEM key (encrypted if ``password`` is given), its certificate, and its issuers.

        Raises:
            KeyUnusable: a file is missing or unreadable, the password is wrong, or the parts don't fit.
        """
        try:
            private_key = load_pem_private_key(key_file.read_bytes(), password)
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            chain = tuple(x509.load_pem_x509_certificates(chain_file.read_bytes())) if chain_file else ()
        except (OSError, ValueError, TypeError) as error:
            raise KeyUnusable("The key, its certificate or its chain could not be read.") from error
        return cls._of(private_key, certificate, chain)

    @classmethod
    def from_pkcs12(cls, file: Path, *, password: bytes | None) -> Self:
        """Load key, certificate and issuers from a PKCS#12 file.

        Raises:
            KeyUnusable: the file is missing or incomplete, the password is wrong, or the parts don't fit.
        """
        try:
            content = load_pkcs12(file.read_bytes(), password)
        except (OSError, ValueError, TypeError) as error:
            raise KeyUnusable("The PKCS#12 file could not be read.") from error
        if content.key is None or content.cert is None:
            raise KeyUnusable("The PKCS#12 file lacks a key or its certificate.")
        return cls._of(content.key, content.cert.certificate, tuple(c.certificate for c in content.additional_certs))

    @classmethod
    def _of(cls, private_key: object, certificate: x509.Certificate, chain: tuple[x509.Certificate, ...]) -> Self:
        if not isinstance(private_key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
            raise KeyUnusable("Seal keys are of kind EC or RSA.")
        return cls(private_key, certificate, chain)

    @property
    def certificate(self) -> x509.Certificate:
        """Certificate of the key."""
        return self._certificate

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Issuers of the certificate, nearest first."""
        return self._chain

    @property
    def mechanism(self) -> Mechanism:
        """The one mechanism this key signs with."""
        return self._mechanism

    def sign(self, digest: bytes) -> bytes:
        """Sign ``digest``; see :meth:`SealKey.sign`."""
        if len(digest) != self._hash.digest_size:
            raise KeyUnusable(f"A {self._mechanism.digest} digest has {self._hash.digest_size} bytes.")
        if isinstance(self._private_key, ec.EllipticCurvePrivateKey):
            return self._private_key.sign(digest, ec.ECDSA(Prehashed(self._hash)))
        return self._private_key.sign(digest, padding.PKCS1v15(), Prehashed(self._hash))
