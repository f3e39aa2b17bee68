"""What can be seen to be wrong with a letter before it is printed.

Codes are stable; details hold no personal data. The rules of a postal address itself belong to the service's domain;
here stands only what decides whether it can be printed in the window.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Final

import pikepdf
import pypdfium2

from printing.errors import LetterRefused, Problem
from printing.foreign_marks import foreign_marks, is_read_at_an_edge
from printing.forms import PDFIUM, flatten, seal_form
from printing.ink import check_picture, gathered, render
from printing.pages import open_part, place, visible_size
from printing.pictures import NONE, Wanted, draw_picture
from printing.profiles import MM, Box, Profile
from printing.resources import FONT, Survey, drop_unused_fonts, shows_unembedded_text
from printing.sentences import problem
from printing.typeset import clean, unprintable
from printing.window import Seen, look
from printing.zones import First, Mode, Zone, zones

REDUCED: Final = "PAGE_REDUCED"
REDUCIBLE: Final = frozenset({"INK_OUTSIDE", "CODE_ZONE"})
_GROWN: Final = 1.5
_SMALL: Final = 10  # what stays below this part of the largest letter may grow as it likes
_LARGEST: Final = 2000.0  # mm: the largest measure that a box says
_AROUND_TEXT: Final = 1.0  # mm: a line's ink may reach beyond the box of its text
_BROKEN: Final = (
    pikepdf.PdfError,
    pypdfium2.PdfiumError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    KeyError,
)
"""What pages that are not what the standard says make of their readers."""


@dataclass(frozen=True)
class Findings:
    """What was found about a document or a letter.

    Attributes:
        problems: reasons why it cannot be printed; none of them when it can.
        warnings: what the sender should know all the same.
        window_lines: text in the address window of the first page, from top to bottom.
        pages: of the document or the letter.
        sheets: leaves of paper, our address page among them.
        grams: with the envelope.
        envelope: the smallest that holds it, or None.
        pictures: PNG by page number, of the pages that were asked for.
    """

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    window_lines: tuple[str, ...] = ()
    pages: int = 0
    sheets: int = 0
    grams: int = 0
    envelope: str | None = None
    pictures: Mapping[int, bytes] = field(default_factory=dict)


def check_address(lines: Sequence[str], profile: Profile) -> tuple[Problem, ...]:
    """Problems of an address block: ``ADDR_EMPTY``, ``ADDR_LINES``, ``ADDR_LENGTH``, ``ADDR_CHARS``."""
    style = profile.address
    if not any(clean(line) for line in lines):
        return (Problem("ADDR_EMPTY", "The letter has no address."),)
    problems = []
    if not style.least_lines <= len(lines) <= style.most_lines or not all(clean(line) for line in lines):
        problems.append(
            Problem(
                "ADDR_LINES",
                f"An address has {style.least_lines} to {style.most_lines} lines, none of them empty.",
            )
        )
    if any(len(clean(line)) > style.most_characters for line in lines):
        problems.append(Problem("ADDR_LENGTH", f"An address line has at most {style.most_characters} characters."))
    if any(unprintable(line) for line in lines):
        problems.append(Problem("ADDR_CHARS", "The address has characters that cannot be printed."))
    return tuple(problems)


def check_document(
    pdf: bytes,
    profile: Profile,
    mode: Mode,
    *,
    duplex: bool = True,
    unsealed: bool = False,
    pictures: Wanted = NONE,
    walled: bool = False,
) -> Findings:
    """Look at a document as it would lie in its envelope, before a letter is made of it.

    Args:
        pdf: as it was handed in; looked at is what is printed of it, with fields drawn and pages upright.
        profile: of the print house and the post.
        mode: ``page``: it lies behind an address page of ours, so no window is over it; ``stamp``: the window of its
            first page must be free for our address block; ``adopt``: an address stands in that window, and nothing else
            in what may come into it.
        duplex: printed on both sides.
        unsealed: it will be sealed before it is printed.
        pictures: pages to draw, with what must be free and what is there.
        walled: this process may be lost to the document, so nothing is done in one of its own.
    """
    try:
        with open_part(pdf) as opened:
            sizes = [visible_size(page) for page in opened.pages]
            hidden = seal_form(opened) if unsealed else ()
            printed, surveys = _printed(opened, profile, walled=walled)
    except LetterRefused as error:
        return Findings(problems=tuple(problem(each.code) for each in error.problems))
    except _BROKEN:
        return Findings(problems=(problem("PDF_UNREADABLE"),))
    first = {"page": First.BEHIND, "stamp": First.NOTHING, "adopt": First.ADDRESS}[mode]
    count = len(sizes)
    sheets = (-(-count // 2) if duplex else count) + (1 if mode == "page" else 0)
    looking = _Looking(profile, duplex=duplex, first=first, pictures=pictures, own=(), reduces=profile.rules.reduce)
    looking.judges_style = True
    looking.look(printed, surveys)
    looking.weigh(sheets, len(printed))
    # Pages behind the first are turned and made smaller; where an address is to stand, nothing may be moved.
    fixed = 0 if mode == "page" else 1
    wrong = _page_sizes(sizes, profile)
    looking.problems[:0] = [each for each in wrong if each.page is not None and each.page <= fixed]
    looking.warnings.extend(problem("FIELD_HIDDEN", number) for number in hidden)
    looking.warnings[:0] = [each for each in wrong if each.page is not None and each.page > fixed]
    return looking.findings(count, sheets)


def check_letter(
    pdf: bytes,
    *,
    sheets: int,
    profile: Profile,
    duplex: bool = True,
    own_codes: Collection[str] = (),
    own_place: Box | None = None,
    source_bytes: int | None = None,
    reduced: Collection[int] | None = None,
    pictures: Wanted = NONE,
) -> Findings:
    """Look at a composed letter: its first page shows the address, whoever put it there, and codes are still missing.

    Args:
        pdf: the print copy.
        sheets: leaves of paper.
        profile: of the print house and the post.
        duplex: it was composed for both sides.
        own_codes: what bar codes of ours on it say, and our line above the address.
        own_place: of the first page, where we alone have drawn, and no bar code but those.
        source_bytes: what the documents had before they were made a letter.
        reduced: pages that were made smaller since the letter was looked at: only they are looked at again, and not for
            codes, since what could not be read as one is none now (see `printing.reducing`).
        pictures: pages to draw.
    """
    try:
        with open_part(pdf) as opened:
            wrong = _page_sizes([visible_size(page) for page in opened.pages], profile)
            count = len(opened.pages)
            survey = Survey(colours=profile.rules.not_cmyk != "off")
            surveys = [survey.of_page(page) or _unless_blank(page) for page in opened.pages]
    except (LetterRefused, *_BROKEN):
        looking = _Looking(profile, duplex=duplex, first=First.BEHIND, pictures=NONE, own=())
        looking.weigh(sheets, len(pdf))
        looking.problems.append(problem("PDF_UNREADABLE"))
        return looking.findings(0, sheets)
    looking = _Looking(
        profile,
        duplex=duplex,
        first=First.ADDRESS,
        pictures=pictures,
        own=own_codes,
        own_place=own_place,
        reduced=reduced,
    )
    looking.weigh(sheets, len(pdf))
    looking.problems.extend(wrong)
    if not wrong:
        looking.look(pdf, surveys)
    grown = source_bytes is not None and len(pdf) > _GROWN * source_bytes
    if grown and len(pdf) > profile.limits.letter_bytes / _SMALL:
        looking.warnings.append(problem("FILE_GROWS"))
    return looking.findings(count, sheets)


def _printed(opened: pikepdf.Pdf, profile: Profile, *, walled: bool) -> tuple[bytes, list[frozenset[str]]]:
    """What is printed of a document, each page upright and of the paper's size, and what its pages draw with."""
    # Saving would read and mend what they say, and they are not printed.
    for key in ("/Metadata", "/PieceInfo"):
        if key in opened.Root:
            del opened.Root[key]
    flat = flatten(opened, walled=walled)
    drop_unused_fonts(flat)
    survey = Survey(colours=profile.rules.not_cmyk != "off")
    surveys = [survey.of_page(page) for page in flat.pages]
    for index in range(len(flat.pages)):
        shown, _ = place(flat, flat.pages[index], profile.page)
        flat.pages[index] = pikepdf.Page(flat.make_indirect(shown))
    saved = BytesIO()
    # Only looked at: what its streams hold need not be packed anew.
    flat.save(saved, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)
    return saved.getvalue(), surveys


class _Looking:
    """One document or letter while it is looked at."""

    def __init__(
        self,
        profile: Profile,
        *,
        duplex: bool,
        first: First,
        pictures: Wanted,
        own: Collection[str],
        own_place: Box | None = None,
        reduced: Collection[int] | None = None,
        reduces: bool = False,
    ) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._profile = profile
        self._duplex = duplex
        self._first = first
        self.judges_style = False  # the address that we print ourselves is as the profile has it
        self._wanted = pictures
        self._own = own
        self._own_place = own_place
        self._reduced = reduced
        self._reduces = reduces
        self._seen: Seen | None = None
        self._pictures: dict[int, bytes] = {}

    def look(self, pdf: bytes, surveys: Sequence[frozenset[str] | None]) -> None:
        """Look at each page that is printed, or at those made smaller; what has no survey is blank."""
        with PDFIUM:
            try:
                opened = pypdfium2.PdfDocument(pdf)
            except pypdfium2.PdfiumError:
                self.problems.append(problem("PDF_UNREADABLE"))
                return
            try:
                for number, survey in enumerate(surveys, start=1):
                    if (self._reduced is None or number in self._reduced) and not self._is_free(number, survey):
                        self._look_at(opened[number - 1], number, survey or frozenset())
            except pypdfium2.PdfiumError:
                self.problems.append(problem("PDF_UNREADABLE"))
            finally:
                opened.close()

    def _is_free(self, number: int, survey: frozenset[str] | None) -> bool:
        """Whether nothing can be found on a page: it is blank, shows no address, and nobody wants to see it."""
        return survey is None and number > 1 and number not in self._wanted.pages

    def _look_at(self, page: pypdfium2.PdfPage, number: int, survey: frozenset[str]) -> None:
        profile = self._profile
        first = self._first if number == 1 else First.BEHIND
        front = not self._duplex or number % 2 == 1
        places = zones(profile, front=front, first=first)
        try:
            if first is not First.BEHIND:
                self._seen = look(page, profile)
                places = (
                    _with_address(places, self._seen, profile, marked=bool(self._own))
                    if first is First.ADDRESS
                    else places
                )
            picture = render(page, profile)
            found = [*check_picture(picture, profile, number=number, zones_of_page=places)]
            found += self._text(first)
            known = self._reduced is not None and is_read_at_an_edge(profile)
            own_place = self._own_place if number == 1 else None
            if not known and (marks := foreign_marks(page, picture, profile, self._own, own_place)):
                found.append(problem("MARK_IN_CONTENT", number, gathered(marks, profile)))
            if FONT in survey and shows_unembedded_text(page):
                found.append(problem(FONT, number))
            if number in self._wanted.pages:
                self._pictures[number] = draw_picture(
                    page, profile, front=front, first=first, problems=found, language=self._wanted.language
                )
        finally:
            page.close()
        rules = profile.rules
        softer = [] if rules.ink_outside == "error" else [each for each in found if each.code == "INK_OUTSIDE"]
        hard = [each for each in found if each not in softer]
        if self._reduces and first is First.BEHIND and (small := [each for each in hard if each.code in REDUCIBLE]):
            hard = [each for each in hard if each not in small]
            self.warnings.append(problem(REDUCED, number, [box for each in small for box in each.boxes]))
        self.problems.extend(hard)
        self.warnings.extend(softer if rules.ink_outside == "warning" else ())
        for code, severity in (
            ("FONT_TYPE3", rules.font_type3),
            ("TRANSPARENCY", rules.transparency),
            ("NOT_CMYK", rules.not_cmyk),
        ):
            if code in survey and severity != "off":
                (self.problems if severity == "error" else self.warnings).append(problem(code, number))
        if first is First.ADDRESS and self.judges_style:
            self._style()

    def _style(self) -> None:
        severity, odd = self._profile.rules.address_style, self._seen.odd if self._seen else ()
        if odd and severity != "off":
            found = problem("ADDR_STYLE", 1, gathered(odd, self._profile))
            (self.problems if severity == "error" else self.warnings).append(found)

    def _text(self, first: First) -> list[Problem]:
        """What the text in the window tells; the address itself is looked at where one is adopted."""
        seen = self._seen
        if first is First.BEHIND or seen is None:
            return []
        boxes = seen.beside if first is First.ADDRESS else (*seen.boxes, *seen.beside)
        profile = self._profile
        return [problem("WINDOW_TEXT", 1, gathered(boxes, profile, profile.window_reach))] if boxes else []

    def weigh(self, sheets: int, size: int) -> None:
        """Compare sheets and bytes with what the profile allows."""
        if self._profile.envelope_for(sheets) is None:
            self.problems.append(problem("TOO_MANY_SHEETS"))
        if size > self._profile.limits.letter_bytes:
            self.problems.append(problem("FILE_TOO_BIG"))

    def findings(self, pages: int, sheets: int) -> Findings:
        envelope = self._profile.envelope_for(sheets)
        address: list[Problem] = []
        lines = () if self._seen is None else self._seen.lines
        # A page that could not be looked at has no address that could be judged.
        if self._first is First.ADDRESS and self._seen is not None:
            codes = [each.code for each in check_address(self._addressed(lines), self._profile)]
            address = [problem(code, 1, (self._profile.window,)) for code in codes]
        return Findings(
            problems=(*self.problems, *address),
            warnings=tuple(self.warnings),
            window_lines=lines,
            pages=pages,
            sheets=sheets,
            grams=self._profile.grams(sheets),
            envelope=envelope.name if envelope else None,
            pictures=self._pictures,
        )

    def _addressed(self, lines: Sequence[str]) -> list[str]:
        """The lines of the address among those in the window."""
        return [line for line in lines if line not in self._own]


def _unless_blank(page: pikepdf.Page) -> frozenset[str] | None:
    """The survey of a page whose resources say nothing: none where it draws nothing either."""
    return frozenset() if "/Contents" in page.obj or "/Annots" in page.obj else None


def _with_address(places: Sequence[Zone], seen: Seen, profile: Profile, *, marked: bool) -> tuple[Zone, ...]:
    """In the window ink may come from the address's own lines and from the post's code, and from nothing else.

    ``marked``: a code of ours stands above the address.
    """
    window = profile.window
    text = tuple(_grown(box, window) for box in seen.boxes)
    code = () if profile.mail_id_zone is None else (profile.mail_id_zone,)
    if marked:
        code = (*code, Box(window.left, window.top, window.right, window.top + profile.barcode.height + 0.5))
    return tuple(Zone(each.code, each.box, (*text, *code)) if each.code == "WINDOW_INK" else each for each in places)


def _grown(box: Box, window: Box) -> Box:
    return Box(
        max(window.left, box.left - _AROUND_TEXT),
        max(window.top, box.top - _AROUND_TEXT),
        min(window.right, box.right + _AROUND_TEXT),
        min(window.bottom, box.bottom + _AROUND_TEXT),
    )


def _page_sizes(sizes: Sequence[tuple[float, float]], profile: Profile) -> list[Problem]:
    page = profile.page
    return [
        problem("PAGE_SIZE", number, (Box(0, 0, _measure(width), _measure(height)),))
        for number, (width, height) in enumerate(sizes, start=1)
        if abs(width / MM - page.width) > page.tolerance or abs(height / MM - page.height) > page.tolerance
    ]


def _measure(points: float) -> float:
    return round(min(max(points / MM, 0.0), _LARGEST), 1)
