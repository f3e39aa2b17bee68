"""Which places of a page are kept free, and what may stand there all the same."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from printing.profiles import Box, Profile

Mode = Literal["page", "stamp", "adopt"]
"""How a letter gets its address: on a page of our own in front, printed onto its first page, or standing there."""


class First(StrEnum):
    """What stands in the window of a page."""

    NOTHING = "nothing"
    """What may come into its window must be free: our address block is to be printed there."""
    ADDRESS = "address"
    """An address stands in the window, and nothing else in what may come into it."""
    BEHIND = "behind"
    """It is not the first page: no window is over it."""


@dataclass(frozen=True)
class Zone:
    """A place that is kept free.

    Attributes:
        code: of the problem when ink lies there.
        box: in mm.
        except_for: parts of it where ink may lie.
    """

    code: str
    box: Box
    except_for: tuple[Box, ...] = ()


def zones(profile: Profile, *, front: bool, first: First) -> tuple[Zone, ...]:
    """The places of one page that are kept free, beside the margins.

    Args:
        profile: of the print house.
        front: the page is printed on a front, where the sheet code will stand.
        first: what the window shows of it.
    """
    found = []
    if front:
        found.append(Zone("CODE_ZONE", profile.code_zone))
    if first is not First.BEHIND:
        found.append(Zone("WINDOW_INK", profile.window_reach))
    return tuple(found)


def inked_area(profile: Profile) -> Box:
    """Where ink may lie at all: the printable box and the tolerance around it, within the page."""
    area, more = profile.printable, profile.rules.tolerance
    return Box(
        max(0.0, area.left - more),
        max(0.0, area.top - more),
        min(profile.page.width, area.right + more),
        min(profile.page.height, area.bottom + more),
    )
