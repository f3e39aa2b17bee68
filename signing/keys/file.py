"""Keys in files."""

from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from signing.algorithms import Mechanism, hash_of, padding_of
from signing.errors import KeyUnusable
from signing.keys.base import check_digest, mechanism_for


class FileSealKey:
    """A key from a file, loaded once and kept in memory. For tests, demonstrations and small installations."""

    def __init__(
        self,
        private_key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
        certificate: x509.Certificate,
        chain: tuple[x509.Certificate, ...] = (),
        *,
        mechanism: Mechanism | None = None,
    ) -> None:
        if private_key.public_key() != certificate.public_key():
            raise KeyUnusable("The certificate belongs to another key.")
        self._private_key = private_key
        self._certificate = certificate
        self._chain = chain
        self._mechanism = mechanism_for(private_key.public_key(), mechanism)
        hashed = hash_of(self._mechanism.digest)
        assert hashed is not None
        self._hash = hashed

    @classmethod
    def from_pem(
        cls,
        key_file: Path,
        certificate_file: Path,
        chain_file: Path | None = None,
        *,
        password: bytes | None = None,
        mechanism: Mechanism | None = None,
    ) -> Self:
        """Load a PEM key (encrypted if ``password`` is given), its certificate, and its issuers.

        Without a ``mechanism`` the usual one of the key's kind is used.

        Raises:
            KeyUnusable: a file is missing or unreadable, the password is wrong, or the parts don't fit.
        """
        try:
            private_key = load_pem_private_key(key_file.read_bytes(), password)
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
            chain = tuple(x509.load_pem_x509_certificates(chain_file.read_bytes())) if chain_file else ()
        except (OSError, ValueError, TypeError) as error:
            raise KeyUnusable("The key, its certificate or its chain could not be read.") from error
        return cls._of(private_key, certificate, chain, mechanism)

    @classmethod
    def from_pkcs12(cls, file: Path, *, password: bytes | None, mechanism: Mechanism | None = None) -> Self:
        """Load key, certificate and issuers from a PKCS#12 file.

        Without a ``mechanism`` the usual one of the key's kind is used.

        Raises:
            KeyUnusable: the file is missing or incomplete, the password is wrong, or the parts don't fit.
        """
        try:
            content = load_pkcs12(file.read_bytes(), password)
        except (OSError, ValueError, TypeError) as error:
            raise KeyUnusable("The PKCS#12 file could not be read.") from error
        if content.key is None or content.cert is None:
            raise KeyUnusable("The PKCS#12 file lacks a key or its certificate.")
        chain = tuple(c.certificate for c in content.additional_certs)
        return cls._of(content.key, content.cert.certificate, chain, mechanism)

    @classmethod
    def _of(
        cls,
        private_key: object,
        certificate: x509.Certificate,
        chain: tuple[x509.Certificate, ...],
        mechanism: Mechanism | None,
    ) -> Self:
        if not isinstance(private_key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
            raise KeyUnusable("Seal keys are of kind EC or RSA.")
        return cls(private_key, certificate, chain, mechanism=mechanism)

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
        check_digest(self._mechanism, digest)
        if isinstance(self._private_key, ec.EllipticCurvePrivateKey):
            return self._private_key.sign(digest, ec.ECDSA(Prehashed(self._hash)))
        return self._private_key.sign(digest, padding_of(self._mechanism), Prehashed(self._hash))
