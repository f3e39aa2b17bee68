"""The program of validation: what `forking` runs to judge the signatures of PDFs that come from anywhere.

Its one further argument says what is believed; that is read before the walls close. Whatever becomes of a document
here, only a report comes out, and pyHanko's own log, which quotes certificates, goes nowhere.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its methods without.

import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.generic import StreamObject
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter

from service.inspection.forking import serve
from service.inspection.framing import framed, unframed
from service.inspection.limits import InspectionLimits
from signing.keys import FileSealKey
from signing.seal import Sealer
from signing.trust import load_certificates
from signing.trusted_lists import TrustedLists, load_lists
from signing.validate import validate

_LONGEST_QUESTION: Final = 4096


class Believed(msgspec.Struct, frozen=True):
    """Files of what is believed: PEM for certificates, XML for trusted lists.

    Attributes:
        anchors: roots of signers and time-stamp authorities.
        lists: trusted lists, and lists of lists.
        operators: certificates of the lists' scheme operators.
        own_seals: fingerprints of seals behind which nothing but validation data and time-stamps is accepted.
    """

    anchors: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    own_seals: tuple[str, ...] = ()


class Asked(msgspec.Struct, frozen=True):
    """What is asked about a document."""

    at: datetime
    require_revocation: bool = False


class Trust:
    """What is believed, read from its files.

    Raises:
        OSError, ValueError: a file can't be read, or holds no certificates.
        TrustedListRefused: a list can't be believed.
    """

    def __init__(self, believed: Believed, now: datetime) -> None:
        self.roots = [each for file in believed.anchors for each in load_certificates(Path(file))]
        self.lists: TrustedLists | None = None
        if believed.lists:
            operators = [each for file in believed.operators for each in load_certificates(Path(file))]
            self.lists = load_lists((Path(file).read_bytes() for file in believed.lists), operators, now=now)
        self.own_seals = frozenset(believed.own_seals)


def question(asked: Asked, pdf: bytes) -> bytes:
    """What a reader gets: the question and the document behind it."""
    return framed(msgspec.json.encode(asked), pdf)


def answered(trust: Trust, document: bytes) -> Sequence[bytes]:
    """Answer a question with a report."""
    header, pdf = unframed(document, _LONGEST_QUESTION)
    asked = msgspec.json.decode(header, type=Asked)
    report = validate(
        bytes(pdf),
        trust_roots=trust.roots,
        at=asked.at,
        lists=trust.lists,
        require_revocation=asked.require_revocation,
        own_seals=trust.own_seals,
    )
    return (msgspec.json.encode(report),)


def _sample(now: datetime) -> tuple[bytes, x509.Certificate]:
    """A sealed document and who is to be believed for it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sample (fictional)")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, SHA256())
    )
    writer = PdfFileWriter()
    page = PageObject(contents=writer.add_object(StreamObject(stream_data=b"")), media_box=(0, 0, 9, 9))
    writer.insert_page(page)
    out = BytesIO()
    writer.write(out)
    return Sealer(FileSealKey(key, certificate), None).seal(out.getvalue(), at=now), certificate


def main(arguments: list[str]) -> None:
    """Run the helper; the last argument is `Believed` as JSON, the others are those of `forking.serve`."""
    logging.disable(logging.CRITICAL)
    limits = msgspec.json.decode(arguments[0], type=InspectionLimits)
    now = datetime.now(UTC)
    trust = Trust(msgspec.json.decode(arguments[3], type=Believed), now)
    sample, signer = _sample(now)
    # Judging it loads all that judging takes: behind the walls no module can be fetched.
    validate(sample, trust_roots=[signer], at=now, require_revocation=True)
    asked = question(Asked(now), sample)
    answered(trust, asked)
    serve(arguments, limits, partial(answered, trust), asked)


if __name__ == "__main__":
    main(sys.argv[1:])
