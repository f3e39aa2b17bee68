"""The signature algorithms we make and accept, and their names in CMS (RFC 5754, RFC 4056)."""

from enum import StrEnum
from functools import lru_cache

from asn1crypto import algos
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from signing.der import elements

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


class Mechanism(StrEnum):
    """How a key signs; the value is how a seal profile writes it.

    RSASSA-PSS salts with as many bytes as the digest has, and masks by MGF1 with the same digest (RFC 4056, 3).
    """

    ECDSA_SHA256 = "ecdsa-sha256"
    ECDSA_SHA384 = "ecdsa-sha384"
    ECDSA_SHA512 = "ecdsa-sha512"
    RSA_SHA256 = "rsa-sha256"
    RSA_SHA384 = "rsa-sha384"
    RSA_SHA512 = "rsa-sha512"
    PSS_SHA256 = "rsa-pss-sha256"
    PSS_SHA384 = "rsa-pss-sha384"
    PSS_SHA512 = "rsa-pss-sha512"

    @property
    def encoded(self) -> bytes:
        """The algorithm as a CMS names it (DER of the AlgorithmIdentifier)."""
        return _encoded(self)

    @property
    def elliptic(self) -> bool:
        """Whether it signs on a curve."""
        return self.value.startswith("ecdsa-")

    @property
    def pss(self) -> bool:
        """Whether it pads as RSASSA-PSS does (RFC 8017, 8.1)."""
        return self.value.startswith("rsa-pss-")

    @property
    def digest(self) -> str:
        """Name of the digest that is signed, as hashlib and CMS write it."""
        return self.value.rpartition("-")[2]


@lru_cache
def _encoded(mechanism: Mechanism) -> bytes:
    name = mechanism.digest
    if mechanism.pss:
        hashed = {"algorithm": name}
        parameters = algos.RSASSAPSSParams(
            {
                "hash_algorithm": hashed,
                "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": hashed},
                "salt_length": _HASHES[name].digest_size,
            }
        )
        algorithm = algos.SignedDigestAlgorithm({"algorithm": "rsassa_pss", "parameters": parameters})
    else:
        algorithm = algos.SignedDigestAlgorithm({"algorithm": f"{name}_{'ecdsa' if mechanism.elliptic else 'rsa'}"})
    encoded: bytes = algorithm.dump()
    return encoded


def padding_of(mechanism: Mechanism) -> padding.PSS | padding.PKCS1v15:
    """How an RSA key pads under ``mechanism``."""
    if not mechanism.pss:
        return padding.PKCS1v15()
    hashed = _HASHES[mechanism.digest]
    return padding.PSS(padding.MGF1(hashed), hashed.digest_size)


def hash_of(name: str) -> hashes.HashAlgorithm | None:
    """The digest algorithm called ``name``, or None when it is not one we accept (SHA-1 and older are not)."""
    return _HASHES.get(name)


def digest(name: str, *parts: bytes | memoryview) -> bytes:
    """Digest of the joined ``parts``.

    Raises:
        KeyError: the algorithm is not accepted.
    """
    state = hashes.Hash(_HASHES[name])
    for part in parts:
        state.update(part)
    return state.finalize()


_DIGEST_OIDS = {algos.DigestAlgorithmId(name).contents: name for name in _HASHES}


def named_digest(identifier: bytes) -> str:
    """The digest algorithm that the content of an AlgorithmIdentifier names.

    Raises:
        ValueError: none that we accept.
    """
    name = _DIGEST_OIDS.get(elements(identifier)[0].content)
    if name is None:
        raise ValueError("a digest algorithm that is not accepted")
    return name


@lru_cache(maxsize=64)
def _signature_algorithm(encoded: bytes) -> tuple[str, str | None, padding.PSS | None]:
    """Kind, digest it names (if any) and PSS parameters of a CMS signature algorithm.

    Raises:
        ValueError, KeyError, TypeError: not an algorithm we know.
    """
    algorithm = algos.SignedDigestAlgorithm.load(encoded, strict=True)
    name = algorithm["algorithm"].native
    kind: str = algorithm.signature_algo
    if name in {"rsassa_pkcs1v15", "ecdsa"}:
        return kind, None, None  # plain rsaEncryption: the digest stands beside it
    return kind, algorithm.hash_algo, _pss(algorithm) if kind == "rsassa_pss" else None


def signature_holds(key: PublicKeyTypes, algorithm: bytes, digest_name: str, value: bytes, digested: bytes) -> bool:
    """Whether ``value`` is a signature by ``key`` of what hashes to ``digested``.

    Args:
        key: the signer's public key.
        algorithm: the signature algorithm as the CMS names it (DER of the AlgorithmIdentifier).
        digest_name: the digest algorithm named beside it; both must agree.
        value: the signature as it stands in the CMS.
        digested: digest of the signed bytes under ``digest_name``.
    """
    hashed = Prehashed(_HASHES[digest_name])
    try:
        kind, own_digest, pss = _signature_algorithm(algorithm)
        if own_digest not in {None, digest_name}:
            return False
        if isinstance(key, ec.EllipticCurvePublicKey) and kind == "ecdsa":
            key.verify(value, digested, ec.ECDSA(hashed))
        elif isinstance(key, rsa.RSAPublicKey) and kind == "rsassa_pkcs1v15":
            key.verify(value, digested, padding.PKCS1v15(), hashed)
        elif isinstance(key, rsa.RSAPublicKey) and pss is not None:
            key.verify(value, digested, pss, hashed)
        else:
            return False
    except (InvalidSignature, ValueError, KeyError, TypeError):
        return False
    return True


def _pss(algorithm: algos.SignedDigestAlgorithm) -> padding.PSS:
    parameters = algorithm["parameters"]
    mask = _HASHES[parameters["mask_gen_algorithm"]["parameters"]["algorithm"].native]
    return padding.PSS(padding.MGF1(mask), int(parameters["salt_length"].native))
