"""Which letters of a run go into one envelope, from numbers alone: never two senders' or two addressees' in one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from service.domain.print_runs import Waiting

OPEN: Final = 40
"""Envelopes of one addressee that are tried: thousands of letters to one are packed in no time all the same."""


@dataclass(frozen=True, slots=True)
class Fits:
    """What an envelope takes.

    Attributes:
        letters, bytes: of one file, which no envelope is divided over.
        kind: the kind of envelope that holds so many sheets; None where none does.
        cents: the postage of so many sheets in one envelope; None where it is not known.
    """

    letters: int
    bytes: int
    kind: Callable[[int], str | None]
    cents: Callable[[int], int | None]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Letters that go in one, in their order; its kind where there are several, and it is theirs together."""

    letters: tuple[Waiting, ...]
    kind: str | None = None


def enveloped(letters: Iterable[Waiting], fits: Fits | None) -> list[Envelope]:
    """A run's letters by envelope, in the order in which they are printed and franked, however they come.

    Each letter goes into the first envelope of its kin that has room and costs no more for it than two would; with
    ``fits`` None each has its own.
    """
    found: list[_Filling] = []
    kin: dict[bytes, list[_Filling]] = {}
    for letter in sorted(letters, key=lambda letter: letter.place):
        # Of no kin, it opens an envelope that nobody else looks into.
        open_ = [] if letter.share_key is None else kin.setdefault(letter.share_key, [])
        place = next((each for each in open_[-OPEN:] if fits is not None and each.takes(letter, fits)), None)
        if place is None:
            place = _Filling()
            found.append(place)
            open_.append(place)
        place.add(letter)
    return [Envelope(tuple(each.letters), each.kind(fits)) for each in found]


class _Filling:
    """An envelope while letters are put in."""

    __slots__ = ("letters", "sheets", "size")

    def __init__(self) -> None:
        self.letters: list[Waiting] = []
        self.sheets = self.size = 0

    def add(self, letter: Waiting) -> None:
        self.letters.append(letter)
        self.sheets += letter.sheets
        self.size += letter.size

    def takes(self, letter: Waiting, fits: Fits) -> bool:
        sheets = self.sheets + letter.sheets
        if len(self.letters) >= fits.letters or self.size + letter.size > fits.bytes or fits.kind(sheets) is None:
            return False
        whole, apart = fits.cents(sheets), (fits.cents(self.sheets), fits.cents(letter.sheets))
        known = [cents for cents in apart if cents is not None]
        return whole is None or len(known) < len(apart) or whole <= sum(known)

    def kind(self, fits: Fits | None) -> str | None:
        return None if fits is None or len(self.letters) == 1 else fits.kind(self.sheets)
