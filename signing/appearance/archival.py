"""What PDF/A asks of a field that nobody sees."""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its constructors without.

import re
from typing import Final

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.form_tools import get_single_field_annot
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.misc import FormFillingError
from pyhanko.sign.fields import enumerate_sig_fields

from signing.appearance.geometry import entry
from signing.appearance.picture import numbers

_PART_1: Final = re.compile(rb"""pdfaid:part\s*(?:>\s*1\s*<|=\s*["']\s*1\s*["'])""")
_LARGEST_METADATA: Final = 1 << 20


def claims_part_1(writer: IncrementalPdfFileWriter) -> bool:
    """Whether the document's metadata says that it is PDF/A-1 (ISO 19005-1, 6.7.11)."""
    metadata = entry(writer.root, "/Metadata")
    # Part 1 wants it to be readable as it stands (6.7.2), so what is packed is not of part 1 and stays packed here.
    if not isinstance(metadata, generic.StreamObject) or "/Filter" in metadata:
        return False
    return _PART_1.search(metadata.encoded_data[:_LARGEST_METADATA]) is not None


def blank(writer: IncrementalPdfFileWriter, field: generic.IndirectObject) -> None:
    """Give a field that can't be seen an appearance of nothing.

    PDF/A-1 wants one of every field (ISO 19005-1, 6.9); later parts, like viewers, don't of those without a size.
    """
    nothing = _of_another(writer) or writer.add_object(generic.StreamObject(_empty_form(), encoded_data=b""))
    get_single_field_annot(field.get_object())[pdf_name("/AP")] = generic.DictionaryObject({pdf_name("/N"): nothing})


def _of_another(writer: IncrementalPdfFileWriter) -> generic.IndirectObject | None:
    """What a signature field of the document shows, if any: a field without a size shows nothing of it.

    A new object would be more than a time-stamp may add behind a signature that allows no change.
    """
    for _, _, reference in enumerate_sig_fields(writer, filled_status=True):
        try:
            appearance = entry(get_single_field_annot(reference.get_object()), "/AP")
        except FormFillingError:
            # One that is shown in several places.
            continue
        if isinstance(appearance, generic.DictionaryObject) and "/N" in appearance:
            shown = appearance.raw_get("/N")
            if isinstance(shown, generic.IndirectObject) and isinstance(shown.get_object(), generic.StreamObject):
                return generic.IndirectObject(shown.idnum, shown.generation, writer)
    return None


def _empty_form() -> dict[generic.NameObject, generic.PdfObject]:
    return {
        pdf_name("/Type"): pdf_name("/XObject"),
        pdf_name("/Subtype"): pdf_name("/Form"),
        pdf_name("/BBox"): numbers(0, 0, 0, 0),
        pdf_name("/Resources"): generic.DictionaryObject(),
    }
