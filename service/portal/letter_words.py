"""What is wrong with a letter before it is printed, in plain words: what it is, and what to do."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from service.portal import formats
from service.portal.languages import N_, Words

LETTER_PROBLEMS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "PDF_UNREADABLE": N_("This PDF can't be read for printing. Export it again."),
        "PDF_ENCRYPTED": N_("This PDF has a password or is encrypted, so it can't be printed."),
        "PAGE_SIZE": N_("This page is not an upright A4 page."),
        "TOO_MANY_SHEETS": N_("The letter has more sheets than fit into an envelope."),
        "FILE_TOO_BIG": N_("The file is too large for the print house. Use smaller pictures."),
        "PAGE_REDUCED": N_("This page is printed smaller, because something on it stands outside of the margins."),
        "FILE_GROWS": N_("The file becomes much larger when it is made ready for printing."),
        "INK_OUTSIDE": N_("Something stands in the margin, where the printer can't print. Move it inwards."),
        "WINDOW_INK": N_("Something stands where the window of the envelope shows the address alone. Move it."),
        "WINDOW_TEXT": N_("Text, perhaps white, stands where the window of the envelope shows the address alone."),
        "CODE_ZONE": N_("Something stands at the left edge where the machine needs its code. Move it."),
        "MARK_IN_CONTENT": N_("A code on this page looks to machines like a mark of the post. Remove it."),
        "FONT_NOT_EMBEDDED": N_("A font of this page is not in the PDF. Export it again with all fonts embedded."),
        "FIELD_HIDDEN": N_("What was filled in on this page is not shown. Print the form to a new PDF and send that."),
        "FONT_TYPE3": N_("A font of this page may be printed coarsely."),
        "TRANSPARENCY": N_("Something on this page is transparent and may be printed differently."),
        "NOT_CMYK": N_("The colours of this page may look different on paper."),
        "ADDR_EMPTY": N_("Fill this in."),
        "ADDR_CITY": N_("Fill in a municipality, without digits."),
        "ADDR_POSTCODE": N_("A Belgian postcode has four digits, without B- in front."),
        "ADDR_COUNTRY": N_("Choose a country."),
        "ADDR_BOX": N_("Fill in the number of the box, or leave it empty."),
        "ADDR_DIFFERS": N_("The window of the envelope does not show the recipient's address."),
        "ADDR_LENGTH": N_("This is longer than the post can print on an envelope."),
        "ADDR_LINES": N_("The address has too few or too many lines."),
        "ADDR_CHARS": N_("The post can't read # & § \" ( and ) in an address. Leave them out."),
        "ADDR_STYLE": N_("The post reads this address best in a plain font of 11 or 12 points, all lines at one edge."),
        "CHECK_TIMEOUT": N_("Checking the letter for printing takes too long. Export the PDF again."),
        "CHECK_MEMORY": N_("Checking the letter for printing takes too much memory. Export the PDF again."),
        "CHECK_CRASHED": N_("The letter could not be checked for printing. Export the PDF again."),
    }
)
"""Codes of `printing.sentences`, and of an address that is filled in."""
_PLACE: Final = N_("%(left)s cm from the left and %(top)s cm from the top")


def place(box: Sequence[float], words: Words) -> str:
    """Where the corner of a box (left, top, right, bottom in mm) lies on its page, to half a centimetre."""
    left, top = (formats.number(round(edge / 5) / 2, words) for edge in box[:2])
    return words.gettext(_PLACE) % {"left": left, "top": top}
