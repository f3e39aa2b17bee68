"""Keys kept by a remote signing service, by the API of the Cloud Signature Consortium (1.0.4 and 2.0).

The service gets digests. Each use of the key is authorised for exactly the digests it is for (SAD), and what comes back
is believed only if it verifies under the certificate, for the digest it is said to be of.
"""

import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final, Protocol

from asn1crypto import algos
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from signing.algorithms import Mechanism, signature_holds
from signing.errors import KeyUnavailable, KeyUnusable
from signing.keys.base import check_digest, mechanism_for
from signing.keys.csc_service import PARTY, CscAccess, CscService, Refused, decoded, strings, text

LARGEST_BATCH: Final = 100
"""Digests in one call, whatever the service would take."""

_GENERIC: Final = {"rsa": "1.2.840.113549.1.1.1", "ecdsa": "1.2.840.10045.2.1"}
_UNATTENDED: Final = {"implicit", "explicit"}
_SECOND: Final = 2


class PinMemory(Protocol):
    """Remembers which PINs were refused, for as long and as widely as a wrong one could lock a key."""

    def knows(self, place: str, pin: str) -> bool:
        """Whether the key at ``place`` refused this PIN before."""
        ...

    def add(self, place: str, pin: str) -> None:
        """The key at ``place`` refused this PIN."""
        ...


class _OfThisProcess:
    """Keys are opened anew after errors, and must not show a PIN again."""

    def __init__(self) -> None:
        self._refused: set[bytes] = set()

    def knows(self, place: str, pin: str) -> bool:
        return _digest(place, pin) in self._refused

    def add(self, place: str, pin: str) -> None:
        self._refused.add(_digest(place, pin))


def _digest(place: str, pin: str) -> bytes:
    return sha256(f"{place}\0{pin}".encode()).digest()


_of_this_process = _OfThisProcess()


class CscSealKey:
    """A key in a remote signing service. Safe to share between threads; a failed call may be repeated."""

    def __init__(
        self,
        access: CscAccess,
        credential: str,
        *,
        pin: Callable[[], str] | None = None,
        certificate: x509.Certificate | None = None,
        mechanism: Mechanism | None = None,
        refused_pins: PinMemory = _of_this_process,
        timeout: float = 15.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Ask the service for the credential. Nothing is signed by that.

        Args:
            access: how the service is reached.
            credential: the credential's id there.
            pin: the PIN that authorises its use, where it has one.
            certificate: the only certificate that is accepted; None accepts the one that the service gives.
            mechanism: how to sign; None takes the usual one of the key's kind.
            refused_pins: remembers PINs that were refused; one that it knows is not shown.
            timeout: seconds for each exchange; a signature takes two to five of them.
            tls: context for https; None uses the system's.

        Raises:
            KeyUnavailable: no proper answer in time.
            KeyUnusable: the credential can't seal without a person, is switched off, or is of another kind.
        """
        self._service = CscService(access, timeout=timeout, tls=tls)
        self._credential = credential
        self._pin = pin
        self._place = f"{access.url} {credential}"
        self._refused_pins = refused_pins
        try:
            info = self._service.call("credentials/info", {"credentialID": credential, "certificates": "chain"})
            self._certificate, *chain = certificates(info, certificate)
            self._chain = tuple(chain)
            self._mechanism = mechanism_for(self._certificate.public_key(), mechanism)
            self._algorithm = algorithm(self._mechanism, info)
            self._most = together_by(info)
            _check_usable(info, authorises_itself=access.scope == "credential")
            self._pin_name = _pin_name(info)
        except BaseException:
            self._service.close()
            raise

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

    @property
    def together(self) -> int:
        """How many digests one authorisation may be for."""
        return self._most

    def sign(self, digest: bytes) -> bytes:
        """Sign ``digest``; see :meth:`SealKey.sign`."""
        return self.sign_many([digest])[0]

    def sign_many(self, digests: Sequence[bytes]) -> list[bytes]:
        """Sign several digests with as few calls as the service allows; the signatures in their order.

        Raises:
            KeyUnavailable, KeyUnusable: as :meth:`sign`; then none of them counts.
        """
        for digest in digests:
            check_digest(self._mechanism, digest)
        groups = [digests[at : at + self._most] for at in range(0, len(digests), self._most)]
        return [signature for group in groups for signature in self._signed(group)]

    def _signed(self, digests: Sequence[bytes]) -> list[bytes]:
        hashes = [b64encode(digest).decode() for digest in digests]
        second = self._service.access.version == _SECOND
        named = {"hashAlgorithmOID" if second else "hashAlgo": oid(self._mechanism.digest)}
        body = {"credentialID": self._credential, "hashes" if second else "hash": hashes, **named, **self._algorithm}
        for last in (False, True):
            activation = self._authorised(hashes, named if second else {})
            try:
                answer = self._service.call("signatures/signHash", {**body, **activation})
                break
            except Refused:
                # An authorisation may end on its way; a new one tells whether that was it.
                if last or not activation:
                    raise
        values = strings(answer, "signatures")
        if len(values) != len(digests):
            raise KeyUnavailable(f"{PARTY} answered with another number of signatures than was asked for.")
        return [
            believed(decoded(value, "a signature"), digest, self._certificate, self._mechanism)
            for value, digest in zip(values, digests, strict=True)
        ]

    def _authorised(self, hashes: Sequence[str], named: dict[str, str]) -> dict[str, str]:
        """The authorisation to sign exactly these hashes, as it goes into the call."""
        if self._service.access.scope == "credential":
            return {}
        second = self._service.access.version == _SECOND
        asked: dict[str, Any] = {"credentialID": self._credential, "numSignatures": len(hashes), **named}
        asked["hashes" if second else "hash"] = hashes
        pin = self._pin() if self._pin is not None else None
        if pin is not None:
            if self._refused_pins.knows(self._place, pin):
                raise KeyUnusable(f"{PARTY} refused this PIN. Set the right one; it is not tried again.")
            asked.update({"authData": [{"id": self._pin_name, "value": pin}]} if second else {"PIN": pin})
        try:
            activation = text(self._service.call("credentials/authorize", asked), "SAD")
        except Refused as refused:
            if pin is not None and refused.status != HTTPStatus.UNAUTHORIZED:
                # Whatever the service calls it: it may count this as a wrong PIN, and lock the key after a few.
                self._refused_pins.add(self._place, pin)
            raise
        if not activation:
            raise KeyUnavailable(f"{PARTY} answered with no authorisation.")
        return {"SAD": activation}

    def close(self) -> None:
        """Close the kept connections; the next signature opens them again."""
        self._service.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._service.access.url}>"


def believed(signature: bytes, digest: bytes, certificate: x509.Certificate, mechanism: Mechanism) -> bytes:
    """A signature as a CMS holds it, once it was verified.

    Raises:
        KeyUnusable: it is none of this digest by the certificate's key.
    """
    for form in (signature, _joined(signature) if mechanism.elliptic else None):
        if form and signature_holds(certificate.public_key(), mechanism.encoded, mechanism.digest, form, digest):
            return form
    raise KeyUnusable(f"{PARTY} made a signature that is none of this digest by this certificate's key.")


def _joined(signature: bytes) -> bytes | None:
    """A signature given as two numbers side by side (IEEE P1363), as DER; some services answer so."""
    half, odd = divmod(len(signature), 2)
    if odd or not half:
        return None
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


def certificates(info: dict[str, Any], expected: x509.Certificate | None = None) -> list[x509.Certificate]:
    """The credential's certificate and its issuers, nearest first.

    Raises:
        KeyUnavailable: what is said to be one can't be read.
        KeyUnusable: there is none, or another than ``expected``.
    """
    try:
        found = [
            x509.load_der_x509_certificate(decoded(value, "a certificate"))
            for value in strings(info, "cert", "certificates")
        ]
    except ValueError as error:
        raise KeyUnavailable(f"{PARTY} answered with a certificate that can't be read.") from error
    if not found:
        raise KeyUnusable(f"{PARTY} has no certificate for this credential.")
    own, *others = found
    if expected not in {None, own}:
        raise KeyUnusable(f"{PARTY} has another certificate for this credential than the one expected.")
    # Only the first has a fixed place (1.0.4, 11.5): the rest is put in order here.
    ordered, below = [own], own
    while below.issuer != below.subject:
        issuer = next((each for each in others if each.subject == below.issuer and each not in ordered), None)
        if issuer is None:
            break
        ordered.append(issuer)
        below = issuer
    return ordered


def algorithm(mechanism: Mechanism, info: dict[str, Any]) -> dict[str, str]:
    """What names the mechanism in a call, in the way that the credential's key allows.

    Raises:
        KeyUnusable: it allows no way.
    """
    encoded = algos.SignedDigestAlgorithm.load(mechanism.encoded)
    allowed = strings(info, "key", "algo")
    named: str = encoded["algorithm"].dotted
    generic = _GENERIC["ecdsa" if mechanism.elliptic else "rsa"]
    if mechanism.pss:
        if named not in allowed:
            raise KeyUnusable(f"{PARTY} does not sign by {mechanism} with this key.")
        return {"signAlgo": named, "signAlgoParams": b64encode(encoded["parameters"].dump()).decode()}
    if named not in allowed and generic not in allowed:
        raise KeyUnusable(f"{PARTY} does not sign by {mechanism} with this key.")
    return {"signAlgo": named if named in allowed else generic}


def check_enabled(info: dict[str, Any]) -> None:
    """Hold the credential against what its service says of it.

    Raises:
        KeyUnusable: its key is switched off, or its certificate is not valid.
    """
    if text(info, "key", "status") != "enabled":
        raise KeyUnusable(f"{PARTY} has switched this credential's key off.")
    if text(info, "cert", "status") not in {None, "valid"}:
        raise KeyUnusable(f"{PARTY} says that this credential's certificate is not valid.")


def mode_of(info: dict[str, Any]) -> str | None:
    """How the credential's use is authorised (``oauth2code``: by a person at the service)."""
    return text(info, "auth", "mode") or text(info, "authMode")


def _check_usable(info: dict[str, Any], *, authorises_itself: bool) -> None:
    check_enabled(info)
    mode = mode_of(info)
    if not authorises_itself and mode not in _UNATTENDED:
        raise KeyUnusable(f"This credential asks a person each time ({_word(mode)}): it can't seal.")


def _word(mode: str | None) -> str:
    return mode if mode in {"oauth2code", "oauth2token"} else "by a way that is not known"


def _pin_name(info: dict[str, Any]) -> str:
    """The id of what the credential calls its PIN (2.0: any name)."""
    objects = info.get("auth", {}).get("objects") if isinstance(info.get("auth"), dict) else None
    for each in objects if isinstance(objects, list) else []:
        if (text(each, "type") or "").lower() in {"password", "pin"} and (name := text(each, "id")):
            return name
    return "PIN"


def together_by(info: dict[str, Any]) -> int:
    """How many digests one authorisation may be for."""
    said = info.get("multisign", 1)
    if isinstance(said, bool) or not isinstance(said, int) or said < 1:
        return 1
    return min(said, LARGEST_BATCH)


def oid(name: str) -> str:
    """The identifier of a digest in dots."""
    dotted: str = algos.DigestAlgorithmId(name).dotted
    return dotted
