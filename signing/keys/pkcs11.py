"""Keys in a hardware security module, a token or a card, by PKCS#11 (OASIS, version 2.40)."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from asn1crypto import algos, core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11 import MGF, Attribute, ObjectClass
from pkcs11 import Mechanism as Pkcs11Mechanism
from pkcs11 import exceptions as faults

from signing.algorithms import Mechanism, digest, signature_holds
from signing.der import OCTET_STRING, SEQUENCE, tlv
from signing.errors import KeyUnavailable, KeyUnusable
from signing.keys.base import check_digest, mechanism_for
from signing.keys.pkcs11_module import TokenAddress, module_at

_HASHED: Final = {
    "sha256": (Pkcs11Mechanism.SHA256, MGF.SHA256),
    "sha384": (Pkcs11Mechanism.SHA384, MGF.SHA384),
    "sha512": (Pkcs11Mechanism.SHA512, MGF.SHA512),
}
_LASTING: Final = (
    faults.MechanismInvalid,
    faults.MechanismParamInvalid,
    faults.KeyTypeInconsistent,
    faults.KeySizeRange,
    faults.FunctionNotSupported,
    faults.MultipleObjectsReturned,
)
"""What no new session changes: the token does not sign so."""

_TRIES: Final = 4
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class KeyAddress:
    """Which private key of a token: by its label, its id (CKA_ID), or both."""

    label: str | None = None
    id: bytes | None = None


class _Opened(NamedTuple):
    session: Any
    key: Any
    generation: int


class Pkcs11SealKey:
    """A key that stays in its token. Each signature is one call on a kept session, one at a time in a process.

    A session that was lost (the token away for a while or initialised anew, all sessions closed, the process forked) is
    opened again by itself. Nothing bounds a call in time but the module: one that never returns holds up its process.
    """

    def __init__(
        self,
        token: TokenAddress,
        pin: Callable[[], str],
        key: KeyAddress,
        *,
        certificate: x509.Certificate | None = None,
        chain: tuple[x509.Certificate, ...] = (),
        mechanism: Mechanism | None = None,
        alone: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Find the key, and sign once to see that it is the certificate's.

        Args:
            token: where it is.
            pin: the user's PIN, asked for at each log-in.
            key: which private key.
            certificate: its certificate; None takes the one in the token that has the key's id.
            chain: its issuers; where it is empty they are taken from the token as far as they are there.
            mechanism: how to sign; None takes the usual one of the key's kind.
            alone: holds off other processes of this machine during a log-in, so that no two show a wrong PIN.

        Raises:
            KeyUnavailable: the module or the token is not there now.
            KeyUnusable: the PIN, the key or the certificate is wrong.
        """
        self._address, self._wanted = token, key
        self._pin, self._alone = pin, alone
        self._module = module_at(token.module)
        self._opened: _Opened | None = None
        if certificate is None:
            certificate, found = self._steadily(_certificates)
            chain = chain or found
        self._certificate, self._chain = certificate, chain
        self._mechanism = mechanism_for(certificate.public_key(), mechanism)
        self._call = _call_for(self._mechanism, certificate)
        tried = digest(self._mechanism.digest, b"is this the certificate's key?")
        public = certificate.public_key()
        if not signature_holds(public, self._mechanism.encoded, self._mechanism.digest, self.sign(tried), tried):
            self.close()
            raise KeyUnusable("The certificate belongs to another key.")

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
        return self._steadily(lambda opened: self._call(opened.key, digest))

    def _steadily(self, work: Callable[[_Opened], _Result]) -> _Result:
        """Do ``work`` with a session: a kept one, else a new one, else a new one of a module that was started again."""
        with self._module.use():
            for attempt in range(_TRIES):
                seen = self._module.generation
                try:
                    return work(self._session())
                except _LASTING as error:
                    raise KeyUnusable(
                        "The token can't sign with this key by this mechanism.", context=_named(error)
                    ) from error
                except (faults.PKCS11Error, KeyUnavailable) as error:
                    self._recover(error, seen, attempt)
        raise AssertionError("the last try returns or raises")

    def _session(self) -> _Opened:
        if self._opened is None or self._opened.generation != self._module.generation:
            session = self._module.open(self._address, self._pin, self._alone)
            key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=self._wanted.label, id=self._wanted.id)
            self._opened = _Opened(session, key, self._module.generation)
        return self._opened

    def _recover(self, error: Exception, seen: int, attempt: int) -> None:
        """Make another try worth it, or say that there is none."""
        fresh, self._opened = self._opened is None, None
        # Private keys don't show where the user is logged out, so a session that worked is looked at once more.
        if isinstance(error, faults.NoSuchKey) and (fresh or attempt):
            self._module.forget(self._address)
            raise KeyUnusable("The token has no such key.") from error
        if attempt == 0 and not isinstance(error, KeyUnavailable):
            self._module.forget(self._address)
        elif attempt == _TRIES - 1 or not self._module.restart(seen):
            raise KeyUnavailable("The token can't be used for now.", context=_named(error)) from error

    def close(self) -> None:
        """Close the kept session; the next signature opens it again."""
        with suppress(KeyUnavailable), self._module.use() as generation:
            opened, self._opened = self._opened, None
            if opened is not None and opened.generation == generation:
                with suppress(faults.PKCS11Error):
                    opened.session.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} by {self._address.module}>"


def _call_for(mechanism: Mechanism, certificate: x509.Certificate) -> Callable[[Any, bytes], bytes]:
    """How a key object signs a digest, in the form that a CMS wants."""
    hashed, masked = _HASHED[mechanism.digest]
    if mechanism.elliptic:
        public = certificate.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        size = public.key_size // 8

        def by_curve(key: Any, digested: bytes) -> bytes:
            # The leftmost bits, as many as the curve has (SEC 1, 4.1.3): not every token shortens by itself.
            both = key.sign(digested[:size], mechanism=Pkcs11Mechanism.ECDSA)
            half = len(both) // 2
            return encode_dss_signature(int.from_bytes(both[:half], "big"), int.from_bytes(both[half:], "big"))

        return by_curve
    if mechanism.pss:
        parameters = (hashed, masked, len(digest(mechanism.digest)))

        def salted(key: Any, digested: bytes) -> bytes:
            signature: bytes = key.sign(digested, mechanism=Pkcs11Mechanism.RSA_PKCS_PSS, mechanism_param=parameters)
            return signature

        return salted
    named = algos.DigestAlgorithm({"algorithm": mechanism.digest, "parameters": core.Null()}).dump()

    def padded(key: Any, digested: bytes) -> bytes:
        info = tlv(SEQUENCE, named, tlv(OCTET_STRING, digested))
        signature: bytes = key.sign(info, mechanism=Pkcs11Mechanism.RSA_PKCS)
        return signature

    return padded


def _certificates(opened: _Opened) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """The certificate that has the key's id, and its issuers as far as they are in the token."""
    own_id = opened.key[Attribute.ID]
    found: list[tuple[bytes, x509.Certificate]] = []
    for each in opened.session.get_objects({Attribute.CLASS: ObjectClass.CERTIFICATE}):
        with suppress(ValueError):  # other people's objects may be anything
            found.append((each[Attribute.ID], x509.load_der_x509_certificate(each[Attribute.VALUE])))
    own = [certificate for id_, certificate in found if id_ == own_id]
    if len(own) != 1:
        raise KeyUnusable("The token has no certificate (or several) with the id of the key: name a file.")
    chain: list[x509.Certificate] = []
    below = own[0]
    while below.issuer != below.subject:
        issuer = next((each for _, each in found if _issued(below, each)), None)
        if issuer is None or issuer in chain:
            break
        chain.append(issuer)
        below = issuer
    return own[0], tuple(chain)


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except Exception:  # noqa: BLE001 - another name, another key, or a kind of key that can't be asked
        return False
    return True


def _named(error: Exception) -> dict[str, str]:
    return {"fault": type(error).__name__}
