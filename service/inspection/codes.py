"""Why a document is refused and what is worth telling about one that is not: stable codes, each with its sentence.

The child that reads a document answers with codes and page numbers only; the sentence is looked up here, by the
parent. So a child that has been taken over by its document cannot put words of its own before a clerk.

Where the standards leave a choice, this is what was decided:

* The header ``%PDF-x.y`` must be at the start of the file, with at most a byte order mark or white space before it
  (ISO 32000-2, 7.5.2 allows readers nothing more; many tolerate 1,024 bytes, which is what polyglots live on).
* A file that is also a ZIP, 7z, RAR, tar or ISO 9660 archive, a program or a web page is refused as ``polyglot``.
* XFA forms are refused: what they show is made by scripts, and most readers and every printer show something else.
* A filled form whose values only viewers draw (``NeedAppearances``) is refused where its own appearances show none:
  sealing ends that viewers draw, and the recipient would see empty fields.
* Sound, film, 3D and rich media are refused: they carry players and scripts, and paper cannot show them.
* A link to a web address is fine. One that runs a script (``javascript:``) counts as JavaScript, one that names a
  program on the reader's computer counts as a launch action.
* A damaged file is repaired when that loses nothing, unless it is signed: a repair would break the signature.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REFUSALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "not_a_pdf": "This file is not a PDF document.",
        "polyglot": "This file is a PDF and another kind of file at the same time. Export the document as PDF again.",
        "too_large": "This file is larger than the service accepts.",
        "encrypted": "This PDF is protected with a password or encrypted. Hand it in without protection.",
        "damaged": "This PDF is damaged and cannot be repaired without losing content. Export it again.",
        "damaged_signed": (
            "This PDF is damaged and carries a signature that a repair would break. Ask the signer for a good copy."
        ),
        "no_pages": "This PDF has no pages.",
        "too_many_pages": "This PDF has more pages than the service accepts.",
        "launch_action": "This PDF tries to start a program on the reader's computer.",
        "external_stream": "This PDF takes part of its content from a file outside itself.",
        "javascript": "This PDF contains a script (JavaScript).",
        "xfa_form": "This PDF is an XFA form, which most readers cannot show. Hand in a flat copy of it.",
        "form_values_unseen": (
            "What was filled into this form is drawn only by the program that opens it, which the seal ends: the"
            " recipient would see empty fields. Print the form to a new PDF and hand that in."
        ),
        "rich_media": "This PDF contains sound, film, 3D or other media that cannot be printed.",
        "embedded_executable": "A program or script is attached inside this PDF.",
        "attachment_unreadable": (
            "A file attached inside this PDF cannot be opened for checking (protected, damaged or nested too deeply)."
        ),
        "too_many_attachments": "More files are attached inside this PDF than the service accepts.",
        "too_large_unpacked": "This PDF unpacks to far more data than a document needs.",
        "too_complex": "This PDF is put together in a way that takes far too much work to read. Export it again.",
        "certified_no_changes": (
            "This PDF is certified by its author in a way that forbids any change, so it cannot be sealed."
        ),
        "malware": "The malware scanner found something harmful in this document.",
        "inspection_crashed": "This PDF could not be checked: reading it made the checking program fail.",
        "inspection_timeout": "This PDF could not be checked: reading it takes too long.",
        "inspection_memory": "This PDF could not be checked: reading it takes too much memory.",
    }
)
"""Codes of refusals (``DocumentRefused.code``) and the sentence for each."""

NOTES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "repaired": "The file was damaged and has been repaired; check that it shows what you expect.",
        "outside_action": "The document has a link or button that opens another file or sends form data elsewhere.",
        "no_text": "A page has no text layer: people who cannot see it and search cannot read it.",
        "not_tagged": "The document is not tagged: screen readers cannot tell headings, lists and tables.",
        "no_language": "The document does not say which language it is in.",
    }
)
"""Codes of problems that do not stop a document (``Problem.code``) and the sentence for each."""

CODES: Final[Mapping[str, str]] = MappingProxyType({**REFUSALS, **NOTES})
"""All codes of inspection."""
