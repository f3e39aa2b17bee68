"""Adding one empty signature to a PDF as an incremental update: what was there stays byte for byte.

The public, staged interface of pyHanko does the PDF work (interrupted signing); the space for the CMS comes back to the
caller, who fills it. Being synchronous it needs no event loop, and the stages are those remote signing will need.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

from asn1crypto import algos, x509
from cryptography import x509 as pyca_x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, SigSeedSubFilter, enumerate_sig_fields
from pyhanko.sign.general import SigningError as PdfSigningError
from pyhanko.sign.signers import ExternalSigner, PdfSignatureMetadata, PdfSigner

from signing.algorithms import Mechanism
from signing.errors import ChangesForbidden, PdfEncrypted, PdfUnreadable, SigningError

_READING_FAULTS = (
    PdfError,
    PdfSigningError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
)
"""What pyHanko raises on broken files: its own errors, and whatever a wrong type in the file runs into."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A PDF that lacks only its CMS.

    Attributes:
        stream: the whole file with zeros in the hole.
        start: offset of the ``<`` before the hole.
        end: offset behind the ``>`` after it.
        digest: digest of everything outside ``start:end``.
    """

    stream: BytesIO
    start: int
    end: int
    digest: bytes


class SignatureWriter:
    """Adds invisible signature fields for one certificate."""

    def __init__(
        self, certificate: pyca_x509.Certificate, mechanism: Mechanism, *, reserved: int, field_prefix: str
    ) -> None:
        """Prepare for one certificate.

        Args:
            certificate: the signer's.
            mechanism: how it signs.
            reserved: bytes to keep free for the CMS.
            field_prefix: names of fields are this and a number.
        """
        self._mechanism = mechanism
        self._reserved = reserved
        self._prefix = field_prefix
        self._signer = ExternalSigner(
            signing_cert=x509.Certificate.load(certificate.public_bytes(Encoding.DER)),
            cert_registry=None,
            signature_mechanism=algos.SignedDigestAlgorithm({"algorithm": mechanism.value}),
        )

    def prepare(self, pdf: bytes, *, at: datetime) -> Hole:
        """The document with one more signature field, its hole still empty.

        Args:
            pdf: the document.
            at: claimed signing time (aware), written into the signature dictionary.

        Raises:
            PdfUnreadable, PdfEncrypted, ChangesForbidden: it can't be added.
        """
        try:
            return self._prepare(pdf, at)
        except SigningError:
            raise
        except _READING_FAULTS as error:
            raise PdfUnreadable(
                "The structure of the PDF can't be read.", context={"fault": type(error).__name__}
            ) from error

    def _prepare(self, pdf: bytes, at: datetime) -> Hole:
        stream = BytesIO(pdf)
        # Lax reading: what viewers open must be sealable, and old producers' hybrid cross-references are refused
        # otherwise. The finished file is checked for what it is, whatever was read.
        writer = IncrementalPdfFileWriter(stream, strict=False)
        if writer.prev.encrypted:
            raise PdfEncrypted("The PDF is encrypted.")
        _refuse_if_locked(writer.prev)
        name = _free_name(writer.prev, self._prefix)
        signer = PdfSigner(
            PdfSignatureMetadata(
                field_name=name, md_algorithm=self._mechanism.digest, subfilter=SigSeedSubFilter.PADES
            ),
            signer=self._signer,
            new_field_spec=SigFieldSpec(name),
        )
        session = signer.init_signing_session(writer)
        session.system_time = at
        document = session.prepare_tbs_document(validation_info=None, bytes_reserved=2 * self._reserved)
        prepared, _ = document.digest_tbs_document(in_place=True)
        return Hole(stream, prepared.reserved_region_start, prepared.reserved_region_end, prepared.document_digest)


def _refuse_if_locked(reader: PdfFileReader) -> None:
    """Raise when a signature already there forbids every change, by certification or by its field's lock."""
    for _, value, field in enumerate_sig_fields(reader, filled_status=True):
        if MDPPerm.NO_CHANGES.value in _permissions(value.get_object(), field.get_object()):
            raise ChangesForbidden("A signature in the PDF forbids every later change.")


def _entry(dictionary: generic.DictionaryObject, key: str) -> Any:
    """The value of ``key`` with references followed, or None (``get`` would hand out the reference itself)."""
    return dictionary.get_and_apply(key, lambda value: value)


def _permissions(signature: generic.DictionaryObject, field: generic.DictionaryObject) -> set[int]:
    """The DocMDP levels a signature sets, by transformation or by its field's lock."""
    found = set()
    for reference in _entry(signature, "/Reference") or ():
        transform = reference.get_object()
        if _entry(transform, "/TransformMethod") == "/DocMDP":
            parameters = _entry(transform, "/TransformParams")
            level = None if parameters is None else _entry(parameters, "/P")
            # 2 is what the standard says when the level is left out (ISO 32000-2, table 257)
            found.add(2 if level is None else int(level))
    lock = _entry(field, "/Lock")
    if lock is not None and (level := _entry(lock, "/P")) is not None:
        found.add(int(level))
    return found


def _free_name(reader: PdfFileReader, prefix: str) -> str:
    """The first of ``prefix`` 1, 2, 3 … that no field of the form bears."""
    form = _entry(reader.root, "/AcroForm")
    fields = [] if form is None else _entry(form, "/Fields") or []
    taken = {str(_entry(field.get_object(), "/T")) for field in fields}
    number = 1
    while f"{prefix}{number}" in taken:
        number += 1
    return f"{prefix}{number}"


_BYTE_RANGE = re.compile(rb"/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\]")


def byte_range_in(update: bytes | memoryview) -> tuple[int, ...] | None:
    """The last byte range written in ``update``, as its four numbers."""
    found = None
    for match in _BYTE_RANGE.finditer(update):
        found = tuple(int(number) for number in match.groups())
    return found
