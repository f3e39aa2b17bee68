"""What can be seen to be wrong with a letter before it is printed.

Codes are stable; details hold no personal data. The rules of a postal address itself belong to the service's domain;
here stands only what decides whether it can be printed in the window.
"""

from collections.abc import Sequence
from io import BytesIO

import pikepdf

from printing.errors import Problem
from printing.pages import visible_size
from printing.profiles import MM, Profile
from printing.typeset import clean, unprintable


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


def check_letter(pdf: bytes, *, sheets: int, profile: Profile) -> tuple[Problem, ...]:
    """Problems of a composed letter: ``TOO_MANY_SHEETS``, ``FILE_TOO_BIG``, ``PDF_UNREADABLE``, ``PAGE_SIZE``."""
    problems = []
    if profile.envelope_for(sheets) is None:
        most = profile.envelopes[-1].most_sheets
        problems.append(Problem("TOO_MANY_SHEETS", f"The letter has {sheets} sheets; no envelope holds over {most}."))
    if len(pdf) > profile.limits.letter_bytes:
        problems.append(
            Problem("FILE_TOO_BIG", f"The print copy has {len(pdf)} bytes of at most {profile.limits.letter_bytes}.")
        )
    try:
        with pikepdf.open(BytesIO(pdf)) as opened:
            sizes = [visible_size(page) for page in opened.pages]
    except pikepdf.PdfError:
        return (*problems, Problem("PDF_UNREADABLE", "The print copy cannot be read."))
    return (*problems, *_page_sizes(sizes, profile))


def _page_sizes(sizes: Sequence[tuple[float, float]], profile: Profile) -> list[Problem]:
    page = profile.page
    return [
        Problem("PAGE_SIZE", f"The page is {width / MM:.0f} × {height / MM:.0f} mm, not A4 upright.", number)
        for number, (width, height) in enumerate(sizes, start=1)
        if abs(width / MM - page.width) > page.tolerance or abs(height / MM - page.height) > page.tolerance
    ]
