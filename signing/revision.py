"""Adding one empty signature or time-stamp to a PDF as an incremental update: what was there stays byte for byte.

pyHanko reads the file, places the field and writes the update, through its lower public interface (``PdfCMSEmbedder``);
the space for the CMS comes back to the caller, who fills it. Being synchronous it needs no event loop, and the stages
are those of signing in two phases. The file is a seekable stream that is extended where it is: in memory, or on a disk.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its constructors without.

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.form_tools import get_single_field_annot
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import FieldMDPSpec, MDPPerm, SigFieldSpec, SigSeedSubFilter, enumerate_sig_fields
from pyhanko.sign.general import SigningError as PdfSigningError
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigMDPSetup, SigObjSetup
from pyhanko.sign.signers.constants import ESIC_EXTENSION_1, ISO32002
from pyhanko.sign.signers.pdf_byterange import DocumentTimestamp, PdfSignedData

from signing.algorithms import Mechanism
from signing.appearance import Appearance, Drawing, Filling, Shown
from signing.appearance.archival import blank, claims_part_1
from signing.appearance.geometry import page_reference
from signing.dss import add_validation_data
from signing.errors import AlreadySigned, ChangesForbidden, PdfEncrypted, PdfUnreadable, SigningError
from signing.revocation import ValidationData

_PDF_2 = (2, 0)
_CHUNK = 64 * 1024
READING_FAULTS = (
    PdfError,
    PdfSigningError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    RecursionError,
    AssertionError,
    ArithmeticError,
)
"""What pyHanko raises on broken files: its own errors, and whatever a wrong type or number in the file runs into."""


@dataclass(frozen=True, slots=True)
class Hole:
    """A PDF that lacks only its CMS.

    Attributes:
        stream: the whole file with zeros in the hole.
        start: offset of the ``<`` before the hole.
        end: offset behind the ``>`` after it.
        digest: digest of everything outside ``start:end``.
        shown: where the signature can be seen, or why it can't; None when it was not meant to be.
    """

    stream: IO[bytes]
    start: int
    end: int
    digest: bytes
    shown: Shown | None = None


class _Update(IncrementalPdfFileWriter):
    """An update that holds what we add and nothing else."""

    def _update_meta(self) -> None:
        # A seal says nothing about the document: its title, its dates and its XMP stay the author's. pyHanko would
        # write them anew with every update, and make the two disagree where a file has only one of them.
        pass

    def find_page_for_modification(self, page_ix: int) -> Any:
        # pyHanko reads every page before the one it looks for: 100 ms for the last of two thousand.
        found = page_reference(self.root["/Pages"], page_ix) if page_ix >= 0 else None
        return super().find_page_for_modification(page_ix) if found is None else (found, generic.DictionaryObject())


@contextmanager
def reading() -> Iterator[None]:
    """Turn what pyHanko raises on a broken file into the one error that says so."""
    try:
        yield
    except SigningError:
        raise
    except READING_FAULTS as error:
        raise PdfUnreadable(
            "The structure of the PDF can't be read.", context={"fault": type(error).__name__}
        ) from error


def end_line(stream: IO[bytes]) -> None:
    """End the last line, where its author didn't: an update's first object begins a new one (ISO 19005-2, 6.1.9)."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 1))
    if stream.read(1) not in {b"\r", b"\n", b""}:
        stream.write(b"\n")


def open_for_update(stream: IO[bytes]) -> IncrementalPdfFileWriter:
    """The document, to be extended.

    Raises:
        PdfEncrypted: it can't be.
    """
    # Lax reading: what viewers open must be sealable, and old producers' hybrid cross-references are refused otherwise.
    # The finished file is checked for what it is, whatever was read.
    writer = _Update(stream, strict=False)
    if writer.prev.encrypted:
        raise PdfEncrypted("The PDF is encrypted.")
    return writer


class SignatureWriter:
    """Adds signature fields, invisible ones or such as can be seen."""

    def __init__(
        self,
        mechanism: Mechanism,
        *,
        reserved: int,
        field_prefix: str,
        appearance: Appearance | None = None,
        certify: MDPPerm | None = None,
    ) -> None:
        """Prepare for one kind of signature.

        Args:
            mechanism: how it will be signed.
            reserved: bytes to keep free for the CMS.
            field_prefix: names of fields are this and a number.
            appearance: what can be seen of it; None: nothing.
            certify: what may still be changed in documents after the signature, which certifies them then (DocMDP);
                None certifies nothing.
        """
        self._appearance = appearance
        self._certify = certify
        self._mechanism = mechanism
        self._reserved = reserved
        self._prefix = field_prefix

    def prepare(
        self,
        stream: IO[bytes],
        *,
        at: datetime,
        code: str | None = None,
        name: str | None = None,
        field: str | None = None,
        among_others: bool = False,
    ) -> Hole:
        """Extend the document in ``stream`` by one more signature field, its hole still empty.

        Args:
            stream: the document; readable, writable and seekable.
            at: claimed signing time (aware), written into the signature dictionary.
            code: verification code to be shown; without an appearance it means nothing.
            name: who signs, to be shown instead of the appearance's organisation.
            field: the empty field that was kept for this signature; one without it gets a new one that can't be seen.
            among_others: it is one of several people's and seals, and never certifies.

        Raises:
            PdfUnreadable, PdfEncrypted, ChangesForbidden, FieldUnusable: it can't be added.
            AlreadySigned: it can't certify.
        """
        certify = None if among_others else self._certify
        with reading():
            writer = open_for_update(stream)
            refuse_if_locked(writer.prev)
            signed = next(enumerate_sig_fields(writer.prev, filled_status=True), None) is not None
            if signed and certify is not None:
                raise AlreadySigned("The PDF bears a signature already: another one can't certify it.")
            drawing = None
            if self._appearance is not None:
                drawing = self._appearance.begin(writer, stream, Filling(at, code, name), signed=signed, field=field)
            _extend(writer, elliptic=self._mechanism.elliptic)
            placeholder = PdfSignedData(
                generic.pdf_name("/Sig"), SigSeedSubFilter.PADES, timestamp=at, bytes_reserved=2 * self._reserved
            )
            return _embed(writer, self._prefix, placeholder, self._mechanism.digest, drawing=drawing, certify=certify)


class StampWriter:
    """Adds document time-stamps, and what the signatures before them are judged by (ETSI EN 319 142-1, 5.4 and 5.5)."""

    def __init__(self, *, reserved: int, field_prefix: str) -> None:
        """Prepare.

        Args:
            reserved: bytes to keep free for a token.
            field_prefix: names of fields are this and a number.
        """
        self._reserved = reserved
        self._prefix = field_prefix

    def prepare(self, stream: IO[bytes], data: ValidationData, *, digest: str = "sha256") -> Hole:
        """Extend the document by ``data`` and an empty document time-stamp over everything up to it.

        Raises:
            PdfUnreadable, PdfEncrypted, ChangesForbidden: it can't be added.
        """
        with reading():
            writer = open_for_update(stream)
            _extend(writer, elliptic=False)
            add_validation_data(writer, data)
            return _embed(writer, self._prefix, DocumentTimestamp(bytes_reserved=2 * self._reserved), digest)


def append_validation_data(stream: IO[bytes], data: ValidationData) -> None:
    """Extend the document by what is new in ``data``; nothing is written when nothing is.

    Raises:
        PdfUnreadable, PdfEncrypted: it can't be added.
    """
    with reading():
        writer = open_for_update(stream)
        if add_validation_data(writer, data):
            end_line(stream)
            writer.write_in_place()


def _embed(
    writer: IncrementalPdfFileWriter,
    prefix: str,
    placeholder: PdfSignedData,
    digest: str,
    *,
    drawing: Drawing | None = None,
    certify: MDPPerm | None = None,
) -> Hole:
    name = (drawing and drawing.field) or _free_name(writer.prev, prefix)
    spec = drawing.spec(name) if drawing else SigFieldSpec(name)
    stages = PdfCMSEmbedder(new_field_spec=spec).write_cms(name, writer)
    field = next(stages)
    if drawing:
        drawing.put(field)
    if "/AP" not in get_single_field_annot(field.get_object()) and claims_part_1(writer):
        blank(writer, field)
    lock = _entry(field.get_object(), "/Lock")
    rules = SigMDPSetup(
        digest,
        certify=certify is not None,
        docmdp_perms=certify,
        field_lock=None if lock is None else FieldMDPSpec.from_pdf_object(lock),
    )
    stages.send(SigObjSetup(placeholder, rules))
    end_line(writer.prev.stream)
    prepared, output = stages.send(SigIOSetup(digest, in_place=True, chunk_size=_CHUNK))
    return Hole(
        output,
        prepared.reserved_region_start,
        prepared.reserved_region_end,
        prepared.document_digest,
        drawing.shown if drawing else None,
    )


def _extend(writer: IncrementalPdfFileWriter, *, elliptic: bool) -> None:
    """Say what goes beyond the file's version: PAdES before PDF 2.0 (EN 319 142-1, 5.1), curves in it (ISO 32002).

    The version itself stays, so that a PDF/A file stays of its part.
    """
    if writer.output_version < _PDF_2:
        writer.register_extension(ESIC_EXTENSION_1)
    elif elliptic:
        writer.register_extension(ISO32002)


def refuse_if_locked(reader: PdfFileReader) -> None:
    """Raise when a signature already there forbids every change, by certification or by its field's lock."""
    found: set[int] = set()
    permissions = _entry(reader.root, "/Perms")
    if permissions is not None and (author := _entry(permissions, "/DocMDP")) is not None:
        found |= _permissions(author, None)
    for _, value, field in enumerate_sig_fields(reader, filled_status=True):
        found |= _permissions(value.get_object(), field.get_object())
    if MDPPerm.NO_CHANGES.value in found:
        raise ChangesForbidden("A signature in the PDF forbids every later change.")


def _entry(dictionary: generic.DictionaryObject, key: str) -> Any:
    """The value of ``key`` with references followed, or None (``get`` would hand out the reference itself)."""
    return dictionary.get_and_apply(key, lambda value: value)


def _permissions(signature: generic.DictionaryObject, field: generic.DictionaryObject | None) -> set[int]:
    """The DocMDP levels a signature sets, by transformation or by its field's lock."""
    found = set()
    for reference in _entry(signature, "/Reference") or ():
        transform = reference.get_object()
        if _entry(transform, "/TransformMethod") == "/DocMDP":
            parameters = _entry(transform, "/TransformParams")
            level = None if parameters is None else _entry(parameters, "/P")
            # 2 is what the standard says when the level is left out (ISO 32000-2, table 257)
            found.add(2 if level is None else int(level))
    lock = None if field is None else _entry(field, "/Lock")
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
