"""Signatures of every level and age for the tests of validation: a house of authorities whose dates can be chosen.

Made with pyHanko's own signer and cryptography's certificates, never with ours: what is judged here was not made by
whoever judges.
"""

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from asn1crypto import crl as asn1_crl
from asn1crypto import keys as asn1_keys
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, PdfTimeStamper, SimpleSigner
from pyhanko.sign.timestamps.dummy_client import DummyTimeStamper
from pyhanko.sign.validation import DocumentSecurityStore
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.registry import SimpleCertificateStore

from signing.report import Report
from signing.validate import validate
from tests.signing_support import plain_pdf

SIGNED = datetime(2024, 6, 3, 10, 0, tzinfo=UTC)
"""When the documents of these tests are signed, unless said otherwise."""

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@cache
def key_named(name: str) -> _Key:
    """A key that is made once in a run. Pyhanko's own time-stamper needs an RSA key."""
    if "tsa" in name:
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Identity:
    """A key and the certificate that goes with it."""

    key: _Key
    certificate: x509.Certificate

    @property
    def asn1(self) -> asn1_x509.Certificate:
        return asn1_x509.Certificate.load(self.certificate.public_bytes(Encoding.DER))

    @property
    def asn1_key(self) -> asn1_keys.PrivateKeyInfo:
        raw = self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return asn1_keys.PrivateKeyInfo.load(raw)


def _date(year: int) -> datetime:
    return datetime(year, 1, 1, tzinfo=UTC)


def certify(
    name: str,
    issuer: Identity | None,
    years: tuple[int, int],
    *,
    authority: bool = False,
    stamping: bool = False,
    responding: bool = False,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Identity:
    """An identity, certified by another one or by itself."""
    key = key_named(name)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "BE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "House (fictional)"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{name} (fictional)"),
        ]
    )
    above = issuer.key if issuer is not None else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_date(years[0]))
        .not_valid_after(_date(years[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(_usage(authority=authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False)
    )
    if stamping:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    if responding:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
        builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return Identity(key, builder.sign(above, SHA256()))


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True)
class House:
    """Authorities, and one who signs. ``revoked`` holds names with the moments from which they are revoked."""

    root: Identity
    issuing: Identity
    responder: Identity
    seal: Identity
    tsa: Identity
    tsa_later: Identity
    revoked: dict[str, datetime] = field(default_factory=dict)

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        return (self.root.certificate,)

    def crl(self, of: Identity, at: datetime, *, days: int = 30) -> asn1_crl.CertificateList:
        """The CRL of an authority as of ``at``."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(of.certificate.subject)
            .last_update(at)
            .next_update(at + timedelta(days=days))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(of.key.public_key()), critical=False)
            .add_extension(x509.CRLNumber(int(at.timestamp())), critical=False)
        )
        for name, since in self.revoked.items():
            if since <= at:
                serial = getattr(self, name).certificate.serial_number
                entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since).build()
                builder = builder.add_revoked_certificate(entry)
        return asn1_crl.CertificateList.load(builder.sign(of.key, SHA256()).public_bytes(Encoding.DER))

    def crls(self, at: datetime) -> list[asn1_crl.CertificateList]:
        return [self.crl(self.root, at), self.crl(self.issuing, at)]

    def answer(self, at: datetime, *, good: bool = True, days: int = 7) -> asn1_ocsp.OCSPResponse:
        """What the issuing authority's responder says of the seal."""
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=self.seal.certificate,
            issuer=self.issuing.certificate,
            algorithm=SHA256(),
            cert_status=ocsp.OCSPCertStatus.GOOD if good else ocsp.OCSPCertStatus.REVOKED,
            this_update=at,
            next_update=at + timedelta(days=days),
            revocation_time=None if good else at - timedelta(days=1),
            revocation_reason=None if good else x509.ReasonFlags.key_compromise,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.responder.certificate)
        signed = builder.certificates([self.responder.certificate]).sign(self.responder.key, SHA256())
        return asn1_ocsp.OCSPResponse.load(signed.public_bytes(Encoding.DER))

    def stamper(self, at: datetime, *, later: bool = False) -> DummyTimeStamper:
        by = self.tsa_later if later else self.tsa
        store = SimpleCertificateStore.from_certs([self.root.asn1])
        return DummyTimeStamper(by.asn1, by.asn1_key, certs_to_embed=store, fixed_dt=at)

    def context(self, at: datetime, *, answers: Any = None) -> ValidationContext:
        """What a signer of long-term signatures looks revocations up in."""
        return ValidationContext(
            trust_roots=[self.root.asn1],
            other_certs=[self.issuing.asn1],
            crls=self.crls(at),
            ocsps=answers or [],
            moment=at,
            allow_fetching=False,
            revocation_mode="soft-fail" if self.revoked else "require",
        )


@cache
def house(brand: str = "", **revoked: datetime) -> House:
    """A house with keys of its own for each brand.

    The seal ends in 2027, the authority of time-stamps in 2030 and its successor in 2045, the issuers in 2060."""
    root = certify(f"{brand}root", None, (2015, 2060), authority=True)
    issuing = certify(f"{brand}issuing", root, (2015, 2060), authority=True)
    return House(
        root=root,
        issuing=issuing,
        responder=certify(f"{brand}responder", issuing, (2023, 2028), responding=True),
        seal=certify(f"{brand}seal", issuing, (2023, 2027)),
        tsa=certify(f"{brand}tsa", root, (2020, 2030), stamping=True),
        tsa_later=certify(f"{brand}tsa later", root, (2028, 2045), stamping=True),
        revoked=revoked,
    )


def signer_of(of: House, who: Identity | None = None) -> SimpleSigner:
    by = who or of.seal
    return SimpleSigner(
        signing_cert=by.asn1,
        signing_key=by.asn1_key,
        cert_registry=SimpleCertificateStore.from_certs([of.issuing.asn1]),
    )


def sign(
    level: str,
    *,
    of: House | None = None,
    pdf: bytes | None = None,
    at: datetime = SIGNED,
    who: Identity | None = None,
    name: str = "Signature1",
    certify_as: MDPPerm | None = None,
    answers: Any = None,
    digest: str = "sha256",
    subfilter: SigSeedSubFilter = SigSeedSubFilter.PADES,
    box: tuple[int, int, int, int] | None = None,
) -> bytes:
    """A document signed at a level, "b-b" to "b-lta"."""
    of = of or house()
    long = level in {"b-lt", "b-lta"}
    meta = PdfSignatureMetadata(
        field_name=name,
        md_algorithm=digest,
        subfilter=subfilter,
        validation_context=of.context(at, answers=answers) if long else None,
        embed_validation_info=long,
        use_pades_lta=level == "b-lta",
        certify=certify_as is not None,
        docmdp_permissions=certify_as or MDPPerm.FILL_FORMS,
    )
    signer = PdfSigner(
        meta,
        signer=signer_of(of, who),
        timestamper=None if level == "b-b" else of.stamper(at),
        new_field_spec=SigFieldSpec(name, box=box) if box else None,
    )
    out = io.BytesIO()
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf if pdf is not None else plain_pdf()))
    asyncio.run(signer.async_sign_pdf(writer, output=out))
    return out.getvalue()


def renewed(pdf: bytes, at: datetime, *, of: House | None = None, later: bool = True) -> bytes:
    """The document with one more archive time-stamp, and what is needed to judge the one before."""
    of = of or house()
    stamper = PdfTimeStamper(of.stamper(at, later=later), field_name=f"Archive{at.year}")
    out = io.BytesIO()
    asyncio.run(
        stamper.async_update_archival_timestamp_chain(
            PdfFileReader(io.BytesIO(pdf)), of.context(at), in_place=False, output=out
        )
    )
    return out.getvalue()


def stamped(pdf: bytes, at: datetime, *, of: House | None = None, name: str = "Stamp1") -> bytes:
    """The document with a document time-stamp and nothing else."""
    of = of or house()
    out = io.BytesIO()
    asyncio.run(
        PdfTimeStamper(of.stamper(at), field_name=name).async_timestamp_pdf(
            IncrementalPdfFileWriter(io.BytesIO(pdf)), "sha256", output=out
        )
    )
    return out.getvalue()


def with_answers(
    pdf: bytes, of: House, at: datetime, *, ocsps: Sequence[asn1_ocsp.OCSPResponse] = (), archived: bool = False
) -> bytes:
    """The document with a store of what the authorities said at a moment."""
    out = io.BytesIO(pdf)
    DocumentSecurityStore.add_dss(out, None, certs=[of.issuing.asn1, of.root.asn1], crls=of.crls(at), ocsps=list(ocsps))
    return stamped(out.getvalue(), at, of=of) if archived else out.getvalue()


def judge(pdf: bytes, at: datetime = SIGNED + timedelta(days=1), *, of: House | None = None, **more: Any) -> Report:
    return validate(pdf, **{"trust_roots": (of or house()).roots, "at": at, **more})
