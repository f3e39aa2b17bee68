"""A public-key infrastructure for demonstrations and tests. Every certificate says that it is fictional.

Nothing made here may be believed by anyone but a demonstration: production refuses these keys by the root's name.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

ROOT_NAME = "Zending Test Root CA (fictional)"
"""Common name of the root; a production configuration refuses certificates that lead to it."""

ISSUING_NAME = "Zending Test Issuing CA (fictional)"

AUTHORITIES = ("root", "issuing")
"""Who certifies others, by the names of their files; a list of revoked certificates has the same name."""

STATUS_URL = "http://pki.zending.invalid"
"""Where the certificates say that their status is known: a host that is nowhere, asked by way of the demonstration's
own authority as a proxy. So the certificates stay right on every port and machine."""

Algorithm = Literal["p-256", "p-384", "rsa-3072", "rsa-4096"]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_LONGEST_NAME = 64  # upper bound of common and organisation names in X.509
_SEAL_ENDING = " (test seal, fictional)"
_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Credential:
    """PEM files of one key: the key itself (mode 0600), its certificate, its issuers without the root."""

    key: Path
    certificate: Path
    chain: Path


@dataclass(frozen=True, slots=True)
class DemoPki:
    """Where the infrastructure's parts lie.

    Attributes:
        folder: holds everything.
        trust_anchor: the root certificate (PEM), all that a checker must believe.
        tsa: the time-stamp authority's key.
        responder: the key of who says which certificates of the issuing authority were revoked.
    """

    folder: Path
    trust_anchor: Path
    tsa: Credential
    responder: Credential


def ensure_pki(folder: Path) -> DemoPki:
    """The infrastructure in ``folder``: made where it is missing, kept where it is there.

    Safe to call from several processes at once. What it returns is on disk, durably.
    """
    with _locked(folder):
        root, issuing, tsa, responder = (_credential(folder, name) for name in ("root", "issuing", "tsa", "ocsp"))
        if not _complete(root):
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name(ROOT_NAME)
            _write(root, key, _certify(key, name, key, name, _AuthorityUse(years=20, depth=1)), b"")
        if not _complete(issuing):
            key = ec.generate_private_key(ec.SECP256R1())
            above, certificate = _load(root)
            use = _AuthorityUse(years=15, depth=0)
            _write(issuing, key, _certify(key, _name(ISSUING_NAME), above, certificate.subject, use), b"")
        if not _complete(tsa):
            _issue(folder, tsa, _name("Zending Test TSA (fictional)"), "p-256", _TimeStampUse())
        if not _complete(responder):
            _issue(folder, responder, _name("Zending Test OCSP responder (fictional)"), "p-256", _ResponderUse())
    return DemoPki(folder=folder, trust_anchor=root.certificate, tsa=tsa, responder=responder)


def ensure_seal(folder: Path, organisation_name: str, slug: str, *, algorithm: Algorithm = "p-256") -> Credential:
    """The seal certificate of a fictional organisation, made when it is missing.

    Args:
        folder: the infrastructure's, see :func:`ensure_pki`.
        organisation_name: stands in the certificate, cut to what X.509 allows.
        slug: names the files; letters, digits and hyphens.
        algorithm: kind of key, when one has to be made.

    Raises:
        ValueError: the slug can't be a file name.
    """
    if not slug or not all(sign.isascii() and (sign.isalnum() or sign == "-") for sign in slug):
        raise ValueError("a seal's slug has letters, digits and hyphens only")
    ensure_pki(folder)
    with _locked(folder):
        seal = _credential(folder, f"seal-{slug}")
        if not _complete(seal):
            common = _cut(organisation_name, _LONGEST_NAME - len(_SEAL_ENDING)) + _SEAL_ENDING
            subject = _name(common, organisation=_cut(organisation_name, _LONGEST_NAME))
            _issue(folder, seal, subject, algorithm, _SealUse())
    return seal


@dataclass(frozen=True, slots=True)
class _AuthorityUse:
    """Certifies others, ``depth`` authorities deep below itself."""

    years: int
    depth: int


@dataclass(frozen=True, slots=True)
class _SealUse:
    """Seals documents."""

    years: int = 10


@dataclass(frozen=True, slots=True)
class _TimeStampUse:
    """Stamps times and nothing else (RFC 3161, 2.3)."""

    years: int = 12


@dataclass(frozen=True, slots=True)
class _ResponderUse:
    """Answers in the issuing authority's place, and is not asked about itself (RFC 6960, 4.2.2.2)."""

    years: int = 12


_Use = _AuthorityUse | _SealUse | _TimeStampUse | _ResponderUse


def _certify(
    key: PrivateKey, subject: x509.Name, issuer_key: PrivateKey, issuer: x509.Name, use: _Use
) -> x509.Certificate:
    authority = isinstance(use, _AuthorityUse)
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # An hour back: a clock set right a moment later must not make the demonstration's keys start in the future.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + use.years * _YEAR)
        .add_extension(
            x509.BasicConstraints(ca=authority, path_length=use.depth if isinstance(use, _AuthorityUse) else None),
            critical=True,
        )
        .add_extension(_key_usage(authority=authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if isinstance(use, _ResponderUse):
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    elif key is not issuer_key:
        issued_by = AUTHORITIES[0] if authority else AUTHORITIES[1]
        builder = builder.add_extension(_list_at(f"{STATUS_URL}/{issued_by}.crl"), critical=False)
        if not authority:
            builder = builder.add_extension(_responder_at(f"{STATUS_URL}/ocsp"), critical=False)
    if isinstance(use, _TimeStampUse):
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    return builder.sign(issuer_key, SHA256())


def _list_at(url: str) -> x509.CRLDistributionPoints:
    name = x509.UniformResourceIdentifier(url)
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint(full_name=[name], relative_name=None, reasons=None, crl_issuer=None)]
    )


def _responder_at(url: str) -> x509.AuthorityInformationAccess:
    name = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, name)])


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issue(folder: Path, target: Credential, subject: x509.Name, algorithm: Algorithm, use: _Use) -> None:
    issuing = _credential(folder, "issuing")
    issuer_key, issuer = _load(issuing)
    key = _new_key(algorithm)
    _write(target, key, _certify(key, subject, issuer_key, issuer.subject, use), issuing.certificate.read_bytes())


def _new_key(algorithm: Algorithm) -> PrivateKey:
    if algorithm.startswith("rsa-"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm.removeprefix("rsa-")))
    return ec.generate_private_key(ec.SECP256R1() if algorithm == "p-256" else ec.SECP384R1())


def _name(common: str, *, organisation: str = "Zending Test (fictional)") -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "BE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _cut(text: str, size: int) -> str:
    """``text`` in at most ``size`` bytes of UTF-8."""
    return text.encode()[:size].decode(errors="ignore").rstrip()


def _credential(folder: Path, name: str) -> Credential:
    return Credential(folder / f"{name}.key.pem", folder / f"{name}.cert.pem", folder / f"{name}.chain.pem")


def _complete(credential: Credential) -> bool:
    # The certificate is written last, so where it is the rest is too.
    return credential.certificate.exists()


def _load(credential: Credential) -> tuple[PrivateKey, x509.Certificate]:
    key = load_pem_private_key(credential.key.read_bytes(), None)
    assert isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey))
    return key, x509.load_pem_x509_certificate(credential.certificate.read_bytes())


def _write(target: Credential, key: PrivateKey, certificate: x509.Certificate, chain: bytes) -> None:
    _store(target.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    _store(target.chain, chain, mode=0o644)
    _store(target.certificate, certificate.public_bytes(Encoding.PEM), mode=0o644)


def _store(file: Path, content: bytes, *, mode: int) -> None:
    """Write durably: the whole file or none of it, whatever fails meanwhile."""
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.rename(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
