"""What the child says about a document, and how it is written into the pipe to the parent."""

import re
import struct
from typing import Annotated, Final

import msgspec

from service.inspection.codes import NOTES, REFUSALS
from service.inspection.limits import HEADER_BYTES

_LENGTH: Final = struct.Struct(">I")

Count = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**32)]


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code of `codes.NOTES` and the page it is about, counted from 1."""

    code: str
    page: Count | None = None


class Findings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The child's answer: codes and numbers, no words.

    ``refusal`` is a code of `codes.REFUSALS`; with one, the rest means nothing. ``replacement`` and ``attached`` are
    the lengths in bytes of the blobs that follow the header.
    """

    refusal: str | None = None
    pages: Count = 0
    signatures: Count = 0
    certified: bool = False
    pdf_version: str = ""
    notes: tuple[Note, ...] = ()
    replacement: Bytes | None = None
    attached: tuple[Bytes, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """`Findings` with the blobs they speak of."""

    findings: Findings
    replacement: bytes | None = None
    attached: tuple[bytes, ...] = ()


class MalformedAnswer(Exception):
    """The child wrote something that no honest child writes."""


def encode(answer: Answer) -> list[bytes]:
    """The answer as the pieces to write one after another."""
    sizes = msgspec.structs.replace(
        answer.findings,
        replacement=None if answer.replacement is None else len(answer.replacement),
        attached=tuple(len(part) for part in answer.attached),
    )
    header = msgspec.json.encode(sizes)
    blobs = [] if answer.replacement is None else [answer.replacement]
    return [_LENGTH.pack(len(header)) + header, *blobs, *answer.attached]


_DECODER: Final = msgspec.json.Decoder(Findings)
_VERSION: Final = re.compile(r"[1-9]\.[0-9]")


def decode(wire: bytes | bytearray) -> Answer:
    """Read what a child wrote; it may have been written by an attacker.

    Raises:
        MalformedAnswer: a length, a type, a code or a number is not one that an honest child gives.
    """
    view = memoryview(wire)
    if len(view) < _LENGTH.size:
        raise MalformedAnswer
    (length,) = _LENGTH.unpack_from(view)
    if length > HEADER_BYTES or length > len(view) - _LENGTH.size:
        raise MalformedAnswer
    at = _LENGTH.size + length
    try:
        findings = _DECODER.decode(view[_LENGTH.size : at])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedAnswer from error
    _check(findings)
    sizes = [*([] if findings.replacement is None else [findings.replacement]), *findings.attached]
    if sum(sizes) != len(view) - at:
        raise MalformedAnswer
    blobs = []
    for size in sizes:
        blobs.append(bytes(view[at : at + size]))
        at += size
    replacement = None if findings.replacement is None else blobs.pop(0)
    return Answer(findings, replacement, tuple(blobs))


def _check(findings: Findings) -> None:
    if findings.refusal is not None:
        if findings.refusal not in REFUSALS:
            raise MalformedAnswer
        return
    known = all(note.code in NOTES for note in findings.notes)
    if not known or findings.pages == 0 or _VERSION.fullmatch(findings.pdf_version) is None:
        raise MalformedAnswer
