"""Trusted lists of fictional schemes, written and signed here."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml import CanonicalizationMethod
from signxml.xades import XAdESSigner

from tests.longterm_support import House, Identity, certify, house

URI = "http://uri.etsi.org/TrstSvc"
GRANTED, WITHDRAWN = (f"{URI}/TrustedList/Svcstatus/{name}" for name in ("granted", "withdrawn"))
CA_QC, QTST = f"{URI}/Svctype/CA/QC", f"{URI}/Svctype/TSA/QTST"
_DS = {"ds": "http://www.w3.org/2000/09/xmldsig#"}
QUALIFIER = f"{URI}/TrustedList/SvcInfoExt/"
ISSUED = datetime(2024, 5, 1, tzinfo=UTC)
DUE = datetime(2030, 11, 1, tzinfo=UTC)
NOW = datetime(2024, 6, 4, tzinfo=UTC)


@cache
def operator(name: str = "operator") -> Identity:
    """A scheme operator: a certificate that is believed because it was handed over."""
    key = rsa.generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Scheme {name} (fictional)")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2032, 1, 1, tzinfo=UTC))
        .sign(key, SHA256())
    )
    return Identity(key, certificate)


def encoded(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()


@dataclass(frozen=True)
class Service:
    """One service; ``history`` holds older statuses, newest first, as (status, since)."""

    certificate: x509.Certificate
    kind: str = CA_QC
    status: str = GRANTED
    since: str = "2016-07-01T00:00:00Z"
    history: tuple[tuple[str, str], ...] = ()
    extensions: str = ""

    def xml(self) -> str:
        def entry(status: str, since: str, extensions: str) -> str:
            info = f"<ServiceInformationExtensions>{extensions}</ServiceInformationExtensions>" if extensions else ""
            return (
                f"<ServiceTypeIdentifier>{self.kind}</ServiceTypeIdentifier>"
                f'<ServiceName><Name xml:lang="en">Service (fictional)</Name></ServiceName>'
                f"<ServiceDigitalIdentity><DigitalId><X509Certificate>{encoded(self.certificate)}</X509Certificate>"
                f"</DigitalId></ServiceDigitalIdentity><ServiceStatus>{status}</ServiceStatus>"
                f"<StatusStartingTime>{since}</StatusStartingTime>{info}"
            )

        past = "".join(
            f"<ServiceHistoryInstance>{entry(status, since, self.extensions)}</ServiceHistoryInstance>"
            for status, since in self.history
        )
        history = f"<ServiceHistory>{past}</ServiceHistory>" if past else ""
        now = entry(self.status, self.since, self.extensions)
        return f"<TSPService><ServiceInformation>{now}</ServiceInformation>{history}</TSPService>"


def for_kinds(*names: str) -> str:
    """An extension that says what certificates a service issues: "ForeSeals", "ForeSignatures" …"""
    return "".join(
        f'<Extension Critical="false"><AdditionalServiceInformation><URI xml:lang="en">{QUALIFIER}{name}</URI>'
        "</AdditionalServiceInformation></Extension>"
        for name in names
    )


def qualifiers(*names: str) -> str:
    """An extension with qualifiers for every certificate that may sign."""
    listed = "".join(f'<sie:Qualifier uri="{QUALIFIER}{name}"/>' for name in names)
    return (
        '<Extension Critical="true"><sie:Qualifications><sie:QualificationElement>'
        f"<sie:Qualifiers>{listed}</sie:Qualifiers>"
        '<sie:CriteriaList assert="all"><sie:KeyUsage><sie:KeyUsageBit name="nonRepudiation">true</sie:KeyUsageBit>'
        "</sie:KeyUsage></sie:CriteriaList></sie:QualificationElement></sie:Qualifications></Extension>"
    )


def list_xml(
    *services: Service,
    territory: str = "BE",
    due: datetime | None = DUE,
    pointers: str = "",
    kind: str = "EUgeneric",
) -> str:
    """A list, not signed yet."""
    until = f"<NextUpdate><dateTime>{due:%Y-%m-%dT%H:%M:%SZ}</dateTime></NextUpdate>" if due else "<NextUpdate/>"
    offered = "".join(service.xml() for service in services)
    providers = (
        "<TrustServiceProviderList><TrustServiceProvider><TSPInformation><TSPName>"
        '<Name xml:lang="en">Provider (fictional)</Name></TSPName></TSPInformation>'
        f"<TSPServices>{offered}</TSPServices></TrustServiceProvider></TrustServiceProviderList>"
    )
    return (
        '<TrustServiceStatusList xmlns="http://uri.etsi.org/02231/v2#" '
        'xmlns:sie="http://uri.etsi.org/TrstSvc/SvcInfoExt/eSigDir-1999-93-EC-TrustedList/#" '
        'xmlns:add="http://uri.etsi.org/02231/v2/additionaltypes#" '
        f'Id="L1" TSLTag="{URI}/TSLTag"><SchemeInformation><TSLVersionIdentifier>5</TSLVersionIdentifier>'
        f"<TSLSequenceNumber>7</TSLSequenceNumber><TSLType>{URI}/TrustedList/TSLType/{kind}</TSLType>"
        '<SchemeOperatorName><Name xml:lang="en">Scheme (fictional)</Name></SchemeOperatorName>'
        '<SchemeInformationURI><URI xml:lang="en">https://scheme.example/</URI></SchemeInformationURI>'
        f"<SchemeTerritory>{territory}</SchemeTerritory>{pointers}"
        f"<ListIssueDateTime>{ISSUED:%Y-%m-%dT%H:%M:%SZ}</ListIssueDateTime>{until}"
        f"</SchemeInformation>{providers if services else ''}</TrustServiceStatusList>"
    )


def pointer(territory: str, *operators: x509.Certificate) -> str:
    """What a list of lists says of another list: who signs it."""
    ids = "".join(f"<DigitalId><X509Certificate>{encoded(each)}</X509Certificate></DigitalId>" for each in operators)
    return (
        "<PointersToOtherTSL><OtherTSLPointer><ServiceDigitalIdentities><ServiceDigitalIdentity>"
        f"{ids}</ServiceDigitalIdentity></ServiceDigitalIdentities>"
        f"<TSLLocation>https://scheme.example/{territory}.xml</TSLLocation><AdditionalInformation>"
        f"<OtherInformation><SchemeTerritory>{territory}</SchemeTerritory></OtherInformation>"
        "<OtherInformation><add:MimeType>application/vnd.etsi.tsl+xml</add:MimeType></OtherInformation>"
        "</AdditionalInformation></OtherTSLPointer></PointersToOtherTSL>"
    )


class _Signer(XAdESSigner):
    """Says of every reference by which rules it was written, as operators' programs do; signxml alone leaves it out."""

    def _add_reference_to_signed_info(self, sig_root: Any, node_to_reference: Any, **attrs: Any) -> None:
        super()._add_reference_to_signed_info(sig_root, node_to_reference, **attrs)
        reference = sig_root.findall(".//ds:Reference", namespaces=_DS)[-1]
        transforms = etree.Element(etree.QName(_DS["ds"], "Transforms"))
        etree.SubElement(transforms, etree.QName(_DS["ds"], "Transform"), Algorithm=self.c14n_alg.value)
        reference.insert(0, transforms)


def signed_list(xml: str, by: Identity | None = None) -> bytes:
    """The list with its operator's signature (XAdES, enveloped)."""
    by = by or operator()
    signer = _Signer(c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0)
    assert isinstance(by.key, rsa.RSAPrivateKey)
    signed = signer.sign(
        etree.fromstring(xml.encode()),
        key=by.key,
        cert=[by.certificate.public_bytes(serialization.Encoding.PEM).decode()],
        always_add_key_value=False,
    )
    whole: bytes = etree.tostring(signed)
    return whole


class _Statement(core.Sequence):
    _fields = [  # noqa: RUF012 - asn1crypto's way of saying it
        ("id", core.ObjectIdentifier),
        ("info", core.Any, {"optional": True}),
    ]


class _Statements(core.SequenceOf):
    _child_spec = _Statement


class _Types(core.SequenceOf):
    _child_spec = core.ObjectIdentifier


def qc_statements(*, kind: str | None = "seal", device: bool = True, compliant: bool = True) -> x509.ExtensionType:
    """What a qualified certificate says of itself (ETSI EN 319 412-5)."""
    statements = []
    if compliant:
        statements.append(_Statement({"id": "0.4.0.1862.1.1"}))
    if device:
        statements.append(_Statement({"id": "0.4.0.1862.1.4"}))
    if kind is not None:
        number = {"signature": 1, "seal": 2, "web": 3}[kind]
        statements.append(_Statement({"id": "0.4.0.1862.1.6", "info": core.Any(_Types([f"0.4.0.1862.1.6.{number}"]))}))
    value: bytes = _Statements(statements).dump()
    return x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.3"), value)


def qualified(of: House | None = None, **said: object) -> Identity:
    """A signer whose certificate says that it is qualified."""
    extension = qc_statements(**said)  # type: ignore[arg-type]
    return certify("qualified seal", (of or house()).issuing, (2023, 2027), extensions=[(extension, False)])
