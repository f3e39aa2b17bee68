import tomllib
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

MM: Final = 72 / 25.4
"""Points in a millimetre."""

_FOLDER: Final = Path(__file__).with_name("profiles")


class Box(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rectangle in mm from the top-left corner of the sheet."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Width in mm."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Height in mm."""
        return self.bottom - self.top


class PageSize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sheet in mm, and how far a page may differ and still count as that size."""

    width: float
    height: float
    tolerance: float


class AddressStyle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the address block is set: sizes in points by preference, ``narrowest`` as a share of the normal width."""

    least_lines: int
    most_lines: int
    most_characters: int
    sizes: tuple[float, ...]
    narrowest: float


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of envelope; its weight in grams is that of the empty envelope."""

    name: str
    most_sheets: int
    grams: int


class Paper(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The weight of one sheet in grams."""

    grams: int


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Largest letter in bytes; most letters and bytes in one batch file."""

    letter_bytes: int
    batch_letters: int
    batch_bytes: int


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a print house and the post ask of a letter.

    Attributes:
        printable: nothing is printed outside of it.
        window: where the address stands on the first page: inside the window however the sheet shifts.
        window_reach: what some shift may bring into the window; only the address stands there.
        code_zone: kept free on every front.
        envelopes: in rising order of what they hold.
    """

    name: str
    page: PageSize
    printable: Box
    window: Box
    window_reach: Box
    code_zone: Box
    address: AddressStyle
    envelopes: tuple[Envelope, ...]
    paper: Paper
    limits: Limits

    def envelope_for(self, sheets: int) -> Envelope | None:
        """The smallest envelope that holds so many sheets, or None."""
        return next((envelope for envelope in self.envelopes if sheets <= envelope.most_sheets), None)

    def grams(self, sheets: int) -> int:
        """The weight of a letter with its envelope (the largest one where none holds it)."""
        envelope = self.envelope_for(sheets) or self.envelopes[-1]
        return sheets * self.paper.grams + envelope.grams


def parse(text: str) -> Profile:
    """Read a profile from TOML.

    Raises:
        ValueError: the text is no TOML, or a value is missing, unknown or of the wrong kind.
    """
    profile: Profile = msgspec.convert(tomllib.loads(text), Profile)
    if not profile.envelopes or not profile.address.sizes:
        raise ValueError("a profile needs at least one envelope and one size of address text")
    return profile


@cache
def load(name: str = "be-right") -> Profile:
    """One of the profiles that come with the library.

    Raises:
        KeyError: there is no such profile.
    """
    found = {path.stem: path for path in _FOLDER.glob("*.toml")}
    return parse(found[name].read_text(encoding="utf-8"))
