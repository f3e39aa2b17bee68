"""The certificates that the signatures of a bundle rest on, read from what was signed."""

from collections.abc import Iterable, Sequence
from io import BytesIO

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import NoDSSFoundError

from signing.tokens import certificates_of


def of_tokens(tokens: Iterable[bytes]) -> tuple[list[x509.Certificate], list[x509.Certificate]]:
    """The certificates of the authorities that made these time-stamps, and those that came with them."""
    own, others = [], []
    for token in tokens:
        signer, sent = certificates_of(token)
        own.append(signer)
        others += [each for each in sent if each != signer]
    return distinct(own), distinct(others)


def of_seals(documents: Iterable[bytes]) -> list[x509.Certificate]:
    """The certificates that stand in the seals of documents, and in what was kept with them."""
    found = []
    for document in documents:
        reader = PdfFileReader(BytesIO(document))
        for signature in reader.embedded_signatures:
            found += [signature.signer_cert, *signature.other_embedded_certs]
        try:
            found += DocumentSecurityStore.read_dss(reader).load_certs()
        except NoDSSFoundError:
            continue
    return distinct(x509.load_der_x509_certificate(each.dump()) for each in found)


def issuers(of: Iterable[x509.Certificate], among: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """Those of ``among`` that issued one of ``of``."""
    certificates = list(of)
    return [each for each in distinct(among) if any(_issued(each, other) for other in certificates)]


def pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Certificates as a PEM file, each under its subject's name."""
    return b"".join(
        f"# {each.subject.rfc4514_string()}\n".encode() + each.public_bytes(Encoding.PEM) for each in certificates
    )


def distinct(certificates: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """Each once, in an order that does not depend on where they were found."""
    known = {each.public_bytes(Encoding.DER): each for each in certificates}
    return [known[der] for der in sorted(known)]


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
