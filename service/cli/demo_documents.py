"""Where the demonstration's documents come from: the repository, or made here where it came without them."""

import shutil
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Final

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

import printing
from service.embedded.fictional import Sample
from service.embedded.privileges import private_folder
from service.embedded.stack import CHECKOUT

_FONT: Final = "LiberationSans"
_LINES: Final = (
    "Dit document is verzonnen en dient alleen om te tonen hoe het wordt bezorgd.",
    "Ce document est fictif et ne sert qu'à montrer comment il est remis.",
)


def documents_folder(home: Path, samples: Iterable[Sample]) -> Path:
    """The folder that holds every document of the samples."""
    wanted = {(name, each.subject) for each in samples for name in (each.document, *each.attachments)}
    repository = CHECKOUT / "tests" / "documents"
    if all((repository / name).is_file() for name, _ in wanted):
        return repository
    folder = home / "documents"
    private_folder(folder)
    for name, subject in sorted(wanted):
        target = folder / name
        if not target.exists():
            fresh = target.with_suffix(".new")
            if (repository / name).is_file():
                shutil.copyfile(repository / name, fresh)
            else:
                fresh.write_bytes(make_document(subject))
            fresh.replace(target)
    return folder


def make_document(subject: str) -> bytes:
    """A page with a heading and two sentences, its font embedded."""
    font = Path(printing.__file__).parent / "fonts" / f"{_FONT}-Regular.ttf"
    if _FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(_FONT, str(font)))
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, initialFontName=_FONT, invariant=1, lang="nl")  # type: ignore[arg-type]  # the stubs say float; it is a name
    canvas.setTitle(subject)
    canvas.setFont(_FONT, 16)
    canvas.drawString(25 * mm, 150 * mm, subject)
    canvas.setFont(_FONT, 11)
    for number, line in enumerate(_LINES):
        canvas.drawString(25 * mm, (138 - 8 * number) * mm, line)
    canvas.save()
    return out.getvalue()
