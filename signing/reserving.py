"""Keeping fields free, before the first signature, for signatures that are to be seen.

A visible field that comes after a signature counts against it, as it might cover what was signed. One that was there
when it was signed, and empty, may be filled: so who wants several people to sign visibly keeps a place for each first.
"""

# mypy: allow-untyped-calls
# pyHanko declares types but leaves some of its constructors without.

from collections.abc import Mapping
from datetime import datetime
from typing import IO

from pyhanko.pdf_utils.generic import pdf_name, pdf_string
from pyhanko.sign.fields import append_signature_field, enumerate_sig_fields

from signing.appearance import Appearance, Filling, Shown
from signing.appearance.structure import tag
from signing.errors import AlreadySigned, FieldUnusable
from signing.revision import end_line, open_for_update, reading, refuse_if_locked


def reserve(
    stream: IO[bytes], appearance: Appearance, signers: Mapping[str, str], *, at: datetime, code: str | None = None
) -> dict[str, Shown]:
    """Extend the document in ``stream`` by an empty field for each signer, where there is room for what it will show.

    Args:
        stream: the document; readable, writable and seekable.
        appearance: what the signatures will look like; its place is where the first one is looked for.
        signers: names of fields, each with the name of who will sign in it.
        at: our time (aware).
        code: a verification code as long as the one to come.

    Returns:
        What was found for each. A field for which there was no room isn't made: that signature can't be seen.

    Raises:
        PdfUnreadable, PdfEncrypted, ChangesForbidden: nothing can be added.
        AlreadySigned: it is too late.
        FieldUnusable: a field of such a name is there.
    """
    with reading():
        writer = open_for_update(stream)
        refuse_if_locked(writer.prev)
        if next(enumerate_sig_fields(writer.prev, filled_status=True), None) is not None:
            raise AlreadySigned("The PDF bears a signature already: no field can be kept free for another.")
        taken = {str(name) for name, _, _ in enumerate_sig_fields(writer.prev)}
        if taken & signers.keys():
            raise FieldUnusable("A signature field of that name is in the document already.")
        found = {}
        for field, name in signers.items():
            drawing = appearance.begin(writer, stream, Filling(at, code, name), signed=False)
            found[field] = drawing.shown
            if drawing.shown.page is None:
                continue
            append_signature_field(writer, drawing.spec(field))
            reference = next(ref for each, _, ref in enumerate_sig_fields(writer) if each == field)
            page = writer.find_page_for_modification(drawing.seat.page)[0]
            text = appearance.kept_for(name)
            reference.get_object()[pdf_name("/TU")] = pdf_string(text)
            tag(writer, reference, page, description=text, language=appearance.language)
        if any(shown.page for shown in found.values()):
            end_line(stream)
            writer.write_in_place()
    return found
