"""Web eID, the server's side of signing: what the browser's extension sends, as values of ours.

The protocol is open (https://github.com/web-eid): the extension gives the signer's certificate with the algorithms the
card knows, signs a hash, and gives the signature with the algorithm that was used.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from signing.algorithms import Mechanism
from signing.errors import SignatureRefused, SignerUnacceptable

MOST_ALGORITHMS: Final = 64
LARGEST_SIGNATURE: Final = 1024


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How a card signs, in the protocol's own words.

    Attributes:
        crypto_algorithm: ``ECC`` or ``RSA``.
        hash_function: such as ``SHA-256``.
        padding_scheme: ``NONE``, ``PKCS1.5`` or ``PSS``.
    """

    crypto_algorithm: str
    hash_function: str
    padding_scheme: str


def _named(mechanism: Mechanism) -> Algorithm:
    padding = "NONE" if mechanism.elliptic else "PSS" if mechanism.pss else "PKCS1.5"
    name = mechanism.digest.removeprefix("sha")
    return Algorithm("ECC" if mechanism.elliptic else "RSA", f"SHA-{name}", padding)


_BY_MECHANISM: Final = {mechanism: _named(mechanism) for mechanism in Mechanism}
"""In the order in which they are chosen, after the one that fits the key best."""
_BEST: Final = {
    "secp256r1": Mechanism.ECDSA_SHA256,
    "secp384r1": Mechanism.ECDSA_SHA384,
    "secp521r1": Mechanism.ECDSA_SHA512,
}


def choose(certificate: x509.Certificate, offered: Sequence[Algorithm]) -> Mechanism:
    """The mechanism to sign with, of those the card knows.

    Raises:
        SignerUnacceptable: ``algorithms_not_accepted``, it knows none that is accepted here.
    """
    key = certificate.public_key()
    kind = "ECC" if isinstance(key, ec.EllipticCurvePublicKey) else "RSA"
    wanted = list(_BY_MECHANISM)
    if isinstance(key, ec.EllipticCurvePublicKey) and (best := _BEST.get(key.curve.name)):
        # A hash as long as the curve is strong (RFC 5480, 4).
        wanted = [best, *wanted]
    known = set(offered[:MOST_ALGORITHMS])
    for mechanism in wanted:
        named = _BY_MECHANISM[mechanism]
        if named.crypto_algorithm == kind and named in known:
            return mechanism
    raise SignerUnacceptable("algorithms_not_accepted", "The card offers no algorithm that is accepted here.")


def hash_function(mechanism: Mechanism) -> str:
    """The protocol's name of the hash that the extension is asked to sign."""
    return _BY_MECHANISM[mechanism].hash_function


def encoded(digest: bytes) -> str:
    """A hash as the extension takes it."""
    return base64.b64encode(digest).decode("ascii")


def certificate(text: str) -> bytes:
    """The certificate (DER) as the extension sends it in base 64.

    Raises:
        SignerUnacceptable: it is not base 64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SignerUnacceptable("certificate_malformed", "This is not a certificate.") from None


def signature(text: str, used: Algorithm, mechanism: Mechanism, signer: x509.Certificate) -> bytes:
    """The signature as a CMS holds it.

    Args:
        text: as the extension sends it in base 64; of curves r and s one after the other, each as long as the curve's
            order.
        used: the algorithm that it says it used.
        mechanism: the one that was asked for.
        signer: whose key it was.

    Raises:
        SignatureRefused: not base 64, of another algorithm, or of another length than the key makes.
    """
    refused = SignatureRefused("The card's answer is not a signature of the kind that was asked for.")
    if used != _BY_MECHANISM[mechanism] or len(text) > 2 * LARGEST_SIGNATURE:
        raise refused
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise refused from None
    key = signer.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        half = (key.curve.key_size + 7) // 8
        if len(raw) != 2 * half:
            raise refused
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
    if not isinstance(key, rsa.RSAPublicKey) or len(raw) != (key.key_size + 7) // 8:
        raise refused
    return raw
