"""Whose certificate it is, and whether somebody may sign with it: looked at before anything is prepared for it.

The closed list of what can be wrong: ``certificate_malformed``, ``certificate_not_valid_now``,
``certificate_untrusted``, ``certificate_not_for_signing``, ``certificate_is_an_authority``, ``key_too_weak``,
``certificate_revoked``, ``certificate_without_number``, ``signer_differs``, ``level_not_reached``, and of
``signing.webeid`` ``algorithms_not_accepted``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

from signing.errors import CertificateRevoked, SignerUnacceptable
from signing.revocation import RevocationSource
from signing.trust import path_to_root, read_certificate, valid_at

SMALLEST_RSA: Final = 2048
"""Cards are in people's hands for ten years: those of before 2021 have RSA keys of this size, and are good until their
certificate ends."""
LARGEST_CERTIFICATE: Final = 16 * 1024

_STATEMENTS: Final = ObjectIdentifier("1.3.6.1.5.5.7.1.3")
_QC_COMPLIANCE: Final = "0.4.0.1862.1.1"
_QC_DEVICE: Final = "0.4.0.1862.1.4"
_QC_TYPE: Final = "0.4.0.1862.1.6"
_QC_FOR_SIGNATURES: Final = "0.4.0.1862.1.6.1"
_NUMBER_PREFIX: Final = "PNOBE-"
"""How ETSI EN 319 412-1 (5.1.3) marks a Belgian national number; on identity cards it stands alone."""
_CURVES: Final = frozenset({"secp256r1", "secp384r1", "secp521r1"})


class SignatureLevel(StrEnum):
    """What a signature with a certificate is in law (eIDAS, articles 3 and 26), as far as the certificate tells."""

    ADVANCED = "advanced"
    QUALIFIED = "qualified"
    """The certificate says that it is a qualified one for signatures with its key in a qualified device, and leads to
    one of the issuers that were configured as being on a trusted list."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody who may sign.

    Attributes:
        certificate: theirs.
        chain: its issuers up to the root, nearest first.
        name: common name in the certificate.
        number: national number in it; None where it has none.
        level: the best that a signature with it can be.
    """

    certificate: x509.Certificate = field(repr=False)
    chain: tuple[x509.Certificate, ...] = field(repr=False)
    name: str = field(repr=False)
    number: str | None = field(repr=False)
    level: SignatureLevel


class SignerCheck:
    """Decides whose certificates are accepted. Safe to share between threads as long as ``revocation`` is."""

    def __init__(
        self,
        anchors: Sequence[x509.Certificate],
        *,
        issuers: Sequence[x509.Certificate] = (),
        qualified: Sequence[x509.Certificate] = (),
        revocation: RevocationSource | None = None,
    ) -> None:
        """Say who is believed.

        Args:
            anchors: roots that signers' certificates may lead to.
            issuers: authorities below them: browsers send the signer's certificate alone.
            qualified: those of ``anchors`` or ``issuers`` that a trusted list names for qualified certificates.
            revocation: asked about each certificate; None asks nobody.
        """
        self._anchors, self._issuers = tuple(anchors), tuple(issuers)
        self._qualified = frozenset(qualified)
        self._revocation = revocation

    @property
    def revocation(self) -> RevocationSource | None:
        """Who is asked about certificates."""
        return self._revocation

    def close(self) -> None:
        """Let go of the revocation source, where it can be closed."""
        if close := getattr(self._revocation, "close", None):
            close()

    def check(self, der: bytes, *, at: datetime) -> Signer:
        """Look at a certificate that somebody wants to sign with.

        Args:
            der: the certificate.
            at: now (aware).

        Raises:
            SignerUnacceptable: nobody may sign with it; the code says why.
            RevocationUnavailable: nobody says whether it was revoked; try again later.
        """
        certificate = _read(der)
        if not valid_at(certificate, at):
            raise SignerUnacceptable("certificate_not_valid_now", "The certificate is not valid now.")
        _check_key(certificate)
        _check_use(certificate)
        path = path_to_root(certificate, self._issuers, self._anchors, at)
        if path is None:
            raise SignerUnacceptable(
                "certificate_untrusted", "The certificate was issued by nobody who is trusted here."
            )
        chain = path[1:]
        if self._revocation is not None:
            try:
                self._revocation.data(certificate, chain, at=at)
            except CertificateRevoked:
                raise SignerUnacceptable("certificate_revoked", "The certificate was revoked.") from None
        qualified = _says_qualified(certificate) and not self._qualified.isdisjoint(chain)
        return Signer(
            certificate=certificate,
            chain=chain,
            name=_attribute(certificate, NameOID.COMMON_NAME) or "",
            number=_number(certificate),
            level=SignatureLevel.QUALIFIED if qualified else SignatureLevel.ADVANCED,
        )


def must_be(signer: Signer, *, number: str, level: SignatureLevel) -> None:
    """Hold a signer against who was asked, and against the level that was asked for.

    Raises:
        SignerUnacceptable: somebody else, or less than that.
    """
    if signer.number is None:
        raise SignerUnacceptable("certificate_without_number", "The certificate doesn't say whose number it is for.")
    if signer.number != number:
        raise SignerUnacceptable("signer_differs", "This is somebody else's certificate.")
    if level is SignatureLevel.QUALIFIED and signer.level is not SignatureLevel.QUALIFIED:
        raise SignerUnacceptable(
            "level_not_reached", "A qualified signature is asked for; this certificate makes none."
        )


def _read(der: bytes) -> x509.Certificate:
    malformed = SignerUnacceptable("certificate_malformed", "This is not a certificate.")
    if len(der) > LARGEST_CERTIFICATE:
        raise malformed
    try:
        return read_certificate(der)
    except ValueError:
        raise malformed from None


def _check_key(certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    strong = (isinstance(key, rsa.RSAPublicKey) and key.key_size >= SMALLEST_RSA) or (
        isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES
    )
    if not strong:
        raise SignerUnacceptable("key_too_weak", "The certificate's key is of a kind or size that is not accepted.")


def _check_use(certificate: x509.Certificate) -> None:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        authority = constraints.ca
    except x509.ExtensionNotFound:
        authority = False
    if authority:
        raise SignerUnacceptable("certificate_is_an_authority", "The certificate belongs to an authority.")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        signs = usage.content_commitment
    except x509.ExtensionNotFound:
        signs = False
    if not signs:
        raise SignerUnacceptable(
            "certificate_not_for_signing", "The certificate is not one for signing (non-repudiation)."
        )


def _attribute(certificate: x509.Certificate, oid: ObjectIdentifier) -> str | None:
    found = certificate.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if len(found) == 1 else None


def _number(certificate: x509.Certificate) -> str | None:
    text = (_attribute(certificate, NameOID.SERIAL_NUMBER) or "").removeprefix(_NUMBER_PREFIX)
    return text if text.isascii() and text.isdecimal() and len(text) == 11 else None  # noqa: PLR2004  digits of an INSZ


class _Statement(core.Sequence):  # type: ignore[misc]  # the library has no types
    _fields = [  # noqa: RUF012  read from the class
        ("id", core.ObjectIdentifier),
        ("info", core.Any, {"optional": True}),
    ]


class _Statements(core.SequenceOf):  # type: ignore[misc]
    _child_spec = _Statement


class _Types(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.ObjectIdentifier


def _says_qualified(certificate: x509.Certificate) -> bool:
    """Whether it says that it is qualified, for signatures, with its key in a device (ETSI EN 319 412-5)."""
    try:
        raw = certificate.extensions.get_extension_for_oid(_STATEMENTS).value
        assert isinstance(raw, x509.UnrecognizedExtension)
        said = {each["id"].dotted: each for each in _Statements.load(raw.value, strict=True)}
        types: set[str] = set()
        if _QC_TYPE in said:
            types = {each.dotted for each in _Types.load(said[_QC_TYPE]["info"].dump(), strict=True)}
    except (x509.ExtensionNotFound, ValueError, TypeError, KeyError):
        return False
    # Certificates of before the types came are for signatures (EN 319 412-5, 4.2.3).
    return {_QC_COMPLIANCE, _QC_DEVICE} <= said.keys() and (not types or _QC_FOR_SIGNATURES in types)
