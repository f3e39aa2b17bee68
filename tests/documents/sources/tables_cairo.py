"""Two pages drawn with Cairo: a wide table on a landscape page, and a plan on a page that is turned when shown.

Run by Debian's Python (package python3-cairo): ``/usr/bin/python3 tables_cairo.py OUT.pdf``.
"""

import math
import sys

import cairo

_WIDE = (842, 595)
_MONTHS = ("jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec")
_SCHOOLS = ("De Wilg", "Het Kompas", "Sint-Voorbeeld", "De Regenboog", "De Zonnewijzer", "'t Klaverblad")
_FICTION = (
    "Fictief document, gemaakt om Zending te beproeven. Scholen, cijfers en plaatsen zijn verzonnen; "
    "het heeft geen enkele juridische waarde."
)


def _text(page: cairo.Context, x: float, y: float, words: str, size: float = 9, *, bold: bool = False) -> None:
    weight = cairo.FONT_WEIGHT_BOLD if bold else cairo.FONT_WEIGHT_NORMAL
    page.select_font_face("Liberation Sans", cairo.FONT_SLANT_NORMAL, weight)
    page.set_font_size(size)
    page.move_to(x, y)
    page.show_text(words)


def _frame(page: cairo.Context, title: str) -> None:
    page.set_source_rgb(0.29, 0.16, 0.42)
    page.rectangle(0, 0, _WIDE[0], 54)
    page.fill()
    page.set_source_rgb(1, 1, 1)
    _text(page, 40, 34, title, 17, bold=True)
    page.set_source_rgb(0.54, 0.11, 0.11)
    _text(page, 40, 572, _FICTION, 8)
    page.set_source_rgb(0.1, 0.1, 0.1)


def _table(page: cairo.Context) -> None:
    _frame(page, "Leerlingen per school en per maand, schooljaar 2025–2026")
    _text(page, 40, 82, "Agentschap Fictief Onderwijs · bijlage 3 bij beslissing AFO/2026/77", 10)
    for row, school in enumerate(("School", *_SCHOOLS)):
        top = 110 + row * 44
        if row % 2 == 0:
            page.set_source_rgb(0.93, 0.9, 0.96)
            page.rectangle(40, top, 762, 44)
            page.fill()
        page.set_source_rgb(0.1, 0.1, 0.1)
        _text(page, 50, top + 27, school, 11, bold=row == 0)
        for column, month in enumerate(_MONTHS):
            number = str(180 + 23 * row + round(14 * math.sin(row + column)))
            _text(page, 190 + column * 50, top + 27, month if row == 0 else number, 11, bold=row == 0)
    page.show_page()


def _plan(page: cairo.Context) -> None:
    _frame(page, "Liggingsplan van de nieuwe speelplaats")
    for x, y, width, height, name in (
        (60, 90, 220, 150, "Gebouw A"),
        (60, 270, 220, 250, "Speelplaats"),
        (320, 90, 440, 120, "Fietsenstalling"),
        (320, 240, 200, 280, "Gebouw B"),
        (550, 240, 210, 280, "Tuin"),
    ):
        page.set_source_rgb(0.93, 0.9, 0.96)
        page.rectangle(x, y, width, height)
        page.fill_preserve()
        page.set_source_rgb(0.29, 0.16, 0.42)
        page.set_line_width(1.5)
        page.stroke()
        _text(page, x + 12, y + 24, name, 12, bold=True)
    page.show_page()


def main(target: str) -> None:
    """Draw both pages into one PDF."""
    surface = cairo.PDFSurface(target, *_WIDE)
    surface.set_metadata(cairo.PDF_METADATA_TITLE, "Leerlingen per school en liggingsplan (fictief)")
    page = cairo.Context(surface)
    _table(page)
    _plan(page)
    surface.finish()


if __name__ == "__main__":
    main(sys.argv[1])
