"""The address page that stands in front of a letter."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec

from printing.checks import check_address
from printing.codes import draw_qr
from printing.errors import LetterRefused
from printing.logo import Logo
from printing.marks import NONE, Marks, draw_front
from printing.profiles import MM, Box, Profile
from printing.typeset import Repertoire, Sheet, clean, face, printable, repertoire_of, wrap

Language = Literal["nl", "fr", "de", "en"]

_TEXTS: Final = Path(__file__).with_name("texts.toml")
_LEFT: Final = 20.0  # mm: clear of the sheet code, and where most letters begin
_TOP: Final = 8.5  # mm: of the sender's name
_GREY: Final = 0.35
_BESIDE: Final = 3.0  # mm between what may come into the window and what stands beside it
_PANEL: Final = 246.0  # mm: what stands below is the panel with the code and the invitation
_MOST_ROWS: Final = 4

Undeliverable = Literal["return", "destroy"]


@dataclass(frozen=True)
class Sender:
    """Who sends the letter.

    Attributes:
        name: as the recipient knows it.
        return_address: where undeliverable letters go, one to four lines.
        contact: how to reach the sender, one or more lines; may be empty.
        logo: stands before the name.
    """

    name: str
    return_address: tuple[str, ...]
    contact: tuple[str, ...] = ()
    logo: Logo | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Invitation:
    """A personal code with which the recipient may activate the mailbox.

    Attributes:
        address: of the page where that is done.
        until: the last day of the code, as the letter's language writes it.
    """

    code: str = field(repr=False)
    address: str
    until: str


@dataclass(frozen=True)
class Extras:
    """What the address page shows beside the address and the contents.

    Attributes:
        check_address: of the page where anybody can check a document; shown as text and as a QR code.
        undeliverable: what happens to the letter when it can't be delivered.
        invitation: None for a recipient who has no number, or who needs none.
    """

    check_address: str = ""
    undeliverable: Undeliverable = "return"
    invitation: Invitation | None = None


class Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sentences of our own pages in one language."""

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
    attachments: str
    undeliverable_return: str
    undeliverable_destroy: str
    notice_return: str
    notice_destroy: str
    check: str
    check_body: str
    invitation: str
    invitation_body: str
    invitation_until: str
    receipt: str
    receipt_body: str
    receipt_number: str
    receipt_sender: str
    receipt_addressee: str
    receipt_date: str
    receipt_name: str
    receipt_signature: str
    receipt_return: str


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
    """A drawn address page: its content stream, the repertoire of fonts and the logo (named ``Logo``) it needs."""

    content: bytes
    repertoire: Repertoire
    lang: str
    logo: Logo | None = None


def draw(
    address: Sequence[str],
    *,
    sender: Sender,
    reference: str,
    language: Language,
    parts: Sequence[int],
    profile: Profile,
    marks: Marks = NONE,
    extras: Extras | None = None,
) -> Cover:
    """Draw the address page; ``parts`` are the pages of the document, then of each attachment.

    Raises:
        LetterRefused: the address cannot be printed in the window (codes ``ADDR_…``).
    """
    problems = check_address(address, profile)
    if problems:
        raise LetterRefused(*problems)
    words, extras = texts()[language], extras or Extras()
    lines = [clean(line) for line in address]
    name, reference = printable(sender.name), printable(reference)
    home = [printable(line) for line in sender.return_address]
    contact = [printable(line) for line in sender.contact]
    repertoire = repertoire_of([*lines, name, reference, *home, *contact])
    sheet = Sheet({"Regular": face("Regular", repertoire), "Bold": face("Bold", repertoire)}, profile.page.height)
    wish = words.undeliverable_return if extras.undeliverable == "return" else words.undeliverable_destroy
    _draw_sender(sheet, sender.logo, name, home, wish, profile)
    _draw_reference(sheet, words, reference, profile)
    draw_front(sheet, lines, marks, profile)
    baseline = _draw_message(sheet, words, name, profile)
    baseline = _draw_contents(sheet, words, parts, baseline)
    if contact:
        _draw_contact(sheet, words, contact, baseline, profile)
    _draw_panel(sheet, words, extras, profile)
    return Cover(content=sheet.content(), repertoire=repertoire, lang=words.lang, logo=sender.logo)


def own_place(profile: Profile) -> Box:
    """Where an address page has nothing but sentences of ours and the code for people: not where the logo stands."""
    return Box(0, profile.window_reach.bottom, profile.page.width, profile.page.height)


def _draw_sender(sheet: Sheet, logo: Logo | None, name: str, home: Sequence[str], wish: str, profile: Profile) -> None:
    left = _LEFT
    if logo is not None:
        sheet.put(logo.placed(_LEFT, _TOP, profile.page.height))
        left += logo.size[0] + _BESIDE
    width = (profile.printable.right - left) * MM
    bold, regular = sheet.faces["Bold"], sheet.faces["Regular"]
    title = wrap(name, bold, 13, width)
    # Three lines or four: none comes as low as what may show through the window.
    first, size, leading = (13.0, 13.0, 5.2) if len(title) == 1 else (11.5, 9.5, 3.8)
    below = sheet.lines(left, first, wrap(name, bold, size, width)[:2], size=size, leading=leading, weight="Bold")
    address = wrap(" · ".join(line for line in home if line != name), regular, 8.5, width)
    below = sheet.lines(left, below, address[:1], size=8.5, leading=3.6, grey=_GREY)
    sheet.text(left, below, wish, size=7, grey=_GREY)


def _draw_reference(sheet: Sheet, words: Texts, reference: str, profile: Profile) -> None:
    window, reach = profile.window, profile.window_reach
    # Beside what may come into the window, on the side that has more room.
    left, right = _LEFT, reach.left
    if profile.printable.right - reach.right > right - left:
        left, right = reach.right + _BESIDE, profile.printable.right
    sheet.text(left, window.top + 3.5, words.reference, size=8.5, grey=_GREY)
    lines = wrap(reference, sheet.faces["Regular"], 10, (right - left) * MM)[:5]
    sheet.lines(left, window.top + 8.5, lines, size=10, leading=4.4)


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
    rows = [
        (words.attachment.format(number=number) if number else words.document, pages)
        for number, pages in enumerate(parts)
    ]
    if len(rows) > _MOST_ROWS:
        # The page has no room for a long list, and nobody reads one.
        rows[1:] = [(words.attachments.format(last=len(rows) - 1), sum(parts[1:]))]
    for title, pages in rows:
        sheet.rule(_LEFT, baseline, 120, thickness=0.4, grey=0.7)
        baseline += 5
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
    room = int((_PANEL - 6 - baseline - 6) / 5) + 1
    sheet.lines(_LEFT, baseline + 6, lines[: max(room, 1)], size=10.5, leading=5)


def _draw_panel(sheet: Sheet, words: Texts, extras: Extras, profile: Profile) -> None:
    """What a recipient may do with the letter: check it, and have the next one in the mailbox."""
    if not extras.check_address:
        return
    left, right = _LEFT, profile.printable.right - 5
    sheet.rule(left, _PANEL, right, thickness=0.6, grey=0.7)
    invited = extras.invitation
    size = 24.0
    code = draw_qr(extras.check_address, left, _PANEL + 6, size, profile.page.height)
    sheet.put(code)
    middle = 112.0 if invited else right
    _draw_paragraph(
        sheet,
        (left + size + 5, middle - 5),
        words.check,
        words.check_body.format(address=_without_scheme(extras.check_address)),
    )
    if invited is None:
        return
    address = _without_scheme(invited.address)
    baseline = _draw_paragraph(sheet, (middle, right), words.invitation, words.invitation_body.format(address=address))
    sheet.text(middle, baseline + 3.2, invited.code, size=15, weight="Bold")
    until = words.invitation_until.format(until=invited.until)
    lines = wrap(until, sheet.faces["Regular"], 8, (right - middle) * MM)
    sheet.lines(middle, baseline + 8.0, lines, size=8, leading=3.6, grey=_GREY)


def _draw_paragraph(sheet: Sheet, span: tuple[float, float], title: str, body: str) -> float:
    left, right = span
    sheet.text(left, _PANEL + 9, title, size=11, weight="Bold")
    lines = wrap(body, sheet.faces["Regular"], 9, (right - left) * MM)
    return sheet.lines(left, _PANEL + 14.2, lines, size=9, leading=4.2)


def _without_scheme(address: str) -> str:
    return address.partition("://")[2] or address
