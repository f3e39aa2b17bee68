"""The mark of a proof print, on every page, in the margin: where no letter may have ink it hides nothing of one."""

from io import BytesIO
from pathlib import Path
from typing import Final

import pikepdf
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from printing.profiles import MM, Box, Profile

WORDS: Final = "PROEFDRUK   ÉPREUVE   PROBEDRUCK   PROOF"
"""In all languages at once: who holds the paper may read another one than the addressee."""

_FACE: Final = "zending-proof"
_FONT: Final = Path(__file__).with_name("fonts") / "LiberationSans-Bold.ttf"
_EDGE: Final = 4.0  # mm at the sheet's edge that few printers reach
_GAP: Final = 1.0  # mm to the printable box
_CAP: Final = 0.73  # height of a capital, as a part of the size
_FILLED: Final = 0.94  # of the strip's length, at most


def place(profile: Profile) -> Box:
    """The longest strip of a side margin beside every code, the window and what may show through it.

    A profile that lets letters print to the edge leaves no margin: then the strip is as wide as a code, at the edge.
    """
    page, printable = profile.page, profile.printable
    sides = [
        Box(min(printable.right + _GAP, page.width - 2 * _EDGE), 0, page.width - _EDGE, page.height),
        Box(_EDGE, 0, max(printable.left - _GAP, 2 * _EDGE), page.height),
    ]
    taken = [zone for zone in (profile.window, profile.window_reach, profile.code_zone, profile.mail_id_zone) if zone]
    strips = [strip for side in sides for strip in _free(side, taken, printable)]
    return max(strips or sides, key=lambda strip: (strip.height, strip.width))


def _free(side: Box, taken: list[Box], printable: Box) -> list[Box]:
    """What is left of a side, from the printable box's top to its bottom."""
    strips, top = [], printable.top
    for zone in sorted((zone for zone in taken if zone.meets(side)), key=lambda zone: zone.top):
        if zone.top - _GAP > top:
            strips.append(Box(side.left, top, side.right, zone.top - _GAP))
        top = max(top, zone.bottom + _GAP)
    if printable.bottom > top:
        strips.append(Box(side.left, top, side.right, printable.bottom))
    return strips


def mark(pdf: bytes, profile: Profile) -> bytes:
    """The same pages, each with the mark: white words on black."""
    with pikepdf.open(BytesIO(pdf)) as marked, pikepdf.open(BytesIO(_drawn(profile))) as drawn:
        form = marked.copy_foreign(drawn.pages[0].as_form_xobject())
        for page in marked.pages:
            page.add_overlay(form, pikepdf.Rectangle(*map(float, page.mediabox)))
        out = BytesIO()
        marked.save(out)
    return out.getvalue()


def _drawn(profile: Profile) -> bytes:
    if _FACE not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(_FACE, _FONT))
    strip, page = place(profile), profile.page
    widest = pdfmetrics.stringWidth(WORDS, _FACE, 1)
    size = min(strip.width * MM * _FILLED / _CAP / 1.4, strip.height * MM * _FILLED / widest)
    out = BytesIO()
    canvas = Canvas(out, pagesize=(page.width * MM, page.height * MM), initialFontName=_FACE, invariant=True)  # type: ignore[arg-type]  # the stubs say float
    canvas.setFillGray(0)
    canvas.rect(strip.left * MM, (page.height - strip.bottom) * MM, strip.width * MM, strip.height * MM, 0, 1)
    canvas.setFillGray(1)
    canvas.setFont(_FACE, size)
    canvas.translate((strip.left + strip.width / 2) * MM, (page.height - strip.top - strip.height / 2) * MM)
    canvas.rotate(-90)
    canvas.drawCentredString(0, -_CAP * size / 2, WORDS)
    canvas.save()
    return out.getvalue()
