"""The address page that stands in front of a letter."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from printing.checks import check_address
from printing.errors import LetterRefused, Problem
from printing.profiles import MM, Box, Profile
from printing.typeset import Face, Repertoire, Sheet, clean, face, printable, repertoire_of, wrap

Language = Literal["nl", "fr", "de", "en"]

_TEXTS: Final = Path(__file__).with_name("texts.toml")
_LEFT: Final = 20.0  # mm: clear of the sheet code, and where most letters begin
_GREY: Final = 0.35


@dataclass(frozen=True)
class Sender:
    """Who sends the letter.

    Attributes:
        name: as the recipient knows it.
        return_address: where undeliverable letters go, one to four lines.
        contact: how to reach the sender, one or more lines; may be empty.
    """

    name: str
    return_address: tuple[str, ...]
    contact: tuple[str, ...] = ()


class Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sentences of the address page in one language."""

    lang: str
    reference: str
    heading: str
    salutation: str
    body: tuple[str, ...]
    contents: str
    document: str
    attachment: str
    pages_one: str
    pages_many: str
    questions: str
    contact: str


@cache
def texts() -> dict[Language, Texts]:
    """All languages."""
    found: dict[Language, Texts] = msgspec.convert(
        tomllib.loads(_TEXTS.read_text(encoding="utf-8")), dict[Language, Texts]
    )
    assert set(found) == set(get_args(Language))
    return found


@dataclass(frozen=True)
class Cover:
    """A drawn address page: its content stream and the repertoire of fonts it needs."""

    content: bytes
    repertoire: Repertoire
    lang: str


@dataclass(frozen=True)
class Block:
    """The address as it is set: size in points, leading in mm, one horizontal scale per line."""

    size: float
    leading: float
    condense: tuple[float, ...]


def set_address(lines: Sequence[str], setting: Face, profile: Profile) -> Block:
    """Find the size at which the lines stand inside the window.

    Raises:
        LetterRefused: ``ADDR_LENGTH``, a line does not fit even when condensed.
    """
    style, window = profile.address, profile.window
    for size in style.sizes:
        fits = tuple(min(1.0, window.width * MM / max(setting.width(line, size), 0.1)) for line in lines)
        tallest = window.height * MM - (setting.ascent - setting.descent) * size / 1000
        leading = size * 1.25 if len(lines) == 1 else min(size * 1.25, tallest / (len(lines) - 1))
        smallest = size == style.sizes[-1]
        if (leading >= size * 1.15 and min(fits) == 1) or (smallest and min(fits) >= style.narrowest):
            return Block(size=size, leading=leading / MM, condense=fits)
    raise LetterRefused(Problem("ADDR_LENGTH", "An address line is too wide for the window of the envelope."))


def draw(
    address: Sequence[str],
    *,
    sender: Sender,
    reference: str,
    language: Language,
    parts: Sequence[int],
    profile: Profile,
) -> Cover:
    """Draw the address page; ``parts`` are the pages of the document, then of each attachment.

    Raises:
        LetterRefused: the address cannot be printed in the window (codes ``ADDR_…``).
    """
    problems = check_address(address, profile)
    if problems:
        raise LetterRefused(*problems)
    words = texts()[language]
    lines = [clean(line) for line in address]
    name, reference = printable(sender.name), printable(reference)
    home = [printable(line) for line in sender.return_address]
    contact = [printable(line) for line in sender.contact]
    repertoire = repertoire_of([*lines, name, reference, *home, *contact])
    sheet = Sheet({"Regular": face("Regular", repertoire), "Bold": face("Bold", repertoire)}, profile.page.height)
    _draw_sender(sheet, name, home, profile)
    _draw_reference(sheet, words, reference, profile)
    _draw_address(sheet, lines, profile)
    baseline = _draw_message(sheet, words, name, profile)
    baseline = _draw_contents(sheet, words, parts, baseline)
    if contact:
        _draw_contact(sheet, words, contact, baseline, profile)
    return Cover(content=sheet.content(), repertoire=repertoire, lang=words.lang)


def _draw_sender(sheet: Sheet, name: str, home: Sequence[str], profile: Profile) -> None:
    width = (profile.printable.right - _LEFT) * MM
    bold, regular = sheet.faces["Bold"], sheet.faces["Regular"]
    title = wrap(name, bold, 13, width)
    size, leading = (13.0, 5.2) if len(title) == 1 else (10.0, 4.2)
    below = sheet.lines(_LEFT, 13, wrap(name, bold, size, width)[:2], size=size, leading=leading, weight="Bold")
    address = wrap(" · ".join(line for line in home if line != name), regular, 8.5, width)
    sheet.lines(_LEFT, below, address[:1], size=8.5, leading=3.6, grey=_GREY)


def _draw_reference(sheet: Sheet, words: Texts, reference: str, profile: Profile) -> None:
    window = profile.window
    width = (profile.window_reach.left - _LEFT) * MM
    sheet.text(_LEFT, window.top + 3.5, words.reference, size=8.5, grey=_GREY)
    lines = wrap(reference, sheet.faces["Regular"], 10, width)[:5]
    sheet.lines(_LEFT, window.top + 8.5, lines, size=10, leading=4.4)


def _draw_address(sheet: Sheet, lines: Sequence[str], profile: Profile) -> None:
    setting, window = sheet.faces["Regular"], profile.window
    block = set_address(lines, setting, profile)
    ascent = setting.ascent * block.size / 1000 / MM
    height = (setting.ascent - setting.descent) * block.size / 1000 / MM + block.leading * (len(lines) - 1)
    # In the middle of the box, so that a sheet that slipped further than allowed still shows it.
    baseline = window.top + (window.height - height) / 2 + ascent
    for line, condense in zip(lines, block.condense, strict=True):
        sheet.text(window.left, baseline, line, size=block.size, condense=condense)
        baseline += block.leading


def _column(profile: Profile) -> Box:
    # Below the window's reach, as wide as the sender's lines.
    return Box(left=_LEFT, top=max(100.0, profile.window_reach.bottom + 10), right=190, bottom=profile.printable.bottom)


def _draw_message(sheet: Sheet, words: Texts, name: str, profile: Profile) -> float:
    column = _column(profile)
    width = column.width * MM
    heading = wrap(words.heading.format(sender=name), sheet.faces["Bold"], 17, width)[:3]
    baseline = sheet.lines(_LEFT, column.top, heading, size=17, leading=7.5, weight="Bold") + 4.5
    for paragraph in (words.salutation, *words.body):
        lines = wrap(paragraph.format(sender=name), sheet.faces["Regular"], 11, width)
        baseline = sheet.lines(_LEFT, baseline, lines, size=11, leading=5.4) + 2.6
    return baseline


def _draw_contents(sheet: Sheet, words: Texts, parts: Sequence[int], baseline: float) -> float:
    baseline += 5
    sheet.text(_LEFT, baseline, words.contents, size=11, weight="Bold")
    baseline += 2.6
    for number, pages in enumerate(parts):
        sheet.rule(_LEFT, baseline, 120, thickness=0.4, grey=0.7)
        baseline += 5
        title = words.attachment.format(number=number) if number else words.document
        sheet.text(_LEFT, baseline, title, size=10.5)
        count = words.pages_one if pages == 1 else words.pages_many.format(count=pages)
        width = sheet.faces["Regular"].width(count, 10.5) / MM
        sheet.text(120 - width, baseline, count, size=10.5, grey=_GREY)
        baseline += 2.2
    sheet.rule(_LEFT, baseline, 120, thickness=0.4, grey=0.7)
    return baseline + 7


def _draw_contact(sheet: Sheet, words: Texts, contact: Sequence[str], baseline: float, profile: Profile) -> None:
    column = _column(profile)
    baseline += 5
    sheet.text(_LEFT, baseline, words.questions, size=11, weight="Bold")
    width = column.width * MM
    lines = [words.contact, *(piece for line in contact for piece in wrap(line, sheet.faces["Regular"], 10.5, width))]
    room = int((column.bottom - baseline - 8) / 5)
    sheet.lines(_LEFT, baseline + 6, lines[: max(room, 1)], size=10.5, leading=5)
