"""The program of letter checks: what `forking` runs to look at documents as they would be printed.

Codes, numbers and places come out, with the lines in the address window and the pictures that were asked for; the
sentences are put to the codes by the parent.
"""

import io
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Annotated, Final

import msgspec
import pikepdf
from msgspec import Meta
from pikepdf import Array, Dictionary, Name

from printing.asked import Asked, Look, answer
from printing.errors import Problem
from printing.pictures import words
from printing.profiles import Box, load
from service.inspection.forking import serve
from service.inspection.framing import framed, unframed
from service.inspection.limits import InspectionLimits

LONGEST_QUESTION: Final = 1024 * 1024
LONGEST_HEADER: Final = 4 * 1024 * 1024

Work = Callable[[Asked, bytes], Iterable[bytes]]
"""Answers a question about one document."""

Count = Annotated[int, Meta(ge=0, le=10_000_000)]
Line = Annotated[str, Meta(max_length=2000)]


class Question(msgspec.Struct, frozen=True):
    """What is asked about one of the documents that follow the header, and how long that is."""

    asked: Asked
    size: int


class Noted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A problem without its sentence."""

    code: str
    page: Count | None = None
    boxes: Annotated[tuple[Box, ...], Meta(max_length=100)] = ()


class Picture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A picture of a page, whose bytes follow the header."""

    page: Count
    size: Annotated[int, Meta(ge=0, le=2**26)]


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The header of an answer; a reader of several documents writes an answer for each, in their order."""

    problems: Annotated[tuple[Noted, ...], Meta(max_length=20_000)]
    warnings: Annotated[tuple[Noted, ...], Meta(max_length=20_000)]
    window_lines: Annotated[tuple[Line, ...], Meta(max_length=500)]
    pages: Count
    sheets: Count
    pictures: Annotated[tuple[Picture, ...], Meta(max_length=1000)]


def question(looks: Sequence[Look]) -> bytes:
    """What a reader gets: the questions, and the documents behind them."""
    header = msgspec.json.encode([Question(asked, len(pdf)) for asked, pdf in looks])
    return framed(header, *(pdf for _, pdf in looks))


def answered(message: bytes, work: Work) -> Iterator[bytes]:
    """Answer questions about documents, each as soon as it is known."""
    header, rest = unframed(message, LONGEST_QUESTION)
    for each in msgspec.json.decode(header, type=list[Question]):
        pdf, rest = bytes(rest[: each.size]), rest[each.size :]
        yield from work(each.asked, pdf)


def told(asked: Asked, pdf: bytes) -> Iterator[bytes]:
    """What looking at one document finds, as its answer."""
    found = answer(asked, pdf, walled=True)
    header = Told(
        problems=_noted(found.problems),
        warnings=_noted(found.warnings),
        window_lines=tuple(line[:2000] for line in found.window_lines[:500]),
        pages=found.pages,
        sheets=found.sheets,
        pictures=tuple(Picture(page, len(png)) for page, png in found.pictures.items()),
    )
    yield framed(msgspec.json.encode(header), *found.pictures.values())


def _noted(problems: Sequence[Problem]) -> tuple[Noted, ...]:
    return tuple(Noted(each.code, each.page, each.boxes) for each in problems)


def _sample() -> bytes:
    """A document with text, ink in each zone, a font that is not embedded and a field: it loads what looking takes."""
    pdf = pikepdf.new()
    page = pdf.add_blank_page(page_size=(595.276, 841.89))
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    page.obj.Resources = Dictionary(Font=Dictionary(F=font))
    page.obj.Contents = pdf.make_stream(
        b"0 0 600 850 re f BT /F 12 Tf 1 g 300 700 Td (Sample) Tj ET 1 0 0 rg 100 100 60 60 re f"
    )
    # Drawing it makes a place for pdfium to call back to, which no process can make behind the walls.
    field = Dictionary(
        Type=Name.Annot, Subtype=Name.Widget, FT=Name.Tx, T="field", V="text", DA=b"/F 9 Tf", Rect=[9, 9, 90, 20], F=4
    )
    page.obj.Annots = Array([pdf.make_indirect(field)])
    pdf.Root.AcroForm = Dictionary(Fields=page.obj.Annots, DR=page.obj.Resources, DA=b"/F 9 Tf")
    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()


def main(arguments: list[str], work: Work = told) -> None:
    """Run the helper; the arguments are those of `forking.serve`."""
    limits = msgspec.json.decode(arguments[0], type=InspectionLimits)
    sample = _sample()
    asked = Asked("document", load(), duplex=True, mode="adopt", pages=(1,))
    looks = [(msgspec.structs.replace(asked, language=language), sample) for language in words()]
    looks += [(msgspec.structs.replace(asked, kind="letter", sheets=1), sample), (asked, b"no document")]
    b"".join(answered(question(looks), told))
    serve(arguments, limits, partial(answered, work=work), question([(asked, sample)]))


if __name__ == "__main__":
    main(sys.argv[1:])
