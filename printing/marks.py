"""The block in the window of the envelope: the address, and above it the codes that the post reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from printing import numbers
from printing.codes import bars_of
from printing.errors import LetterRefused, Problem
from printing.profiles import MM, Box, Profile
from printing.typeset import Face, Sheet, printable

_LEAST_LEADING: Final = 1.15
_TIGHT_LEADING: Final = 1.07
"""Below a code, where the window is lower: lines are near, and no letter touches another."""
_NOTICE_SIZE: Final = 6.5
_NOTICE_HEIGHT: Final = 3.4
_SMALL: Final = 6.0
_GREY: Final = 0.35


@dataclass(frozen=True)
class Marks:
    """What stands in the window beside the address.

    Attributes:
        mail_id: what the post's own code says; printed where the profile has a zone for it and the address leaves room.
        registered: the item is registered, and its mark is visible on the front.
        registered_number: its number in bars; None where the print house gives it one.
        notice: a small line above the address that says where the letter goes when it can't be delivered.
    """

    mail_id: str | None = None
    registered: bool = False
    registered_number: str | None = None
    notice: str = ""

    def __post_init__(self) -> None:
        """Refuse a number that no machine of the post would take.

        Raises:
            LetterRefused: ``REG_BARCODE_INVALID`` or ``S10_CHECK``.
        """
        found: list[Problem | None] = []
        if self.registered_number is not None:
            kind = numbers.kind_of(self.registered_number)
            found.append(
                Problem("REG_BARCODE_INVALID", "The number of the registered letter is of no known kind.")
                if kind is None
                else numbers.check(kind, self.registered_number)
            )
        if self.mail_id is not None:
            found.append(numbers.check("mail_id", self.mail_id))
        problems = [problem for problem in found if problem is not None]
        if problems:
            raise LetterRefused(*problems)


NONE: Final = Marks()


@dataclass(frozen=True)
class Block:
    """The address as it is set: size in points, leading in mm, one horizontal scale per line."""

    size: float
    leading: float
    condense: tuple[float, ...]


def band_of(marks: Marks, profile: Profile) -> Box | None:
    """The part of the window that codes and the registered mark take, quiet zones included; None without any."""
    style, window = profile.barcode, profile.window
    if marks.registered:
        return Box(window.left, window.top, window.right, window.top + style.height + style.clear)
    return None if marks.mail_id is None else _mail_id_band(profile)


def _mail_id_band(profile: Profile) -> Box | None:
    zone, style = profile.mail_id_zone, profile.barcode
    if zone is None:
        return None
    return Box(zone.left, zone.top, zone.right, max(zone.bottom, zone.top + style.height + 2 * style.clear))


def bars_zone(marks: Marks, profile: Profile) -> Box | None:
    """Where the bars of a code in the window stand, to read them back; None where none are printed."""
    style, band = profile.barcode, band_of(marks, profile)
    text = _bar_text(marks)
    if band is None or text is None:
        return None
    content, gs1 = text
    top = band.top if marks.registered else band.top + style.clear
    left = band.left + style.quiet
    return Box(left, top, left + bars_of(content, gs1=gs1).modules * style.module, top + style.height)


def _bar_text(marks: Marks) -> tuple[str, bool] | None:
    """What the bars say, and whether as GS1-128."""
    if marks.registered:
        number = marks.registered_number
        if number is None:
            return None
        gs1 = numbers.kind_of(number) == "gs1"
        return (numbers.shown("gs1", number), True) if gs1 else (number, False)
    return None if marks.mail_id is None else (marks.mail_id, False)


def without_room(lines: Sequence[str], profile: Profile, setting: Face) -> bool:
    """Whether a Mail ID leaves no room for this address: it is left off then, for a letter goes without one too."""
    zone = _mail_id_band(profile)
    if zone is None:
        return True
    window = profile.window
    try:
        set_address(lines, setting, profile, Box(window.left, zone.bottom, window.right, window.bottom))
    except LetterRefused:
        return True
    return False


def _place(marks: Marks, profile: Profile) -> Box:
    """What is left of the window for the address."""
    window, band = profile.window, band_of(marks, profile)
    top = window.top
    if band is not None:
        top = band.bottom
    elif marks.notice:
        top += _NOTICE_HEIGHT
    return Box(window.left, top, window.right, window.bottom)


def set_address(lines: Sequence[str], setting: Face, profile: Profile, place: Box | None = None) -> Block:
    """Find the size at which the lines stand inside the window, or in the part of it that is left.

    Raises:
        LetterRefused: ``ADDR_LENGTH``, a line does not fit even when condensed; ``ADDR_LINES``, a code above the
            address leaves no room for so many lines.
    """
    style, place = profile.address, place or profile.window
    least = _LEAST_LEADING if place == profile.window else _TIGHT_LEADING
    for size in style.sizes:
        fits = tuple(min(1.0, place.width * MM / max(setting.width(line, size), 0.1)) for line in lines)
        tallest = place.height * MM - (setting.ascent - setting.descent) * size / 1000
        leading = size * 1.25 if len(lines) == 1 else min(size * 1.25, tallest / (len(lines) - 1))
        smallest = size == style.sizes[-1]
        if leading >= size * _LEAST_LEADING and min(fits) == 1:
            return Block(size=size, leading=leading / MM, condense=fits)
        if smallest and min(fits) >= style.narrowest and (place == profile.window or leading >= size * least):
            return Block(size=size, leading=leading / MM, condense=fits)
    if min(fits) >= style.narrowest:
        raise LetterRefused(Problem("ADDR_LINES", "The code above the address leaves no room for so many lines."))
    raise LetterRefused(Problem("ADDR_LENGTH", "An address line is too wide for the window of the envelope."))


def draw_front(sheet: Sheet, lines: Sequence[str], marks: Marks, profile: Profile) -> None:
    """Draw the address and the codes into the window.

    Raises:
        LetterRefused: as `set_address`.
    """
    draw_marks(sheet, marks, profile)
    setting, place = sheet.faces["Regular"], _place(marks, profile)
    block = set_address(lines, setting, profile, place)
    if place.top > profile.window.top and band_of(marks, profile) is None:
        _draw_notice(sheet, marks.notice, profile)
    ascent = setting.ascent * block.size / 1000 / MM
    height = (setting.ascent - setting.descent) * block.size / 1000 / MM + block.leading * (len(lines) - 1)
    # In the middle of the box, so that a sheet that slipped further than allowed still shows it.
    baseline = place.top + (place.height - height) / 2 + ascent
    for line, condense in zip(lines, block.condense, strict=True):
        sheet.text(place.left, baseline, line, size=block.size, condense=condense)
        baseline += block.leading


def draw_marks(sheet: Sheet, marks: Marks, profile: Profile) -> None:
    """Draw the codes and the registered mark alone: the address stands there already."""
    band, text = band_of(marks, profile), _bar_text(marks)
    if band is None:
        return
    left, zone = band.left, bars_zone(marks, profile)
    if zone is not None and text is not None:
        sheet.bars(zone.left, zone.top, bars_of(text[0], gs1=text[1]).bars, profile.barcode.module, zone.height)
        left = zone.right + profile.barcode.quiet
    if marks.registered:
        sheet.text(left, band.top + 3.6, profile.barcode.mark, size=13, weight="Bold")
        if marks.registered_number is not None:
            kind = numbers.kind_of(marks.registered_number)
            written = numbers.shown(kind, marks.registered_number) if kind else ""
            width = sheet.faces["Regular"].width(written, _SMALL) / MM
            condense = min(1.0, (band.right - left) / max(width, 0.1))
            sheet.text(left, band.top + profile.barcode.height, written, size=_SMALL, condense=condense)


def _draw_notice(sheet: Sheet, notice: str, profile: Profile) -> None:
    window, line = profile.window, printable(notice)
    width = sheet.faces["Regular"].width(line, _NOTICE_SIZE) / MM
    condense = min(1.0, window.width / width)
    sheet.text(window.left, window.top + 2.2, line, size=_NOTICE_SIZE, grey=_GREY, condense=condense)
    sheet.rule(window.left, window.top + 3.1, window.left + width * condense, thickness=0.3, grey=_GREY)
