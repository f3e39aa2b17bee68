"""The form on which the addressee of a registered letter confirms its receipt."""

from collections.abc import Sequence
from typing import Final

from printing import numbers
from printing.codes import bars_of
from printing.cover import Cover, Language, Sender, Texts, texts
from printing.marks import Marks
from printing.profiles import MM, Profile
from printing.typeset import Sheet, clean, face, printable, repertoire_of, wrap

_LEFT: Final = 20.0
_RIGHT: Final = 190.0
_GREY: Final = 0.35


def draw_receipt(
    address: Sequence[str], *, sender: Sender, reference: str, language: Language, marks: Marks, profile: Profile
) -> Cover:
    """Draw the form; the number and its bars stand on it where the letter has them."""
    words = texts()[language]
    lines = [clean(line) for line in address]
    home = [printable(line) for line in (sender.name, *(line for line in sender.return_address if line != sender.name))]
    reference = printable(reference)
    repertoire = repertoire_of([*lines, *home, reference])
    sheet = Sheet({"Regular": face("Regular", repertoire), "Bold": face("Bold", repertoire)}, profile.page.height)
    sheet.text(_LEFT, 24, words.receipt, size=20, weight="Bold")
    body = wrap(words.receipt_body, sheet.faces["Regular"], 11, (_RIGHT - _LEFT) * MM)
    below = sheet.lines(_LEFT, 33, body, size=11, leading=5.4)
    below = _draw_number(sheet, words, marks, reference, below + 4, profile)
    _draw_party(sheet, _LEFT, below, words.receipt_sender, home)
    _draw_party(sheet, 108, below, words.receipt_addressee, lines)
    below += 46
    for label, left, right in ((words.receipt_date, _LEFT, 85), (words.receipt_name, 95, _RIGHT)):
        sheet.text(left, below, label, size=8.5, grey=_GREY)
        sheet.rule(left, below + 14, right, thickness=0.6, grey=0)
    sheet.text(_LEFT, below + 24, words.receipt_signature, size=8.5, grey=_GREY)
    sheet.rule(_LEFT, below + 52, _RIGHT, thickness=0.6, grey=0)
    sheet.text(_LEFT, below + 66, words.receipt_return, size=10, weight="Bold")
    sheet.lines(_LEFT, below + 72, home, size=10, leading=4.8)
    return Cover(content=sheet.content(), repertoire=repertoire, lang=words.lang)


def _draw_number(sheet: Sheet, words: Texts, marks: Marks, reference: str, top: float, profile: Profile) -> float:
    sheet.rule(_LEFT, top, _RIGHT, thickness=0.4, grey=0.7)
    sheet.text(_LEFT, top + 6, words.receipt_number, size=8.5, grey=_GREY)
    sheet.text(108, top + 6, words.reference, size=8.5, grey=_GREY)
    sheet.lines(108, top + 12, wrap(reference, sheet.faces["Regular"], 11, (_RIGHT - 108) * MM)[:2], size=11, leading=5)
    number = marks.registered_number
    kind = None if number is None else numbers.kind_of(number)
    if number is None or kind is None:
        # Whoever gives the letter its number writes or sticks it here.
        sheet.rule(_LEFT, top + 18, 98, thickness=0.6, grey=0)
        return top + 30
    shown = numbers.shown(kind, number)
    bars = bars_of(shown if kind == "gs1" else number, gs1=kind == "gs1")
    sheet.bars(_LEFT, top + 9, bars.bars, profile.barcode.module, 10)
    sheet.text(_LEFT, top + 23, shown, size=9)
    return top + 34


def _draw_party(sheet: Sheet, left: float, top: float, title: str, lines: Sequence[str]) -> None:
    sheet.text(left, top, title, size=8.5, grey=_GREY)
    for place, line in enumerate(lines):
        width = sheet.faces["Regular"].width(line, 11) / MM
        sheet.text(left, top + 6 + 5.4 * place, line, size=11, condense=min(1.0, 80 / max(width, 0.1)))
