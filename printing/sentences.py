"""What each code of a letter's check says, in one sentence without anything of the document.

A process that looked at a hostile document may be in its hands; so it tells codes and places, and the sentences are put
to them here.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from printing.errors import Problem
from printing.profiles import Box

SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "PDF_UNREADABLE": "The document cannot be read.",
        "PDF_ENCRYPTED": "The document is encrypted or protected by a password.",
        "PAGE_SIZE": "The page is not A4 upright.",
        "TOO_MANY_SHEETS": "The letter has more sheets than any envelope holds.",
        "FILE_TOO_BIG": "The print copy is larger than the print house takes.",
        "FILE_GROWS": "The print copy is more than half as large again as the document.",
        "INK_OUTSIDE": "Something is printed outside of the margins.",
        "PAGE_REDUCED": "The page is printed smaller, because something on it stands outside of the margins.",
        "WINDOW_INK": "Something is printed where the window of the envelope shows the address alone.",
        "WINDOW_TEXT": "There is text, seen or unseen, where the window of the envelope shows the address alone.",
        "CODE_ZONE": "Something is printed where the code of the sheet must stand.",
        "MARK_IN_CONTENT": "The page has a code that machines would take for a mark of the print house or the post.",
        "FONT_NOT_EMBEDDED": "The page is set in a font that is not embedded in the document.",
        "FIELD_HIDDEN": (
            "A filled field of the page shows nothing once the document is sealed: a hand-in refuses the document"
            " (form_values_unseen)."
        ),
        "FONT_TYPE3": "The page has a font of Type 3, which may be printed coarsely.",
        "TRANSPARENCY": "The page has transparent parts, which may be printed differently.",
        "NOT_CMYK": "The page has colours of screens, which may be printed differently.",
        "ADDR_EMPTY": "The window shows no address.",
        "ADDR_LINES": "The address in the window has too few or too many lines.",
        "ADDR_DIFFERS": "The window does not show the recipient's address.",
        "ADDR_LENGTH": "A line of the address in the window is too long.",
        "ADDR_CHARS": "The address in the window has characters that cannot be printed.",
        "ADDR_STYLE": "The address in the window is not as the post reads it best: plain, in its sizes, at one edge.",
        "CHECK_TIMEOUT": "The letter could not be checked: looking at it takes too long.",
        "CHECK_MEMORY": "The letter could not be checked: looking at it takes too much memory.",
        "CHECK_CRASHED": "The letter could not be checked: looking at it made the checking program fail.",
    }
)
"""Codes and their sentences."""


def problem(code: str, page: int | None = None, boxes: Sequence[Box] = ()) -> Problem:
    """The problem with a code, with its sentence."""
    return Problem(code, SENTENCES[code], page, tuple(boxes))
