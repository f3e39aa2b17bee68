"""What a file brings for judging its signatures: certificates, OCSP answers, CRLs. Nothing of it is believed yet."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import x509 as asn1_x509
from pyhanko.pdf_utils.rw_common import PdfHandler
from pyhanko.sign.validation import DocumentSecurityStore, EmbeddedPdfSignature
from pyhanko.sign.validation.errors import NoDSSFoundError


@dataclass(frozen=True, slots=True)
class Evidence:
    """Material for following certificates offline."""

    certificates: tuple[asn1_x509.Certificate, ...] = ()
    ocsps: tuple[asn1_ocsp.OCSPResponse, ...] = ()
    crls: tuple[asn1_crl.CertificateList, ...] = ()

    @classmethod
    def in_store(cls, revision: PdfHandler) -> Self:
        """What the document security store of a revision holds (ISO 32000-2, 12.8.4.3); what can't be read is left.

        Files bring stores of any kind, and a broken one must not hide a signature that needs none.
        """
        try:
            store = DocumentSecurityStore.read_dss(revision)
            certificates = tuple(store.load_certs())
        except NoDSSFoundError:
            return cls()
        except Exception:  # noqa: BLE001 - a store can make its reader raise anything; then it proves nothing
            return cls()
        return cls(
            certificates,
            tuple(_readable(asn1_ocsp.OCSPResponse, store.ocsps)),
            tuple(_readable(asn1_crl.CertificateList, store.crls)),
        )

    @classmethod
    def in_signature(cls, embedded: EmbeddedPdfSignature) -> Self:
        """What the signature's own CMS holds: certificates, and the answers that Adobe's attribute keeps."""
        ocsps: list[asn1_ocsp.OCSPResponse] = []
        crls: list[asn1_crl.CertificateList] = []
        for attribute in embedded.signer_info["signed_attrs"]:
            if attribute["type"].native == "adobe_revocation_info_archival":
                for archive in attribute["values"]:
                    ocsps += list(archive["ocsp"] or ())
                    crls += list(archive["crl"] or ())
        return cls(tuple(embedded.other_embedded_certs), tuple(ocsps), tuple(crls))

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(
            (*self.certificates, *other.certificates), (*self.ocsps, *other.ocsps), (*self.crls, *other.crls)
        )

    @property
    def answers(self) -> int:
        """How many OCSP answers and CRLs there are."""
        return len(self.ocsps) + len(self.crls)


def _readable(kind: Any, references: Any) -> Iterator[Any]:
    for reference in references:
        try:
            value = kind.load(reference.get_object().data, strict=True)
            value.native  # noqa: B018 - reads all of it now: asn1crypto would raise later, elsewhere
        except Exception:  # noqa: BLE001, S112 - as above: what can't be read proves nothing
            continue
        yield value
